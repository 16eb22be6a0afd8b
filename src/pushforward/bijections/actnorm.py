r"""ActNorm: one learned scale and shift a feature, started from data.

.. math:: z = (x + b) \odot e^{s}, \qquad \log|\det| = h w \sum_j s_j

for vectors (d,) per number, for images (c, h, w) per channel (Kingma and Dhariwal 2018, arXiv:1807.03039, sec. 3.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .base import Bijection


class ActNorm(Bijection):
    """Identity until `start` has seen data; then its output on that data has mean 0 and deviation 1.

    Only `start` reads statistics: neither a first batch in training, nor sampling, nor loading a file does. Whether it
    has is a buffer, so a restored layer that is started again keeps its trained values. A batch of one row says
    nothing about deviations and leaves the layer as it is; a constant feature is centred and not scaled.

    Args:
        shape: of one example, (d,) or (c, h, w).
    """

    started: Tensor

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        features = (shape[0], *[1] * (len(shape) - 1))
        self.repeats = math.prod(shape) // shape[0]
        self.log_scale = nn.Parameter(torch.zeros(features))
        self.shift = nn.Parameter(torch.zeros(features))
        self.register_buffer("started", torch.tensor(False))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x + self.shift) * self.log_scale.exp(), (self.log_scale.sum() * self.repeats).expand(len(x))

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * (-self.log_scale).exp() - self.shift, (-self.log_scale.sum() * self.repeats).expand(len(z))

    @torch.no_grad()
    def start(self, x: Tensor, condition: Tensor | None = None) -> None:
        if bool(self.started) or len(x) < 2:
            return
        dims = [0, *range(2, x.ndim)]
        values = x.double()
        mean = values.mean(dims, keepdim=True)
        deviation = (values - mean).square().mean(dims, keepdim=True).sqrt()
        # Rounding leaves a constant feature with a tiny deviation instead of zero.
        constant = deviation <= 1e-6 * (1 + mean.abs())
        scale = torch.where(constant, 1.0, deviation)
        self.shift.copy_(-mean[0])
        self.log_scale.copy_(-scale[0].log())
        self.started.fill_(True)
