r"""Affine coupling layers (Dinh, Sohl-Dickstein, Bengio 2017, "Density estimation using Real NVP", arXiv:1605.08803).

One part of x passes unchanged and decides the scale and shift of the other (eq. 7-8):

.. math:: z_1 = x_1, \qquad z_2 = x_2 \odot e^{s(x_1)} + t(x_1), \qquad \log|\det| = \textstyle\sum s(x_1),

and back, :math:`x_2 = (z_2 - t(z_1)) \odot e^{-s(z_1)}`: s and t are never inverted, so they are any networks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import Bijection


class AffineCoupling(Bijection):
    r"""The coupling as a mask over x (eq. 9), which covers halves of vectors, channels and checkerboards alike.

    The log-scale is :math:`s = b \tanh(r / b)` for the network's raw output r: one layer scales by at most
    :math:`e^{\pm b}` in either direction, so no layer can overflow, and none is kept from sharpening.

    Args:
        kept: bool, of the shape of one example or broadcastable to it; True where x passes unchanged. Saved.
        conditioner: (x (n, *shape) with zeros where it changes, condition (n, features) or None) to raw scale and
            shift, (n, 2 * shape[0], *shape[1:]). With zeros at initialization the coupling is the identity.
        bound: b, the largest log-scale of the layer.
    """

    kept: Tensor

    def __init__(self, kept: Tensor, conditioner: nn.Module, bound: float = 3.0):
        super().__init__()
        self.register_buffer("kept", kept)
        self.conditioner = conditioner
        self.bound = bound

    def _scale_and_shift(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """s and t, zero where x passes unchanged; `x` is read only there."""
        raw = self.conditioner(torch.where(self.kept, x, 0.0), condition).to(x.dtype)
        s, t = raw.chunk(2, 1)
        s = self.bound * torch.tanh(s / self.bound)
        return torch.where(self.kept, 0.0, s), torch.where(self.kept, 0.0, t)

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        s, t = self._scale_and_shift(x, condition)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        s, t = self._scale_and_shift(z, condition)
        return (z - t) * (-s).exp(), -s.flatten(1).sum(1)


def random_half(d: int) -> Tensor:
    """A mask (d,) with d // 2 entries True, drawn from torch's default generator: a random permutation, halved."""
    kept = torch.zeros(d, dtype=torch.bool)
    kept[torch.randperm(d)[: d // 2]] = True
    return kept


def checkerboard(height: int, width: int) -> Tensor:
    """A mask (1, height, width) that alternates along both axes, True at the top left corner (fig. 3, left)."""
    return ((torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0)[None]


def first_channels(channels: int) -> Tensor:
    """A mask (channels, 1, 1), True for the first half (fig. 3, right)."""
    return (torch.arange(channels) < channels // 2)[:, None, None]
