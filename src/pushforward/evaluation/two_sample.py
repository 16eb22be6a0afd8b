r"""Real rows against sampled rows: can a classifier tell them apart?

The classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545), with gradient-boosted trees, which see
spikes, rounding, rare categories, missing cells and how columns depend on each other. The value is the area under the
ROC curve, cross-validated: the probability that a sampled row looks more sampled than a real one. 0.5 is chance. It
belongs beside its floor (other real rows) and its ceiling (columns drawn independently).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import PushforwardError
from ..spaces import Table


def c2st(real: np.ndarray, sampled: np.ndarray, space: Table, *, folds: int = 2, seed: int = 0) -> float:
    """AUC of telling rows of a table apart, (n, columns) each, with equally many taken of both.

    Args:
        real, sampled: rows as a `Table` holds them (positions of categories, NaN where missing).
        folds: each is scored by a classifier that was fitted to the others. seed: of the folds and the trees.

    Raises:
        PushforwardError: fewer than 20 rows of either.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    n = min(len(real), len(sampled))
    if n < 20:
        raise PushforwardError(f"{n} rows are too few to tell real from sampled ones.")
    x = np.concatenate([np.asarray(real)[:n], np.asarray(sampled)[:n]])
    y = np.repeat([0, 1], n)
    # More categories than a tree has bins are taken by their positions.
    categorical = [c.kind == "category" and len(c.categories) <= 255 for c in space.columns]
    values = []
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y):
        trees: Any = HistGradientBoostingClassifier(categorical_features=categorical, random_state=seed)
        trees.fit(x[train], y[train])
        values.append(roc_auc_score(y[test], trees.predict_proba(x[test])[:, 1]))
    return float(np.mean(values))


def independent_columns(x: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """n rows (n, columns) whose columns have the distributions of x and do not depend on each other."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, len(x), (n, x.shape[1]))
    return np.take_along_axis(x, rows, axis=0)


def resampled_rows(x: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """n rows of x, each at most once while they last: what a model that copies its training rows gives."""
    generator = np.random.default_rng(seed)
    return x[np.concatenate([generator.permutation(len(x)) for _ in range(-(-n // len(x)))])[:n]]
