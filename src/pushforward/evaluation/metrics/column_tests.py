r"""How far beyond chance is the column that differs most?

An effect that is small in its own units can be far beyond chance: a category of 14% that samples have 7% of. Each
column is tested on its own, numbers by the Kolmogorov-Smirnov test over those that are there, categories (and missing
cells) by the chi-squared test of homogeneity, and its p-value is turned into the normal deviate
:math:`z = \Phi^{-1}(1 - p)`, so that columns of all kinds can be compared.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...spaces import Space
from .columns import _columns, _positions

MOST = 37.0
"""The largest deviate: beyond it p-values are too small for a number."""


def column_deviates(real: Any, sampled: Any, space: Space | None = None) -> dict[str, float]:
    """By column, the normal deviate of its test; arguments and errors as in `columns.column_errors`."""
    x, y, names, sizes = _columns(real, sampled, space)
    found = {}
    for j, (name, size) in enumerate(zip(names, sizes)):
        a, b = x[:, j], y[:, j]
        if size is not None:
            found[name] = _homogeneity(_positions(a, size), _positions(b, size))
            continue
        missing = _homogeneity(a.isnan().long(), b.isnan().long())
        found[name] = max(missing, _kolmogorov_smirnov(a[~a.isnan()], b[~b.isnan()]))
    return found


def largest_deviate(real: Any, sampled: Any, space: Space | None = None) -> float:
    """Of the column that is furthest beyond chance."""
    return max(column_deviates(real, sampled, space).values())


def _homogeneity(a: Tensor, b: Tensor) -> float:
    r""":math:`\chi^2 = \sum_c (a_c - b_c n_a / n_b)^2 / \ldots` of two samples of whole numbers (Pearson 1900).

    Categories of fewer than ten cells in both together are taken as one, where the approximation would fail.
    """
    from scipy.stats import chi2

    values, place = torch.cat([a, b]).unique(return_inverse=True)
    counts = torch.stack([torch.bincount(p, minlength=len(values)) for p in place.split([len(a), len(b)])]).double()
    rare = counts.sum(0) < 10
    if bool(rare.any()):
        counts = torch.cat([counts[:, ~rare], counts[:, rare].sum(1, keepdim=True)], 1)
    if counts.shape[1] < 2:
        return -MOST
    expected = counts.sum(1, keepdim=True) * counts.sum(0) / counts.sum()
    statistic = float(((counts - expected).square() / expected.clamp_min(1e-300)).sum())
    return _deviate(float(chi2.sf(statistic, counts.shape[1] - 1)))


def _kolmogorov_smirnov(a: Tensor, b: Tensor) -> float:
    r"""By the limiting distribution of :math:`\sqrt{nm / (n + m)} \sup_t |F(t) - G(t)|`; conservative with ties."""
    from scipy.stats import kstwobign

    if len(a) == 0 or len(b) == 0:
        return -MOST if len(a) == len(b) else MOST
    points = torch.cat([a, b]).unique()
    f, g = (torch.searchsorted(v.sort().values, points, right=True).double() / len(v) for v in (a, b))
    scale = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    return _deviate(float(kstwobign.sf(scale * float((f - g).abs().max()))))


def _deviate(p: float) -> float:
    from scipy.stats import norm

    return float(min(max(norm.isf(p), -MOST), MOST)) if p > 0 else MOST
