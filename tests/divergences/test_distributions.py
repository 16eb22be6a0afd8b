"""What distances are measured between: densities, draws, and input that is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.divergences import Discrete, Gaussian, Mixture, Samples, as_distribution, kl_neighbours, wasserstein1
from pushforward.errors import InputError


def test_densities_agree_with_scipy() -> None:
    covariance = [[2, 0.5], [0.5, 1]]
    x = np.random.default_rng(0).standard_normal((50, 2)) * 3
    one, two = Gaussian([1, 2], covariance), Gaussian([0, 0], 0.5)
    expected = stats.multivariate_normal([1, 2], covariance).logpdf(x)
    assert one.log_density(x) == pytest.approx(expected, rel=1e-12)
    other = stats.multivariate_normal([0, 0], 0.5 * np.eye(2)).logpdf(x)
    mixture = Mixture([0.3, 0.7, 0], [one, two, one])
    assert mixture.log_density(x) == pytest.approx(np.logaddexp(np.log(0.3) + expected, np.log(0.7) + other), rel=1e-12)
    assert len(mixture.components) == 2


def test_draws_have_the_moments() -> None:
    n = 40_000
    one, two = Gaussian([1, 2], [[2, 0.5], [0.5, 1]]), Gaussian([-3, 0], 0.5)
    draws = Mixture([0.3, 0.7], [one, two]).sample(n, 1).points
    assert draws.mean(0) == pytest.approx([-1.8, 0.6], abs=0.06)
    within = 0.3 * one.covariance + 0.7 * two.covariance
    between = 0.21 * np.outer([4, 2], [4, 2])
    assert np.cov(draws.T) == pytest.approx(within + between, abs=0.12)
    points = Discrete([1, 2, 3], [0.2, 0.3, 0.5]).sample(n, 2)
    assert Discrete.count(points.points).weights == pytest.approx([0.2, 0.3, 0.5], abs=0.012)
    assert (one.sample(5, 3).points == one.sample(5, 3).points).all()


def test_arrays_stand_for_distributions() -> None:
    p = as_distribution(torch.tensor([0.5, 0.5], requires_grad=True))
    assert isinstance(p, Discrete) and p.points.tolist() == [[0], [1]] and p.points.dtype == np.float64
    assert isinstance(as_distribution(torch.zeros(4, 2)), Samples)
    softmax = torch.softmax(torch.randn(1000, generator=torch.Generator().manual_seed(0)), 0)
    assert as_distribution(softmax).weights.sum() == pytest.approx(1, abs=1e-15)
    assert float(wasserstein1(Samples([0, 1]), Samples([2, 3]))) == 2


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: as_distribution([0.5, 0.6]), "sum to 1.1, not to 1"),
        (lambda: as_distribution([1.5, -0.5]), "a weight is negative: -0.5"),
        (lambda: as_distribution(np.zeros((2, 3, 3))), "flatten pictures"),
        (lambda: as_distribution("ring"), "Give samples"),
        (lambda: as_distribution([[1, np.nan]]), "not finite"),
        (lambda: as_distribution(object()), "cannot be read as numbers"),
        (lambda: Discrete([0, 1, 2], [0.5, 0.5]), "3 points have 2 weights"),
        (lambda: Gaussian([0, 0], [[1, 2], [2, 1]]), "not positive definite: its smallest eigenvalue is -1"),
        (lambda: Gaussian([0, 0], [[1, 0.5], [0, 1]]), "not symmetric"),
        (lambda: Gaussian([0, 0], [1, 1]), "a covariance of shape"),
        (lambda: Mixture([0.5, 0.5], [Gaussian(0, 1)]), "1 components have 2 weights"),
        (lambda: Mixture([0.5, 0.5], [Gaussian(0, 1), Gaussian([0, 0], 1)]), "dimensions"),
        (lambda: Samples([]), "shape"),
    ],
)
def test_bad_input_says_what_is_wrong(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


def test_neighbours_estimate_kl() -> None:
    """KL of two Gaussians in the plane, within four standard errors, and 0 for samples of one distribution."""
    x, y = Gaussian([0, 0], 1).sample(4000, 0), Gaussian([1, 0], 1).sample(3000, 1)
    found = kl_neighbours(x, y)
    assert found.kind == "estimate" and found.error > 0
    assert abs(float(found) - 0.5) < 4 * found.error + 0.02
    assert abs(float(kl_neighbours(x, Gaussian([0, 0], 1).sample(3000, 2)))) < 0.05
    # by hand, in one dimension with one neighbour
    one = kl_neighbours(Samples([0, 1, 3]), Samples([0.5, 10]), k=1)
    terms = [np.log(0.5 / 1), np.log(0.5 / 1), np.log(2.5 / 2)]
    assert float(one) == pytest.approx(np.mean(terms) + np.log(2 / 2), rel=1e-12)
    with pytest.raises(InputError, match=r"have no density.*Discrete\.count"):
        kl_neighbours(np.zeros((20, 1)), np.ones((20, 1)))
    with pytest.raises(InputError, match="no 5 neighbours"):
        kl_neighbours(np.zeros((3, 1)), np.ones((20, 1)))
