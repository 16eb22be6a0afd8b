"""Options that several commands share, and their completion."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperCommand

from ..errors import InputError
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


def _of_data() -> list[Any]:
    """How a source is read: the options of `data.options.Options`, for every command that loads data."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def shared(
        columns: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(metavar="NAME=KIND,...", help="Kinds of columns, over what is detected; drop leaves one out."),
        ] = None,
        no_missing: Annotated[
            bool, typer.Option("--no-missing", help="Refuse missing cells instead of modelling them.")
        ] = False,
        split_by: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(metavar="COLUMN", help="Keep rows with the same value in one part."),
        ] = None,
        split_time: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(metavar="COLUMN", help="Test on the latest rows, train on the earliest."),
        ] = None,
        encoding: Annotated[Optional[str], typer.Option(metavar="NAME", help="Of a text table.")] = None,  # noqa: UP045
        separator: Annotated[Optional[str], typer.Option(metavar="C", help="Between its cells.")] = None,  # noqa: UP045
        decimal: Annotated[Optional[str], typer.Option(metavar="C", help="Its decimal mark.")] = None,  # noqa: UP045
        image_size: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(metavar="N|HxW", help="Bring pictures to this many pixels."),
        ] = None,
        fit: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(metavar="crop|letterbox|stretch", help="How, where their shape differs."),
        ] = None,
        grey: Annotated[bool, typer.Option("--grey", help="Make colour pictures grey.")] = False,
        flip: Annotated[bool, typer.Option("--flip", help="Mirror pictures at random in training.")] = False,
        shift: Annotated[
            Optional[int],  # noqa: UP045
            typer.Option(min=0, metavar="N", help="Move pictures by up to N pixels in training."),
        ] = None,
        labels: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(metavar="FILE", help="A CSV of the pictures' names and labels."),
        ] = None,
        tokens: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(metavar="characters|bpe", help="What text is cut into."),
        ] = None,
        vocabulary: Annotated[
            Optional[int],  # noqa: UP045
            typer.Option(min=2, metavar="N", help="Tokens of byte-pair encoding."),
        ] = None,
        length: Annotated[
            Optional[int],  # noqa: UP045
            typer.Option(min=1, metavar="N", help="Tokens of one example."),
        ] = None,
        space: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(
                metavar="sphere|torus|tokens",
                help="What the columns are: latitude and longitude, angles, or whole numbers of a sequence.",
            ),
        ] = None,
    ) -> None: ...

    made: Any = typer.main.get_command(app)
    return list(made.params)


def size(text: str | None) -> int | tuple[int, int] | None:
    """`32` or `32x48` (height by width).

    Raises:
        InputError: anything else.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(p.isdecimal() and int(p) > 0 for p in parts):
        raise InputError(f"--image-size {text!r} is not a size.", "Examples: 32, 32x48 (height by width).")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


class Command(TyperCommand):
    """A command with `--json` and `--debug`, which go to the `Output` in `context.obj`."""

    def __init__(self, *args: Any, params: Any = None, **options: Any):
        super().__init__(*args, params=[*(params or []), *_everywhere()], **options)

    def invoke(self, ctx: Any) -> Any:
        as_json, debug = ctx.params.pop("json"), ctx.params.pop("debug")
        ctx.obj.as_json, ctx.obj.debug = ctx.obj.as_json or as_json, ctx.obj.debug or debug
        return super().invoke(ctx)


class DataCommand(Command):
    """A command that loads data: `context.obj.data` holds the options given, as `pf.load` takes them."""

    def __init__(self, *args: Any, params: Any = None, **options: Any):
        self.of_data = _of_data()
        super().__init__(*args, params=[*(params or []), *self.of_data], **options)

    def invoke(self, ctx: Any) -> Any:
        values = {p.name: ctx.params.pop(p.name) for p in self.of_data}
        values["image_size"] = size(values["image_size"])
        values["missing"] = False if values.pop("no_missing") else None
        ctx.obj.data = {
            name: value for name, value in values.items() if value not in (None, False) or name == "missing"
        }
        if ctx.obj.data["missing"] is None:
            del ctx.obj.data["missing"]
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
        metavar="DATA", help="A file, a folder or a built-in name (ring, moons, digits, shapes, ...).",
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
