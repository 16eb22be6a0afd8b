"""The decoder of pixels: normalised, and right where probabilities are too small for a difference of two numbers."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from pushforward.families.diffusion.decoders import discretized_gaussian_log_prob, gaussian_log_prob


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 65_536])
@pytest.mark.parametrize("std", [0.003, 0.01, 0.3, 5.0])
def test_levels_sum_to_one(levels, std):
    mean = torch.tensor([-1.0, -0.302, 0.0, 0.9, 1.0, 3.0], dtype=torch.float64)
    x = torch.arange(levels)
    for m in mean:
        log_p = discretized_gaussian_log_prob(
            x[:, None], m.expand(levels, 1), torch.tensor(std**2, dtype=torch.float64), levels
        )
        assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("level", [0, 1, 100, 128, 140, 254, 255])
@pytest.mark.parametrize("mean", [-1.0, 0.01, 0.5])
def test_tails_have_no_floor(level, mean):
    # A floor on the probability would make a confident wrong answer cheap: the bound would not be one.
    std, half = 0.01, mpmath.mpf(1) / 255
    centre = mpmath.mpf(2 * level) / 255 - 1 - mpmath.mpf(mean)
    low = -mpmath.inf if level == 0 else (centre - half) / std
    high = mpmath.inf if level == 255 else (centre + half) / std
    if low + high > 0:  # the upper tail, mirrored
        low, high = -high, -low
    with mpmath.workdps(60):
        truth = float(mpmath.log((mpmath.erfc(-high / mpmath.sqrt(2)) - mpmath.erfc(-low / mpmath.sqrt(2))) / 2))
    ours = discretized_gaussian_log_prob(
        torch.tensor([[level]]),
        torch.tensor([[mean]], dtype=torch.float64),
        torch.tensor(std**2, dtype=torch.float64),
        256,
    )
    assert float(ours) == pytest.approx(truth, rel=1e-9)


def test_ten_deviations_away():
    # 72 bits. A floor of 1e-12 says 39.9.
    ours = discretized_gaussian_log_prob(
        torch.tensor([[128]]),
        torch.tensor([[128 * 2 / 255 - 1 + 0.1 + 1 / 255]], dtype=torch.float64),
        torch.tensor(0.01**2, dtype=torch.float64),
        256,
    )
    assert 70 < -float(ours) / math.log(2) < 110


def test_gradients_are_finite_and_point_to_the_level():
    mean = torch.tensor([[-5.0], [0.2], [5.0]], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[100], [100], [100]])
    discretized_gaussian_log_prob(x, mean, torch.tensor(1e-4), 256).sum().backward()
    assert bool(torch.isfinite(mean.grad).all())
    assert mean.grad[0] > 0 > mean.grad[2]


def test_gaussian():
    x, mean = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    expected = torch.distributions.Normal(mean, 0.3).log_prob(x).sum((1, 2))
    assert torch.allclose(gaussian_log_prob(x, mean, torch.tensor(0.09, dtype=torch.float64)), expected)
