"""What looks odd in one column: spikes, rounding, tails, codes for missing, rare and misspelt categories, dates.

Thresholds are such that independent draws of smooth distributions raise nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

from ..tables.cells import LARGEST_INTEGER
from ..tables.numerals import WEAK_MARKERS
from ..tables.words import MANY_CATEGORIES
from .oddity import Oddity, Profile, amount, is_time_of_day, listed, moment, rows, share, shorten

DAY = 86400.0
FEWEST = 20
"""Cells below which nothing is said of a column's distribution."""
RARE = 10
"""Categories seen in fewer rows are rare."""
_LARGEST_CODES = {
    float(c) for c in (32767, -32768, 65535, 2147483647, -2147483648, 4294967295, 9998, 998, 997, 888, 8888, 777)
}
_FILLED_DATES = {
    -62135596800.0: "0001-01-01",
    -2209161600.0: "1899-12-30",
    -2209075200.0: "1899-12-31",
    -2208988800.0: "1900-01-01",
    0.0: "1970-01-01",
    946684800.0: "2000-01-01",
    4102358400.0: "2099-12-30",
    4102444800.0: "2100-01-01",
    253402214400.0: "9999-12-31",
}
"""Days that programs write when they do not know one."""
_MEANS_MISSING = {*WEAK_MARKERS, "na", "n/a", "nan", "null", "not known", "not applicable", "undefined", "unspecified"}


def of_all(p: Profile) -> list[Oddity]:
    """What a column of any kind may show: one value only, nearly so, or hardly a cell."""
    name = p.column.name
    if p.missing == 1:
        return [Oddity("constant", name, "every cell is missing.", f"Leave it out: {p.leave_out}.")]
    if len(p.values) == 1 and p.missing == 0:
        if not p.tabular:
            return []  # said when the array is loaded
        what = f"every cell is {p.shown(p.values[0])}."
        return [Oddity("constant", name, what, f"Samples repeat it; or leave it out: {p.leave_out}.")]
    found = []
    if p.missing >= 0.9:
        what = f"{share(p.missing)} of the cells are missing; {p.rows(p.known)} say what it is."
        found.append(
            Oddity("mostly-missing", name, what, f"Little can be learned of it; to leave it out: {p.leave_out}.")
        )
    top = int(p.counts.argmax())
    if p.known >= 100 and len(p.values) > 1 and p.counts[top] >= 0.99 * p.known:
        what = f"{share(p.counts[top] / p.known)} of the cells are {p.shown(p.values[top])}."
        advice = f"Its other values are learned from {p.rows(p.known - p.counts[top])} only."
        found.append(Oddity("nearly-constant", name, what, advice))
    return found


# ------------------------------------------------------------------------------------------------ numbers


def of_numbers(p: Profile) -> list[Oddity]:
    """What a column of numbers or dates may show."""
    if p.known < FEWEST or len(p.values) < 2 or p.counts.max() >= 0.99 * p.known:
        return []
    found: list[Oddity] = []
    codes = far = np.zeros(len(p.values), dtype=bool)
    numbers = p.column.kind != "datetime"
    if numbers:
        ends, codes, far = _ends(p)
        found += ends
    spikes = spikes_of(p) & ~codes
    if spikes.any():
        found.append(_of_spikes(p, spikes))
    if numbers:
        plain = ~codes & ~spikes
        found += _capped(p, plain & ~far)
        found += _rounding(p, plain & ~far)
        heavy = _tails(p, plain & ~far, plain)
        if heavy:  # then there is nothing special about the farthest
            found = [o for o in found if o.kind != "far"]
        found += heavy
    return found


def spikes_of(p: Profile) -> np.ndarray:
    """Values (k,) that stand out: of a share that matters, and far above their neighbours'."""
    k = len(p.values)
    if k < 6:
        return np.zeros(k, dtype=bool)
    padded = np.concatenate([[0, 0], p.counts, [0, 0]])
    around = np.max([padded[0:k], padded[1 : k + 1], padded[3 : k + 3], padded[4 : k + 4]], axis=0)
    least = max(5, 0.01 * p.known) if p.column.step is None else max(10, 0.05 * p.known)
    found: np.ndarray = (p.counts >= least) & (p.counts >= (5 if k >= 20 else 10) * around)
    return found


def _of_spikes(p: Profile, spikes: np.ndarray) -> Oddity:
    order = np.flatnonzero(spikes)[np.argsort(-p.counts[spikes], kind="stable")]
    parts = [f"{p.shown(p.values[i])} ({share(p.counts[i] / p.known)} of the cells)" for i in order]
    verb = "are spikes" if len(parts) > 1 else "is a spike"
    what = f"{listed(parts)} {verb} among {len(p.values):,} different values."
    if not p.tabular:
        advice = "A density cannot hold it: save the array as a table (.csv, .parquet), whose spikes are atoms."
        return Oddity("spike", p.column.name, what, advice, "warning")
    advice = "Nothing to do: samples repeat it as often. If it stands for unknown, leave those cells empty instead."
    return Oddity("spike", p.column.name, what, advice)


