"""KL and JS against SciPy, closed forms and their inequalities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import integrate, stats
from scipy.spatial.distance import jensenshannon

from pushforward.divergences import (
    Discrete,
    Gaussian,
    Mixture,
    Samples,
    jensen_shannon,
    kl,
    total_variation,
)
from pushforward.errors import InputError

from .strategies import same_support

few = settings(max_examples=60, deadline=None)
BUMPS = Mixture([0.3, 0.7], [Gaussian(-2, 0.5), Gaussian(2, 1)])


@few
@given(same_support())
def test_sums_agree_with_scipy(pair: list[np.ndarray]) -> None:
    p, q = pair
    assert float(kl(p, q)) == pytest.approx(stats.entropy(p, q), rel=1e-9, abs=1e-14)
    assert float(jensen_shannon(p, q)) == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-9, abs=1e-14)


def test_the_order_and_the_base_by_hand() -> None:
    p, q = [0.5, 0.5], [0.25, 0.75]
    assert float(kl(p, q)) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-14)
    assert float(kl(q, p)) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), rel=1e-14)
    assert float(jensen_shannon([1, 0], [0, 1])) == math.log(2)  # nats
    assert float(jensen_shannon([1, 0], [0.5, 0.5])) == pytest.approx(
        0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3) + 0.25 * math.log(2), rel=1e-14
    )


def test_zeros_and_supports() -> None:
    assert float(kl([1, 0], [0.5, 0.5])) == math.log(2)  # 0 log 0 = 0
    assert float(kl([0.5, 0.5], [1, 0])) == math.inf
    assert float(kl([0.5, 0.5, 0], [0.5, 0.5, 0])) == 0.0
    assert float(kl(Discrete([0, 1], [0.5, 0.5]), Discrete([1, 0], [0.5, 0.5]))) == 0.0
    assert float(kl(Discrete([-0.0], [1]), Discrete([0.0], [1]))) == 0.0
    assert float(kl(Discrete([3, 3, 4], [0.25, 0.25, 0.5]), Discrete([3, 4], [0.5, 0.5]))) == 0.0
    tiny = [1 - 1e-300, 1e-300]
    assert float(kl(tiny, tiny[::-1])) == pytest.approx(300 * math.log(10), rel=1e-12)


@few
@given(same_support(3))
def test_inequalities(triple: list[np.ndarray]) -> None:
    p, q, r = triple
    divergence, tv = float(kl(p, q)), float(total_variation(p, q))
    js = float(jensen_shannon(p, q))
    assert not math.isnan(divergence) and divergence >= 0
    assert tv <= math.sqrt(divergence / 2) + 1e-7  # Pinsker
    assert tv <= math.sqrt(-math.expm1(-divergence)) + 1e-7  # Bretagnolle and Huber
    assert 0 <= js <= math.log(2)
    assert js == pytest.approx(float(jensen_shannon(q, p)), abs=1e-15)
    assert tv**2 / 2 <= js + 1e-12 and js <= tv * math.log(2) + 1e-12  # Lin 1991, theorems 3 and 4
    assert math.sqrt(js) <= math.sqrt(float(jensen_shannon(p, r))) + math.sqrt(float(jensen_shannon(r, q))) + 1e-7
    order = np.random.default_rng(0).permutation(len(p))
    assert float(kl(p[order], q[order])) == pytest.approx(divergence, rel=1e-12, abs=1e-14)


@few
@given(same_support())
def test_no_divergence_grows_when_outcomes_are_merged(pair: list[np.ndarray]) -> None:
    points = np.arange(len(pair[0]))
    fine = [Discrete(points, w) for w in pair]
    coarse = [Discrete(points // 2, w) for w in pair]
    for divergence in (kl, jensen_shannon, total_variation):
        assert float(divergence(*coarse)) <= float(divergence(*fine)) + 1e-12


@pytest.mark.parametrize("d", [1, 2, 5])
def test_kl_of_gaussians(d: int) -> None:
    rng = np.random.default_rng(d)
    a, b = (rng.standard_normal((d, d)) for _ in range(2))
    s, t = a @ a.T + np.eye(d), b @ b.T + 0.5 * np.eye(d)
    m, n = rng.standard_normal((2, d))
    inverse = np.linalg.inv(t)
    expected = 0.5 * (np.trace(inverse @ s) + (n - m) @ inverse @ (n - m) - d)
    expected += 0.5 * (np.linalg.slogdet(t)[1] - np.linalg.slogdet(s)[1])
    assert float(kl(Gaussian(m, s), Gaussian(n, t))) == pytest.approx(expected, rel=1e-12)
    assert float(kl(Gaussian(m, s), Gaussian(m, s))) == 0.0


@pytest.mark.parametrize("p, q", [(BUMPS, Gaussian(0, 4)), (Gaussian(0, 4), BUMPS), (Gaussian(0, 1), BUMPS)])
def test_mixtures_on_the_line_agree_with_adaptive_quadrature(p: Mixture, q: Mixture) -> None:
    def log_p(x: float) -> float:
        return float(p.log_density([x])[0])

    def log_q(x: float) -> float:
        return float(q.log_density([x])[0])

    def middle(x: float) -> float:
        return float(np.logaddexp(log_p(x), log_q(x))) - math.log(2)

    def both(x: float) -> float:
        half = math.exp(log_p(x)) * (log_p(x) - middle(x)) + math.exp(log_q(x)) * (log_q(x) - middle(x))
        return half / 2

    settings = {"limit": 400, "epsabs": 1e-11, "epsrel": 1e-11, "points": [-3, -2, -1, 0, 1, 2, 3]}
    one, _ = integrate.quad(lambda x: math.exp(log_p(x)) * (log_p(x) - log_q(x)), -25, 25, **settings)
    two, _ = integrate.quad(both, -25, 25, **settings)
    assert float(kl(p, q)) == pytest.approx(one, rel=1e-9)
    assert float(jensen_shannon(p, q)) == pytest.approx(two, rel=1e-9)
    assert kl(p, q).kind == "quadrature" and kl(p, q).error < 1e-12


def test_mixtures_by_an_equal_gaussian() -> None:
    """A mixture of two copies of one Gaussian is that Gaussian: quadrature meets the closed form, in 1-D and 2-D."""
    for p, q in [
        (Gaussian(0, 1), Gaussian(1, 4)),
        (Gaussian([0, 0], [[1, 0.3], [0.3, 1]]), Gaussian([1, -1], [[2, -0.3], [-0.3, 0.5]])),
    ]:
        twice = Mixture([0.4, 0.6], [q, q])
        assert float(kl(p, twice)) == pytest.approx(float(kl(p, q)), rel=1e-12)
        assert float(kl(twice, p)) == pytest.approx(float(kl(q, p)), rel=1e-12)


def test_narrow_components_are_not_missed() -> None:
    narrow = Mixture([0.5, 0.5], [Gaussian(0, 1), Gaussian(5, 1e-8)])
    found = kl(narrow, Gaussian(0, 1))
    peak = 0.5 * (math.log(0.5) - 0.5 * math.log(1e-8) - 0.5 + 12.5 + 0.5e-8)  # the narrow half against N(0, 1)
    assert float(found) == pytest.approx(0.5 * math.log(0.5) + peak, rel=1e-6)


@pytest.mark.parametrize("std", [1e-2, 1e-3, 1e-4])
def test_narrow_components_of_the_other_are_not_missed(std: float) -> None:
    """Under a wide p, a narrow peak of q is a spike of the integrand: the first step must see it."""
    q = Mixture([0.5, 0.5], [Gaussian(0, 1), Gaussian(0.337, std**2)])
    ends = 0.337 + std * np.array([-1e9, -12, -6, -3, 0, 3, 6, 12, 1e9])
    ends = np.clip(ends, -12, 12).tolist()
    exact = sum(
        integrate.quad(
            lambda x: float(stats.norm.pdf(x) * (stats.norm.logpdf(x) - q.log_density([x])[0])), a, b, epsabs=1e-13
        )[0]
        for a, b in itertools.pairwise(ends)
    )
    assert float(kl(Gaussian(0, 1), q)) == pytest.approx(exact, abs=1e-9)


def test_scales_that_the_plane_can_and_cannot_hold() -> None:
    """The first coordinate is shared, so the plane must give the divergence of the second, within its error."""
    wide, narrow = Gaussian([0, 0], 1), Gaussian([0, 0], [[1, 0], [0, 0.01]])
    found, exact = jensen_shannon(narrow, wide), jensen_shannon(Gaussian(0, 0.01), Gaussian(0, 1))
    assert abs(float(found) - float(exact)) <= max(3 * found.error, 1e-12) and found.error < 1e-6
    with pytest.raises(InputError, match="narrowest and the widest"):
        jensen_shannon(Gaussian([0, 0], [[1, 0], [0, 1e-8]]), wide)


def test_gaussians_of_one_covariance_project() -> None:
    covariance = np.array([[2, 0.4, 0], [0.4, 1, 0.2], [0, 0.2, 1.5]])
    mean = np.array([1.0, -0.5, 0.3])
    distance = math.sqrt(mean @ np.linalg.solve(covariance, mean))
    found = jensen_shannon(Gaussian(mean, covariance), Gaussian([0, 0, 0], covariance))
    assert float(found) == pytest.approx(float(jensen_shannon(Gaussian(distance, 1), Gaussian(0, 1))), rel=1e-12)
    plane = jensen_shannon(Gaussian([distance, 0], 1), Mixture([0.5, 0.5], [Gaussian([0, 0], 1)] * 2))
    assert float(found) == pytest.approx(float(plane), rel=1e-11)


def test_points_against_a_density() -> None:
    points, density = Discrete([0, 1], [0.5, 0.5]), Gaussian(0, 1)
    for pair in ((points, density), (density, points)):
        assert float(kl(*pair)) == math.inf
        assert float(jensen_shannon(*pair)) == math.log(2)


def test_what_is_refused_says_why() -> None:
    x = Samples(np.random.default_rng(0).standard_normal((20, 2)))
    for divergence in (kl, jensen_shannon, total_variation):
        with pytest.raises(InputError, match=r"not a function of samples.*wasserstein1"):
            divergence(x, x)
    big = Mixture([0.5, 0.5], [Gaussian([0, 0, 0], 1), Gaussian([1, 0, 0], 2)])
    with pytest.raises(InputError, match="no closed form in 3 dimensions"):
        kl(big, big)
    with pytest.raises(InputError, match="2 and 3 probabilities are not of the same outcomes"):
        kl([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(InputError, match="different dimension"):
        kl(Gaussian(0, 1), Gaussian([0, 0], 1))
