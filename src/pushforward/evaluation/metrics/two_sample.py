r"""Real rows against sampled rows: can a classifier tell them apart?

The classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545), with gradient-boosted trees, which see
spikes, rounding, rare categories, missing cells and how columns depend on each other (a linear classifier is blind to a
changed correlation), or with a small convolutional network on images. The value is the area under the ROC curve,
cross-validated: the probability that a sampled row looks more sampled than a real one. 0.5 is chance. It belongs beside
its floor (other real rows) and its ceiling (columns drawn independently).

**The p-value.** Given the classifier of a fold, the labels of the rows held out are exchangeable when both samples have
one distribution, so that their Mann-Whitney statistic z (with ties) has mean 0 and variance 1 (Lehmann 1975, section
1.4). The folds' statistics are not independent: each fold is another's training set, and where real rows lie higher by
chance in both, both classifiers are right. On equal normal distributions the correlation is 0.6 to 0.75, and
:math:`\sum z_k / \sqrt K` would find a difference in 11 to 13% of cases at the 5% level. So the mean of the z is
compared with N(0, 1), as if the correlation were 1: found in 4 to 5%, and in fewer where the correlation is smaller (1%
for small tables of few categories). The standard error takes it as 1, too.

**Copies.** When a sampled row is a copy of a real one that it is compared with, and the two fall into different folds,
trees that learn the one are wrong about the other: AUC is 0.16 in 8 dimensions at n = 2,000. And where a sampled row
comes twice or thrice, because training rows were drawn again and again, trees know it by heart (0.80). So rows that
come at most 5 times in both samples together stay in one fold, and both are 0.5. Which rows do depends on values
alone, never on labels: that keeps the p-value true (keeping pairs of a real and a sampled row together would not).
Values that come more often are spread over the folds: it is by them that tables of few categories are told apart, and
samplers that collapsed onto a few points. Copies are what the metrics of memorization are for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError
from ...spaces import Table
from .inputs import pair, rows

LEAST = 20
"""Rows of each sample that a test needs."""

COPIES = 5
"""Up to so many equal rows stay in one fold."""


@dataclass(frozen=True)
class C2ST:
    """What a classifier found on rows that it was not fitted to.

    Attributes:
        auc: area under the ROC curve, the mean over folds. accuracy: share of right answers; 0.5 is chance for both.
        p_value: one-sided, of the two distributions being the same. standard_error: of the AUC (DeLong et al. 1988).
        n: rows of each sample.
    """

    auc: float
    accuracy: float
    p_value: float
    standard_error: float
    n: int


def c2st(
    real: Any,
    sampled: Any,
    *,
    categorical: Sequence[bool] | None = None,
    folds: int = 2,
    seed: int = 0,
    iterations: int = 100,
) -> C2ST:
    """Tell features or rows of a table apart by gradient-boosted trees, (n, d) each.

    The first n of both are taken, n being the size of the smaller sample.

    Args:
        categorical: for rows of a table, which columns are categories (see `categorical_columns`); NaN is a missing
            cell then.
        folds: each is scored by trees that were fitted to the others. More than 2 give larger training sets, smaller
            held-out ones, and a weaker p-value. seed: of the folds and the trees. iterations: trees in a row.

    Raises:
        InputError: fewer than 20 rows of either, values that are not finite, different columns, fewer than 2 folds.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    a, b = pair(real, sampled, ("real", "sampled"), missing=categorical is not None)
    x, y = _together(a, b)
    if categorical is not None and len(categorical) != x.shape[1]:
        raise InputError(f"categorical has {len(categorical)} entries.", f"There are {x.shape[1]} columns.")
    mask = None if categorical is None or not any(categorical) else list(categorical)
    fold = _folds(x, y, folds, seed)
    scores = np.empty(len(y))
    for k in range(folds):
        train, test = fold != k, fold == k
        trees: Any = HistGradientBoostingClassifier(categorical_features=mask, random_state=seed, max_iter=iterations)
        scores[test] = trees.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    return _judge(scores, y, fold, 0.5)


def c2st_network(
    real: Any, sampled: Any, *, seed: int = 0, steps: int = 200, folds: int = 2, batch_size: int = 64
) -> C2ST:
    """Tell images (n, c, h, w) apart by a small convolutional network, of any range of values.

    Three convolutions of stride 2 and a linear layer, fitted by AdamW for `steps` batches a fold. The random state of
    torch is left as it was, and the result is the same for the same seed (and threads).

    Raises:
        InputError: not images of one shape, and as `c2st`.
    """
    for name, value in (("real", real), ("sampled", sampled)):
        if len(np.shape(value)) != 4:
            raise InputError(f"{name} has shape {tuple(np.shape(value))}.", "Images are (n, channels, height, width).")
    shapes = [tuple(np.shape(v)[1:]) for v in (real, sampled)]
    if shapes[0] != shapes[1]:
        raise InputError(f"real images are {shapes[0]} and sampled ones {shapes[1]}.", "Both must be of one shape.")
    if steps < 1 or batch_size < 1:
        raise InputError(f"steps is {steps} and batch_size {batch_size}.", "Both are at least 1.")
    a, b = pair(real, sampled, ("real", "sampled"))
    device = a.device
    x, y = _together(a, b)
    fold = _folds(x, y, folds, seed)
    images = torch.as_tensor(x).view(len(x), *shapes[0])
    images = images - images.mean((0, 2, 3), keepdim=True)
    spread = images.std((0, 2, 3), keepdim=True)
    images = (images / torch.where(spread > 0, spread, 1.0)).float().to(device)
    labels = torch.as_tensor(y, device=device).float()
    scores = np.empty(len(y))
    for k in range(folds):
        train, test = (torch.as_tensor(np.flatnonzero(m), device=device) for m in (fold != k, fold == k))
        network = _fit(images[train], labels[train], steps, batch_size, seed * 1009 + k)
        with torch.no_grad():
            scores[fold == k] = torch.cat([network(v)[:, 0] for v in images[test].split(512)]).cpu().double().numpy()
    return _judge(scores, y, fold, 0.0)


