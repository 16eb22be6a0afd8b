"""A perfect sampler with one fault at a time: which metric sees which fault, and how often a perfect one is accused.

On each data set the perfect sampler draws real rows that nothing else has seen: fresh ones of a built-in, or a part of
the training rows that is set aside. Samples go through the suite that models go through, with one set of n. A fault is
caught when at least one metric leaves the interval of its floor; the perfect sampler is accused when one does.
Perfect samplers are tried on small data as well, where floors have little to be drawn from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .catalogue import Target, trial
from .planted_faults import NEEDS

N = 2_000
REFERENCES = 5
"""Suites, each with held-out rows and floors of its own, that the perfect samplers are dealt to."""
FEW = 1_800
"""Rows of the data sets that are small."""

Log = Callable[[str], None]
Fault = Callable[["Case", Tensor, np.random.Generator], Tensor]


@dataclasses.dataclass
class Case:
    """One data set.

    Attributes:
        data: split. fresh: rows of a perfect sampler by seed, (N, *shape). mode: of each row, an integer.
        centre: of each row, what it spreads around. column: whose dependence on the others is broken; within modes, or
            over all rows where columns depend on each other through the modes alone.
    """

    name: str
    data: Any
    fresh: Callable[[int], Tensor]
    mode: Callable[[Tensor], Tensor]
    centre: Callable[[Tensor], Tensor]
    column: int | None
    faults: Mapping[str, Fault]
    within: bool = True

    def reference(self, k: int) -> Any:
        """The data with other held-out rows in reference k."""
        test = self.data.test
        order = torch.from_numpy(np.random.default_rng(k).permutation(len(test)))[:N]
        return dataclasses.replace(self.data, test=test.subset(order))


# ---------------------------------------------------------------------------------- faults


def dropped_mode(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """No samples of the second mode; others in their place."""
    return _thinned(case, x, generator, 1.0)


def half_a_mode(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """Half of the samples of the second mode."""
    return _thinned(case, x, generator, 0.5)


def _thinned(case: Case, x: Tensor, generator: np.random.Generator, share: float) -> Tensor:
    mode = case.mode(x).numpy()
    gone = (mode == 1) & (generator.random(len(x)) < share)
    others = np.flatnonzero(mode != 1)
    kept = np.arange(len(x))
    kept[gone] = generator.choice(others, gone.sum())
    # Not the same rows twice: a row that is taken again comes from another fresh set.
    extra = case.fresh(10_000 + int(generator.integers(1_000)))
    rest = extra[torch.from_numpy(np.flatnonzero(case.mode(extra).numpy() != 1))]
    out = x.clone()
    places = torch.from_numpy(np.flatnonzero(gone))
    out[places] = rest[: len(places)]
    return out


def narrow(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """Standard deviations times 0.8, about each mode's centre."""
    centre = case.centre(x)
    made = centre + 0.8 * (x.double() - centre)
    return _like(case, made, x)


