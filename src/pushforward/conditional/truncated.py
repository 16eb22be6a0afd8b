r"""Standard normals within intervals, accurate far in the tails.

Masses are logarithms, and everything is done on the side of the line where :math:`\Phi` is small.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_DEEP = -650.0
"""Below this log-probability, e to it is no number any more."""


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    r""":math:`\log(\Phi(high) - \Phi(low))`, float64; -inf where low >= high."""
    a, b, _ = _lower_side(low, high)
    top = torch.special.log_ndtr(b)
    gap = (torch.special.log_ndtr(a) - top).clamp_max(0.0)
    return torch.where(low < high, top + torch.log(-torch.expm1(gap)), -math.inf)


def draw(low: Tensor, high: Tensor, u: Tensor) -> Tensor:
    """The point of (low, high) with a share `u` of its mass on one side: a draw, for u uniform on (0, 1)."""
    a, b, flipped = _lower_side(low, high)
    t = torch.logaddexp(torch.special.log_ndtr(a) + torch.log1p(-u), torch.special.log_ndtr(b) + torch.log(u))
    x = inverse_log_ndtr(t)
    x = torch.minimum(torch.maximum(x, a), b)
    return torch.where(flipped, -x, x)


def inverse_log_ndtr(t: Tensor) -> Tensor:
    r"""The x with :math:`\log \Phi(x) = t`."""
    x = torch.special.ndtri(t.exp())
    deep = t < _DEEP
    if bool(deep.any()):
        y = -(-2 * t.clamp_max(-1.0)).sqrt()
        for _ in range(4):  # Newton: the slope of log Phi is the density over Phi
            value = torch.special.log_ndtr(y)
            y = y - (value - t) * torch.exp(value + 0.5 * y.square() + _LOG_SQRT_2PI)
        x = torch.where(deep, y, x)
    return x


def _lower_side(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The interval, mirrored where all of it is above 0, and where that was."""
    flipped = low > 0
    return torch.where(flipped, -high, low), torch.where(flipped, -low, high), flipped