def categorical_columns(space: Table) -> list[bool]:
    """Which columns trees take as categories without an order; more of them than a tree has bins go by position."""
    return [c.kind == "category" and len(c.categories) <= 255 for c in space.columns]


def independent_columns(x: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """n rows (n, columns) whose columns have the distributions of x and do not depend on each other."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, len(x), (n, x.shape[1]))
    return np.take_along_axis(x, rows, axis=0)


def resampled_rows(x: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """n rows of x, each at most once while they last: what a model that copies its training rows gives."""
    generator = np.random.default_rng(seed)
    return x[np.concatenate([generator.permutation(len(x)) for _ in range(-(-n // len(x)))])[:n]]


def mann_whitney(low: Any, high: Any) -> tuple[float, float, float]:
    r"""AUC, z and standard error of numbers low (n,), high (m,): is `high` higher?

    With mean ranks for ties, :math:`AUC = P(high > low) + P(high = low) / 2` and
    :math:`z = (AUC - \frac12) \big/ \sqrt{\frac{1}{12 n m} \bigl(N + 1 - \sum_t (t^3 - t) / (N (N - 1))\bigr)}`, over
    ties of t values of N = n + m; 0 when all are equal. The standard error is that of placement values (DeLong et al.
    1988, eq. 5), for the AUC that was found.

    Raises:
        InputError: fewer than two numbers of either, or values that are not finite.
    """
    a, b = (rows(v, name, at_least=2)[:, 0].cpu() for v, name in ((low, "low"), (high, "high")))
    n, m = len(a), len(b)
    _, place, ties = torch.cat([a, b]).unique(return_inverse=True, return_counts=True)
    ranks = (ties.cumsum(0) - (ties - 1) / 2).double()[place]
    # Of each value: the share of the other sample below it, equal ones counting half.
    above = (ranks[n:] - _ranks(b)) / n
    below = 1 - (ranks[:n] - _ranks(a)) / m
    auc, total = float(above.mean()), n + m
    t = ties.double()
    variance = (total + 1 - float((t**3 - t).sum()) / (total * (total - 1))) / (12 * n * m)
    z = (auc - 0.5) / math.sqrt(variance) if variance > 1e-15 else 0.0
    return auc, z, math.sqrt(float(above.var()) / m + float(below.var()) / n)


def _ranks(v: Tensor) -> Tensor:
    _, place, counts = v.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2).double()[place]


def _judge(scores: np.ndarray, y: np.ndarray, fold: np.ndarray, threshold: float) -> C2ST:
    """Held-out scores, fold by fold, as one answer."""
    found = []
    for k in range(int(fold.max()) + 1):
        test = fold == k
        found.append(mann_whitney(scores[test & (y == 0)], scores[test & (y == 1)]))
    auc, z, error = np.array(found).T
    return C2ST(
        auc=float(auc.mean()),
        accuracy=float(((scores > threshold) == y).mean()),
        p_value=0.5 * math.erfc(float(z.mean()) / math.sqrt(2)),
        standard_error=float(np.sqrt((error**2).mean())),
        n=len(y) // 2,
    )


def _together(a: Tensor, b: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """As many rows of either, and which of the two each comes from."""
    n = min(len(a), len(b))
    if n < LEAST:
        raise InputError(f"{n} rows are too few to tell real from sampled ones.", f"At least {LEAST} of each.")
    return torch.cat([a[:n], b[:n]]).cpu().numpy(), np.repeat([0, 1], n)


def _folds(x: np.ndarray, y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each row: at random, equal rows together unless they are many."""
    from sklearn.model_selection import StratifiedKFold

    n = len(y) // 2
    if not 2 <= folds <= n // 5:
        raise InputError(f"folds is {folds} with {n} rows of each.", f"From 2 to {n // 5}.")
    fold = np.empty(len(y), dtype=int)
    for k, (_, test) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y)):
        fold[test] = k
    plain = np.ascontiguousarray(np.where(np.isnan(x), np.nan, x + 0.0))  # one NaN and one zero, by their bytes
    keys = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1])))[:, 0]
    _, first, place, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    together = counts[place] <= min(COPIES, n // (5 * folds))
    fold[together] = fold[first[place]][together]
    for k in range(folds):
        for label in (0, 1):
            if min(np.sum((fold == k) & (y == label)), np.sum((fold != k) & (y == label))) < 2:
                raise InputError(
                    "there are too few different rows to hold some of both samples out.", "Give more rows."
                )
    return fold


def _fit(x: Tensor, y: Tensor, steps: int, batch_size: int, seed: int) -> nn.Module:
    """A network (n, c, h, w) -> (n, 1), logits of y."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (x.shape[1], 16, 32, 64)
        layers: list[nn.Module] = []
        for i, o in pairwise(widths):
            layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.SiLU()]
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * widths[-1], 1))
    network.to(x.device)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
    order = torch.empty(0, dtype=torch.long)
    with torch.enable_grad():
        for step in range(steps):
            if len(order) < min(batch_size, len(x)):
                order = torch.randperm(len(x), generator=generator)
            batch, order = order[:batch_size].to(x.device), order[batch_size:]
            optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
            loss = nn.functional.binary_cross_entropy_with_logits(network(x[batch])[:, 0], y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()
