"""Which cells of a column: missing ones, or closed intervals of values; and numbers on grids."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..spaces import Column

Interval = tuple[float, float]


@dataclass(frozen=True)
class Cells:
    """What the cells of one column may be.

    Attributes:
        missing: they are missing; else they have a value.
        intervals: closed intervals of the values (of positions, for categories), in order; None: any value.
    """

    missing: bool = False
    intervals: tuple[Interval, ...] | None = None

    @property
    def point(self) -> float | None:
        """The only value, where there is one."""
        if self.intervals is None or len(self.intervals) != 1 or self.intervals[0][0] != self.intervals[0][1]:
            return None
        return self.intervals[0][0]

    def hold(self, values: Tensor, step: float | None = None) -> Tensor:
        """Which of the cells (n,) are as asked; values on a grid count as the grid's."""
        gone = values.isnan()
        if self.missing:
            return gone
        slack = 0.0 if step is None else 1e-3 * step
        found = ~gone
        if self.intervals is not None:
            within = [(values >= low - slack) & (values <= high + slack) for low, high in self.intervals]
            found = found & torch.stack(within).any(0)
        return found


def intersection(a: Cells, b: Cells, column: Column) -> Cells | None:
    """Both, or None when no cell is both."""
    if a.missing != b.missing:
        return None
    if a.missing or a.intervals is None or b.intervals is None:
        return a if b.intervals is None else b
    slack = 0.0 if column.step is None or not column.is_number else 1e-6 * column.step
    both = [(max(p[0], q[0]), min(p[1], q[1])) for p in a.intervals for q in b.intervals]
    kept = tuple(sorted((low, high) for low, high in both if low <= high + slack))
    return Cells(intervals=kept) if kept else None


def onto(value: float, step: float | None) -> float:
    """The nearest number on the grid (any number, without one), as the decimal that it is: 3 * 0.1 is not 0.3."""
    if step is None:
        return value
    inverse = round(1 / step) if step < 1 else 0
    return round(value * inverse) / inverse if inverse else round(value / step) * step


def floor(value: float, step: float | None) -> float:
    """The largest number of the grid that is not above."""
    return value if step is None else onto(math.floor(value / step + 1e-9) * step, step)


def ceil(value: float, step: float | None) -> float:
    """The smallest number of the grid that is not below."""
    return value if step is None else onto(math.ceil(value / step - 1e-9) * step, step)


def below(value: float, step: float | None) -> float:
    """The largest number of the grid that is smaller."""
    if step is None:
        return math.nextafter(value, -math.inf)
    return onto((math.ceil(value / step - 1e-9) - 1) * step, step)


def above(value: float, step: float | None) -> float:
    """The smallest number of the grid that is larger."""
    if step is None:
        return math.nextafter(value, math.inf)
    return onto((math.floor(value / step + 1e-9) + 1) * step, step)
