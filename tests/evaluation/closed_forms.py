"""Models whose likelihoods are known, and can be told to be bounds or estimates."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pushforward.likelihood import LogProb
from pushforward.model import GenerativeModel
from pushforward.noise import Noise
from pushforward.spaces import Real, Space


class Normal(GenerativeModel):
    """N(mean, std^2 I) over reals, in float64.

    Args:
        gap: nats that a lower bound is below the truth; None: exact.
        solver: the error that it states. scatter: standard deviation of a Monte Carlo error that it makes and states.
        nowhere: rows with a first number above it get density 0. broken: rows above it get NaN.
    """

    def __init__(
        self,
        mean: float = 0.0,
        std: float = 1.0,
        d: int = 2,
        *,
        space: Space | None = None,
        condition_space: Space | None = None,
        gap: float | None = None,
        solver: float | None = None,
        scatter: float | None = None,
        nowhere: float = math.inf,
        broken: float = math.inf,
        measure: str = "Lebesgue",
    ):
        super().__init__(space or Real((d,), double=True), condition_space)
        self.mean, self.std, self.gap, self.solver, self.scatter = mean, std, gap, solver, scatter
        self.nowhere, self.broken, self.named = nowhere, broken, measure

    @property
    def measure(self) -> str:
        return self.named

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        return self.mean + self.std * noise.normal(*self.space.shape, dtype=torch.float64)

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        z = (x.double() - self.mean) / self.std
        values = (-0.5 * z.square() - math.log(self.std) - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)
        error = None
        if self.scatter is not None:
            values = values + self.scatter * noise.normal(1, dtype=torch.float64)[:, 0]
            error = torch.full_like(values, self.scatter)
        values = torch.where(x.flatten(1)[:, 0] > self.nowhere, -math.inf, values)
        values = torch.where(x.flatten(1)[:, 0] > self.broken, math.nan, values)
        return LogProb(
            values - (self.gap or 0.0),
            "exact" if self.gap is None else "lower",
            error,
            None if error is None else 4,
            None if self.solver is None else torch.full_like(values, self.solver),
        )


def points(n: int = 500, d: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
