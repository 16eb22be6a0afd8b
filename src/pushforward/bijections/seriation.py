"""Categories in an order in which neighbours are alike, by what the other columns are like beside them.

A category on a line (an interval for each value) is easiest to learn when values that behave alike lie together:
reciprocal averaging, the algorithm of correspondence analysis (Hill 1973, "Reciprocal averaging"; Greenacre 1984).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..spaces import Column

_ROWS, _ROUNDS = 20_000, 6


def seriate(x: np.ndarray, columns: Sequence[Column], which: Sequence[int]) -> dict[int, np.ndarray]:
    """Column to the order of its values, for the columns `which` of x (n, C), NaN where missing.

    In turn, each category's values get the first principal component of the other columns' means beside them, weighted
    by frequency; a value that no row has goes last. Ends are chosen by the first value's place, so that the order is a
    function of the data.
    """
    x = x[:_ROWS]
    scores = np.stack([_scores(x[:, j]) for j in range(x.shape[1])], axis=1)
    orders = {j: np.arange(len(columns[j].categories)) for j in which}
    codes = {j: np.where(np.isnan(x[:, j]), -1, x[:, j]).astype(np.int64) for j in which}
    for _ in range(_ROUNDS):
        for j in which:
            k, here = len(columns[j].categories), codes[j] >= 0
            counts = np.bincount(codes[j][here], minlength=k).astype(float)
            others = [i for i in range(x.shape[1]) if i != j]
            if not others or (counts > 0).sum() < 3:
                continue
            sums = np.stack([np.bincount(codes[j][here], scores[here, i], minlength=k) for i in others], axis=1)
            # Means of rare values are mostly noise: pulled to the mean of all, as by ten rows of it.
            means = sums / (counts[:, None] + 10.0)
            means = means - np.average(means, axis=0, weights=counts)
            _, axes = np.linalg.eigh(means.T @ (means * counts[:, None]))
            value = means @ axes[:, -1]
            value = value if value[np.argmax(counts)] <= 0 else -value
            orders[j] = np.argsort(np.where(counts > 0, value, np.inf), kind="stable")
            spread = np.sqrt(np.average(value**2, weights=counts))
            if spread > 0:
                scores[:, j] = np.where(here, value[codes[j].clip(0)] / spread, 0.0)
    return orders


def _scores(values: np.ndarray) -> np.ndarray:
    """Ranks in [-1, 1] with unit variance, ties shared; 0 where missing."""
    known = ~np.isnan(values)
    out = np.zeros(len(values))
    if known.sum() < 2:
        return out
    _distinct, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - 0.5 * counts) / known.sum() - 0.5
    spread = middle[inverse].std()
    out[known] = middle[inverse] / spread if spread > 0 else 0.0
    return out
