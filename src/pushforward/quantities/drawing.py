"""Samples of a model, a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..model import GenerativeModel
from ..noise import mix_seed

Log = Callable[[str], None]
_NUMBERS = 1 << 22
_MOST, _LEAST, _ALL_NUMBERS = 100_000, 10_000, 1 << 25


def default_n(model: GenerativeModel) -> int:
    """100,000 samples, fewer of large pictures."""
    return max(_LEAST, min(_MOST, _ALL_NUMBERS // model.space.dimensions))


@dataclass(frozen=True)
class Draws:
    """Samples of one model under one condition.

    Attributes:
        condition: (1, ...) on the model's device, or None. options: the sampling options given. log: gets a line now
            and then.
    """

    model: GenerativeModel
    condition: Any
    seed: int
    options: Mapping[str, Any]
    log: Log = lambda text: None

    @staticmethod
    def of(
        model: GenerativeModel, condition: Any, seed: int, options: Mapping[str, Any], log: Log = lambda text: None
    ) -> Draws:
        """Checked: one condition, known options.

        Raises:
            InputError: what `model.sample` refuses; a seed that is none.
        """
        if not isinstance(model, GenerativeModel):
            raise InputError(
                f"quantities are those of a model, not of {type(model).__name__}.", "Give pf.open_run(folder).model."
            )
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"the seed is {seed!r}.", "It must be a whole number of at least 0.")
        checked = model.check_condition(condition, 1, required=False)
        found = Draws(model, checked, int(seed), dict(options), log)
        model.sample(1, found._one, seed=0, **options)  # refuses what it does not know
        return found

    @property
    def _one(self) -> Any:
        return None if self.condition is None else self.condition[0]

    def parts(self, n: int, stream: int) -> Iterator[Tensor]:
        """n samples on the CPU, independent of those of another stream, as many at a time as memory is kept small."""
        size = max(1, min(20_000, _NUMBERS // self.model.space.dimensions))
        for k, begin in enumerate(range(0, n, size)):
            if k:
                self.log(f"{begin:,} of {n:,} samples drawn")
            seed = mix_seed(self.seed, 70, stream, k)
            yield self.model.sample(min(size, n - begin), self._one, seed=seed, **self.options).cpu()


def check_n(n: int | None, model: GenerativeModel, least: int = 2) -> int:
    """`n`, or the default.

    Raises:
        InputError: it is no whole number of at least `least`.
    """
    if n is None:
        return default_n(model)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
        raise InputError(f"the number of samples is {n!r}.", f"It must be a whole number of at least {least}.")
    return int(n)


def answers(fn: Callable[[Tensor], Any], samples: Tensor, what: str) -> Tensor:
    """What the user's function says of samples (n, ...), (n,).

    Raises:
        InputError: anything but one number for each sample.
    """
    found = fn(samples)
    try:
        values = found.detach().cpu() if isinstance(found, Tensor) else torch.as_tensor(np.asarray(found))
    except (TypeError, ValueError):
        raise InputError(f"{what} gives {type(found).__name__}.", f"It must give ({len(samples)},) numbers.") from None
    if tuple(values.shape) != (len(samples),):
        raise InputError(
            f"{what} gives shape {tuple(values.shape)} for {len(samples):,} samples.",
            f"It must give ({len(samples)},): one for each.",
        )
    return values
