"""`compare`: several models on the same data, fitted on the same terms, scored by the same metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError, PushforwardError
from ..registry import recipe, recipe_names
from .contest import Entry, Match, entries, sensible
from .evaluate import add_run, assemble
from .results import Report
from .suite import Suite
from .trained import Scored, score_model

Log = Callable[[str], None]
FORMAT = 1
ENOUGH = 500
"""Held-out rows under which a comparison sets more aside than a fit does."""
TEST = 0.3


def compare(
    models: Any = None,
    data: Any = None,
    *,
    budget: str | float | None = "1m",
    seeds: int = 1,
    match: Match = "none",
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
    n: int | None = None,
    sets: int | None = None,
    seed: int = 0,
    points: int | None = None,
    features: Sequence[str] | None = None,
    file: Any = None,
    metrics: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    log: Log = lambda text: None,
) -> Report:
    """Fit several models to the same data, score them by the same metrics, and write one report.

    >>> report = pf.compare(["gmm", "real-nvp", "flow-matching"], "ring", budget="30s")
    >>> report.table

    Args:
        models: names from `pf.models()`, or runs (folders) that are fitted already; None: a set that suits the data.
        data: what `pf.load` gives or takes. None: that of the runs.
        budget: time of each fit, "3m". With match="none" a recipe that needs less takes less; None: no limit.
        seeds: trainings of each model, with seeds 0, 1, ...
        match: "none", the recipes' own sizes and steps; "params", widths such that all have about as many parameters;
            "time", steps such that all train for the whole budget.
        out: folder of the fits, the scores and `report.html`; None: nothing is kept.
        resume: go on with the comparison in `out`, on its own terms. overwrite: replace it.
        jobs: fits at a time. Above 1, times are those of the processor, not of the clock.
        n, sets, seed, points, features, file, metrics: see `evaluate`.
        settings: for all models ({"network": {"size": "m"}}).

    Raises:
        InputError: whatever is wrong with models, data, folders. PushforwardError: every model failed.
    """
    folder = None if out is None else Path(out)
    scoring = {
        "n": n, "sets": sets, "seed": seed, "points": points, "features": None if features is None else list(features),
        "file": None if file is None else str(file), "metrics": None if metrics is None else list(metrics),
    }  # fmt: skip
    names, runs = _sorted_out(models)
    terms = {"budget": budget, "seeds": seeds, "match": match, "jobs": jobs}
    if resume:
        plan, loaded, found = _begun(folder, data, log)
        given = {**terms, **scoring, "settings": settings or None, "models": names or None}
        _keep_terms(plan, {k: v for k, v in given.items() if v != _DEFAULTS.get(k)})
    elif runs and names:
        raise InputError("models to fit and finished runs cannot be mixed.", "Fit first, then compare the runs.")
    elif runs:
        return _of_runs(runs, data, folder, overwrite, scoring, log)
    else:
        _check_terms(budget, match, folder, overwrite)
        if data is None:
            raise InputError("which data?", "pf.compare(models, data), or pushforward compare DATA.")
        loaded = load_for_comparison(data)
        found = entries(names or sensible(loaded.space), loaded, match, settings, log, skip=not names)
        plan = _plain(
            {
                "format": FORMAT, "pushforward": __version__, "hash": loaded.hash,
                "data": {"source": loaded.source, "options": loaded.options},
                "models": [asdict(entry) for entry in found], "settings": settings or None, **terms,
                "scoring": scoring,
            }
        )  # fmt: skip
    return _played(plan, loaded, found, folder, resume, overwrite, device, log)


_DEFAULTS = {"budget": "1m", "seeds": 1, "match": "none", "jobs": 1, "seed": 0}


def _check_terms(budget: Any, match: str, folder: Path | None, overwrite: bool) -> None:
    from ..training.resolve import parse_duration

    if budget is not None:
        parse_duration(str(budget))
    if match == "time" and budget is None:
        raise InputError("match=time needs a budget.", "Such as budget='3m' (--budget 3m).")
    if folder is not None:
        _check(folder, overwrite)


def _keep_terms(plan: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """A comparison that is gone on with keeps its terms."""
    before = {**plan["scoring"], **plan, "models": [entry["name"] for entry in plan["models"]]}
    for name, value in given.items():
        if _plain(value) != before.get(name):
            raise InputError(
                f"this comparison was begun with {name} {before.get(name)!r}, not {value!r}.",
                "It keeps its terms: leave that out, or begin anew (--overwrite).",
            )


def _played(
    plan: Mapping[str, Any], data: Any, found: list[Entry], folder: Path | None, resume: bool, overwrite: bool,
    device: Any, log: Log,
) -> Report:  # fmt: skip
    """Every fit and every score of a plan, and their report."""
    begun = time.time()
    # Made first, so that an unknown metric is refused before hours of fits.
    asked = dict(plan["scoring"])
    asked_points = asked.pop("points")
    suite = Suite(data, **asked, log=log)
    points = suite.points(asked_points)
    if folder is not None and not resume:
        _prepare(folder, plan, overwrite)
    trained, failed = _trainings(found, data, plan, folder, device, log)
    scored: dict[str, list[Scored]] = {}
    runs: dict[str, list[str]] = {}
    for entry in found:
        for k, run in trained.get(entry.name, {}).items():
            log(f"{entry.name}, seed {k}: scoring")
            try:
                result = _scored(suite, run, folder, k, points)
            except Exception as error:  # such as samples that are not finite: the other models go on
                failed.append(_failure(f"{entry.name}, seed {k}, could not be scored", error))
                log(failed[-1])
                continue
            result.notes += [note for note in entry.notes if note not in result.notes]
            scored.setdefault(entry.name, []).append(result)
            if run.folder is not None:
                runs.setdefault(entry.name, []).append(str(run.folder))
    if not scored:
        raise PushforwardError("every model failed: " + "; ".join(failed))
    suite.warnings += failed
    report = assemble(suite, scored, title=f"{data.name}: {len(scored)} models", log=log)
    for row in report.models:
        row.runs = runs.get(row.name, [])
    jobs = int(plan["jobs"])
    report.settings |= {
        "budget": plan["budget"], "match": plan["match"], "jobs": jobs, "points": points,
        "seconds": round(time.time() - begun, 1),
        "time": "processor seconds" if jobs > 1 else "seconds of the clock, one fit at a time",
    }  # fmt: skip
    if folder is not None:
        report.save(folder)
    return report


def load_for_comparison(data: Any) -> Any:
    """The data, with a larger test part where a tenth would be too few rows to tell models apart."""
    from ..data import Data, load

    if isinstance(data, Data):
        return data
    options: dict[str, Any] = {}
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], dict):
        data, options = data  # (source, options of pf.load)
    loaded = load(data, **options)
    if len(loaded.test) < ENOUGH and "test" not in options and "given" not in str(loaded.split.get("how")):
        loaded = load(data, **options, test=TEST)
    return loaded


def _sorted_out(models: Any) -> tuple[list[str], list[Any]]:
    """(names of recipes, runs) of whatever was given."""
    if models is None:
        return [], []
    items = [models] if isinstance(models, (str, Path)) or hasattr(models, "folder") else list(models)
    known = recipe_names()
    for item in items:
        if isinstance(item, str) and Path(item).name == item and not Path(item).exists():
            recipe(item)  # a misspelt name gets the nearest one
    names = [item for item in items if isinstance(item, str) and item in known]
    return names, [item for item in items if not (isinstance(item, str) and item in known)]


# ---------------------------------------------------------------------------------- fits


class Fitted:
    """A finished training: its model, and its run folder if there is one."""

    def __init__(self, model: Any, folder: Path | None, run: Any = None):
        self.model, self.folder, self.run = model, folder, run


def _trainings(
    found: list[Entry], data: Any, plan: Mapping[str, Any], folder: Path | None, device: Any, log: Log
) -> tuple[dict[str, dict[int, Fitted]], list[str]]:
    """Every fit of the plan by model and seed, and a sentence for each that failed."""
    from ..training import open_run
    from .workers import fit_all

    done: dict[str, dict[int, Fitted]] = {}
    failed: list[str] = []
    if folder is not None and plan["jobs"] > 1:
        fit_all(found, data, plan, folder, device, log)
    for k, entry in enumerate(found):
        for s in range(int(plan["seeds"])):
            log(f"[{k + 1}/{len(found)}] {entry.name}" + (f", seed {s}" if plan["seeds"] > 1 else ""))
            try:
                where = None if folder is None else run_folder(folder, entry.name, s)
                fit = fit_one(entry, data, plan, where, s, device, log)
            except Exception as error:  # one model's failure must not hide the others
                failed.append(_failure(f"{entry.name}, seed {s}, failed", error))
                log(failed[-1])
                continue
            run = None if where is None else open_run(where)
            done.setdefault(entry.name, {})[s] = Fitted(fit.model, where, run)
    return done, failed


def _failure(what: str, error: Exception) -> str:
    known = isinstance(error, PushforwardError)
    return f"{what}: {error if known else f'{type(error).__name__}: {error}'}"


def run_folder(folder: Path, name: str, seed: int) -> Path:
    """Where a fit of a comparison lives."""
    return folder / "runs" / f"{name}-s{seed}"


def fit_one(
    entry: Entry, data: Any, plan: Mapping[str, Any], where: Path | None, seed: int, device: Any, log: Log
) -> Any:
    """One fit: begun, gone on with, or found finished."""
    from ..training import open_run, run_fit

    if where is not None and (where / "config.yaml").is_file():
        if open_run(where).status.get("state") == "finished":
            return run_fit(None, data, out=where, resume=True, log=lambda text: None)
        log(f"going on with {where}")
        return run_fit(None, data, out=where, resume=True, log=log)
    return run_fit(
        entry.model, data, budget=plan["budget"], cap=plan["match"] != "time", out=where, seed=seed, device=device,
        settings={**entry.settings, "training": {"grids": 0, **entry.settings.get("training", {})}}, log=log,
    )  # fmt: skip


def _begun(folder: Path | None, data: Any, log: Log) -> tuple[dict[str, Any], Any, list[Entry]]:
    """The plan of a comparison that was begun, its data and its entries."""
    from ..data import load
    from ..data.data import ARRAY
    from ..training.files import read_json

    if folder is None or not (folder / "compare.json").is_file():
        where = "" if folder is None else f" There is none in {folder}."
        raise InputError(f"which comparison should be resumed?{where}", "Give its folder: --out comparisons/NAME.")
    plan = read_json(folder / "compare.json")
    if plan.get("format") != FORMAT:
        raise InputError(f"{folder} was written by pushforward {plan.get('pushforward')}.", "Begin anew: --overwrite.")
    source, options = plan["data"]["source"], plan["data"]["options"]
    if data is None and source == ARRAY:
        raise InputError("the data of this comparison were given in memory.", "pf.compare(data=..., resume=True).")
    if data is None or isinstance(data, (str, Path, tuple)):
        given = data[0] if isinstance(data, tuple) else data
        loaded = load(source if given is None else given, **options)
    else:
        loaded = load_for_comparison(data)
    if loaded.hash != plan["hash"]:
        raise InputError(
            f"{loaded.source} is not the data that {folder} was begun with (its hash differs).",
            "Begin anew: --overwrite.",
        )
    log(f"going on with {folder}")
    return plan, loaded, [Entry(**entry) for entry in plan["models"]]


def _check(folder: Path, overwrite: bool) -> None:
    """An old comparison is not touched without `overwrite`, and nothing else ever."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "compare.json").is_file():
            raise InputError(f"{folder} is not the folder of a comparison.", "Choose another --out.")
        if not overwrite:
            raise InputError(
                f"{folder} exists already.",
                "Go on with it: --resume. Replace it: --overwrite. Or choose another --out.",
            )


