r"""The interface of a bijection.

For a bijection :math:`f` from data to base and a base density :math:`p_Z`,

.. math:: \log p_X(x) = \log p_Z(f(x)) + \log \left| \det \frac{\partial f(x)}{\partial x} \right| .
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Bijection(nn.Module):
    """An invertible, differentiable map of (n, ...) tensors, possibly conditional.

    Subclasses write both directions; each returns the image and the log-absolute-determinant (n,) of its own
    Jacobian, so that `inverse(forward(x)) == x` and the two determinants are opposite.
    """

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to base: z (n, ...) and log |det dz/dx| (n,)."""
        raise NotImplementedError

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Base to data: x (n, ...) and log |det dx/dz| (n,)."""
        raise NotImplementedError

    def start(self, x: Tensor, condition: Tensor | None = None) -> None:
        """Data-dependent initialization from the first rows this layer sees (ActNorm). Default: none."""


class Chain(Bijection):
    """Bijections one after the other; the first is applied first to data."""

    def __init__(self, layers: Iterable[Bijection]):
        super().__init__()
        self.chain = nn.ModuleList(layers)

    @property
    def layers(self) -> list[Bijection]:
        return list(self.chain)  # type: ignore[arg-type]

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer.forward_and_log_det(x, condition)
            total = total + log_det
        return x, total

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(len(z))
        for layer in reversed(self.layers):
            z, log_det = layer.inverse_and_log_det(z, condition)
            total = total + log_det
        return z, total

    @torch.no_grad()
    def start(self, x: Tensor, condition: Tensor | None = None) -> None:
        for layer in self.layers:
            layer.start(x, condition)
            x, _ = layer.forward_and_log_det(x, condition)
