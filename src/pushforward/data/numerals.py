"""Numbers written as text: which texts are numbers, in the writings that people use, and back to text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError

MARKERS = ("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "null", "NULL", "#N/A", "#NA", "<NA>")
"""What an unquoted cell without a value holds."""

PLAIN = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def strictly(cells: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """Text as integers or floats, null where missing.

    Raises:
        InputError: a cell that is not a number, with its row.
    """
    for kind in (pa.int64(), pa.float64()):
        try:
            return cells.cast(kind)
        except pa.ArrowInvalid:
            continue
    cells = pc.utf8_trim_whitespace(cells)
    cells = pc.if_else(pc.is_in(cells, pa.array(MARKERS)), None, cells)
    good = pc.match_substring_regex(cells, PLAIN)
    bad = pc.and_(pc.invert(good), cells.is_valid()).combine_chunks().fill_null(False)
    if (row := pc.index(bad, True).as_py()) >= 0:
        raise InputError(
            f"{where}: column {name!r}, data row {row + 1}: {cells[row].as_py()!r} is not a number.",
            "Correct the cell, or remove the row.",
        )
    return cells.cast(pa.float64())


def write(numbers: pa.Array) -> pa.Array:
    """Numbers as text that reads back to the same number, and floats as floats: 1.0 is not 1."""
    written = numbers.cast(pa.string())
    if pa.types.is_floating(numbers.type):
        whole = pc.match_substring_regex(written, r"^-?\d+$")
        written = pc.if_else(whole, pc.binary_join_element_wise(written, ".0", ""), written)
    return written
