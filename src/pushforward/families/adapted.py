r"""Any core on the spaces it supports, for any data: `Adapted(core, preprocess)`.

It wraps *data*, not players: each stage's dataset is seen through the preprocessing (with its dequantization noise
redrawn at each visit), so cores, wrappers and compilers never see it. On the way out samples are decoded to the
user's types, and log-determinants are added to likelihoods. The likelihood is exact only if both parts are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..bijections.preprocess import Preprocess
from ..dataset import Dataset, onto
from ..errors import DensityUnavailable, InputError
from ..game import Batch, Player, Stage
from ..likelihood import LogProb
from ..model import GenerativeModel
from ..noise import Noise
from ..spaces import Space


class Adapted(GenerativeModel):
    """A core model behind preprocessing of the data, and optionally of the condition.

    Args:
        core: models `preprocess.codomain`.
        preprocess: the data's preprocessing.
        condition_preprocess: the condition's, or None when the core takes conditions as they are.
    """

    def __init__(self, core: GenerativeModel, preprocess: Preprocess, condition_preprocess: Preprocess | None = None):
        condition_space = condition_preprocess.space if condition_preprocess is not None else core.condition_space
        super().__init__(preprocess.space, condition_space, core.code_space)
        if core.space != preprocess.codomain:
            raise ValueError(f"the core models {core.space}, the preprocessing gives {preprocess.codomain}")
        self.core = core
        self.preprocess_data = preprocess
        self.preprocess_condition = condition_preprocess
        self.options, self.preview, self.option_words = core.options, core.preview, core.option_words
        self.density_options = dict(core.density_options)
        if preprocess.stochastic:
            self.density_options["dequantization_draws"] = 1

    @property
    def code_space(self) -> Space | None:
        """The core's, as it is now: a core may learn the size of its codes by fitting (mixture components)."""
        return self.core.code_space

    @code_space.setter
    def code_space(self, value: Space | None) -> None:
        """The base class sets it; the core's stands."""

    @property
    def measure(self) -> str:
        return str(getattr(self.preprocess_data, "measure", self.space.measure))

    @property
    def support(self) -> str:
        return str(getattr(self.preprocess_data, "support", self.space.measure))

    def _condition(self, condition: Any) -> Any:
        if condition is None or self.preprocess_condition is None:
            return condition
        return self._cast(self.preprocess_condition(condition, None)[0])

    def _data(self, x: Any, noise: Noise | None) -> tuple[Any, Any]:
        """x as the core sees it, and the log-determinant."""
        z, log_det = self.preprocess_data(x, noise)
        return self._cast(z), log_det

    def _cast(self, value: Any) -> Any:
        """Reals in the precision of the core's parameters: `model.double()` means all of the model."""
        parameter = next(self.core.parameters(), None)
        return value if parameter is None or not value.is_floating_point() else value.to(parameter.dtype)

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Any:
        return self.preprocess_data.inverse(self.core.draw(noise, self._condition(condition), **options))

    def density(self, x: Any, condition: Any, noise: Noise, dequantization_draws: int = 1, **options: Any) -> LogProb:
        r"""The core's likelihood with the log-determinant of the preprocessing.

        Several `dequantization_draws` K of a core with an exact density give the importance-weighted bound
        :math:`\log \frac1K \sum_k p(z_k) / q(z_k \mid x)` (Burda et al. 2016, arXiv:1509.00519, eq. 8), which rises to
        log p(x) with K. Of a core with a bound of its own, or a random estimate, they are averaged as they are: the
        mean of exponentials would not be a bound.
        """
        pre = self.preprocess_data
        if pre.bound is None:
            raise DensityUnavailable(
                f"{type(self.core).__name__} has no density for {self.space.describe()}.",
                "For likelihoods fit real-nvp, flow-matching or vae.",
            )
        if dequantization_draws < 1:
            raise InputError(f"dequantization_draws is {dequantization_draws}.", "It must be at least 1.")
        condition = self._condition(condition)
        parts = []
        for _ in range(dequantization_draws if pre.bound == "lower" else 1):
            z, log_det = self._data(x, noise)
            part = self.core.density(z, condition, noise, **options)
            parts.append(replace(part, values=part.values + log_det))
        first, k = parts[0], len(parts)
        values = torch.stack([p.values for p in parts])
        error, draws = first.standard_error, first.draws
        weighted = first.bound == "exact" and first.standard_error is None
        if k > 1:
            # Of the log of a mean, by the delta method: from the spread of the weights.
            share = values.softmax(0).square().sum(0)
            error = ((share - 1 / k).clamp_min(0) * (k / (k - 1))).sqrt() if weighted else values.std(0) / k**0.5
            draws = k * (first.draws or 1)
        elif pre.bound == "lower":
            draws = first.draws or 1
        bound = first.bound if pre.bound == "exact" else "lower"
        terms = {**first.terms, "preprocessing": log_det} if len(parts) == 1 else {}
        values = values.logsumexp(0) - math.log(k) if weighted else values.mean(0)
        return replace(first, values=values, bound=bound, standard_error=error, draws=draws, terms=terms)

    def density_method(self, dequantization_draws: int = 1, **options: Any) -> str:
        return self.core.density_method(**options)

    @property
    def dequantization(self) -> str:  # type: ignore[override]
        return self.preprocess_data.dequantization if self.preprocess_data.bound == "lower" else ""

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Any:
        z, _ = self._data(x, noise)
        return self.core.infer(z, self._condition(condition), noise)

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Any:
        return self.preprocess_data.inverse(self.core.generate(z, self._condition(condition), noise))

    def _chunk(self, batch_size: int | None, n: int) -> int:
        return min(super()._chunk(batch_size, n), self.core._chunk(batch_size, n))

    def map_data(self, data: Dataset) -> Dataset:
        """The dataset as the core sees it."""

        def fn(x: Any, condition: Any, noise: Noise) -> tuple[Any, Any]:
            # Data that is too large for the model's device is moved there batch by batch.
            x, condition = onto(x, self.device), onto(condition, self.device)
            return None if x is None else self._data(x, noise)[0], self._condition(condition)

        return data.map(fn, self.core.space, self.core.condition_space)

    def batch(self, x: Any, condition: Any = None, *, seed: int | None = None) -> Batch:
        batch = super().batch(x, condition, seed=seed)
        with torch.no_grad():
            z, _ = self._data(batch.x, batch.noise)
            return batch.replace(x=z, condition=self._condition(batch.condition))

    def players(self) -> Sequence[Player]:
        return self.core.players()

    def stages(self) -> Sequence[Stage]:
        def fit(data: Dataset | None, noise: Noise) -> None:
            if data is None:
                return
            self.preprocess_data.fit(data)
            if self.preprocess_condition is not None:
                self.preprocess_condition.fit(_conditions(data))

        def mapped(stage: Stage) -> Stage:
            return replace(stage, data=lambda data: stage.data(self.map_data(data)))

        stages = [mapped(stage) for stage in self.core.stages()]
        needs_fit = self.preprocess_data.fitted or self.preprocess_condition is not None
        return [Stage("preprocess", start=fit), *stages] if needs_fit else stages

    def averaged(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((f"core.{name}", parameter) for name, parameter in self.core.averaged())


def _conditions(data: Dataset) -> Dataset:
    """The conditions of `data` as a dataset of their own."""
    assert data.condition_space is not None
    return Dataset(data.conditions(), space=data.condition_space)
