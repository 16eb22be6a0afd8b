"""Text tables: encoding, separator, comments, header, quotes, decimal mark; then cells as text, in parallel.

What quotes say: in a file that quotes some cells and not others, a quoted cell is text ("007", "NA", ""), as R,
Python's `csv.QUOTE_NONNUMERIC` and pushforward itself write it. Where everything is quoted, they say nothing.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ...errors import InputError, did_you_mean
from ..options import Options
from ..source import number
from . import dates, numerals

SAMPLE = 1 << 18
RECORDS = 400
"""What is looked at to find how a file is written: its first 256 KiB, at most 400 records of them."""

_SEPARATORS = (";", "\t", "|")
_ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1", "utf-32", "cp1250", "shift_jis", "gb18030")

Cell = tuple[str, bool]
"""The text of a cell, and whether it was quoted."""


@dataclass
class TextTable:
    """A file read as text: null where a cell has no value.

    Attributes:
        table: all columns as strings. decimal: the decimal mark that was found or given; strict: given.
        quoted: columns whose numbers are quoted, which makes them text.
        named: whether the names are the file's. notes: what was detected, in plain words.
    """

    table: pa.Table
    where: str
    decimal: str | None = None
    strict: bool = False
    quoted: frozenset[str] = frozenset()
    named: bool = True
    notes: list[str] = field(default_factory=list)

    def typed(self, name: str, kind: str | None = None) -> tuple[pa.ChunkedArray, list[str]]:
        """A column as numbers, where it is one of numbers, and what was decided.

        Args:
            kind: what the user, or a model, says that it is; None finds out.

        Raises:
            InputError: a cell that is not a number among numbers, with its row.
        """
        cells = self.table.column(name)
        forced = kind in ("integer", "continuous")
        if not forced and (kind is not None or name in self.quoted):
            return cells, []
        found = numerals.read(cells, name, self.where, self.decimal, forced, self.strict)
        return (cells, []) if found is None else (found.cells, found.notes)


def read(path: Path, options: Options) -> TextTable:
    """A CSV or TSV file, with or without a header, with or without `#` lines first.

    The first line is a header when a column of numbers has no number there, or when none of its cells is a number.
    Without one, columns are `column_1`, ...

    Raises:
        InputError: empty, in another encoding, ragged, or repeated names.
    """
    content, notes = _utf8(path.read_bytes(), str(path), options.encoding)
    if re.search(rb"[\r\n] +[ \r\n]*\Z", content[-4096:]):  # lines of spaces at the end are no rows
        content = content.rstrip(b" \r\n") + b"\n"
    text = _sample(content)
    begin, lines = _after_comments(text, str(path))
    separator = options.separator or _separator(text[begin:], path)
    records, ends = _records(text[begin:], separator)
    if len(content) > SAMPLE and 2 < len(records) < RECORDS:
        records.pop()  # it may be cut off
    header = _has_header(records)
    names = _names(records[0], header, str(path))
    body = records[1:] if header else records
    start = len(text[: begin + (ends[0] if header else 0)].encode())
    plainly = _says_nothing(records, body, header)
    style = _Style(separator, content.find(b'"', start) >= 0, plainly, _has_question_marks(content, separator))
    table = _parse(content, start, names, style, str(path), lines + header)
    if _has_gaps(body):
        table = _trimmed(table)
    mark = options.decimal or _decimal(body, separator)
    found = TextTable(table, str(path), mark, bool(options.decimal), named=header, notes=notes)
    if not plainly:
        found.quoted = frozenset(name for j, name in enumerate(names) if _is_quoted_text(body, j, separator))
    if not header:
        notes.append("no header: columns are named column_1, column_2, ...")
    if lines:
        notes.append(f"skipped {number(lines, 'line')} before the table")
    if separator != ("\t" if path.suffix.lower() == ".tsv" else ","):
        notes.append(f"cells are separated by {separator!r}")
    if style.question:
        notes.append("cells '?' are taken as missing (a quoted \"?\" is not)")
    return found


@dataclass(frozen=True)
class Header:
    """The names of a text table's first line, what separates them, and whether the file has quotes."""

    names: tuple[str, ...]
    separator: str
    quotes: bool


