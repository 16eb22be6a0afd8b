r"""Expectations of functions of the log ratio :math:`r(x) = \log p(x) / q(x)`: TV, KL, JS and the value of a GAN.

.. math:: I = E_{x \sim P}\, g(x, r(x)) + E_{x \sim Q}\, h(x, r(x))

- Weighted points: the sum over the union of the supports; r is infinite where one of them has no mass.
- Densities in one or two dimensions: the trapezoid rule in the coordinates z of each component, x = mu_k + L_k z. For
  smooth integrands it converges faster than any power of the step (Trefethen and Weideman 2014, SIAM Review 56(3)).
  The step is halved until the value stays.
- Weighted points against a density: they are mutually singular; r is infinite under P, and minus infinite under Q.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .distributions import Array, Density, Discrete, Distribution, Gaussian, Samples, aligned
from .values import Kind

Function = Callable[[Array, Array], Any]

RADIUS = {1: 12.0, 2: 9.0}
"""How many standard deviations of each component the trapezoid rule covers; beyond lie 4e-33, and 5e-19."""

BUDGET, LIMIT = 40_000_000, 100_000_000
"""Evaluations of a Gaussian density in one pass of the trapezoid rule: the step is not halved again beyond the first
number, and what needs more than the second for two passes is refused."""

CHUNK = 200_000
TOLERANCE = 1e-13


@dataclass(frozen=True)
class Integral:
    """A value with its error and how it was found; `step` of the last pass where it was quadrature."""

    value: float
    kind: Kind
    method: str
    error: float = 0.0


def integrate(
    p: Distribution, q: Distribution, g: Function, h: Function | None, name: str, *, of_ratio: bool = True
) -> Integral:
    """E_P g(x, r) + E_Q h(x, r), for the divergence `name` (in messages).

    Args:
        of_ratio: g and h use r only: Gaussians of one covariance may then be projected onto the line between them.

    Raises:
        InputError: for samples, and for densities in more than two dimensions that are not such Gaussians.
    """
    if isinstance(p, Samples) or isinstance(q, Samples):
        raise InputError(
            f"{name} is not a function of samples: two sets of continuous samples share no point, so their empirical "
            "distributions are as far apart as can be (TV 1, KL infinite, JS log 2) whatever they came from.",
            "Use wasserstein1, which takes samples; a classifier's two-sample test, or kl_neighbours, an estimate from "
            "densities of neighbours; or Discrete.count(samples) when values repeat.",
        )
    if isinstance(p, Discrete) and isinstance(q, Discrete):
        points, a, b = aligned(p, q)
        with np.errstate(divide="ignore", invalid="ignore"):  # points that neither has count for nothing
            r = np.log(a) - np.log(b)
        return Integral(_sum(points, r, a, g) + _sum(points, r, b, h), "exact", "sum over the support")
    if isinstance(p, Discrete) or isinstance(q, Discrete):
        at, there = _atoms(p), _atoms(q)
        value = _sum(at, np.full(len(at), np.inf), np.full(len(at), 1 / len(at)), g)
        value += _sum(there, np.full(len(there), -np.inf), np.full(len(there), 1 / len(there)), h)
        return Integral(value, "exact", "points have no mass under a density: mutually singular")
    method = ""
    if of_ratio and (distance := same_shape(p, q)) is not None:
        p, q = Gaussian(distance, 1.0), Gaussian(0.0, 1.0)
        method = "Gaussians of one covariance, projected onto a line; "
    return _trapezoid(p, q, g, h, name, method)


def same_shape(p: Distribution, q: Distribution) -> float | None:
    r""":math:`\|\Sigma^{-1/2} (\mu_p - \mu_q)\|` when both are Gaussians of one covariance, else None."""
    if not (isinstance(p, Gaussian) and isinstance(q, Gaussian) and np.array_equal(p.factor, q.factor)):
        return None
    return float(np.linalg.norm(np.linalg.solve(p.factor, p.mean - q.mean)))


def log_ratio(p: Density, q: Density, x: Array) -> Array:
    """(n,) log p(x) - log q(x)."""
    return p.log_density(x) - q.log_density(x)


def _atoms(p: Distribution) -> Array:
    """Points that P gives all its mass to, or a point that stands for a density."""
    return p.points[p.weights > 0] if isinstance(p, Discrete | Samples) else np.atleast_2d(p.mean)


def _sum(points: Array, r: Array, weights: Array, function: Function | None) -> float:
    if function is None:
        return 0.0
    held = weights > 0  # 0 log 0 = 0: points without mass count for nothing, whatever r is
    return float(weights[held] @ np.broadcast_to(function(points[held], r[held]), held.sum()))


def _trapezoid(p: Density, q: Density, g: Function, h: Function | None, name: str, method: str) -> Integral:
    d = p.dimension
    if d > 2:
        raise InputError(
            f"{name} of {p} and {q} has no closed form in {d} dimensions, and a grid would be too large.",
            "Known are: Gaussians of one covariance in any dimension, any mixtures in one and two dimensions, and KL "
            "between two Gaussians. Project onto one or two directions, or use wasserstein1 of samples.",
        )
    sides = [(mine, function) for mine, function in ((p, g), (q, h)) if function is not None]
    everyone = (*p.components, *q.components)
    steps = [[_first_step(c, everyone) for c in mine.components] for mine, _ in sides]
    value, error, count = float("nan"), float("inf"), 0
    level = 0
    while True:
        nodes = [[_count(step / 2**level, d) for step in mine] for mine in steps]
        work = sum(n for mine in nodes for n in mine) * len(everyone)
        if work > BUDGET and level > 1:
            break
        if work * (1 if level else 2**d) > LIMIT:
            raise InputError(
                f"{name}: the narrowest and the widest component differ too much for a grid of {d} dimensions.",
                "Rescale the columns, or compare marginals.",
            )
        total = 0.0
        for (mine, function), step in zip(sides, steps):
            for weight, component, h0 in zip(mine.weights, mine.components, step):
                part = 0.0
                for z, mass in _lattice(h0 / 2**level, d):
                    x = component.mean + z @ component.factor.T
                    part += float(mass @ np.broadcast_to(function(x, log_ratio(p, q, x)), len(x)))
                total += float(weight) * part
        error, value = abs(total - value) if level else float("inf"), total
        count = max(n for mine in nodes for n in mine)
        if error <= TOLERANCE * max(1.0, abs(value)):
            break
        level += 1
    return Integral(value, "quadrature", f"{method}trapezoid rule, {count:,} nodes a component", error)


def _first_step(component: Gaussian, everyone: tuple[Gaussian, ...]) -> float:
    """The narrowest standard deviation of any component, seen in the coordinates of this one; at most 1/2.

    The rule integrates a Gaussian of standard deviation s with a step of s to 5e-9, and of s/2 to 1e-34.
    """
    narrowest = min(
        float(np.linalg.svd(np.linalg.solve(component.factor, other.factor), compute_uv=False)[-1])
        for other in everyone
    )
    return min(0.5, narrowest)


def _count(step: float, d: int) -> int:
    return int((2 * np.ceil(RADIUS[d] / step) + 1) ** d)


def _lattice(step: float, d: int) -> Iterator[tuple[Array, Array]]:
    """The nodes z (n, d) of a lattice, in chunks, with their standard normal mass (summing to 1)."""
    half = int(np.ceil(RADIUS[d] / step))
    line = np.arange(-half, half + 1, dtype=np.float64) * step
    mass = np.exp(-0.5 * line**2)
    mass /= mass.sum()
    if d == 1:
        for start in range(0, len(line), CHUNK):
            yield line[start : start + CHUNK, None], mass[start : start + CHUNK]
        return
    rows = max(1, CHUNK // len(line))
    for start in range(0, len(line), rows):
        own = line[start : start + rows]
        z = np.stack(np.meshgrid(own, line, indexing="ij"), axis=-1).reshape(-1, 2)
        yield np.asarray(z, np.float64), np.asarray(np.outer(mass[start : start + rows], mass).reshape(-1), np.float64)
