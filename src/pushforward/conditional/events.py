"""What rows are asked for: `sex=Female,age>60,country in (Peru|Cuba),score=missing`, as sets of values of columns.

A clause is COLUMN OPERATOR VALUE, with = != < <= > >= or `in (A|B)`; all clauses must hold. `missing` and `known`
stand for whether the cell is there; values are quoted when they hold commas ("Washington, DC"), or to mean the text
itself ('missing'). A comparison is never true of a missing cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import InputError
from ..spaces import Table
from .cells import Cells, intersection
from .clauses import EXAMPLE, read_clauses


@dataclass(frozen=True)
class Event:
    """A set of rows of a table: for some columns, which cells.

    Attributes:
        space: the table. cells: by the column's position. text: as the user wrote it.
    """

    space: Table
    cells: Mapping[int, Cells]
    text: str

    @staticmethod
    def parse(text: str | Sequence[str], space: Table, conditions: Sequence[str] = ()) -> Event:
        """The event that `text` (or several of them) describes.

        Args:
            conditions: columns that the model is conditioned on, which are chosen in another way.

        Raises:
            InputError: what cannot be read; an unknown column or value; what no row can be, with the reason.
        """
        texts = [text] if isinstance(text, str) else list(text)
        clauses = [clause for one in texts for clause in read_clauses(one, space, conditions)]
        if not clauses:
            raise InputError("--given is empty.", EXAMPLE)
        cells: dict[int, Cells] = {}
        said: dict[int, str] = {}
        for clause in clauses:
            j, found = clause.column, clause.cells(space.columns[clause.column])
            if j in cells:
                both = intersection(cells[j], found, space.columns[j])
                if both is None:
                    raise InputError(f"{said[j]} and {clause.text} contradict each other: no row is both.")
                found = both
            cells[j] = found
            said[j] = f"{said[j]},{clause.text}" if j in said else clause.text
        return Event(space, cells, ",".join(clause.text for clause in clauses))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.space.columns[j].name for j in self.cells)

    @property
    def densities(self) -> list[int]:
        """Columns with a density that are asked to be one number: they may be of probability zero."""
        return [j for j, c in self.cells.items() if self.space.columns[j].is_density and c.point is not None]

    def relaxed(self, width: Mapping[int, float]) -> Event:
        """The event with values of columns allowed to be `width` away."""
        cells = dict(self.cells)
        for j, w in width.items():
            at = cells[j].point
            assert at is not None
            cells[j] = replace(cells[j], intervals=((at - w, at + w),))
        return replace(self, cells=cells)

    def holds(self, x: Tensor) -> Tensor:
        """Which rows x (n, columns) are in the event, (n,) bool."""
        found = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for j, cells in self.cells.items():
            found &= cells.hold(x[:, j], self.space.columns[j].step)
        return found

    def distance(self, x: Tensor) -> Tensor:
        """How far rows (n, columns) are from the event, (n,), 0 for those in it.

        The sum over columns of the distance to the nearest value that is asked for, in units of the column's range; 1
        where a category is another one, or a cell is missing that should not be, or the reverse.
        """
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for j, cells in self.cells.items():
            column = self.space.columns[j]
            away = torch.ones_like(total)
            if cells.intervals is not None and (column.is_number or column.kind == "ordinal"):
                range_ = (column.high - column.low) if column.is_number else len(column.categories) - 1
                near = [torch.maximum(low - x[:, j], x[:, j] - high) for low, high in cells.intervals]
                away = torch.where(x[:, j].isnan(), 1.0, torch.stack(near).amin(0).clamp_min(0.0) / (range_ or 1.0))
            total = total + torch.where(cells.hold(x[:, j], column.step), 0.0, away.clamp_min(1e-12))
        return total

    def impose(self, x: Tensor) -> Tensor:
        """Rows with the columns that have only one value set to it."""
        x = x.clone()
        for j, cells in self.cells.items():
            if cells.point is not None:
                x[:, j] = cells.point
        return x

    def __str__(self) -> str:
        return self.text
