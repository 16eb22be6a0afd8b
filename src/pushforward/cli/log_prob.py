"""`pushforward log-prob`: how likely new data is, and where that stands among held-out data."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError, PushforwardError
from .common import open_model, parse_options, read_data, refuse_existing, seldom
from .options import Device, OnDevice, Overrides, Run, Source
from .output import Output, table

if TYPE_CHECKING:
    from ..likelihood import LogProb
    from ..training import Run as TrainedRun

HELD_OUT = 256
"""Test rows that percentiles are taken among."""

SHOWN = 10
REASONS = 3
"""Columns that explain a row on the screen."""


def log_prob(
    context: typer.Context,
    run: Run,
    data: Source,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="All values: .csv, .parquet, .npz or .json."),
    ] = None,
    condition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="Where DATA has the condition.  [default: as in training]"),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Of a table: which columns make each row unlikely, in nats.")
    ] = False,
    overrides: Overrides = None,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Of the draws of an estimate or a bound.")] = 0,
    device: OnDevice = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Score each example of DATA.

    Log-likelihoods in nats, with their kind and error, and the percentile of each among held-out rows.
    """
    output: Output = context.obj
    refuse_existing(out, overwrite)
    _check_suffix(out)
    opened, model = open_model(run, device.value, output)
    options = parse_options(overrides, model.density_options, "log-prob")
    x, given = read_data(opened, model, data, condition)
    reasons = _reasons(model, x, given, seed, output) if explain else None
    found = model.log_prob(x, given, seed=seed, **options)
    held_out = held_out_values(opened, model, options, output)
    document = describe(found, model, held_out)
    if reasons is not None:
        for row, contributions in zip(document["examples"], reasons["contributions"]):
            row |= {f"explain_{name}": value for name, value in contributions.items()}
        document["explained"] = {"method": reasons["method"], "notes": reasons["notes"]}
    if out is not None:
        write_values(out, document["examples"])
    document = {"run": opened.folder, "data": data, "file": out, **document}
    output.result(document, lambda: _show(document, None if reasons is None else reasons["cells"]))


def _reasons(model: Any, x: Any, condition: Any, seed: int, output: Output) -> dict[str, Any]:
    """For each row the contributions of its columns, and the cells as text for the rows that are shown."""
    from ..conditional import explain
    from ..conditional.values import shown

    found = explain(model, x, condition, seed=seed, log=seldom(output.log))
    names, columns = model.space.names, model.space.columns
    return {
        "contributions": [dict(zip(names, row)) for row in found.contributions.tolist()],
        "cells": [[shown(column, value) for column, value in zip(columns, row)] for row in x[:SHOWN].tolist()],
        "method": found.method,
        "notes": found.notes,
    }


def describe(found: LogProb, model: Any, held_out: list[float] | None) -> dict[str, Any]:
    """Everything that is known about the values of some data, JSON-able. `examples` has one row each."""
    values = [float(v) for v in found.values]
    examples: list[dict[str, Any]] = [{"example": i, "log_prob": v} for i, v in enumerate(values)]

    def add(name: str, column: Any) -> None:
        if column is not None:
            for row, value in zip(examples, column):
                row[name] = float(value)

    discrete = model.space.measure == "counting"
    add("standard_error", found.standard_error)
    add("solver_error", found.solver_error)
    add("bits_per_dimension", found.bits_per_dimension() if discrete else None)
    if held_out:
        ordered = sorted(held_out)
        add("percentile", [100 * bisect.bisect_right(ordered, v) / len(ordered) for v in values])
    for name, term in found.terms.items():
        add(f"term_{name}", term)
    n = len(values)
    mean = found.mean()
    spread = float(found.values.double().std()) / n**0.5 if n > 1 else None
    return {
        "n": n,
        "mean": mean,
        "mean_standard_error": spread,
        "kind": found.kind,
        "unit": found.unit,
        "draws": found.draws,
        "mean_bits_per_dimension": float(found.bits_per_dimension().double().mean()) if discrete else None,
        "held_out": None if not held_out else {"n": len(held_out), "mean": sum(held_out) / len(held_out)},
        "examples": examples,
    }


