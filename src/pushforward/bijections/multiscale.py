r"""Layers that move numbers without changing them: squeezing, and leaving part of x at its scale.

With them a flow of images works at several resolutions (Dinh, Sohl-Dickstein, Bengio 2017, arXiv:1605.08803,
sec. 3.6): after some couplings, half of the channels go to the base as they are, and the rest is squeezed and goes on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Bijection


def squeeze(x: Tensor) -> Tensor:
    """(n, c, h, w) to (n, 4c, h/2, w/2): the c channels of each block's pixels (0, 0), (0, 1), (1, 0), (1, 1).

    The first half of the channels are the even rows: a partition that a checkerboard does not make.
    """
    return F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4)).transpose(1, 2).flatten(1, 2)


def unsqueeze(x: Tensor) -> Tensor:
    """The inverse of `squeeze`."""
    return F.pixel_shuffle(x.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)


class Squeezed(Bijection):
    """`inner` at half the resolution: (c, h, w) becomes (4c, h/2, w/2) for it, and is put back after.

    Each block of 2x2 pixels becomes four channels, so the shape of x is kept for whoever is outside, and codes stay
    arranged as the image is. Height and width are even.
    """

    def __init__(self, inner: Bijection):
        super().__init__()
        self.inner = inner

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.inner.forward_and_log_det(squeeze(x), condition)
        return unsqueeze(z), log_det

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.inner.inverse_and_log_det(squeeze(z), condition)
        return unsqueeze(x), log_det

    def start(self, x: Tensor, condition: Tensor | None = None) -> None:
        self.inner.start(squeeze(x), condition)


class Split(Bijection):
    """`inner` on the first `count` channels; the others are left as they are (factored out, sec. 3.6)."""

    def __init__(self, inner: Bijection, count: int):
        super().__init__()
        self.inner = inner
        self.count = count

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.inner.forward_and_log_det(x[:, : self.count], condition)
        return torch.cat([z, x[:, self.count :]], 1), log_det

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.inner.inverse_and_log_det(z[:, : self.count], condition)
        return torch.cat([x, z[:, self.count :]], 1), log_det

    def start(self, x: Tensor, condition: Tensor | None = None) -> None:
        self.inner.start(x[:, : self.count], condition)
