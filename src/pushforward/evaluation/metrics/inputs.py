"""What metrics take: rows as float64, refused in one sentence where they cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError

BLOCK = 2**21
"""How many numbers a block of a pairwise matrix holds: 16 MiB in float64."""


def rows(x: Any, name: str, *, at_least: int = 1, missing: bool = False) -> Tensor:
    """`x` (n,) or (n, ...) as float64 rows (n, d), on its own device and out of any graph.

    Args:
        x: whatever `torch.as_tensor` takes; scalars (n,) become one column, more dimensions are flattened.
        name: of the argument, for the message. at_least: how many rows are needed. missing: whether NaN is allowed.

    Raises:
        InputError: no numbers, too few rows, or a value that is not finite (with its row).
    """
    try:
        made = torch.as_tensor(x).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name} is a {type(x).__name__} that is no array of numbers.", "Give an array (n, d), one row an example."
        ) from error
    if made.is_complex() or made.ndim == 0:
        raise InputError(
            f"{name} is {'complex' if made.is_complex() else 'a single number'}.",
            "Give an array of real numbers (n, d), one row an example.",
        )
    if len(made) < at_least or made.numel() == 0:
        has = "no rows" if len(made) == 0 else "no columns" if made.numel() == 0 else f"{len(made)} row(s)"
        raise InputError(f"{name} has {has}.", f"At least {at_least} row{'s' if at_least > 1 else ''} of numbers.")
    if made.device.type == "mps":  # has no float64
        made = made.cpu()
    made = made.to(torch.float64)
    made = made[:, None] if made.ndim == 1 else made.flatten(1)
    bad = made.isinf() if missing else ~made.isfinite()
    if bool(bad.any()):
        row, column = (int(i) for i in bad.nonzero()[0])
        raise InputError(
            f"{name}, row {row}, column {column}: the value is {float(made[row, column])}.",
            "All values must be finite: remove or fill those rows first.",
        )
    return made.contiguous()


def pair(
    x: Any, y: Any, names: tuple[str, str] = ("x", "y"), *, at_least: int = 1, missing: bool = False
) -> tuple[Tensor, Tensor]:
    """Two sets of rows (n, d), (m, d), as `rows` makes them, on the device of the first.

    Raises:
        InputError: as `rows` does, or the rows are of different lengths.
    """
    a = rows(x, names[0], at_least=at_least, missing=missing)
    b = rows(y, names[1], at_least=at_least, missing=missing).to(a.device)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"{names[0]} has {a.shape[1]} columns and {names[1]} has {b.shape[1]}.",
            "Both must be rows of the same columns, or the same features.",
        )
    return a, b


def blocks(n: int, width: int, chunk: int | None = None) -> Iterator[slice]:
    """Slices of n rows, so that (rows, width) holds at most `BLOCK` numbers; of `chunk` rows when that is given.

    Raises:
        InputError: `chunk` is below 1.
    """
    if chunk is not None and chunk < 1:
        raise InputError(f"chunk is {chunk}.", "At least 1 row at a time.")
    step = chunk or max(1, BLOCK // max(width, 1))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
