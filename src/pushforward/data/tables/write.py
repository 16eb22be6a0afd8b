"""Rows of a `Table` space to files: CSV that reloads as the same columns, Parquet, NumPy, and a page of plots."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...errors import InputError
from ...spaces import Table
from . import cells, numerals

Labels = Mapping[str, np.ndarray]
"""The condition as columns: name to (n,) text or numbers."""

BLOCK = 100_000
"""Rows that are turned into text at a time."""


def with_labels(table: pa.Table, labels: Labels) -> pa.Table:
    """The columns of a condition beside those of the table."""
    for name, values in labels.items():
        column = pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else pa.array(values)
        if values.dtype.kind == "U" and pc.all(pc.match_substring_regex(column, r"^(?:0|-?[1-9]\d{0,14})$")).as_py():
            column = column.cast(pa.int64())  # classes of whole numbers
        table = table.append_column(name if name not in table.column_names else f"condition_{name}", column)
    return table


# ------------------------------------------------------------------------------------------------ CSV


def write_csv(path: Path, table: pa.Table) -> None:
    """A table as CSV: UTF-8, commas, points, `\\n`; numbers with the digits that read back to the same number.

    Text is quoted where it would be read as something else: numbers, NA, nothing. Missing cells are empty (NA in a
    table of one column, whose empty lines mean nothing).

    Raises:
        InputError: text with a zero byte, which no CSV reader takes.
    """
    blank = "NA" if table.num_columns == 1 else ""
    with open(path, "wb") as file:
        names = [_quoted(pa.array([name]))[0].as_py() for name in table.column_names]
        file.write((",".join(names) + "\n").encode())
        for start in range(0, table.num_rows, BLOCK):
            block = table.slice(start, BLOCK)
            written = [_as_text(block.column(name), name).fill_null(blank) for name in block.column_names]
            lines = written[0] if len(written) == 1 else pc.binary_join_element_wise(*written, ",")
            file.write(("\n".join(lines.to_pylist()) + "\n").encode())


def _as_text(column: pa.ChunkedArray, name: str) -> pa.Array:
    """Cells as they stand in a CSV file, null where missing."""
    column = cells.plain(column)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column).combine_chunks()
        return numerals.write(column)
    texts = cells.texts(column).combine_chunks()
    if not cells.is_text(column.type):
        return texts
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        raise InputError(f"column {name!r} holds text with a zero byte, which CSV cannot.", "Write .parquet instead.")
    return _quoted(texts)


def _quoted(texts: pa.Array) -> pa.Array:
    """Texts with quotes around those that need them."""
    distinct = texts.dictionary_encode()
    values = distinct.dictionary
    needs = pc.match_substring_regex(values, r'[",\r\n]|^$|^#')
    needs = pc.or_(needs, pc.not_equal(pc.utf8_trim_whitespace(values), values))
    needs = pc.or_(needs, pc.is_in(values, pa.array([*numerals.MARKERS, "?"])))
    needs = pc.or_(needs, numerals.looks_numeric(values))
    doubled = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(needs, doubled, values).take(distinct.indices)


# ------------------------------------------------------------------------------------------------ others


def write_parquet(path: Path, table: pa.Table) -> None:
    """A table as Parquet, in the types that its columns came with."""
    pq.write_table(table, path)


def write_npz(path: Path, table: pa.Table) -> None:
    """An array a column: numbers (NaN where missing), text ("" where missing), dates as datetime64."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in table.column_names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _array(table.column(name)), allow_pickle=False)


def _array(column: pa.ChunkedArray) -> np.ndarray:
    column = cells.plain(column)
    kind = column.type
    if pa.types.is_time(kind):
        return cells.numbers(column, "", "")
    if cells.is_date(kind):
        unit = "D" if pa.types.is_date(kind) else kind.unit
        plain = column.cast(pa.date32()) if unit == "D" else column.cast(pa.timestamp(unit))
        return plain.to_numpy().astype(f"M8[{unit}]")
    if pa.types.is_decimal(kind) or pa.types.is_null(kind):
        column = column.cast(pa.float64())
    if cells.is_text(column.type):
        return np.asarray(column.fill_null("").to_pylist(), dtype=np.str_)
    if pa.types.is_boolean(kind) and column.null_count:
        column = column.cast(pa.int8())
    return column.to_numpy()


# ------------------------------------------------------------------------------------------------ plots


def plot(path: Path, x: np.ndarray, space: Table) -> None:
    """One page: a histogram of each column of numbers, bars of the most frequent values of each of the others.

    Tables of at most six columns of numbers without missing cells are drawn as vectors are: their density, or pairs.
    """
    import torch

    from .. import pictures

    if all(c.is_number for c in space.columns) and len(space.columns) <= 6 and not np.isnan(x).any():
        pictures.vector_plot(torch.from_numpy(x), list(space.names), path)
        return
    from ..inspection.histograms import histogram_page
    from ..inspection.oddities import profiles

    histogram_page(profiles(x, space.columns), path, title=f"samples, n = {len(x):,}")
