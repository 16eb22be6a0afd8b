"""Kantorovich-Rubinstein duality: no gap, and a Lipschitz constant of 1 on the whole space."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import integrate, stats

from pushforward.divergences import Discrete, Gaussian, Mixture, Potential, kantorovich_potentials, wasserstein1
from pushforward.divergences.potentials import _lipschitz
from pushforward.errors import InputError

from .strategies import clouds

few = settings(max_examples=60, deadline=None)


def lipschitz_everywhere(f: Potential, near: np.ndarray, seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    x = np.concatenate([near, near[rng.integers(0, len(near), 200)] + rng.standard_normal((200, near.shape[1]))])
    rise = np.abs(f(x)[:, None] - f(x))
    run = np.linalg.norm(x[:, None] - x, axis=-1)
    return float((rise[run > 1e-6] / run[run > 1e-6]).max()) if (run > 1e-6).any() else 0.0


@few
@given(clouds())
def test_points(pair: list[Discrete]) -> None:
    p, q = pair
    f = kantorovich_potentials(p, q)
    assert abs(f.gap) < 1e-10 and f.distance == pytest.approx(float(wasserstein1(p, q)), abs=1e-12)
    assert p.weights @ f(p.points) - q.weights @ f(q.points) == pytest.approx(f.distance, abs=1e-10)
    assert q.weights @ f(q.points) == pytest.approx(0, abs=1e-12)
    assert f.lipschitz <= 1 + 1e-9
    assert lipschitz_everywhere(f, np.concatenate([p.points, q.points])) <= 1 + 1e-9


@few
@given(clouds())
def test_mass_moves_along_slopes_of_one(pair: list[Discrete]) -> None:
    """Complementary slackness: wherever the plan moves mass from x to y, f(x) - f(y) = |x - y|."""
    p, q = pair
    f, plan = kantorovich_potentials(p, q), wasserstein1(p, q).plan
    assert plan is not None
    fall = f(p.points)[plan.rows] - f(q.points)[plan.columns]
    assert np.abs(fall - plan.distances)[plan.mass > 1e-6].max(initial=0) < 1e-8


def test_no_other_critic_does_better() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 2)), rng.standard_normal((45, 2)) + np.array([1, 0])
    f = kantorovich_potentials(x, y)
    assert f.lipschitz == pytest.approx(1, abs=1e-9)
    assert "Lipschitz constant 1.000000000" in str(f)
    for _ in range(200):  # distances to random places, with random signs, are 1-Lipschitz
        place, sign = rng.standard_normal(2) * 3, rng.choice([-1, 1])
        critic = [sign * np.linalg.norm(z - place, axis=1).mean() for z in (x, y)]
        assert critic[0] - critic[1] <= f.value + 1e-12


@pytest.mark.parametrize("scale", [1e-12, 1e8])
def test_units_do_not_matter(scale: float) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((80, 2)), rng.standard_normal((80, 2))
    f, g = kantorovich_potentials(x, y), kantorovich_potentials(x * scale, y * scale)
    assert g.value == pytest.approx(scale * f.value, rel=1e-10) and abs(g.gap) < 1e-10 * g.distance
    assert g.lipschitz == pytest.approx(1, abs=1e-9)


def test_the_lipschitz_constant_is_measured() -> None:
    rng = np.random.default_rng(3)
    for points in (np.sort(rng.standard_normal((300, 1)), axis=0), rng.standard_normal((300, 2))):
        direction = np.ones(points.shape[1]) / math.sqrt(points.shape[1])
        steep = _lipschitz(points, (1 + 1e-7) * points @ direction)
        assert steep <= 1 + 1e-7 + 1e-12 and (points.shape[1] > 1 or steep > 1 + 5e-8)
        bent = np.linalg.norm(points - points[0], axis=1) * (1 + 1e-7)
        assert _lipschitz(points, bent) == pytest.approx(1 + 1e-7, abs=1e-12)


def test_many_points_on_the_line() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((20_000, 1)), 1.5 * rng.standard_normal((15_000, 1)) + 1e4
    f = kantorovich_potentials(x, y)
    assert abs(f.gap) < 1e-12 * f.distance and f.lipschitz <= 1 + 1e-9


def expectation(f: Potential, density, ends: list[float]) -> float:
    return sum(
        integrate.quad(lambda x: float(f([x])[0]) * density(x), a, b, limit=200, epsabs=1e-11)[0]
        for a, b in itertools.pairwise(ends)
    )


@pytest.mark.parametrize("mean, variance", [(1, 4), (3, 1), (0, 9)])
def test_densities_on_the_line(mean: float, variance: float) -> None:
    p = Mixture([0.3, 0.7], [Gaussian(-2, 0.5), Gaussian(2, 1)])
    q = Gaussian(mean, variance)
    f = kantorovich_potentials(p, q)
    ends = np.linspace(-40, 40, 41).tolist()
    dual = expectation(f, lambda x: math.exp(p.log_density([x])[0]), ends)
    dual -= expectation(f, lambda x: stats.norm.pdf(x, mean, math.sqrt(variance)), ends)
    assert dual == pytest.approx(float(wasserstein1(p, q)), abs=1e-6)
    assert abs(f.gap) < 1e-12 and f.lipschitz == 1.0
    assert lipschitz_everywhere(f, np.linspace(-10, 10, 101)[:, None]) <= 1 + 1e-9


def test_points_against_a_density() -> None:
    f = kantorovich_potentials(Discrete([0], [1]), Gaussian(0, 1))
    assert f.value == pytest.approx(math.sqrt(2 / math.pi), rel=1e-12)
    assert f([-2, 0, 3]) - f([0]) == pytest.approx([-2, 0, -3])


def test_translates_of_a_gaussian() -> None:
    p, q = (Gaussian(m, [[2, 0.5], [0.5, 1]]) for m in ([3, 4], [0, 0]))
    f = kantorovich_potentials(p, q)
    assert f.value == pytest.approx(5) and f.lipschitz == pytest.approx(1)
    assert f([[3, 4], [0, 0], [-4, 3]]) == pytest.approx([5, 0, 0])
    assert kantorovich_potentials(p, p).value == 0
    with pytest.raises(InputError, match="no closed form"):
        kantorovich_potentials(p, Gaussian([0, 0], 1))
