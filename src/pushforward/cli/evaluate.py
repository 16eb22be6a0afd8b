"""`pushforward evaluate`: how good a run is, by every metric that its data allow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .common import parse_options
from .options import Device, OnDevice, Run
from .output import Output, cell, clock, size, table

if TYPE_CHECKING:
    from ..evaluation.results import Report, Row

N = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("-n", "--n", min=1, metavar="N", help="Samples of a set.  [default: 2,000; pictures: 500]"),
]
Sets = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, metavar="K", help="Disjoint sample sets, whose spread gives intervals.  [default: 5 or 3]"),
]
Points = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, metavar="N", help="Held-out rows whose likelihood is taken.  [default: 500; pictures: 100]"),
]
Features = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="NAME,...", help="standardized, encoded, pca64, random, classifier, ngrams, onnx, inception."),
]
FeatureFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--feature-file", metavar="FILE", help="The network of onnx or inception: .onnx, .safetensors."),
]
Metrics = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="NAME,...", help="Only these, such as c2st,coverage."),
]


def evaluate(
    context: typer.Context,
    run: Run,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="DATA", help="Other data of the same kind.  [default: the run's own held-out rows]"),
    ] = None,
    n: N = None,
    sets: Sets = None,
    points: Points = None,
    features: Features = None,
    feature_file: FeatureFile = None,
    metrics: Metrics = None,
    sampling: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="NAME=VALUE", help="A sampling option of the model. Repeatable."),
    ] = None,
    density: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--density", metavar="NAME=VALUE", help="An option of its log-prob, such as k=64. Repeatable."),
    ] = None,
    ais: Annotated[bool, typer.Option("--ais", help="Annealed likelihood of an autoencoder: slow, tighter.")] = False,
    parzen: Annotated[
        bool, typer.Option("--parzen", help="Of pictures: the Parzen-window estimate of 2014, and what real data get.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Of samples and of every random choice.")] = 0,
    device: OnDevice = Device.auto,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="For report.html and report.json.  [default: RUN/evaluation]"),
    ] = None,
) -> None:
    """Score a run's samples and likelihood against held-out data.

    Every number comes with its interval and with its floor: what other real data get at the same n.
    """
    output: Output = context.obj
    from ..evaluation.evaluate import evaluate as score
    from .common import open_model

    opened, model = open_model(run, device.value, output)
    options = parse_options(sampling, model.options, "sampling")
    of_density = parse_options(density, model.density_options, "log-prob")
    folder = out or opened.folder / "evaluation"
    report = score(
        opened, data, n=n, sets=sets, seed=seed, points=points, features=names(features), file=feature_file,
        metrics=names(metrics), options=options, density=of_density, ais=ais, parzen=parzen, out=folder, log=output.log,
    )  # fmt: skip
    document = {"run": opened.folder, "report": folder / "report.html", **report.to_json()}
    output.result(document, lambda: show(report, folder))


def names(text: str | None) -> list[str] | None:
    """`a,b` as a list."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def show(report: Report, folder: Path | None) -> None:
    """The verdict, the leaderboard, and where the rest is."""
    for sentence in report.verdict:
        print(f"- {sentence}")
    print()
    leaderboard(report)
    marked = any(value.outside for row in report.rows for value in row.values.values())
    if marked:
        print("* outside the interval of a perfect sampler (over all metrics, 1% false alarms)")
    n, sets = report.settings["n"], report.settings["sets"]
    print(f"n = {n:,} samples against as many held-out rows, {sets} sets a model; ± half of the 95% interval")
    for warning in report.warnings:
        print(f"note: {warning}")
    if folder is not None:
        print(f"everything, with plots and what each number means: {folder / 'report.html'}")


def leaderboard(report: Report) -> None:
    """Headline metrics, likelihoods and costs, the floor first."""
    shown = [info for info in report.metrics if info.headline]
    columns = ["", *(info.label for info in shown), "log-likelihood", "training", "s/1,000", "calls", "memory"]
    rows: list[list[Any]] = [
        ["floor (real data)", *(_floor(report, info.key) for info in shown), "-", "-", "-", "-", "-"]
    ]
    order = [entry["name"] for entry in report.table[1:]]
    by_name = {row.name: row for row in report.rows}
    for name in order:
        row = by_name[name]
        rows.append([name, *(_value(row, info.key) for info in shown), *_costs(row)])
    table(columns, rows)


def _floor(report: Report, key: str) -> str:
    floor = report.floor.get(key)
    return "-" if floor is None else cell(float(f"{floor.mean:.3g}"))


def _value(row: Row, key: str) -> str:
    value = row.values.get(key)
    if value is None:
        return "-"
    half = "" if value.high is None else f" ±{value.high - value.value:.2g}"
    return f"{value.value:.3g}{half}" + ("*" if value.outside else "")


def _costs(row: Row) -> list[str]:
    likelihood, cost = row.likelihood, row.cost
    words = "-"
    if likelihood is not None and likelihood.mean is not None:
        mark = {"exact": "", "lower bound": "≥ ", "estimate of a lower bound": "≥≈ ", "estimate": "≈ "}
        words = f"{mark.get(likelihood.kind, '')}{likelihood.mean:.2f}"
    elif likelihood is not None:
        words = "none"
    if cost is None:
        return [words, "-", "-", "-", "-"]
    return [
        words,
        "-" if cost.train_seconds is None else clock(cost.train_seconds),
        "-" if cost.seconds_per_1000 is None else f"{cost.seconds_per_1000:.2g}",
        "-" if cost.evaluations is None else f"{cost.evaluations:,}",
        "-" if cost.peak_memory is None else size(cost.peak_memory),
    ]
