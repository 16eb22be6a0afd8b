"""Numbers written as text: 1234.5, 1,234.5, 1.234,5, 1 234,5; which columns of text are numbers, and back to text.

Everything works on the distinct texts of a column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError

MARKERS = ("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "null", "NULL", "#N/A", "#NA", "<NA>")
"""What an unquoted cell without a value holds, whatever the column."""

WEAK_MARKERS = ("?", "-", "--", ".", "unknown", "missing", "none", "n.a.", "nil", "(null)", "not available", "*")
"""What a cell without a value may hold in a column of numbers (compared without case)."""

_SIGN = r"^[+-]?"
_EXPONENT = r"(?:[eE][+-]?\d+)?$"
PLAIN = _SIGN + r"(?:\d+\.?\d*|\.\d+)" + _EXPONENT
_INFINITE = _SIGN + r"(?i:inf|infinity)$"
_GAPS = "[ \u00a0\u202f'\u2019]"
# Writing -> (pattern, what is removed, the decimal mark).
_POINT = {
    "": (PLAIN, "", "."),
    "thousands commas": (_SIGN + r"\d{1,3}(?:,\d{3})+(?:\.\d*)?$", ",", "."),
    "thousands gaps": (_SIGN + rf"\d{{1,3}}(?:{_GAPS}\d{{3}})+(?:\.\d*)?$", _GAPS, "."),
}
_COMMA = {
    "decimal commas": (_SIGN + r"(?:\d+,?\d*|,\d+)" + _EXPONENT, "", ","),
    "thousands points": (_SIGN + r"\d{1,3}(?:\.\d{3})+(?:,\d*)?$", r"\.", ","),
    "thousands gaps": (_SIGN + rf"\d{{1,3}}(?:{_GAPS}\d{{3}})+(?:,\d*)?$", _GAPS, ","),
}
_ANY = "|".join(f"(?:{pattern})" for pattern in (_INFINITE, *(p for f in (_POINT, _COMMA) for p, _, _ in f.values())))
_UNITS = re.compile(r"\s*(%|‰|[$€£¥₹]|USD|EUR|GBP|CHF)\s*")


def is_number(text: str) -> bool:
    """Whether Python reads it as a number (also inf and nan)."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


@dataclass(frozen=True)
class Read:
    """A column of text read as numbers: int64 or float64 cells, and what was decided in plain words."""

    cells: pa.ChunkedArray
    notes: list[str]


def read(
    cells: pa.ChunkedArray,
    name: str,
    where: str,
    decimal: str | None = None,
    forced: bool = False,
    strict: bool = False,
) -> Read | None:
    """A column of text as numbers; None when it is no column of numbers.

    Texts with leading zeros (007) and integers of more than 15 digits are labels, not numbers.

    Args:
        decimal: the decimal mark, "." or ","; None tries both. forced: the user says that these are numbers.
        strict: no other mark is tried.

    Raises:
        InputError: most cells are numbers but one is not, or they carry signs such as % (with row and value).
    """
    if cells.null_count == len(cells):
        return Read(pa.chunked_array([pa.nulls(len(cells))]), [])
    if decimal != "," and (fast := _fast(cells)) is not None:
        return fast if forced or not (_are_labels(cells, fast.cells.type) or _are_nan(fast.cells)) else None
    encoded = cells.dictionary_encode().combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    texts, counts = _counted(encoded)
    converted, notes, good = _normal(pc.utf8_trim_whitespace(texts), decimal, strict)
    if not forced and not pc.any(good).as_py():
        _refuse_units(texts, counts, cells, name, where)
        return None
    valid = pc.or_(good, pc.is_in(texts, pa.array(MARKERS)))
    if not pc.all(valid).as_py():
        bad = texts.filter(pc.invert(valid))
        share = 1 - _weight(counts, pc.invert(valid)) / _weight(counts, None)
        weak = all(t.strip().lower() in WEAK_MARKERS for t in bad[:50].to_pylist())
        if weak and (share > 0.5 or forced) and len(bad) <= 50:
            shown = ", ".join(repr(t) for t in bad.to_pylist())
            notes.append(f"column {name}: {shown} is taken as missing")
        else:
            _refuse_units(texts, counts, cells, name, where)
            if forced or share > 0.5:
                raise _not_a_number(cells, bad, name, where)
            return None
    numbers = _cast(pc.if_else(good, converted, None))
    if not forced and _are_labels(texts, numbers.type):
        return None
    column = numbers.take(encoded.indices)
    return Read(pa.chunked_array([column]), [f"column {name}: {n}" if not n.startswith("column") else n for n in notes])


def strictly(cells: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """Text as integers or floats, null where missing.

    Raises:
        InputError: a cell that is not a number, with its row.
    """
    found = read(cells, name, where, forced=True)
    assert found is not None
    return found.cells


def write(numbers: pa.Array) -> pa.Array:
    """Numbers as text that reads back to the same number, and floats as floats: 1.0 is not 1."""
    written = numbers.cast(pa.string())
    if pa.types.is_floating(numbers.type):
        whole = pc.match_substring_regex(written, r"^-?\d+$")
        written = pc.if_else(whole, pc.binary_join_element_wise(written, ".0", ""), written)
    return written


def looks_numeric(texts: pa.Array) -> pa.Array:
    """Whether each text would be read as a number, in any writing, or nearly (10%)."""
    bare = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, _UNITS.pattern, ""))
    return pc.and_(pc.match_substring_regex(bare, _ANY), pc.invert(pc.equal(bare, "")))


