"""The smallest model with everything the engine handles: a flow of one diagonal affine map, with a buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.config import OptimizerSettings, Settings
from pushforward.dataset import Dataset
from pushforward.game import Batch, Player
from pushforward.likelihood import LogProb
from pushforward.model import GenerativeModel
from pushforward.noise import Noise
from pushforward.spaces import Real, Space


class Affine(GenerativeModel):
    """x = m + e^s z: its maximum-likelihood fit is the sample mean and standard deviation."""

    class Settings(Settings):
        optimizer: OptimizerSettings = OptimizerSettings(learning_rate=0.05)

    def __init__(self, settings: Any, space: Space, condition_space: Space | None = None, networks: Any = None):
        super().__init__(space, condition_space, Real(space.shape))
        self.settings = settings
        self.m = nn.Parameter(torch.zeros(space.shape))
        self.s = nn.Parameter(torch.zeros(space.shape))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        return self.m + self.s.exp() * noise.normal(*self.space.shape)

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        z = (x - self.m) * torch.exp(-self.s)
        values = -0.5 * z.square().sum(1) - self.s.sum() - 0.5 * self.space.dimensions * math.log(2 * math.pi)
        return LogProb(values)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        self.seen += len(batch)
        return {"nll": -self.density(batch.x, None, batch.noise).values.mean()}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"nll": -self.density(batch.x, None, batch.noise).values.mean()}

    def players(self) -> Sequence[Player]:
        return [Player("flow", [self.m, self.s], self.loss, self.settings.optimizer)]


def normal_data(n: int = 512, d: int = 2, seed: int = 0) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    x = 3.0 + 2.0 * torch.randn(n, d, generator=generator)
    return Dataset(x, space=Real((d,)))


def affine(**optimizer: Any) -> Affine:
    settings = Affine.Settings(optimizer=OptimizerSettings(**{"learning_rate": 0.05, **optimizer}))
    return Affine(settings, Real((2,)))
