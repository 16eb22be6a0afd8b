r"""Are samples copies of training examples?

Four statistics of the distance from each sample to its nearest training example, in a feature space, and one of the
rows themselves. None of them means anything alone, since real data that no model has touched lie near training
examples, too: each belongs beside the same statistic with held-out rows in the place of samples, at the same n.

They find copying that is large enough to be seen in a distance. **They are no check of privacy**: a model whose samples
are far from every training example can still reveal who was in the training data (Yao et al. 2025, "The DCR Delusion",
arXiv:2505.01524). Call it a nearest-example check.

Distances are of features: callers encode categories and scale columns first. `copies` takes the raw rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from .inputs import blocks, pair, rows
from .neighbours import nearest

NEAR = 0.01
"""A sample is a near copy within the distance that this share of training examples have to their nearest other."""
FEWEST = 20
"""Samples that a cell of the C_T test needs (tau of Meehan et al., times the number of samples)."""
_CLUSTERED = 10_000
"""Training examples that k-means sees, at most."""


def nearest_training(samples: Tensor, train: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """Distances (n, k), ascending, and indices (n, k) of the nearest of `train` (m, d) to each of `samples` (n, d).

    Raises:
        InputError: shapes that do not fit, fewer than k training examples, values that are not finite.
    """
    return nearest(*pair(samples, train, ("samples", "train")), k)


def _own(train: Tensor) -> Tensor:
    """Distances (n,) of training examples to their nearest other."""
    t = rows(train, "train", at_least=2)
    return nearest(t, t, exclude_self=True)[0][:, 0]


# ------------------------------------------------------------------------------------------------------- copies


def copies(samples: Tensor | np.ndarray, train: Tensor | np.ndarray) -> float:
    """Share of samples (n, ...) that are a training example (m, ...) to the last digit; missing cells equal each other.

    Both are the raw rows: of tables with positions of categories, or pixels. Rows of few and coarse columns are equal
    by chance: look at the share of held-out rows.

    Raises:
        InputError: no rows, or of another shape.
    """
    x, t = np.asarray(samples), np.asarray(train)
    if 0 in x.shape or 0 in t.shape or x.shape[1:] != t.shape[1:]:
        raise InputError(f"samples of shape {x.shape} and training examples of shape {t.shape}.")
    return float(np.isin(fingerprints(x), fingerprints(t)).mean())


def fingerprints(x: Tensor | np.ndarray) -> np.ndarray:
    """A 64-bit hash (n,) of each row (n, ...): equal for rows of equal numbers, whatever their type.

    The bits of each float64 are mixed by the finalizer of SplitMix64 after a key of its column, and added. Two
    different rows have the same hash with a probability of 2^-64.
    """
    flat = np.asarray(x)
    flat = flat.reshape(len(flat), -1)
    keys = np.random.default_rng(0).integers(1 << 63, size=flat.shape[1], dtype=np.uint64)
    found = np.empty(len(flat), dtype=np.uint64)
    for s in blocks(len(flat), 64 * flat.shape[1]):  # small enough for a cache
        values = flat[s].astype(np.float64) + 0.0  # -0 becomes 0
        values[np.isnan(values)] = np.nan  # of one pattern of bits
        z = np.ascontiguousarray(values).view(np.uint64)
        z ^= keys
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z ^= z >> np.uint64(shift)
            z *= np.uint64(factor)
        z ^= z >> np.uint64(31)
        found[s] = z.sum(1, dtype=np.uint64)
    return found


def near_copies(samples: Tensor, train: Tensor, *, quantile: float = NEAR) -> float:
    r"""Share of samples (n, d) no further from a training example than the 1% of them that are nearest to another.

    The radius is that quantile of the training examples' distances to their nearest other, so that a perfect sampler's
    share is about the quantile (for n and n - 1 neighbours are nearly the same), and a copycat's is 1.

    Raises:
        InputError: as `nearest_training`; fewer than two training examples.
    """
    distances, _ = nearest_training(samples, train)
    return _near(distances[:, 0], _own(train), quantile)


def _near(distances: Tensor, own: Tensor, quantile: float) -> float:
    radius = np.quantile(own.cpu().numpy(), quantile)
    return float((distances <= radius).double().mean())


# -------------------------------------------------------------------------------------------------- authenticity


def authenticity(samples: Tensor, train: Tensor) -> float:
    r"""Share of samples that are further from their nearest training example than that is from its nearest other.

    .. math:: \frac1n \sum_i 1\{ |x_i - t_{j(i)}| > \min_{k \ne j(i)} |t_{j(i)} - t_k| \},
       \quad j(i) = \arg\min_j |x_i - t_j|

    (Alaa et al. 2022, arXiv:2102.08921, sec. 4.2). 0 for a copycat and 1 for noise; for a perfect sampler neither, nor
    the 1/2 that is often quoted, but `expected_authenticity`, which depends on the data.

    Raises:
        InputError: as `nearest_training`; fewer than two training examples.
    """
    distances, index = nearest_training(samples, train)
    return _authentic(distances[:, 0], index[:, 0], _own(train))


def _authentic(distances: Tensor, index: Tensor, own: Tensor) -> float:
    return float((distances > own[index]).double().mean())


def expected_authenticity(train: Tensor) -> float:
    r"""Authenticity that a perfect sampler has in expectation, from the n training examples (n, d) alone.

    A perfect sample and the training examples are n + 1 independent points, and the sample is not authentic when it
    and its nearest example are nearest to each other. So this is the share of training examples that are not the
    nearest of their nearest: each in turn is the sample. Unbiased for n - 1 training examples.

    Raises:
        InputError: fewer than three training examples.
    """
    t = rows(train, "train", at_least=3)
    own, index = (found[:, 0] for found in nearest(t, t, exclude_self=True))
    return float((own > own[index]).double().mean())


def perfect_authenticity(dimensions: int) -> float:
    r"""`expected_authenticity` of any smooth density in d dimensions, in the limit of very many training examples.

    The points are then a Poisson process around any of them, in which two are nearest to each other with a probability
    of one over the volume of two balls whose centres are a radius apart, counted in balls (Henze 1987,
    Adv. Appl. Probab. 19):

    .. math:: 1 - \frac1{2 - I_{3/4}(\frac{d+1}2, \frac12)}

    with the regularized incomplete beta function: 1/3, 0.378, 11/27, ... to 1/2. In many dimensions the limit is far:
    2,000 points of a Gaussian have 0.53 in 6 dimensions and 0.82 in 64, because few points are nearest to many.
    """
    from scipy.special import betainc

    return float(1 - 1 / (2 - betainc((dimensions + 1) / 2, 0.5, 0.75)))


# ------------------------------------------------------------------------------------------------ the C_T test


@dataclass(frozen=True)
class Copying:
    r"""What the C_T test found.

    Attributes:
        statistic: C_T; far below 0, samples are nearer to training examples than held-out rows are (copying); far
            above 0, further away (underfitting).
        std: of it when samples and held-out rows have one distribution; its mean is then 0, and it is nearly normal.
            At most 1, being an average over cells.
        cells: z of each cell; NaN where it was left out. share: of held-out rows, the part in cells that count.
    """

    statistic: float
    std: float
    cells: tuple[float, ...]
    share: float

    @property
    def z(self) -> float:
        """The statistic over its std: standard normal when samples and held-out rows have one distribution."""
        return self.statistic / self.std


def data_copying_test(
    samples: Tensor, held_out: Tensor, train: Tensor, *, cells: int | Tensor | None = None, seed: int = 0
) -> Copying:
    r"""C_T of Meehan, Chaudhuri and Dasgupta (2020, arXiv:2004.05675, sec. 3): are samples nearer than they should be?

    The space is cut into cells by k-means of the training examples. In each, the distances of samples and of held-out
    rows to their nearest training example are compared by the Mann-Whitney U statistic,

    .. math:: Z_\pi = \frac{U_\pi - n_\pi m_\pi / 2}{\sqrt{n_\pi m_\pi (n_\pi + m_\pi + 1) / 12}},
       \quad U_\pi = \#\{(i, j): |x_i - t| > |h_j - t|\}

    (ties count half, and the variance is corrected for them), and C_T is the average weighted by held-out rows,
    over cells with at least `FEWEST` samples. The nearest example is looked for in all of the training data.

    Args:
        samples (m, d), held_out (n, d), train (l, d).
        cells: how many, or their centres (c, d); by default one for 50 held-out rows, at most 10. seed: of k-means.

    Raises:
        InputError: as `nearest_training`; no cell has enough samples.
    """
    reference = HeldOut.of(train, held_out, cells=cells, seed=seed)
    return _copying(rows(samples, "samples"), nearest_training(samples, train)[0][:, 0], reference)


def cell_centres(train: Tensor, cells: int, seed: int = 0) -> Tensor:
    """Centres (cells, d) of k-means of training examples, whatever their order; fewer if fewer are distinct.

    Raises:
        InputError: fewer than one cell.
    """
    from sklearn.cluster import KMeans

    if cells < 1:
        raise InputError(f"cells={cells}.", "At least 1.")
    x, weights = np.unique(rows(train, "train").cpu().numpy(), axis=0, return_counts=True)  # in an order of its own
    if len(x) > _CLUSTERED:
        kept = np.sort(np.random.default_rng(seed).choice(len(x), _CLUSTERED, replace=False))
        x, weights = x[kept], weights[kept]
    means = KMeans(min(cells, len(x)), n_init=3, random_state=seed).fit(x, sample_weight=weights)
    return torch.from_numpy(means.cluster_centers_)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out rows as the C_T test sees them. Build it with `HeldOut.of`.

    Attributes:
        distances: (n,), to their nearest training example. cells: (n,), of each row. centres: (c, d), of the cells.
    """

    distances: Tensor
    cells: Tensor
    centres: Tensor

    @staticmethod
    def of(train: Tensor, held_out: Tensor, *, cells: int | Tensor | None = None, seed: int = 0) -> HeldOut:
        """From features of training examples (l, d) and held-out rows (n, d). Arguments as `data_copying_test`."""
        t, h = pair(train, held_out, ("train", "held_out"))
        if cells is None:
            cells = max(1, min(10, len(h) // 50))
        centres = cell_centres(t, cells, seed).to(t.device) if isinstance(cells, int) else rows(cells, "cells")
        return HeldOut(nearest(h, t)[0][:, 0], nearest(h, centres)[1][:, 0], centres)


def mann_whitney(x: Tensor, y: Tensor) -> float:
    """z of U, the pairs with x > y (ties half), for x (m,) and y (n,): normal when they have one distribution.

    The variance has the usual correction for ties, and there is none for continuity. 0 when all values are equal.
    """
    m, n = len(x), len(y)
    ordered = y.sort().values
    below, up_to = torch.searchsorted(ordered, x), torch.searchsorted(ordered, x, right=True)
    u = float((below + up_to).double().sum()) / 2
    _, counts = torch.cat([x, y]).unique(return_counts=True)
    ties = float((counts.double() ** 3 - counts).sum())
    both = m + n
    variance = m * n / 12 * (both + 1 - ties / (both * (both - 1)))
    return (u - m * n / 2) / math.sqrt(variance) if variance > 1e-9 * m * n else 0.0


def _copying(samples: Tensor, distances: Tensor, reference: HeldOut) -> Copying:
    cells = nearest(samples, reference.centres)[1][:, 0]
    z, weight = [], []
    for cell in range(len(reference.centres)):
        x, y = distances[cells == cell], reference.distances[reference.cells == cell]
        counts = len(x) >= FEWEST and len(y) > 0
        z.append(mann_whitney(x, y) if counts else math.nan)
        weight.append(len(y) if counts else 0)
    w = np.array(weight, dtype=np.float64)
    if w.sum() == 0:
        raise InputError(
            f"no cell of the copying test has {FEWEST} samples and a held-out row.", "Use more samples or fewer cells."
        )
    average = float((w * np.nan_to_num(z)).sum() / w.sum())
    return Copying(average, float(np.sqrt((w**2).sum()) / w.sum()), tuple(z), float(w.sum() / len(reference.distances)))


# ------------------------------------------------------------------------------------------- all of them at once


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What is computed once for any number of sample sets. Build it with `TrainingSet.of`.

    Attributes:
        features: (n, d). own: (n,), distances of training examples to their nearest other. held_out: for C_T.
    """

    features: Tensor
    own: Tensor
    held_out: HeldOut

    @staticmethod
    def of(train: Tensor, held_out: Tensor, *, cells: int | Tensor | None = None, seed: int = 0) -> TrainingSet:
        """From features of training examples (n, d) and of held-out rows (m, d). Arguments as `data_copying_test`."""
        t = rows(train, "train", at_least=2)
        return TrainingSet(t, _own(t), HeldOut.of(t, held_out, cells=cells, seed=seed))


@dataclass(frozen=True, eq=False)
class Memorization:
    """What a set of samples has of the training data.

    Attributes:
        authenticity, near_copies, copying: as the functions of these names; `data_copying_test` for the last.
        distances, indices: (n,), of each sample's nearest training example.
    """

    authenticity: float
    near_copies: float
    copying: Copying
    distances: Tensor
    indices: Tensor


def memorization(samples: Tensor, training: TrainingSet) -> Memorization:
    """All statistics of distances for samples (n, d), with one search of neighbours.

    Raises:
        InputError: as `data_copying_test`.
    """
    distances, indices = (found[:, 0] for found in nearest_training(samples, training.features))
    return Memorization(
        _authentic(distances, indices, training.own),
        _near(distances, training.own, NEAR),
        _copying(rows(samples, "samples"), distances, training.held_out),
        distances,
        indices,
    )
