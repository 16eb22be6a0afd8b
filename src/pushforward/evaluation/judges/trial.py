"""What a judge is, and what it is given: real held-out rows, sampled rows, and the training rows.

All judges work on sets of the same size, in feature spaces that are fitted to the training rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..features import Features
from ..floor import Scale
from ..results import Better, MetricInfo


class Examples:
    """Rows of data with their features, each computed once."""

    def __init__(self, x: Tensor, maps: Mapping[str, Features], known: Mapping[str, Tensor] | None = None):
        self.x, self._maps, self._known = x, maps, dict(known or {})

    def __len__(self) -> int:
        return len(self.x)

    def features(self, name: str) -> Tensor:
        """(n, dimension) float64."""
        if name not in self._known:
            self._known[name] = self._maps[name].transform(self.x)
        return self._known[name]

    def probabilities(self, name: str) -> Tensor:
        """(n, classes) of a classifier."""
        key = f"{name}:probabilities"
        if key not in self._known:
            probabilities = self._maps[name].probabilities
            assert probabilities is not None
            self._known[key] = probabilities(self.x)
        return self._known[key]

    def computed(self, names: list[str]) -> Examples:
        """Itself, with these features computed, so that parts of it have them too."""
        for name in names:
            self.features(name)
            if self._maps[name].probabilities is not None:
                self.probabilities(name)
        return self

    def part(self, index: Tensor | slice) -> Examples:
        """Some of the rows, with the features that are known."""
        return Examples(self.x[index], self._maps, {k: v[index] for k, v in self._known.items()})


@dataclass
class Trial:
    """Real rows and sampled ones, equally many, and the training rows that samples might be copies of.

    Attributes:
        train: training rows among which near copies are sought. whole: all of those that exact ones are.
        key: of the set of real rows, so that what depends on it alone is computed once.
    """

    real: Examples
    sampled: Examples
    train: Examples
    whole: Tensor
    key: int = 0
    seed: int = 0

    def cut(self, rows: int) -> Trial:
        """The first so many rows of both."""
        if len(self.sampled) <= rows:
            return self
        return replace(self, real=self.real.part(slice(0, rows)), sampled=self.sampled.part(slice(0, rows)))


@dataclass(frozen=True)
class Judge:
    """One computation.

    Attributes:
        infos: what it gives. compute: a trial to values by key.
        scales: how each key is distributed ("plain" where it is not named); see `floor`.
        range: the least and the largest value that its metrics can have, None where there is none.
        rows: of each set at most; slow ones look at fewer. replicates: sets of real rows for the floor.
        known: of n rows, the mean and standard deviation for a perfect sampler by key, where theory gives them;
            exchangeable: only where held-out rows and training rows were dealt out at random.
        unseen: samples are compared with training rows alone, so that held-out rows give its floor.
        optional: computed only when it is asked for by name.
    """

    infos: tuple[MetricInfo, ...]
    compute: Callable[[Trial], Mapping[str, float]]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    rows: int = 2_000
    replicates: int = 48
    known: Callable[[int], Mapping[str, tuple[float, float]]] | None = None
    exchangeable: bool = False
    unseen: bool = False
    range: tuple[float | None, float | None] = (None, None)
    optional: bool = False

    def bounds(self, key: str) -> tuple[float | None, float | None]:
        """The least and the largest value that a metric can have, None where there is none."""
        by_scale = {"positive": (0.0, None), "share": (0.0, 1.0)}
        return by_scale.get(self.scales.get(key, "plain"), self.range)


def info_of(
    key: str, label: str, group: str, better: Better, meaning: str, features: Features | None = None, **more: Any
) -> MetricInfo:
    """A `MetricInfo` that names its feature space."""
    about = "" if features is None else features.about
    return MetricInfo(key, label, group, better, meaning, features=about, **more)


def as_tensor(x: Any) -> Tensor:
    """Samples as a tensor, however they came."""
    return x.detach().cpu() if isinstance(x, Tensor) else torch.as_tensor(np.array(x))