def _prepare(folder: Path, plan: Mapping[str, Any], overwrite: bool) -> None:
    """An empty folder with the plan in it."""
    import shutil

    from ..training.files import explained, write_json

    _check(folder, overwrite)
    with explained(folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "compare.json", dict(plan))


def _plain(value: Any) -> Any:
    """As it would come back from JSON."""
    import json

    return json.loads(json.dumps(value))


# ---------------------------------------------------------------------------------- scores


def _scored(suite: Suite, fitted: Fitted, folder: Path | None, k: int, points: int) -> Scored:
    """Scores of one training, from the folder when they are there already."""
    from ..training.files import sha256

    key: dict[str, Any] = {}
    kept = None
    if folder is not None and fitted.folder is not None:
        weights = fitted.folder / "model" / "model.safetensors"
        key = {
            "weights": sha256(weights), "n": suite.n, "sets": suite.sets, "seed": suite.seed, "points": points,
            "features": [f.hash for f in suite.maps.values()], "metrics": [m.key for m in suite.metrics],
            "pushforward": __version__,
        }  # fmt: skip
        kept = folder / "scores" / fitted.folder.name
        if (found := Scored.load(kept, _plain(key))) is not None:
            return found
    scored = score_model(suite, fitted.model, seed=suite.seed + 1000 * k, points=points, log=suite.log)
    if fitted.run is not None:
        add_run(scored, fitted.run)
    if kept is not None:
        scored.save(kept, _plain(key))
    return scored


