"""Total variation, Kullback-Leibler, Jensen-Shannon, Wasserstein-1: definitions by brute force, and their examples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.optimize import linprog

from pushforward.divergences import (
    Discrete,
    Gaussian,
    jensen_shannon,
    kantorovich_potentials,
    kl,
    line_segments,
    total_variation,
    wasserstein1,
)

RNG = np.random.default_rng(5)
P = np.array([0.1, 0.25, 0.05, 0.4, 0.2])
Q = np.array([0.3, 0.075, 0.225, 0.15, 0.25])
THETAS = (-2.0, -0.5, 0.01, 1.0, 3.0)


def clouds(seed: int = 5) -> tuple[Discrete, Discrete]:
    """Six and five weighted points in the plane."""
    rng = np.random.default_rng(seed)
    made = []
    for n, shift in ((6, 0.0), (5, 0.7)):
        weights = rng.random(n) + 0.1
        made.append(Discrete(rng.standard_normal((n, 2)) + shift, weights / weights.sum()))
    return made[0], made[1]


def primal(p: Discrete, q: Discrete) -> float:
    """The transport problem as the lecture writes it, by a linear program over all of gamma."""
    n, m = len(p.weights), len(q.weights)
    cost = np.linalg.norm(p.points[:, None] - q.points[None], axis=-1)
    out = np.kron(np.eye(n), np.ones((1, m)))  # sum over y of gamma(x, y), for each x
    into = np.kron(np.ones((1, n)), np.eye(m))  # sum over x, for each y
    found = linprog(cost.ravel(), A_eq=np.vstack([out, into]), b_eq=np.concatenate([p.weights, q.weights]))
    return float(found.fun)


def dual(p: Discrete, q: Discrete) -> float:
    """max E_P f - E_Q f over the values of f at all points, every pair of points a Lipschitz constraint."""
    points = np.concatenate([p.points, q.points])
    k, rows, bounds = len(points), [], []
    for i, j in itertools.permutations(range(k), 2):
        row = np.zeros(k)
        row[i], row[j] = 1, -1
        rows.append(row)
        bounds.append(np.linalg.norm(points[i] - points[j]))
    gain = np.concatenate([p.weights, -q.weights])
    found = linprog(-gain, A_ub=np.array(rows), b_ub=bounds, bounds=[(0, 0)] + [(None, None)] * (k - 1))
    return -float(found.fun)


# ------------------------------------------------------------------------------------------ definitions


def test_total_variation_is_the_largest_difference_over_all_events():
    """sup over the 32 events of five points, attained where p > q, and half the sum of |p - q|."""
    events = [np.array(e) for e in itertools.product([False, True], repeat=5)]
    differences = [abs(P[e].sum() - Q[e].sum()) for e in events]
    found = total_variation(P, Q)
    assert float(found) == pytest.approx(max(differences), abs=1e-15)
    assert float(found) == pytest.approx(0.5 * np.abs(P - Q).sum(), abs=1e-15)
    assert found.event.p - found.event.q == pytest.approx(float(found), abs=1e-15)
    assert np.array_equal(found.event.contains(np.arange(5.0)), P > Q)


def test_kl_is_its_integral_not_symmetric_and_not_negative():
    assert float(kl(P, Q)) == pytest.approx((P * np.log(P / Q)).sum(), rel=1e-14)
    assert abs(float(kl(P, Q)) - float(kl(Q, P))) > 0.01
    x = np.linspace(-20, 20, 200_001)
    p, q = Gaussian(0.3, 1.0), Gaussian(-1.0, 2.5)
    log_p, log_q = p.log_density(x[:, None]), q.log_density(x[:, None])
    assert float(kl(p, q)) == pytest.approx(trapezoid(np.exp(log_p) * (log_p - log_q), x), abs=1e-10)
    for _ in range(100):
        a, b = RNG.dirichlet(np.ones(5)), RNG.dirichlet(np.ones(5))
        assert float(kl(a, b)) >= 0
    assert float(kl(P, P)) == 0
    assert float(kl([0.5, 0.5], [1.0, 0.0])) == math.inf


def test_js_is_two_halves_of_kl_symmetric_and_bounded():
    m = (P + Q) / 2
    assert float(jensen_shannon(P, Q)) == pytest.approx(0.5 * float(kl(P, m)) + 0.5 * float(kl(Q, m)), abs=1e-15)
    for _ in range(100):
        a, b = RNG.dirichlet(0.3 * np.ones(5)), RNG.dirichlet(0.3 * np.ones(5))
        assert float(jensen_shannon(a, b)) == pytest.approx(float(jensen_shannon(b, a)), abs=1e-15)
        assert 0 <= float(jensen_shannon(a, b)) <= math.log(2)
    assert float(jensen_shannon([1, 0], [0, 1])) == pytest.approx(math.log(2), abs=1e-15)


def test_not_all_of_them_are_metrics():
    """The triangle inequality fails for KL and for JS; it holds for TV, W1 and the square root of JS."""
    a, b, c = (np.array([t, 1 - t]) for t in (0.1, 0.5, 0.9))
    for name, measure in (("kl", kl), ("js", jensen_shannon)):
        assert float(measure(a, c)) > float(measure(a, b)) + float(measure(b, c)), name
    for _ in range(100):
        a, b, c = (RNG.dirichlet(np.ones(4)) for _ in range(3))
        for measure, power in ((total_variation, 1.0), (wasserstein1, 1.0), (jensen_shannon, 0.5)):
            ab, bc, ac = (float(measure(x, y)) ** power for x, y in ((a, b), (b, c), (a, c)))
            assert ac <= ab + bc + 1e-12


def test_wasserstein_is_the_least_cost_of_a_plan():
    """inf over plans of E |x - y|: a linear program over every entry of gamma, and no other plan is cheaper."""
    p, q = clouds()
    found = wasserstein1(p, q)
    assert float(found) == pytest.approx(primal(p, q), abs=1e-9)
    assert found.plan is not None and found.plan.cost == pytest.approx(float(found), abs=1e-12)
    cost = np.linalg.norm(p.points[:, None] - q.points[None], axis=-1)
    independent = np.outer(p.weights, q.weights)
    assert float(found) < (independent * cost).sum()
    for share in (0.1, 0.5):  # a mixture of plans is a plan
        other = (1 - share) * found.plan.matrix + share * independent
        np.testing.assert_allclose(other.sum(1), p.weights, atol=1e-12)
        assert (other * cost).sum() > float(found)


def test_the_plan_s_marginals_and_who_moves():
    """gamma's rows sum to what leaves x, its columns to what arrives at y; the value is the same the other way."""
    p_r, p_theta = clouds()
    plan = wasserstein1(p_r, p_theta).plan  # earth P_r moved to the shape of P_theta: x in P_r, y in P_theta
    assert plan is not None
    np.testing.assert_allclose(plan.matrix.sum(1), p_r.weights, atol=1e-12)  # sum over y: move-out, P_r(x)
    np.testing.assert_allclose(plan.matrix.sum(0), p_theta.weights, atol=1e-12)  # sum over x: move-in, P_theta(y)
    back = wasserstein1(p_theta, p_r).plan  # the slide's own constraints move P_theta to P_r
    assert back is not None
    np.testing.assert_allclose(back.matrix.sum(1), p_theta.weights, atol=1e-12)
    np.testing.assert_allclose(back.matrix.sum(0), p_r.weights, atol=1e-12)
    assert back.cost == pytest.approx(plan.cost, abs=1e-12)
    # As printed beside "P_r to match P_theta" the sums would not even have the right length.
    assert plan.matrix.sum(0).shape != p_r.weights.shape


