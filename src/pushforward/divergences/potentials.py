"""Kantorovich-Rubinstein duality: the critic that attains the Wasserstein-1 distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from . import line
from .distributions import Array, Discrete, Distribution, Finite, Gaussian, Samples, as_pair, as_points
from .ratio import same_shape
from .transport import costs, program, wasserstein1

CHUNK = 2_000_000


@dataclass(frozen=True, eq=False)
class Potential:
    r"""A function f, 1-Lipschitz on the whole space, with :math:`E_P f - E_Q f = W_1(P, Q)`. Call it at points (n, d).

    Attributes:
        value: E_P f - E_Q f. distance: W_1 from the plan or the distribution functions.
        lipschitz: the largest |f(x) - f(y)| / |x - y| over all pairs of support points (densities: the largest slope).
    """

    value: float
    distance: float
    lipschitz: float
    dimension: int
    function: Callable[[Array], Array] = field(repr=False)

    def __call__(self, x: Any) -> Array:
        """(n,) f at points (n, d), or (n,) numbers on the line."""
        return self.function(as_points(x, self.dimension))

    @property
    def gap(self) -> float:
        """W_1 minus the dual value: 0 up to rounding."""
        return self.distance - self.value

    def __str__(self) -> str:
        return (
            f"E_p f - E_q f = {self.value:.6g}, W1 = {self.distance:.6g} (gap {self.gap:.1e}), "
            f"Lipschitz constant {self.lipschitz:.9f}"
        )


def kantorovich_potentials(p: Any, q: Any) -> Potential:
    r"""An optimal critic of the dual problem, as a function on the whole space; :math:`E_Q f = 0`.

    .. math:: W_1(P, Q) = \sup_{\|f\|_L \le 1} E_{x \sim P} f(x) - E_{x \sim Q} f(x)

    Points and samples: with dual variables v of the linear program (on the line: sums of the sign of F_Q - F_P),

    .. math:: f(x) = \min_j \left( \|x - y_j\| - v_j \right)

    over the points y_j of q: a minimum of 1-Lipschitz functions, no smaller than the other dual variable at the points
    of p, and no larger than -v_j at y_j, so it attains the supremum. Densities on the line: f' = sign(F_Q - F_P).
    Gaussians of one covariance: f is linear along the difference of the means.

    Raises:
        InputError: for the pairs that `wasserstein1` refuses.

    Source: Villani 2003, theorem 1.14 and remark 1.15; Arjovsky et al. 2017, eq. 2.
    """
    p, q = as_pair(p, q)
    if isinstance(p, Discrete | Samples) and isinstance(q, Discrete | Samples):
        return _points(p, q)
    if p.dimension == 1:
        return _line(p, q)
    distance = wasserstein1(p, q).value  # refuses what has no closed form
    assert isinstance(p, Gaussian) and isinstance(q, Gaussian) and same_shape(p, q) is not None
    direction, origin = (p.mean - q.mean) / (distance or 1.0), q.mean
    value = float((p.mean - q.mean) @ direction)
    return Potential(value, distance, float(np.linalg.norm(direction)), p.dimension, lambda x: (x - origin) @ direction)


def _points(p: Finite, q: Finite) -> Potential:
    anchors = q.points[q.weights > 0]
    if p.dimension == 1:
        distance = wasserstein1(p, q).value
        at = line.breaks(p, q)
        slopes = np.sign(_difference(q, p, at[:-1]))
        values = np.concatenate([[0.0], np.cumsum(slopes * np.diff(at))])
        heights = values[np.searchsorted(at, anchors[:, 0])]
    else:
        plan, duals = program(p, q, 1)
        distance, heights = plan.cost, -duals
    cones = _cones(anchors, heights)
    level = float(q.weights @ cones(q.points))

    def function(x: Array) -> Array:
        return cones(x) - level

    points = np.unique(np.concatenate([p.points[p.weights > 0], anchors]), axis=0)
    value = float(p.weights @ function(p.points) - q.weights @ function(q.points))
    return Potential(value, distance, _lipschitz(points, function(points)), p.dimension, function)


def _line(p: Distribution, q: Distribution) -> Potential:
    at = line.breaks(p, q)
    areas = line.areas(q, p, at)  # of F_q - F_p
    slopes = np.sign(areas)
    knots = np.concatenate([[0.0], np.cumsum(slopes[1:-1] * np.diff(at))]) if len(at) else np.zeros(1)
    if len(at) == 0:  # F_p and F_q do not cross: f is linear
        at = np.zeros(1)
        slopes = np.repeat(slopes, 2)

    def raw(x: Array) -> Array:
        t = x[:, 0]
        inside = np.interp(t, at, knots)
        return cast(Array, inside + slopes[0] * np.minimum(0.0, t - at[0]) + slopes[-1] * np.maximum(0.0, t - at[-1]))

    means = [float(np.mean(d.points)) if isinstance(d, Samples) else float(d.mean[0]) for d in (p, q)]
    # E f = f(0) + slope at +inf * (E X) - sums of (change of slope) * E(k - X)^+ : by parts, in closed form
    bends = np.diff(slopes) if len(slopes) > 1 else np.zeros(0)
    offset = float(knots[-1] - slopes[-1] * at[-1])

    def expectation(d: Distribution, mean: float) -> float:
        return offset + float(slopes[-1]) * mean + float(bends @ line.excess(d, at))

    ends = expectation(p, means[0]), expectation(q, means[1])
    distance = wasserstein1(p, q).value
    return Potential(ends[0] - ends[1], distance, float(np.abs(slopes).max()), 1, lambda x: raw(x) - ends[1])


def _difference(p: Distribution, q: Distribution, x: Array) -> Array:
    """(n,) F_P - F_Q, 0 where only rounding is left."""
    difference = line.cdf(p, x) - line.cdf(q, x)
    return np.where(np.abs(difference) < 1e-15, 0.0, difference)


def _cones(anchors: Array, heights: Array) -> Callable[[Array], Array]:
    """x (n, d) -> min_j (heights_j + |x - anchors_j|)."""
    if anchors.shape[1] > 1:

        def everywhere(x: Array) -> Array:
            rows = max(1, CHUNK // len(anchors))
            parts = [(costs(x[i : i + rows], anchors) + heights).min(1) for i in range(0, len(x), rows)]
            return np.concatenate(parts)

        return everywhere
    order = np.argsort(anchors[:, 0], kind="stable")
    y, f = anchors[order, 0], heights[order]
    rising = np.concatenate([[np.inf], np.minimum.accumulate(f - y)])  # over the anchors at most x
    falling = np.concatenate([np.minimum.accumulate((f + y)[::-1])[::-1], [np.inf]])  # over the anchors beyond x

    def on_the_line(x: Array) -> Array:
        t = x[:, 0]
        below = np.searchsorted(y, t, side="right")
        return cast(Array, np.minimum(rising[below] + t, falling[below] - t))

    return on_the_line


def _lipschitz(points: Array, values: Array) -> float:
    """max |f(x) - f(y)| / |x - y| over pairs of distinct points, less what rounding of f may add to the numerator."""
    if len(points) < 2:
        return 0.0
    noise = 8 * np.finfo(float).eps * max(float(np.abs(values).max()), float(np.abs(points).max()))
    if points.shape[1] == 1:  # neighbours decide; `points` is sorted
        rise, run = np.abs(np.diff(values)), np.diff(points[:, 0])
        return float((np.maximum(0.0, rise - noise) / run).max())
    best, rows = 0.0, max(1, CHUNK // len(points))
    for i in range(0, len(points), rows):
        run = costs(points[i : i + rows], points)
        rise = np.maximum(0.0, np.abs(values[i : i + rows, None] - values) - noise)
        best = max(best, float(np.divide(rise, run, out=np.zeros_like(run), where=run > 0).max()))
    return best
