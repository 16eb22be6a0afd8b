r"""A small U-Net for fields of images of any size: Ho et al. (2020, arXiv:2006.11239, appendix B), slimmed.

Differences from theirs: as many blocks on the way up as on the way down (they have one more) and no separate middle,
self-attention once a level, time and condition by adaptive group normalization, sizes halved by rounding up so that
odd ones work, channels `width` at full resolution and twice that below.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolutional import Downsample, ResidualBlock, Upsample, convolution, group_norm, pyramid
from .embeddings import TimeEmbedding, check_embedding
from .mlp import zero

ATTENTION_PIXELS = 64


class SelfAttention(nn.Module):
    """Every pixel attends to every pixel of its own image, (n, channels, h, w) to the same (Vaswani et al. 2017)."""

    def __init__(self, channels: int):
        super().__init__()
        self.heads = max(1, channels // 64)
        if channels % self.heads:
            self.heads = 1
        self.norm = group_norm(channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.last = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2)  # (n, pixels, 3 channels)
        q, k, v = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, pixels, channels / heads)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = x + self.last(mixed.transpose(1, 2).reshape(x.shape))
        return out


class Down(nn.Module):
    """The way down at one level: every block's output is kept for the way up."""

    def __init__(self, channels: int, depth: int, features: int, dropout: float, attention: bool):
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, channels, features, dropout) for _ in range(depth))
        self.attention = SelfAttention(channels) if attention else nn.Identity()

    def forward(self, h: Tensor, e: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = []
        for block in self.blocks:
            h = block(h, e)
            skips.append(h)
        return self.attention(h), skips


class Up(nn.Module):
    """The way up at one level. A 1x1 convolution merges each skip before the block, which halves the block's work."""

    def __init__(self, channels: int, depth: int, features: int, dropout: float):
        super().__init__()
        self.merge = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for _ in range(depth))
        self.blocks = nn.ModuleList(ResidualBlock(channels, channels, features, dropout) for _ in range(depth))

    def forward(self, h: Tensor, e: Tensor, skips: list[Tensor]) -> Tensor:
        for merge, block, skip in zip(self.merge, self.blocks, reversed(skips)):
            h = block(merge(torch.cat([h, skip], 1)), e)
        return h


class UNet(nn.Module):
    r"""A field of images: (x (n, *shape), t (n,) in [0, 1], embedding) to (n, out_channels, height, width).

    Per level `depth` blocks down and up, joined by skips; self-attention below full resolution where an image has at
    most 64 pixels. The last convolution starts at zero.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        out_channels: int,
        width: int,
        depth: int,
        *,
        condition_features: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.condition_features = condition_features
        features = 4 * width
        self.time = TimeEmbedding(features)
        self.condition = nn.Linear(condition_features, features) if condition_features else None
        self.first = convolution(shape[0], width)
        sizes = pyramid(*shape[1:])
        widths = [width if level == 0 else 2 * width for level in range(len(sizes))]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, channels in enumerate(widths):
            attention = level > 0 and math.prod(sizes[level]) <= ATTENTION_PIXELS
            self.down.append(Down(channels, depth, features, dropout, attention))
            self.up.append(Up(channels, depth, features, dropout))
            if level:
                self.shrink.append(Downsample(widths[level - 1], channels, sizes[level - 1], sizes[level]))
                self.grow.append(Upsample(channels, widths[level - 1], sizes[level - 1]))
        self.norm = group_norm(width)
        self.last = zero(convolution(width, out_channels))

    def forward(self, x: Tensor, t: Tensor, embedding: Tensor | None = None) -> Tensor:
        check_embedding(embedding, self.condition_features)
        e = self.time(t)
        if self.condition is not None:
            e = e + self.condition(embedding)
        e = F.silu(e)
        h = self.first(x)
        skips = []
        for level, down in enumerate(self.down):
            h, kept = down(self.shrink[level - 1](h) if level else h, e)
            skips.append(kept)
        for level in reversed(range(len(self.up))):
            h = self.up[level](h, e, skips[level])
            h = self.grow[level - 1](h) if level else h
        out: Tensor = self.last(F.silu(self.norm(h)))
        return out
