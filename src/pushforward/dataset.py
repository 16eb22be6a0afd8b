"""Data as the engine sees it: random access, nothing else.

The rows of training draw t are a pure function of (seed, t), so a dataset must answer `gather(index)` for any rows:
arrays in memory, memory-mapped files, another dataset seen through a function, two unpaired datasets. A one-way
stream cannot be resumed exactly and is not a dataset.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from .noise import Noise
from .spaces import Space

Transform = Callable[[Any, Any, Noise], tuple[Any, Any]]


def rows(x: Any, index: Tensor | slice) -> Any:
    """The rows `index` of every tensor in the pytree `x` (None stays None)."""
    if x is None:
        return None
    if isinstance(index, Tensor) and index.dtype == torch.int64 and index.ndim == 1:
        # Ten times faster than x[index] for small integers.
        take = functools.partial(torch.index_select, dim=0, index=index)
        return take(x) if isinstance(x, Tensor) else tree_map(take, x)
    return tree_map(lambda v: v[index], x)


def join(parts: list[Any]) -> Any:
    """Concatenate pytrees of tensors along the first axis (None stays None)."""
    return None if parts[0] is None else tree_map(lambda *v: torch.cat(v), *parts)


def count(x: Any) -> int:
    """Number of examples in a pytree of (n, ...) tensors."""
    return len(tree_leaves(x)[0])


def onto(value: Any, device: torch.device) -> Any:
    """The tensors of a pytree on a device (no copy when they are there already)."""
    if value is None:
        return None
    return tree_map(lambda v: v if v.device == device else v.to(device, non_blocking=True), value)


class Dataset:
    """Examples held as tensors (n, *space.shape), with an optional condition (n, *condition_space.shape).

    `x` may be a memory-mapped NumPy array wrapped by `torch.from_numpy`: gathering copies only the rows asked for.
    """

    def __init__(
        self,
        x: Any,
        condition: Any = None,
        *,
        space: Space,
        condition_space: Space | None = None,
        n: int | None = None,
    ):
        self.x, self.condition = x, condition
        self.space, self.condition_space = space, condition_space
        self.n = count(x) if n is None else n

    def __len__(self) -> int:
        return self.n

    def gather(self, index: Tensor, noise: Noise) -> tuple[Any, Any]:
        """(x, condition) of the rows `index`; `noise` has one entry a row, for datasets that draw."""
        return rows(self.x, index), rows(self.condition, index)

    def to(self, device: torch.device | str) -> Dataset:
        """The same data with its tensors on a device."""
        move = functools.partial(tree_map, lambda v: v.to(device))
        return Dataset(
            None if self.x is None else move(self.x),
            None if self.condition is None else move(self.condition),
            space=self.space,
            condition_space=self.condition_space,
            n=self.n,
        )

    @property
    def device(self) -> torch.device:
        """Where the indices given to `gather` must live."""
        leaves = [v for v in tree_leaves((self.x, self.condition)) if isinstance(v, Tensor)]
        return leaves[0].device if leaves else torch.device("cpu")

    @property
    def bytes(self) -> int:
        return sum(v.numel() * v.element_size() for v in tree_leaves((self.x, self.condition)) if isinstance(v, Tensor))

    def subset(self, index: Tensor) -> Dataset:
        """The rows `index`, gathered once."""
        x, condition = rows(self.x, index), rows(self.condition, index)
        return Dataset(x, condition, space=self.space, condition_space=self.condition_space, n=len(index))

    def map(self, fn: Transform, space: Space, condition_space: Space | None = None) -> Dataset:
        """This data seen through `fn(x, condition, noise)`, applied (and its noise redrawn) at each visit."""
        return Mapped(self, fn, space, condition_space)

    def conditions(self) -> Any:
        """The conditions of all rows, without reading x where they are kept apart."""
        return self.all()[1] if self.condition is None else self.condition

    def all(self, seed: int = 0, limit: int | None = None) -> tuple[Any, Any]:
        """(x, condition) of the first `limit` rows, or of all of them."""
        index = torch.arange(min(len(self), limit or len(self)), device=self.device)
        return self.gather(index, Noise.of(seed, 99, index=index))


class Mapped(Dataset):
    """`base` through a function. `cached()` evaluates it once for all rows."""

    def __init__(self, base: Dataset, fn: Transform, space: Space, condition_space: Space | None):
        self.base, self.fn = base, fn
        self.space, self.condition_space, self.n = space, condition_space, len(base)
        self.x = self.condition = None

    @torch.no_grad()
    def gather(self, index: Tensor, noise: Noise) -> tuple[Any, Any]:
        x, condition = self.base.gather(index, noise)
        return self.fn(x, condition, noise)

    def to(self, device: torch.device | str) -> Dataset:
        return Mapped(self.base.to(device), self.fn, self.space, self.condition_space)

    @property
    def device(self) -> torch.device:
        return self.base.device

    @property
    def bytes(self) -> int:
        return self.base.bytes

    def subset(self, index: Tensor) -> Dataset:
        return Mapped(self.base.subset(index), self.fn, self.space, self.condition_space)

    def cached(self, batch_size: int = 256) -> Dataset:
        """Every row evaluated once, with a fixed noise: deterministic given the function's weights."""
        chunks = torch.arange(self.n, device=self.device).split(batch_size)
        parts = [self.gather(i, Noise.of(0, 98, index=i)) for i in chunks]
        x, condition = zip(*parts)
        return Dataset(
            join(list(x)),
            join(list(condition)),
            space=self.space,
            condition_space=self.condition_space,
            n=self.n,
        )


class Unpaired(Dataset):
    """Two datasets without correspondence: x from one, the condition an independent row of the other.

    The condition's row comes from the example's noise, so it is new at each visit and the same on every rank.
    """

    def __init__(self, x: Dataset, y: Dataset):
        self.a, self.b, self.n = x, y, len(x)
        self.space, self.condition_space = x.space, y.space
        self.x = self.condition = None

    def gather(self, index: Tensor, noise: Noise) -> tuple[Any, Any]:
        other = (noise.uniform(1, dtype=torch.float64)[:, 0] * len(self.b)).long().to(self.b.device)
        return self.a.gather(index, noise)[0], self.b.gather(other, noise)[0]

    def to(self, device: torch.device | str) -> Dataset:
        return Unpaired(self.a.to(device), self.b.to(device))

    @property
    def device(self) -> torch.device:
        return self.a.device

    @property
    def bytes(self) -> int:
        return self.a.bytes + self.b.bytes

    def subset(self, index: Tensor) -> Dataset:
        return Unpaired(self.a.subset(index), self.b)


@functools.lru_cache(4)
def _permutation(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def batch_rows(n: int, size: int, draw: int, seed: int) -> Tensor:
    """Rows of global minibatch number `draw` (size,): positions of concatenated per-epoch permutations.

    A pure function of its arguments; a batch may span two epochs, and every row is visited once an epoch.
    """
    first, last = draw * size, (draw + 1) * size
    parts = []
    for epoch in range(first // n, (last - 1) // n + 1):
        lo, hi = max(first - epoch * n, 0), min(last - epoch * n, n)
        parts.append(_permutation(n, (seed * 1_000_003 + epoch) % (1 << 62))[lo:hi])
    return parts[0] if len(parts) == 1 else torch.cat(parts)
