"""Tables: CSV, TSV, Parquet, and anything that speaks Arrow (pandas, polars), as rows of mixed columns.

Data rows are counted from 1 in messages, without header and comments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import InputError, did_you_mean
from ...spaces import COLUMN_KINDS, Real, Space, Table
from ..options import Options
from ..source import Rows, Source, number, path_name
from ..splits import Groups, split_rows
from . import csvfile, frames, numerals
from .cells import each, texts
from .cells import is_numeric as is_numeric
from .columns import Detected, detect, encode, moments, time_labels

NUMERIC_CLASSES = 20
"""Whole numbers of a table with at most this many distinct values are classes when they are the condition."""


class TableSource(Source):
    """A table in memory. Its columns, but for the condition, are the data.

    Args:
        table: typed columns; or a file of text, whose columns are typed when they are first looked at.
    """

    def __init__(self, name: str, where: str, table: pa.Table | csvfile.TextTable, options: Options):
        super().__init__(name, where)
        options.refuse(where, "pictures", "text")
        self.text = table if isinstance(table, csvfile.TextTable) else None
        plain: pa.Table = table.table if isinstance(table, csvfile.TextTable) else table
        names = plain.column_names
        if repeated := sorted({n for n in names if names.count(n) > 1}):
            raise InputError(f"{where}: {names.count(repeated[0])} columns are named {repeated[0]!r}.", "Rename one.")
        if not names or plain.num_rows == 0:
            raise InputError(f"{where} has no rows of data.", "Give at least 3 rows.")
        for given in (*options.columns, options.split_by, options.split_time):
            if given is not None and given not in names:
                raise InputError(f"{where} has no column {given!r}.", did_you_mean(given, names))
        self.rows, self.options = plain.num_rows, options
        self.columns: _Columns = _Columns(plain, self.text, options.columns)
        self.class_limit = NUMERIC_CLASSES
        self.positional = self.text is not None and not self.text.named
        """Whether the names are our own (no header): then they are matched by position."""
        self.found: Detected | None = None

    @property
    def obvious(self) -> tuple[str, ...]:
        """Columns that are not numeric."""
        table = self.table
        return tuple(name for name in self.columns if not is_numeric(table.schema.field(name).type))

    @obvious.setter
    def obvious(self, names: tuple[str, ...]) -> None:
        pass

    @property
    def table(self) -> pa.Table:
        """All columns, typed."""
        return self.typed(list(self.columns))

    def typed(self, names: Sequence[str]) -> pa.Table:
        """Some columns, typed.

        Raises:
            InputError: of a text file, a cell that is not a number among numbers.
        """
        cells = each(self.columns.__getitem__, names, self.rows)
        return pa.table(dict(zip(names, cells)))

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        """All columns but the chosen ones, of the kinds that are found, or as a model has them."""
        names = [name for name in self.columns if name not in chosen]
        if not names:
            raise InputError(f"{self.where} has no columns left to model.", "Leave one out of the condition.")
        if isinstance(like, Table):
            return self._like(names, like)
        if like is None:
            self.groups = self._groups()
        if self.options.space is not None or (like is not None and not isinstance(like, Real)):
            from ..geometry import from_table

            return from_table(self, names, like)
        if like is not None:
            names = self._matched(names, like)
            return Rows(numeric_matrix(self.typed(names), names, self.where), like)
        return self._detected(names)

    def _groups(self) -> Groups | None:
        """The rows that stay together, by the options `split_by` and `split_time`."""
        by, time = self.options.split_by, self.options.split_time
        if by is not None and time is not None:
            raise InputError(f"{self.where}: split_by={by!r} and split_time={time!r}.", "Give one of them.")
        name = by or time
        if name is None:
            return None
        column = self.columns[name]
        if time is not None:
            values = moments(column, name, self.where)
            gone = np.isnan(values)
            times, codes = np.unique(values, return_inverse=True)
            labels = tuple(time_labels(column, times))
        else:
            encoded = texts(column).dictionary_encode().combine_chunks()
            gone, codes, labels = encoded.is_null().to_numpy(False), encoded.indices.fill_null(0).to_numpy(), ()
        if gone.any():
            raise InputError(
                f"{self.where}: column {name!r}, data row {int(gone.argmax()) + 1}: the value is missing, and rows are "
                "split by it.",
                "Fill the cells or remove those rows first.",
            )
        return Groups(codes.astype(np.int64), name, time is not None, labels)

    def _detected(self, names: list[str]) -> Rows:
        if self.rows < 3:
            split_rows(self.rows, where=self.where)  # says what is missing
        table = self.typed([name for name in names if self.options.columns.get(name) != "drop"] or names)
        kinds = {name: kind for name, kind in self.options.columns.items() if name in table.column_names}
        self.found = found = detect(table, kinds, self.where)
        if not found.columns:
            why = "; ".join(f"{d.name} ({d.why})" for d in found.dropped)
            raise InputError(
                f"{self.where} has no columns left to model: {why}.",
                f"Say what one is: --columns {names[0]}=category, or integer, or continuous.",
            )
        if all(c.kind == "constant" for c in found.columns):
            raise InputError(
                f"{self.where}: every column is constant, such as {names[0]!r}, data rows 1 to {self.rows:,}.",
                "There is nothing to learn: give columns that vary.",
            )
        x = encode(table, found.space, self.where)
        absent = np.isnan(x).sum(0)
        if not self.options.missing and absent.any():
            j = int(np.flatnonzero(absent)[0])
            raise InputError(
                f"{self.where}: column {found.columns[j].name!r}, data row {int(np.isnan(x[:, j]).argmax()) + 1}: the "
                f"value is missing ({absent[j]:,} of {self.rows:,} rows), and missing=False (--no-missing) was given.",
                "Fill the cells, remove those rows, or have missing cells modelled.",
            )
        self.notes.append(_summary(found, self.rows, absent))
        self.notes.extend(self.columns.notes())
        self.notes.extend(found.notes)
        return Rows(x, found.space)

    def _like(self, names: list[str], like: Table) -> Rows:
        """The model's columns, by name; what else the table has is left aside."""
        if self.positional and len(names) == len(like.columns) and not set(like.names) <= set(names):
            pairs = dict(zip(like.names, names))
        else:
            pairs = {name: name for name in like.names}
            for name in like.names:
                if name not in names:
                    lacking = [n for n in like.names if n not in names]
                    raise InputError(
                        f"{self.where} lacks {', '.join(map(repr, lacking))}.",
                        f"The model's columns, in any order: {', '.join(like.names)}. "
                        + did_you_mean(name, names).partition(" Known:")[0],
                    )
        if self.text is None:
            table = pa.table({name: self.columns[own] for name, own in pairs.items()})
        else:
            kinds = {c.name: c.kind for c in like.columns}
            table = pa.table({name: self.text.typed(own, kinds[name])[0] for name, own in pairs.items()})
        return Rows(encode(table, like, self.where), like)

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