def test_work_is_mass_times_distance():
    """Two piles of the line: 0.3 of the earth goes one step, 0.2 of it two."""
    found = wasserstein1(Discrete([0.0, 5.0], [0.5, 0.5]), Discrete([1.0, 2.0, 5.0], [0.3, 0.2, 0.5]))
    assert float(found) == pytest.approx(0.3 * 1 + 0.2 * 2, abs=1e-12)
    assert found.plan is not None
    assert sum(move.work for move in found.plan.moves()) == pytest.approx(0.7, abs=1e-12)


# ------------------------------------------------------------------------------------------ line segments


@pytest.mark.parametrize("theta", THETAS)
def test_two_line_segments(theta):
    """TV 1, KL infinite both ways, JS log 2, W1 |theta|: the closed forms, and the same on points of the segments."""
    segments = line_segments(theta)
    p, q = segments.discrete(12)
    assert segments.total_variation == 1 == pytest.approx(float(total_variation(p, q)), abs=1e-14)
    assert segments.kl == float(kl(p, q)) == float(kl(q, p)) == math.inf
    assert segments.jensen_shannon == math.log(2) == pytest.approx(float(jensen_shannon(p, q)), abs=1e-14)
    assert segments.wasserstein1 == abs(theta) == pytest.approx(float(wasserstein1(p, q)), abs=1e-12)


