"""Small networks as plain lists of weights, drawn from a seed: the same on every machine, whatever was drawn before.

No module's own initialization is used, as it would advance the default generator.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...noise import Noise
from ...spaces import Space
from .pca import shrink, shrunk, values


def weights(seed: int, layer: int, *shape: int) -> Tensor:
    r"""Uniform weights (out, ...) of variance 2 / fan-in, float32 (He et al. 2015, arXiv:1502.01852, eq. 10).

    The noise is made of integers, and a uniform number of 23 bits is exact: no library's logarithm has a part in it.
    """
    fan_in = math.prod(shape[1:])
    u = Noise.of(seed, 93, layer, index=torch.arange(shape[0])).uniform(fan_in)
    return ((2 * u - 1) * math.sqrt(6 / fan_in)).view(shape)


@dataclass(frozen=True)
class Layers:
    """What precedes the last layer of a network: `convolutions` (with their strides), then `dense` layers.

    Every layer is a product with weights, biases added, and a ReLU.
    """

    convolutions: tuple[tuple[int, int, int], ...]
    dense: tuple[int, ...]

    def draw(self, seed: int, shape: tuple[int, ...]) -> list[Tensor]:
        """Weights and biases (zeros), in turns, for inputs of a shape (c, h, w) or (d,)."""
        made: list[Tensor] = []
        at = 0

        def add(*size: int) -> None:
            nonlocal at
            made.extend([weights(seed, at, *size), torch.zeros(size[0])])
            at += 1

        if self.convolutions:
            c, h, w = shape
            for out, kernel, stride in self.convolutions:
                add(out, c, kernel, kernel)
                c, h, w = out, -(-h // stride), -(-w // stride)
            width = c * h * w
        else:
            (width,) = shape
        for out in self.dense:
            add(out, width)
            width = out
        return made

    def convolve(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """Activations of the last convolution, (n, c, h, w)."""
        for i, (_, kernel, stride) in enumerate(self.convolutions):
            x = F.relu(F.conv2d(x, parameters[2 * i], parameters[2 * i + 1], stride=stride, padding=kernel // 2))
        return x

    def apply(self, parameters: list[Tensor], x: Tensor) -> Tensor:
        """Activations of the last layer, (n, dense[-1]), of inputs (n, *shape)."""
        x = self.convolve(parameters, x).flatten(1)
        for at in range(2 * len(self.convolutions), 2 * (len(self.convolutions) + len(self.dense)), 2):
            x = F.relu(F.linear(x, parameters[at], parameters[at + 1]))
        return x

    def operations(self, shape: tuple[int, ...]) -> int:
        """Multiplications for one input."""
        total = 0
        if self.convolutions:
            c, h, w = shape
            for out, kernel, stride in self.convolutions:
                h, w = -(-h // stride), -(-w // stride)
                total += out * h * w * c * kernel * kernel
                c = out
            width = c * h * w
        else:
            (width,) = shape
        for out in self.dense:
            total += width * out
            width = out
        return total


@dataclass(frozen=True)
class Inputs:
    """How examples enter a network: float32 pictures at most 64 pixels a side, shifted and scaled by two numbers."""

    space: Space
    shift: float
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.space.shape[0], *shrunk(self.space.shape[1], self.space.shape[2]))

    def __call__(self, x: Tensor) -> Tensor:
        return shrink((values(self.space, x, torch.float32) - self.shift) / self.scale)


def inputs(space: Space, rows: Tensor) -> Inputs:
    """Pixels and intervals go from [0, 1] to [-1, 1]; other pictures by the mean and deviation of training rows."""
    if type(space).__name__ in ("Pixels", "Interval"):
        return Inputs(space, 0.5, 0.5)
    x = rows.double()
    return Inputs(space, float(x.mean()), max(float(x.std(correction=0)), 1e-30))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Sums over a batch round differently by the number of threads: one makes them the same everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
