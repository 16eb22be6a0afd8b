r"""One-dimensional distributions by their distribution functions F: transport and events on the line.

With :math:`H_P(x) = E(x - X)^+ = \int_{-\infty}^x F_P`, every integral of F_P - F_Q over an interval is a difference
of H_P - H_Q, in closed form for points, Gaussians and mixtures. So the distance on the line needs nothing but the
places where F_P - F_Q changes its sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from .distributions import Array, Density, Discrete, Distribution, Samples

RADIUS, PER_STD = 12, 32
"""Signs are read at this many nodes per standard deviation, out to so many, of every component."""


def cdf(p: Distribution, x: Array) -> Array:
    """(n,) F_P(x), continuous from the right."""
    if isinstance(p, Discrete | Samples):
        order = np.argsort(p.points[:, 0], kind="stable")
        total = np.concatenate([[0.0], np.cumsum(p.weights[order])])
        return cast(Array, np.minimum(total, 1.0)[np.searchsorted(p.points[order, 0], x, side="right")])
    from scipy.special import ndtr

    return cast(Array, sum(w * ndtr((x - m) / s) for w, m, s in _components(p)))


def excess(p: Distribution, x: Array) -> Array:
    r"""(n,) :math:`H_P(x) = E(x - X)^+`, for finite x."""
    if isinstance(p, Discrete | Samples):
        order = np.argsort(p.points[:, 0], kind="stable")
        points, weights = p.points[order, 0], p.weights[order]
        below = np.searchsorted(points, x, side="right")
        mass, moment = (np.concatenate([[0.0], np.cumsum(v)])[below] for v in (weights, weights * points))
        return cast(Array, mass * x - moment)
    from scipy.special import ndtr

    total = np.zeros_like(x)
    for w, m, s in _components(p):
        z = (x - m) / s
        total += w * ((x - m) * ndtr(z) + s * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))
    return total


def nodes(p: Density, q: Density, per_std: int = PER_STD) -> Array:
    """(n,) sorted places on the line, as fine as each component of p and q asks for around its own mean."""
    z = np.arange(-RADIUS * per_std, RADIUS * per_std + 1) / per_std
    return np.unique(np.concatenate([m + s * z for _, m, s in (*_components(p), *_components(q))]))


def sign_changes(f: Callable[[Array], Array], x: Array, noise: float = 0.0) -> Array:
    """(k,) where f changes its sign between neighbouring nodes, by bisection. |f| <= noise has no sign."""
    y = f(x)
    keep = np.abs(y) > noise
    x, y = x[keep], y[keep]
    at = np.flatnonzero(np.sign(y[:-1]) != np.sign(y[1:]))
    low, high, left = x[at], x[at + 1], np.sign(y[at])
    for _ in range(80):
        middle = 0.5 * (low + high)
        same = np.sign(f(middle)) == left
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return 0.5 * (low + high)


def breaks(p: Distribution, q: Distribution, per_std: int = PER_STD) -> Array:
    """(k,) sorted places on the line between which F_P - F_Q keeps its sign."""
    finite = [d for d in (p, q) if isinstance(d, Discrete | Samples)]
    smooth = [d for d in (p, q) if not isinstance(d, Discrete | Samples)]
    if len(smooth) == 2:
        x = nodes(smooth[0], smooth[1], per_std)
        return sign_changes(lambda t: cdf(p, t) - cdf(q, t), x, noise=1e-15)
    atoms = np.unique(np.concatenate([d.points[d.weights > 0, 0] for d in finite]))
    if len(smooth) == 0:
        return atoms
    # Between two atoms one function is constant and the other grows: they meet once at most.
    low, high, level = atoms[:-1].copy(), atoms[1:].copy(), cdf(finite[0], atoms[:-1])
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = cdf(smooth[0], middle) < level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.unique(np.concatenate([atoms, 0.5 * (low + high)]))


def areas(p: Distribution, q: Distribution, at: Array) -> Array:
    r"""(k+1,) :math:`\int (F_P - F_Q)` over the intervals that the sorted places `at` (k,) cut the line into."""
    if isinstance(p, Discrete | Samples) and isinstance(q, Discrete | Samples):  # constant in between: no cancellation
        height = cdf(p, at[:-1]) - cdf(q, at[:-1])
        return np.concatenate([[0.0], height * np.diff(at), [0.0]])
    means = [float(d.mean[0]) if not isinstance(d, Samples) else float(d.points.mean()) for d in (p, q)]
    difference = excess(p, at) - excess(q, at)
    return np.diff(np.concatenate([[0.0], difference, [means[1] - means[0]]]))


def coupling(p: Discrete | Samples, q: Discrete | Samples) -> tuple[Array, Array, Array]:
    """The monotone plan: rows (k,) of p, columns (k,) of q, and the mass (k,) that goes from one to the other.

    The u-quantile goes to the u-quantile, for every u in (0, 1): optimal for every convex function of x - y
    (Villani 2003, Topics in Optimal Transportation, theorem 2.18). At most n + m - 1 entries.
    """
    one, two = (np.argsort(d.points[:, 0], kind="stable") for d in (p, q))
    one, two = one[p.weights[one] > 0], two[q.weights[two] > 0]
    ends, others = np.cumsum(p.weights[one]), np.cumsum(q.weights[two])
    ends[-1] = others[-1] = 1.0
    cuts = np.unique(np.concatenate([[0.0], ends, others]))
    mass, middle = np.diff(cuts), 0.5 * (cuts[:-1] + cuts[1:])
    rows = one[np.minimum(np.searchsorted(ends, middle), len(one) - 1)]
    columns = two[np.minimum(np.searchsorted(others, middle), len(two) - 1)]
    held = mass > 1e-16  # slivers of rounding
    return rows[held], columns[held], mass[held]


def _components(p: Density) -> list[tuple[float, float, float]]:
    """Weight, mean and standard deviation of each."""
    return [(float(w), float(c.mean[0]), float(c.factor[0, 0])) for w, c in zip(p.weights, p.components)]
