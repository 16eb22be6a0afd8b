r"""Random numbers that belong to examples.

Two kinds of noise, both pure functions of a seed (no hidden generator state, so resuming a run or sampling in
chunks needs no random-number state at all):

* `Noise` (sampling): row :math:`i` depends on (seed, index :math:`i`, call number) only. A sample is the same
  whether it is drawn alone, in a batch of 64, or on another rank.
* `BatchNoise` (training): every rank draws the numbers of the *global* batch from (seed, stream, call number) and
  keeps its own rows, so that training does not depend on how many ranks share a batch. Three times cheaper.

The counter-based bits are the finalizer of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom
number generators", fig. 16) applied to a key per example and to a counter per number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """The int64 with the bits of an unsigned 64-bit integer (torch has no uint64 arithmetic)."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


_MIX_1, _MIX_2, _GOLDEN = map(_signed, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))


def _shift(z: Tensor, k: int) -> Tensor:
    """Logical right shift of int64 bits (torch's `>>` keeps the sign)."""
    return (z >> k) & ((1 << (64 - k)) - 1)


def _mix(z: Tensor) -> Tensor:
    """SplitMix64's finalizer: a bijection of 64-bit words with full avalanche. Overflow wraps, as intended."""
    z = (z ^ _shift(z, 30)) * _MIX_1
    z = (z ^ _shift(z, 27)) * _MIX_2
    return z ^ _shift(z, 31)


def mix_seed(*parts: int) -> int:
    """One 63-bit seed from several integers; stable across processes (unlike `hash`) and order-sensitive."""
    state = 0
    for part in parts:
        state = (state + (part & _MASK) * 2 + 1 + 0x9E3779B97F4A7C15) & _MASK
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = ((state ^ (state >> shift)) * factor) & _MASK
        state ^= state >> 31
    return state & ((1 << 63) - 1)


def _bits(key: Tensor, counter: int, count: int) -> Tensor:
    """(n, count) 64-bit words of the examples with keys (n,), at one call number."""
    row = _mix(key + _signed(counter * _MIX_1))
    return _mix(row[:, None] + torch.arange(1, count + 1, device=key.device) * _GOLDEN)


def _global_batch(like: Tensor, seed: int, total: int, count: int, normal: bool, double: bool) -> Tensor:
    """(total, count) normal or uniform numbers of torch's generator, on the device of `like`."""
    generator = torch.Generator(like.device).manual_seed(seed)
    dtype = torch.float64 if double else torch.float32
    draw = torch.randn if normal else torch.rand
    return draw(total, count, generator=generator, dtype=dtype, device=like.device)


# Opaque operators for torch.compile: 64-bit constants overflow inside its generated code, and tracing the hash would
# break graphs. Eager code calls the functions themselves: the first call of an operator imports all of torch._dynamo.
_bits_op = torch.library.custom_op("pushforward::bits", _bits, mutates_args=())
_global_batch_op = torch.library.custom_op("pushforward::global_batch", _global_batch, mutates_args=())


@_bits_op.register_fake
def _(key: Tensor, counter: int, count: int) -> Tensor:
    return key.new_empty(key.shape[0], count)


@_global_batch_op.register_fake
def _(like: Tensor, seed: int, total: int, count: int, normal: bool, double: bool) -> Tensor:
    return torch.empty(total, count, dtype=torch.float64 if double else torch.float32, device=like.device)


