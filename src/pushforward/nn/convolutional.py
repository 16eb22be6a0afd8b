r"""Networks of images (channels, height, width) of any size: encoder, decoder, critic.

Each level halves every axis that is longer than four pixels, rounding up (7 to 4), until all are at most four; the
way back up repeats pixels and crops, so every size is reached exactly. Channels are `width` at full resolution, and
twice, then four times that below. Normalization is over one example's channels (GroupNorm, Wu and He 2018,
arXiv:1803.08494): an example's result never depends on its batch.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from .embeddings import check_embedding
from .mlp import Activation, leaky_relu

Size = tuple[int, int]
SMALLEST = 4


def pyramid(height: int, width: int) -> list[Size]:
    """Sizes from (height, width) down to at most 4 pixels an axis: (28, 28), (14, 14), (7, 7), (4, 4)."""
    sizes = [(height, width)]
    while max(sizes[-1]) > SMALLEST:
        h, w = sizes[-1]
        sizes.append((-(-h // 2) if h > SMALLEST else h, -(-w // 2) if w > SMALLEST else w))
    return sizes


def group_norm(channels: int) -> nn.GroupNorm:
    """As many groups as divide `channels`, at most 8, of at least 4 channels each."""
    groups = max(g for g in range(1, 9) if channels % g == 0 and (g == 1 or channels // g >= 4))
    return nn.GroupNorm(groups, channels)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3, keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Downsample(nn.Module):
    """A 3x3 convolution whose stride takes one size of the pyramid to the next."""

    def __init__(self, inputs: int, outputs: int, size: Size, smaller: Size):
        super().__init__()
        stride = (1 if size[0] == smaller[0] else 2, 1 if size[1] == smaller[1] else 2)
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.convolution(x)
        return out


class Upsample(nn.Module):
    """To `size` by repeating pixels. Channels change before that, by a 1x1 convolution, where it is cheapest.

    The repeated pixels are smoothed by the 3x3 convolutions that follow.
    """

    def __init__(self, inputs: int, outputs: int, size: Size):
        super().__init__()
        self.size = size
        self.convolution = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.convolution(x), size=self.size, mode="nearest")


class ResidualBlock(nn.Module):
    r""":math:`x + K_2\,\sigma(u \odot (1 + s) + b)`, :math:`u = N_2 K_1\,\sigma(N_1 x)`, on (n, inputs, h, w).

    K are 3x3 convolutions, N GroupNorm (none for a critic); s and b are one number a channel, linear in the embedding
    (adaptive group normalization, Dhariwal and Nichol 2021, arXiv:2105.05233, eq. 1), and absent without one.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding_features: int = 0,
        dropout: float = 0.0,
        normalize: bool = True,
        activation: Activation = F.silu,
    ):
        super().__init__()
        self.norm_1 = group_norm(inputs) if normalize else nn.Identity()
        self.norm_2 = group_norm(outputs) if normalize else nn.Identity()
        self.first, self.second = convolution(inputs, outputs), convolution(outputs, outputs)
        self.film = nn.Linear(embedding_features, 2 * outputs) if embedding_features else None
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.activation = activation

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        u = self.norm_2(self.first(self.activation(self.norm_1(x))))
        if self.film is not None:
            scale, shift = self.film(embedding)[:, :, None, None].chunk(2, 1)
            u = u * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.second(self.dropout(self.activation(u)))
        return out


def channels(width: int, levels: int) -> list[int]:
    """Channels of each level: width, then twice and four times that."""
    return [width * min(2**level, 4) for level in range(levels)]


class ConvolutionalEncoder(nn.Module):
    """Images (n, *shape) to vectors (n, out). Also the critic, with `normalize=False` and LeakyReLU.

    The full resolution has one convolution only; the blocks (`depth` a level) work on the smaller sizes.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        out: int,
        width: int,
        depth: int,
        *,
        condition_features: int = 0,
        dropout: float = 0.0,
        normalize: bool = True,
        activation: Activation = F.silu,
    ):
        super().__init__()
        self.condition_features, self.activation = condition_features, activation
        sizes = pyramid(*shape[1:])
        widths = channels(width, len(sizes))
        self.first = convolution(shape[0], width)
        layers: list[nn.Module] = []
        for level in range(len(sizes)):
            if level:
                layers.append(Downsample(widths[level - 1], widths[level], sizes[level - 1], sizes[level]))
            if level or len(sizes) == 1:
                layers += [
                    ResidualBlock(widths[level], widths[level], condition_features, dropout, normalize, activation)
                    for _ in range(depth)
                ]
        self.layers = nn.ModuleList(layers)
        self.norm = group_norm(widths[-1]) if normalize else nn.Identity()
        self.last = nn.Linear(widths[-1] * math.prod(sizes[-1]), out)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        check_embedding(embedding, self.condition_features)
        h = self.first(x)
        for layer in self.layers:
            h = layer(h, embedding) if isinstance(layer, ResidualBlock) else layer(self.activation(h))
        out: Tensor = self.last(self.activation(self.norm(h)).flatten(1))
        return out


class ConvolutionalDecoder(nn.Module):
    """Vectors (n, features) to images (n, *shape): the encoder's levels in reverse."""

    def __init__(
        self,
        features: int,
        shape: tuple[int, int, int],
        width: int,
        depth: int,
        *,
        condition_features: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.condition_features = condition_features
        sizes = pyramid(*shape[1:])
        widths = channels(width, len(sizes))
        self.start = (widths[-1], *sizes[-1])
        self.first = nn.Linear(features, math.prod(self.start))
        layers: list[nn.Module] = []
        for level in reversed(range(len(sizes))):
            if level or len(sizes) == 1:
                layers += [
                    ResidualBlock(widths[level], widths[level], condition_features, dropout) for _ in range(depth)
                ]
            if level:
                layers.append(Upsample(widths[level], widths[level - 1], sizes[level - 1]))
        self.layers = nn.ModuleList(layers)
        self.norm = group_norm(width)
        self.middle = convolution(width, width)
        self.last = convolution(width, shape[0])

    def forward(self, z: Tensor, embedding: Tensor | None = None) -> Tensor:
        check_embedding(embedding, self.condition_features)
        h = self.first(z).unflatten(1, self.start)
        for layer in self.layers:
            h = layer(h, embedding) if isinstance(layer, ResidualBlock) else layer(h)
        h = self.middle(F.silu(self.norm(h)))
        out: Tensor = self.last(F.silu(h))
        return out


class ConvolutionalCritic(ConvolutionalEncoder):
    """An encoder without normalization, with LeakyReLU (Radford et al. 2016, arXiv:1511.06434).

    Nothing couples examples, which penalties on each example's gradient need (Gulrajani et al. 2017,
    arXiv:1704.00028, sec. 4).
    """

    def __init__(self, shape: tuple[int, int, int], out: int, width: int, depth: int, **options: object):
        super().__init__(
            shape,
            out,
            width,
            depth,
            normalize=False,
            activation=leaky_relu,
            **options,  # type: ignore[arg-type]
        )
