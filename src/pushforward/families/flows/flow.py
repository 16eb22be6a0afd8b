r"""Normalizing flows: any bijection as a generative model.

.. math:: \log p(x \mid c) = \log \mathcal{N}(f(x; c); 0, I) + \log\left|\det \frac{\partial f(x; c)}{\partial x}\right|

is exact and is what training maximizes; samples are :math:`f^{-1}(z; c)` of :math:`z \sim \mathcal{N}(0, I)`
(Rezende and Mohamed 2015, arXiv:1505.05770, eq. 5; Papamakarios et al. 2021, arXiv:1912.02762, eq. 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...bijections import Bijection
from ...config import OptimizerSettings
from ...dataset import Dataset
from ...game import Batch, Player
from ...likelihood import LogProb
from ...model import GenerativeModel
from ...nn import ConditionEmbedding
from ...noise import Noise
from ...spaces import Real, Space

# Data-dependent initialization sees at most this many rows and numbers.
_START_ROWS, _START_NUMBERS = 2048, 2**20


class Flow(GenerativeModel):
    """A bijection from data to a standard normal of the same shape. Families build the bijection.

    Args:
        space: real vectors or images.
        condition_space: what the embedding embeds, or None.
        bijection: of (n, *space.shape), given the embedding (n, features) or None.
        embedding: of the condition, or None.
        optimizer: of the only player.
    """

    supports = (Real,)
    options: Mapping[str, Any] = {"temperature": 1.0}

    def __init__(
        self,
        space: Space,
        condition_space: Space | None,
        bijection: Bijection,
        embedding: ConditionEmbedding | None,
        optimizer: OptimizerSettings,
    ):
        super().__init__(space, condition_space, Real(space.shape))
        self.bijection = bijection
        self.embedding = embedding
        self.optimizer = optimizer

    def _embed(self, condition: Tensor | None, n: int) -> Tensor | None:
        return None if self.embedding is None else self.embedding(condition, n)

    def density(self, x: Any, condition: Any, noise: Noise | None, **options: Any) -> LogProb:
        z, log_det = self.bijection.forward_and_log_det(x, self._embed(condition, len(x)))
        base = -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)
        return LogProb(base + log_det, terms={"base": base, "log_det": log_det})

    def density_method(self, **options: Any) -> str:
        return "change of variables"

    def draw(self, noise: Noise, condition: Any = None, temperature: float = 1.0, **options: Any) -> Any:
        """The image of a normal draw of standard deviation `temperature`.

        Below 1 the samples are more typical and less diverse (Kingma and Dhariwal 2018, sec. 4).
        """
        dtype = next(self.parameters()).dtype
        return self.generate(temperature * noise.normal(*self.space.shape, dtype=dtype), condition, None)

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Any:
        """The point of the base that x comes from: exact, so `noise` changes nothing."""
        return self.bijection.forward_and_log_det(x, self._embed(condition, len(x)))[0]

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Any:
        """The image of a point of the base: exact, so `noise` changes nothing."""
        return self.bijection.inverse_and_log_det(z, self._embed(condition, len(z)))[0]

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Mean negative log-likelihood, in nats."""
        return {"nll": -self.density(batch.x, batch.condition, batch.noise).values.mean()}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        return self.loss(batch)

    def players(self) -> Sequence[Player]:
        owns: list[nn.Module | nn.Parameter] = [self.bijection]
        if self.embedding is not None:
            owns.append(self.embedding)
        return [Player("flow", owns, self.loss, self.optimizer)]

    @torch.no_grad()
    def start(self, data: Dataset | None, noise: Noise) -> None:
        """Data-dependent initialization on rows chosen uniformly by `noise`."""
        if data is None:
            return
        limit = max(2, min(_START_ROWS, _START_NUMBERS // self.space.dimensions))
        rows = noise.at(1000).uniform(1, dtype=torch.float64)[:, 0].argsort()[:limit]
        x, condition = data.gather(rows.to(data.device), noise[rows])
        parameter = next(self.parameters())
        x = x.to(parameter.device, parameter.dtype)
        if condition is not None:
            condition = condition.to(parameter.device)
        self.bijection.start(x, self._embed(condition, len(x)))