def header(path: Path, options: Options) -> Header | None:
    """The first line of a text table as the options read it; None where they cannot."""
    try:
        text = _sample(_utf8(path.read_bytes(), str(path), options.encoding)[0])
        text = text[_after_comments(text, str(path))[0] :]
    except (OSError, InputError):
        return None
    separator = options.separator or _separator(text, path)
    first = _records(text, separator, 1)[0][0]
    return Header(tuple(name if quoted else name.strip() for name, quoted in first), separator, '"' in text)


# ---------------------------------------------------------------------------------------------------- encoding


def _utf8(raw: bytes, where: str, encoding: str | None) -> tuple[bytes, list[str]]:
    """The file as UTF-8 without a byte-order mark, and what was detected."""
    if not raw[:SAMPLE].strip() and not raw.strip():
        raise InputError(f"{where} is empty.", "Give a table with at least 3 rows.")
    if encoding is not None:
        return _decoded(raw, where, encoding), []
    if raw.startswith(codecs.BOM_UTF8):
        raw = raw[3:]
    elif raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return _decoded(raw, where, "utf-32"), ["encoding: UTF-32"]
    elif raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(raw, where, "utf-16"), ["encoding: UTF-16"]
    elif raw.startswith(b"PK\x03\x04"):
        raise InputError(f"{where} is a ZIP archive (an Excel file?), not text.", "Save the table as CSV or Parquet.")
    elif b"\0" in (head := raw[:4096]):
        for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
            if zeros.count(0) > 0.4 * len(zeros):
                return _decoded(raw, where, name), [f"encoding: {name.upper()}"]
        raise InputError(f"{where} is not text: it holds zero bytes.", "Save the table as CSV or Parquet.")
    if raw.isascii():
        return raw, []
    try:
        raw.decode("utf-8")
        return raw, []
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        window = raw[max(0, error.start - 4096) : error.start + 4096]
        if re.search(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}", window):
            raise InputError(
                f"{where}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8, though the text around it is.",
                "Correct the line, or say how the file is encoded: encoding=cp1252 (--encoding).",
            ) from None
    for name, words in (("cp1252", "Windows-1252"), ("latin-1", "Latin-1")):
        try:
            made = raw.decode(name).encode()
        except UnicodeDecodeError:
            continue
        return made, [
            f"not UTF-8 (line {line}): read as {words} (Western European); if letters look wrong, give encoding="
        ]
    raise AssertionError("Latin-1 decodes everything")


def _decoded(raw: bytes, where: str, encoding: str) -> bytes:
    try:
        known = codecs.lookup(encoding)
    except LookupError:
        raise InputError(f"{where}: unknown encoding {encoding!r}.", did_you_mean(encoding, _ENCODINGS)) from None
    if not getattr(known, "_is_text_encoding", True):  # base64 and others that Python knows
        raise InputError(f"{where}: {encoding!r} is not an encoding of text.", did_you_mean(encoding, _ENCODINGS))
    hint = "Leave encoding= out to have it detected, or give another."
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{where}, line {line}: byte 0x{raw[error.start]:02x} is not {encoding}.", hint) from None
    except UnicodeError as error:
        raise InputError(f"{where}, line 1: not {encoding}: {error}.", hint) from None
    if b"\n" in raw.rstrip() and "\n" not in text.rstrip():
        raise InputError(f"{where}, line 1: as {encoding} it has no lines, such as {text[:8]!r}.", hint)
    return text.lstrip("\ufeff").encode("utf-8", "replace")


def _sample(content: bytes) -> str:
    head = content[:SAMPLE]
    if len(content) > SAMPLE:
        head = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1] or head
    return head.decode("utf-8", "ignore")


# ---------------------------------------------------------------------------------------------------- layout


