"""Reverse chains with a perfect denoiser for Gaussian data: mean and variance of their output, without sampling.

With a linear denoiser the output is linear in all the normals that a chain draws. A noise that is one in one call and
zero in the others gives each coefficient in turn, so the output's variance is known exactly.
"""

from __future__ import annotations

import pytest
import torch

from pushforward.noise import Noise
from pushforward.paths import Schedule, epsilon_from_x0
from pushforward.solvers.ancestral import ancestral, ddim, ddim_inverse

LINEAR = Schedule("linear", 1000)


class Impulses:
    """Row j draws 1 at call j and 0 at every other call; the last row draws only zeros."""

    def __init__(self, calls: int):
        self.calls, self.call = calls, -1

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        self.call += 1
        out = torch.zeros(self.calls + 1, *shape, dtype=dtype)
        if self.call < self.calls:
            out[self.call] = 1
        return out


def gaussian_denoiser(mean: float, std: float, schedule: Schedule, clip: bool = False):
    """E[x_0 | x_k] for data from N(mean, std^2)."""

    def denoise(x, k):
        ab = schedule.log_alpha_bar[k].exp()
        gain = ab.sqrt() * std**2 / (ab * std**2 + 1 - ab)
        x0 = mean + gain * (x - ab.sqrt() * mean)
        return x0.clamp(-1, 1) if clip else x0

    return denoise


def moments(sampler, grid, **options):
    """Exact mean and standard deviation of a chain's output."""
    noise = Impulses(len(grid))
    start = noise.normal(1)
    out = sampler(x=start, schedule=LINEAR, grid=grid, noise=noise, **options)[:, 0]
    zero = out[-1]
    return float(zero), float((out[:-1] - zero).square().sum().sqrt())


@pytest.mark.parametrize("variance", ["fixed-small", "fixed-large"])
def test_ancestral_recovers_a_narrow_gaussian(variance):
    denoise = gaussian_denoiser(0.5, 0.25, LINEAR)
    mean, std = moments(ancestral, LINEAR.grid(None), denoise=denoise, variance=variance)
    assert mean == pytest.approx(0.5, abs=2e-3)
    assert std == pytest.approx(0.25, rel=0.02)


def test_errors_shrink_with_the_number_of_steps():
    denoise = gaussian_denoiser(0.5, 0.25, LINEAR)
    large, small = {"variance": "fixed-large"}, {"variance": "fixed-small"}
    for sampler, options, largest in ((ddim, {}, 0.03), (ancestral, small, 0.06), (ancestral, large, 0.02)):
        errors = [abs(moments(sampler, LINEAR.grid(n), denoise=denoise, **options)[1] / 0.25 - 1) for n in (50, 250)]
        assert errors[0] > 3 * errors[1]  # first order, or nearly
        assert errors[1] < largest


def test_std_ratios_are_those_of_other_codebases():
    # Measured with another library's schedulers: a DDPM of 1000 steps with the small variance gives 0.988 of the
    # right standard deviation, and 50 moves of DDIM 0.898, of DDPM 0.821 (its grids start a little below T).
    denoise = gaussian_denoiser(0.5, 0.25, LINEAR)
    for sampler, steps, options, published in (
        (ancestral, 1000, {"variance": "fixed-small"}, 0.988),
        (ddim, 50, {}, 0.898),
        (ancestral, 50, {"variance": "fixed-small"}, 0.821),
    ):
        ratio = moments(sampler, LINEAR.grid(steps), denoise=denoise, **options)[1] / 0.25
        assert ratio == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize("steps", [1, 3, 10, 333, 1000])
def test_any_subsequence_is_exact_for_standard_normal_data_with_the_large_variance(steps):
    # Each marginal is N(0, 1), however long the step: this pins the re-spaced coefficients and variances. The last
    # move adds no noise, so the variance that is left is alpha_bar at the last step but one.
    grid = LINEAR.grid(steps)
    mean, std = moments(ancestral, grid, denoise=gaussian_denoiser(0.0, 1.0, LINEAR), variance="fixed-large")
    assert mean == 0
    assert std**2 == pytest.approx(float(LINEAR.log_alpha_bar[grid[-2]].exp()), rel=1e-9)


