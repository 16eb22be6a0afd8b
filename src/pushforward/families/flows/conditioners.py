"""Networks inside the layers of a flow: zero at initialization, so that each layer starts as the identity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import NetworkSettings
from ...nn.convolutional import ResidualBlock, convolution, group_norm
from ...nn.mlp import ConditionalMLP, zero
from ...nn.roles import numbers


class Constant(nn.Module):
    """Learned numbers that depend on nothing: (n, outputs), zero at initialization."""

    def __init__(self, outputs: int):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        return self.values.expand(len(x), -1)


class VectorConditioner(ConditionalMLP):
    """(x (n, d), embedding (n, features) or None) to (n, 2 d).

    ReLU, as in the paper: its kinks let narrow modes be told apart in a fraction of the steps that SiLU takes.
    """

    def __init__(self, d: int, settings: NetworkSettings, features: int):
        width, depth = numbers("mlp", settings)
        super().__init__(d, 2 * d, width, depth, features, zero_last=True, dropout=settings.dropout, activation=F.relu)


class ImageConditioner(nn.Module):
    """(x (n, c, h, w), embedding (n, features) or None) to (n, 2 c, h, w): residual blocks at one resolution."""

    def __init__(self, channels: int, settings: NetworkSettings, features: int):
        super().__init__()
        width, depth = numbers("convolutional", settings)
        self.first = convolution(channels, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, width, features, settings.dropout) for _ in range(depth))
        self.norm = group_norm(width)
        self.last = zero(convolution(width, 2 * channels))

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = block(h, embedding)
        out: Tensor = self.last(F.silu(self.norm(h)))
        return out
