"""Run a study and write down what came out, with everything needed to repeat it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError, PushforwardError
from ..training.environment import environment
from ..training.files import explained, read_json, sha256, write_json, write_text
from .catalogue import Entry, Study


def run_study(
    study: Study,
    *,
    seeds: int | None = None,
    folder: Path = Path("results"),
    data_file: Path | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Fit every model of the study for every seed, measure, and write `folder/NAME.json` and the table.

    A fit that fails is recorded with its error, and misses its targets; the others go on.

    Args:
        data_file: the file that the study `needs`.

    Raises:
        InputError: the study needs a file and none is given, or the reverse.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    count = study.seeds if seeds is None else seeds
    begun = time.time()
    found = _fits(study, count, data_file, log) if study.experiment is None else _tried(study, count, data_file, log)
    recorded = environment()
    document = {
        "study": study.name,
        "title": study.title,
        "pushforward": __version__,
        "seeds": list(range(count)),
        "values": dict(study.values),
        "source": study.source,
        **found,
        "seconds": round(time.time() - begun, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": {k: recorded[k] for k in ("versions", "platform", "machine", "processors", "threads", "gpus")},
    }
    write_json(folder / f"{study.name}.json", document)
    write_tables(folder)
    return document


def _fits(study: Study, count: int, data_file: Path | None, log: Callable[[str], None]) -> dict[str, Any]:
    """The data, the reference rows and every model for every seed."""
    from ..data import load

    source, origin = _source(study, data_file)
    data = load(source, **study.load)
    log(f"{study.name}: {len(study.models)} models, seeds 0 to {count - 1}")
    return {
        "data": {**origin, "options": data.options, "hash": data.hash},
        "reference": {} if study.reference is None else {k: dict(v) for k, v in study.reference(data).items()},
        "models": [_row(study, entry, data, count, log) for entry in study.models],
    }


def _tried(study: Study, count: int, data_file: Path | None, log: Callable[[str], None]) -> dict[str, Any]:
    """What the study's own experiment found, with the means over seeds."""
    assert study.experiment is not None
    found = dict(study.experiment(count, data_file, log))
    for row in found["models"]:
        row["mean"] = _means(study.values, row["runs"])
    return found


def _source(study: Study, data_file: Path | None) -> tuple[Any, dict[str, Any]]:
    """What to load, and where it came from: a built-in, or a file by its name and SHA-256."""
    if not study.needs:
        if data_file is not None:
            raise InputError(f"{study.name} makes its own data: {study.data}.", "Leave --data out.")
        return study.data, {"source": study.data}
    if data_file is None or not data_file.is_file():
        what = "needs a file" if data_file is None else f"cannot find {data_file}"
        raise InputError(f"{study.name} {what}: {study.needs}.", f"Give it: reproduce {study.name} --data FILE")
    source = data_file if study.prepare is None else study.prepare(data_file)
    return source, {"source": data_file.name, "sha256": sha256(data_file)}


def _row(study: Study, entry: Entry, data: Any, count: int, log: Callable[[str], None]) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    for seed in range(count):
        try:
            runs.append(_fit_and_measure(study, entry, data, seed))
        except PushforwardError as error:
            runs.append({"seed": seed, "error": str(error)})
        shown = runs[-1].get("error") or ", ".join(f"{k} {v:.4g}" for k, v in runs[-1]["values"].items())
        log(f"{entry.label or entry.model}, seed {seed}: {shown}")
    targets = []
    for target in entry.targets:
        reached = [target.met(run.get("values", {}).get(target.value)) for run in runs]
        targets.append({"target": str(target), "met": all(reached), "seeds_met": sum(reached)})
    return {
        "model": entry.label or entry.model,
        "fit": dict(entry.fit),
        "sampling": dict(entry.sampling),
        "runs": runs,
        "mean": _means(study.values, runs),
        "published": dict(entry.published),
        "targets": targets,
        "met": all(t["met"] for t in targets) if targets else None,
    }


def _fit_and_measure(study: Study, entry: Entry, data: Any, seed: int) -> dict[str, Any]:
    from ..training import run_fit

    begun = time.monotonic()
    fitted = run_fit(entry.model, data, seed=seed, progress=False, log=lambda text: None, **entry.fit)
    seconds = time.monotonic() - begun
    values = {k: float(v) for k, v in study.measure(fitted.model, data, entry, seed).items()}
    return {
        "seed": seed,
        "values": {**values, "seconds": round(seconds, 2)},
        "steps": fitted.steps,
        "threads": fitted.config.training.threads,
        "verdict": str(fitted.verdict),
    }


def _means(names: Mapping[str, str], runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean, smallest and largest of each value over the seeds that finished."""
    out = {}
    for name in names:
        values = [run["values"][name] for run in runs if name in run.get("values", {})]
        if values:
            out[name] = {"mean": statistics.fmean(values), "min": min(values), "max": max(values)}
    return out


def summary_rows(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a study's table: reference rows, then the models, with their targets."""
    names = list(document["values"])
    published = any(row["published"] for row in document["models"])
    header = ["", *names, *(["published"] if published else []), "target", "met"]
    rows = []
    for name, values in document["reference"].items():
        cells = [f"{values[n]:.4g}" if n in values else "" for n in names]
        rows.append([name, *cells, *([""] if published else []), "", ""])
    for row in document["models"]:
        cells = [_spread(row["mean"].get(n)) for n in names]
        stated = "; ".join(f"{k} {v:g}" for k, v in row["published"].items())
        targets = "; ".join(t["target"] for t in row["targets"])
        met = {True: "yes", False: "no", None: ""}[row["met"]]
        failed = sum("error" in run for run in row["runs"])
        label = row["model"] + (f" ({failed} of {len(row['runs'])} fits failed)" if failed else "")
        rows.append([label, *cells, *([stated] if published else []), targets, met])
    return header, rows


def _spread(value: Mapping[str, float] | None) -> str:
    if value is None:
        return ""
    if value["min"] == value["max"]:
        return f"{value['mean']:.4g}"
    return f"{value['mean']:.4g} ({value['min']:.4g} to {value['max']:.4g})"


def write_tables(folder: Path) -> Path:
    """`folder/README.md` from every `*.json` of a study there."""
    lines = [
        "# Results",
        "",
        "Written by `pushforward reproduce NAME`; do not edit. Every number is in the JSON file of the same name, "
        "with its seed, the data's hash, versions, threads and time. The files in `comparisons/` are reports of "
        "`pushforward compare`, as it wrote them.",
        "",
    ]
    for path in sorted(folder.glob("*.json")):
        document = read_json(path)
        if not isinstance(document, dict) or not {"study", "models", "reference", "values"} <= document.keys():
            raise InputError(f"{path} is not the result of a study.", "Remove it.")
        header, rows = summary_rows(document)
        seeds, versions = document["seeds"], document["environment"]["versions"]
        lines += [
            f"## {document['study']}",
            "",
            f"{document['title']}{'' if document['title'].endswith('?') else '.'} "
            f"Data `{document['data']['source']}` ({document['data']['hash'][:12]}), "
            f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}: mean (smallest to largest); torch {versions['torch']}, "
            f"{document['finished'][:10]}.",
            "",
            *markdown(header, rows),
            "",
            *(f"- {name}: {meaning}" for name, meaning in document["values"].items()),
            *([f"- published: {document['source']}"] if document["source"] else []),
            "",
        ]
    path = folder / "README.md"
    write_text(path, "\n".join(lines))
    return path


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    first, *rest = ["| " + " | ".join(row) + " |" for row in escaped]
    return [first, "|" + "---|" * len(header), *rest]
