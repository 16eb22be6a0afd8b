"""Cells of a table to numbers and back: Arrow columns to a float64 matrix by the columns of a `Table`, and the reverse.

Numbers stay as they are (on their grid, where they have one), dates become seconds since 1970-01-01 (UTC), categories
their positions, missing cells NaN. Days of a zone become days as its calendar has them, and are written as their first
moments there. What was written back has the type that it came with (`Column.stored`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError, did_you_mean
from ...spaces import Column, Table
from . import dates, numerals

LARGEST_INTEGER = 1 << 53
"""Larger integers are not exact in float64."""

PARALLEL_ROWS = 100_000
"""Columns of fewer cells are worked through one after the other."""

BOOLEAN_WORDS = {
    **dict.fromkeys(("false", "f", "no", "n", "0", "off"), 0),
    **dict.fromkeys(("true", "t", "yes", "y", "1", "on"), 1),
}


T = TypeVar("T")
U = TypeVar("U")


def each(fn: Callable[[T], U], items: Iterable[T], rows: int) -> list[U]:
    """`fn` of each item (a column of `rows` cells) in order; in threads where that pays, Arrow and NumPy being free."""
    if rows < PARALLEL_ROWS:
        return [fn(item) for item in items]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(fn, items))


# ------------------------------------------------------------------------------------------------ Arrow's types


def type_of(stored: str) -> pa.DataType:
    """The Arrow type that `str(type)` wrote: `timestamp[us, tz=UTC]`, `dictionary<values=string, ...>`, `int64`."""
    if found := re.fullmatch(r"dictionary<values=(.*), indices=(\w+), ordered=([01])>", stored):
        return pa.dictionary(type_of(found[2]), type_of(found[1]), found[3] == "1")
    if found := re.fullmatch(r"timestamp\[(\w+), tz=(.*)\]", stored):
        return pa.timestamp(found[1], found[2])
    if found := re.fullmatch(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)", stored):
        return getattr(pa, f"decimal{found[1]}")(int(found[2]), int(found[3]))
    return pa.type_for_alias(stored)


def is_text(kind: pa.DataType) -> bool:
    """Text of either length."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Integers, floats and decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_date(kind: pa.DataType) -> bool:
    """Dates, moments and times of day."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind))


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary column as its values; text as one kind of text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if str(column.type) == "string_view":
        column = column.cast(pa.string())
    return column


# ------------------------------------------------------------------------------------------------ to numbers


def encode(table: pa.Table, space: Table, where: str) -> np.ndarray:
    """The columns of `space`, by name, as (n, columns) float64.

    Text is read as numbers or dates where the space has them.

    Raises:
        InputError: a cell that the space cannot hold (with its row, column and value), a missing column, a missing
            cell in a column that has none.
    """
    x = np.empty((table.num_rows, len(space.columns)))

    def fill(j: int) -> None:
        column = space.columns[j]
        if column.name not in table.column_names:
            raise InputError(
                f"{where} has no column {column.name!r}.", did_you_mean(column.name, map(str, table.column_names))
            )
        x[:, j] = encode_column(table.column(column.name), column, where)

    each(fill, range(len(space.columns)), table.num_rows)
    return x


def encode_column(cells: pa.ChunkedArray, column: Column, where: str) -> np.ndarray:
    """One column as (n,) float64.

    Raises:
        InputError: as `encode`.
    """
    if column.kind == "datetime":
        values = _seconds(cells, column, where)
    elif column.is_number:
        values = numbers(cells, column.name, where)
    else:
        values = _positions(cells, column, where)
    if column.is_number and column.step is not None:
        values = _onto_grid(values, cells, column, where)
    if not column.missing and (gone := np.isnan(values)).any():
        raise InputError(
            f"{where}: column {column.name!r}, data row {int(gone.argmax()) + 1}: the value is missing "
            f"({int(gone.sum()):,} of {len(values):,} rows), and no cell of this column was missing in the data.",
            "Fill the cells or remove those rows first.",
        )
    return values


def numbers(cells: pa.ChunkedArray, name: str, where: str) -> np.ndarray:
    """A column as (n,) float64, NaN where missing; dates as seconds, durations in their own unit.

    Raises:
        InputError: an infinite number, an integer beyond 2^53, or a cell that is no number (with its row).
    """
    cells = plain(cells)
    kind = cells.type
    if pa.types.is_null(kind):
        return np.full(len(cells), np.nan)
    if is_text(kind):
        cells = numerals.strictly(cells, name, where)
        kind = cells.type
    if is_date(kind):
        return dates.seconds(cells)
    if pa.types.is_boolean(kind):
        cells = cells.cast(pa.int8())
    elif pa.types.is_duration(kind):
        cells = cells.cast(pa.int64())
    elif not is_numeric(kind):
        raise InputError(f"{where}: column {name!r} holds {kind}, not numbers.", f"Leave it out: columns {name}=drop.")
    if (row := beyond(cells)) is not None:
        raise InputError(
            f"{where}: column {name!r}, data row {row + 1}: {cells[row].as_py()} has more digits than float64 "
            "(integers to 2^53): as a number it would be rounded.",
            f"Keep it as a label (columns {name}=category) or leave it out ({name}=drop).",
        )
    if pa.types.is_decimal(cells.type):  # Arrow's own cast to float64 misses the nearest one
        cells = cells.cast(pa.string())
    values = cells.cast(pa.float64(), safe=False).to_numpy()
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        raise InputError(
            f"{where}: column {name!r}, data row {row + 1}: the value is {values[row]}.",
            "All values must be finite: remove or fill those rows first.",
        )
    return values


def _onto_grid(values: np.ndarray, cells: pa.ChunkedArray, column: Column, where: str) -> np.ndarray:
    """Numbers as the very multiples of the column's step: 0.1 for the float32 0.1, which is 0.10000000149.

    Raises:
        InputError: a cell between two of them, by more than a thousandth of a step and the digits of its type.
    """
    assert column.step is not None
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = on_grid(values, column.step)
        off = abs(values - nearest)
        bound = _precision(plain(cells).type, column) * abs(values)
    bad = off > (bound if column.step == 1 else bound + 1e-3 * column.step)
    bad |= np.isfinite(values) & ~np.isfinite(nearest)
    if bad.any():
        row = int(bad.argmax())
        dated = column.kind == "datetime"
        step = _DATED.get(column.step, "") if dated else "whole numbers" if column.step == 1 else ""
        step = step or f"multiples of {column.step:.15g}"
        hint = "" if dated else f", or train with columns {column.name}=continuous"
        raise InputError(
            f"{where}: column {column.name!r}, data row {row + 1}: {cells[row].as_py()!s} is off the grid: the cells "
            f"of this column were {step} in the data.",
            f"Correct the cell{hint}.",
        )
    return nearest


_DATED = {86400.0: "whole days", 3600.0: "whole hours", 60.0: "whole minutes", 1.0: "whole seconds"}


def _precision(kind: pa.DataType, column: Column) -> float:
    """The relative digits of numbers that came in a type, or that the model's own data had."""
    kinds = [k for k in (kind, type_of(column.stored)) if pa.types.is_floating(k)]
    widths = {k.bit_width for k in kinds}
    return 2.0**-10 if 16 in widths else 2.0**-23 if 32 in widths else 2.0**-51


