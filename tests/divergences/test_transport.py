"""Plans and transport distances against SciPy, POT, a linear program and closed forms."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from scipy import integrate, linalg, optimize, stats

from pushforward.divergences import Discrete, Gaussian, Mixture, Plan, Samples, wasserstein1, wasserstein2
from pushforward.errors import InputError, PushforwardError

from .strategies import clouds

few = settings(max_examples=60, deadline=None)


def program(p: Discrete, q: Discrete, power: float = 1.0) -> float:
    """The transport problem as a dense linear program, for HiGHS."""
    n, m = len(p.points), len(q.points)
    cost = np.linalg.norm(p.points[:, None] - q.points[None], axis=-1) ** power
    sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    return float(optimize.linprog(cost.ravel(), A_eq=sums, b_eq=np.concatenate([p.weights, q.weights])).fun)


@few
@given(clouds())
def test_plans_are_optimal(pair: list[Discrete]) -> None:
    p, q = pair
    for power, found in ((1, wasserstein1(p, q)), (2, wasserstein2(p, q))):
        assert float(found) ** power == pytest.approx(program(p, q, power), abs=1e-8)
        plan = found.plan
        assert plan is not None and plan.matrix.shape == (len(p.points), len(q.points))
        assert np.abs(plan.matrix.sum(1) - p.weights).max() < 1e-9
        assert np.abs(plan.matrix.sum(0) - q.weights).max() < 1e-9
        distance = np.linalg.norm(p.points[:, None] - q.points[None], axis=-1)
        assert (plan.matrix * distance**power).sum() == pytest.approx(float(found) ** power, abs=1e-9)
    assert len(found.plan.mass) <= len(p.points) + len(q.points) - 1


@few
@given(clouds(3))
def test_w1_is_a_metric(triple: list[Discrete]) -> None:
    p, q, r = triple
    assert float(wasserstein1(p, q)) == pytest.approx(float(wasserstein1(q, p)), abs=1e-12)
    assert float(wasserstein1(p, p)) == 0.0
    assert float(wasserstein1(p, q)) <= float(wasserstein1(p, r)) + float(wasserstein1(r, q)) + 1e-9
    assert float(wasserstein1(p, q)) <= float(wasserstein2(p, q)) + 1e-7  # Jensen
    back = wasserstein1(q, p).plan
    assert back is not None and back.cost == pytest.approx(float(wasserstein1(p, q)), abs=1e-12)
    order = np.random.default_rng(0).permutation(len(p.points))
    shuffled = Discrete(p.points[order], p.weights[order])
    assert float(wasserstein1(shuffled, q)) == pytest.approx(float(wasserstein1(p, q)), abs=1e-12)


@few
@given(clouds(dimension=1))
def test_the_line_agrees_with_scipy(pair: list[Discrete]) -> None:
    p, q = pair
    expected = stats.wasserstein_distance(p.points[:, 0], q.points[:, 0], p.weights, q.weights)
    found = wasserstein1(p, q)
    assert float(found) == pytest.approx(expected, abs=1e-13)
    assert found.plan is not None and found.plan.cost == pytest.approx(expected, abs=1e-13)


def test_samples_agree_with_pot() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 3)), rng.standard_normal((101, 3)) + 0.5
    cost = ot.dist(x, y, metric="euclidean")
    assert float(wasserstein1(x, y)) == pytest.approx(ot.emd2(ot.unif(150), ot.unif(101), cost), rel=1e-9)
    assert float(wasserstein2(x, y)) == pytest.approx(math.sqrt(ot.emd2([], [], ot.dist(x, y))), rel=1e-9)
    assert float(wasserstein1(x[:, :1], y[:, :1])) == pytest.approx(
        stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-12
    )
    far = 1e6
    assert float(wasserstein1(x[:, :1] + far, y[:, :1] + far)) == pytest.approx(
        float(wasserstein1(x[:, :1], y[:, :1])), abs=1e-9
    )


def test_the_largest_moves() -> None:
    plan = wasserstein1([0.5, 0.3, 0.2, 0.0], [0.5, 0.0, 0.2, 0.3]).plan
    assert plan is not None
    moves = plan.moves()
    assert sum(m.work for m in moves) == pytest.approx(0.6) and plan.cost == pytest.approx(0.6)
    assert all(a.work >= b.work for a, b in itertools.pairwise(moves)) and len(plan.moves(1)) == 1
    assert wasserstein1([1.0, 0], [0, 1.0]).plan.moves()[0].__str__() == "1 from 0 to 1, a distance of 1"


def test_a_plan_with_the_wrong_sums_is_refused() -> None:
    plan = wasserstein1(Discrete([0, 1, 2], [0.2, 0.3, 0.5]), Discrete([5, 7], [0.6, 0.4])).plan
    assert plan is not None
    with pytest.raises(PushforwardError, match="is off by"):
        replace(plan, mass=plan.mass * (1 + 1e-8))
    with pytest.raises(PushforwardError, match="negative mass"):
        replace(plan, mass=-plan.mass)
    with pytest.raises((PushforwardError, ValueError, IndexError)):  # the transpose
        Plan(plan.source, plan.target, plan.source_weights, plan.target_weights, plan.columns, plan.rows, plan.mass)


@pytest.mark.parametrize("p, q", [((0, 1), (1, 4)), ((0, 1), (3, 1)), ((2, 0.25), (2, 9)), ((0, 1), (0, 1))])
def test_gaussians_on_the_line(p: tuple[float, float], q: tuple[float, float]) -> None:
    """The monotone map is affine: W1 = E |dm + ds Z|, the mean of a folded normal."""
    shift, scale = q[0] - p[0], abs(math.sqrt(q[1]) - math.sqrt(p[1]))
    expected = abs(shift)
    if scale:
        expected = scale * math.sqrt(2 / math.pi) * math.exp(-(shift**2) / (2 * scale**2))
        expected += shift * (1 - 2 * stats.norm.cdf(-shift / scale))
    found = wasserstein1(Gaussian(*p), Gaussian(*q))
    assert found.kind == "exact" and float(found) == pytest.approx(expected, abs=1e-14)
    assert float(wasserstein2(Gaussian(*p), Gaussian(*q))) == pytest.approx(math.hypot(shift, scale), abs=1e-14)


def test_mixtures_and_points_on_the_line() -> None:
    bumps = Mixture([0.3, 0.7], [Gaussian(-2, 0.5), Gaussian(2, 1)])
    steps = Discrete([-1, 0.5, 3], [0.2, 0.5, 0.3])

    def cdf(x: float) -> float:
        return 0.3 * stats.norm.cdf(x, -2, math.sqrt(0.5)) + 0.7 * stats.norm.cdf(x, 2, 1)

    def quad(other) -> float:
        ends = [-15, -1, 0.5, 3, 15]
        return sum(
            integrate.quad(lambda x: abs(cdf(x) - other(x)), a, b, limit=500, epsabs=1e-12)[0]
            for a, b in itertools.pairwise(ends)
        )

    found = wasserstein1(bumps, Gaussian(1, 4))
    assert found.kind == "quadrature" and found.error < 1e-12
    assert float(found) == pytest.approx(quad(lambda x: stats.norm.cdf(x, 1, 2)), abs=1e-8)
    assert float(wasserstein1(steps, bumps)) == pytest.approx(
        quad(lambda x: 0.2 * (x >= -1) + 0.5 * (x >= 0.5) + 0.3 * (x >= 3)), abs=1e-8
    )
    draws = bumps.sample(20_000, 3)
    assert float(wasserstein1(draws, bumps)) < 0.05  # samples against their own density
    assert float(wasserstein1(Discrete([0], [1]), Gaussian(0, 1))) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-12)


@pytest.mark.parametrize("d", [2, 4])
def test_w2_of_gaussians(d: int) -> None:
    rng = np.random.default_rng(d)
    a, b = (rng.standard_normal((d, d)) for _ in range(2))
    s, t = a @ a.T + np.eye(d), b @ b.T + 0.5 * np.eye(d)
    m, n = rng.standard_normal((2, d))
    root = linalg.sqrtm(s)
    expected = ((m - n) ** 2).sum() + np.trace(s + t - 2 * linalg.sqrtm(root @ t @ root).real)
    p, q = Gaussian(m, s), Gaussian(n, t)
    assert float(wasserstein2(p, q)) == pytest.approx(math.sqrt(expected), rel=1e-9)
    assert float(wasserstein2(p, q)) == pytest.approx(ot.gaussian.bures_wasserstein_distance(m, n, s, t), rel=1e-9)
    assert float(wasserstein2(p, Gaussian(m, s))) < 1e-13
    with pytest.raises(InputError, match=r"at least .* and at most W2"):
        wasserstein1(p, q)
    assert float(wasserstein1(p, Gaussian(n, s))) == pytest.approx(np.linalg.norm(m - n), rel=1e-12)


def test_what_is_refused_says_why() -> None:
    with pytest.raises(InputError, match="pairs"):
        wasserstein1(np.zeros((5000, 2)), np.zeros((5000, 2)))
    with pytest.raises(InputError, match="Compare samples"):
        wasserstein2(Discrete([0], [1]), Gaussian(0, 1))
    with pytest.raises(InputError, match="Compare samples"):
        wasserstein1(Samples(np.zeros((5, 2))), Gaussian([0, 0], 1))
