r"""Reverse chains of a diffusion over any decreasing grid of steps T = k_0 > k_1 > ... > 0.

Each takes `denoise(x, k)`, the model's estimate of :math:`x_0` given :math:`x_k = x` (clipped or not: that is the
caller's choice), and the schedule. Skipped steps are accounted for exactly: coefficients are those of
:math:`q(x_s \mid x_k, x_0)` for the actual s and k, not of neighbouring steps. The last move goes to k = 0 and adds no
noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..noise import Noise
from ..paths import Schedule, epsilon_from_x0, posterior

Denoiser = Callable[[Tensor, int], Tensor]


def reverse_variance(kind: str, earlier: Tensor, a: Tensor) -> Tensor:
    r"""Variance of :math:`p(x_s \mid x_k)`: Ho et al. 2020, sec. 3.2, for steps of any length.

    "fixed-small" is :math:`\tilde\beta`, the variance given :math:`x_0`: right for data at a point.
    "fixed-large" is :math:`\beta = 1 - \bar\alpha_k / \bar\alpha_s`: right for data from N(0, I).

    Raises:
        ValueError: another kind.
    """
    beta = -torch.expm1(a - earlier)
    if kind == "fixed-large":
        return beta
    if kind == "fixed-small":
        return beta * torch.expm1(earlier) / torch.expm1(a)
    raise ValueError(f"unknown variance {kind!r}")


def ancestral(
    denoise: Denoiser, x: Tensor, schedule: Schedule, grid: Sequence[int], noise: Noise, variance: str = "fixed-large"
) -> Tensor:
    """Draws each :math:`x_s` from N(mean of q(x_s | x_k, denoise(x_k)), variance): Ho et al. 2020, algorithm 2."""
    for k, s in pairwise(grid):
        a, earlier = schedule.at(k, x), schedule.at(s, x)
        x, _ = posterior(denoise(x, k), x, earlier, a)
        if s > 0:
            x = x + reverse_variance(variance, earlier, a).sqrt() * noise.normal(*x.shape[1:], dtype=x.dtype)
    return x


def ddim(
    denoise: Denoiser, x: Tensor, schedule: Schedule, grid: Sequence[int], noise: Noise | None = None, eta: float = 0.0
) -> Tensor:
    r"""Song, Meng, Ermon 2021 (arXiv:2010.02502), eq. 12 and 16: deterministic at eta = 0.

    .. math:: x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1 - \bar\alpha_s - \sigma^2}\, \hat\varepsilon + \sigma z,
              \qquad \sigma^2 = \eta^2 \tilde\beta .

    eta = 1 is `ancestral` with variance "fixed-small". `noise` is needed for eta > 0 only.
    """
    for k, s in pairwise(grid):
        a, earlier = schedule.at(k, x), schedule.at(s, x)
        x0 = denoise(x, k)
        epsilon = epsilon_from_x0(x, x0, a)
        sigma2 = eta**2 * reverse_variance("fixed-small", earlier, a)
        x = (0.5 * earlier).exp() * x0 + (-torch.expm1(earlier) - sigma2).clamp_min(0).sqrt() * epsilon
        if s > 0 and eta > 0:
            assert noise is not None
            x = x + sigma2.sqrt() * noise.normal(*x.shape[1:], dtype=x.dtype)
    return x


def ddim_inverse(denoise: Denoiser, x: Tensor, schedule: Schedule, grid: Sequence[int], iterations: int = 4) -> Tensor:
    r"""The :math:`x_T` from which `ddim` (eta = 0, the same grid) gives x.

    A DDIM step evaluates the model at its start, which is unknown here, so each step back solves

    .. math:: x_k = \sqrt{\bar\alpha_k}\, \hat x_0 + \sqrt{1 - \bar\alpha_k}\, \hat\varepsilon, \qquad
              \hat\varepsilon = \hat\varepsilon(x_k, k), \quad
              \hat x_0 = (x_s - \sqrt{1 - \bar\alpha_s}\, \hat\varepsilon) / \sqrt{\bar\alpha_s}

    by fixed-point iteration in the noise, which begins with the noise of the step before (the usual inversion is the
    first iterate). Near T the map is close to a multiple of the identity, which contracts slowly; one secant for each
    example removes that (Anderson 1965, "Iterative procedures for nonlinear integral equations", with one step back).
    """
    epsilon: Tensor | None = None
    for s, k in pairwise(reversed(grid)):
        a, earlier = schedule.at(k, x), schedule.at(s, x)
        shrink = (0.5 * (a - earlier)).exp()
        turn = (-torch.expm1(a)).sqrt() - shrink * (-torch.expm1(earlier)).sqrt()
        trial = torch.zeros_like(x) if epsilon is None else epsilon
        previous: tuple[Tensor, Tensor] | None = None
        for _ in range(iterations):
            guess = shrink * x + turn * trial
            value = epsilon_from_x0(guess, denoise(guess, k), a)
            residual = value - trial
            trial = value
            if previous is not None:
                trial = value - _secant(residual, previous[0]) * (value - previous[1])
            previous = residual, value
        epsilon = trial
        x = shrink * x + turn * epsilon
    return x


def _secant(residual: Tensor, before: Tensor) -> Tensor:
    """How far to go back from one image to the one before, (n, 1, ..., 1): it minimizes the residual in between.

    Bounded, so that residuals that are only rounding errors cannot be amplified.
    """
    change = (residual - before).flatten(1)
    theta = (residual.flatten(1) * change).sum(1) / change.square().sum(1).clamp_min(1e-30)
    return theta.clamp(-4, 0.5).view(-1, *[1] * (residual.ndim - 1))