class Noise:
    """Random numbers for `n` examples; the first axis of everything drawn is the example.

    Each call advances a counter, so two calls give independent numbers, and the k-th call of the same noise is
    always the same. `noise[rows]` is the noise of those examples.
    """

    def __init__(self, key: Tensor, counter: int = 0):
        self.key = key
        self.counter = counter

    @staticmethod
    def of(seed: int, *stream: int, index: Tensor) -> Noise:
        """Noise of the examples `index` (n,), for a seed and any number of stream identifiers."""
        start = torch.tensor(_signed(mix_seed(seed, *stream)), dtype=torch.int64, device=index.device)
        return Noise(_mix(_mix(start + _GOLDEN) ^ (index.to(torch.int64) * _GOLDEN + 1)))

    def __len__(self) -> int:
        return len(self.key)

    @property
    def device(self) -> torch.device:
        return self.key.device

    def __getitem__(self, rows: Tensor | slice) -> Noise:
        return Noise(self.key[rows], self.counter)

    def at(self, counter: int) -> Noise:
        """The same examples at call number `counter`: a stream of its own for one purpose."""
        return Noise(self.key, counter)

    def _words(self, count: int) -> Tensor:
        self.counter += 1
        bits = _bits_op if torch.compiler.is_compiling() else _bits
        return bits(self.key, self.counter, count)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """U(0, 1), open at both ends, (n, *shape)."""
        words = self._words(math.prod(shape))
        # 23 (52) bits plus a half step: the largest value still rounds below 1 in this dtype.
        bits = 23 if dtype != torch.float64 else 52
        u = (_shift(words, 64 - bits).to(dtype) + 0.5) * 2.0**-bits
        return u.view(len(self), *shape)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """N(0, 1), (n, *shape), by the Box-Muller transform: one word gives a radius, an angle, two normals."""
        count = math.prod(shape)
        pairs = (count + 1) // 2
        if dtype == torch.float64:
            radius_u, angle_u = self.uniform(2, pairs, dtype=dtype).unbind(1)
        else:
            words = self._words(pairs)
            radius_u = (_shift(words, 32).to(torch.float64) + 0.5) * 2.0**-32
            angle_u = ((words & 0xFFFFFFFF).to(dtype) + 0.5) * 2.0**-32
        radius = torch.sqrt(-2.0 * torch.log(radius_u)).to(dtype)
        angle = 2.0 * math.pi * angle_u
        z = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], 1)
        return z[:, :count].reshape(len(self), *shape)

    def categorical(self, logits: Tensor) -> Tensor:
        """Class indices (n, ...) from logits (n, ..., K), by the Gumbel-max trick in float64."""
        u = self.uniform(*logits.shape[1:], dtype=torch.float64)
        return (logits.double() - torch.log(-torch.log(u))).argmax(-1)

    def signs(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Rademacher: -1 or +1 with equal probability, (n, *shape)."""
        return (self.uniform(*shape) < 0.5).to(dtype) * 2 - 1


class BatchNoise(Noise):
    """Noise of rows lo:hi of a global batch of `total` examples. Same interface, drawn by torch's generator."""

    def __init__(self, seed: int, lo: int, hi: int, total: int, device: torch.device | str = "cpu", counter: int = 0):
        self.seed = seed
        self.lo, self.hi, self.total = lo, hi, total
        self._device = torch.device(device)
        self.counter = counter

    def __len__(self) -> int:
        return self.hi - self.lo

    @property
    def device(self) -> torch.device:
        return self._device

    def __getitem__(self, rows: Tensor | slice) -> Noise:
        raise TypeError("training noise belongs to a whole batch: draw first, then index the numbers")

    def at(self, counter: int) -> BatchNoise:
        return BatchNoise(self.seed, self.lo, self.hi, self.total, self.device, counter)

    def _draw(self, shape: Sequence[int], normal: bool, dtype: torch.dtype) -> Tensor:
        self.counter += 1
        seed = mix_seed(self.seed, self.counter)
        draw = _global_batch_op if torch.compiler.is_compiling() else _global_batch
        numbers = draw(
            torch.empty(0, device=self._device), seed, self.total, math.prod(shape), normal, dtype == torch.float64
        )
        return numbers[self.lo : self.hi].view(len(self), *shape).to(dtype)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        tiny = 2.0**-53 if dtype == torch.float64 else 2.0**-25
        return self._draw(shape, False, dtype).clamp_min(tiny)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return self._draw(shape, True, dtype)