def _ends(p: Profile) -> tuple[list[Oddity], np.ndarray, np.ndarray]:
    """Values at either end that look like codes (999, -1), or are far from all others; and masks of both (k,)."""
    k, name = len(p.values), p.column.name
    codes, far = np.zeros(k, dtype=bool), np.zeros(k, dtype=bool)
    found: list[Oddity] = []
    for upper in (False, True):
        for m in (3, 2, 1):
            if k - m < 10:
                continue
            end = np.arange(k - m, k) if upper else np.arange(m)
            others = np.delete(np.arange(k), end)
            if (codes | far)[end].any():
                continue
            low, high = p.values[others[0]], p.values[others[-1]]
            gap = p.values[end[0]] - high if upper else low - p.values[end[-1]]
            width = _between(p, others, 0.01, 0.99)
            held = int(p.counts[end].sum())
            shown = listed([p.shown(p.values[i]) for i in end], join="and")
            if all(_is_code(p.values[i]) for i in end) and (
                gap >= (0.5 if (p.values[end] == 0).all() else 1.0) * width or _only_negatives(p, end, others, upper)
            ):
                what = (
                    f"{shown} ({p.rows(held)}) may be a code: all other values lie in "
                    f"{p.shown(low)} to {p.shown(high)}."
                )
                advice = (
                    "If it stands for unknown, leave those cells empty: missing cells are modelled. A cap can stay."
                )
                found.append(Oddity("code", name, what, advice, "warning"))
                codes[end] = True
            elif gap >= 3 * _between(p, others, 0.005, 0.995) > 0 and held <= max(3, 0.005 * p.known):
                lies = "lies" if m == 1 else "lie"
                what = (
                    f"{shown} ({p.rows(held)}) {lies} far from the others, which are {p.shown(low)} to {p.shown(high)}."
                )
                advice = "If it is a mistake, correct it or leave the cell empty: it stretches the column."
                found.append(Oddity("far", name, what, advice, "warning"))
                far[end] = True
            else:
                continue
            break
    return found, codes, far


def _is_code(value: float) -> bool:
    if value != round(value) or abs(value) >= 1e15:
        return False
    digits = str(abs(int(value)))
    nines = set(digits) == {"9"} and (len(digits) > 1 or value < 0)
    return nines or value in (0, -1) or value in _LARGEST_CODES


def _only_negatives(p: Profile, end: np.ndarray, others: np.ndarray, upper: bool) -> bool:
    """Whether codes below zero stand alone there: -1 in a column of counts, more often than the next value."""
    if upper or p.values[end].max() >= 0 or p.values[others[0]] < 0:
        return False
    return bool(p.counts[end].sum() >= 3 * max(1, p.counts[others[0]]))


def _between(p: Profile, some: np.ndarray, low: float, high: float) -> float:
    """The distance of two quantiles of some of the values."""
    a, b = _quantiles(p, some, [low, high])
    return float(b - a)