def _after_comments(text: str, where: str) -> tuple[int, int]:
    """(position, number of lines) where the table begins: after blank lines and lines that begin with #."""
    at = 0
    for k, line in enumerate(re.findall(r"[^\r\n]*(?:\r\n|\r|\n|$)", text)):
        if line.strip(" \t\r\n") and not line.startswith("#"):
            return at, k
        at += len(line)
    raise InputError(f"{where} is empty: it holds only comments.", "Give a table with at least 3 rows.")


def _records(text: str, separator: str, limit: int = RECORDS) -> tuple[list[list[Cell]], list[int]]:
    """The first records as cells, and the position where each ends."""
    part = re.compile(rf'(?:"((?:[^"]|"")*)"|([^{re.escape(separator)}\r\n]*))[^{re.escape(separator)}\r\n]*')
    records: list[list[Cell]] = []
    ends: list[int] = []
    record: list[Cell] = []
    at = 0
    while at <= len(text) and len(records) < limit:
        found = part.match(text, at)
        assert found is not None
        quoted = found[1] is not None
        record.append((found[1].replace('""', '"') if quoted else found[2], quoted))
        at = found.end()
        if text[at : at + 1] == separator:
            at += 1
            continue
        at += 2 if text[at : at + 2] == "\r\n" else 1
        if record != [("", False)]:
            records.append(record)
            ends.append(min(at, len(text)))
        record = []
    return records, ends


