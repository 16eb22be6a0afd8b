"""`pushforward compare`: which model fits the data, and how far each is from perfect."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from ..errors import InputError
from .common import fresh
from .evaluate import FeatureFile, Features, Metrics, N, Points, Sets, names, show
from .options import Overrides
from .output import Output, command_line


class Match(str, Enum):
    """What is made equal between models: see `evaluation.contest`."""

    none = "none"
    params = "params"
    time = "time"


def compare(
    context: typer.Context,
    what: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="DATA | RUN...", help="Data to fit models to, or finished runs. None with --resume."),
    ] = None,
    models: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--models", "-m", metavar="A,B,...", help="See `pushforward models`.  [default: one a family]"),
    ] = None,
    condition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="What to generate by: a label, a column; several with commas."),
    ] = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="Of each fit: 45s, 3m, or none.")] = "1m",
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings of each model.")] = 1,
    match: Annotated[
        Match,
        typer.Option(
            help="none: the recipes' sizes, at most the budget; params: as many parameters; time: the whole budget."
        ),
    ] = Match.none,
    jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Fits at a time; above 1, times are the processor's.")
    ] = 1,
    n: N = None,
    sets: Sets = None,
    points: Points = None,
    features: Features = None,
    feature_file: FeatureFile = None,
    metrics: Metrics = None,
    overrides: Overrides = None,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Of samples and of every random choice.")] = 0,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="[default: comparisons/DATA]"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a comparison that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the one in --out.")] = False,
) -> None:
    """Fit several models to the same data, score them alike, and say which is closest.

    One self-contained report.html: a verdict in words, a leaderboard with floors, samples side by side.
    """
    output: Output = context.obj
    from ..config import parse_overrides
    from ..evaluation.compare import compare as run

    what = what or []
    if not what and not resume:
        raise InputError("which data?", "Give a file, a folder or a built-in name: pushforward compare digits.")
    if resume and out is None and not what:
        raise InputError("which comparison should be resumed?", "Give its folder: --out comparisons/NAME.")
    runs = [item for item in what if (Path(item) / "config.yaml").is_file()]
    options: dict[str, Any] = {}
    if runs:
        _only_runs(what, runs, models)
        chosen: Any = [Path(item) for item in runs]
        data: Any = None
        folder = out or fresh(Path("comparisons") / "runs")
    else:
        if len(what) > 1:
            raise InputError(f"{what[1]} is not a run.", "Compare one DATA, or several run folders.")
        chosen = names(models)
        if condition is not None:
            options["condition"] = condition
        data = (what[0], {**options, **output.data}) if what else None
        folder = out or default_folder(what[0], resume, overwrite)
    again = command_line("compare", "--resume", "--out", folder)
    try:
        report = run(
            chosen, data, budget=None if budget == "none" else budget, seeds=seeds, match=match.value, out=folder,
            resume=resume, overwrite=overwrite, jobs=jobs, n=n, sets=sets, seed=seed, points=points,
            features=names(features), file=feature_file, metrics=names(metrics),
            settings=parse_overrides(overrides or []), log=output.log,
        )  # fmt: skip
    except KeyboardInterrupt:
        hint = f"Go on with: {again}" if not runs else None
        output.fail("interrupted.", hint, 130)
        raise typer.Exit(130) from None
    document = {"folder": folder, "report": folder / "report.html", **report.to_json()}
    output.result(document, lambda: show(report, folder))


def _only_runs(what: list[str], runs: list[str], models: str | None) -> None:
    other = [item for item in what if item not in runs]
    if other:
        raise InputError(f"{other[0]} is not a run, but {runs[0]} is.", "Compare one DATA, or several run folders.")
    if models is not None:
        raise InputError("--models is for data: these are finished runs.", "Leave it out.")


def default_folder(source: str, resume: bool, overwrite: bool) -> Path:
    """comparisons/DATA; with -2, -3, ... when it exists and is neither gone on with nor replaced."""
    from ..data.source import path_name, slug

    name = slug(path_name(Path(source.partition(":")[0])))
    folder = Path("comparisons") / name
    return folder if resume or overwrite else fresh(folder)