def _quantiles(p: Profile, some: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles of the cells that hold `some` (indices or a mask) of the values: of n cells, the ceil(n q)-th."""
    cumulative = p.counts[some].cumsum()
    at = np.searchsorted(cumulative, np.maximum(1, np.ceil(np.array(levels) * cumulative[-1])))
    out: np.ndarray = p.values[some][at.clip(0, len(cumulative) - 1)]
    return out


def _capped(p: Profile, plain: np.ndarray) -> list[Oddity]:
    """Many cells at the very end of the range, and few next to it."""
    some = np.flatnonzero(plain)
    if len(some) < 20:
        return []
    parts = []
    for end, near, word in ((some[0], some[1:4], "smallest"), (some[-1], some[-4:-1], "largest")):
        if p.counts[end] >= max(10, 5 * p.counts[near].max()):
            parts.append(f"{p.rows(p.counts[end])} hold the {word}, {p.shown(p.values[end])}, and few the values next")
    if not parts:
        return []
    what = f"{'; '.join(parts)} to it: the column may be capped there."
    advice = "Nothing to do: samples pile up there, too."
    return [Oddity("capped", p.column.name, what, advice)]


def _rounding(p: Profile, plain: np.ndarray) -> list[Oddity]:
    """Round numbers among finer ones: 5s and 10s of whole numbers, whole numbers of prices."""
    step = p.column.step
    if step is None or plain.sum() < 20:
        return []
    inverse = round(1 / step) if step < 1 else 1
    if step >= 1 and step != 1:
        return []
    units = np.rint(p.values[plain] * inverse)
    if abs(units).max() > LARGEST_INTEGER:
        return []
    counts = p.counts[plain]
    n = int(counts.sum())
    low, high = np.quantile(np.repeat(units, counts), [0.05, 0.95])
    name = p.column.name
    if inverse == 1:
        common = int(np.gcd.reduce(np.abs(units).astype(np.int64)))
        if common > 1:
            what = f"every value is a multiple of {amount(common)}."
            advice = (
                "Nothing to do: samples take the values seen."
                if len(p.values) <= 256
                else f"Samples will not be: divide the column by {amount(common)} first."
            )
            return [Oddity("rounding", name, what, advice)]
    for period in (1000, 100, 10, 5) if inverse == 1 else (inverse,):
        if not 2 <= period <= (high - low) / 4:
            continue
        residues = np.bincount((units % period).astype(np.int64), weights=counts, minlength=period)
        ending = int(residues.argmax()) if inverse > 1 and low >= 0 else 0
        held, chance = residues[ending] / n, 1 / period
        z = (held - chance) / np.sqrt(chance * (1 - chance) / n)
        if held < max(1.5 * chance, chance + 0.05) or z < 8:
            continue
        if inverse == 1:
            which = f"are multiples of {amount(period)}"
        else:
            which = f"end in {f'{ending / inverse:.6g}'.removeprefix('0')}" if ending else "are whole numbers"
        what = f"{share(held)} of the values {which}, where chance makes {share(chance)}: they were rounded."
        advice = (
            "Nothing to do: samples take the values seen, as often."
            if len(p.values) <= 256
            else "Values with a share above 0.2% are kept; the preference of the others is smoothed out."
        )
        return [Oddity("rounding", name, what, advice)]
    return []


def _tails(p: Profile, plain: np.ndarray, told: np.ndarray) -> list[Oddity]:
    """Tails heavier than exponential on either side, by ratios of quantiles.

    Args:
        plain: values (k,) that decide it. told: those that the sentence is about.
    """
    n = int(p.counts[plain].sum()) if plain.any() else 0
    if n < 500 or plain.sum() < 20:
        return []
    levels = [0.001, 0.005, 0.025, 0.25, 0.5, 0.75, 0.975, 0.995, 0.999]
    q = _quantiles(p, plain, levels)
    middle = q[4]
    sides = []
    for sign, quarter, far, wide, farthest in ((1, q[5], q[6], q[7], q[8]), (-1, q[3], q[2], q[1], q[0])):
        bulk, reach = max(sign * (quarter - middle), 0.5 * (q[5] - q[3])), sign * (far - middle)
        if bulk > 0 and sign * (wide - middle) > 10 * bulk and sign * (farthest - middle) > 2.7 * reach:
            sides.append((sign, bulk, wide))
    if not sides:
        return []
    sign, _, _ = max(sides, key=lambda s: abs(s[2] - middle) / s[1])
    middle, wide, end = _quantiles(p, told, [0.5, 0.995, 1.0] if sign > 0 else [0.5, 0.005, 0.0])
    below, above, extreme = ("below", "above", "largest") if sign > 0 else ("above", "below", "smallest")
    what = (
        f"{'heavy tails' if len(sides) == 2 else 'a heavy tail'}: half of the values are {below} {p.shown(middle)}, "
        f"1 in 200 is {above} {p.shown(wide)}, and the {extreme} is {p.shown(end)}."
    )
    if not p.tabular:
        advice = "Take logarithms first: arrays are only standardized, and such tails dominate that."
        return [Oddity("heavy-tail", p.column.name, what, advice, "warning")]
    advice = "Nothing to do: the quantile transform takes it. If values beyond those seen matter, model its logarithm."
    return [Oddity("heavy-tail", p.column.name, what, advice)]


def of_dates(p: Profile, now: float) -> list[Oddity]:
    """Days that programs fill in, and days to come.

    Args:
        now: seconds since 1970.
    """
    if p.column.kind != "datetime" or is_time_of_day(p.column) or len(p.values) < 2:
        return []
    found = []
    day = np.floor(p.values / DAY) * DAY
    days, at = np.unique(day, return_inverse=True)
    counts = np.bincount(at, weights=p.counts)
    for i, d in enumerate(days):
        if float(d) not in _FILLED_DATES or len(days) < 4:
            continue
        others = np.delete(days, i)
        alone = abs(others - d).min() > 365 * DAY
        often = counts[i] >= max(5, 10 * np.delete(counts, i).mean()) and d != 946684800.0
        if alone or often:
            first, last = moment(others[0], p.column), moment(others[-1], p.column)
            filled = f"{_FILLED_DATES[float(d)]} ({p.rows(counts[i])})"
            what = f"{filled} is a date that programs fill in; the others are {first} to {last}."
            advice = "If the date is unknown, leave those cells empty: missing cells are modelled as such."
            found.append(Oddity("date", p.column.name, what, advice, "warning"))
    later = (p.values > now + DAY) & ~np.isin(day, list(_FILLED_DATES))
    if later.any():
        what = f"{p.rows(p.counts[later].sum())} lie in the future, up to {p.shown(p.values[later][-1])}."
        found.append(Oddity("date", p.column.name, what, "Right for plans and forecasts; else correct the years."))
    return found


# ------------------------------------------------------------------------------------------------ categories


def of_categories(p: Profile) -> list[Oddity]:
    """What a column of categories may show: many, rare ones, several writings of one, words for missing."""
    if p.column.is_number or len(p.values) < 2:
        return []
    return [*_writings(p), *_missing_words(p), *_rare(p)]


def _writings(p: Profile) -> list[Oddity]:
    """Categories that differ by case or white space alone."""
    groups: dict[str, list[int]] = {}
    for i, value in enumerate(p.values):
        text = unicodedata.normalize("NFKC", p.column.categories[int(value)])
        groups.setdefault(" ".join(text.casefold().split()), []).append(i)
    same = sorted((g for g in groups.values() if len(g) > 1), key=lambda g: -p.counts[g].sum())
    if not same:
        return []
    shown = []
    for group in same[:3]:
        most = sorted(group, key=lambda i: -p.counts[i])
        shown.append(" = ".join(f"{_literal(p, i)} ({p.counts[i]:,})" for i in most[:4]))
    more = f"; and {len(same) - 3} more" if len(same) > 3 else ""
    what = f"the same value in several writings: {'; '.join(shown)}{more}."
    return [Oddity("writing", p.column.name, what, "They are separate categories now: write them alike.", "warning")]


def _literal(p: Profile, i: int) -> str:
    """A category in quotes, with its white space."""
    text = p.column.categories[int(p.values[i])]
    return f'"{shorten(text)}"' if text == " ".join(text.split()) else repr(text)


def _missing_words(p: Profile) -> list[Oddity]:
    words = [i for i, v in enumerate(p.values) if p.column.categories[int(v)].strip().lower() in _MEANS_MISSING]
    if not words or p.column.kind != "category" or len(p.values) < 3:
        return []
    shown = listed([f"{p.shown(p.values[i])} ({p.rows(p.counts[i])})" for i in words])
    what = f"{shown} may mean that the value is missing."
    advice = (
        "It is a category now; leave the cell empty if it should be a missing one. Either way samples have as many."
    )
    return [Oddity("missing-word", p.column.name, what, advice)]


def _rare(p: Profile) -> list[Oddity]:
    k, n, name = len(p.values), p.known, p.column.name
    if n < 100 or p.column.kind == "boolean":
        return []
    rare = np.flatnonzero(p.counts < RARE)
    few = rare[np.argsort(p.counts[rare], kind="stable")]
    shown = listed([f"{p.shown(p.values[i])} ({p.counts[i]:,})" for i in few[:3]]) if len(few) else ""
    if k > MANY_CATEGORIES:
        rows_each = n / k
        seen = f"; {len(rare):,} of them are seen fewer than {RARE} times, such as {shown}" if len(rare) else ""
        what = f"{k:,} categories, {rows_each:.3g} rows each on average{seen}."
        advice = f"Merge those that mean the same for you, or leave it out: {p.leave_out}."
        return [Oddity("many-categories", name, what, advice, "warning" if rows_each < 5 else "note")]
    if not len(rare):
        return []
    what = (
        f"{len(rare):,} of {k:,} categories {'is' if len(rare) == 1 else 'are'} seen fewer than {RARE} times: "
        f"{listed([f'{p.shown(p.values[i])} ({p.counts[i]:,})' for i in few])}."
    )
    advice = "They keep their frequency, but what goes with them is a guess; merge them if you can."
    return [Oddity("rare", name, what, advice)]


def of_classes(counts: np.ndarray, names: Sequence[str], column: str) -> list[Oddity]:
    """What the classes (k,) of a condition may show, from how many examples each has."""
    seen = np.flatnonzero(counts)
    if len(seen) < 2:
        return []
    least, most = seen[counts[seen].argmin()], seen[counts[seen].argmax()]
    few = seen[counts[seen] < FEWEST]
    if len(few) == 0 and counts[most] < 20 * counts[least]:
        return []
    what = f"unequal classes: {names[most]} has {rows(counts[most])}, {names[least]} has {rows(counts[least])}"
    what += f"; {len(few)} of {len(seen)} have fewer than {FEWEST}." if len(few) else "."
    advice = "Samples of a class can be no better than its examples: merge small classes, or add to them."
    return [Oddity("classes", column, what, advice, "warning" if len(few) else "note")]
