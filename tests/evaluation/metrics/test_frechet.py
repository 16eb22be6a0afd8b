"""Frechet distances against closed forms, torchmetrics, and what sampling noise does to them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.evaluation.metrics.frechet import Moments, frechet_distance, gaussian_frechet

G = torch.Generator().manual_seed(5)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64)


class Identity(nn.Module):
    """Features that are given as they are."""

    num_features = 12

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_the_same_as_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    x, y = normal(400, 12) @ normal(12, 12), normal(300, 12) @ normal(12, 12) + 1
    oracle = FrechetInceptionDistance(feature=Identity()).set_dtype(torch.float64)
    oracle.update(x, real=True)
    oracle.update(y, real=False)
    assert frechet_distance(x, y) == pytest.approx(float(oracle.compute()), rel=1e-6)


def test_gaussians_whose_distance_is_known() -> None:
    """Commuting covariances: |m1 - m2|^2 + sum of (s1 - s2)^2 of the standard deviations along the common axes."""
    axes = torch.linalg.qr(normal(5, 5))[0]
    a, b = torch.tensor([1.0, 2, 3, 4, 0]).double(), torch.tensor([2.0, 2, 1, 0, 5]).double()
    s1, s2 = axes @ torch.diag(a**2) @ axes.T, axes @ torch.diag(b**2) @ axes.T
    m1, m2 = normal(5), normal(5)
    expected = float(((m1 - m2) ** 2).sum() + ((a - b) ** 2).sum())
    assert gaussian_frechet(m1, s1, m2, s2) == pytest.approx(expected, rel=1e-7)


def test_two_by_two_covariances_that_do_not_commute() -> None:
    r"""In the plane, the square of tr (S_1 S_2)^{1/2} is tr S_1 S_2 + 2 sqrt(det S_1 S_2)."""
    s1, s2 = torch.tensor([[2.0, 0.5], [0.5, 1]]).double(), torch.tensor([[1.0, -0.7], [-0.7, 3]]).double()
    cross = ((s1 @ s2).trace() + 2 * torch.linalg.det(s1 @ s2).sqrt()).sqrt()
    expected = float(s1.trace() + s2.trace() - 2 * cross)
    assert gaussian_frechet([0, 0], s1, [0, 0], s2) == pytest.approx(expected, rel=1e-12)


def test_samples_reach_the_distance_of_their_gaussians() -> None:
    x, y = normal(40_000, 3), normal(40_000, 3) * torch.tensor([1.0, 2.0, 1.0]) + torch.tensor([1.0, 0, 0])
    assert frechet_distance(x, y) == pytest.approx(2.0, abs=0.08)


@pytest.mark.parametrize(("d", "n"), [(16, 500), (64, 1000)])
def test_equal_gaussians_are_half_d_squared_over_n_apart(d: int, n: int) -> None:
    """To second order 2d/n from the means and |S1 - S2|^2 / 4 = d (d + 1) / (2n) from the covariances."""
    values = torch.tensor([frechet_distance(normal(n, d), normal(n, d)) for _ in range(10)])
    assert float(values.mean()) == pytest.approx(d * (d + 5) / (2 * n), rel=0.08)


def test_the_distance_to_itself_is_zero_and_never_below() -> None:
    x = normal(100, 8) @ normal(8, 8) + 1e4
    assert 0 <= frechet_distance(x, x) < 1e-8
    flat = torch.cat([x, torch.ones(100, 3)], dim=1)  # columns that do not vary
    assert 0 <= frechet_distance(flat, flat) < 1e-6


def test_no_order_and_no_chunks_matter() -> None:
    x, y = normal(301, 6) + 3, normal(250, 6) * 1.3
    expected = frechet_distance(x, y)
    assert frechet_distance(x[torch.randperm(301)], y.flip(0)) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-12)
    ranks = [Moments(), Moments(), Moments()]
    for i, part in enumerate(x.split(37)):
        ranks[i % 2].update(part)
    streamed = ranks[2].merge(ranks[0]).merge(ranks[1])
    assert streamed.n == 301
    assert frechet_distance(streamed, Moments().update(y)) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(streamed, y) == pytest.approx(expected, rel=1e-12)
    assert torch.allclose(streamed.covariance, torch.cov(x.T), rtol=1e-12)


def test_a_far_mean_costs_no_digits() -> None:
    """Single precision, or sums of squares in place of the scatter, would lose the covariance here."""
    x, y = normal(500, 4), normal(500, 4) * 1.1
    moved = frechet_distance(x + 1e7, y + 1e7)
    assert moved == pytest.approx(frechet_distance(x, y), rel=1e-5)
    assert frechet_distance(x.float(), y.float()) == pytest.approx(frechet_distance(x, y), rel=1e-4)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.ones(15, 8), torch.ones(100, 8), r"x has 15 rows of 8 features.*2 x 8 = 16.*pca.*more samples"),
        (torch.ones(100, 8), torch.ones(15, 8), r"y has 15 rows of 8 features"),
        (torch.ones(100, 8), torch.ones(100, 7), r"x has 8 columns and y has 7"),
        (torch.ones(0, 8), torch.ones(100, 8), r"x has no rows"),
        (torch.ones(100, 2), torch.tensor([[1.0, 2]] * 99 + [[1.0, float("nan")]]), r"y, row 99, column 1: .* nan"),
        (torch.tensor([[float("inf"), 0.0]] * 9), torch.ones(100, 2), r"x, row 0, column 0: .* inf"),
        ("features", torch.ones(100, 2), r"x is a str"),
    ],
)
def test_what_cannot_be_used_is_refused(x: object, y: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        frechet_distance(x, y)


def test_moments_and_gaussians_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="moments of 3 columns cannot take rows of 2"):
        Moments().update(torch.ones(4, 3)).update(torch.ones(4, 2))
    with pytest.raises(InputError, match="covariance of 1 row"):
        _ = Moments().update(torch.ones(1, 3)).covariance
    with pytest.raises(InputError, match=r"cov2 has shape \(3, 3\)"):
        gaussian_frechet([0, 0], torch.eye(2), [0, 0], torch.eye(3))
    with pytest.raises(InputError, match="cov1 is not symmetric"):
        gaussian_frechet([0, 0], [[1.0, 0.5], [0.0, 1.0]], [0, 0], torch.eye(2))
