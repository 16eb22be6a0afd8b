"""`pushforward query`: expectations and probabilities that a fitted model implies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Optional

import typer

from ..errors import InputError
from .common import condition_columns, open_model, parse_condition, parse_options, seldom
from .options import Device, OnDevice, Overrides, Run
from .output import Output, clock, table


def query(
    context: typer.Context,
    run: Run,
    expect: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="EXPRESSION", help="Its mean, such as 'x1*x2' or 'log(income)'. Repeatable."),
    ] = None,
    probability: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="CONDITION", help="Of what, such as 'x1 > 3 and x2 < 0'. Repeatable."),
    ] = None,
    n: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("-n", "--number", min=2, metavar="N", help="Samples for each.  [default: 100,000]"),
    ] = None,
    rare: Annotated[
        str, typer.Option(metavar="auto|always|never", help="Whether rare events are approached, or counted.")
    ] = "auto",
    condition: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="COLUMN=VALUE", help="What is generated; once for each column. Default: as in the data."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="The same seed gives the same.")] = 0,
    overrides: Overrides = None,
    device: OnDevice = Device.auto,
) -> None:
    """Estimate quantities under a run's model: means of expressions, probabilities of conditions.

    Each with its standard error and a 95% interval. Without --expect and --probability: means and standard deviations
    of the columns. Columns are named as in the data (x1, x2, ... without names; `in backticks` with spaces or signs).
    """
    output: Output = context.obj
    from ..quantities.parser import parse
    from ..quantities.probability import RARE

    if rare not in RARE:
        raise InputError(f"--rare is {rare!r}.", f"Known: {', '.join(RARE)}.")
    opened, model = open_model(run, device.value, output)
    options = parse_options(overrides, model.options, "sampling")
    wanted = parse_condition(condition, model.condition_space, opened.document["data"]["options"].get("condition"))
    names = [] if model.condition_space is None else condition_columns(opened, model.condition_space)
    for text in [*(expect or []), *(probability or [])]:
        parse(text, model.space, names)  # all are read before the first is estimated
    begun = time.monotonic()
    how: dict[str, Any] = {"n": n, "condition": wanted, "seed": seed, "log": seldom(output.log), **options}
    document = {"run": opened.folder, "seed": seed, "condition": condition, "options": options}
    if expect or probability:
        document["estimates"] = _estimates(model, expect or [], probability or [], rare, names, how)
        show: Callable[[], None] = lambda: _show(document)  # noqa: E731
    else:
        from ..quantities import moments

        found = moments(model, **how)
        document["moments"] = found.to_json()
        show = lambda: _show_moments(found)  # noqa: E731
    seconds = time.monotonic() - begun
    document["seconds"] = round(seconds, 3)

    def everything() -> None:
        show()
        print(f"{clock(seconds)} (seed {seed})")

    output.result(document, everything)


def _estimates(
    model: Any, expect: list[str], events: list[str], rare: str, names: list[str], how: dict[str, Any]
) -> list[dict[str, Any]]:
    from ..quantities import expectation, probability

    found = [("expectation", expectation(model, text, conditions=names, **how)) for text in expect]
    found += [("probability", probability(model, text, rare=rare, conditions=names, **how)) for text in events]
    return [{"quantity": kind, **one.__dict__} for kind, one in found]


def _show(document: dict[str, Any]) -> None:
    for one in document["estimates"]:
        sign = "E" if one["quantity"] == "expectation" else "P"
        value, error = one["value"], one["standard_error"]
        print(f"{sign}[{one['text']}] = {value:.5g} ± {error:.2g}  (95%: {one['low']:.4g} to {one['high']:.4g})")
        print(f"  {one['method']}, {one['n']:,} samples, effective sample size {one['effective_sample_size']:,.0f}")
        for note in one["notes"]:
            print(f"  {note}")


def _show_moments(found: Any) -> None:
    columns = zip(found.names, found.mean, found.mean_error, found.std, found.std_error)
    rows = [(name, *(float(value) for value in values)) for name, *values in columns]
    table(("", "mean", "± error", "std", "± error"), rows, title=f"{found.n:,} samples")
    for note in found.notes:
        print(note)