# ---------------------------------------------------------------------------------- runs


def _of_runs(
    runs: Sequence[Any], data: Any, folder: Path | None, overwrite: bool, scoring: Mapping[str, Any], log: Log
) -> Report:
    """A comparison of finished runs of the same data. Runs that differ in their seed alone are one model."""
    from ..training import Run, open_run
    from ..training.plan import as_data

    begun = time.time()
    opened = [run if isinstance(run, Run) else open_run(run) for run in runs]
    first = opened[0]
    loaded = first.load_data() if data is None else as_data(data)
    for run in opened:
        if run.model.space != loaded.space:
            a, b = run.model.space.describe(), loaded.space.describe()
            kinds = (
                f"is for {a}, {first.folder} for {b}" if a != b else f"has other columns or values than {first.folder}"
            )
            raise InputError(
                f"{run.folder} {kinds}.",
                "Models of different spaces cannot be compared: their numbers differ in meaning.",
            )
        if data is None and run.data_info.get("hash") != loaded.hash:
            raise InputError(
                f"{run.folder} was fitted to other data than {first.folder} (their hashes differ).",
                "Compare runs of the same data, or say what to compare them on: pf.compare(runs, data).",
            )
        if data is None and run.data_info.get("split") != first.data_info.get("split"):
            raise InputError(
                f"{run.folder} held out other rows than {first.folder}.",
                "Fit both with the same split, or compare them on data: pf.compare(runs, data).",
            )
    if folder is not None and (folder / "report.html").exists() and not overwrite:
        raise InputError(f"{folder} holds a report already.", "Replace it: --overwrite. Or choose another --out.")
    asked = dict(scoring)
    asked_points = asked.pop("points")
    suite = Suite(loaded, **asked, log=log)
    points = suite.points(asked_points)
    scored: dict[str, list[Scored]] = {}
    where: dict[str, list[str]] = {}
    for name, members in _grouped(opened).items():
        for k, run in enumerate(members):
            log(f"{name}: scoring {run.folder}")
            result = score_model(suite, run.model, seed=suite.seed + 1000 * k, points=points, log=log)
            add_run(result, run)
            scored.setdefault(name, []).append(result)
            where.setdefault(name, []).append(str(run.folder))
    report = assemble(suite, scored, title=f"{loaded.name}: {len(opened)} runs", log=log)
    for row in report.models:
        row.runs = where[row.name]
    report.settings |= {"points": points, "seconds": round(time.time() - begun, 1)}
    if folder is not None:
        report.save(folder)
    return report


def _grouped(runs: Sequence[Any]) -> dict[str, list[Any]]:
    """Runs by name: those of one model and settings together, whatever their seeds."""
    groups: list[tuple[Any, list[Any]]] = []
    for run in runs:
        settings = run.config.to_dict()
        training = {k: v for k, v in settings.get("training", {}).items() if k not in ("seed", "threads")}
        key = (run.config.model, settings.get("settings"), training)
        seeds = run.config.training.seed
        for other, members in groups:
            if other == key and seeds not in [m.config.training.seed for m in members]:
                members.append(run)
                break
        else:
            groups.append((key, [run]))
    models = [key[0] for key, _ in groups]
    return {key[0] if models.count(key[0]) == 1 else members[0].folder.name: members for key, members in groups}
