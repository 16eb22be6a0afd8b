"""What looks odd in a table, in plain sentences with numbers, and what to do about each.

Values are counted in all rows of columns with categories, and in at most 100,000 rows of columns of numbers, drawn at
random by a fixed seed; sentences then say "about".
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ...spaces import Column
from ..tables.columns import Dropped
from . import odd_columns, odd_tables
from .odd_tables import Rules
from .oddity import Oddity, Profile, profile

__all__ = ["Oddity", "Profile", "find_oddities", "profiles", "some_rows"]


def some_rows(n: int, columns: int) -> np.ndarray:
    """The rows (m,), in order, that statistics are taken of: all, or a random 2,000 to 100,000 by the table's width."""
    most = min(100_000, max(2_000, 8_000_000 // max(1, columns)))
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def profiles(x: np.ndarray, columns: Sequence[Column], tabular: bool = True) -> list[Profile]:
    """What values the columns of x (n, columns) have, and how often; `tabular`: whether they are a table's."""
    n = len(x)
    some = some_rows(n, x.shape[1])
    few = x if len(some) == n else x[some]
    out = []
    for j, column in enumerate(columns):
        whole = x[:, j]
        missing = float(np.isnan(whole).mean()) if column.missing or column.kind == "constant" else 0.0
        cells, scale = (few[:, j], n / len(some)) if column.is_number else (whole, 1.0)
        if column.is_number and scale > 1:  # the ends are known of all rows
            cells = np.concatenate([cells, [column.low, column.high]])
        if column.is_number and missing > 0.5:  # few cells are known: all of them are looked at
            cells, scale = whole, 1.0
        out.append(profile(cells, j, column, missing, scale, tabular))
    return out


def find_oddities(
    x: np.ndarray,
    columns: Sequence[Column],
    *,
    dropped: Sequence[Dropped] = (),
    rules: Rules | None = None,
    now: float | None = None,
    seen: Sequence[Profile] | None = None,
) -> list[Oddity]:
    """Everything odd in the rows x (n, columns), in their own order, NaN where missing; warnings first.

    Args:
        columns: what they are. dropped: those that were left out.
        rules: finds columns that are functions of others (`bijections.dependencies.find_dependencies`).
        now: seconds since 1970, for dates in the future; None: the clock's.
        seen: `profiles(x, columns)`, when they are at hand.
    """
    now = time.time() if now is None else now
    seen = profiles(x, columns) if seen is None else seen
    index = some_rows(len(x), x.shape[1])
    some = x if len(index) == len(x) else x[index]
    found = [
        *odd_tables.few_rows(len(x), seen),
        *odd_tables.copied_rows(x, seen),
        *odd_tables.order(x, seen, np.random.default_rng(1)),
    ]
    for p in seen:
        found += odd_columns.of_all(p)
        with np.errstate(over="ignore", invalid="ignore"):  # distances of the largest numbers may be infinite
            found += odd_columns.of_numbers(p) if p.column.is_number else odd_columns.of_categories(p)
        found += odd_columns.of_dates(p, now)
    found += odd_tables.copied_columns(x, some, seen, rules)
    found += odd_tables.missing_cells(some, seen)
    for d in dropped:
        if d.kind == "text":
            what = f"{d.why}: text is not modelled in a table, and the column is left out."
            found.append(Oddity("text", d.name, what, "Save it as a .txt file to model text by itself."))
    place = {column.name: j for j, column in enumerate(columns)}
    return sorted(found, key=lambda o: (o.severity != "warning", place.get(o.column, len(columns) if o.column else -1)))
