"""Tables with blanks in any column: read for a model, and written with the blanks filled and all else as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..errors import InputError
from ..spaces import Space, Table

if TYPE_CHECKING:
    import pyarrow as pa

    from .impute import Imputed

SUFFIXES = (".csv", ".parquet")


@dataclass
class Blanks:
    """A table as it was given, and as a model sees it.

    Attributes:
        table: all columns of the source, typed. names: of the columns that are the model's, in its order.
        space: the model's. x: (n, columns), NaN where a cell is missing. condition: of the rows, or None.
    """

    table: pa.Table
    names: list[str]
    space: Table
    x: Tensor
    condition: Tensor | None


def read_blanks(
    source: Any,
    space: Space,
    condition_space: Space | None = None,
    condition: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Blanks:
    """A source whose cells may be missing in any of the model's columns.

    Args:
        source: what `pushforward.load` takes of tables. space, condition_space: the model's.
        condition: the column that holds the condition.
        options: the load options of the model's own data, as `read_like` takes them.

    Raises:
        InputError: no table, or one that is not of the model's kind.
    """
    import pyarrow as pa

    from ..data import read_like
    from ..data.data import open_source
    from ..data.options import Options
    from ..data.read import as_before
    from ..data.tables.source import TableSource

    if not isinstance(space, Table):
        raise InputError(
            f"blanks are filled in tables, and this model generates {space.describe()}.", "Give a run of a table."
        )
    loose = Table(tuple(replace(column, missing=True) for column in space.columns))
    x, given = read_like(source, loose, condition_space, condition=condition, options=options)
    opened = open_source(source, Options.of(**as_before(source, options or {}, space)), {})
    if not isinstance(opened, TableSource):
        raise InputError(f"{source} is no table.", "Give a CSV or Parquet file.")
    names = list(space.names)
    if not set(names) <= set(opened.columns):  # without a header, by position
        names = [name for name in opened.columns if name != condition][: len(names)]
    return Blanks(pa.table(dict(opened.columns)), names, space, x, given)


def filled_tables(blanks: Blanks, imputed: Imputed) -> list[pa.Table]:
    """The table with its blanks filled, once for each draw; every other cell is as it was."""
    from ..data.tables.cells import decode_column

    found = []
    gone = imputed.blanks.numpy()
    for x in imputed.draws.numpy():
        table = blanks.table
        for j, name in enumerate(blanks.names):
            if gone[:, j].any():
                merged = _merged(table.column(name), decode_column(x[:, j], blanks.space.columns[j]), gone[:, j])
                table = table.set_column(table.column_names.index(name), name, merged)
        found.append(table)
    return found


def _merged(column: pa.ChunkedArray, filled: pa.Array, gone: np.ndarray) -> pa.Array:
    """A column with its blanks filled, in the type that it had, where that can hold what fills them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from ..data.tables import cells

    kind = column.type
    own, new = cells.plain(column), cells.plain(pa.chunked_array([filled]))
    with contextlib.suppress(pa.ArrowInvalid):  # a number between whole ones, in a column that happened to have none
        new = new.cast(own.type if not pa.types.is_null(own.type) else new.type)
    merged = pc.if_else(pa.array(gone), new, own.cast(new.type))
    if pa.types.is_dictionary(kind) and kind.value_type == merged.type:
        merged = merged.dictionary_encode().cast(kind)
    return merged


def numbered(tables: list[pa.Table]) -> pa.Table:
    """Several fillings as one table, one after the other, led by the columns `draw` and `row` (from 1)."""
    import pyarrow as pa

    parts = []
    for draw, table in enumerate(tables, 1):
        for name, values in (("row", np.arange(1, len(table) + 1)), ("draw", np.full(len(table), draw))):
            while name in table.column_names:
                name = f"_{name}"
            table = table.add_column(0, name, pa.array(values))
        parts.append(table)
    return pa.concat_tables(parts)


def write_table(path: Path, table: pa.Table) -> None:
    """A table as CSV or Parquet, whole or not at all.

    Raises:
        InputError: another extension, or a place that cannot be written.
    """
    from ..data.tables.write import write_csv, write_parquet
    from ..data.write import replacing

    check_suffix(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            (write_csv if path.suffix.lower() == ".csv" else write_parquet)(temporary, table)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot write {path}: {error.strerror or error}.") from None


def check_suffix(path: Path) -> None:
    """Raises InputError for an extension that is not written."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {path}: {path.suffix or 'no extension'}.", f"Known: {', '.join(SUFFIXES)}.")
