"""`pushforward impute`: a table with its blanks filled by draws from a run's model."""

from __future__ import annotations

import math
import secrets
import time
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from .common import open_model, refuse_existing, seldom
from .options import Device, OnDevice, Run, Source
from .output import Output, clock


def impute(
    context: typer.Context,
    run: Run,
    data: Source,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The table with its blanks filled: .csv or .parquet.")],
    draws: Annotated[
        int, typer.Option(min=1, metavar="K", help="Fill all blanks K times; columns draw and row are added.")
    ] = 1,
    condition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="Where DATA has the condition.  [default: as in training]"),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="auto, or approximate: fast for every model, without likelihoods.")
    ] = "auto",
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, metavar="S", help="The same seed gives the same.  [default: a new one]"),
    ] = None,
    device: OnDevice = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Fill the blanks of a table, each row's given its other cells.

    A blank gets a draw from what the model thinks it may be, not a best guess: averages and spreads stay right.
    """
    output: Output = context.obj
    from ..conditional.files import check_suffix, filled_tables, numbered, read_blanks, write_table

    refuse_existing(out, overwrite)
    check_suffix(out)
    from ..conditional import impute as fill

    opened, model = open_model(run, device.value, output)
    options = opened.document["data"]["options"]
    own = options.get("condition") if model.condition_space is not None else None
    blanks = read_blanks(data, model.space, model.condition_space, condition or own, options)
    seed = secrets.randbelow(2**31) if seed is None else seed
    begun = time.monotonic()
    found = fill(model, blanks.x, blanks.condition, draws=draws, seed=seed, method=method, log=seldom(output.log))
    seconds = time.monotonic() - begun
    tables = filled_tables(blanks, found)
    write_table(out, tables[0] if draws == 1 else numbered(tables))
    document = {
        "run": opened.folder, "data": data, "file": out, "draws": draws, "seed": seed, "seconds": round(seconds, 3),
        **account(found, model.space),
    }  # fmt: skip
    output.result(document, lambda: _show(document, clock(seconds)))


def account(found: Any, space: Any) -> dict[str, Any]:
    """What was filled, and how, JSON-able."""
    rows = found.blanks.any(1)
    worth = sorted(e for e in found.ess[rows].tolist() if math.isfinite(e))
    return {
        "n": len(found.blanks),
        "rows_filled": int(rows.sum()),
        "cells_filled": int(found.blanks.sum()),
        "columns": {c.name: int(k) for c, k in zip(space.columns, found.blanks.sum(0)) if k},
        "method": found.method,
        "effective_candidates": {"least": worth[0], "median": worth[len(worth) // 2]} if worth else None,
        "notes": found.notes,
    }


def _show(document: dict[str, Any], seconds: str) -> None:
    n, k = document["rows_filled"], document["draws"]
    print(f"{document['file']}: {document['cells_filled']:,} blanks of {n:,} rows filled in {seconds}", end="")
    print(f", {k} times" if k > 1 else "", f" (seed {document['seed']})", sep="")
    if not n:
        print("no cell was missing: the table is as it was")
        return
    shown = [f"{name} {count:,}" for name, count in document["columns"].items()]
    print(f"columns: {', '.join(shown[:12])}{', ...' if len(shown) > 12 else ''}")
    print(f"method: {document['method']}")
    if worth := document["effective_candidates"]:
        print(f"  each out of {worth['median']:,.0f} effective candidates (median; at least {worth['least']:,.0f})")
    for note in document["notes"]:
        print(f"  {note}")
