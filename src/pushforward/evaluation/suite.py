"""A suite: held-out rows, training rows, feature spaces and judges of one data set, ready to score any samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, PushforwardError, did_you_mean
from ..spaces import Pixels
from .features import Features, default_features, make_features
from .features.maps import plain
from .floor import combine, floor_of, is_outside, known_floor, shared, within
from .judges import Examples, Judge, Trial, as_tensor, judges_for
from .results import Floor, MetricInfo, Value

ROWS, SETS, POINTS = 2_000, 5, 500
"""Samples of a set (where there are as many held-out rows), sets, and held-out points whose likelihood is taken."""
PICTURE_ROWS, PICTURE_SETS, PICTURE_POINTS = 500, 3, 100
"""The same for pictures, of which some models draw a few in a second."""
LEAST = 20
NEAR = 5_000
"""Training rows that near copies are sought among, at most (exact ones among all)."""

Scores = dict[str, list[float]]
"""Of one model and one training: the value of each sample set, by metric."""


class Suite:
    """Everything that scoring needs, made once for all models.

    Args:
        data: a `pushforward.Data`. n: rows of a set; default 2,000 (pictures: 500) or as many as are held out.
        sets: disjoint sample sets of each model, 5 (pictures: 3). seed: of every random choice here.
        features: names of feature spaces (see `features.make_features`), the first being the main one; None: those that
            suit the data. file: for "onnx" and "inception". user: a callable, as the main feature space.
        metrics: keys or labels to compute; None: all that apply.
        trained_on: rows that a model was fitted to, where they are not the training rows of `data`.

    Raises:
        InputError: fewer than 20 held-out rows, unknown features or metrics.
    """

    def __init__(
        self,
        data: Any,
        *,
        n: int | None = None,
        sets: int | None = None,
        seed: int = 0,
        features: Sequence[str] | None = None,
        file: Any = None,
        user: Callable[[Any], Any] | None = None,
        metrics: Sequence[str] | None = None,
        trained_on: Tensor | None = None,
        log: Callable[[str], None] = lambda text: None,
    ):
        self.pictures = isinstance(data.space, Pixels)
        sets = (PICTURE_SETS if self.pictures else SETS) if sets is None else sets
        self.data, self.seed, self.sets, self.log = data, seed, sets, log
        self.warnings: list[str] = []
        self.shifted = is_shifted(data)
        if self.shifted:
            self.warnings.append(
                "held-out rows were not dealt out at random: floors are of training rows, and hold the difference of "
                f"the parts ({data.split.get('how')})"
            )
        train = plain(data.train).all()[0]
        self.n = self._size(n, len(data.test), len(train))
        self.maps = self._features(features, file, user)
        names = list(self.maps)
        test = Examples(data.test.all()[0], self.maps)
        self.disjoint = len(test) >= self.n * sets
        count = sets if self.disjoint else 1
        self.real = [
            test.part(slice(k * self.n, (k + 1) * self.n)).computed(names) for k in range(count)
        ]  # the same rows for every model
        generator = np.random.default_rng(seed)
        order = torch.from_numpy(generator.permutation(len(train)))
        # Apart from each other: rows in the place of samples must not be found among what samples might copy.
        size = min(max(8 * self.n, 8_000), len(train) // 2)
        self.pool = Examples(train[order[:size]], self.maps).computed(names)
        self.whole = train if trained_on is None else trained_on
        near = train[order[size : size + NEAR]] if trained_on is None else _some(trained_on, NEAR, generator)
        self.near = Examples(near, self.maps).computed(names)
        self.unseen = Examples(torch.cat([data.validation.all()[0], data.test.all()[0]]), self.maps)
        self.train = train
        self.judges = self._judges(metrics)
        self._values: dict[str, dict[str, list[float]]] = {}
        self._train_features: dict[str, Tensor] = {}

    def _size(self, n: int | None, held_out: int, train: int) -> int:
        # Floors need rows of their own, and several different sets of them: a quarter of the training rows at most.
        most = min(held_out, train // 4)
        if most < LEAST:
            raise InputError(
                f"{held_out} held-out and {train} training rows are too few to compare samples with.",
                f"At least {LEAST} and {4 * LEAST} are needed: give more data, or a larger test part.",
            )
        if n is None:
            n = min(PICTURE_ROWS if self.pictures else ROWS, most)
        elif n < LEAST:
            raise InputError(f"n is {n}.", f"Comparing sets of fewer than {LEAST} rows says nothing.")
        elif n > most:
            self.warnings.append(
                f"n is {most:,} instead of {n:,}: there are {held_out:,} held-out rows, and floors need four times n "
                f"of the {train:,} training rows"
            )
            n = most
        if n < 500:
            few = "more held-out rows" if n == most else "a larger n"
            self.warnings.append(f"n is only {n}: intervals are wide, and small faults cannot be seen without {few}")
        return n

    def _features(self, names: Sequence[str] | None, file: Any, user: Any) -> dict[str, Features]:
        chosen = list(names) if names else default_features(self.data)
        maps: dict[str, Features] = {}
        if user is not None:
            maps["user"] = make_features("user", self.data, seed=self.seed, n=self.n, user=user)
        for name in chosen:
            self.log(f"features: {name}")
            own = file if name in ("onnx", "inception") else None
            try:
                maps[name] = make_features(name, self.data, seed=self.seed, n=self.n, file=own)
            except InputError as error:
                if names or not maps:
                    raise
                self.warnings.append(f"features {name} are left out: {error.what}")
        return maps

    def _judges(self, metrics: Sequence[str] | None) -> list[Judge]:
        judges = judges_for(self.data, self.maps)
        if metrics is None:
            return [judge for judge in judges if not judge.optional]
        known = {info.key: judge for judge in judges for info in judge.infos}
        labels = {info.label.lower(): info.key for judge in judges for info in judge.infos}
        wanted = set()
        for name in metrics:
            key = name if name in known else labels.get(name.lower())
            if key is None:
                raise InputError(f"unknown metric {name!r}.", did_you_mean(name, list(known)))
            wanted.add(key)
        return [judge for judge in judges if any(info.key in wanted for info in judge.infos)]

    def points(self, asked: int | None) -> int:
        """Held-out points whose likelihood is taken, at most."""
        return asked if asked is not None else PICTURE_POINTS if self.pictures else POINTS

    def train_features(self, name: str) -> Tensor:
        """Features of all training rows, computed at the first call: for the nearest one of a sample."""
        if name not in self._train_features:
            self._train_features[name] = self.maps[name].transform(self.whole)
        return self._train_features[name]

    @property
    def metrics(self) -> list[MetricInfo]:
        """What is computed, in the order of a report."""
        return [info for judge in self.judges for info in judge.infos]

    # ------------------------------------------------------------------------------ floors

    def floors(self, sets: int | None = None) -> dict[str, Floor]:
        """The floor of every metric that has one, for means over so many sample sets; see `floor`."""
        sets, tests = self.sets if sets is None else sets, len(self.metrics)
        found: dict[str, Floor] = {}
        for judge in self.judges:
            n = min(self.n, judge.rows)
            if self._known(judge) is not None:
                for key, (mean, std) in self._known(judge)(n).items():  # type: ignore[misc]
                    found[key] = known_floor(mean, std, n, tests=tests, sets=sets)
                continue
            pool = len(self.unseen) if judge.unseen else len(self.pool)
            for key, values in self._replicates(judge).items():
                if len(values) > 1 and np.isfinite(values).all():
                    scale = judge.scales.get(key, "plain")
                    found[key] = floor_of(values, n, tests=tests, sets=sets, pool=pool, scale=scale)
        return found

    def _known(self, judge: Judge) -> Callable[[int], Mapping[str, tuple[float, float]]] | None:
        """What theory says of a judge, which holds only where rows were dealt out at random."""
        return None if self.shifted and judge.exchangeable else judge.known

    def _replicates(self, judge: Judge) -> dict[str, list[float]]:
        """Values of real rows in the place of samples, by metric; computed once."""
        name = judge.infos[0].key
        if name not in self._values:
            self.log(f"floor: {', '.join(info.label for info in judge.infos)}")
            found: dict[str, list[float]] = {info.key: [] for info in judge.infos}
            for b in range(judge.replicates):
                trial = self._real_trial(b, judge.unseen).cut(judge.rows)
                for key, value in self._computed(judge, trial)[0].items():
                    found[key].append(value)
            self._values[name] = found
        return self._values[name]

    def _real_trial(self, b: int, unseen: bool) -> Trial:
        """Real rows in the place of samples: training rows apart from those that copies are sought among, against
        held-out rows; or held-out rows, for what is only compared with the training rows.
        """
        generator = np.random.default_rng([self.seed, 1, b])
        rows = self.unseen if unseen else self.pool
        order = torch.from_numpy(generator.permutation(len(rows)))
        k = b % len(self.real)
        return Trial(self.real[k], rows.part(order[: self.n]), self.near, self.whole, k, self.seed + b)

    # ------------------------------------------------------------------------------ scores

    def score(self, x: Any, sets: int | None = None) -> tuple[Scores, dict[str, str]]:
        """Values of samples (sets * n, *shape) by metric, one a set, and the reasons of those that are missing.

        Raises:
            InputError: samples outside the space, or too few.
        """
        sets = self.sets if sets is None else sets
        x = self.data.space.check(as_tensor(x), "samples")
        if len(x) < sets * self.n:
            raise InputError(
                f"{len(x):,} samples for {sets} sets of {self.n:,}.", f"Draw {sets * self.n:,}, or ask for fewer sets."
            )
        scores: Scores = {}
        missing: dict[str, str] = {}
        for k in range(sets):
            sampled = Examples(x[k * self.n : (k + 1) * self.n], self.maps)
            j = k % len(self.real)
            trial = Trial(self.real[j], sampled, self.near, self.whole, j, self.seed + k)
            for judge in self.judges:
                values, why = self._computed(judge, trial.cut(judge.rows))
                for key, value in values.items():
                    scores.setdefault(key, []).append(value)
                missing.update(why)
        return scores, missing

    def _computed(self, judge: Judge, trial: Trial) -> tuple[Mapping[str, float], dict[str, str]]:
        try:
            return judge.compute(trial), {}
        except PushforwardError as error:
            return {}, {info.key: str(error) for info in judge.infos}

    def values(self, by_seed: Sequence[Scores]) -> dict[str, Value]:
        """The trainings of one model together: means, 95% intervals, and whether they leave the floor."""
        sets = sum(len(next(iter(scores.values()), [])) for scores in by_seed)
        floors, out = self.floors(sets), {}
        for judge in self.judges:
            n = min(self.n, judge.rows)
            for info in judge.infos:
                if not all(info.key in scores for scores in by_seed):
                    continue
                value = combine([scores[info.key] for scores in by_seed], n)
                value = within(value, *judge.bounds(info.key))
                if (floor := floors.get(info.key)) is not None:
                    scale = judge.scales.get(info.key, "plain")
                    value = replace(value, outside=is_outside(value.each, floor, info.better, scale))
                    if info.key == "c2st" and self._known(judge) is not None:
                        z = (value.value - floor.mean) / (floor.std * shared(sets))
                        value = replace(value, p_value=0.5 * math.erfc(z / math.sqrt(2)))
                out[info.key] = value
        return out


def is_shifted(data: Any) -> bool:
    """Whether held-out rows are of another kind than training rows: later times, other groups, a part as it came."""
    split = data.split
    return "split_time" in split or "split_by" in split or "as given" in str(split.get("how", ""))


def _some(x: Tensor, count: int, generator: np.random.Generator) -> Tensor:
    return x[torch.from_numpy(generator.permutation(len(x))[:count])]
