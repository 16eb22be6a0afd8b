r"""Columns that are functions of another column: a code and its name, a price in two currencies' labels, a copy.

A model of real numbers can only come close to such a rule, and every row that breaks it gives a sample away. Where the
training rows hold it without an exception it is kept as a table instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_PAIRS = 1 << 22
"""Largest table of two columns' values that is counted."""


@dataclass(frozen=True)
class Dependency:
    """Column `child` is a function of column `parent`.

    `values`: (K, ) the child's value at each of the parent's `keys`, NaN where no row told. `rows`: how many did.
    """

    child: int
    parent: int
    keys: np.ndarray
    values: np.ndarray
    rows: np.ndarray


def find_dependencies(
    x: np.ndarray, most_values: int = 256, may_follow: Sequence[int] | None = None
) -> list[Dependency]:
    """The functions among columns of x (n, C), NaN where missing; no parent is itself a child.

    `may_follow`: the columns that may be children; None: all.

    A rule counts when no row breaks it and chance would have: the chance that all repeats of the parent's values agree
    in two independent columns is below e^-20.
    """
    c = x.shape[1]
    codes: list[tuple[np.ndarray, np.ndarray] | None] = []
    for j in range(c):
        keys = np.unique(x[~np.isnan(x[:, j]), j])
        few = 1 < len(keys) <= most_values
        codes.append((keys, np.where(np.isnan(x[:, j]), -1, np.searchsorted(keys, x[:, j]))) if few else None)
    found: list[Dependency] = []
    children: set[int] = set()
    parents: set[int] = set()
    for child in range(c):
        if codes[child] is None or child in parents or (may_follow is not None and child not in may_follow):
            continue
        for parent in range(c):
            if parent == child or parent in children or codes[parent] is None:
                continue
            rule = _rule(codes[parent], codes[child])  # type: ignore[arg-type]
            if rule is not None:
                keys = codes[parent][0]  # type: ignore[index]
                found.append(Dependency(child, parent, keys, *rule))
                children.add(child)
                parents.add(parent)
                break
    return found


def _rule(
    parent: tuple[np.ndarray, np.ndarray], child: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    (keys, a), (values, b) = parent, child
    if len(keys) < len(values) or len(keys) * len(values) > _PAIRS:
        return None
    both = (a >= 0) & (b >= 0)
    for some in (slice(0, 2000), slice(None)):  # most pairs are no rule, which few rows show
        pairs = np.zeros(len(keys) * len(values), dtype=np.int64)
        np.add.at(pairs, (a[some] * len(values) + b[some])[both[some]], 1)
        table = pairs.reshape(len(keys), len(values))
        if ((table > 0).sum(1) > 1).any():
            return None
    rows = table.sum(1)
    share = table.sum(0) / max(1, rows.sum())
    repeats = int((rows - 1).clip(0).sum())
    if repeats * math.log(max(float(np.square(share).sum()), 1e-12)) > -20:
        return None
    return np.where(rows > 0, values[table.argmax(1)], np.nan), rows
