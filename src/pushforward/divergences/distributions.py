"""What distances are measured between: weighted points, Gaussians, mixtures of them, and samples.

All in float64. Points are rows: (n, d); a 1-D array of points is n points of the line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Array = npt.NDArray[np.float64]

SUM_TOLERANCE = 1e-6
"""How far weights may sum from 1 (float32 softmax); they are then divided by their sum."""


class Discrete:
    r"""Points with probabilities: :math:`P = \sum_i w_i \delta_{x_i}`.

    Args:
        points: (k, d), or (k,) on the line. The same point may occur twice: its weights add up.
        weights: (k,) not negative, summing to 1 (to 1e-6; they are divided by their sum).

    Raises:
        InputError: shapes that do not match, values that are not finite, weights that are no probabilities.
    """

    def __init__(self, points: Any, weights: Any) -> None:
        self.points, self.weights = _fixed(_points(points, "the points")), _fixed(probabilities(weights))
        if len(self.points) != len(self.weights):
            raise InputError(f"{len(self.points)} points have {len(self.weights)} weights.", "Give one weight a point.")

    @classmethod
    def count(cls, samples: Any) -> Discrete:
        """The distinct rows of samples (n, d) with their frequencies: for values that repeat, such as categories."""
        points, counts = np.unique(_points(samples, "the samples"), axis=0, return_counts=True)
        return cls(points, counts / counts.sum())

    @property
    def dimension(self) -> int:
        """Numbers a point."""
        return self.points.shape[1]

    @property
    def mean(self) -> Array:
        """(d,)"""
        return self.weights @ self.points

    def sample(self, n: int, seed: int = 0) -> Samples:
        """n independent draws."""
        rng = np.random.default_rng(seed)
        return Samples(self.points[rng.choice(len(self.points), size=n, p=self.weights)])

    def __repr__(self) -> str:
        return f"Discrete({len(self.points)} points of dimension {self.dimension})"


class Samples:
    """Independent draws (n, d), or (n,) on the line, of a distribution that is not known otherwise."""

    def __init__(self, points: Any) -> None:
        self.points = _fixed(_points(points, "the samples"))
        self.weights = _fixed(np.full(len(self.points), 1.0 / len(self.points)))  # of the empirical distribution

    @property
    def dimension(self) -> int:
        """Numbers a sample."""
        return self.points.shape[1]

    def __repr__(self) -> str:
        return f"Samples({len(self.points)} of dimension {self.dimension})"


class Gaussian:
    r""":math:`N(\mu, \Sigma)`.

    Args:
        mean: (d,), or one number on the line.
        covariance: (d, d), positive definite; one number v is the *variance*: v times the identity.

    Raises:
        InputError: shapes that do not match, or a covariance that is not symmetric and positive definite.
    """

    def __init__(self, mean: Any, covariance: Any) -> None:
        mean = np.atleast_1d(array(mean, "the mean"))
        covariance = array(covariance, "the covariance")
        if covariance.ndim == 0:
            covariance = covariance * np.eye(len(mean))
        d = len(mean)
        if mean.ndim != 1 or d == 0 or covariance.shape != (d, d):
            raise InputError(
                f"a mean of shape {mean.shape} has a covariance of shape {covariance.shape}.",
                "Give a mean (d,) and a covariance (d, d), or one number: the variance.",
            )
        if not np.allclose(covariance, covariance.T, rtol=1e-9, atol=0):
            raise InputError("the covariance is not symmetric.", "Give (C + C.T) / 2 if rounding is the reason.")
        covariance = (covariance + covariance.T) / 2
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            raise InputError(
                f"the covariance is not positive definite: its smallest eigenvalue is "
                f"{np.linalg.eigvalsh(covariance)[0]:.3g}.",
                "A distribution without a density is Discrete(points, weights), or Samples.",
            ) from None
        self.mean, self.covariance = _fixed(mean), _fixed(covariance)
        self.factor: Array = _fixed(factor)
        """(d, d) lower triangular L with L L^T = covariance."""
        self.weights: Array = np.ones(1)
        self._whiten: Array = np.linalg.inv(factor)
        self._constant = -float(np.log(np.diag(factor)).sum()) - 0.5 * d * math.log(2 * math.pi)

    @property
    def dimension(self) -> int:
        """Numbers a point."""
        return len(self.mean)

    @property
    def components(self) -> tuple[Gaussian, ...]:
        """Itself: a mixture of one."""
        return (self,)

    def log_density(self, x: Any) -> Array:
        """(n,) nats, at points (n, d)."""
        x = _points(x, "x", self.dimension)
        z = self._whiten @ (x - self.mean).T
        return self._constant - 0.5 * np.einsum("dn,dn->n", z, z)

    def sample(self, n: int, seed: int = 0) -> Samples:
        """n independent draws."""
        return Samples(self.mean + np.random.default_rng(seed).standard_normal((n, self.dimension)) @ self.factor.T)

    def __repr__(self) -> str:
        if self.dimension == 1:
            return f"Gaussian(mean {self.mean[0]:g}, variance {self.covariance[0, 0]:g})"
        return f"Gaussian(dimension {self.dimension})"


class Mixture:
    r""":math:`\sum_k w_k N(\mu_k, \Sigma_k)`: `Mixture([0.3, 0.7], [Gaussian(-2, 1), Gaussian(2, 1)])`.

    Components of weight 0 are left out.
    """

    def __init__(self, weights: Any, components: Sequence[Gaussian]) -> None:
        weights, components = probabilities(weights), tuple(components)
        if len(weights) != len(components):
            raise InputError(f"{len(components)} components have {len(weights)} weights.", "Give one weight each.")
        if not all(isinstance(c, Gaussian) for c in components):
            raise InputError("a component of the mixture is not a Gaussian.", "Give a list of Gaussian(mean, cov).")
        if len({c.dimension for c in components}) != 1:
            raise InputError(f"components have dimensions {sorted({c.dimension for c in components})}.", "Give one.")
        kept = weights > 0
        self.weights: Array = _fixed(weights[kept])
        self.components = tuple(c for c, keep in zip(components, kept) if keep)

    @property
    def dimension(self) -> int:
        """Numbers a point."""
        return self.components[0].dimension

    @property
    def mean(self) -> Array:
        """(d,)"""
        return self.weights @ np.stack([c.mean for c in self.components])

    def log_density(self, x: Any) -> Array:
        """(n,) nats, at points (n, d)."""
        each = np.stack([np.log(w) + c.log_density(x) for w, c in zip(self.weights, self.components)])
        top = each.max(axis=0)
        return cast(Array, top + np.log(np.exp(each - top).sum(axis=0)))

    def sample(self, n: int, seed: int = 0) -> Samples:
        """n independent draws."""
        rng = np.random.default_rng(seed)
        which = rng.choice(len(self.weights), size=n, p=self.weights)
        z = rng.standard_normal((n, self.dimension))
        means, factors = np.stack([c.mean for c in self.components]), np.stack([c.factor for c in self.components])
        return Samples(means[which] + np.einsum("nij,nj->ni", factors[which], z))

    def __repr__(self) -> str:
        return f"Mixture({len(self.components)} Gaussians of dimension {self.dimension})"


Finite = Discrete | Samples
Density = Gaussian | Mixture
Distribution = Discrete | Samples | Gaussian | Mixture


def as_distribution(value: Any) -> Distribution:
    """What `value` stands for: itself, a list of k probabilities (on the points 0, ..., k-1), or samples (n, d).

    Raises:
        InputError: anything else.
    """
    if isinstance(value, Discrete | Samples | Gaussian | Mixture):
        return value
    if hasattr(value, "log_prob") or isinstance(value, str):
        raise InputError(
            f"a {type(value).__name__} is no distribution that distances are known for.",
            "Give samples of it (n, d), or Discrete, Gaussian, Mixture.",
        )
    values = array(value, "the distribution")
    if values.size == 0:
        raise InputError("the distribution is empty.", "Give a list of probabilities, or samples (n, d).")
    if values.ndim == 1:
        return Discrete(np.arange(len(values), dtype=np.float64), values)
    if values.ndim == 2:
        return Samples(values)
    raise InputError(
        f"an array of shape {values.shape} is no distribution.",
        "A 1-D array is probabilities of 0, ..., k-1; a 2-D array (n, d) is samples; flatten pictures to rows.",
    )


def as_pair(p: Any, q: Any) -> tuple[Distribution, Distribution]:
    """Both, in spaces of one dimension."""
    first, second = as_distribution(p), as_distribution(q)
    if not any(isinstance(d, Discrete | Samples | Gaussian | Mixture) for d in (p, q)) and (
        isinstance(first, Discrete) and isinstance(second, Discrete) and len(first.points) != len(second.points)
    ):
        raise InputError(
            f"{len(first.points)} and {len(second.points)} probabilities are not of the same outcomes.",
            "Fill up with zeros, or say which points: Discrete(points, weights).",
        )
    if first.dimension != second.dimension:
        raise InputError(
            f"{first} and {second} live in spaces of different dimension.", "Distances need one space for both."
        )
    return first, second


def aligned(p: Finite, q: Finite) -> tuple[Array, Array, Array]:
    """The union of the supports (k, d), sorted, and the probabilities (k,) that p and q give to its points."""
    points, index = np.unique(np.concatenate([p.points, q.points]), axis=0, return_inverse=True)
    index = index.reshape(-1)
    first, second = index[: len(p.points)], index[len(p.points) :]
    k = len(points)
    a, b = (np.asarray(np.bincount(i, d.weights, minlength=k), np.float64) for i, d in ((first, p), (second, q)))
    return points, a, b


def array(values: Any, name: str) -> Array:
    """`values` in float64, a copy; all of them finite."""
    if hasattr(values, "detach"):  # a tensor, on any device
        values = values.detach().cpu().numpy()
    try:
        out = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} cannot be read as numbers ({type(values).__name__}).", "Give an array.") from None
    if not np.isfinite(out).all():
        raise InputError(f"{name} has {int((~np.isfinite(out)).sum())} values that are not finite.", "Leave them out.")
    return out


def probabilities(values: Any) -> Array:
    """(k,) weights, checked, and divided by their sum."""
    weights = array(values, "the weights")
    if weights.ndim != 1 or weights.size == 0:
        raise InputError(f"weights have the shape {weights.shape}.", "Give a list of probabilities.")
    if weights.min() < 0:
        raise InputError(f"a weight is negative: {weights.min():g}.", "Probabilities are at least 0.")
    if abs(weights.sum() - 1) > SUM_TOLERANCE:
        raise InputError(
            f"{len(weights)} weights sum to {weights.sum():.9g}, not to 1.",
            "Divide them by their sum; for samples on the line, give Samples(x).",
        )
    return cast(Array, weights / weights.sum())


def _points(values: Any, name: str, dimension: int | None = None) -> Array:
    points = array(values, name)
    if points.ndim <= 1:
        points = points.reshape(-1, 1) if dimension in (None, 1) else points.reshape(1, -1)
    if points.ndim != 2 or (points.size == 0 if dimension is None else points.shape[1] != dimension):
        raise InputError(
            f"{name} have the shape {points.shape}.", f"Give (n, {'d' if dimension is None else dimension})."
        )
    return points + 0.0  # -0 becomes 0: they are one point


def as_points(values: Any, dimension: int) -> Array:
    """(n, dimension) from points, one point, or (on the line) numbers."""
    return _points(values, "the points", dimension)


def _fixed(values: Array) -> Array:
    """Read-only."""
    values.setflags(write=False)
    return values
