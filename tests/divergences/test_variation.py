"""Total variation against its definition: the supremum over events."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import optimize, stats

from pushforward.divergences import Discrete, Gaussian, Mixture, total_variation

from .strategies import same_support

few = settings(max_examples=60, deadline=None)


@few
@given(same_support())
def test_no_event_does_better(pair: list[np.ndarray]) -> None:
    p, q = pair
    events = np.array(list(itertools.product([0, 1], repeat=len(p))))
    found = total_variation(p, q)
    assert float(found) == pytest.approx(np.abs(events @ (p - q)).max(), abs=1e-15)
    assert float(found) == pytest.approx(0.5 * np.abs(p - q).sum(), abs=1e-15)
    inside = found.event.contains(np.arange(len(p)))
    assert p @ inside == pytest.approx(found.event.p, abs=1e-15)
    assert q @ inside == pytest.approx(found.event.q, abs=1e-15)
    assert found.event.p - found.event.q == pytest.approx(float(found), abs=1e-15)
    assert float(total_variation(q, p)) == pytest.approx(float(found), abs=1e-15)


def probability(intervals: tuple[tuple[float, float], ...], *normals: tuple[float, float, float]) -> float:
    return sum(
        w * (stats.norm.cdf(b, m, math.sqrt(v)) - stats.norm.cdf(a, m, math.sqrt(v)))
        for a, b in intervals
        for w, m, v in normals
    )


@pytest.mark.parametrize(
    "p, q", [((0, 1), (1, 1)), ((0, 1), (1, 4)), ((3, 0.01), (0, 9)), ((0, 1), (0, 1.0001)), ((0, 1), (1e-3, 1))]
)
def test_gaussians_on_the_line(p: tuple[float, float], q: tuple[float, float]) -> None:
    found = total_variation(Gaussian(*p), Gaussian(*q))
    assert found.kind == "exact" and found.event.intervals is not None
    at_p, at_q = (probability(found.event.intervals, (1, *d)) for d in (p, q))
    assert found.event.p == pytest.approx(at_p, abs=1e-14) and found.event.q == pytest.approx(at_q, abs=1e-14)
    assert float(found) == pytest.approx(at_p - at_q, abs=1e-14)
    # and half the integral of |p - q|, on a grid of its own
    x = np.linspace(-60, 60, 2_400_001)
    gap = stats.norm.pdf(x, p[0], math.sqrt(p[1])) - stats.norm.pdf(x, q[0], math.sqrt(q[1]))
    assert float(found) == pytest.approx(0.5 * np.trapezoid(np.abs(gap), x), rel=1e-6)


def test_no_pair_of_thresholds_beats_the_event() -> None:
    def negative(ends: np.ndarray) -> float:
        a, b = sorted(ends)
        return -abs(probability(((a, b),), (1, 0, 1)) - probability(((a, b),), (1, 1, 4)))

    best = min(optimize.minimize(negative, s, method="Nelder-Mead").fun for s in ([-1, 1], [-3, 2], [1, 5]))
    assert float(total_variation(Gaussian(0, 1), Gaussian(1, 4))) == pytest.approx(-best, abs=1e-7)


def test_mixtures_on_the_line() -> None:
    p = Mixture([0.3, 0.7], [Gaussian(-2, 0.5), Gaussian(2, 1)])
    found = total_variation(p, Gaussian(1, 4))
    assert found.event.intervals is not None and len(found.event.intervals) == 2
    at_p = probability(found.event.intervals, (0.3, -2, 0.5), (0.7, 2, 1))
    at_q = probability(found.event.intervals, (1, 1, 4))
    assert float(found) == pytest.approx(at_p - at_q, abs=1e-14)
    x = np.linspace(-20, 20, 400_001)
    gap = np.exp(p.log_density(x)) - stats.norm.pdf(x, 1, 2)
    assert float(found) == pytest.approx(0.5 * np.trapezoid(np.abs(gap), x), abs=1e-9)
    assert (found.event.contains(x) == (gap > 0)).all()
    assert float(total_variation(p, p)) == 0.0


@pytest.mark.parametrize("d", [2, 6])
def test_gaussians_of_one_covariance(d: int) -> None:
    rng = np.random.default_rng(d)
    a = rng.standard_normal((d, d))
    covariance, mean = a @ a.T + np.eye(d), rng.standard_normal(d)
    p, q = Gaussian(mean, covariance), Gaussian(np.zeros(d), covariance)
    distance = math.sqrt(mean @ np.linalg.solve(covariance, mean))
    found = total_variation(p, q)
    assert float(found) == pytest.approx(2 * stats.norm.cdf(distance / 2) - 1, rel=1e-12)
    n = 100_000
    share = found.event.contains(p.sample(n, 1).points).mean()
    assert share == pytest.approx(found.event.p, abs=5 * math.sqrt(0.25 / n))


def test_the_error_of_the_plane_is_honest() -> None:
    """Two copies of one Gaussian hide the closed form from the dispatch, not from the test."""
    p, q = Gaussian([0.7, -0.4], [[1, 0.5], [0.5, 2]]), Gaussian([0, 0], [[1, 0.5], [0.5, 2]])
    hidden = total_variation(p, Mixture([0.5, 0.5], [q, q]))
    exact = float(total_variation(p, q))
    assert hidden.kind == "quadrature" and 0 < hidden.error < 1e-5
    assert abs(float(hidden) - exact) <= 3 * hidden.error
    assert hidden.event.p - hidden.event.q == pytest.approx(float(hidden), abs=1e-12)
    assert hidden.event.p == pytest.approx(0.5 + exact / 2, abs=1e-3)


def test_points_against_a_density() -> None:
    points, density = Discrete([0, 1], [0.5, 0.5]), Gaussian(0, 1)
    one, two = total_variation(points, density), total_variation(density, points)
    assert float(one) == float(two) == 1.0
    assert one.event.contains([0, 1, 0.5]).tolist() == [True, True, False]
    assert two.event.contains([0, 1, 0.5]).tolist() == [False, False, True]
