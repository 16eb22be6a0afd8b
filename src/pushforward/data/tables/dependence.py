"""Rows that hang together: copies, groups, time. Then a random split flatters, and a note says which flag mends it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from ...spaces import Table
from . import cells, words

_GROUP_NAME = re.compile(
    r".*(?:patient|subject|customer|client|user|person|participant|household|family|session|visit|device|group|author)"
    r"(?:s|_?id|_?no|_?nr|_?number)?",
    re.IGNORECASE,
)
_TIME_NAME = re.compile(r"(?:.*[_ .-])?(?:date|time|timestamp|datetime|year|month|day|hour|step|t)", re.IGNORECASE)

MOST_ROWS = 50
"""Groups of more rows than this are not taken for persons or visits."""


def warnings(
    columns: Mapping[str, pa.ChunkedArray],
    x: np.ndarray,
    space: Table,
    parts: Mapping[str, Tensor],
    chosen: Sequence[str],
) -> list[str]:
    """A sentence for each sign that rows are not independent of each other.

    Args:
        columns: of the source, by name, also those that are left out of the model. x: (n, columns) rows of `space`.
        parts: rows of each part. chosen: the columns of the condition.
    """
    dated = [c.name for c in space.columns if c.kind == "datetime"]
    found = [*_time(x, space), *_groups(columns, [*chosen, *dated])]
    copies = _copies(x, space, parts)
    return [*found, *([copies] if copies else [])]


def _groups(columns: Mapping[str, pa.ChunkedArray], others: Sequence[str]) -> list[str]:
    """Of all columns but the `others`: conditions, and dates, whose digits look like codes."""
    notes = []
    for name, column in columns.items():
        kind = cells.plain(column).type
        named = words.is_id_name(name) or bool(_GROUP_NAME.fullmatch(name.strip()))
        if name in others or not (cells.is_text(kind) or (named and pa.types.is_integer(kind))):
            continue
        if not named and not words.are_codes(pc.unique(cells.plain(column[:1000])).drop_null()):
            continue
        distinct = pc.unique(cells.plain(column)).drop_null()
        k, rows = len(distinct), len(column) - column.null_count
        if k < 10 or not 1.2 * k <= rows <= MOST_ROWS * k:
            continue
        if named or words.are_codes(distinct):
            notes.append(
                f"column {name} looks like groups of {rows / k:.1f} rows: rows of one group in several parts make the "
                f"test too easy; --split-by {name} keeps them together"
            )
    return notes[:3]


def _time(x: np.ndarray, space: Table) -> list[str]:
    for j, column in enumerate(space.columns):
        if column.kind != "datetime" and not (column.is_number and _TIME_NAME.fullmatch(column.name.strip())):
            continue
        known = x[~np.isnan(x[:, j]), j]
        change = np.diff(known)
        in_order = bool((change >= 0).all()) or bool((change <= 0).all())
        if in_order and np.count_nonzero(change) >= 9:
            return [
                f"rows are in the order of {column.name}: if they follow each other in time, a random test knows the "
                f"future; --split-time {column.name} tests on the latest"
            ]
    return []


def _copies(x: np.ndarray, space: Table, parts: Mapping[str, Tensor]) -> str:
    """How many test rows are training rows too, where chance does not make copies."""
    some = x[:: max(1, len(x) // 2000)]
    numeric = [j for j, c in enumerate(space.columns) if c.is_number]
    if not any(5 * len(np.unique(some[:, j])) > len(some) for j in numeric):
        return ""
    keys = row_keys(x)
    test = keys[parts["test"].numpy()]
    shared = pc.sum(pc.is_in(pa.array(test), pa.array(keys[parts["train"].numpy()]))).as_py() or 0
    if shared < max(2, 0.01 * len(test)):
        return ""
    return (
        f"{shared:,} of {len(test):,} test rows ({100 * shared / len(test):.0f}%) are in the training part too, cell "
        "by cell: scores on copies say little; remove duplicates first, or --split-by a column that copies share"
    )


def row_keys(x: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each row (n, columns), equal for equal rows (missing cells being equal, and 0 to -0)."""
    key = np.zeros(len(x), np.uint64)
    for j in range(x.shape[1]):
        values = np.where(np.isnan(x[:, j]), np.nan, x[:, j] + 0.0)
        key ^= values.view(np.uint64)
        key *= np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key
