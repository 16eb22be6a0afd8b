"""Wasserstein distances, with the transport plans that attain them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from ..errors import InputError, PushforwardError
from . import line
from .distributions import Array, Discrete, Distribution, Finite, Gaussian, Samples, as_pair
from .plan import Plan
from .ratio import same_shape
from .values import Divergence

PAIRS = 16_000_000
"""Pairs of points, at most, in a linear program (4,000 samples against 4,000)."""


@dataclass(frozen=True, eq=False)
class Transport(Divergence):
    """A transport distance; `plan` attains it when both sides are points, and is None otherwise."""

    plan: Plan | None = field(default=None, repr=False, kw_only=True)


def wasserstein1(p: Any, q: Any) -> Transport:
    r"""Wasserstein-1 or earth-mover distance, in the unit of the points.

    .. math:: W_1(P, Q) = \inf_{\gamma \in \Gamma(P, Q)} E_{(x, y) \sim \gamma} \|x - y\|

    | p, q | how |
    |---|---|
    | on the line, any two | :math:`\int |F_P - F_Q|`: exact for points, samples and Gaussians |
    | points or samples | linear program (POT's network simplex): exact, with its plan |
    | Gaussians of one covariance, any d | :math:`\|\mu_p - \mu_q\|`: one is a translate of the other |
    | other densities, d > 1 | refused, with bounds for Gaussians |

    Samples stand for their empirical distributions. As an estimate of what they came from the value is biased upward,
    by an amount that shrinks like n^(-1/d): compare with two halves of one sample.

    Raises:
        InputError: for pairs that are refused, different dimensions, or more than 16 million pairs of points.

    Source: Villani 2003, Topics in Optimal Transportation, sec. 2.2; Bonneel et al. 2011 (the solver).
    """
    p, q = as_pair(p, q)
    points = isinstance(p, Discrete | Samples) and isinstance(q, Discrete | Samples)
    if p.dimension == 1:
        return _line(p, q, _monotone(p, q) if points else None)
    if points:
        plan = program(p, q, 1)[0]
        return Transport(plan.cost, "exact", "linear program", plan=plan)
    if same_shape(p, q) is not None:
        assert isinstance(p, Gaussian) and isinstance(q, Gaussian)
        return Transport(float(np.linalg.norm(p.mean - q.mean)), "exact", "translate of one Gaussian")
    bounds = ""
    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        low, high = float(np.linalg.norm(p.mean - q.mean)), wasserstein2(p, q).value
        bounds = f" It is at least |m_p - m_q| = {low:.6g} and at most W2 = {high:.6g}."
    raise InputError(
        f"W1 of {p} and {q} has no closed form in {p.dimension} dimensions.{bounds}",
        "Compare samples: wasserstein1(p.sample(1000), q.sample(1000)).",
    )


def wasserstein2(p: Any, q: Any) -> Transport:
    r"""Wasserstein-2 distance (not squared), in the unit of the points.

    .. math:: W_2^2 = \inf_\gamma E \|x - y\|^2; \quad
        W_2^2 = \|\mu_p - \mu_q\|^2 + tr(\Sigma_p + \Sigma_q - 2 (\Sigma_p^{1/2} \Sigma_q \Sigma_p^{1/2})^{1/2})

    the second for Gaussians in any dimension; points and samples by the monotone plan on the line, and by a linear
    program otherwise.

    Raises:
        InputError: for other pairs.

    Source: Givens and Shortt 1984; Peyre and Cuturi 2019, Computational Optimal Transport, remark 2.31.
    """
    p, q = as_pair(p, q)
    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        # With L_q^T L_p = U S V^T the trace term is |L_p - L_q U V^T|^2: no cancellation when p is nearly q.
        u, _, vt = np.linalg.svd(q.factor.T @ p.factor)
        squared = ((p.mean - q.mean) ** 2).sum() + ((p.factor - q.factor @ (u @ vt)) ** 2).sum()
        return Transport(float(np.sqrt(squared)), "exact", "closed form of Gaussians")
    if isinstance(p, Discrete | Samples) and isinstance(q, Discrete | Samples):
        plan = _monotone(p, q) if p.dimension == 1 else program(p, q, 2)[0]
        how = "monotone plan" if p.dimension == 1 else "linear program"
        return Transport(float(np.sqrt(plan.mass @ plan.distances**2)), "exact", how, plan=plan)
    raise InputError(
        f"W2 of {p} and {q} has no closed form here.", "Compare samples: wasserstein2(p.sample(1000), q.sample(1000))."
    )


def _line(p: Distribution, q: Distribution, plan: Plan | None) -> Transport:
    at = line.breaks(p, q)
    value = float(np.abs(line.areas(p, q, at)).sum())
    if plan is not None or (isinstance(p, Gaussian) and isinstance(q, Gaussian)):
        return Transport(value, "exact", "integral of |F_p - F_q|", plan=plan)
    rough = float(np.abs(line.areas(p, q, line.breaks(p, q, line.PER_STD // 2))).sum())
    return Transport(value, "quadrature", f"integral of |F_p - F_q|, {len(at)} sign changes", abs(value - rough))


def _monotone(p: Finite, q: Finite) -> Plan:
    rows, columns, mass = line.coupling(p, q)
    return Plan(p.points, q.points, p.weights, q.weights, rows.astype(int), columns.astype(int), mass)


def costs(x: Array, y: Array) -> Array:
    """(n, m) Euclidean distances, from differences: exact zeros for equal points."""
    from scipy.spatial.distance import cdist

    return cast(Array, cdist(x, y))


def program(p: Finite, q: Finite, power: int) -> tuple[Plan, Array]:
    """The optimal plan for |x - y|^power, and the dual variable of each target point of positive mass."""
    import warnings

    import ot

    one, two = np.flatnonzero(p.weights > 0), np.flatnonzero(q.weights > 0)
    if len(one) * len(two) > PAIRS:
        raise InputError(
            f"an exact plan between {len(one):,} and {len(two):,} points has {len(one) * len(two):,} pairs.",
            f"At most {PAIRS:,} are solved: take a subset of the samples.",
        )
    cost = costs(p.points[one], q.points[two]) ** power
    scale = float(cost.max()) or 1.0  # the solver's tolerances are absolute
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix, log = ot.emd(p.weights[one], q.weights[two], cost / scale, numItermax=100_000_000, log=True)
    if log.get("warning"):
        raise PushforwardError(f"the transport program between {p} and {q} was not solved: {log['warning']}")
    rows, columns = np.nonzero(matrix)
    plan = Plan(p.points, q.points, p.weights, q.weights, one[rows], two[columns], matrix[rows, columns])
    return plan, scale * np.asarray(log["v"], np.float64)
