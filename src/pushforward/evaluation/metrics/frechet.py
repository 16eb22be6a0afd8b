r"""The Frechet distance between Gaussians fitted to two samples of features.

.. math:: |\mu_1 - \mu_2|^2 + \operatorname{tr}\bigl(S_1 + S_2 - 2 (S_1 S_2)^{1/2}\bigr),

the squared Wasserstein-2 distance of :math:`N(\mu_1, S_1)` and :math:`N(\mu_2, S_2)` (Dowson and Landau 1982; Heusel et
al. 2017, arXiv:1706.08500, eq. 6, on features of the Inception network). It sees means and covariances only. Two
samples of size n of N(0, I) in d dimensions are about :math:`d (d + 5) / (2 n)` apart: without its floor at the same
n the number says nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from .inputs import pair, rows


class Moments:
    """Mean and covariance of rows that come in chunks, or on several ranks, in float64.

    Kept as count, mean, and scatter about the mean, and merged by the pairwise update (Chan, Golub and LeVeque 1983):
    a mean far from zero costs no digits, as it would with sums of squares.

    Attributes:
        n: rows so far. mean: (d,). scatter: (d, d), the sum of squares about the mean.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean: Tensor = torch.zeros(0, dtype=torch.float64)
        self.scatter: Tensor = torch.zeros(0, 0, dtype=torch.float64)

    def update(self, x: Any) -> Moments:
        """Take the rows x (n, d) in; returns itself."""
        x = rows(x, "x")
        part = Moments()
        part.n, part.mean = len(x), x.mean(0)
        centred = x - part.mean
        part.scatter = centred.T @ centred
        return self.merge(part)

    def merge(self, other: Moments) -> Moments:
        """Take another's rows in; returns itself.

        Raises:
            InputError: the other's rows have another number of columns.
        """
        if other.n == 0:
            return self
        if self.n == 0:
            self.n, self.mean, self.scatter = other.n, other.mean.clone(), other.scatter.clone()
            return self
        if len(self.mean) != len(other.mean):
            raise InputError(
                f"moments of {len(self.mean)} columns cannot take rows of {len(other.mean)}.", "Give the same features."
            )
        n = self.n + other.n
        step = other.mean.to(self.mean.device) - self.mean
        self.scatter = self.scatter + other.scatter.to(step.device) + torch.outer(step, step) * (self.n * other.n / n)
        self.mean = self.mean + step * (other.n / n)
        self.n = n
        return self

    @property
    def covariance(self) -> Tensor:
        """(d, d), with divisor n - 1.

        Raises:
            InputError: fewer than two rows were taken.
        """
        if self.n < 2:
            raise InputError(f"a covariance of {self.n} row(s).", "At least 2.")
        return self.scatter / (self.n - 1)


def frechet_distance(x: Any, y: Any) -> float:
    """The Frechet distance of features x (n, d) and y (m, d), each given as rows or as their `Moments`. Squared units.

    Raises:
        InputError: n or m is below 2d, so that the covariances would say more about n than about the features; values
            that are not finite; different features.
    """
    if isinstance(x, Moments) or isinstance(y, Moments):
        a, b = (v if isinstance(v, Moments) else Moments().update(rows(v, name)) for v, name in ((x, "x"), (y, "y")))
    else:
        first, second = pair(x, y)
        a, b = Moments().update(first), Moments().update(second)
    if len(a.mean) != len(b.mean):
        raise InputError(f"x has {len(a.mean)} columns and y has {len(b.mean)}.", "Both must be the same features.")
    d = len(a.mean)
    for name, part in (("x", a), ("y", b)):
        if part.n < 2 * d:
            raise InputError(
                f"{name} has {part.n} rows of {d} features: a Frechet distance needs at least 2 x {d} = {2 * d}.",
                "Reduce the features (pca) or take more samples.",
            )
    return gaussian_frechet(a.mean, a.covariance, b.mean, b.covariance)


def gaussian_frechet(mean1: Any, cov1: Any, mean2: Any, cov2: Any) -> float:
    r"""The Frechet distance of N(mean1, cov1) and N(mean2, cov2): means (d,), covariances (d, d).

    :math:`\operatorname{tr} (S_1 S_2)^{1/2}` is the sum of the square roots of the eigenvalues of the symmetric
    :math:`S_1^{1/2} S_2 S_1^{1/2}`, which are the singular values of :math:`S_2^{1/2} S_1^{1/2}`: real by construction,
    where a root of the unsymmetric product is complex by rounding.

    Raises:
        InputError: shapes that do not fit, values that are not finite, a covariance that is not symmetric.
    """
    m1, m2 = rows(mean1, "mean1")[:, 0], rows(mean2, "mean2")[:, 0]
    s1, s2 = rows(cov1, "cov1"), rows(cov2, "cov2")
    m2, s1, s2 = m2.to(m1.device), s1.to(m1.device), s2.to(m1.device)
    d = len(m1)
    for name, value, shape in (("mean2", m2, (d,)), ("cov1", s1, (d, d)), ("cov2", s2, (d, d))):
        if tuple(value.shape) != shape:
            raise InputError(f"{name} has shape {tuple(value.shape)}.", f"With {d} means, it has shape {shape}.")
    for name, value in (("cov1", s1), ("cov2", s2)):
        if not torch.allclose(value, value.T, rtol=1e-8, atol=1e-10 * float(value.abs().max())):
            raise InputError(f"{name} is not symmetric.", "A covariance equals its transpose.")
    cross = torch.linalg.svdvals(_root(s2) @ _root(s1)).sum()
    value = ((m1 - m2) ** 2).sum() + s1.trace() + s2.trace() - 2 * cross
    return max(0.0, float(value))


def _root(s: Tensor) -> Tensor:
    """The symmetric square root; eigenvalues that rounding made negative are zero."""
    values, vectors = torch.linalg.eigh((s + s.T) / 2)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
