r"""Exponential moving average of weights, with its half-life in samples (not steps: independent of batch size).

After a round of B samples, :math:`\bar\theta \leftarrow \beta \bar\theta + (1 - \beta) \theta` with
:math:`\beta = 2^{-B/h}`, and :math:`h = \min(\text{half-life}, r \cdot \text{samples seen})`: early in training the
average forgets its random start (Karras et al. 2024, arXiv:2312.02696, sec. 3 gives the profile view).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of some of a model's parameters, by name."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], half_life: float, ramp: float):
        self.parameters = dict(named)
        self.half_life, self.ramp = half_life, ramp
        self.tensors = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, owned: set[int], batch: int, seen: int) -> None:
        """One round of `batch` samples, `seen` with it; only parameters in `owned` (by id) have moved."""
        names = [n for n, p in self.parameters.items() if id(p) in owned]
        if not names:
            return
        half_life = min(self.half_life, self.ramp * seen)
        weight = 1.0 if half_life <= 0 else 1.0 - 0.5 ** (batch / half_life)
        torch._foreach_lerp_([self.tensors[n] for n in names], [self.parameters[n].detach() for n in names], weight)

    @torch.no_grad()
    def restart(self, owned: set[int]) -> None:
        """Begin the average of `owned` parameters at their present values."""
        for name, parameter in self.parameters.items():
            if id(parameter) in owned:
                self.tensors[name].copy_(parameter)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @contextmanager
    def swapped(self, tensors: Mapping[str, Tensor] | None = None) -> Iterator[None]:
        """The model with averaged weights (or `tensors`) inside the block."""
        tensors = self.tensors if tensors is None else tensors
        targets: list[Tensor] = [self.parameters[n] for n in tensors]
        with torch.no_grad():
            raw = [p.detach().clone() for p in targets]
            if targets:
                torch._foreach_copy_(targets, list(tensors.values()))
        try:
            yield
        finally:
            with torch.no_grad():
                if targets:
                    torch._foreach_copy_(targets, raw)