def test_two_equal_line_segments():
    segments = line_segments(0.0)
    p, q = segments.discrete(12)
    for found, measure in (
        (segments.total_variation, total_variation),
        (segments.kl, kl),
        (segments.jensen_shannon, jensen_shannon),
        (segments.wasserstein1, wasserstein1),
    ):
        assert found == 0 and float(measure(p, q)) == pytest.approx(0, abs=1e-14)


def test_only_wasserstein_has_a_slope_towards_the_solution():
    """A generator that could move theta: W1 falls with it, JS does not change until it jumps to 0 at the end."""
    thetas = np.array([1.0, 0.1, 0.01, 0.001])
    w = [line_segments(t).wasserstein1 for t in thetas]
    js = [line_segments(t).jensen_shannon for t in thetas]
    np.testing.assert_allclose(np.diff(w) / np.diff(thetas), 1)
    assert set(js) == {math.log(2)} and line_segments(0.0).jensen_shannon == 0


# ------------------------------------------------------------------------------------------ duality


@pytest.mark.parametrize("seed", range(3))
def test_kantorovich_rubinstein_duality(seed):
    """The cheapest plan costs what the best 1-Lipschitz function gains: three values from three programs."""
    rng = np.random.default_rng(seed + 100)
    p, q = clouds(seed)
    f = kantorovich_potentials(p, q)
    cost, gain = primal(p, q), dual(p, q)
    assert gain == pytest.approx(cost, abs=1e-9)
    assert f.value == pytest.approx(cost, abs=1e-9)
    assert float(wasserstein1(p, q)) == pytest.approx(cost, abs=1e-9)
    assert f.lipschitz <= 1 + 1e-12
    # The potential is 1-Lipschitz everywhere, not at the points alone.
    x, y = rng.standard_normal((2, 500, 2)) * 3
    assert (np.abs(f(x) - f(y)) <= np.linalg.norm(x - y, axis=1) + 1e-12).all()
    # Any other 1-Lipschitz function gains less.
    for _ in range(50):
        direction = rng.standard_normal(2)
        direction /= np.linalg.norm(direction)
        plane = (x @ direction for x in (p.points, q.points))
        cone = (np.linalg.norm(x - direction, axis=1) for x in (p.points, q.points))
        for at_p, at_q in (plane, cone):
            assert abs(p.weights @ at_p - q.weights @ at_q) <= cost + 1e-12


def test_the_potential_rises_at_full_slope_along_every_way_of_the_plan():
    """f(x) - f(y) = |x - y| wherever the plan carries mass: where the gradient penalty's target of 1 comes from."""
    p, q = clouds()
    plan, f = wasserstein1(p, q).plan, kantorovich_potentials(p, q)
    assert plan is not None
    start, end = plan.source[plan.rows], plan.target[plan.columns]
    np.testing.assert_allclose(f(start) - f(end), plan.distances, atol=1e-10)
    middle = 0.3 * start + 0.7 * end
    np.testing.assert_allclose(f(middle) - f(end), 0.3 * plan.distances, atol=1e-10)
