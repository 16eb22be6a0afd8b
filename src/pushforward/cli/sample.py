"""`pushforward sample`: new examples from a run."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Optional

import typer

from .common import check_samples_file, condition_name, fresh, open_model, parse_condition, parse_options
from .options import Device, OnDevice, Overrides, Run
from .output import Output, clock


def sample(
    context: typer.Context,
    run: Run,
    n: Annotated[int, typer.Option("-n", "--number", min=1, metavar="N", help="How many.")] = 64,
    condition: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="COLUMN=VALUE", help="What to generate; once for each column. Default: as often as in the data."
        ),
    ] = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, metavar="S", help="The same seed gives the same samples.  [default: a new one]"),
    ] = None,
    out: Annotated[
        Optional[str],  # noqa: UP045 (text, because "folder/" is not "folder")
        typer.Option(metavar="FILE", help=".png, .csv, .parquet, .npz, .txt, or a folder.  [default: in the run]"),
    ] = None,
    overrides: Overrides = None,
    device: OnDevice = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Draw samples from a run."""
    output: Output = context.obj
    check_samples_file(out, overwrite)
    from ..data import write_samples
    from ..data.write import natural_suffix

    opened, model = open_model(run, device.value, output)
    options = parse_options(overrides, model.options, "sampling")
    wanted = parse_condition(condition, model.condition_space, opened.document["data"]["options"].get("condition"))
    seed = secrets.randbelow(2**31) if seed is None else seed
    begun = time.monotonic()
    drawn = model.sample(n, wanted, seed=seed, **options)
    seconds = time.monotonic() - begun
    place = out or fresh(opened.folder / "samples" / f"samples-{n}{natural_suffix(model.space)}")
    conditions = _conditions(model, wanted, n, seed)
    written = write_samples(
        place,
        _cpu(drawn),
        model.space,
        condition=conditions,
        condition_space=model.condition_space,
        condition_name=condition_name(opened),
        overwrite=overwrite,
    )
    document = {
        "run": opened.folder, "n": n, "seed": seed, "condition": condition, "options": options,
        "file": written, "seconds": round(seconds, 3),
    }  # fmt: skip
    output.result(document, lambda: print(f"{written}: {n:,} samples in {clock(seconds)} (seed {seed})"))


def _conditions(model: Any, wanted: Any, n: int, seed: int) -> Any:
    """The condition of each sample, as `model.sample` chose it."""
    if model.condition_space is None:
        return None
    given = model.check_condition(wanted, n, required=False)
    if given is None:
        given = model.draw_conditions(n, seed)
    return _cpu(given)


def _cpu(value: Any) -> Any:
    from torch.utils._pytree import tree_map

    return tree_map(lambda v: v.cpu(), value)
