"""`pushforward sample`: new examples from a run."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Optional

import typer

from ..errors import InputError
from .common import (
    check_samples_file,
    condition_columns,
    condition_name,
    fresh,
    open_model,
    parse_condition,
    parse_options,
    seldom,
)
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
    given: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="EVENT",
            help="Of a table, only rows such as 'sex=Female,age>60', 'country in (Peru|Cuba)', 'score=missing'.",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="How, with --given: auto, exact, rejection, importance or mcmc.")
    ] = "auto",
    budget: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1000, metavar="N", help="With --given: rows that the model may draw.  [default: 400,000]"),
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
    found = None
    if given:
        found = _in_event(
            opened, model, given, n, wanted, seed=seed, method=method, budget=budget, log=seldom(output.log), **options
        )
        drawn = found.samples
    else:
        if method != "auto" or budget is not None:
            raise InputError("--method and --budget say how rows are found that --given asks for.", "Add --given.")
        drawn = model.sample(n, wanted, seed=seed, **options)
    seconds = time.monotonic() - begun
    place = out or fresh(opened.folder / "samples" / f"samples-{n}{natural_suffix(model.space)}")
    conditions = _conditions(model, wanted, n, seed) if found is None else found.conditions
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
    if found is not None:
        document["given"] = {"event": ",".join(given or []), **_account(found)}
    output.result(document, lambda: _show(document, clock(seconds)))


def _in_event(run: Any, model: Any, given: list[str], n: int, condition: Any, **how: Any) -> Any:
    """Samples of the model in an event of its columns."""
    from ..conditional import Event, sample_given
    from ..spaces import Table

    event: Any = given
    if isinstance(model.space, Table):
        chosen = [] if model.condition_space is None else condition_columns(run, model.condition_space)
        event = Event.parse(given, model.space, chosen)
    return sample_given(model, event, n, condition, **how)


def _account(found: Any) -> dict[str, Any]:
    """How samples in an event were found."""
    names = ("method", "effective_sample_size", "probability", "relative_error", "draws", "tolerance", "notes")
    return {name: getattr(found, name) for name in names}


def _show(document: dict[str, Any], seconds: str) -> None:
    print(f"{document['file']}: {document['n']:,} samples in {seconds} (seed {document['seed']})")
    if (given := document.get("given")) is None:
        return
    print(f"given {given['event']}")
    if (p := given["probability"]) is not None:
        error = f" ± {100 * given['relative_error']:.1f}%" if given["relative_error"] else ""
        print(f"probability under the model: {p:.4g}{error}")
    print(f"method: {given['method']}, effective sample size {given['effective_sample_size']:,.0f}")
    for note in given["notes"]:
        print(f"  {note}")


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
