"""`pushforward demo`: every first model on embedded data, in a few minutes, with pictures."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DensityUnavailable
from .output import Output, clock, command_line, table

MODELS = ("gmm", "kde", "vae", "gan", "real-nvp", "ddpm", "flow-matching")

# Likelihoods here are for a table in a minute: fewer solver steps and probes than the defaults.
DENSITY: Mapping[str, Mapping[str, Any]] = {
    "ddpm": {"bound_steps": 50},
    "flow-matching": {"steps": 20, "probes": 1},
}


@dataclass(frozen=True)
class Effort:
    """Seconds of a fit on each data set, rows scored, samples drawn for the pictures."""

    digits: float = 15.0
    ring: float = 12.0
    scored: int = 200
    pictures: int = 100
    points: int = 4000


QUICK = Effort(1.0, 1.0, 16, 25, 300)


@dataclass
class Row:
    """One model's line of the table. `problem`: why there is none."""

    model: str
    kind: str | None = None
    nats: float | None = None
    bits_per_dimension: float | None = None
    scored: int = 0
    train_seconds: float | None = None
    samples_per_second: float | None = None
    problem: str | None = None


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the runs and pictures go.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes: a check, not a show.")] = False,
) -> None:
    """Fit every first model to embedded data.

    Digits and a ring of Gaussians: one table of likelihoods, and pictures of samples, in at most five minutes.
    """
    output: Output = context.obj
    from ..data import load
    from ..data.pictures import image_grid
    from ..training.files import explained
    from ..training.resolve import threads

    effort = QUICK if quick else Effort()
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    digits, ring = load("digits"), load("ring:n=5000")
    expected = sum(effort.digits + effort.ring + 6 for model in MODELS if model not in ("gmm", "kde"))
    output.log(f"{len(MODELS)} models, about {clock(expected)}; everything goes to {out}/")
    rows, grids, clouds = [], {}, {}
    held_out = digits.test.all(limit=effort.scored)[0]
    grids["data"] = image_grid(digits.train.all(limit=effort.pictures)[0], space=digits.space)
    clouds["data"] = ring.train.all(limit=effort.points)[0]
    begun = time.monotonic()
    for k, name in enumerate(MODELS):
        output.log(f"[{k + 1}/{len(MODELS)}] {name}")
        row = Row(name)
        rows.append(row)
        try:
            fitted = _fit(name, digits, out, effort.digits, row)
            with threads(fitted.config.training.threads):
                samples = _sample(fitted.model, effort.pictures, row)
                grids[name] = image_grid(samples, space=digits.space)
                grids[name].save(out / f"digits-{name}.png")
                _score(fitted.model, held_out, row)
            fitted = _fit(name, ring, out, effort.ring)
            with threads(fitted.config.training.threads):
                clouds[name] = fitted.model.sample(effort.points, seed=0, **fitted.model.preview)
            _ring_picture(clouds[name], ring, out / f"ring-{name}.png")
        except Exception as error:  # one model's failure must not hide the others
            row.problem = str(error).split("\n")[0] or type(error).__name__
            output.log(f"{name} failed: {row.problem}")
            if output.debug:
                traceback.print_exc()
    _overview(grids, clouds, out)
    seconds = time.monotonic() - begun
    document = {
        "folder": out, "seconds": round(seconds, 1), "models": [asdict(row) for row in rows],
        "unit": "nats per digit (log-probability of 64 pixels of 17 levels)", "next": command_line("fit", "YOUR_DATA"),
    }  # fmt: skip
    output.result(document, lambda: _show(rows, out, seconds))
    if any(row.problem for row in rows):
        raise typer.Exit(1)


def _fit(name: str, data: Any, out: Path, budget: float, row: Row | None = None) -> Any:
    from ..training import run_fit

    terminal = sys.stderr.isatty()
    fitted = run_fit(
        name,
        data,
        budget=budget,
        out=out / "runs" / f"{data.name}-{name}",
        overwrite=True,
        settings={"training": {"grids": 0}},
        log=None if terminal else lambda text: None,
    )
    if row is not None:
        row.train_seconds = fitted.seconds
    return fitted


def _sample(model: Any, n: int, row: Row) -> Any:
    begun = time.monotonic()
    samples = model.sample(n, seed=0)
    row.samples_per_second = n / max(time.monotonic() - begun, 1e-9)
    return samples


def _score(model: Any, x: Any, row: Row) -> None:
    try:
        found = model.log_prob(x, **DENSITY.get(row.model, {}))
    except DensityUnavailable:
        row.kind = "no density"
        return
    row.kind, row.nats, row.scored = found.kind, found.mean(), len(found)
    row.bits_per_dimension = float(found.bits_per_dimension().double().mean())


def _ring_picture(samples: Any, ring: Any, path: Path) -> None:
    from ..data.pictures import density_plot

    density_plot(path, samples=samples, data=ring.train.all()[0])


def _overview(grids: Mapping[str, Any], clouds: Mapping[str, Any], out: Path) -> None:
    """`digits.png` and `ring.png`: the data and every model side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for file, panels in (("digits.png", grids), ("ring.png", clouds)):
        lines = (len(panels) + 3) // 4
        figure = Figure(figsize=(12, 3.2 * lines), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(lines, 4, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, (name, panel) in zip(axes, panels.items()):
            axis.set_title(name)
            if file == "digits.png":
                axis.imshow(panel, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            else:
                axis.plot(*panel[:4000].double().cpu().numpy().T, ".", markersize=1.5, alpha=0.5, color="#31688e")
                axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
        figure.savefig(out / file)


def _show(rows: list[Row], out: Path, seconds: float) -> None:
    scored = max(row.scored for row in rows)
    table(
        ("model", "likelihood", "bits/dim", "nats", "training", "samples/s"),
        [
            (
                row.model,
                row.kind or (f"failed: {row.problem}" if row.problem else "-"),
                row.bits_per_dimension,
                None if row.nats is None else round(row.nats, 1),
                None if row.train_seconds is None else clock(row.train_seconds),
                row.samples_per_second,
            )
            for row in rows
        ],
    )
    print(f"Likelihoods: mean of {scored} held-out digits, of 64 pixels with 17 levels; fewer bits are better.")
    print(f"Short fits, to show the way: `pushforward reproduce` has the numbers to judge by. {clock(seconds)} in all.")
    print(f"Pictures: {out / 'digits.png'}, {out / 'ring.png'}, and one of each model beside them.")
    print("Next, with your own data (a folder of pictures, CSV, Parquet, .npy, .npz):")
    print(f"  {command_line('fit', 'YOUR_DATA')}")