def broken_correlation(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """One column (of pictures, one half) dealt out anew, within each mode, so that it depends on nothing else."""
    out, mode = x.clone(), case.mode(x) if case.within else torch.zeros(len(x))
    for m in mode.unique():
        rows = torch.nonzero(mode == m)[:, 0]
        other = rows[torch.from_numpy(generator.permutation(len(rows)))]
        if case.column is None:
            half = x.shape[-1] // 2
            out[rows, ..., :half] = x[other, ..., :half]
        else:
            out[rows, case.column] = x[other, case.column]
    return out


def duplicated_training(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """5% of the samples are training rows."""
    return _mixed(x, _training(case, generator), 0.05)


def noise(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """10% of the samples are noise, uniform over the range of the data."""
    from ..evaluation.calibration import calibrations

    draw = dict(calibrations(case.data, case.data.train.all()[0], len(x), int(generator.integers(2**31))))["noise"]
    return _mixed(x, draw(), 0.1)


def copycat(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """Nothing but training rows."""
    return _training(case, generator)


def blur(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """Pictures averaged over 3x3 pixels."""
    return _like(case, torch.nn.functional.avg_pool2d(x.double(), 3, 1, 1), x)


def wrong_frequencies(case: Case, x: Tensor, generator: np.random.Generator) -> Tensor:
    """The second mode twice as often as it should be."""
    mode = case.mode(x).numpy()
    extra = case.fresh(20_000 + int(generator.integers(1_000)))
    more = extra[torch.from_numpy(np.flatnonzero(case.mode(extra).numpy() == 1))]
    others = np.flatnonzero(mode != 1)
    count = min(int((mode == 1).sum()), len(more), len(others))
    out = x.clone()
    out[torch.from_numpy(generator.choice(others, count, replace=False))] = more[:count]
    return out


def _training(case: Case, generator: np.random.Generator) -> Tensor:
    train: Tensor = case.data.train.all()[0]
    return train[torch.from_numpy(generator.choice(len(train), N, replace=False))]


def _mixed(x: Tensor, other: Tensor, share: float) -> Tensor:
    out = x.clone()
    count = round(share * len(x))
    out[:count] = other[:count]
    return out


def _like(case: Case, made: Tensor, x: Tensor) -> Tensor:
    """Numbers back in the space: whole ones where the space has whole ones."""
    from ..spaces import Pixels, Table

    space = case.data.space
    if isinstance(space, Pixels):
        return made.round().clamp(0, space.levels - 1).to(x.dtype)
    if isinstance(space, Table):
        steps = [(j, c.step) for j, c in enumerate(space.columns) if c.is_number and c.step is not None]
        for j, step in steps:
            made[:, j] = (made[:, j] / step).round() * step
        return made
    return made.to(x.dtype)


COMMON: Mapping[str, Fault] = {
    "a mode dropped": dropped_mode,
    "half a mode": half_a_mode,
    "std x 0.8": narrow,
    "correlation broken": broken_correlation,
    "5% training rows": duplicated_training,
    "10% noise": noise,
    "wrong frequencies": wrong_frequencies,
    "copycat": copycat,
}


# ---------------------------------------------------------------------------------- data


def ring() -> Case:
    """Eight Gaussians on a circle."""
    from ..data import load
    from ..data.builtin.source import ring as made
    from ..evaluation.metrics.modes import ring_centres

    data = load("ring:n=40000")
    centres = ring_centres().float()

    def mode(x: Tensor) -> Tensor:
        return torch.cdist(x.float(), centres).argmin(1)

    def fresh(seed: int) -> Tensor:
        return torch.from_numpy(made(n=N, seed=seed + 1)[0])

    return Case("ring", data, fresh, mode, lambda x: centres[mode(x)].double(), 1, COMMON, within=False)


WEIGHTS = np.array([0.4, 0.25, 0.2, 0.15])


def _gaussians() -> tuple[np.ndarray, np.ndarray]:
    """Centres (4, 6) and factors (4, 6, 6) of the mixture."""
    generator = np.random.default_rng(0)
    centres = 3.0 * generator.standard_normal((len(WEIGHTS), 6))
    return centres, generator.standard_normal((len(WEIGHTS), 6, 6)) / np.sqrt(6) + 0.5 * np.eye(6)


def draw_mixture(n: int, seed: int) -> np.ndarray:
    """n rows of four correlated Gaussians of unequal weight in six dimensions."""
    centres, factors = _gaussians()
    generator = np.random.default_rng([seed, 3])
    z = generator.choice(len(WEIGHTS), n, p=WEIGHTS)
    return centres[z] + np.einsum("nij,nj->ni", factors[z], generator.standard_normal((n, 6)))


def mixture() -> Case:
    """The mixture."""
    from ..data import load

    centres, factors = _gaussians()
    data = load(draw_mixture(40_000, 0))
    inverse = np.linalg.inv(factors)
    log_volume = np.log(np.abs(np.linalg.det(factors)))

    def mode(x: Tensor) -> Tensor:
        d = np.einsum("kij,nkj->nki", inverse, x.double().numpy()[:, None] - centres)
        return torch.from_numpy((0.5 * (d**2).sum(2) + log_volume - np.log(WEIGHTS)).argmin(1))

    def fresh(seed: int) -> Tensor:
        return torch.from_numpy(draw_mixture(N, seed + 1)).to(data.space.dtype)

    return Case("mixture", data, fresh, mode, lambda x: torch.from_numpy(centres)[mode(x)], 5, COMMON)


def _set_aside(data: Any) -> tuple[Any, Callable[[int], Tensor]]:
    """Half of the training rows for a perfect sampler, the other half to train on."""
    count = len(data.train)
    order = torch.from_numpy(np.random.default_rng(0).permutation(count))
    aside = data.train.subset(order[count // 2 :]).all()[0]
    kept = dataclasses.replace(data, train=data.train.subset(order[: count // 2]))

    def fresh(seed: int) -> Tensor:
        chosen = np.random.default_rng([seed, 5]).choice(len(aside), N, replace=False)
        return aside[torch.from_numpy(chosen)]

    return kept, fresh


def adult(path: Path) -> Case:
    """Census income: the modes are kinds of marital status; ages are made narrower, and weekly hours independent."""
    from ..data import load

    data, fresh = _set_aside(load(path, test=0.3, validation=0.05))
    names = list(data.space.names)
    status, age = names.index("marital"), names.index("age")
    # The mode that is spoilt (number 1) is the status as frequent as a mode of the ring: the divorced, an eighth.
    counts = torch.bincount(data.train.all()[0][:, status].long()).double()
    spoilt = int((counts / counts.sum() - 1 / 8).abs().argmin())

    def mode(x: Tensor) -> Tensor:
        codes = x[:, status].long()
        return torch.where(codes == spoilt, 1, torch.where(codes == 1, spoilt, codes))

    def centre(x: Tensor) -> Tensor:
        out = x.double().clone()
        out[:, age] = data.train.all()[0][:, age].mean()
        return out

    return Case("adult", data, fresh, mode, centre, names.index("hr_per_week"), COMMON)


def mnist(path: Path) -> Case:
    """Handwritten digits: modes by a nearest-neighbour classifier; contrast, halves and sharpness are spoilt."""
    from sklearn.neighbors import KNeighborsClassifier

    from ..data import load

    whole = load(path, condition=True)
    data, fresh = _set_aside(whole)
    x, y = data.train.all()
    judge = KNeighborsClassifier(3).fit(_small(x[:6000]), y[:6000].numpy())

    def mode(rows: Tensor) -> Tensor:
        return torch.from_numpy(judge.predict(_small(rows)))

    def centre(rows: Tensor) -> Tensor:
        return torch.zeros_like(rows, dtype=torch.float64)

    return Case("mnist", data, fresh, mode, centre, None, {**COMMON, "blur": blur})


def _small(x: Tensor) -> np.ndarray:
    return torch.nn.functional.avg_pool2d(x.float(), 2).flatten(1).numpy()


# ---------------------------------------------------------------------------------- the experiment


def experiment(seeds: int, data_file: Path | None, log: Log) -> dict[str, Any]:
    """Every fault on every data set, and `seeds` perfect samplers."""
    from ..errors import InputError
    from ..training.files import sha256

    cases: list[Callable[[], Case]] = [ring, mixture]
    sources: dict[str, str] = {}
    for name, make in (("adult.csv", adult), ("mnist.npz", mnist)):
        if data_file is None or not (data_file / name).is_file():
            log(f"{name}: not there, left out")
            continue
        path = data_file / name
        sources[name] = sha256(path)
        cases.append(lambda make=make, path=path: make(path))  # type: ignore[misc]
    if data_file is not None and not data_file.is_dir():
        raise InputError(f"{data_file} is not a folder.", f"planted-faults needs {NEEDS}.")
    rows: list[dict[str, Any]] = []
    table: dict[str, dict[str, list[str]]] = {}
    metrics: dict[str, list[str]] = {}
    reference: dict[str, dict[str, float]] = {}
    hashes: dict[str, str] = {}
    for make_case in cases:
        case = make_case()
        hashes[case.name] = case.data.hash
        found, metrics[case.name] = _faults(case, log)
        table[case.name] = found
        for name, flags in found.items():
            rows.append(
                trial(
                    f"{case.name}: {name}", [{"caught": float(bool(flags)), "metrics": float(len(flags))}],
                    [Target("caught", at_least=1)],
                )
            )  # fmt: skip
        accused = _accused(case, seeds, log)
        rate = sum(bool(flags) for flags in accused) / len(accused)
        reference[f"{case.name}: {seeds} perfect samplers"] = {"caught": rate}
        rows.append(
            trial(f"{case.name}: perfect", [{"caught": rate}], [Target("caught", at_most=0.05)], accused=accused)
        )
    accused = _with_few_rows(seeds, log)
    rate = sum(bool(flags) for flags in accused) / len(accused)
    small = f"mixture, {FEW:,} rows, as compare does"
    reference[f"{small}: {seeds} perfect samplers"] = {"caught": rate}
    rows.append(trial(f"{small}: perfect", [{"caught": rate}], [Target("caught", at_most=0.05)], accused=accused))
    return {
        "data": {"source": "ring, mixture" + "".join(f", {name}" for name in sources), "sha256": sources,
                 "hash": next(iter(hashes.values())), "hashes": hashes},
        "reference": reference, "models": rows, "flags": table, "metrics": metrics, "n": N,
    }  # fmt: skip


def _suite(case: Case, k: int) -> Any:
    from ..evaluation.suite import Suite

    return Suite(case.reference(k), n=N, sets=1, seed=k, log=lambda text: None)


def _flags(suite: Any, x: Tensor) -> list[str]:
    """Labels of the metrics that leave their floor's interval."""
    scores, missing = suite.score(x)
    if missing:
        raise RuntimeError(f"a metric is missing: {missing}")
    labels = {info.key: info.label for info in suite.metrics}
    return [labels[key] for key, value in suite.values([scores]).items() if value.outside]


def _faults(case: Case, log: Log) -> tuple[dict[str, list[str]], list[str]]:
    """The metrics that see each fault, and all of them."""
    suite = _suite(case, 0)
    out = {}
    for name, spoil in case.faults.items():
        x = spoil(case, case.fresh(0), np.random.default_rng(1))
        out[name] = _flags(suite, x)
        log(f"{case.name}, {name}: {', '.join(out[name]) or 'not caught'}")
    return out, [info.label for info in suite.metrics]


def _accused(case: Case, seeds: int, log: Log) -> list[list[str]]:
    """What perfect samplers are accused of, seed by seed, against several sets of held-out rows."""
    out = []
    suites = [_suite(case, k) for k in range(min(REFERENCES, seeds))]
    for seed in range(seeds):
        out.append(_flags(suites[seed % len(suites)], case.fresh(100 + seed)))
        if out[-1]:
            log(f"{case.name}, perfect sampler {seed}: {', '.join(out[-1])}")
    log(f"{case.name}: {sum(map(bool, out))} of {seeds} perfect samplers accused")
    return out


def _with_few_rows(seeds: int, log: Log) -> list[list[str]]:
    """The same where floors have few rows to be drawn from: other data and other perfect samples for each seed, all at
    the defaults of a comparison."""
    from ..evaluation.compare import load_for_comparison
    from ..evaluation.suite import Suite

    out = []
    for seed in range(seeds):
        suite = Suite(load_for_comparison(draw_mixture(FEW, 1_000 + seed)), seed=seed)
        rows = draw_mixture(suite.n * suite.sets, 2_000 + seed)
        out.append(_flags(suite, torch.from_numpy(rows).to(suite.data.space.dtype)))
        if out[-1]:
            log(f"few rows, perfect sampler {seed}: {', '.join(out[-1])}")
    log(f"few rows (n = {suite.n}): {sum(map(bool, out))} of {seeds} perfect samplers accused")
    return out
