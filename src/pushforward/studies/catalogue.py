"""What a study is, and which there are. Light: nothing heavy is imported until a study runs.

A study is a module of this package with a `STUDY`; adding one needs no other edit.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import InputError, did_you_mean

NOT_STUDIES = ("__init__", "catalogue", "faults", "runner")


@dataclass(frozen=True)
class Target:
    """What a value has to reach: `at_least` or `at_most`. `published` names where a published value comes from."""

    value: str
    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float | None) -> bool:
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        sign, bound = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{self.value} {sign} {bound:g}"


@dataclass(frozen=True)
class Entry:
    """One model of a study: how it is fitted, what it has to reach, what was published for it.

    `fit` goes to `run_fit` (steps, settings, ...); `sampling` to `model.sample`. `label`: the row's name, where a model
    has several.
    """

    model: str
    fit: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    published: Mapping[str, float] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True)
class Study:
    """Fixed data, models, seeds and targets.

    Attributes:
        measure: `(model, data, entry, seed) -> {name: value}`, for each fit; "seconds" is added by the runner.
        reference: `(data) -> {row: {name: value}}`: what a perfect sampler and trivial ones reach (floors).
        values: the names of the values, in the order of the table, with what they mean.
        source: where published values come from, or "".
        load: options of `pf.load`.
        needs: what to give as --data, of a study whose data do not come with the package; "" otherwise.
        prepare: `(path) -> source`, what the study makes of that file before loading it.
        experiment: `(seeds, data_file, log) -> {"data", "reference", "models", ...}`, of a study that does not fit
            `models` to `data` but does something of its own; see `trial` for the rows of "models".
    """

    name: str
    title: str
    data: str
    models: tuple[Entry, ...]
    values: Mapping[str, str]
    measure: Callable[[Any, Any, Entry, int], Mapping[str, float]]
    reference: Callable[[Any], Mapping[str, Mapping[str, float]]] | None = None
    seeds: int = 3
    source: str = ""
    load: Mapping[str, Any] = field(default_factory=dict)
    needs: str = ""
    prepare: Callable[[Path], Any] | None = None
    experiment: Callable[[int, Path | None, Callable[[str], None]], Mapping[str, Any]] | None = None


def trial(
    name: str, values: Sequence[Mapping[str, float]], targets: Sequence[Target] = (), **more: Any
) -> dict[str, Any]:
    """A row of an experiment: what was tried, its values seed by seed, and whether each met the targets."""
    runs = [{"seed": seed, "values": dict(found)} for seed, found in enumerate(values)]
    judged = [[target.met(found.get(target.value)) for found in values] for target in targets]
    return {
        "model": name, "runs": runs, "published": {}, **more,
        "targets": [{"target": str(t), "met": all(m), "seeds_met": sum(m)} for t, m in zip(targets, judged)],
        "met": all(all(m) for m in judged) if targets else None,
    }  # fmt: skip


def study_names() -> list[str]:
    """Names of all studies, sorted."""
    folder = resources.files(__package__)
    modules = [f.name[:-3] for f in folder.iterdir() if f.name.endswith(".py")]
    return sorted(name.replace("_", "-") for name in modules if name not in NOT_STUDIES)


def study(name: str) -> Study:
    """A study by its name.

    Raises:
        InputError: unknown, with the nearest one.
    """
    if name not in study_names():
        raise InputError(f"unknown study {name!r}.", did_you_mean(name, study_names()))
    found: Study = importlib.import_module(f"{__package__}.{name.replace('-', '_')}").STUDY
    return found
