"""Dates and moments: Arrow's types and text, as seconds since 1970-01-01 (UTC), and back.

Seconds in float64 are exact to the microsecond from 1698 to 2242, and to the second always. Formats of text are those
of strftime, portable and independent of the locale, with `%-d`, `%-m`, `%-H`, `%-I` for numbers without a leading
zero, `%3f` for three digits of a second, `%.f` for as many as there are and their point, and `%:z` for +01:00.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
STEPS = (86400.0, 3600.0, 60.0, 1.0)
"""The grids that dates may lie on: days, hours, minutes, seconds."""

MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_SHORT = [month[:3] for month in MONTHS]
_FIELDS = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%m": r"(?P<m>\d{2})",
    "%-m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{2})",
    "%-d": r"(?P<d>\d{1,2})",
    "%H": r"(?P<H>\d{2})",
    "%-H": r"(?P<H>\d{1,2})",
    "%I": r"(?P<I>\d{2})",
    "%-I": r"(?P<I>\d{1,2})",
    "%M": r"(?P<M>\d{2})",
    "%S": r"(?P<S>\d{2})",
    "%3f": r"(?P<f>\d{3})",
    "%6f": r"(?P<f>\d{6})",
    "%.f": r"(?:\.(?P<f>\d{1,9}))?",
    "%p": r"(?P<p>[AaPp][Mm])",
    "%b": r"(?P<b>[A-Za-z]{3})",
    "%B": r"(?P<b>[A-Za-z]{3,9})",
    "%z": r"(?P<z>[+-]\d{4})",
    "%:z": r"(?P<z>[+-]\d{2}:\d{2})",
}
_DIRECTIVE = re.compile(r"%(?:[-:.]?[A-Za-z]|\df)")

_DATES = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    *(f"%m{s}%d{s}%Y" for s in "/"),
    *(f"%d{s}%m{s}%Y" for s in "/-."),
    *(f"%m{s}%d{s}%Y" for s in "-."),
    "%-m/%-d/%Y",
    *(f"%-d{s}%-m{s}%Y" for s in "/-."),
    *(f"%-m{s}%-d{s}%Y" for s in "-."),
    "%Y-%-m-%-d",
    "%Y/%-m/%-d",
    "%m/%d/%y",
    *(f"%d{s}%m{s}%y" for s in "/-."),
    "%-m/%-d/%y",
    *(f"%-d{s}%-m{s}%y" for s in "/-."),
    *(f"{d}{s}%b{s}%Y" for s in "- " for d in ("%d", "%-d")),
    *(f"{d}{s}%b{s}%y" for s in "- " for d in ("%d", "%-d")),
    *(f"{b} {d}, %Y" for b in ("%b", "%B") for d in ("%d", "%-d")),
    *(f"{d}{dot} %B %Y" for dot in ("", ".") for d in ("%d", "%-d")),
    "%Y-%m",
    "%Y/%m",
    "%m/%Y",
    "%b %Y",
    "%B %Y",
]
_TIMES = [
    *(f"{h}:%M{rest}" for rest in ("", ":%S", ":%S.%3f", ":%S.%6f", ":%S%.f") for h in ("%H", "%-H")),
    *(f"{h}:%M{rest}{space}%p" for rest in ("", ":%S") for space in (" ", "") for h in ("%I", "%-I")),
]
_ZONES = ["", "Z", "%:z", "%z", " UTC"]


# ------------------------------------------------------------------------------------------------ Arrow's types


def seconds(cells: pa.ChunkedArray) -> np.ndarray:
    """Dates, moments or times of day (n,) as seconds, NaN where missing; nanoseconds are rounded to microseconds."""
    kind = cells.type
    gone = cells.is_null().to_numpy()
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        cells = cells.cast(pa.int32())
    counts = cells.cast(pa.int64()).fill_null(0).to_numpy()
    if pa.types.is_date(kind):
        values = counts * 86400.0 if pa.types.is_date32(kind) else counts / 1000
    elif kind.unit == "ns":
        values = ((counts + 500) // 1000) / 1e6
    else:
        values = counts / PER_SECOND[kind.unit]
    return np.where(gone, np.nan, values)


def is_finer_than_microseconds(cells: pa.ChunkedArray) -> bool:
    """Whether moments have digits that float64 seconds lose."""
    kind = cells.type
    if not ((pa.types.is_timestamp(kind) or pa.types.is_time64(kind)) and kind.unit == "ns"):
        return False
    return bool((cells.cast(pa.int64()).fill_null(0).to_numpy() % 1000).any())


def iso(kind: pa.DataType) -> str:
    """How cells of a date, timestamp or time type are written as text; moments of a zone in UTC."""
    if pa.types.is_date(kind):
        return "%Y-%m-%d"
    clock = "%H:%M:%S%.f"
    return clock if pa.types.is_time(kind) else f"%Y-%m-%d {clock}{'Z' if kind.tz else ''}"


def from_seconds(values: np.ndarray, gone: np.ndarray, stored: pa.DataType) -> pa.Array:
    """Seconds as cells of a date, timestamp or time type; `gone` marks missing cells. Times of day stay in the day."""
    if pa.types.is_date(stored):
        days = np.round(np.where(gone, 0.0, values) / 86400).astype(np.int32)
        return pa.array(days, pa.int32(), mask=gone).cast(pa.date32()).cast(stored)
    per = PER_SECOND[stored.unit]
    counts = _microseconds(values, gone) * (per // 1_000_000) if per > 1_000_000 else _counts(values, gone, per)
    if pa.types.is_time(stored):
        counts = np.clip(counts, 0, 86400 * per - 1)
        if pa.types.is_time32(stored):
            counts = counts.astype(np.int32)
    return pa.array(counts, mask=gone).cast(stored)


def _counts(values: np.ndarray, gone: np.ndarray, per: int) -> np.ndarray:
    """Seconds as whole units; the whole seconds apart, so that no digit is lost."""
    values = np.where(gone, 0.0, values)
    whole = np.floor(values)
    return whole.astype(np.int64) * per + np.round((values - whole) * per).astype(np.int64)


def _microseconds(values: np.ndarray, gone: np.ndarray) -> np.ndarray:
    return _counts(values, gone, 1_000_000)


def step(values: np.ndarray) -> float | None:
    """The coarsest of days, hours, minutes and seconds that all the seconds are multiples of, or None."""
    return next((s for s in STEPS if not (values % s).any()), None)


# ------------------------------------------------------------------------------------------------ days of a zone


def local_days(values: np.ndarray, zone: str) -> np.ndarray:
    """Moments (UTC seconds) by the clock of a zone; the first moment of a day is its midnight, also where a change of
    the clock skips it.

    Raises:
        InputError: an unknown zone.
    """
    gone = np.isnan(values)
    moments = from_seconds(values, gone, pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    try:
        clock = pc.local_timestamp(moments)
    except pa.ArrowException:
        raise _unknown_zone(zone) from None
    local = seconds(pa.chunked_array([clock]))
    days = np.floor(local / 86400) * 86400
    return np.where(first_moments(days, zone) == values, days, local)


def first_moments(days: np.ndarray, zone: str) -> np.ndarray:
    """Days (seconds of a clock) as the moments (UTC seconds) when they begin in a zone; NaN stays.

    Of a midnight that comes twice it is the first; of one that is skipped, the end of the gap.

    Raises:
        InputError: an unknown zone.
    """
    clock = from_seconds(np.round(days / 86400) * 86400, np.isnan(days), pa.timestamp("us"))
    try:
        moments = pc.assume_timezone(clock, zone, ambiguous="earliest", nonexistent="latest")
    except pa.ArrowException:
        raise _unknown_zone(zone) from None
    return seconds(pa.chunked_array([moments]))


def _unknown_zone(zone: str) -> InputError:
    return InputError(f"unknown time zone {zone!r}.", "Give one such as Europe/Paris, or convert the column to UTC.")


def have_zone(cells: pa.ChunkedArray) -> bool:
    """Whether moments in text say their zone (an offset, Z or UTC), as the first of them does."""
    known = cells.drop_null()
    return len(known) > 0 and bool(re.search(r":\d{2}.*(?:Z|UTC|[+-]\d{2}:?\d{2})$", known[0].as_py()))


# ------------------------------------------------------------------------------------------------ text


def find(texts: pa.Array) -> tuple[str, str] | None:
    """The format that all distinct texts (k,) are dates in, and a remark for the user; None when there is none.

    Where days and months could be either, slashes are read as month/day/year, dots and dashes as day.month.year.
    """
    sample = texts[:200].to_pylist()
    if not sample or not all(6 <= len(t) <= 40 or (":" in t and len(t) >= 4) for t in sample):
        return None
    fits = [f for f in _candidates(sample[0]) if all(re.fullmatch(_pattern(f), t, re.ASCII) for t in sample)]
    good = []
    for format in fits:
        if not np.isnan(parse(texts, format)).any():
            good.append(format)
            if not _is_ambiguous(format):
                break
    if not good:
        return None
    format, remark = good[0], _remark(good)
    if zone := re.search("%:?z$", format):
        size = 6 if ":" in zone[0] else 5
        ends = pc.unique(pc.utf8_slice_codeunits(texts, -size, None)).to_pylist()
        if len(ends) > 1:
            return format, f"zones differ from row to row: samples are written in UTC{'; ' + remark if remark else ''}"
        format = format[: zone.start()] + ends[0]
    return format, remark


def is_date(text: str) -> bool:
    """Whether a text looks like a date, a moment or a time of day."""
    return 4 <= len(text) <= 40 and bool(_candidates(text))


def nearly(texts: pa.Array, counts: np.ndarray, least: float = 0.9) -> tuple[str, int] | None:
    """A format of nearly all of the texts (weighted by `counts`) and the first that is not in it; None: not dates.

    Args:
        least: the share of texts that have to be in the format.
    """
    common = [texts[int(i)].as_py() for i in np.argsort(-counts, kind="stable")[:50]]
    candidates = {f for t in common[:8] if len(t) >= 6 for f in _candidates(t)}
    best: tuple[float, str, int] | None = None
    for format in sorted(candidates):
        bad = np.isnan(parse(texts, format))
        share = counts[~bad].sum() / counts.sum()
        if share >= least and bad.any() and (best is None or share > best[0]):
            best = (share, format, int(bad.argmax()))
    return None if best is None else best[1:]


def _candidates(text: str) -> list[str]:
    """Formats that one text fits, the stricter first."""
    found = []
    head, gap, tail = _parted(text)
    dates = [f for f in _DATES if re.fullmatch(_pattern(f), head, re.ASCII)]
    if not gap:
        times = [t for t in _TIMES if re.fullmatch(_pattern(t), head, re.ASCII)]
        return [*dates, *times]
    for zone in _ZONES:
        times = [t for t in _TIMES if re.fullmatch(_pattern(t + zone), tail, re.ASCII)]
        found += [f"{d}{gap}{t}{zone}" for d in dates for t in times]
    return found


def _parted(text: str) -> tuple[str, str, str]:
    """Date, what separates it from the time, and the time."""
    found = re.search(r"(T| )(?=\d{1,2}:\d{2})", text)
    return (text[: found.start()], found[1], text[found.end() :]) if found else (text, "", "")


def _is_ambiguous(format: str) -> bool:
    return bool(re.match(r"%-?[dm]([/.-])%-?[md]\1%[Yy]", format))


def _remark(good: list[str]) -> str:
    orders = {bool(re.match(r"%-?m", f)) for f in good if _is_ambiguous(f)}
    if len(orders) < 2:
        return ""
    here = "months first" if re.match(r"%-?m", good[0]) else "days first"
    other = "days" if here == "months first" else "months"
    return f"read with {here}, but {other} first would fit too: write 2024-12-31 to be sure"


@lru_cache(512)
def _pattern(format: str) -> str:
    """The regular expression of a format."""
    out, at = "", 0
    for found in _DIRECTIVE.finditer(format):
        out += re.escape(format[at : found.start()]).replace("\\ ", " ") + _FIELDS[found[0]]
        at = found.end()
    return out + re.escape(format[at:]).replace("\\ ", " ")


def parse(texts: pa.Array, format: str) -> np.ndarray:
    """Texts (k,) in a format as seconds since 1970-01-01 (UTC); NaN for those that are not in it, or no such day."""
    if (fast := _iso(texts, format)) is not None:
        return fast
    fields = pc.extract_regex(texts, f"^{_pattern(format)}$")
    good = fields.is_valid().to_numpy(zero_copy_only=False)
    names = {field.name for field in fields.type}

    def integer(name: str, default: int) -> np.ndarray:
        if name not in names:
            return np.full(len(texts), default)
        digits = pc.struct_field(fields, name)
        return pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64()).fill_null(default).to_numpy()

    year = integer("Y", 1970)
    if "y" in names:
        year = integer("y", 0)
        year = np.where(year < 69, year + 2000, year + 1900)
    month, day = integer("m", 1), integer("d", 1)
    if "b" in names:
        names_ = pa.array([m.lower() for m in ([*_SHORT] if "%b" in format else MONTHS)])
        month = pc.index_in(pc.utf8_lower(pc.struct_field(fields, "b")), names_).fill_null(-1).to_numpy() + 1
    start = (year - 1970).astype("M8[Y]").astype("M8[M]") + (month - 1)
    date = start.astype("M8[D]") + (day - 1)
    good &= (month >= 1) & (month <= 12) & (day >= 1) & (date.astype("M8[M]") == start)
    hour, minute, second = integer("H", 0), integer("M", 0), integer("S", 0)
    if "I" in names:
        hour = integer("I", 12)
        good &= (hour >= 1) & (hour <= 12)
        afternoon = pc.equal(pc.utf8_lower(pc.struct_field(fields, "p")), "pm").fill_null(False)
        hour = hour % 12 + 12 * afternoon.to_numpy(zero_copy_only=False)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    whole = date.astype(np.int64) * 86400 + hour * 3600 + minute * 60 + second
    if "z" in names:
        digits = pc.replace_substring(pc.struct_field(fields, "z"), ":", "").cast(pa.float64()).fill_null(0).to_numpy()
        whole = whole - _offset_seconds(digits.astype(np.int64))
    whole = whole - _literal_offset(format)
    values = whole.astype(np.float64)
    if "f" in names:
        part = pc.utf8_rpad(pc.struct_field(fields, "f"), 9, "0")
        nanoseconds = part.cast(pa.int64()).fill_null(0).to_numpy()
        values = (whole * 1_000_000 + np.round(nanoseconds / 1000).astype(np.int64)) / 1e6
    return np.where(good, values, np.nan)


def _iso(texts: pa.Array, format: str) -> np.ndarray | None:
    """The same by Arrow's own parser, forty times faster, for the formats that it is strict about."""
    length = {"%Y-%m-%d": 10, "%Y-%m-%d %H:%M:%S": 19, "%Y-%m-%dT%H:%M:%S": 19}.get(format)
    if length is None or not pc.all(pc.equal(pc.binary_length(texts), length)).as_py():
        return None
    try:
        return texts.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy().astype(np.float64)
    except pa.ArrowInvalid:
        return None


