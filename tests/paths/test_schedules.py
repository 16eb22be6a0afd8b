"""Schedules against the papers' numbers, and what must hold for every length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.paths import SCHEDULES, Schedule


def test_linear_is_the_paper_s():
    # Long double, by plain products: nothing in common with the implementation but the definition.
    alphas = 1 - np.linspace(1e-4, 0.02, 1000, dtype=np.longdouble)
    expected = np.cumprod(alphas)
    alpha_bar = Schedule("linear", 1000).log_alpha_bar.exp()
    assert alpha_bar[0] == 1
    assert np.allclose(alpha_bar[1:].numpy(), expected.astype(float), rtol=1e-12)
    assert float(alpha_bar[-1]) == pytest.approx(4.0358e-5, rel=1e-4)


def test_cosine_is_the_paper_s_until_its_clipped_end():
    alpha_bar = Schedule("cosine", 1000).log_alpha_bar.exp()

    def paper(u: np.ndarray) -> np.ndarray:
        f = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
        return f / np.cos(0.008 / 1.008 * np.pi / 2) ** 2

    # The curve is theirs in u; ours ends where theirs reaches 1e-4, at u close to 1.
    ends = np.linspace(0.98, 1, 200_001)
    last = ends[np.argmin(abs(paper(ends) - 1e-4))]
    assert 0.99 < last < 1
    assert np.allclose(alpha_bar.numpy(), paper(np.linspace(0, last, 1001)), rtol=1e-2, atol=1e-7)
    assert float(alpha_bar[-1]) == pytest.approx(1e-4, rel=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 19, 100, 999, 1000, 4000])
def test_every_length_is_a_diffusion_with_the_same_ends(name, steps):
    schedule = Schedule(name, steps)
    log = schedule.log_alpha_bar
    assert log.dtype == torch.float64 and len(log) == steps + 1 and log[0] == 0
    beta = -torch.expm1(log[1:] - log[:-1])
    assert bool((beta > 0).all() and (beta < 1).all())
    assert torch.isclose(log[-1], Schedule(name, 1000).log_alpha_bar[-1], rtol=1e-9)


def test_the_first_noise_keeps_its_digits():
    # 1 - alpha_bar_1 is beta_1 = 1e-4; in float32 it would have three digits.
    schedule = Schedule("linear", 1000)
    assert float(-torch.expm1(schedule.at(1, torch.zeros(1)))) == pytest.approx(1e-4, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_signal_and_noise_preserve_variance(dtype):
    schedule = Schedule("linear", 1000)
    k = torch.tensor([1, 500, 1000])
    signal, noise = schedule.signal_and_noise(k, torch.zeros(3, 1, 2, 2, dtype=dtype))
    assert signal.shape == noise.shape == (3, 1, 1, 1) and signal.dtype == dtype
    assert torch.allclose(signal**2 + noise**2, torch.ones(3, 1, 1, 1, dtype=dtype), rtol=1e-6)
    assert torch.allclose(signal.double()[:, 0, 0, 0], (0.5 * schedule.log_alpha_bar[k]).exp(), rtol=1e-6)


@pytest.mark.parametrize("T, steps", [(1000, 10), (1000, 7), (1000, 999), (1000, 1000), (50, None), (50, 49), (50, 1)])
def test_grid_starts_at_pure_noise_and_ends_at_data(T, steps):
    # A grid that starts at T - T/steps samples from noise that the model never saw there.
    grid = Schedule("linear", T).grid(steps)
    assert grid[0] == T and grid[-1] == 0 and len(grid) == (steps or T) + 1
    gaps = np.diff(grid)
    assert (gaps < 0).all() and gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("steps", [0, -3, 51])
def test_grid_refuses_what_it_cannot_do(steps):
    with pytest.raises(InputError, match="1 to 50"):
        Schedule("linear", 50).grid(steps)


def test_unknown_schedule_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean cosine"):
        Schedule("cosin", 10)
