"""Frames of other libraries as Arrow tables: pandas, polars, and whatever speaks Arrow's C stream."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError


def to_arrow(frame: Any) -> pa.Table:
    """A frame as an Arrow table in types that all functions of Arrow take, without the index of pandas.

    Raises:
        InputError: a column that Arrow does not take, with the cell where there is one.
    """
    try:
        if hasattr(frame, "__arrow_c_stream__"):
            return plain(pa.table(frame))
        from pyarrow.interchange import from_dataframe

        return plain(from_dataframe(frame))
    except (pa.ArrowException, TypeError, ValueError) as error:
        _refuse_mixed(frame)
        raise InputError(f"the frame cannot be read: {str(error).splitlines()[0]}") from None


def plain(table: pa.Table) -> pa.Table:
    """Without the index columns that pandas adds; text that is text, and no views of it or runs."""
    pandas = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = [name for name in pandas.get("index_columns", []) if isinstance(name, str) and name in table.column_names]
    repeated = len(set(table.column_names)) < table.num_columns
    table = table if repeated else table.drop_columns(index)
    for i, field in enumerate(table.schema):  # few functions of Arrow take views of text, or runs
        table = table.set_column(i, field.name, _simple(table.column(i)))
    return table


def _simple(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if str(kind) == "string_view":
        return column.cast(pa.string())
    if pa.types.is_run_end_encoded(kind):
        return _simple(pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks], kind.value_type))
    if pa.types.is_dictionary(kind) and str(kind.value_type) == "string_view":
        chunks = [
            pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.string()), ordered=kind.ordered)
            for chunk in column.chunks
        ]
        return pa.chunked_array(chunks, pa.dictionary(kind.index_type, pa.string(), kind.ordered))
    return column


def _refuse_mixed(frame: Any) -> None:
    """Raises InputError for the first cell of a pandas frame that is of another type than those above it."""
    for name in getattr(frame, "columns", ()):
        cells = enumerate(list(frame[name]))
        known = [(i, cell) for i, cell in cells if cell is not None and cell == cell]
        for i, cell in known:
            if isinstance(cell, str) != isinstance(known[0][1], str):
                first = known[0]
                raise InputError(
                    f"the table: column {str(name)!r}, data row {i + 1}: {cell!r} ({type(cell).__name__}), but data "
                    f"row {first[0] + 1}: {first[1]!r} ({type(first[1]).__name__}).",
                    "Make the column one type, such as frame[name].astype(str).",
                )
