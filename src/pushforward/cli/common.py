"""What `sample`, `log-prob`, `encode` and `decode` share: opening runs, reading data and conditions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, did_you_mean
from .output import Output

if TYPE_CHECKING:
    from ..spaces import Space
    from ..training import Run

SAMPLE_FILES = (".png", ".csv", ".parquet", ".npz", ".npy", ".txt")


def open_model(path: Path, device: str, output: Output) -> tuple[Run, Any]:
    """A run and its model on the device, with the threads that its fit measured. Work-arounds are logged."""
    import torch

    from ..training import open_run
    from ..training.resolve import choose_device

    run = open_run(path)
    if isinstance(run.config.training.threads, int):
        torch.set_num_threads(run.config.training.threads)
    model = run.model.to(choose_device(device))
    for note in run.notes:
        output.log(f"{path}: {note}")
    return run, model


def read_data(run: Run, model: Any, source: str, column: str | None) -> tuple[Any, Any]:
    """New data in the space of the run's model; the condition is in the column of `column`, or of the run."""
    from ..data import read_like

    before = run.document["data"]
    options = before["options"]
    own = options.get("condition") if model.condition_space is not None else None
    return read_like(
        source,
        model.space,
        model.condition_space,
        condition=column or own,
        fit=options.get("fit", "crop"),
        labels=options.get("labels") if source == before["source"] else None,
        options=options,
    )


def condition_name(run: Run) -> str:
    """The column of a run's class condition, as its data calls it."""
    name = run.document["data"]["options"].get("condition")
    return name if isinstance(name, str) else "label"


def condition_columns(run: Run, space: Space) -> list[str]:
    """The columns of the data that a run's condition was made of."""
    names = list(getattr(space, "names", ())) if space.kind != "classes" else []
    return names or [name.strip() for name in condition_name(run).split(",")]


def parse_condition(items: Sequence[str] | None, space: Space | None, column: Any) -> Any:
    """`--condition` as a model takes it: one value for all samples.

    Args:
        items: `VALUE`, or `COLUMN=VALUE`, once for each column of a vector.
        space: the model's condition space. column: the name of its condition in the data, or None.

    Raises:
        InputError: the model is unconditional; an unknown column, label or number.
    """
    if not items:
        return None
    if space is None:
        raise InputError("this model is unconditional: there is nothing to choose.", "Leave --condition out.")
    if space.kind == "classes":
        if len(items) > 1:
            raise InputError(f"--condition was given {len(items)} times, but the condition is one class.")
        name, equals, value = items[0].rpartition("=")
        known = getattr(space, "names", ())
        if equals and isinstance(column, str) and items[0] not in known and name != column:
            raise InputError(f"this model is not conditioned on {name!r}.", did_you_mean(name, [column]))
        return items[0] if items[0] in known else value
    names = list(getattr(space, "names", ())) or [f"{i + 1}" for i in range(space.dimensions)]
    values = _by_column(items, names)
    missing = [name for name in names if name not in values]
    if missing:
        raise InputError(
            f"--condition lacks {', '.join(missing)}.",
            "Give them all: " + " ".join(f"--condition {name}=VALUE" for name in names),
        )
    return [values[name] for name in names]


def _by_column(items: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for item in items:
        name, equals, text = item.rpartition("=")
        if not equals and len(names) > 1:
            raise InputError(
                f"--condition {item!r}: which column is it?", f"Write COLUMN=VALUE; columns: {', '.join(names)}."
            )
        name = name if equals else names[0]
        if name not in names:
            raise InputError(f"this model is not conditioned on {name!r}.", did_you_mean(name, names))
        try:
            values[name] = float(text)
        except ValueError:
            raise InputError(f"--condition {item!r}: {text!r} is not a number.") from None
    return values


def parse_options(items: Sequence[str] | None, known: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`--set name=value` for a model's sampling or density options.

    Raises:
        InputError: an unknown name; the known ones are listed with their values.
    """
    from ..config import parse_overrides

    given = parse_overrides(items or [])
    for name in given:
        if name not in known:
            raise InputError(f"unknown {what} option {name!r}.", did_you_mean(name, known))
    return given


def seldom(log: Callable[[str], None], seconds: float = 5.0) -> Callable[[str], None]:
    """`log` for what takes long: lines that come within so many seconds of the last one are dropped."""
    last = time.monotonic()

    def say(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            log(text)

    return say


def fresh(path: Path) -> Path:
    """`path`, or `path` with -2, -3, ... when there is a file or a folder already."""
    found, k = path, 1
    while found.exists():
        k += 1
        found = path.with_name(f"{path.stem}-{k}{path.suffix}")
    return found


def refuse_existing(path: Path | None, overwrite: bool) -> None:
    """A file that is there is not replaced without --overwrite; said before the work is done."""
    if path is not None and not overwrite and path.is_file():
        raise InputError(f"{path} exists already.", "Replace it with --overwrite, or choose another --out.")


def check_samples_file(out: str | None, overwrite: bool) -> None:
    """Refuse, before the work is done, what `write_samples` would refuse after it."""
    if out is None:
        return
    refuse_existing(Path(out), overwrite)
    suffix = Path(out).suffix.lower()
    if suffix not in SAMPLE_FILES and not out.endswith(("/", os.sep)) and not Path(out).is_dir():
        raise InputError(
            f"cannot write {out!r}: {suffix or 'no extension'}.",
            f"Allowed: {', '.join(SAMPLE_FILES)}, or a folder (ending in /) of PNG files.",
        )
