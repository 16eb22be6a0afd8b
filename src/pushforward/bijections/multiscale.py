r"""Layers that move numbers without changing them: squeezing, permuting, and leaving part of x at a coarser scale.

With them a flow of images works at several resolutions (Dinh, Sohl-Dickstein, Bengio 2017, arXiv:1605.08803,
sec. 3.6): after some couplings, half of the channels go to the base as they are, and the rest is squeezed and goes on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import Bijection


class Permutation(Bijection):
    """A fixed order of the first axis of an example: numbers of a vector, channels of an image. Saved.

    Args:
        order: (d,) int64; output j is input order[j]. `torch.randperm(d)` makes a random one.
    """

    order: Tensor
    back: Tensor

    def __init__(self, order: Tensor):
        super().__init__()
        if order.sort().values.tolist() != list(range(len(order))):
            raise ValueError(f"not a permutation: {order.tolist()}")
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[:, self.order], x.new_zeros(len(x))

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z[:, self.back], z.new_zeros(len(z))


class Squeezed(Bijection):
    """`inner` at half the resolution: (c, h, w) becomes (4c, h/2, w/2) for it, and is put back after.

    Each block of 2x2 pixels becomes four channels, so the shape of x is kept for whoever is outside, and codes stay
    arranged as the image is. Height and width are even.
    """

    def __init__(self, inner: Bijection):
        super().__init__()
        self.inner = inner

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.inner.forward_and_log_det(F.pixel_unshuffle(x, 2), condition)
        return F.pixel_shuffle(z, 2), log_det

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.inner.inverse_and_log_det(F.pixel_unshuffle(z, 2), condition)
        return F.pixel_shuffle(x, 2), log_det

    def start(self, x: Tensor, condition: Tensor | None = None) -> None:
        self.inner.start(F.pixel_unshuffle(x, 2), condition)


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
