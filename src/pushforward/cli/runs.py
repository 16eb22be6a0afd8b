"""`pushforward runs`: list, show, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError, PushforwardError
from .complete import complete_run
from .options import Command, Run
from .output import Output, clock, table

app = typer.Typer(help="List, show and remove runs.", no_args_is_help=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list", cls=Command)
def list_(
    context: typer.Context,
    root: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the runs are.")] = Path("runs"),
) -> None:
    """The runs of a folder, by name."""
    output: Output = context.obj
    from ..training import list_runs, open_run

    if root != Path("runs") and not root.is_dir():
        raise InputError(f"there is no folder {root}.")
    rows: list[dict[str, Any]] = []
    for folder in list_runs(root):
        try:
            rows.append(open_run(folder).summary())
        except PushforwardError as error:  # one bad run does not hide the others
            rows.append({"run": str(folder), "state": "unreadable", "problem": str(error)})

    def show() -> None:
        if not rows:
            print(f"There are no runs in {root}/. Begin one: pushforward fit digits")
            return
        table(
            ("run", "model", "data", "state", "steps", "time", "verdict"),
            [
                [
                    row["run"], row.get("model"), row.get("data"), row["state"], row.get("steps"),
                    None if row.get("seconds") is None else clock(row["seconds"]),
                    row.get("problem") or (row.get("verdict") or "-").partition(":")[0],
                ]
                for row in rows
            ],
        )  # fmt: skip

    output.result(rows, show)


@app.command("show", cls=Command)
def show(context: typer.Context, run: Run) -> None:
    """What a run is made of, and how it went."""
    output: Output = context.obj
    from ..spaces import Space
    from ..training import open_run

    opened = open_run(run)
    data, status = opened.data_info, opened.status
    document = {
        **opened.summary(),
        "status": status,
        "config": opened.config.to_dict(),
        "data": data,
        "files": sorted(str(p.relative_to(run)) for p in run.rglob("*") if p.is_file() and not p.name.startswith(".")),
    }

    def text() -> None:
        condition = Space.from_json(data.get("condition_space"))
        rows = [
            ("model", opened.config.model),
            ("data", f"{data.get('source')}: {Space.from_json(data['space']).describe()}" if data else None),
            ("condition", condition.describe() if condition else "none"),
            ("data hash", str(data.get("hash"))[:16]),
            ("state", status.get("state")),
            ("parameters", status.get("parameters")),
            ("steps", status.get("steps")),
            ("time", None if status.get("seconds") is None else clock(status["seconds"])),
            ("verdict", status.get("verdict")),
            ("held-out loss", status.get("held_out")),
            ("skipped steps", status.get("skipped_steps")),
        ]
        print(run)
        table(("", ""), [(name, "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value))
                         for name, value in rows])  # fmt: skip
        print(f"settings: {run / 'config.yaml'}; model card: {run / 'README.md'}")

    output.result(document, text)


@app.command("rm", cls=Command)
def remove(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", autocompletion=complete_run)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete runs: their settings, weights and samples."""
    output: Output = context.obj
    from ..training import open_run, remove_run

    for run in runs:  # all are checked before the first is removed
        if not (run / "config.yaml").is_file():
            open_run(run)
    if not yes:
        if output.as_json or not sys.stdin.isatty():
            raise InputError("nobody is there to confirm.", "Confirm with --yes.")
        if not typer.confirm(f"Delete {', '.join(map(str, runs))}?"):
            print("Nothing was removed.")
            raise typer.Exit(1)
    for run in runs:
        remove_run(run)
    output.result({"removed": runs}, lambda: print(f"removed {', '.join(map(str, runs))}"))
