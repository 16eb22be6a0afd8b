"""The `pushforward` command: its sub-commands and their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from .. import __version__
from . import (
    codes,
    compare,
    demo,
    doctor,
    evaluate,
    fit,
    impute,
    inspect,
    log_prob,
    models,
    query,
    reproduce,
    runs,
    sample,
)
from .options import Command, DataCommand

app = typer.Typer(
    help="Deep generative models on your own data: fit, sample, log-prob, encode, decode.",
    epilog="Start with: pushforward demo. Then: pushforward fit DATA.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        print(f"pushforward {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


COMMANDS: dict[str, Callable[..., None]] = {
    "inspect": inspect.inspect,
    "fit": fit.fit,
    "sample": sample.sample,
    "impute": impute.impute,
    "log-prob": log_prob.log_prob,
    "query": query.query,
    "evaluate": evaluate.evaluate,
    "compare": compare.compare,
    "encode": codes.encode,
    "decode": codes.decode,
    "models": models.models,
    "reproduce": reproduce.reproduce,
    "demo": demo.demo,
    "doctor": doctor.doctor,
}
READS_DATA = ("fit", "inspect", "compare")
"""Commands that take the options of a source."""

for name, function in COMMANDS.items():
    app.command(name, cls=DataCommand if name in READS_DATA else Command)(function)
app.add_typer(runs.app, name="runs")
