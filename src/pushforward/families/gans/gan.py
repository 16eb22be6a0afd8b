r"""The generative adversarial network of Goodfellow et al. (2014, arXiv:1406.2661).

A generator pushes noise forward, :math:`x = G(z, c)`, :math:`z \sim N(0, I)`; a discriminator :math:`D(x, c)` learns
to tell its samples from data, and the generator learns from it:

.. math:: \min_G \max_D \; \mathbb{E}_x \log D(x) + \mathbb{E}_z \log(1 - D(G(z))).

The model is implicit: samples, but no density and no codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...bijections.preprocess import Rescale
from ...config import ModelSettings, NetworkSettings, OptimizerSettings
from ...errors import InputError
from ...game import Batch, Player
from ...model import GenerativeModel
from ...nn import ConditionEmbedding, critic, decoder
from ...noise import Noise
from ...spaces import Interval, Pixels, Real, Space
from . import objectives


class GANSettings(ModelSettings):
    """What a GAN is made of."""

    loss: Literal["non-saturating", "minimax"] = Field("non-saturating", description="the generator's objective")
    discriminator_steps: int = Field(1, gt=0, description="updates of the discriminator for one of the generator")
    latent: int = Field(16, gt=0, description="dimensions of the noise z")
    condition_features: int = Field(32, gt=0, description="of the embedding of a condition")
    network: NetworkSettings = Field(NetworkSettings(), description="the generator's")
    discriminator_network: NetworkSettings = Field(NetworkSettings(), description="the discriminator's")
    optimizer: OptimizerSettings = Field(
        OptimizerSettings(learning_rate=2e-4, betas=(0.5, 0.999), schedule="linear"), description="the generator's"
    )
    discriminator_optimizer: OptimizerSettings = Field(
        OptimizerSettings(learning_rate=4e-4, betas=(0.5, 0.999), schedule="linear"),
        description="the discriminator's: faster, so that it stays near its best answer (Heusel et al. 2017)",
    )


class GAN(GenerativeModel):
    """A generator against a discriminator.

    Roles for your own networks: "generator", (z (n, latent), embedding) to (n, *shape), used as it is (images of
    pixels are scaled to [-1, 1]: end it with a tanh); "discriminator" or "critic", (x (n, *shape), embedding) to (n, 1)
    logits. A conditional model gives them an embedding (n, condition_features) as second argument.
    """

    Settings = GANSettings
    supports = (Real,)
    roles = ("generator", "discriminator", "critic")

    def __init__(
        self,
        settings: GANSettings,
        space: Space,
        condition_space: Space | None = None,
        networks: Mapping[str, nn.Module] | None = None,
    ):
        super().__init__(space, condition_space)
        self.settings = settings
        networks = networks or {}
        features = 0 if condition_space is None else settings.condition_features

        def embedding() -> ConditionEmbedding | None:
            return None if condition_space is None else ConditionEmbedding(condition_space, features)

        # An embedding each: shared ones would be pulled by two optimizers in opposite directions.
        self.generator_condition, self.discriminator_condition = embedding(), embedding()
        own = networks.get("generator")
        self.generator = own or decoder(settings.latent, space.shape, settings.network, features)
        self.bounded = own is None and isinstance(space, Interval)
        own = networks.get("discriminator") or networks.get("critic")
        self.discriminator = own or critic(space.shape, settings.discriminator_network, features)

    @classmethod
    def preprocess(cls, space: Space, settings: Any) -> Any:
        """Pixels to [-1, 1] without noise, for there is no density to keep; real data standardized."""
        return Rescale(space) if isinstance(space, Pixels) else super().preprocess(space, settings)

    def forward_generator(self, noise: Noise, condition: Any) -> Tensor:
        """G(z, c), (n, *space.shape), with z drawn from `noise`."""
        parameter = next(self.generator.parameters(), None)
        z = noise.normal(self.settings.latent, dtype=torch.float32 if parameter is None else parameter.dtype)
        x = _apply(self.generator, z, self.generator_condition, condition)
        return x.tanh() if self.bounded else x

    def logits(self, x: Tensor, condition: Any = None) -> Tensor:
        """The discriminator's logits (n, 1): log D - log(1 - D)."""
        logits = _apply(self.discriminator, x, self.discriminator_condition, condition)
        if tuple(logits.shape) != (len(x), 1):
            raise InputError(
                f"the critic gives shape {tuple(logits.shape)}.", f"It must give ({len(x)}, 1): one logit."
            )
        return logits

    def discriminator_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The discriminator's loss, and the mean of D on data and on samples."""
        with torch.no_grad():
            samples = self.forward_generator(batch.noise, batch.condition)
        # Two passes: a network with BatchNorm must not mix the statistics of data and samples.
        real, fake = self.logits(batch.x, batch.condition), self.logits(samples, batch.condition)
        return {
            "discriminator": objectives.discriminator(real, fake),
            "_D(data)": real.detach().sigmoid().mean(),
            "_D(samples)": fake.detach().sigmoid().mean(),
        }

    def generator_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The generator's loss on new samples, under the conditions of the batch."""
        samples = self.forward_generator(batch.noise, batch.condition)
        return {"generator": objectives.GENERATOR[self.settings.loss](self.logits(samples, batch.condition))}

    def players(self) -> Sequence[Player]:
        s = self.settings
        return [
            Player(
                "discriminator",
                [m for m in (self.discriminator, self.discriminator_condition) if m is not None],
                self.discriminator_loss,
                s.discriminator_optimizer,
                turns=s.discriminator_steps,
            ),
            Player(
                "generator",
                [m for m in (self.generator, self.generator_condition) if m is not None],
                self.generator_loss,
                s.optimizer,
            ),
        ]

    def averaged(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The generator only: an averaged discriminator would be nobody's opponent."""
        return ((name, p) for name, p in self.named_parameters() if name.startswith("generator"))

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        return self.forward_generator(noise, condition)


def _apply(network: nn.Module, x: Tensor, embed: ConditionEmbedding | None, condition: Any) -> Tensor:
    """`network(x)`, or `network(x, embedding)` in a conditional model."""
    out: Tensor = network(x) if embed is None else network(x, embed(condition, len(x)))
    return out


MODEL = GAN
