"""Total variation: the largest difference of probabilities over all events, and the event."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import line
from .distributions import Array, Density, Discrete, Distribution, Gaussian, Samples, aligned, as_pair
from .ratio import integrate, log_ratio, same_shape
from .values import Event, TotalVariation

ROUNDING = 1e-12
"""A log ratio this small has no sign: it moves TV by no more."""


def total_variation(p: Any, q: Any) -> TotalVariation:
    r"""Total variation distance, with an event that attains it.

    .. math:: TV(P, Q) = \sup_{A \in \mathcal F} |P(A) - Q(A)| = P(A^*) - Q(A^*), \quad A^* = \{x : p(x) > q(x)\}

    | p, q | how |
    |---|---|
    | points, points | sum over the support; the event is a set of points |
    | densities on the line | the roots of p = q (closed form for two Gaussians); the event is a union of intervals |
    | Gaussians of one covariance, any d | closed form; the event is a half-space |
    | densities in the plane | quadrature with its error |
    | points, density | 1: the event is the points (or all but them) |
    | samples | refused: the answer would be 1 whatever they came from |

    Raises:
        InputError: for samples, other densities in more than two dimensions, or different dimensions.

    Source: Levin, Peres and Wilmer 2009, Markov Chains and Mixing Times, ch. 4.
    """
    p, q = as_pair(p, q)
    if isinstance(p, Discrete) and isinstance(q, Discrete):
        return _points(p, q)
    if isinstance(p, Discrete | Samples) or isinstance(q, Discrete | Samples):
        return _singular(p, q)
    distance = same_shape(p, q)
    if distance is None and p.dimension == 1:
        return _line(p, q)

    def member(x: Array) -> Any:
        return log_ratio(p, q, x) > 0

    if distance is not None:
        half = 0.5 * math.erf(distance / math.sqrt(8))  # Phi(distance / 2) - 1/2
        if p.dimension == 1 and distance > 0:
            middle = 0.5 * float(p.mean[0] + q.mean[0])
            ends = (-math.inf, middle) if p.mean[0] < q.mean[0] else (middle, math.inf)
            event = Event(0.5 + half, 0.5 - half, _interval_words((ends,)), member, intervals=(ends,))
        elif distance == 0:
            event = Event(0.0, 0.0, "the empty event", member, p.dimension)
        else:
            event = Event(0.5 + half, 0.5 - half, "the half-space where p > q", member, p.dimension)
        return TotalVariation(2 * half, "exact", "closed form of Gaussians of one covariance", event=event)
    return _plane(p, q, member)


def _points(p: Discrete, q: Discrete) -> TotalVariation:
    points, a, b = aligned(p, q)
    inside = a > b
    words = f"{inside.sum()} of {len(points)} points"
    chosen = points[inside]
    event = Event(
        float(a[inside].sum()), float(b[inside].sum()), words, lambda x: _among(x, chosen), p.dimension, points=chosen
    )
    return TotalVariation(min(float((a - b)[inside].sum()), 1.0), "exact", "sum over the support", event=event)


def _singular(p: Distribution, q: Distribution) -> TotalVariation:
    found = integrate(p, q, lambda x, r: (r > 0).astype(float), lambda x, r: -(r > 0).astype(float), "TV")
    if isinstance(p, Discrete):
        points = np.unique(p.points[p.weights > 0], axis=0)
        words = f"the {len(points)} points of p"
        event = Event(1.0, 0.0, words, lambda x: _among(x, points), p.dimension, points=points)
    else:
        assert isinstance(q, Discrete)
        others = np.unique(q.points[q.weights > 0], axis=0)
        words = f"everything but the {len(others)} points of q"
        event = Event(1.0, 0.0, words, lambda x: ~_among(x, others), p.dimension)
    return TotalVariation(found.value, "exact", found.method, event=event)


def _among(x: Array, points: Array) -> Any:
    """(n,) whether each row of x is a row of `points`."""
    known, index = np.unique(np.concatenate([points, x]), axis=0, return_inverse=True)
    index = index.reshape(-1)
    held = np.zeros(len(known), dtype=bool)
    held[index[: len(points)]] = True
    return held[index[len(points) :]]


def _line(p: Density, q: Density) -> TotalVariation:
    def ratio(x: Array) -> Array:
        return log_ratio(p, q, x[:, None])

    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        roots, coarse = _roots(p, q), None
    else:
        grids = (line.nodes(p, q, line.PER_STD // fewer) for fewer in (1, 2))
        roots, coarse = (line.sign_changes(ratio, grid, ROUNDING) for grid in grids)
    intervals = _positive(ratio, roots, p, q)
    at_p, at_q = (_mass(d, intervals) for d in (p, q))
    event = Event(at_p, at_q, _interval_words(intervals), lambda x: ratio(x[:, 0]) > 0, intervals=intervals)
    if coarse is None:
        return TotalVariation(at_p - at_q, "exact", "roots of p = q", event=event)
    rough = _positive(ratio, coarse, p, q)
    error = abs(at_p - at_q - _mass(p, rough) + _mass(q, rough))
    return TotalVariation(at_p - at_q, "quadrature", f"{len(roots)} roots of p = q", error, event=event)


def _roots(p: Gaussian, q: Gaussian) -> Array:
    """Where two Gaussian densities on the line, of different variances, are equal: two places."""
    m, s, n, t = float(p.mean[0]), float(p.factor[0, 0]), float(q.mean[0]), float(q.factor[0, 0])
    # ((x - n) / t)^2 - ((x - m) / s)^2 = 2 log(s / t), in y = x - m
    a, b = (s - t) * (s + t) / (s * t) ** 2, (m - n) / t**2
    c = ((m - n) / t) ** 2 - 2 * math.log1p((s - t) / t)
    root = math.sqrt(max(0.0, b * b - a * c))
    big = -(b + math.copysign(root, b))  # the sum without cancellation; the other root from the product
    return m + np.sort(np.array([big / a, c / big]))


def _positive(ratio: Any, roots: Array, p: Density, q: Density) -> tuple[tuple[float, float], ...]:
    """The intervals between roots where p > q."""
    ends = np.concatenate([[-np.inf], roots, [np.inf]])
    spread = max(float(c.factor[0, 0]) for c in (*p.components, *q.components))
    inner = 0.5 * (roots[:-1] + roots[1:]) if len(roots) else np.zeros(0)
    if len(roots):
        tests = np.concatenate([[roots[0] - spread], inner, [roots[-1] + spread]])
    else:
        tests = p.components[0].mean
    found: list[tuple[float, float]] = []
    for low, high, inside in zip(ends[:-1].tolist(), ends[1:].tolist(), (ratio(tests) > 0).tolist()):
        if inside and found and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        elif inside:
            found.append((low, high))
    return tuple(found)


def _mass(p: Density, intervals: tuple[tuple[float, float], ...]) -> float:
    ends = np.array(intervals).reshape(-1, 2)
    return float((line.cdf(p, ends[:, 1]) - line.cdf(p, ends[:, 0])).sum())


def _plane(p: Density, q: Density, member: Any) -> TotalVariation:
    # The integral of (p - q)^+ under P has a kink where p = q, and no jump as the two probabilities have.
    found = integrate(p, q, lambda x, r: np.maximum(0.0, -np.expm1(-r)), None, "TV")
    inside = integrate(p, q, lambda x, r: (r > 0).astype(float), None, "TV").value
    event = Event(inside, inside - found.value, "the region where p > q", member, p.dimension)
    return TotalVariation(found.value, found.kind, found.method, found.error, event=event)


def _interval_words(intervals: tuple[tuple[float, float], ...]) -> str:
    return "x in " + " or ".join(f"({a:.6g}, {b:.6g})" for a, b in intervals) if intervals else "the empty event"
