"""Tables: CSV, TSV, Parquet, and anything that speaks Arrow (pandas, polars). Numeric columns become one vector.

Data rows are counted from 1 in messages, without header and comments.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ..errors import InputError
from ..spaces import Real, Space, Table
from .columns import detect, encode
from .options import Options
from .source import Rows, Source, number, path_name

NUMERIC_CLASSES = 20
"""Whole numbers of a table with at most this many distinct values are classes when they are the condition."""


class TableSource(Source):
    """A table in memory. Its numeric columns, but for the condition, are the data."""

    def __init__(self, name: str, where: str, table: pa.Table, options: Options):
        super().__init__(name, where)
        options.refuse(where, "pictures", "text")
        names = table.column_names
        if repeated := sorted({n for n in names if names.count(n) > 1}):
            raise InputError(f"{where}: {names.count(repeated[0])} columns are named {repeated[0]!r}.", "Rename one.")
        if not names or table.num_rows == 0:
            raise InputError(f"{where} has no rows of data.", "Give at least 3 rows.")
        self.table, self.options = table, options
        self.columns = {name: table.column(name) for name in names}
        self.obvious = tuple(name for name in names if not is_numeric(table.schema.field(name).type))
        self.class_limit = NUMERIC_CLASSES
        self.positional = False
        """Whether the names are our own (no header): then they are matched by position."""

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        names = [name for name in self.columns if name not in chosen]
        if not names:
            raise InputError(f"{self.where} has no columns left to model.", "Leave one out of the condition.")
        if isinstance(like, Table):
            return Rows(encode(self.table, like, self.where), like)
        if self.options.space is not None or (like is not None and not isinstance(like, Real)):
            from .geometry import from_table

            return from_table(self, names, like)
        if like is not None:
            return Rows(numeric_matrix(self.table, self._matched(names, like), self.where), like)
        found = detect(self.table.select(names), self.options.columns, self.where)
        self.notes += [f"{number(self.table.num_rows, 'row')}", *found.notes]
        return Rows(encode(self.table, found.space, self.where), found.space)

    def _matched(self, names: Sequence[str], like: Space) -> list[str]:
        """The columns in the model's order."""
        wanted = getattr(like, "names", ())
        if not isinstance(like, Real) or len(like.shape) != 1:
            raise InputError(f"{self.where} is a table, the model has {like.describe()}.")
        by_position = self.positional or not wanted
        if by_position and len(names) == len(wanted or range(like.shape[0])):
            return list(names)
        if by_position:
            raise InputError(
                f"{self.where} has {number(len(names), 'column')}, the model has {like.shape[0]}.",
                f"The model's columns: {', '.join(wanted)}." if wanted else None,
            )
        missing = [name for name in wanted if name not in names]
        extra = [name for name in names if name not in wanted]
        if missing or extra:
            parts = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
            parts += [f"has {', '.join(map(repr, extra))}, which the model does not know"] if extra else []
            raise InputError(
                f"{self.where} {' and '.join(parts)}.", f"The model's columns, in any order: {', '.join(wanted)}."
            )
        return list(wanted)


