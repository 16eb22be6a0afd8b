"""Maps from blocks of examples to vectors, and what all of them need: training rows, blocks, hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import Data
from ...data.images.augment import Augmented
from ...dataset import Dataset
from ...noise import Noise
from ...spaces import Pixels, Real, Space
from .base import NOT_HASHED, Features

ROWS = 10_000
"""At most so many training rows give the statistics of a feature space."""

_BLOCK = 1 << 22


@dataclass(frozen=True)
class Map:
    """A fitted map of a space.

    Attributes:
        dimension: of the vectors. about: in words, without the hash. hash: of all that decides the values.
        apply: a block of checked examples (k, *space.shape) to (k, dimension).
        block: examples of a block.
    """

    dimension: int
    about: str
    hash: str
    apply: Callable[[Tensor], Tensor]
    block: int = 1024


def digest(*parts: Any) -> str:
    """SHA-256 of tensors and arrays (type, shape, bytes) and of JSON-able values, in their order."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().numpy()
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(json.dumps(part, sort_keys=True, default=str).encode())
    return found.hexdigest()


def plain(dataset: Dataset) -> Dataset:
    """The examples themselves: without the mirroring and moving that training adds."""
    return dataset.base if isinstance(dataset, Augmented) else dataset


def spread(n: int, limit: int) -> Tensor:
    """At most `limit` of n rows, evenly spaced. (The training windows of a text are in its order.)"""
    return torch.arange(n) if n <= limit else torch.arange(limit) * n // limit


def training_rows(data: Data, limit: int = ROWS) -> Tensor:
    """Up to `limit` training examples (m, *space.shape), evenly spaced, as they are."""
    return some_rows(data.train, limit)


def some_rows(dataset: Dataset, limit: int = ROWS) -> Tensor:
    """Up to `limit` examples of a part, evenly spaced, without augmentation."""
    index = spread(len(dataset), limit)
    x, _ = plain(dataset).gather(index.to(dataset.device), Noise.of(0, 97, index=index.to(dataset.device)))
    return torch.as_tensor(x).cpu()


def row_limit(dimensions: int) -> int:
    """How many rows of so many numbers are held as float64 at once: 256 MiB of them, and never above `ROWS`."""
    return max(2, min(ROWS, (1 << 25) // max(1, dimensions)))


def capped(wanted: int, n: int | None) -> int:
    """A dimension that n samples bear: at most n/20, and at least 2."""
    return wanted if n is None else min(wanted, max(2, n // 20))


def checked(space: Space, x: Any, name: str = "samples") -> Tensor:
    """Examples as a tensor of the space on the CPU, in its own units: nothing is clipped or rounded here.

    Raises:
        InputError: another shape, or values that are not of the space, with the row.
    """
    given = torch.as_tensor(x).detach().cpu()
    return space.check(given, name)


def in_blocks(apply: Callable[[Tensor], Tensor], x: Tensor, dimension: int, block: int) -> Tensor:
    """`apply` to blocks of exactly `block` rows, as (n, dimension) float64.

    The last block is filled up by repeating its last row: products of different sizes are summed in different orders,
    and float32 convolutions by different algorithms, so that features would depend on how many examples come at once.
    """
    out = torch.empty(len(x), dimension, dtype=torch.float64)
    with torch.no_grad():
        for start in range(0, len(x), block):
            part = x[start : start + block]
            k = len(part)
            if k < block:
                part = torch.cat([part, part[-1:].expand(block - k, *part.shape[1:])])
            out[start : start + k] = apply(part)[:k]
    return out


def as_features(
    id: str, made: Map, space: Space, probabilities: Callable[[Tensor], Tensor] | None = None, classes: int = 0
) -> Features:
    """A fitted map under its name; `probabilities` maps blocks as `made.apply` does."""

    def transform(x: Any) -> Tensor:
        return in_blocks(made.apply, checked(space, x), made.dimension, made.block)

    def classify(x: Any) -> Tensor:
        assert probabilities is not None
        return in_blocks(probabilities, checked(space, x), classes, made.block)

    about = f"{made.about}, {NOT_HASHED if made.hash.startswith(NOT_HASHED) else made.hash[:8]}"
    return Features(id, made.dimension, about, made.hash, transform, None if probabilities is None else classify)


def is_picture(space: Space) -> bool:
    """Whether examples are (channels, height, width)."""
    return isinstance(space, Pixels) or (isinstance(space, Real) and len(space.shape) == 3)


def block_of(dimensions: int) -> int:
    """Rows of a block for examples of so many numbers: 32 MiB of float64, and never above 1024."""
    return max(1, min(1024, _BLOCK // max(1, dimensions)))
