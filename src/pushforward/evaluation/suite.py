"""A suite: held-out rows, training rows, feature spaces and judges of one data set, ready to score any samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, PushforwardError, did_you_mean
from ..spaces import Pixels
from .features import Features, default_features, make_features
from .floor import combine, floor_of, is_outside, known_floor
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
        log: Callable[[str], None] = lambda text: None,
    ):
        self.pictures = isinstance(data.space, Pixels)
        sets = (PICTURE_SETS if self.pictures else SETS) if sets is None else sets
        self.data, self.seed, self.sets, self.log = data, seed, sets, log
        self.warnings: list[str] = []
        train = plain_rows(data.train)
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
        size = min(max(4 * self.n, 4_000), len(train) // 2)
        self.pool = Examples(train[order[:size]], self.maps).computed(names)
        self.near = Examples(train[order[size : size + NEAR]], self.maps).computed(names)
        self.rest = train[order[size:]]
        self.train = train
        self.judges = self._judges(metrics)
        self._floors: dict[str, Floor] | None = None
        self._train_features: dict[str, Tensor] = {}

    def _size(self, n: int | None, held_out: int, train: int) -> int:
        most = min(held_out, train // 2)
        if most < LEAST:
            raise InputError(
                f"{held_out} held-out and {train} training rows are too few to compare samples with.",
                f"At least {LEAST} and {2 * LEAST} are needed: give more data, or a larger test part.",
            )
        if n is None:
            n = min(PICTURE_ROWS if self.pictures else ROWS, most)
        elif n < LEAST:
            raise InputError(f"n is {n}.", f"Comparing sets of fewer than {LEAST} rows says nothing.")
        elif n > most:
            self.warnings.append(f"n is {most:,} instead of {n:,}: there are no more held-out rows")
            n = most
        if n < 500:
            self.warnings.append(f"only {n} held-out rows: intervals are wide, and small faults cannot be seen")
        return n

    def _features(self, names: Sequence[str] | None, file: Any, user: Any) -> dict[str, Features]:
        chosen = list(names) if names else default_features(self.data)
        maps: dict[str, Features] = {}
        if user is not None:
            maps["user"] = make_features("user", self.data, seed=self.seed, n=self.n, user=user)
        for name in chosen:
            self.log(f"features: {name}")
            own = file if name in ("onnx", "inception") else None
            maps[name] = make_features(name, self.data, seed=self.seed, n=self.n, file=own)
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
            self._train_features[name] = self.maps[name].transform(self.train)
        return self._train_features[name]

    @property
    def metrics(self) -> list[MetricInfo]:
        """What is computed, in the order of a report."""
        return [info for judge in self.judges for info in judge.infos]

    # ------------------------------------------------------------------------------ floors

    def floors(self) -> dict[str, Floor]:
        """The floor of every metric that has one, measured once; see `floor`."""
        if self._floors is None:
            self._floors = {}
            tests = len(self.metrics)
            for judge in self.judges:
                self._floors.update(self._floor(judge, tests))
        return self._floors

    def _floor(self, judge: Judge, tests: int) -> dict[str, Floor]:
        n = min(self.n, judge.rows)
        sets = self.sets
        if judge.known is not None:
            return {
                key: known_floor(mean, std, n, tests=tests, sets=sets) for key, (mean, std) in judge.known(n).items()
            }
        self.log(f"floor: {', '.join(info.label for info in judge.infos)}")
        found: dict[str, list[float]] = {info.key: [] for info in judge.infos}
        for b in range(judge.replicates):
            trial = self._real_trial(b).cut(judge.rows)
            for key, value in self._computed(judge, trial)[0].items():
                found[key].append(value)
        overlap = min(self.n, n) / len(self.pool)
        return {
            key: floor_of(
                values, n, tests=tests, sets=sets, overlap=overlap,
                positive=judge.scales.get(key) == "positive", share=judge.scales.get(key) == "share",
            )
            for key, values in found.items()
            if len(values) > 1 and np.isfinite(values).all()
        }  # fmt: skip

    def _real_trial(self, b: int) -> Trial:
        """Training rows in the place of samples, against held-out rows and the other training rows."""
        generator = np.random.default_rng([self.seed, 1, b])
        order = torch.from_numpy(generator.permutation(len(self.pool)))
        k = b % len(self.real)
        return Trial(self.real[k], self.pool.part(order[: self.n]), self.near, self.rest, k, self.seed + b)

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
            trial = Trial(self.real[j], sampled, self.near, self.train, j, self.seed + k)
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
        floors, out = self.floors(), {}
        for judge in self.judges:
            n = min(self.n, judge.rows)
            for info in judge.infos:
                if not all(info.key in scores for scores in by_seed):
                    continue
                value = combine([scores[info.key] for scores in by_seed], n)
                floor = floors.get(info.key)
                outside = None if floor is None else is_outside(value.value, floor, info.better)
                p = None
                if judge.known is not None and floor is not None:
                    sets = value.sets * value.seeds
                    p = _upper_tail((value.value - floor.mean) / (floor.std * math.sqrt((1 + 1 / sets) / 2)))
                out[info.key] = Value(
                    value.value, n, value.low, value.high, value.sets, value.seeds, value.each, outside, p
                )
        return out


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def plain_rows(dataset: Any) -> Tensor:
    """All rows of a training part as they are, without augmentation."""
    base = getattr(dataset, "base", dataset)
    x: Tensor = base.all()[0]
    return x