def is_numeric(kind: pa.DataType) -> bool:
    """Integers, floats and decimals: what becomes a number of the vector."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def numeric_matrix(table: pa.Table, names: Sequence[str], where: str) -> np.ndarray:
    """The numeric columns `names` as (n, len(names)) float64, all cells finite.

    Raises:
        InputError: a column that is not numeric, a missing cell, or one that is not finite, with row and column.
    """
    _refuse_text(table, names, where)
    x = np.empty((table.num_rows, len(names)))
    for j, name in enumerate(names):
        x[:, j] = column_values(table.column(name), name, where)
        if not np.isfinite(x[:, j]).all():
            row = int(np.flatnonzero(~np.isfinite(x[:, j]))[0])
            raise InputError(
                f"{where}: column {name!r}, data row {row + 1}: the value is {x[row, j]}.",
                "All values must be finite: remove or fill those rows first.",
            )
    return x


def _refuse_text(table: pa.Table, names: Sequence[str], where: str) -> None:
    bad = [name for name in names if not is_numeric(table.schema.field(name).type)]
    if not bad:
        return
    name = bad[0]
    column = table.column(name)
    others = f" ({len(bad)} columns are not numeric: {', '.join(bad)}.)" if len(bad) > 1 else ""
    if pa.types.is_null(column.type):
        raise InputError(f"{where}: column {name!r} is empty.{others}", "Remove it.")
    row, value, mostly_numbers = _first_text(column)
    if mostly_numbers:
        raise InputError(
            f"{where}: column {name!r}, data row {row + 1}: {value!r} is not a number.{others}",
            "Correct the cell, or remove the row.",
        )
    raise InputError(
        f"{where}: column {name!r} is not numeric: it holds {value!r} in data row {row + 1}.{others}",
        "Here all columns must be numbers.",
    )


def column_values(column: pa.ChunkedArray, name: str, where: str) -> np.ndarray:
    """A column without missing cells: float64 or int64 for numbers, unicode for the rest.

    Raises:
        InputError: a missing cell (with its row), or a nested type.
    """
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise InputError(
            f"{where}: column {name!r}, data row {row + 1}: the value is missing "
            f"({column.null_count:,} of {len(column):,} rows).",
            "Fill the cells or remove those rows first.",
        )
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise InputError(f"{where}: column {name!r} has type {column.type}.", "Columns hold numbers or text.")
    if is_numeric(column.type):
        kind = pa.int64() if pa.types.is_signed_integer(column.type) else pa.float64()
        return column.cast(kind, safe=False).to_numpy()
    return np.asarray(column.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=np.str_)


def _first_text(column: pa.ChunkedArray) -> tuple[int, Any, bool]:
    """Row and value of the first cell that is not a number, and whether most cells are numbers."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        valid = np.flatnonzero(column.is_valid().to_numpy())
        row = int(valid[0]) if len(valid) else 0
        value = column[row].as_py()
        return row, value if isinstance(value, (str, bool, bytes)) else str(value), False
    first: tuple[int, Any] | None = None
    numbers = 0
    for row, cell in enumerate(column.to_pylist()):
        if cell is None:
            continue
        if _is_number(cell):
            numbers += 1
        elif first is None:
            first = (row, cell)
        if first is not None and row >= 1000:
            break
    row, value = first or (0, column[0].as_py())
    return row, value, numbers > min(len(column), row + 1, 1000) / 2


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------- files


def from_csv(path: Path, options: Options) -> TableSource:
    """A CSV or TSV file, with or without a header, with or without `#` lines first.

    The first line is a header when none of its cells is a number. Without one, columns are `column_1`, ...

    Raises:
        InputError: empty, not UTF-8, ragged, or repeated names.
    """
    skip, first, delimiter = _inspect(path)
    header = not any(_is_number(cell) for cell in first)
    names = [cell.strip() or f"column_{i + 1}" for i, cell in enumerate(first)]
    if not header:
        names = [f"column_{i + 1}" for i in range(len(first))]
    elif repeated := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"{path}: the header names {repeated[0]!r} {names.count(repeated[0])} times.", "Rename one.")
    ragged: list[Any] = []

    def keep_ragged(row: Any) -> str:
        ragged.append(row)
        return "error"

    try:
        table = pacsv.read_csv(
            path,
            # One thread, so that messages have row numbers.
            read_options=pacsv.ReadOptions(use_threads=False, column_names=names, skip_rows=skip + header),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=keep_ragged),
            convert_options=pacsv.ConvertOptions(strings_can_be_null=True),
        )
    except pa.ArrowInvalid as error:
        if ragged:
            bad = ragged[0]
            place = f"line {bad.number}" if bad.number is not None else "a line"
            raise InputError(
                f"{path}, {place}: {bad.actual_columns} cells instead of {bad.expected_columns}: {bad.text[:80]!r}.",
                "Every line needs the same number of cells.",
            ) from None
        raise InputError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from None
    found = TableSource(path_name(path), str(path), table, options)
    found.positional = not header
    if not header:
        found.notes.append("no header: columns are named column_1, column_2, ...")
    if skip:
        found.notes.append(f"skipped {number(skip, 'line')} before the table")
    if delimiter != ",":
        found.notes.append(f"cells are separated by {delimiter!r}")
    return found