class _Columns(Mapping[str, pa.ChunkedArray]):
    """The typed columns of a table; those of a text file are read as numbers when they are first asked for."""

    def __init__(self, table: pa.Table, text: csvfile.TextTable | None, kinds: Mapping[str, str]):
        self._names, self._table, self._text, self._kinds = table.column_names, table, text, kinds
        self._typed: dict[str, tuple[pa.ChunkedArray, list[str]]] = {}

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        if name not in self._typed:
            column = self._table.column(name), list[str]()
            self._typed[name] = column if self._text is None else self._text.typed(name, self._kinds.get(name))
        return self._typed[name][0]

    def notes(self) -> list[str]:
        """What was decided about the columns that were asked for, in their order."""
        return [note for name in self._names if name in self._typed for note in self._typed[name][1]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def _summary(found: Detected, rows: int, absent: np.ndarray) -> str:
    """`30,162 rows, 15 columns: 6 integer, 9 category; missing cells in age (3)`."""
    counts = {kind: sum(c.kind == kind for c in found.columns) for kind in COLUMN_KINDS}
    kinds = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
    holes = [f"{c.name} ({n:,})" for c, n in zip(found.columns, absent) if n]
    missing = f"; missing cells in {', '.join(holes[:6])}{', ...' if len(holes) > 6 else ''}" if holes else ""
    return f"{number(rows, 'row')}, {number(len(found.columns), 'column')}: {kinds}{missing}"


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
        if numerals.is_number(cell):
            numbers += 1
        elif first is None:
            first = (row, cell)
        if first is not None and row >= 1000:
            break
    row, value = first or (0, column[0].as_py())
    return row, value, numbers > min(len(column), row + 1, 1000) / 2


# ---------------------------------------------------------------------------------------------------- files


def from_csv(path: Path, options: Options) -> TableSource:
    """A CSV or TSV file, with or without a header, with or without `#` lines first.

    Raises:
        InputError: empty, in another encoding, ragged, or repeated names.
    """
    text = csvfile.read(path, options)
    empty = [
        n for n in text.table.column_names if n.startswith("column_") and text.table[n].null_count == len(text.table)
    ]
    if text.named and empty and len(empty) < text.table.num_columns:
        text.table = text.table.drop_columns(empty)  # the end of lines that end with a separator
        text.notes.append(f"left out: {', '.join(empty)}, without a name and without a cell")
    found = TableSource(path_name(path), str(path), text, options)
    found.notes[:0] = text.notes
    return found


def from_parquet(path: Path, options: Options) -> Source:
    """A Parquet file: pictures when a column holds encoded ones, else a table.

    Raises:
        InputError: damaged.
    """
    from ..images.source import from_parquet_images, image_columns

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
    return TableSource(path_name(path), str(path), frames.plain(table), options)


def is_frame(source: Any) -> bool:
    """Whether `source` is a table of another library (pandas, polars, Arrow)."""
    return hasattr(source, "__arrow_c_stream__") or hasattr(source, "__dataframe__")


def from_frame(source: Any, options: Options) -> Source:
    """A table of another library, through Arrow; the index of a pandas frame is left out.

    Raises:
        InputError: a column that Arrow does not take.
    """
    from ..arrays import ArraySource

    if not hasattr(source, "columns") and not isinstance(source, pa.Table) and hasattr(source, "__array__"):
        return ArraySource("array", "the series", np.asarray(source), {}, options)
    return TableSource("table", "the table", frames.to_arrow(source), options)