@pytest.mark.parametrize("steps", [1, 3, 10, 333])
def test_any_subsequence_visits_the_right_marginals_for_a_point(steps):
    # Data at a point c: with the small variance x_s is exactly N(sqrt(alpha_bar_s) c, 1 - alpha_bar_s) at each visit.
    grid = LINEAR.grid(steps)
    visits = []

    def denoise(x, k):
        visits.append((k, x[:, 0]))
        return torch.full_like(x, 0.7)

    noise = Impulses(len(grid))
    start = noise.normal(1)
    ab = LINEAR.log_alpha_bar.exp()
    out = ancestral(denoise, start + ab[-1].sqrt() * 0.7, LINEAR, grid, noise, "fixed-small")
    assert torch.allclose(out, torch.full_like(out, 0.7))
    for k, x in visits[1:]:
        assert float(x[-1]) == pytest.approx(float(ab[k].sqrt()) * 0.7, rel=1e-9)
        # The start has variance 1, not 1 - alpha_bar_T: the difference is 4e-5.
        assert float((x[:-1] - x[-1]).square().sum()) == pytest.approx(float(1 - ab[k]), rel=1e-4)


def test_clipping_is_what_destroys_wide_data():
    grid = LINEAR.grid(None)
    _, std = moments(ancestral, grid, denoise=gaussian_denoiser(0.0, 3.0, LINEAR), variance="fixed-large")
    assert std == pytest.approx(3, rel=0.02)
    noise = Noise.of(0, index=torch.arange(500))
    start = noise.normal(1, dtype=torch.float64)
    clipped = ancestral(gaussian_denoiser(0.0, 3.0, LINEAR, clip=True), start, LINEAR, LINEAR.grid(20), noise)
    assert float(clipped.abs().max()) <= 1


def test_ddim_with_full_noise_is_ancestral_with_the_small_variance():
    grid = LINEAR.grid(20)
    denoise = gaussian_denoiser(0.5, 0.25, LINEAR)
    index = torch.arange(50)
    start = Noise.of(1, index=index).normal(3, dtype=torch.float64)
    a = ancestral(denoise, start, LINEAR, grid, Noise.of(2, index=index), "fixed-small")
    b = ddim(denoise, start, LINEAR, grid, Noise.of(2, index=index), eta=1.0)
    assert torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("steps", [2, 17, None])
def test_the_last_move_is_the_model_s_estimate_and_draws_nothing(steps):
    grid = LINEAR.grid(steps)
    estimates = []

    def denoise(x, k):
        estimates.append((k, gaussian_denoiser(0.5, 0.25, LINEAR)(x, k)))
        return estimates[-1][1]

    index = torch.arange(4)
    for run in (
        lambda noise: ancestral(denoise, torch.ones(4, 2, dtype=torch.float64), LINEAR, grid, noise),
        lambda noise: ddim(denoise, torch.ones(4, 2, dtype=torch.float64), LINEAR, grid, noise, eta=0.5),
    ):
        noise = Noise.of(0, index=index)
        out = run(noise)
        assert estimates[-1][0] == grid[-2]
        assert torch.allclose(out, estimates[-1][1], atol=1e-12)
        assert noise.counter == len(grid) - 2


def test_every_step_is_asked_for_once_from_noise_to_data():
    asked = []

    def denoise(x, k):
        asked.append(k)
        return x

    ddim(denoise, torch.zeros(1, 1), LINEAR, LINEAR.grid(4))
    assert asked == [1000, 750, 500, 250]


@pytest.mark.parametrize("steps", [10, 100])
def test_inverse_of_ddim(steps):
    # A denoiser that is not linear: of an even mixture of N(-1, 0.5^2) and N(1, 0.5^2).
    def denoise(x, k):
        ab = LINEAR.log_alpha_bar[k].exp()
        variance = ab * 0.25 + 1 - ab
        sign = torch.tanh(ab.sqrt() * x / variance)
        return sign + ab.sqrt() * 0.25 / variance * (x - ab.sqrt() * sign)

    x = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.7
    grid = LINEAR.grid(steps)
    code = ddim_inverse(denoise, x, LINEAR, grid, iterations=200)
    assert torch.allclose(ddim(denoise, code, LINEAR, grid), x, atol=1e-8)
    # Four iterations, the default, are enough when steps are not very long.
    code = ddim_inverse(denoise, x, LINEAR, grid)
    assert float((ddim(denoise, code, LINEAR, grid) - x).abs().max()) < (0.05 if steps == 10 else 1e-5)


def test_inverse_of_ddim_is_standard_normal_for_gaussian_data():
    denoise = gaussian_denoiser(0.5, 0.25, LINEAR)
    x = torch.tensor([[0.5], [0.75]], dtype=torch.float64)
    code = ddim_inverse(denoise, x, LINEAR, LINEAR.grid(None))
    assert float(code[0]) == pytest.approx(0, abs=0.02)
    assert float(code[1] - code[0]) == pytest.approx(1, rel=0.02)


def test_denoiser_and_noise_are_two_views():
    x, x0 = torch.randn(3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    a = LINEAR.at(500, x)
    e = epsilon_from_x0(x, x0, a)
    assert torch.allclose((0.5 * a).exp() * x0 + (1 - a.exp()).sqrt() * e, x)
