r"""Expectations under a model: :math:`\mathrm{E} f(x) \approx \frac1n \sum_i f(x_i)`, with its standard error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..model import GenerativeModel
from .drawing import Draws, Log, answers, check_n
from .estimates import Estimate, of_mean
from .formulas import Cell, Formula
from .parser import parse

Function = str | Callable[[Tensor], Any]
_HEAVY = 0.1


@torch.no_grad()
def expectation(
    model: GenerativeModel,
    f: Function,
    n: int | None = None,
    *,
    condition: Any = None,
    seed: int = 0,
    conditions: Sequence[str] = (),
    log: Log = lambda text: None,
    **options: Any,
) -> Estimate:
    """The mean of f over samples of the model.

    >>> import torch, pushforward as pf
    >>> model = pf.build("gmm", pf.Real((2,)))
    >>> bool(abs(pf.expectation(model, "x1**2 + x2", n=10_000).value - 1) < 0.1)
    True

    Args:
        f: an expression ("x1*x2"), which is read and never executed; a condition counts as 1 where it is true. Or a
            function of samples (n, *shape), in the data's own units, to n numbers.
        n: samples; None: 100,000, and fewer of large pictures. condition: one, of a conditional model; None: as often
            as in the data. conditions: names of condition columns, for errors. options: of the model's sampling.

    Rows in which f is missing because a cell is are left out, and counted in the notes.

    Raises:
        InputError: an expression that cannot be read; a value that is not finite; what `sample` refuses.
    """
    draws = Draws.of(model, condition, seed, options, log)
    n = check_n(n, model)
    formula = parse(f, model.space, conditions) if isinstance(f, str) else None
    text = f if isinstance(f, str) else getattr(f, "__name__", "f")
    values, gone = [], 0
    for x in draws.parts(n, 0):
        y, blank = _of(formula, f, x)
        bad = ~y.isfinite() & ~blank
        if bool(bad.any()):
            value, count = float(y[bad][0]), int(bad.sum())
            raise InputError(
                f"{text} is {value} for {count:,} of {len(y):,} samples.",
                "Its expectation is no number: such as a log of 0, or a division by it.",
            )
        gone += int(blank.sum())
        values.append(y[~blank])
    y = torch.cat(values)
    if len(y) < 2:
        raise InputError(f"{text} is missing in {gone:,} of {n:,} samples.", "Its expectation cannot be estimated.")
    notes = [f"{gone:,} of {n:,} samples are left out: {text} is missing in them"] if gone else []
    mean = float(y.mean())
    squares = (y - mean).square()
    total = float(squares.sum())
    if total > 0 and (share := float(squares.max()) / total) > _HEAVY:
        notes.append(f"one sample makes {share:.0%} of the variance: tails are heavy, and the error may be larger")
    notes += _as_date(formula, mean)
    return of_mean(mean, math.sqrt(total / (len(y) - 1) / len(y)), n, len(y), notes, text)


def _of(formula: Formula | None, f: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Values (n,) float64 of samples, and whether they are missing because a cell is."""
    if formula is None:
        assert callable(f)
        y = answers(f, x, "the function").double()
        cells = x.flatten(1)
    else:
        cells = formula.cells(x)
        y = formula.root.number(cells)
    if not cells.is_floating_point():
        return y, torch.zeros(len(y), dtype=torch.bool)
    return y, y.isnan() & cells.isnan().any(1)


def _as_date(formula: Formula | None, mean: float) -> list[str]:
    """A date is a number of seconds: what date it is."""
    root = None if formula is None else formula.root
    if not isinstance(root, Cell) or root.name.column is None or root.name.column.kind != "datetime":
        return []
    from ..conditional.values import written

    return [f"in seconds since 1970-01-01: {written(root.name.column, mean)}"]
