"""Options that several commands share, and their completion."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperCommand

from .complete import complete_data, complete_model, complete_run


def _everywhere() -> list[Any]:
    """The parameters that every command has, made by typer itself."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def shared(
        json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; logs on stderr.")] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    ) -> None: ...

    made: Any = typer.main.get_command(app)
    return list(made.params)


class Command(TyperCommand):
    """A command with `--json` and `--debug`, which go to the `Output` in `context.obj`."""

    def __init__(self, *args: Any, params: Any = None, **options: Any):
        super().__init__(*args, params=[*(params or []), *_everywhere()], **options)

    def invoke(self, ctx: Any) -> Any:
        as_json, debug = ctx.params.pop("json"), ctx.params.pop("debug")
        ctx.obj.as_json, ctx.obj.debug = ctx.obj.as_json or as_json, ctx.obj.debug or debug
        return super().invoke(ctx)


class Device(str, Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(str, Enum):
    full = "32"
    bf16 = "bf16"


Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/digits-vae.", autocompletion=complete_run)
]
Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A file, a folder or a built-in name (ring, grid, moons, digits).",
        autocompletion=complete_data,
    ),
]  # fmt: skip
Model = Annotated[
    Optional[str],  # noqa: UP045 (evaluated by typer on Python 3.10)
    typer.Option("--model", "-m", metavar="NAME", help="See `pushforward models`.", autocompletion=complete_model),
]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="NAME=VALUE", help="Any option, such as --set network.size=m. Repeatable."),
]
OnDevice = Annotated[Device, typer.Option("--device", help="Where to compute.")]
Seed = Annotated[Optional[int], typer.Option("--seed", min=0, metavar="S")]  # noqa: UP045
