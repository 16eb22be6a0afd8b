"""`evaluate`: how good a model is, by every metric that its data allow, beside what a perfect sampler gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..dataset import Dataset
from ..errors import InputError, PushforwardError
from ..model import GenerativeModel
from .calibration import ABOUT, calibrations
from .features.maps import plain
from .likelihood.ledger import combine
from .results import Cost, Pictures, Report, Row
from .suite import Suite
from .trained import Scored, pooled, score_model, score_samples, shown
from .verdict import verdict


def evaluate(
    model: Any,
    data: Any = None,
    *,
    n: int | None = None,
    sets: int | None = None,
    seed: int = 0,
    points: int | None = None,
    features: Sequence[str] | None = None,
    file: Any = None,
    user: Callable[[Any], Any] | None = None,
    metrics: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    density: Mapping[str, Any] | None = None,
    ais: bool = False,
    parzen: bool = False,
    out: str | Path | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> Report:
    """Every metric that the data allow, each with its interval, its n and its floor.

    >>> report = pf.evaluate("runs/digits-vae")
    >>> report.verdict

    Args:
        model: a run (its folder, or opened), a model, or samples (sets * n, *shape) of any sampler.
        data: what `pf.load` gives or takes; None: the run's own.
        n: rows of a sample set, and as many real ones; default 2,000 (pictures: 500) or as many as are held out.
        sets: disjoint sample sets, whose spread gives the intervals; default 5 (pictures: 3).
        seed: of samples and of every random choice.
        points: held-out rows whose likelihood is taken; default 500 (pictures: 100).
        features: names of feature spaces: "standardized", "encoded", "pca64", "random", "classifier", "onnx",
            "inception". file: the network of the last two. user: a function from data to (n, d) features.
        metrics: keys or labels, to compute these alone.
        options: of sampling. density: of `log_prob` ({"k": 64} for a tighter bound of a VAE).
        ais: the likelihood of an autoencoder by annealed importance sampling: slower, and a tighter bound.
        parzen: of pictures, the Parzen-window estimate of the papers of 2014, always beside that of real examples.
        out: a folder for `report.html` and `report.json`.

    Raises:
        InputError: no data, too few rows, unknown names, a model of other data.
    """
    begun = time.time()
    run, opened, data = _subject(model, data)
    data, trained_on, words = _apart(run, data)
    suite = Suite(
        data, n=n, sets=sets, seed=seed, features=features, file=file, user=user, metrics=metrics,
        trained_on=trained_on, log=log,
    )  # fmt: skip
    suite.warnings += words
    points = suite.points(points)
    if opened is None:
        name, scored = "your sampler", score_samples(suite, model)
    else:
        name = run.config.model if run is not None else (opened.config.model if opened.config else "model")
        scored = score_model(
            suite, opened, seed=seed, points=points, options=options, density=density, ais=ais, parzen=parzen, log=log
        )
        if run is not None:
            add_run(scored, run)
    report = assemble(suite, {name: [scored]}, title=f"{name} on {data.name}", log=log)
    if run is not None:
        report.rows[0].runs = [str(run.folder)]
    report.settings |= {"points": points, "seconds": round(time.time() - begun, 1)}
    if out is not None:
        report.save(out)
    return report


def _subject(model: Any, data: Any) -> tuple[Any, GenerativeModel | None, Any]:
    """(run or None, model or None for samples, data)."""
    from ..training import Run, open_run
    from ..training.plan import as_data

    run = open_run(model) if isinstance(model, (str, Path)) else model if isinstance(model, Run) else None
    opened: GenerativeModel | None = run.model if run is not None else None
    if run is None and isinstance(model, GenerativeModel):
        opened = model
    if data is None and run is None:
        raise InputError("which data?", "Give what the samples are to be compared with: pf.evaluate(model, data).")
    if run is None:
        data = as_data(data)
    else:
        data = run.load_data() if data is None else _of_run(run, data)
    if opened is not None and opened.space != data.space:
        raise InputError(
            f"the model is for {opened.space.describe()}, the data are {data.space.describe()} or of other columns.",
            "Give the data that it was fitted to, or evaluate the run on a file, which is read like them.",
        )
    return run, opened, data


def _of_run(run: Any, source: Any) -> Any:
    """Other data for a run: as they are if they were loaded, else read in the space of its model, then split."""
    from ..data import Data, load, read_like
    from ..data.builtin.source import is_builtin
    from ..data.data import ARRAY, content_hash
    from ..data.source import Rows, path_name
    from ..data.splits import split_rows

    before = run.document["data"]
    options, space, given = before["options"], run.model.space, run.model.condition_space
    if isinstance(source, Data):
        return source
    if isinstance(source, str) and (is_builtin(source) or source == before["source"]):
        return load(source, **options)
    column = options.get("condition") if given is not None else None
    x, condition = read_like(
        source, space, given, condition=column, fit=options.get("fit", "crop"), options=options
    )  # fmt: skip
    parts, split = split_rows(len(x))
    datasets = {
        name: Dataset(x[index], None if condition is None else condition[index], space=space, condition_space=given)
        for name, index in parts.items()
    }
    where = str(source) if isinstance(source, (str, Path)) else ARRAY
    name = path_name(Path(where)) if where != ARRAY else "array"
    made = content_hash(Rows(x.numpy(), space), condition, given)
    return Data(name, where, {}, **datasets, space=space, condition_space=given, hash=made, split=split, notes=[])


def _apart(run: Any, data: Any) -> tuple[Any, Any, list[str]]:
    """Data without the rows that a run was fitted to, those rows (None: they are the data's own), and what was done.

    A run that is judged by other data than its own must not be judged by rows that it has seen, and copies are copies
    of what it was fitted to.
    """
    from .metrics.memorization import fingerprints

    if run is None or (run.data_info.get("hash") == data.hash and run.data_info.get("split") == data.split):
        return data, None, []
    try:
        own = run.load_data().train
    except InputError as error:
        words = f"the run's own training rows cannot be read ({error}): copies are sought among these data's instead"
        return data, None, [words]
    seen = plain(own).all()[0]
    known = np.unique(fingerprints(seen))
    parts, gone = {}, 0
    for name in ("train", "validation", "test"):
        part = plain(getattr(data, name))
        new = ~np.isin(fingerprints(part.all()[0]), known)
        gone += int((~new).sum())
        parts[name] = part.subset(torch.from_numpy(np.flatnonzero(new)))
    words = "these are not the rows that the run was fitted to: copies are sought among its own training rows"
    if gone:
        words += f", and {gone:,} of them that are here too were left out"
    return replace(data, **parts), seen, [words]


def add_run(scored: Scored, run: Any) -> None:
    """What a run's folder knows: training time, loss curves, its verdict."""
    status = run.status
    memory = max((m for m in (scored.cost.peak_memory, status.get("peak_memory")) if m), default=None)
    scored.cost = replace(
        scored.cost, train_seconds=status.get("seconds"), train_steps=status.get("steps"), peak_memory=memory
    )
    if status.get("verdict"):
        scored.notes.append(str(status["verdict"]))
    scored.history = history(run.metrics())


def history(records: Sequence[Mapping[str, Any]]) -> tuple[list[float], dict[str, list[float]]] | None:
    """Steps, and losses by name, of a run's metrics; None when there are none."""
    steps: list[float] = []
    losses: dict[str, list[float]] = {}
    for record in records:
        found = _losses(record)
        if not found:
            continue
        steps.append(float(record["step"]))
        for name in {*losses, *found}:
            before = losses.setdefault(name, [float("nan")] * (len(steps) - 1))
            before.append(found.get(name, float("nan")))
    return (steps, losses) if steps else None


def _losses(record: Mapping[str, Any]) -> dict[str, float]:
    losses = {name.lstrip("_"): float(value) for name, value in record.get("losses", {}).items()}
    if record.get("validation") is not None:
        losses["held-out"] = float(record["validation"])
    return losses


def assemble(
    suite: Suite,
    trained: Mapping[str, Sequence[Scored]],
    *,
    title: str,
    log: Callable[[str], None] = lambda text: None,
) -> Report:
    """The report of trainings by model, with calibrations, differences and the verdict."""
    data = suite.data
    floors = suite.floors()
    rows = [model_row(suite, name, scored) for name, scored in trained.items()]
    likelihoods = {name: pooled(scored) for name, scored in trained.items()}
    for row in rows:
        row.likelihood = likelihoods[row.name][0]
    found = combine(
        {name: row for name, (row, _) in likelihoods.items() if row is not None},
        {name: values for name, (_, values) in likelihoods.items() if values is not None},
    )
    pictures = Pictures(data.space, data.test.all(limit=max(shown(data.space), 1))[0].numpy())
    for name, scored in trained.items():
        _picture(pictures, name, scored[0])
    rows += _calibrations(suite, pictures, log)
    report = Report(
        title=title,
        data=_about_data(data),
        metrics=[info for info in suite.metrics if any(info.key in row.values for row in rows)],
        floor=floors,
        rows=rows,
        differences=found.differences,
        settings={
            "n": suite.n, "sets": suite.sets, "seeds": max(len(s) for s in trained.values()), "seed": suite.seed,
            "disjoint_held_out_sets": suite.disjoint, "features": {k: f.about for k, f in suite.maps.items()},
        },
        environment=_environment(),
        warnings=[*suite.warnings, *found.notes],
        pictures=pictures,
    )  # fmt: skip
    report.verdict = verdict(report)
    return report


def _about_data(data: Any) -> dict[str, Any]:
    """Where the rows came from and how they were split, each number once."""
    found = data.describe()
    split = {k: v for k, v in found["split"].items() if k not in found["sizes"]}
    kept = {k: found[k] for k in ("name", "source", "options", "sizes", "hash", "notes")}
    return {"description": data.space.describe(), **kept, "split": split}


def _calibrations(suite: Suite, pictures: Pictures, log: Callable[[str], None]) -> list[Row]:
    """The rows of samplers that nobody would use; those without a meaning for the space are left out, saying so."""
    rows = []
    for name, draw in calibrations(suite.data, suite.train, suite.n, suite.seed):
        log(f"calibration: {name}")
        try:
            scored = score_samples(suite, draw(), sets=1)
        except PushforwardError as error:
            suite.warnings.append(f"{name}: left out, because {error}")
            continue
        rows.append(Row(name, "calibration", ABOUT[name], suite.values([scored.scores]), scored.missing))
        if scored.samples is not None:
            pictures.samples[name] = scored.samples
    return rows


def model_row(suite: Suite, name: str, scored: Sequence[Scored]) -> Row:
    """One model, all its trainings."""
    row = Row(name, "model", _about(name), suite.values([s.scores for s in scored]))
    for s in scored:
        row.missing.update(s.missing)
        row.notes += [note for note in s.notes if note not in row.notes]
    row.cost = _mean_cost([s.cost for s in scored])
    return row


def _about(name: str) -> str:
    from ..registry import recipe, recipe_names

    return recipe(name).title if name in recipe_names() else ""


def _mean_cost(costs: Sequence[Cost]) -> Cost:
    """Means over trainings of what was measured; the highest memory."""

    def mean(values: list[Any]) -> Any:
        known = [v for v in values if v is not None]
        return float(np.mean(known)) if known else None

    first = costs[0]
    steps = mean([c.train_steps for c in costs])
    return replace(
        first,
        train_seconds=mean([c.train_seconds for c in costs]),
        train_steps=None if steps is None else round(steps),
        seconds_per_1000=mean([c.seconds_per_1000 for c in costs]),
        peak_memory=max((c.peak_memory for c in costs if c.peak_memory), default=None),
    )


def _picture(pictures: Pictures, name: str, scored: Scored) -> None:
    if scored.samples is not None:
        pictures.samples[name] = scored.samples
    if scored.nearest is not None:
        pictures.nearest[name] = scored.nearest
    if scored.history is not None:
        pictures.histories[name] = scored.history
    if scored.log_prob is not None and scored.own is not None:
        pictures.held_out[name], pictures.own[name] = scored.log_prob, scored.own


def _environment() -> dict[str, Any]:
    from ..training.environment import environment

    found = environment()
    kept = ("versions", "platform", "machine", "processors", "threads", "gpus")
    return {"pushforward": __version__, **{k: found[k] for k in kept}}
