"""A model as a function of standard normals: all the random numbers that it draws, played back from a state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..bijections.table import TablePreprocess
from ..dataset import join, rows
from ..errors import InputError
from ..families.adapted import Adapted
from ..model import GenerativeModel, evaluating
from ..noise import Noise


class Replay(Noise):
    """Noise whose numbers are those of `state` (n, M), standard normals, in the order in which they are asked for.

    Uniform numbers are Phi of them; classes and signs come from uniform numbers, as in any noise.
    """

    def __init__(self, state: Tensor, used: int = 0):
        super().__init__(torch.arange(len(state), device=state.device))
        self.state, self.used = state, used

    def __getitem__(self, rows: Tensor | slice) -> Noise:
        return Replay(self.state[rows], self.used)

    def at(self, counter: int) -> Noise:
        raise TypeError("numbers are played back in their order: there is no other call to go to")

    def _take(self, shape: tuple[int, ...]) -> Tensor:
        count = math.prod(shape)
        part = self.state[:, self.used : self.used + count]
        self.used += count
        return part.reshape(len(self), *shape)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return self._take(shape).to(dtype)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        # The ends are those of Noise: the largest number still rounds below 1.
        half = 2.0**-24 if dtype != torch.float64 else 2.0**-53
        return torch.special.ndtr(self._take(shape).double()).clamp(half, 1 - half).to(dtype)


class _Counting(Replay):
    """Zeros, as many as are asked for."""

    def __init__(self, device: torch.device):
        super().__init__(torch.zeros(1, 0, device=device))

    def _take(self, shape: tuple[int, ...]) -> Tensor:
        self.used += math.prod(shape)
        return torch.zeros(1, *shape, device=self.device)


@dataclass
class Base:
    """The base of a model of a table: rows as a function of M standard normals.

    Attributes:
        model: of a table. condition: one value for all rows (1, ...), or None: drawn as part of the state.
        options: all sampling options of the model.
    """

    model: GenerativeModel
    condition: Any
    options: Mapping[str, Any]

    @property
    def adapted(self) -> Adapted | None:
        """The model, where it is a core of real numbers behind the preprocessing of tables."""
        model = self.model
        return model if isinstance(model, Adapted) and isinstance(model.preprocess_data, TablePreprocess) else None

    def count(self) -> int:
        """M."""
        noise = _Counting(self.model.device)
        with torch.no_grad(), evaluating(self.model):
            self._draw(noise)
        return noise.used

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor, Any]:
        """Of a state (n, M): numbers z (n, D) of the core (or, without one, the rows), rows x, conditions."""
        index = torch.arange(len(state), device=state.device)
        parts = []
        with torch.no_grad(), evaluating(self.model):
            for i in index.split(self.model._chunk(None, len(state))):
                parts.append(self._draw(Replay(state[i].to(self.model.device))))
        z, condition = join([p[0] for p in parts]), join([p[1] for p in parts])
        if self.adapted is None:
            return z.cpu(), z.cpu(), condition
        x = torch.cat([self.adapted.preprocess_data.inverse(p[0]) for p in parts])
        return z.cpu(), x.cpu(), condition

    def _draw(self, noise: Noise) -> tuple[Tensor, Any]:
        model, condition = self.model, self.condition
        n = len(noise)
        if condition is not None:
            condition = rows(condition, torch.zeros(n, dtype=torch.int64, device=model.device))
        elif model.conditions is not None:
            condition = model.conditions.draw(noise)
        if self.adapted is None:
            return model.draw(noise, condition, **self.options), condition
        return self.adapted.core.draw(noise, core_condition(self.adapted, condition), **self.options), condition


def core_condition(model: Adapted, condition: Any) -> Any:
    """Conditions as the core takes them."""
    if condition is None or model.preprocess_condition is None:
        return condition
    parameter = next(model.core.parameters(), None)
    seen = model.preprocess_condition(condition, None)[0]
    return seen if parameter is None or not seen.is_floating_point() else seen.to(parameter.dtype)


def table_preprocess(model: GenerativeModel, what: str) -> TablePreprocess:
    """The preprocessing of a model of a table.

    Raises:
        InputError: another model; `what` begins the sentence.
    """
    if isinstance(model, Adapted) and isinstance(model.preprocess_data, TablePreprocess):
        return model.preprocess_data
    raise InputError(
        f"{what} is for tables, and this model generates {model.space.describe()}.", "Fit a CSV or Parquet table."
    )