def beyond(cells: pa.ChunkedArray) -> int | None:
    """The first row whose integer (or decimal number, in its last digit) float64 cannot hold exactly, or None."""
    kind = cells.type
    if cells.null_count == len(cells):
        return None
    if pa.types.is_decimal(kind):
        if kind.precision <= 15:
            return None
        large = pc.greater(pc.abs(cells.cast(pa.string()).cast(pa.float64())), LARGEST_INTEGER / 10.0**kind.scale)
    elif pa.types.is_integer(kind) and kind.bit_width == 64:
        extremes = pc.min_max(cells).as_py()
        if max(abs(extremes["min"]), abs(extremes["max"])) <= LARGEST_INTEGER:
            return None
        large = pc.greater(cells, pa.scalar(LARGEST_INTEGER, kind))
        if pa.types.is_signed_integer(kind):
            large = pc.or_(large, pc.less(cells, pa.scalar(-LARGEST_INTEGER, kind)))
    else:
        return None
    row = int(pc.index(large, True).as_py())
    return row if row >= 0 else None


def _seconds(cells: pa.ChunkedArray, column: Column, where: str) -> np.ndarray:
    cells = plain(cells)
    zone = zone_of_days(column)
    if is_date(cells.type):
        values = dates.seconds(cells)
        return values if zone is None or getattr(cells.type, "tz", None) is None else dates.local_days(values, zone)
    if not column.format and not is_text(cells.type):
        raise InputError(f"{where}: column {column.name!r} holds {cells.type}, not dates.")
    written = cells.cast(pa.string())
    values = dates.strictly(written, column.format, column.name, where)
    return values if zone is None or not dates.have_zone(written) else dates.local_days(values, zone)