def is_like_number(text: str) -> bool:
    """The same of one text."""
    return bool(re.search(_ANY, _UNITS.sub("", text).strip(), re.ASCII))


# ------------------------------------------------------------------------------------------------ inside


def _fast(cells: pa.ChunkedArray) -> Read | None:
    for kind in (pa.int64(), pa.float64()):
        try:
            return Read(cells.cast(kind), [])
        except pa.ArrowInvalid:
            continue
    return None


def _are_labels(texts: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> bool:
    """Whether numbers are codes: leading zeros, hexadecimal, or integers that no number type holds exactly."""
    if pa.types.is_integer(kind):
        for zero in ("0", "-0"):
            long = pc.greater(pc.binary_length(texts), len(zero))
            if pc.any(pc.and_(pc.starts_with(texts, zero), long)).as_py():
                return True
        return False
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    return longest >= 16 and bool(pc.any(pc.match_substring_regex(texts, r"^\s*[+-]?\d{16,}\s*$")).as_py())


def _are_nan(numbers: pa.ChunkedArray) -> bool:
    """Whether there is no number at all, but the word nan."""
    return pa.types.is_floating(numbers.type) and bool(pc.all(pc.is_nan(numbers)).as_py())


def _counted(encoded: pa.DictionaryArray) -> tuple[pa.Array, pa.Array]:
    """Distinct texts and how many cells hold each."""
    import numpy as np

    index = encoded.indices.drop_null().to_numpy()
    return encoded.dictionary, pa.array(np.bincount(index, minlength=len(encoded.dictionary)))


def _weight(counts: pa.Array, chosen: pa.Array | None) -> float:
    return float(pc.sum(counts if chosen is None else counts.filter(chosen)).as_py() or 0)


def _normal(texts: pa.Array, decimal: str | None, strict: bool) -> tuple[pa.Array, list[str], pa.Array]:
    """(texts as plain numbers, remarks, which are numbers), in the writing that fits most."""
    families = {".": [_POINT], ",": [_COMMA]}.get(decimal or "", [_POINT, _COMMA])
    best: tuple[int, pa.Array, list[str], pa.Array] | None = None
    for family in families if strict else [*families, *(f for f in (_POINT, _COMMA) if f not in families)]:
        out, notes = texts, []
        good = pc.match_substring_regex(texts, _INFINITE)
        for words, (pattern, gone, mark) in family.items():
            fits = pc.and_(pc.match_substring_regex(texts, pattern), pc.invert(good))
            if not pc.any(fits).as_py():
                continue
            changed = pc.replace_substring_regex(texts, gone, "") if gone else texts
            changed = pc.replace_substring(changed, mark, ".") if mark != "." else changed
            out = pc.if_else(fits, changed, out)
            good = pc.or_(good, fits)
            if words and (gone or pc.any(pc.and_(fits, pc.match_substring(texts, mark))).as_py()):
                notes.append(f"read with {words}, such as {texts.filter(fits)[0].as_py()!r}")
        count = pc.sum(good.cast(pa.int32())).as_py() or 0
        if best is None or count > best[0]:
            best = (count, out, notes, good)
    assert best is not None
    return best[1], best[2], best[3]


def _cast(texts: pa.Array) -> pa.Array:
    texts = pc.replace_substring_regex(texts, r"^\+", "")
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts.cast(pa.float64())


def _refuse_units(texts: pa.Array, counts: pa.Array, cells: pa.ChunkedArray, name: str, where: str) -> None:
    """Raises InputError when cells are numbers with a currency or a percent sign."""
    signed = [i for i, t in enumerate(texts[:2000].to_pylist()) if _UNITS.search(t)]
    if not signed:
        return
    bare = pa.array([_UNITS.sub("", t).strip() for t in texts[:2000].to_pylist()])
    numeric = looks_numeric(bare).to_pylist()
    total = sum(counts[:2000].to_pylist())
    if sum(counts[i].as_py() for i, good in enumerate(numeric) if good) > 0.9 * total:
        text = texts[signed[0]].as_py()
        sign = _UNITS.search(text)
        row = pc.index(cells, text).as_py()
        raise InputError(
            f"{where}: column {name!r}, data row {row + 1}: {text!r} is a number with {sign[1] if sign else ''!r}.",
            f"Remove the signs from the file, or keep the cells as labels: columns {name}=category.",
        )


def _not_a_number(cells: pa.ChunkedArray, bad: pa.Array, name: str, where: str) -> InputError:
    row = pc.index(pc.is_in(cells, bad), True).as_py()
    return InputError(
        f"{where}: column {name!r}, data row {row + 1}: {cells[row].as_py()!r} is not a number, "
        "as the other cells of this column are.",
        f"Correct the cell, or keep the column as labels: columns {name}=category.",
    )