def held_out_values(run: TrainedRun, model: Any, options: Mapping[str, Any], output: Output) -> list[float] | None:
    """Log-likelihoods of up to 256 rows of the run's test split, for percentiles.

    Computed once for these options and these weights, and kept in `heldout.json` of the run. None, saying so, when
    the run's data cannot be read any more.
    """
    from ..training.files import read_json, sha256, write_json

    path, weights = run.folder / "heldout.json", run.folder / "model" / "model.safetensors"
    settled = {k: repr(v) for k, v in sorted({**model.density_options, **options}.items())}
    key = {"weights": sha256(weights) if weights.is_file() else None, "options": settled, "rows": HELD_OUT}
    try:
        if path.is_file() and key["weights"] and (kept := read_json(path)).get("key") == key:
            return list(kept["values"])
    except (PushforwardError, AttributeError, KeyError, TypeError):
        output.log(f"{path} is damaged: computed again")
    try:
        test = run.load_data().test
    except InputError as error:
        output.log(f"no percentiles: {error.what}")
        return None
    x, condition = test.all(limit=HELD_OUT)
    if len(x) == 0:
        output.log("no percentiles: the run's data has no test rows.")
        return None
    output.log(f"percentiles: scoring {len(x):,} held-out rows once")
    values = [float(v) for v in model.log_prob(x, condition, seed=0, **options).values]
    try:
        write_json(path, {"key": key, "split": "test", "values": values})
    except PushforwardError as error:
        output.log(f"not kept for the next time: {error.what}")
    return values


_SUFFIXES = (".csv", ".parquet", ".npz", ".json")


def _check_suffix(path: Path | None) -> None:
    if path is not None and path.suffix not in _SUFFIXES:
        raise InputError(f"--out {path}: {path.suffix or 'no extension'}.", f"Known: {', '.join(_SUFFIXES)}.")


def write_values(path: Path, examples: list[dict[str, Any]]) -> None:
    """One row an example, as CSV, Parquet, npz (one array a column) or JSON."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    from ..data.write import replacing
    from ..training.files import explained, write_json
    from .output import plain

    if path.suffix == ".json":
        write_json(path, plain(examples))
        return
    columns = {name: np.asarray([row[name] for row in examples]) for name in examples[0]}
    final = path
    with explained(final), replacing(final) as path:
        if path.suffix == ".npz":
            np.savez(path, **columns)  # type: ignore[arg-type]
        elif path.suffix == ".csv":
            pyarrow.csv.write_csv(pa.table(columns), path)
        else:
            pyarrow.parquet.write_table(pa.table(columns), path)


def _because(row: dict[str, Any], cells: list[str]) -> str:
    """The columns that take most from a row: `age=17 (4.2), income=>50K (1.3)`."""
    found = [(name.removeprefix("explain_"), value) for name, value in row.items() if name.startswith("explain_")]
    ranked = sorted(zip(found, cells), key=lambda pair: -pair[0][1])[:REASONS]
    return ", ".join(f"{name}={cell} ({value:.1f})" for (name, value), cell in ranked if value > 0) or "nothing"


def _show(document: dict[str, Any], cells: list[list[str]] | None = None) -> None:
    examples = document["examples"]
    spread = document["mean_standard_error"]
    print(f"mean log-likelihood: {document['mean']:.4f}" + (f" ± {spread:.4f}" if spread is not None else ""))
    print(f"kind: {document['kind']}" + (f" ({document['draws']} draws)" if (document["draws"] or 1) > 1 else ""))
    print(f"unit: {document['unit']}")
    if document["mean_bits_per_dimension"] is not None:
        print(f"bits per dimension: {document['mean_bits_per_dimension']:.4f}")
    if document["held_out"]:
        print(f"held-out mean: {document['held_out']['mean']:.4f} ({document['held_out']['n']:,} rows)")
    print(f"examples: {document['n']:,}")
    names = [name for name in examples[0] if not name.startswith(("term_", "explain_"))]
    rows = [[row[name] for name in names] for row in examples[:SHOWN]]
    if cells is not None:
        names = [*names, "unlikely_because_of"]
        rows = [[*row, _because(example, own)] for row, example, own in zip(rows, examples, cells)]
    table([name.replace("_", " ") for name in names], rows)
    if cells is not None:
        print(f"columns: nats that the row would gain by a typical cell; {'; '.join(document['explained']['notes'])}")
    if document["file"]:
        print(f"all of them: {document['file']}")
    elif len(examples) > SHOWN:
        print(f"... {len(examples) - SHOWN:,} more; --out FILE keeps them all")
