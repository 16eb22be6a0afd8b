"""The optimal discriminator, and the value of the game in its three forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from pushforward.divergences import (
    Discrete,
    Gaussian,
    Mixture,
    Samples,
    gan_objective,
    gan_value,
    jensen_shannon,
    optimal_discriminator,
)
from pushforward.errors import InputError

from .strategies import same_support

few = settings(max_examples=60, deadline=None)
BUMPS = Mixture([0.3, 0.7], [Gaussian(-2, 0.5), Gaussian(2, 1)])


@few
@given(same_support())
def test_the_forms_agree_on_points(pair: list[np.ndarray]) -> None:
    p, q = pair
    value = gan_value(p, q)
    expected = 2 * float(jensen_shannon(p, q)) - math.log(4)
    for form in (value.maximum, value.optimum, value.ratios, value.divergence):
        assert form == pytest.approx(expected, abs=1e-12)
    x = np.arange(len(p), dtype=float)
    best = optimal_discriminator(p, q)(x)
    some = p + q > 0
    assert best[some] == pytest.approx((p / (p + q + (~some)))[some], abs=1e-15)
    assert (best[~some] == 0.5).all()
    assert gan_objective(p, q, optimal_discriminator(p, q)) == pytest.approx(expected, abs=1e-12)


@few
@given(same_support(3))
def test_no_other_discriminator_does_better(triple: list[np.ndarray]) -> None:
    p, q, d = triple

    def other(x: np.ndarray) -> np.ndarray:
        return d[x[:, 0].astype(int)]

    assert gan_objective(p, q, other) <= float(gan_value(p, q)) + 1e-12


@pytest.mark.parametrize(
    "p, q",
    [
        (BUMPS, Gaussian(1, 4)),
        (Gaussian(0, 1), Gaussian(8, 0.1)),
        (Gaussian([0, 0], [[1, 0.3], [0.3, 1]]), Gaussian([1, -1], [[2, -0.3], [-0.3, 0.5]])),
        (Gaussian([0.0] * 4, 1), Gaussian([1.0] * 4, 1)),
    ],
)
def test_the_forms_agree_on_densities(p: Gaussian, q: Gaussian) -> None:
    value = gan_value(p, q)
    expected = 2 * float(jensen_shannon(p, q)) - math.log(4)
    for form in (value.maximum, value.optimum, value.ratios, value.divergence):
        assert form == pytest.approx(expected, abs=1e-12)


def test_densities_on_the_line() -> None:
    best = optimal_discriminator(BUMPS, Gaussian(1, 4))
    x = np.linspace(-6, 6, 101)
    p = 0.3 * stats.norm.pdf(x, -2, math.sqrt(0.5)) + 0.7 * stats.norm.pdf(x, 2, 1)
    q = stats.norm.pdf(x, 1, 2)
    assert best(x) == pytest.approx(p / (p + q), rel=1e-12)
    top = gan_objective(BUMPS, Gaussian(1, 4), best)
    assert top == pytest.approx(float(gan_value(BUMPS, Gaussian(1, 4))), abs=1e-12)
    for change in (0.9, 1.1):
        assert gan_objective(BUMPS, Gaussian(1, 4), lambda z, power=change: best(z) ** power) < top


def test_the_ends() -> None:
    assert float(gan_value([0.2, 0.8], [0.2, 0.8])) == pytest.approx(-math.log(4), abs=1e-15)
    assert float(gan_value([1, 0], [0, 1])) == 0.0
    points, density = Discrete([0, 1], [0.5, 0.5]), Gaussian(0, 1)
    assert float(gan_value(points, density)) == 0.0
    assert optimal_discriminator(points, density)([0, 1, 0.5]).tolist() == [1, 1, 0]
    assert optimal_discriminator(density, points)([0, 1, 0.5]).tolist() == [0, 0, 1]
    assert gan_objective([1, 0], [0.5, 0.5], lambda x: np.ones(len(x))) == -math.inf


def test_what_is_refused_says_why() -> None:
    with pytest.raises(InputError, match="Train a classifier"):
        optimal_discriminator(Samples([0.0, 1.0]), Samples([0.0, 1.0]))
    with pytest.raises(InputError, match=r"one number in \[0, 1\]"):
        gan_objective([1, 0], [0, 1], lambda x: 2 * np.ones(len(x)))


def test_the_best_discriminator_attains_the_value_where_it_rounds_to_one() -> None:
    """In the tail of the narrower density D* is 1 to the last bit, and log(1 - D*) is finite all the same."""
    p, q = Gaussian([0.3], [[1.0]]), Gaussian([-1.0], [[0.49]])
    for a, b in ((p, q), (q, p)):
        assert gan_objective(a, b, optimal_discriminator(a, b)) == pytest.approx(float(gan_value(a, b)), abs=1e-9)
