"""MMD and KID against closed forms, torchmetrics and scikit-learn's kernels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.evaluation.metrics.kernels import (
    kernel_distance,
    kernel_distance_blocks,
    median_bandwidth,
    mmd,
    mmd_squared,
)

G = torch.Generator().manual_seed(6)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64)


def by_hand(kxx: np.ndarray, kyy: np.ndarray, kxy: np.ndarray, unbiased: bool) -> float:
    n, m = len(kxx), len(kyy)
    if unbiased:
        within = (kxx.sum() - np.trace(kxx)) / (n * (n - 1)) + (kyy.sum() - np.trace(kyy)) / (m * (m - 1))
    else:
        within = kxx.mean() + kyy.mean()
    return float(within - 2 * kxy.mean())


class Identity(nn.Module):
    num_features = 7

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_kernel_distance_is_that_of_torchmetrics() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

    x, y = normal(120, 7), normal(120, 7) * 1.2 + 0.3
    assert kernel_distance(x, y) == pytest.approx(float(poly_mmd(x, y)), rel=1e-9)
    assert kernel_distance(x, y, degree=2, gamma=0.3, coef0=0.5) == pytest.approx(
        float(poly_mmd(x, y, 2, 0.3, 0.5)), rel=1e-9
    )
    oracle = KernelInceptionDistance(feature=Identity(), subsets=1, subset_size=120).set_dtype(torch.float64)
    oracle.update(x, real=True)
    oracle.update(y, real=False)
    assert kernel_distance(x, y) == pytest.approx(float(oracle.compute()[0]), rel=1e-6)


@pytest.mark.parametrize("unbiased", [True, False])
def test_kernels_are_those_of_scikit_learn(unbiased: bool) -> None:
    from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

    x, y = normal(90, 5).numpy(), (normal(60, 5) * 1.5).numpy()
    h = 1.7
    gaussian = [rbf_kernel(a, b, gamma=1 / (2 * h**2)) for a, b in ((x, x), (y, y), (x, y))]
    assert mmd_squared(x, y, h, unbiased) == pytest.approx(by_hand(*gaussian, unbiased), rel=1e-9)
    if unbiased:
        cubic = [polynomial_kernel(a, b, degree=3) for a, b in ((x, x), (y, y), (x, y))]
        assert kernel_distance(x, y) == pytest.approx(by_hand(*cubic, True), rel=1e-9)


def test_unbiased_estimates_average_to_the_closed_form() -> None:
    r"""E k(X, Y) = (h^2 / v)^{d/2} exp(-|m|^2 / (2 v)) with v = h^2 + s_1^2 + s_2^2; n is small: bias shows."""
    h, s, shift, d, n = 1.0, 1.5, 0.7, 2, 12

    def mean_kernel(a: float, b: float, m: float) -> float:
        v = h**2 + a**2 + b**2
        return (h**2 / v) ** (d / 2) * math.exp(-d * m**2 / (2 * v))

    expected = mean_kernel(1, 1, 0) + mean_kernel(s, s, 0) - 2 * mean_kernel(1, s, shift)
    values = torch.tensor([mmd_squared(normal(n, d), normal(n, d) * s + shift, h) for _ in range(1500)])
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean()) - expected) < 4 * error
    bias = (1 - mean_kernel(1, 1, 0) + 1 - mean_kernel(s, s, 0)) / n
    assert bias > 12 * error
    biased = torch.tensor([mmd_squared(normal(n, d), normal(n, d) * s + shift, h, False) for _ in range(1500)])
    assert abs(float(biased.mean()) - expected - bias) < 5 * error


def test_kernel_distance_of_gaussians() -> None:
    r"""(x y + 1)^3 on numbers: E over N(m, s^2) against N(0, 1) is a sum of squared differences of moments."""

    def moments(m: float, s: float) -> list[float]:
        return [m, m**2 + s**2, m**3 + 3 * m * s**2]

    expected = sum(c * (a - b) ** 2 for c, a, b in zip((3, 3, 1), moments(0.5, 1.2), moments(0, 1)))
    values = torch.tensor([kernel_distance(normal(200) * 1.2 + 0.5, normal(200)) for _ in range(400)])
    assert abs(float(values.mean()) - expected) < 4 * float(values.std()) / 20
    null = torch.tensor([kernel_distance(normal(10, 3), normal(10, 3)) for _ in range(1500)])
    assert abs(float(null.mean())) < 4 * float(null.std()) / math.sqrt(1500)


def test_no_order_and_no_chunks_matter() -> None:
    x, y = normal(101, 4), normal(77, 4) + 0.5
    for f in (kernel_distance, mmd, mmd_squared):
        expected = f(x, y)
        assert f(x[torch.randperm(101)], y.flip(0)) == pytest.approx(expected, rel=1e-10)
        assert f(y, x) == pytest.approx(expected, rel=1e-10)
        for chunk in (1, 13, 500):
            assert f(x, y, chunk=chunk) == pytest.approx(expected, rel=1e-10)


def test_blocks_are_disjoint_and_their_mean_is_unbiased() -> None:
    x, y = normal(1050, 3), normal(1300, 3)
    values = kernel_distance_blocks(x, y, block=100)
    assert values.shape == (10,) and values.dtype == torch.float64
    for i in (0, 9):
        s = slice(100 * i, 100 * (i + 1))
        assert float(values[i]) == pytest.approx(kernel_distance(x[s], y[s]), rel=1e-12)
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(10)
    with pytest.raises(InputError, match=r"block is 2000.*From 2 to 1050"):
        kernel_distance_blocks(x, y, block=2000)


def test_far_offsets_copies_and_single_precision() -> None:
    x, y = normal(60, 3), normal(60, 3)
    assert mmd_squared(x + 1e6, y + 1e6, 1.0) == pytest.approx(mmd_squared(x, y, 1.0), abs=1e-8)
    x[0] = 1e9  # one row far out takes no digits from the others
    assert mmd_squared(x, y, 1.0) == pytest.approx(mmd_squared(torch.where(x > 1e8, 1e3, x), y, 1.0), abs=1e-12)
    assert mmd(y, y) == pytest.approx(0, abs=1e-7)
    assert mmd_squared(y.float(), y.float() + 1, 1.0) == pytest.approx(mmd_squared(y, y + 1, 1.0), abs=1e-6)


def test_the_biased_estimate_is_a_squared_norm() -> None:
    for _ in range(20):
        assert mmd_squared(normal(8, 2), normal(8, 2), unbiased=False) >= 0
    assert any(mmd_squared(normal(8, 2), normal(8, 2)) < 0 for _ in range(20))


def test_the_median_bandwidth() -> None:
    x, y = normal(30, 4), normal(25, 4)
    pooled = torch.cat([x, y])
    assert median_bandwidth(x, y) == pytest.approx(float(torch.pdist(pooled).quantile(0.5)), rel=1e-12)
    large, other = normal(6000, 4), normal(3000, 4)
    value = median_bandwidth(large, other)
    assert value == median_bandwidth(other, large[torch.randperm(6000)])
    assert value == pytest.approx(math.sqrt(2 * 3.3567), rel=0.03)  # the median of chi-squared of 4 degrees
    assert median_bandwidth(large, other) == value
    assert median_bandwidth([[0.0]] * 50, [[0.0]] * 30 + [[2.0]]) == 2.0  # copies say nothing about the scale
    assert median_bandwidth(torch.ones(9, 2), torch.ones(9, 2)) == 1.0
    assert mmd_squared(torch.ones(9, 2), torch.ones(9, 2)) == 0


@pytest.mark.parametrize("f", [kernel_distance, mmd, mmd_squared, median_bandwidth])
def test_what_cannot_be_used_is_refused(f: object) -> None:
    good = torch.ones(5, 2)
    bad = good.clone()
    bad[3, 1] = math.nan
    with pytest.raises(InputError, match="y, row 3, column 1"):
        f(good, bad)  # type: ignore[operator]
    with pytest.raises(InputError, match="x has 2 columns and y has 1"):
        f(good, good[:, :1])  # type: ignore[operator]
    with pytest.raises(InputError, match="x has no rows"):
        f(good[:0], good)  # type: ignore[operator]


def test_options_that_cannot_be_used() -> None:
    x = torch.ones(5, 2)
    with pytest.raises(InputError, match="bandwidth is 0"):
        mmd(x, x, 0)
    with pytest.raises(InputError, match="degree is 0"):
        kernel_distance(x, x, degree=0)
    with pytest.raises(InputError, match="x has 1 row"):
        mmd_squared(x[:1], x)
    with pytest.raises(InputError, match="chunk is 0"):
        mmd(x, x, chunk=0)
