"""What the columns of a table are: continuous, integer, ordinal, category, boolean, date, constant; or left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError, did_you_mean
from ..spaces import Column, Table
from . import cells
from .cells import encode, encode_column

__all__ = ["Detected", "Dropped", "detect", "encode", "encode_column"]


@dataclass(frozen=True)
class Dropped:
    """A column that is left out of the model: its name, the kind it was found to be, and why."""

    name: str
    kind: str
    why: str


@dataclass(frozen=True)
class Detected:
    """The columns of a table in its own order, those left out, and what was decided in plain words."""

    columns: tuple[Column, ...]
    dropped: tuple[Dropped, ...]
    notes: list[str]

    @property
    def space(self) -> Table:
        return Table(self.columns)


def detect(table: pa.Table, kinds: Mapping[str, str], where: str) -> Detected:
    """The columns of a table, from all its rows.

    Args:
        kinds: name to kind, for the columns where the user said it ("drop" leaves one out).

    Raises:
        InputError: `kinds` names an unknown column, or a kind that cannot be (with row and value); infinite numbers.
    """
    for name in kinds:
        if name not in table.column_names:
            raise InputError(f"{where} has no column {name!r} (columns=).", did_you_mean(name, table.column_names))
    columns: list[Column] = []
    dropped: list[Dropped] = []
    notes: list[str] = []
    for name in table.column_names:
        kind = kinds.get(name)
        if kind == "drop":
            dropped.append(Dropped(name, "drop", "as asked"))
            continue
        columns.append(_column(table.column(name), name, where))
    return Detected(tuple(columns), tuple(dropped), notes)


def _column(column: pa.ChunkedArray, name: str, where: str) -> Column:
    stored, values = str(column.type), cells.plain(column)
    kind = values.type
    missing = values.null_count > 0
    if cells.is_date(kind):
        x = cells.numbers(column, name, where)
        known = x[~np.isnan(x)]
        step = next((s for s in (86400.0, 3600.0, 60.0, 1.0) if not (known % s).any()), None)
        return Column(name, "datetime", (), float(known.min()), float(known.max()), step, missing, stored)
    if cells.is_numeric(kind) and not pa.types.is_dictionary(column.type):
        x = cells.numbers(column, name, where)
        known = x[~np.isnan(x)]
        if len(known) and known.min() < known.max():
            whole = bool((known == known.round()).all())
            return Column(
                name,
                "integer" if whole else "continuous",
                (),
                float(known.min()),
                float(known.max()),
                1.0 if whole else None,
                len(known) < len(x),
                stored,
            )
    names = pc.unique(cells.texts(column)).drop_null().to_pylist()
    ordered = pa.types.is_dictionary(column.type) and column.type.ordered
    found = "constant" if len(names) < 2 else "boolean" if pa.types.is_boolean(kind) else "category"
    return Column(
        name,
        "ordinal" if ordered and len(names) > 1 else found,
        tuple(sorted(names)),
        missing=cells.texts(column).null_count > 0,
        stored=stored,
    )
