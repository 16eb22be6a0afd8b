"""A request for samples in an event, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..bijections.table import TablePreprocess
from ..dataset import rows
from ..errors import InputError
from ..families.adapted import Adapted
from ..model import GenerativeModel
from .events import Event
from .regions import Region, region
from .replay import Base

TOLERANCE = 0.005
"""Of the spread of a column (between its 2.3% and 97.7% quantiles): how near to a number is near enough."""


@dataclass
class Given:
    """Samples in an event.

    Attributes:
        samples: (n, columns), all in the event. conditions: (n, ...) of a conditional model, else None.
        method: "exact", "rejection", "importance" or "mcmc".
        effective_sample_size: how many independent samples these are worth.
        probability: of the event under the model; None for an event of a density, whose probability is zero.
        relative_error: standard error of the probability over it. draws: rows that the model drew.
        tolerance: columns that were first drawn within so much of the number asked for, and then set to it.
        notes: how it was done, in plain words.
    """

    samples: Tensor
    method: str
    effective_sample_size: float
    probability: float | None = None
    relative_error: float | None = None
    draws: int = 0
    tolerance: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    conditions: Any = None


@dataclass(frozen=True)
class Request:
    """One call of `sample_given`.

    Attributes:
        event: as asked, or with room around numbers; `exact_event` is what samples are set to in the end.
        condition: (1, ...) or None. budget: rows that the model may draw. options: the sampling options given.
        log: gets a line now and then.
        tolerance: the room, by column.
    """

    model: GenerativeModel
    event: Event
    n: int
    condition: Any
    seed: int
    budget: int
    options: Mapping[str, Any]
    log: Callable[[str], None] = lambda text: None
    exact_event: Event | None = None
    tolerance: Mapping[int, float] = field(default_factory=dict)

    @cached_property
    def base(self) -> Base:
        return Base(self.model, self.condition, {**self.model.options, **self.options})

    @property
    def adapted(self) -> Adapted | None:
        """The model, where it is a core of real numbers behind the preprocessing of tables."""
        return self.base.adapted

    @property
    def pre(self) -> TablePreprocess | None:
        pre = None if self.adapted is None else self.adapted.preprocess_data
        return pre if isinstance(pre, TablePreprocess) else None

    @cached_property
    def region(self) -> Region | None:
        """Where the core's numbers must lie.

        Raises:
            InputError: nowhere, for columns follow from each other in another way.
        """
        if self.pre is None:
            return None
        found = region(self.pre, [self.event.cells])
        if len(found) == 0:
            pre, names = self.pre, self.event.space.names
            rules = [
                f"{names[c]} follows from {names[int(pre.parent[c])]}" for c in pre.derived() if c in self.event.cells
            ]
            raise InputError(
                f"no row is {self.event}: in the data {' and '.join(rules)}.", "Give one of those columns."
            )
        return found

    @property
    def is_density(self) -> bool:
        """Whether the event is of a density, and has probability zero."""
        return bool(self.event.densities) if self.region is None else bool(self.region.point.any())

    def relaxed(self) -> Request:
        """The request with room around the numbers of columns with a density."""
        if not self.is_density:
            return self
        columns, pre = self.event.space.columns, self.pre
        room: dict[int, float] = {}
        for j in self.event.densities:
            spread = columns[j].high - columns[j].low
            if pre is not None:
                number = pre.layout.intervals.index((j, False))
                if not bool(self.region.point[:, number].any()):  # type: ignore[union-attr]
                    continue  # an atom, which has probability
                ends = torch.tensor([-2.0, 2.0], dtype=torch.float64, device=pre.parent.device)
                low, high = pre.marginals.inverse(ends[:, None].expand(-1, len(pre.marginals)))[:, number].tolist()
                spread = (high - low) or spread
            room[j] = TOLERANCE * (spread or 1.0)
        return replace(self, event=self.event.relaxed(room), exact_event=self.event, tolerance=room)

    def answer(
        self, x: Tensor, method: str, effective: float, conditions: Any, notes: list[str], **facts: Any
    ) -> Given:
        """Rows (n, columns) as an answer; they are set to what was asked, and checked."""
        event = self.exact_event or self.event
        x = event.impose(x.cpu().double())
        held = event.holds(x)
        if not bool(held.any()):
            raise RuntimeError(f"no row of {len(x)} is {event}")
        # Numbers on a border may be rounded to its other side: such a row is replaced by another.
        good = held.nonzero()[:, 0]
        take = torch.where(held, torch.arange(len(x)), good[torch.arange(len(x)) % len(good)])
        names = event.space.names
        for j, width in self.tolerance.items():
            notes.append(f"{names[j]} was drawn within {width:.3g} of the number asked for, and then set to it")
        if effective < 0.5 * len(x):
            notes.append(f"these {len(x):,} samples are worth about {max(1, round(effective)):,} independent ones")
        return Given(
            x[take],
            method,
            effective,
            conditions=None if conditions is None else rows(conditions, take.to(conditions.device)),
            notes=notes,
            tolerance={names[j]: width for j, width in self.tolerance.items()},
            **facts,
        )
