"""`pushforward demo`: every first model on embedded data, in a few minutes, ending with a report."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .output import Output, clock, command_line

MODELS = ("gmm", "kde", "vae", "gan", "real-nvp", "ddpm", "flow-matching")


@dataclass(frozen=True)
class Effort:
    """Seconds of a fit on each data set; samples of a set, sets and scored points of the report; drawn points."""

    digits: float = 12.0
    ring: float = 9.0
    n: int = 120
    sets: int = 3
    points: int = 30
    drawn: int = 4000


QUICK = Effort(1.0, 1.0, 20, 1, 8, 300)


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the runs, the report and pictures go.")] = Path(
        "demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes: a check, not a show.")] = False,
) -> None:
    """Fit every first model to embedded data and compare them.

    A ring of Gaussians in pictures; handwritten digits in a report: likelihoods, samples side by side, how far each
    model is from the data. Six minutes at most.
    """
    output: Output = context.obj
    from ..training.files import explained

    effort = QUICK if quick else Effort()
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    trained = [model for model in MODELS if model not in ("gmm", "kde")]
    output.log(f"{len(MODELS)} models on a ring and on digits; everything goes to {out}/")
    begun = time.monotonic()
    output.log(f"ring: about {clock(len(trained) * (effort.ring + 2))}")
    problems = _ring(out, effort, output)
    output.log(f"digits: about {clock(len(trained) * (effort.digits + 15))}")
    report = _digits(out, effort, output)
    problems |= {name: "no report" for name in MODELS if name not in {row.name for row in report.models}}
    seconds = time.monotonic() - begun
    page = out / "digits" / "report.html"
    document = {
        "folder": out, "report": page, "seconds": round(seconds, 1), "problems": problems,
        "models": [{"model": row.name, "likelihood": None if row.likelihood is None else asdict(row.likelihood),
                    "cost": None if row.cost is None else asdict(row.cost)} for row in report.models],
        "verdict": report.verdict, "next": command_line("compare", "YOUR_DATA"),
    }  # fmt: skip
    output.result(document, lambda: _show(report, out, seconds))
    if problems:
        for name, problem in problems.items():
            output.log(f"{name} failed: {problem}")
        raise typer.Exit(1)


def _ring(out: Path, effort: Effort, output: Output) -> dict[str, str]:
    """A picture of each model's samples of the ring, and one of all of them; what failed, by model."""
    from ..data import load
    from ..data.pictures import density_plot
    from ..training import run_fit
    from ..training.resolve import threads

    ring = load("ring:n=5000")
    clouds = {"data": ring.train.all(limit=effort.drawn)[0]}
    problems: dict[str, str] = {}
    terminal = sys.stderr.isatty()
    for k, name in enumerate(MODELS):
        output.log(f"[{k + 1}/{len(MODELS)}] {name}")
        try:
            fitted = run_fit(
                name, ring, budget=effort.ring, out=out / "runs" / f"ring-{name}", overwrite=True,
                settings={"training": {"grids": 0}}, log=None if terminal else lambda text: None,
            )  # fmt: skip
            with threads(fitted.config.training.threads):
                clouds[name] = fitted.model.sample(effort.drawn, seed=0, **fitted.model.preview)
            density_plot(out / f"ring-{name}.png", samples=clouds[name], data=ring.train.all()[0])
        except Exception as error:  # one model's failure must not hide the others
            problems[name] = str(error).split("\n")[0] or type(error).__name__
            if output.debug:
                traceback.print_exc()
    _overview(clouds, out / "ring.png")
    return problems


def _digits(out: Path, effort: Effort, output: Output) -> Any:
    """The comparison on digits, with its report."""
    from ..evaluation.compare import compare

    return compare(
        MODELS, "digits", budget=effort.digits, out=out / "digits", overwrite=True, n=effort.n, sets=effort.sets,
        points=effort.points, log=_brief(output),
    )  # fmt: skip


def _brief(output: Output) -> Any:
    """Only the lines that tell where a comparison is."""

    def log(text: str) -> None:
        if text.startswith("[") or text.endswith(("scoring", "failed")) or "failed:" in text:
            output.log(text)

    return log


def _overview(clouds: Mapping[str, Any], path: Path) -> None:
    """The data and every model's samples side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = (len(clouds) + 3) // 4
    figure = Figure(figsize=(12, 3.2 * lines), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, 4, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, cloud) in zip(axes, clouds.items()):
        axis.set_title(name)
        axis.plot(*cloud[:4000].double().cpu().numpy().T, ".", markersize=1.5, alpha=0.5, color="#31688e")
        axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
    figure.savefig(path)


def _show(report: Any, out: Path, seconds: float) -> None:
    from .evaluate import show

    show(report, out / "digits")
    print(f"Short fits, to show the way: `pushforward reproduce` has the numbers to judge by. {clock(seconds)} in all.")
    print(f"The ring, data and models side by side: {out / 'ring.png'}, and one of each model beside it.")
    print("Next, with your own data (a folder of pictures, CSV, Parquet, .npy, .npz):")
    print(f"  {command_line('compare', 'YOUR_DATA')}")
