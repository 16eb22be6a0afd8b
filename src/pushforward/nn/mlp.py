r"""Networks of vectors: residual perceptrons, and the field of vectors that diffusion and flow matching learn.

A block is :math:`h + W_2\,\sigma(W_1\,\sigma(h))`, the pre-activation residual block of He et al. (2016,
arXiv:1603.05027) without normalization. torch's default initialization gives each branch a variance of about a tenth
of its input's, so deep stacks start close to the identity and need no special scaling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .embeddings import TimeEmbedding, check_embedding

Activation = Callable[[Tensor], Tensor]

# Ten times slower than for images: still resolves hundredths of t, and a small perceptron fits the noise of the
# fastest sinusoids otherwise. Measured on a ring of Gaussians: the learned velocity changes half as fast with t
# (root mean square of dv/dt 3.8 instead of 8.3), which adaptive solvers feel, at the same loss.
VECTOR_TIME_SCALE = 100.0


def leaky_relu(x: Tensor) -> Tensor:
    """LeakyReLU of slope 0.2, the critic's activation since DCGAN (Radford et al. 2016, arXiv:1511.06434)."""
    return F.leaky_relu(x, 0.2)


def zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """`layer` with zero weights and bias: the network around it starts as the zero function."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    r""":math:`h + W_2\,\sigma(u \odot (1 + s) + b)` with :math:`u = W_1\,\sigma(h)`, on (n, width).

    With `embedding_features`, scale s and shift b are linear in an embedding (FiLM, Perez et al. 2018,
    arXiv:1709.07871); without, they are zero and have no parameters.
    """

    def __init__(self, width: int, embedding_features: int, dropout: float, activation: Activation):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.film = nn.Linear(embedding_features, 2 * width) if embedding_features else None
        self.dropout = nn.Dropout(dropout)
        self.activation = activation

    def forward(self, h: Tensor, embedding: Tensor | None = None) -> Tensor:
        u = self.first(self.activation(h))
        if self.film is not None:
            scale, shift = self.film(embedding).chunk(2, 1)
            u = u * (1 + scale) + shift
        out: Tensor = h + self.second(self.dropout(self.activation(u)))
        return out


class MLP(nn.Module):
    """A perceptron with residual blocks: (n, inputs) to (n, outputs).

    Args:
        inputs, outputs: numbers per example.
        width: units of each hidden layer.
        depth: residual blocks (two layers each), between a first and a last linear layer.
        zero_last: start as the zero function.
        dropout: inside the blocks, in training mode.
        activation: elementwise, SiLU by default.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        *,
        zero_last: bool = False,
        dropout: float = 0.0,
        activation: Activation = F.silu,
    ):
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, 0, dropout, activation) for _ in range(depth))
        last = nn.Linear(width, outputs)
        self.last = zero(last) if zero_last else last
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.last(self.activation(h))
        return out


class ConditionalMLP(nn.Module):
    """An MLP of (x, embedding): the embedding (n, condition_features) is appended to x (n, inputs)."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int, condition_features: int, **options: object):
        super().__init__()
        self.condition_features = condition_features
        self.mlp = MLP(inputs + condition_features, outputs, width, depth, **options)  # type: ignore[arg-type]

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        check_embedding(embedding, self.condition_features)
        out: Tensor = self.mlp(x if embedding is None else torch.cat([x, embedding], 1))
        return out


class VectorField(nn.Module):
    r"""A field of vectors: (x (n, inputs), t (n,) in [0, 1], embedding) to (n, outputs).

    Residual blocks, each modulated by an embedding of time and condition; the last layer starts at zero.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        *,
        condition_features: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.condition_features = condition_features
        self.time = TimeEmbedding(width, scale=VECTOR_TIME_SCALE)
        self.condition = nn.Linear(condition_features, width) if condition_features else None
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, width, dropout, F.silu) for _ in range(depth))
        self.last = zero(nn.Linear(width, outputs))

    def forward(self, x: Tensor, t: Tensor, embedding: Tensor | None = None) -> Tensor:
        check_embedding(embedding, self.condition_features)
        e = self.time(t)
        if self.condition is not None:
            e = e + self.condition(embedding)
        e = F.silu(e)
        h = self.first(x)
        for block in self.blocks:
            h = block(h, e)
        out: Tensor = self.last(F.silu(h))
        return out
