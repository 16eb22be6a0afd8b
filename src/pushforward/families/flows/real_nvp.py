r"""Real NVP: a flow of affine couplings (Dinh, Sohl-Dickstein, Bengio 2017, arXiv:1605.08803).

Vectors: couplings between random halves, each pair of layers updating every number once. Images: at each scale,
couplings on a checkerboard, then a squeeze to half the resolution and couplings between channels, after which half of
the channels are left to the base (sec. 3.6); odd sizes end the recursion.

A vector of one number has nothing to condition on: its flow is a (conditional) Gaussian.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor, nn

from ...bijections import ActNorm, AffineCoupling, Bijection, Chain, Split, Squeezed
from ...bijections.coupling import checkerboard, first_channels, random_half
from ...bijections.preprocess import Dequantize
from ...config import ModelSettings, NetworkSettings, OptimizerSettings
from ...errors import InputError
from ...nn import ConditionEmbedding
from ...spaces import Pixels, Space
from .conditioners import Constant, ImageConditioner, VectorConditioner
from .flow import Flow


class RealNVPSettings(ModelSettings):
    """Options of `real-nvp`."""

    layers: int = Field(8, ge=1, description="couplings of a flow of vectors")
    couplings: int = Field(2, ge=1, description="of a flow of images, per scale and kind of mask")
    scales: int = Field(3, ge=0, description="times that an image is squeezed, where its size allows")
    scale_bound: float = Field(2.0, gt=0, description="largest log-scale of one layer, either way")
    actnorm: bool = Field(True, description="a learned scale and shift before each coupling, started from data")
    preprocess: str = Field("logit", pattern="^(logit|symmetric)$", description="of pixels, after dequantization")
    network: NetworkSettings = NetworkSettings(depth=1)
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=3e-3, clip=5.0)


class RealNVP(Flow):
    """A flow of affine couplings over real vectors or images; the identity at initialization."""

    Settings = RealNVPSettings

    def __init__(
        self,
        settings: RealNVPSettings,
        space: Space,
        condition_space: Space | None = None,
        networks: dict[str, nn.Module] | None = None,
    ):
        if networks:
            raise InputError(
                f"real-nvp takes no networks, but {sorted(networks)} were given.",
                "It has one conditioner a layer: size them by network.width and network.depth.",
            )
        builder = _Builder(settings, 0 if condition_space is None else 64)
        if len(space.shape) == 1:
            bijection = builder.vector(space.shape[0])
        elif len(space.shape) == 3:
            bijection = builder.image(space.shape, settings.scales)
        else:
            raise InputError(
                f"real-nvp cannot model arrays of shape {space.shape}.",
                "It models vectors (d,) and images (channels, height, width).",
            )
        embedding = None if condition_space is None else ConditionEmbedding(condition_space, builder.features)
        super().__init__(space, condition_space, bijection, embedding, settings.optimizer)
        self.settings = settings

    @classmethod
    def preprocess(cls, space: Space, settings: Any) -> Any:
        if isinstance(space, Pixels):
            return Dequantize(space, onto=settings.preprocess)
        return super().preprocess(space, settings)


class _Builder:
    """Makes the layers. `features`: numbers of the condition's embedding, or 0."""

    def __init__(self, settings: RealNVPSettings, features: int):
        self.settings, self.features = settings, features

    def vector(self, d: int) -> Bijection:
        layers: list[Bijection] = []
        kept = random_half(d)
        for i in range(self.settings.layers):
            layers += self._coupling((d,), kept)
            # A pair of layers changes every number once. One number (d = 1) is changed by each layer.
            if d > 1:
                kept = ~kept if i % 2 == 0 or d == 2 else random_half(d)
        return Chain(layers)

    def image(self, shape: tuple[int, ...], scales: int) -> Bijection:
        c, h, w = shape
        layers = self._alternating(shape, checkerboard(h, w))
        if scales > 0 and h % 2 == 0 and w % 2 == 0:
            smaller = (4 * c, h // 2, w // 2)
            rest = self.image((2 * c, h // 2, w // 2), scales - 1)
            inner = [*self._alternating(smaller, first_channels(4 * c)), Split(rest, 2 * c)]
            layers.append(Squeezed(Chain(inner)))
        return Chain(layers)

    def _alternating(self, shape: tuple[int, ...], kept: Tensor) -> list[Bijection]:
        layers: list[Bijection] = []
        for i in range(self.settings.couplings):
            layers += self._coupling(shape, kept if i % 2 == 0 else ~kept)
        return layers

    def _coupling(self, shape: tuple[int, ...], kept: Tensor) -> list[Bijection]:
        network = self.settings.network
        conditioner: nn.Module
        if len(shape) == 3:
            conditioner = ImageConditioner(shape[0], network, self.features)
        elif bool(kept.any()) or self.features:
            conditioner = VectorConditioner(shape[0], network, self.features)
        else:
            conditioner = Constant(2 * shape[0])
        coupling = AffineCoupling(kept, conditioner, self.settings.scale_bound)
        return [ActNorm(shape), coupling] if self.settings.actnorm else [coupling]


MODEL = RealNVP
