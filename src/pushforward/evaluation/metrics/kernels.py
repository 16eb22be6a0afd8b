r"""Maximum mean discrepancy: the distance of two distributions' means in a kernel's feature space.

.. math:: \mathrm{MMD}^2 = E\,k(X, X') + E\,k(Y, Y') - 2 E\,k(X, Y)

(Gretton et al. 2012, JMLR 13, lemma 6). The unbiased estimate leaves k(x_i, x_i) out, so that its mean is the
distance itself at every n, 0 for equal distributions, and single values may be negative; the biased one keeps them, is
a squared norm and never negative, and is too high by about :math:`(1/n + 1/m) (E k(X, X) - E k(X, X'))`.

With the kernel :math:`(\langle x, y \rangle / d + 1)^3` the unbiased estimate is the kernel Inception distance
(Binkowski et al. 2018, arXiv:1801.01401, section 4) of whatever features are given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from .distances import centre, exact, squared
from .inputs import blocks, pair

Kernel = Callable[[Tensor, Tensor], Tensor]


def kernel_distance(
    x: Any, y: Any, degree: int = 3, gamma: float | None = None, coef0: float = 1.0, *, chunk: int | None = None
) -> float:
    r"""Unbiased MMD^2 of features x (n, d), y (m, d) under :math:`(\gamma \langle x, y \rangle + c_0)^{degree}`.

    Args:
        gamma: 1/d by default. chunk: rows at a time; by default what fits 16 MiB.

    Raises:
        InputError: fewer than two rows of either, values that are not finite, different features.
    """
    a, b = pair(x, y, at_least=2)
    return _discrepancy(_polynomial(a.shape[1], degree, gamma, coef0), a, b, True, chunk)


def kernel_distance_blocks(
    x: Any, y: Any, block: int = 1000, degree: int = 3, gamma: float | None = None, coef0: float = 1.0
) -> Tensor:
    r"""`kernel_distance` of disjoint blocks of `block` rows of each, (b,) float64: independent, for intervals.

    Rows are taken in their order; those beyond the last whole block are left out. The mean of the values is unbiased,
    and their standard deviation over :math:`\sqrt b` is its standard error.

    Raises:
        InputError: less than one whole block of either, and as `kernel_distance`.
    """
    a, b = pair(x, y, at_least=2)
    n = min(len(a), len(b))
    if not 2 <= block <= n:
        raise InputError(f"block is {block}.", f"From 2 to {n}, the smaller number of rows.")
    kernel = _polynomial(a.shape[1], degree, gamma, coef0)
    cuts = [slice(i * block, (i + 1) * block) for i in range(n // block)]
    return torch.tensor([_discrepancy(kernel, a[s], b[s], True, None) for s in cuts], dtype=torch.float64)


def mmd(x: Any, y: Any, bandwidth: float | None = None, *, chunk: int | None = None) -> float:
    """The square root of the biased MMD^2 under a Gaussian kernel: a distance, never negative; see `mmd_squared`.

    It is positive for equal distributions, by an amount that falls as 1 / sqrt(n).
    """
    return math.sqrt(max(0.0, mmd_squared(x, y, bandwidth, unbiased=False, chunk=chunk)))


def mmd_squared(
    x: Any, y: Any, bandwidth: float | None = None, unbiased: bool = True, *, chunk: int | None = None
) -> float:
    r"""MMD^2 of x (n, d), y (m, d) under :math:`k(x, y) = \exp(-|x - y|^2 / (2 h^2))`; within [0, 2] but for noise.

    Args:
        bandwidth: h; by default `median_bandwidth(x, y)`. Values are comparable at the same h only: give the one of
            the real data when samplers are to be compared.
        unbiased: without the diagonals (mean 0 for equal distributions), or with them (never negative).
        chunk: rows at a time; by default what fits 16 MiB.

    Raises:
        InputError: fewer than two rows of either, values that are not finite, different columns, h not above 0.
    """
    a, b = pair(x, y, at_least=2)
    h = median_bandwidth(a, b) if bandwidth is None else bandwidth
    middle = centre(a, b)
    return _discrepancy(gaussian_kernel(h), a - middle, b - middle, unbiased, chunk)


def median_bandwidth(x: Any, y: Any, points: int = 1000) -> float:
    """The median of the distances above 0 between rows of x (n, d) and y (m, d) together; 1 when there are none.

    It is taken over at most `points` rows, evenly spaced in the order of a fixed projection: the same rows however
    they were ordered, and no random choice. (Distances of 0, between copies, say nothing about the scale.)

    Raises:
        InputError: values that are not finite, different columns, fewer than 2 points.
    """
    a, b = pair(x, y)
    if points < 2:
        raise InputError(f"points is {points}.", "At least 2.")
    pooled = torch.cat([a, b])
    if len(pooled) > points:
        direction = torch.randn(a.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        order = (pooled * direction.to(a.device)).sum(1).argsort(stable=True)
        pooled = pooled[order[torch.linspace(0, len(pooled) - 1, points, device=a.device).round().long()]]
    above = torch.triu_indices(len(pooled), len(pooled), 1, device=a.device)
    distances = exact(pooled, pooled)[above[0], above[1]]
    distances = distances[distances > 0]
    return float(distances.quantile(0.5)) if len(distances) else 1.0


def gaussian_kernel(bandwidth: float) -> Kernel:
    """The matrix exp(-|a - b|^2 / (2 h^2)) (n, m) of rows a (n, d), b (m, d) that were centred.

    Raises:
        InputError: the bandwidth is not above 0.
    """
    if not (math.isfinite(bandwidth) and bandwidth > 0):
        raise InputError(f"bandwidth is {bandwidth}.", "A number above 0, in the units of the data.")
    return lambda a, b: squared(a, b).clamp_min_(0).div_(-2 * bandwidth**2).exp_()


def _polynomial(d: int, degree: int, gamma: float | None, coef0: float) -> Kernel:
    if degree < 1:
        raise InputError(f"degree is {degree}.", "A whole number from 1.")
    scale = 1.0 / d if gamma is None else gamma
    return lambda a, b: (scale * (a @ b.T) + coef0) ** degree


def _discrepancy(kernel: Kernel, a: Tensor, b: Tensor, unbiased: bool, chunk: int | None) -> float:
    within = sum(_within(kernel, v, unbiased, chunk) for v in (a, b))
    return within - 2 * _sum(kernel, a, b, chunk) / (len(a) * len(b))


def _within(kernel: Kernel, a: Tensor, unbiased: bool, chunk: int | None) -> float:
    n = len(a)
    if not unbiased:
        return _sum(kernel, a, a, chunk) / n**2
    total = 0.0
    for s in blocks(n, n, chunk):  # the diagonal is taken out of the very matrix that is summed
        matrix = kernel(a[s], a)
        total += float(matrix.sum() - matrix.diagonal(s.start).sum())
    return total / (n * (n - 1))


def _sum(kernel: Kernel, a: Tensor, b: Tensor, chunk: int | None) -> float:
    return sum(float(kernel(a[s], b).sum()) for s in blocks(len(a), len(b), chunk))