def _offset_seconds(digits: Any) -> Any:
    """+0130 as 5400."""
    return np.sign(digits) * (abs(digits) // 100 * 3600 + abs(digits) % 100 * 60)


def _literal_offset(format: str) -> int:
    """Seconds that a format's own zone, such as +01:00 at its end, is ahead of UTC."""
    found = re.search(r"(?<=%[Mp3]|.[fS])([+-]\d{2}):?(\d{2})$", format)
    return int(_offset_seconds(int(found[1] + found[2]))) if found else 0


def strictly(cells: pa.ChunkedArray, format: str, name: str, where: str) -> np.ndarray:
    """Text (n,) in a format as seconds, NaN where missing. Each distinct text is read once.

    Raises:
        InputError: a cell that is not in the format, with its row.
    """
    encoded = cells.dictionary_encode().combine_chunks()
    texts = encoded.dictionary
    if not format:  # the model's dates had a type of their own
        found = find(texts)
        format = found[0] if found else "%Y-%m-%d"
    values = parse(texts, format)
    for other in _candidates(texts[0].as_py()) if len(texts) and np.isnan(values).any() else []:
        # New data may be written in another way, as long as it is one way (an ISO date without its time, say).
        if not _is_ambiguous(other) and not np.isnan(again := parse(texts, other)).any():
            values = again
    bad = np.isnan(values)
    index = encoded.indices.fill_null(-1).to_numpy()
    if bad.any():
        row = int((np.append(bad, False)[index]).argmax())
        raise InputError(
            f"{where}: column {name!r}, data row {row + 1}: {cells[row].as_py()!r} is not a date as the others, "
            f"such as {example(format)}.",
            "Correct the cell, or remove the row.",
        )
    return np.append(values, np.nan)[index]


def example(format: str) -> str:
    """The last day of 2024 in a format, for messages."""
    return str(write(np.array([1735689599.25]), np.array([False]), format)[0].as_py())


def write(values: np.ndarray, gone: np.ndarray, format: str) -> pa.Array:
    """Seconds (n,) as text in a format; null where `gone`. `%z` is UTC; a zone of the format's own is kept."""
    offset = _literal_offset(format)
    ends = r"%3f|%6f|%\.f"
    micro = _microseconds(values + offset, gone)
    if not re.search(ends, format):
        micro = _counts(values + offset, gone, 1) * 1_000_000
    moment = micro.astype("M8[us]")
    pieces: list[Any] = []
    at = 0
    for found in _DIRECTIVE.finditer(format):
        pieces += [format[at : found.start()]] if found.start() > at else []
        pieces.append(_field(found[0], moment, micro))
        at = found.end()
    pieces += [format[at:]] if at < len(format) else []
    pieces = [_repeated(piece, len(values)) if isinstance(piece, str) else piece for piece in pieces]
    written = pieces[0] if len(pieces) == 1 else pc.binary_join_element_wise(*pieces, "")
    return pc.if_else(pa.array(gone), None, written)


def _repeated(text: str, n: int) -> pa.Array:
    return pa.array([text]).take(pa.array(np.zeros(n, np.int8)))


def _field(directive: str, moment: np.ndarray, micro: np.ndarray) -> pa.Array:
    """One directive of all moments, as text."""
    clock = micro // 1_000_000 % 86400
    hour = clock // 3600
    kind = directive[-1]
    if kind in "Yymd" or kind in "bB":
        months = moment.astype("M8[M]").astype(np.int64)
        if kind in "Yy":
            year = months // 12 + 1970
            return _padded(year % 100, 2) if kind == "y" else _padded(year, 4)
        if kind == "d":
            return _padded((moment.astype("M8[D]") - moment.astype("M8[M]")).astype(np.int64) + 1, 2, directive)
        if kind == "m":
            return _padded(months % 12 + 1, 2, directive)
        return pa.array(_SHORT if kind == "b" else MONTHS).take(pa.array(months % 12))
    if kind == "f":
        part = micro % 1_000_000
        if directive == "%3f":
            return _padded(part // 1000, 3)
        digits = _padded(part, 6)
        if directive == "%6f":
            return digits
        some = pc.binary_join_element_wise(".", pc.utf8_rtrim(digits, "0"), "")
        return pc.if_else(pa.array(part == 0), "", some)
    if kind == "p":
        return pa.array(["AM", "PM"]).take(pa.array(hour // 12))
    if kind == "z":
        return _repeated("+00:00" if ":" in directive else "+0000", len(micro))
    value = {"H": hour, "I": (hour + 11) % 12 + 1, "M": clock // 60 % 60, "S": clock % 60}[kind]
    return _padded(value, 2, directive)


def _padded(values: np.ndarray, width: int, directive: str = "") -> pa.Array:
    texts = pa.array(values).cast(pa.string())
    return texts if "-" in directive else pc.utf8_lpad(texts, width, "0")