def zone_of_days(column: Column) -> str | None:
    """The zone of a column of days as they begin there; such a column is held as days, without a zone."""
    stored = type_of(column.stored)
    return stored.tz if column.step == 86400 and pa.types.is_timestamp(stored) else None


def texts(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells as the text that names a category; missing ones null."""
    cells = plain(cells)
    if is_date(cells.type):
        x = dates.seconds(cells)
        return pa.chunked_array([dates.write(x, np.isnan(x), dates.iso(cells.type))])
    if pa.types.is_duration(cells.type):
        cells = cells.cast(pa.int64())
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), None, cells)
        cells = pc.if_else(pc.equal(cells, pa.scalar(0, cells.type)), pa.scalar(0, cells.type), cells)  # -0 is 0
    return cells.cast(pa.string())


def _positions(cells: pa.ChunkedArray, column: Column, where: str) -> np.ndarray:
    kind = plain(cells).type
    names = texts(cells)
    index = pc.index_in(names, pa.array(column.categories, pa.string()))
    unknown = pc.and_(index.is_null(), names.is_valid())
    if pc.any(unknown).as_py():
        index = _other_writings(names, index, column, kind)
        unknown = pc.and_(index.is_null(), names.is_valid())
        if pc.any(unknown).as_py():
            row = pc.index(unknown, True).as_py()
            raise InputError(
                f"{where}: column {column.name!r}, data row {row + 1}: {names[row].as_py()!r} is not one of its "
                f"{len(column.categories):,} known values.",
                _known(names[row].as_py(), column.categories),
            )
    return index.cast(pa.float64()).to_numpy()


def _known(value: str, categories: tuple[str, ...]) -> str:
    if len(categories) <= 60:
        return did_you_mean(value, categories)
    hint = did_you_mean(value, categories).partition(" Known:")[0]
    return hint if hint.startswith("Did you mean") else f"Such as {', '.join(categories[:6])}."


def _other_writings(
    names: pa.ChunkedArray, index: pa.ChunkedArray, column: Column, kind: pa.DataType
) -> pa.ChunkedArray:
    """Positions of what is written in another way: True for yes, 1.0 for 1."""
    if column.kind == "boolean" and all(c.lower() in BOOLEAN_WORDS for c in column.categories):
        rank = {BOOLEAN_WORDS[c.lower()]: i for i, c in enumerate(column.categories)}
        known = {word: rank[b] for word, b in BOOLEAN_WORDS.items() if b in rank}
        wanted = pc.utf8_lower(pc.utf8_trim_whitespace(names))
    elif is_numeric(kind) or is_numeric(_value_type(column)):
        known = {f"{float(c):.17g}": i for i, c in enumerate(column.categories) if numerals.is_number(c)}
        distinct = pc.unique(names)
        canonical = [
            f"{float(v):.17g}" if v is not None and numerals.is_number(v) else None for v in distinct.to_pylist()
        ]
        wanted = pa.chunked_array(
            [pa.array(canonical, pa.string()).take(pc.index_in(names, distinct).combine_chunks())]
        )
    else:
        return index
    place = pc.index_in(wanted, pa.array(list(known), pa.string()))
    other = pa.array(list(known.values()), pa.int32()).take(place.combine_chunks())
    return pc.coalesce(index, pa.chunked_array([other]))


def _value_type(column: Column) -> pa.DataType:
    kind = type_of(column.stored)
    return kind.value_type if pa.types.is_dictionary(kind) else kind


# ------------------------------------------------------------------------------------------------ and back


def to_arrow(x: Any, space: Table) -> pa.Table:
    """Rows (n, columns) of numbers as a table with the user's own names and types.

    Numbers on a grid are brought onto it; dates of text are written in their own format.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(space.columns):
        raise InputError(f"rows have shape {values.shape}: expected (n, {len(space.columns)}).")
    arrays = [decode_column(values[:, j], column) for j, column in enumerate(space.columns)]
    return pa.Table.from_arrays(arrays, names=list(space.names))


def decode_column(values: np.ndarray, column: Column) -> pa.Array:
    """One column (n,) of numbers as cells of its stored type."""
    stored, gone = type_of(column.stored), np.isnan(values)
    if pa.types.is_null(stored):
        return pa.nulls(len(values))
    if column.kind == "datetime":
        return _moments(values, gone, column, stored)
    if column.is_number:
        return _numbers_back(values, gone, column, stored)
    if len(column.categories) == 0:
        return pa.nulls(len(values), stored)
    index = pa.array(np.where(gone, 0, values).astype(np.int32), mask=gone)
    if pa.types.is_dictionary(stored):
        categories = _from_texts(pa.array(column.categories, pa.string()), stored.value_type)
        return pa.DictionaryArray.from_arrays(index.cast(stored.index_type), categories, ordered=stored.ordered)
    return _from_texts(pa.array(column.categories, pa.string()), stored).take(index)


def _from_texts(categories: pa.Array, stored: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(stored):
        return pa.array([BOOLEAN_WORDS[c.lower()] == 1 for c in categories.to_pylist()])
    if is_date(stored):
        x = dates.parse(categories, dates.iso(stored))
        return dates.from_seconds(x, np.isnan(x), stored)
    if pa.types.is_duration(stored):
        categories = categories.cast(pa.int64())
    return categories.cast(stored)


def _moments(values: np.ndarray, gone: np.ndarray, column: Column, stored: pa.DataType) -> pa.Array:
    if is_date(stored):
        if (zone := zone_of_days(column)) is not None:
            values = dates.first_moments(values, zone)
        return dates.from_seconds(values, gone, stored)
    return dates.write(values, gone, column.format).cast(stored)


def _numbers_back(values: np.ndarray, gone: np.ndarray, column: Column, stored: pa.DataType) -> pa.Array:
    values = np.where(gone, 0.0, values)
    if column.step is not None:
        values = on_grid(values, column.step)
    if pa.types.is_duration(stored):
        return pa.array(values.round().astype(np.int64), mask=gone).cast(stored)
    if pa.types.is_integer(stored):
        low, high = _integer_range(stored)
        return pa.array(np.clip(values.round(), low, high).astype(np.int64), mask=gone).cast(stored)
    if pa.types.is_decimal(stored):
        import decimal

        quantum = decimal.Decimal(1).scaleb(-stored.scale)
        cells = [None if g else decimal.Decimal(repr(float(v))).quantize(quantum) for v, g in zip(values, gone)]
        return pa.array(cells, stored)
    made = pa.array(values, mask=gone)
    if is_text(stored):
        return numerals.write(made if column.step != 1 else made.cast(pa.int64())).cast(stored)
    return made.cast(stored, safe=False)


def _integer_range(stored: pa.DataType) -> tuple[int, int]:
    bits = min(stored.bit_width, 54)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if pa.types.is_signed_integer(stored) else (0, (1 << bits) - 1)


def on_grid(values: np.ndarray, step: float) -> np.ndarray:
    """The nearest multiples of `step`, as the decimal numbers that they are (3 * 0.1 is not 0.3)."""
    inverse = round(1 / step) if step < 1 else 0
    return np.round(values * inverse) / inverse if inverse else np.round(values / step) * step
