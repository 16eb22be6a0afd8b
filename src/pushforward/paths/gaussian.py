r"""Gaussian paths as pure functions: what noise does to data, and what can be inferred back.

A diffusion is written with its coefficients as logarithms of :math:`\bar\alpha` (`a` below), float64 tensors that
broadcast against x: 0-dim, or one a row (n, 1, ..., 1). Formulas: Ho, Jain, Abbeel 2020 (arXiv:2006.11239).
"""

from __future__ import annotations

import torch
from torch import Tensor


def straight(base: Tensor, data: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The conditional optimal-transport path :math:`x_t = (1-t) x_0 + t x_1` and its velocity :math:`x_1 - x_0`.

    Lipman et al. 2023 (arXiv:2210.02747), eq. 20-23 with sigma_min = 0. `t` is (n,) in [0, 1].
    """
    t = t.view(-1, *[1] * (data.ndim - 1))
    return (1 - t) * base + t * data, data - base


def diffuse(x0: Tensor, epsilon: Tensor, a: Tensor) -> Tensor:
    r""":math:`x_k = \sqrt{\bar\alpha_k} x_0 + \sqrt{1 - \bar\alpha_k}\, \varepsilon` (eq. 4)."""
    return (0.5 * a).exp() * x0 + (-torch.expm1(a)).sqrt() * epsilon


def x0_from_epsilon(x: Tensor, epsilon: Tensor, a: Tensor) -> Tensor:
    """The data that x would come from if its noise were `epsilon`: `diffuse` solved for x0. k > 0 or not."""
    return (x - (-torch.expm1(a)).sqrt() * epsilon) * (-0.5 * a).exp()


def epsilon_from_x0(x: Tensor, x0: Tensor, a: Tensor) -> Tensor:
    """The noise that x would hold if its data were `x0`: `diffuse` solved for epsilon. Needs k > 0."""
    return (x - (0.5 * a).exp() * x0) / (-torch.expm1(a)).sqrt()


def posterior(x0: Tensor, x: Tensor, earlier: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean and variance of :math:`q(x_s \mid x_k, x_0)` for any s < k (eq. 6-7, for steps of any length).

    .. math::
        \tilde\mu = \frac{\sqrt{\bar\alpha_s}\, \beta}{1 - \bar\alpha_k} x_0
                  + \frac{\sqrt{\alpha} (1 - \bar\alpha_s)}{1 - \bar\alpha_k} x_k, \qquad
        \tilde\beta = \frac{1 - \bar\alpha_s}{1 - \bar\alpha_k} \beta, \qquad
        \alpha = \bar\alpha_k / \bar\alpha_s, \quad \beta = 1 - \alpha .

    At s = 0 it is :math:`x_0` with variance 0.

    Args:
        x0, x: (n, ...).
        earlier, a: logarithms of alpha-bar at s and at k.
    """
    total, left = -torch.expm1(a), -torch.expm1(earlier)
    beta = -torch.expm1(a - earlier)
    mean = (0.5 * earlier).exp() * (beta / total) * x0 + (0.5 * (a - earlier)).exp() * (left / total) * x
    return mean, beta * left / total


def kl_to_base(x0: Tensor, a: Tensor) -> Tensor:
    r""":math:`D_{KL}(q(x_k \mid x_0) \| N(0, I))` in nats, (n,): the term :math:`L_T` of the bound at k = T.

    .. math:: \tfrac12 \sum_i \bar\alpha x_{0,i}^2 - \bar\alpha - \log(1 - \bar\alpha)
    """
    alpha_bar = a.exp()
    return 0.5 * (alpha_bar * x0.square() - alpha_bar - torch.log(-torch.expm1(a))).flatten(1).sum(1)
