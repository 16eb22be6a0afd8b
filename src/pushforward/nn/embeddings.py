r"""Numbers that modulate a network: time, and what generation is conditioned on."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..noise import Noise
from ..spaces import Classes, Real, Space


def check_embedding(embedding: Tensor | None, features: int) -> None:
    """Raises ValueError unless an embedding is given exactly when the network was built for one."""
    given = 0 if embedding is None else embedding.shape[1]
    if given != features:
        raise ValueError(f"this network takes {features} condition features, but was given {given}")


class Sinusoids(nn.Module):
    r"""Sines and cosines of time, :math:`\sin(1000\,\omega_k t), \cos(1000\,\omega_k t)`, (n,) to (n, features).

    The frequencies :math:`\omega_k = 10^{-4 k / (K - 1)}`, k = 0..K-1, are those of Vaswani et al. (2017,
    arXiv:1706.03762, sec. 3.5), made for positions 0..1000. Time in [0, 1] is therefore multiplied by 1000: without
    that the embedding is nearly constant (numerical rank 3) and neighbouring times cannot be told apart.

    Args:
        features: how many, even and at least 4.
        scale: what t is multiplied by.
    """

    frequencies: Tensor

    def __init__(self, features: int, scale: float = 1000.0):
        super().__init__()
        if features < 4 or features % 2:
            raise ValueError(f"features must be even and at least 4, not {features}")
        exponents = torch.linspace(0, 4, features // 2, dtype=torch.float64)
        # A buffer, so that it follows the model's device and precision; not saved, for it is not learned.
        self.register_buffer("frequencies", (scale * 10.0**-exponents).float(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angle = t[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], 1)


class TimeEmbedding(nn.Module):
    """Time t (n,) in [0, 1] to (n, features): a perceptron of its sinusoids and of t itself.

    The sinusoids tell neighbouring times apart; t itself lets the smooth dependence be learned without them.

    Args:
        features: numbers per example.
        sinusoids: how many of them.
        scale: of the fastest one, see `Sinusoids`.
    """

    def __init__(self, features: int, sinusoids: int = 64, scale: float = 1000.0):
        super().__init__()
        self.sinusoids = Sinusoids(sinusoids, scale)
        self.first = nn.Linear(sinusoids + 1, features)
        self.second = nn.Linear(features, features)

    def forward(self, t: Tensor) -> Tensor:
        # Centred and scaled to unit variance for uniform t, as the sinusoids nearly are.
        raw = (t[:, None] - 0.5) * math.sqrt(12.0)
        out: Tensor = self.second(F.silu(self.first(torch.cat([self.sinusoids(t), raw], 1))))
        return out


class ConditionEmbedding(nn.Module):
    """A condition to (n, features): a table of classes, or a small perceptron of a vector.

    With `dropout` there is a learned null embedding as well: it stands for no condition (`None`), and in training for
    rows dropped at random with that probability, so that one network learns both the conditional and the
    unconditional distribution (classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598). Without `dropout`
    it would never be trained, so there is none.

    Args:
        space: `Classes`, or `Real` of any shape (already standardized).
        features: numbers per example that networks receive.
        dropout: probability of dropping a row's condition.

    Raises:
        InputError: conditions of another kind.
    """

    def __init__(self, space: Space, features: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.embed: nn.Module
        if isinstance(space, Classes):
            self.embed = nn.Embedding(space.count, features)
        elif isinstance(space, Real):
            self.embed = nn.Sequential(
                nn.Flatten(), nn.Linear(space.dimensions, features), nn.SiLU(), nn.Linear(features, features)
            )
        else:
            raise InputError(f"cannot condition on {space.describe()}.", "A condition is a class or a real vector.")
        self.null = nn.Parameter(torch.randn(features)) if dropout > 0 else None

    def forward(self, condition: Tensor | None, n: int, noise: Noise | None = None) -> Tensor:
        """(n, features). `noise` decides which rows are dropped, in training mode only.

        Raises:
            ValueError: no condition, and no null embedding to stand for it.
        """
        if condition is None:
            if self.null is None:
                raise ValueError("no condition was given, and this model was trained with one for every example")
            return self.null.expand(n, -1)
        out: Tensor = self.embed(condition)
        if self.null is not None and self.training and noise is not None:
            out = torch.where(noise.uniform(1) < self.dropout, self.null, out)
        return out
