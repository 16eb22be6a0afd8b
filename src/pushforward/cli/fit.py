"""`pushforward fit`: data in, run folder out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError
from .complete import complete_data, complete_run
from .options import Device, Model, Overrides, Precision
from .output import Output, clock, command_line, size, table

if TYPE_CHECKING:
    from ..data import Data
    from ..training import Fit, Plan


def fit(
    context: typer.Context,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            metavar="DATA",
            help="A file, a folder, or a built-in name (ring, moons, digits, shapes, ...). Not needed with --resume.",
            autocompletion=complete_data,
        ),
    ] = None,
    model: Model = None,
    condition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="What to generate by: a label, a column; several with commas."),
    ] = None,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="Rounds of training; with --resume, that many more."),
    ] = None,
    epochs: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(metavar="N", help="The same, as passes over the data."),
    ] = None,
    budget: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="TIME", help="The same, as time: 45s, 3m, 1h30m."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="The run's folder.  [default: runs/DATA-MODEL]", autocompletion=complete_run),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run: --out, or the latest one.")] = False,
    seed: Annotated[Optional[int], typer.Option(min=0, metavar="S", help="[default: 0]")] = None,  # noqa: UP045
    device: Annotated[Optional[Device], typer.Option(help="[default: auto]")] = None,  # noqa: UP045
    precision: Annotated[Optional[Precision], typer.Option(help="[default: 32]")] = None,  # noqa: UP045
    threads: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="CPU threads.  [default: measured]"),
    ] = None,
    init: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="RUN", help="Start from this run's weights.", autocompletion=complete_run),
    ] = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show shapes, parameters, memory and time; write nothing.")
    ] = False,
) -> None:
    """Fit a model to data.

    Without --model one is chosen from the data, saying why. Ctrl-C saves, and --resume goes on.
    """
    output: Output = context.obj
    lengths = {"steps": steps, "epochs": epochs, "budget": budget}
    _at_most_one(lengths)
    changes = {
        "condition": condition, "seed": seed, "device": device, "precision": precision, "threads": threads,
        "init": init, "set": overrides, **output.data, "overwrite": overwrite or None,
    }  # fmt: skip
    if model is not None:
        from ..registry import recipe

        recipe(model)  # a misspelt name is refused before anything is loaded
    if resume:
        fixed = [name for name, value in changes.items() if value is not None and value != []]
        if fixed or dry_run:
            name = fixed[0].replace("_", "-") if fixed else "dry-run"
            raise InputError(f"--{name} cannot be given with --resume: a run keeps its settings.", "Leave it out.")
        _play(output, *_resumed(data, model, out), {**lengths, "resume": True})
        return
    if data is None:
        raise InputError("which data?", "Give a file, a folder or a built-in name: pushforward fit digits.")
    if out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("several processes need one run folder.", "Give it: --out runs/NAME.")

    from ..config import parse_overrides
    from ..data import load
    from ..training import choose_model, default_folder

    settings = parse_overrides(overrides or [])
    if out is not None and not dry_run and not overwrite:
        _check_free(out)
    loaded = load(data, condition=condition, **output.data)
    if not output.as_json:
        for note in loaded.notes:
            output.log(f"data: {note}")
    if model is None:
        model, why = choose_model(loaded)
        output.log(f"model: {model} ({why}; --model chooses another)")
    values = {
        "seed": seed, "device": device and device.value, "precision": precision and precision.value,
    }  # fmt: skip
    if dry_run:
        from ..training import dry_run as plan_fit

        plan = plan_fit(model, loaded, **lengths, settings=settings, **values, threads=threads)  # type: ignore[arg-type]
        output.result(plan.to_dict(), lambda: _show_plan(plan, loaded))
        return
    folder = out if out is not None else default_folder(loaded.name, model)
    options = {"overwrite": overwrite, "threads_": threads, "init": init, "settings": settings}
    _play(output, model, loaded, folder, {**lengths, **values, **options})


def _play(output: Output, model: str | None, data: Data | None, folder: Path, options: dict[str, Any]) -> None:
    """Run the fit and show its end; an interruption shows how to go on and exits 130."""
    from ..training import run_fit

    again = command_line("fit", "--resume", "--out", folder)
    try:
        done = run_fit(model, data, out=folder, **options)
    except KeyboardInterrupt as error:
        saved = (folder / "config.yaml").is_file()
        what = f"interrupted: {error}." if str(error) else "interrupted."
        output.fail(what, f"Go on with: {again}" if saved else None, 130)
        raise typer.Exit(130) from None
    if int(os.environ.get("RANK", "0")) == 0:
        _show(output, done)


def _resumed(data: str | None, model: str | None, out: Path | None) -> tuple[None, Data | None, Path]:
    """The run to go on with; its data is read again, from DATA if that is another place than before."""
    from ..data import load
    from ..data.source import path_name
    from ..training import latest_run, open_run

    if out is None:
        name = None if data is None else path_name(Path(data.partition(":")[0]))
        out = latest_run(name, model)
    run = open_run(out)
    if model is not None and model != run.config.model:
        raise InputError(f"{out} is a run of {run.config.model}, not of {model}.", "Leave --model out.")
    before = run.document["data"]
    if data is None or data == before["source"]:
        return None, None, out
    return None, load(data, **before["options"]), out


def _show(output: Output, done: Fit) -> None:
    from ..data.write import natural_suffix
    from ..registry import recipe
    from ..training.files import read_json

    assert done.folder is not None
    status = read_json(done.folder / "status.json")
    explicit = recipe(done.config.model).likelihood != "implicit"
    sample_file = f"samples{natural_suffix(done.model.space)}"
    commands = [command_line("sample", done.folder, "-n", 64, "--out", sample_file)]
    if explicit:
        commands.append(command_line("log-prob", done.folder) + " NEW_DATA")

    def show() -> None:
        print(f"{done.verdict}")
        if status["held_out"] is not None:
            print(f"held-out loss (the training objective, in the model's own units): {status['held_out']:.5g}")
        took = f"{done.steps:,} steps in {clock(done.seconds)}" if done.steps else f"fitted in {clock(done.seconds)}"
        print(f"{done.config.model}: {took}; everything is in {done.folder}")
        print("Next:")
        for command in commands:
            print(f"  {command}")

    document = {
        "run": done.folder,
        "model": done.config.model,
        "verdict": {"word": done.verdict.word, "why": done.verdict.why},
        "held_out_loss": status["held_out"],
        "steps": done.steps,
        "seconds": done.seconds,
        "skipped_steps": done.skipped,
        "next": commands,
    }
    output.result(document, show)


def _show_plan(plan: Plan, data: Data) -> None:
    print(f"{plan.model} on {data.name}, {plan.device}: nothing was written.")
    condition = "none" if data.condition_space is None else data.condition_space.describe()
    sizes = plan.data["sizes"]
    rows = [
        ("data", f"{data.space.describe()}, shape {tuple(data.space.shape)}"),
        ("condition", condition),
        ("examples", ", ".join(f"{count:,} {name}" for name, count in sizes.items())),
        ("parameters", f"{plan.parameters:,}"),
        *((f"  {name}", f"{count:,}") for name, count in plan.networks.items()),
        ("batch", f"{plan.batch_size:,}"),
        ("steps", f"{plan.steps:,}" if plan.steps else "none: fitted in closed form"),
        ("memory", f"about {size(plan.memory_bytes)}"),
        (
            "time",
            f"about {clock(plan.seconds)}" + (f" ({1e3 * plan.step_seconds:.1f} ms a step)" if plan.steps else ""),
        ),
    ]
    table(("", ""), rows)


def _at_most_one(given: dict[str, Any]) -> None:
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise InputError(f"--{names[0]} and --{names[1]} were both given.", "Choose one.")
    if given["epochs"] is not None and given["epochs"] <= 0:
        raise InputError(f"--epochs {given['epochs']:g} is not positive.")


def _check_free(folder: Path) -> None:
    """Refuse an existing run before its data is loaded."""
    if (folder / "config.yaml").is_file():
        raise InputError(
            f"{folder} exists already.", "Go on with it: --resume. Replace it: --overwrite. Or choose another --out."
        )
