"""What a user writes as the value of a cell, to the number that a table holds, with errors that name the column."""

from __future__ import annotations

import math

import numpy as np

from ..errors import InputError, did_you_mean
from ..spaces import Column


def written(column: Column, value: float) -> str:
    """A value in the user's own writing: 2024-12-31, 17, Female."""
    from ..data.tables.cells import decode_column

    if not column.is_number:
        return column.categories[int(value)]
    shown = decode_column(np.array([value]), column)[0].as_py()
    return f"{shown:.6g}" if isinstance(shown, float) else str(shown)


def shown(column: Column, value: float) -> str:
    """A cell in the user's own writing, or `missing`."""
    return "missing" if math.isnan(value) else written(column, value)


def range_of(column: Column) -> str:
    """`17 to 90`, or the categories."""
    if column.is_number:
        return f"{written(column, column.low)} to {written(column, column.high)}"
    shown = ", ".join(column.categories[:12])
    return shown + (f", ... ({len(column.categories):,} values)" if len(column.categories) > 12 else "")


def read(text: str, column: Column, where: str) -> float:
    """The number that a cell of `column` holds for what the user wrote.

    Raises:
        InputError: text that is no number, no date, or none of the categories; `where` begins the sentence.
    """
    if column.kind == "datetime":
        return _moment(text, column, where)
    return _number(text, column, where) if column.is_number else _position(text, column, where)


def _number(text: str, column: Column, where: str) -> float:
    import pyarrow as pa

    from ..data.tables import numerals

    try:
        value = float(numerals.strictly(pa.chunked_array([[text]], pa.string()), column.name, where).to_pylist()[0])
    except (InputError, TypeError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {text!r} is not a number.", f"{column.name} is {range_of(column)} in the data.")
    return value


def _moment(text: str, column: Column, where: str) -> float:
    import pyarrow as pa

    from ..data.tables import dates
    from ..data.tables.cells import is_date, type_of, zone_of_days

    cell, stored = pa.array([text]), type_of(column.stored)
    own = [column.format] if column.format else []
    own += [dates.iso(stored)] if is_date(stored) else []
    found = dates.find(cell)
    for format in [*own, "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", *([found[0]] if found else [])]:
        value = float(dates.parse(cell, format)[0])
        if not math.isnan(value):
            zone = zone_of_days(column) if dates.have_zone(pa.chunked_array([cell])) else None
            return value if zone is None else float(dates.local_days(np.array([value]), zone)[0])
    example = written(column, column.low)
    raise InputError(
        f"{where}: {text!r} is not a date.", f"Write it as {example}; {column.name} is {range_of(column)} in the data."
    )


def _position(text: str, column: Column, where: str) -> float:
    from ..data.tables import numerals
    from ..data.tables.cells import BOOLEAN_WORDS

    if text in column.categories:
        return float(column.categories.index(text))
    if column.kind == "boolean" and all(c.lower() in BOOLEAN_WORDS for c in column.categories):
        ranks = [BOOLEAN_WORDS[c.lower()] for c in column.categories]
        if BOOLEAN_WORDS.get(text.lower()) in ranks:
            return float(ranks.index(BOOLEAN_WORDS[text.lower()]))
    if numerals.is_number(text):  # 1 for 1.0
        same = [i for i, c in enumerate(column.categories) if numerals.is_number(c) and float(c) == float(text)]
        if len(same) == 1:
            return float(same[0])
    hint = did_you_mean(text, column.categories)
    if len(column.categories) > 60:
        near = hint.partition(" Known:")[0]
        hint = near if near.startswith("Did you mean") else f"Such as {', '.join(column.categories[:6])}."
    raise InputError(f"{where}: {text!r} is not a value of {column.name}.", hint)