def _separator(text: str, path: Path) -> str:
    """The one that every line has equally often; a comma where none is."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    for candidate in _SEPARATORS:  # a semicolon in each line beats the decimal commas between them
        widths = {len(record) for record in _records(text, candidate, 50)[0]}
        if len(widths) == 1 and widths.pop() > 1:
            return candidate
    first = _records(text, ",", 1)[0][0]
    if len(first) == 1:  # a ragged file is told so, by the separator of its first line
        return max(_SEPARATORS, key=first[0][0].count) if any(s in first[0][0] for s in _SEPARATORS) else ","
    return ","


def _has_header(records: list[list[Cell]]) -> bool:
    first, body = records[0], records[1:51]
    everything = all(quoted for record in (first, *body) for _, quoted in record)
    kinds = ["" if quoted and not everything else _kind(text) for text, quoted in first]
    years = []
    for j, (text, _) in enumerate(first):
        cells = [r[j][0] for r in body if j < len(r) and r[j][0].strip() not in numerals.MARKERS]
        below = {_kind(cell) for cell in cells}
        if text.strip() not in numerals.MARKERS and len(below) == 1 and "" not in below and kinds[j] not in below:
            return True
        if _YEAR.fullmatch(text) and cells and not all(_YEAR.fullmatch(cell) for cell in cells):
            years.append(int(text))
    if len(years) > 1 and years == sorted(set(years)):  # a column a year
        return True
    return not any(kinds)


_YEAR = re.compile(r"1[89]\d\d|2[01]\d\d")


def _kind(text: str) -> str:
    """Whether a cell is a number or a date, which names of columns are not: a word, or ""."""
    if numerals.is_like_number(text):
        return "number"
    return "date" if dates.is_date(text.strip()) else ""


def _names(first: list[Cell], header: bool, where: str) -> list[str]:
    if not header:
        return [f"column_{i + 1}" for i in range(len(first))]
    everything = all(quoted for _, quoted in first)
    names = [
        text if quoted and (text or not everything) else text.strip() or f"column_{i + 1}"
        for i, (text, quoted) in enumerate(first)
    ]
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"{where}: the header names {repeated[0]!r} {names.count(repeated[0])} times.", "Rename one.")
    return names


def _says_nothing(records: list[list[Cell]], body: list[list[Cell]], header: bool) -> bool:
    """Whether quotes say nothing: every cell is quoted (of a single column, its name too)."""
    cells = [cell for record in body for cell in record if cell != ("", False)]
    if not cells or not all(quoted for _, quoted in cells):
        return False
    return len(records[0]) > 1 or not header or records[0][0][1]


def _has_gaps(body: list[list[Cell]]) -> bool:
    """Whether every separator is followed by a space."""
    cells = [cell for record in body for cell, quoted in record[1:] if cell and not quoted]
    return bool(cells) and all(cell.startswith(" ") for cell in cells)


def _is_quoted_text(body: list[list[Cell]], j: int, separator: str) -> bool:
    """Whether all number-like cells of column j are quoted, without need."""
    numeric = [
        (c, q) for r in body if j < len(r) for c, q in (r[j],) if numerals.is_like_number(c) and separator not in c
    ]
    return bool(numeric) and all(quoted for _, quoted in numeric)


def _decimal(body: list[list[Cell]], separator: str) -> str | None:
    """A decimal comma, when cells between other separators are numbers with one; else None (each column by itself)."""
    if separator == ",":
        return None
    cells = [cell.strip() for record in body for cell, _ in record]
    commas = sum(bool(re.fullmatch(r"[+-]?[\d.]*,\d+", cell)) for cell in cells)
    points = sum(
        bool(re.fullmatch(r"[+-]?(?:\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,}|\d*\.\d+)", c)) for c in cells
    )
    points -= sum(bool(re.fullmatch(r"[+-]?\d{1,3}(?:\.\d{3})+", cell)) for cell in cells)
    return "," if commas > points else None


def _has_question_marks(content: bytes, separator: str) -> bool:
    if b"?" not in content:
        return False
    s = re.escape(separator).encode()
    return re.search(rb"(?:^|[\r\n]|" + s + rb") ?\? *(?:" + s + rb"|[\r\n]|\Z)", content) is not None


# ---------------------------------------------------------------------------------------------------- cells


@dataclass(frozen=True)
class _Style:
    separator: str
    quotes: bool
    plainly: bool
    question: bool


def _parse(content: bytes, start: int, names: list[str], style: _Style, where: str, before: int) -> pa.Table:
    """All records from `start` on, as columns of text."""
    ragged: list[Any] = []

    def keep(row: Any) -> str:
        ragged.append(row)
        return "error"

    def parse(threads: bool) -> pa.Table:
        return pacsv.read_csv(
            pa.BufferReader(pa.py_buffer(memoryview(content)[start:])),
            read_options=pacsv.ReadOptions(use_threads=threads, column_names=names, block_size=1 << 22),
            parse_options=pacsv.ParseOptions(
                delimiter=style.separator, newlines_in_values=style.quotes, invalid_row_handler=keep
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[*numerals.MARKERS, *(["?"] if style.question else [])],
                strings_can_be_null=True,
                quoted_strings_can_be_null=style.plainly,
            ),
        )

    if start >= len(content):
        return pa.table({name: pa.array([], pa.string()) for name in names})
    try:
        return parse(threads=True)
    except pa.ArrowInvalid as error:
        if not ragged:
            raise InputError(f"{where} cannot be read as a table: {str(error).splitlines()[0]}") from None
    ragged.clear()
    try:  # only a single thread counts rows
        parse(threads=False)
    except pa.ArrowInvalid:
        bad = ragged[0]
    place = _line(content[start:], bad.number, before, style.quotes)
    raise InputError(
        f"{where}, {place}: {bad.actual_columns} cell{'s' if bad.actual_columns != 1 else ''} instead of "
        f"{bad.expected_columns}: {bad.text[:80]!r}.",
        "Every line needs the same number of cells.",
    )


def _line(content: bytes, row: int | None, before: int, quotes: bool) -> str:
    """The line of a data row, blank lines being lines but not rows."""
    if row is None:
        return "a line"
    if quotes:
        return f"data row {row}"
    seen = 0
    for k, line in enumerate(content.splitlines()):
        seen += bool(line)
        if seen == row:
            return f"line {before + k + 1}"
    return f"line {before + row}"


def _trimmed(table: pa.Table) -> pa.Table:
    """Without the spaces after separators."""
    markers = pa.array([*numerals.MARKERS, "?"])
    columns = [pc.utf8_trim_whitespace(column) for column in table.columns]
    columns = [pc.if_else(pc.is_in(column, markers), None, column) for column in columns]
    return pa.table(dict(zip(table.column_names, columns)))