def _inspect(path: Path) -> tuple[int, list[str], str]:
    """(lines before the table, cells of its first line, delimiter), from the first 256 KiB."""
    with open(path, "rb") as file:
        raw = file.read(1 << 18)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise InputError(f"{path} is not UTF-8 text.", "Save it as UTF-8.")
    complete = raw if len(raw) < 1 << 18 else raw[: raw.rfind(b"\n") + 1]
    try:
        text = complete.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = complete[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: a byte that is not UTF-8.", "Save the file as UTF-8.") from None
    lines = text.splitlines()
    skip = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if skip is None:
        raise InputError(f"{path} is empty.", "Give a table with at least 3 rows.")
    some = lines[skip : skip + 6]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    if delimiter == ",":
        for candidate in (";", "\t"):  # a semicolon in each line beats the decimal commas between them
            widths = {len(cells) for cells in csv.reader(some, delimiter=candidate)}
            if len(widths) == 1 and widths.pop() > 1:
                delimiter = candidate
                break
    return skip, next(csv.reader(some, delimiter=delimiter)), delimiter


def from_parquet(path: Path, options: Options) -> Source:
    """A Parquet file: pictures when a column holds encoded ones, else a table.

    Raises:
        InputError: damaged, or columns that are neither numbers nor text.
    """
    from .images import from_parquet_images, image_columns

    try:
        file = pq.ParquetFile(path)
        pictures = image_columns(file)
        if pictures:
            return from_parquet_images(path, file, pictures, options)
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged or not a Parquet file: {str(error).splitlines()[0]}") from None
    return TableSource(path_name(path), str(path), _plain(table, str(path)), options)


def is_frame(source: Any) -> bool:
    """Whether `source` is a table of another library (pandas, polars, Arrow)."""
    return hasattr(source, "__arrow_c_stream__") or hasattr(source, "__dataframe__")


def from_frame(source: Any, options: Options) -> Source:
    """A table of another library, through Arrow; the index of a pandas frame is left out.

    Raises:
        InputError: columns that are neither numbers nor text.
    """
    from .arrays import ArraySource

    if not hasattr(source, "columns") and not isinstance(source, pa.Table) and hasattr(source, "__array__"):
        return ArraySource("array", "the series", np.asarray(source), {}, options)
    try:
        if hasattr(source, "__arrow_c_stream__"):
            table = pa.table(source)
        else:
            from pyarrow.interchange import from_dataframe

            table = from_dataframe(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"the frame cannot be read: {str(error).splitlines()[0]}") from None
    return TableSource("table", "the table", _plain(table, "the table"), options)


def _plain(table: pa.Table, where: str) -> pa.Table:
    """Without the index columns that pandas adds; nested columns are refused."""
    pandas = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in pandas.get("index_columns", []) if isinstance(name, str) and name in table.column_names]
    table = table.drop_columns(index)
    for field in table.schema:
        if pa.types.is_nested(field.type):
            raise InputError(f"{where}: column {field.name!r} is nested ({field.type}).", "Columns hold single values.")
    views = [i for i, field in enumerate(table.schema) if str(field.type) == "string_view"]
    for i in views:  # few functions of Arrow take views of strings
        table = table.set_column(i, table.schema.field(i).name, pc.cast(table.column(i), pa.string()))
    return table
