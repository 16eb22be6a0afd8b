"""Probabilities of events under a model: counted, or found in the model's random numbers where they are rare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..conditional.replay import Base
from ..errors import InputError, did_you_mean
from ..families.adapted import Adapted
from ..families.classic.kde import KDE
from ..model import GenerativeModel
from ..spaces import Table
from .drawing import Draws, Log, answers, check_n
from .estimates import Estimate, of_hits, of_rare
from .formulas import Formula
from .parser import parse
from .rare import LEAST_DRAWS, Rare, estimate, most_particles

RARE = ("auto", "always", "never")
_PILOT = 20
"""One draw in so many looks how rare the event is."""
_ENOUGH, _FEW = 100, 30
"""Hits that are expected where counting is good enough; below which it is told that they are few."""
_LEAST_PARTICLES = 500

Predicate = Callable[[Tensor], Any]


@torch.no_grad()
def probability(
    model: GenerativeModel,
    event: str | Predicate,
    n: int | None = None,
    *,
    rare: str = "auto",
    distance: Predicate | None = None,
    condition: Any = None,
    seed: int = 0,
    conditions: Sequence[str] = (),
    log: Log = lambda text: None,
    **options: Any,
) -> Estimate:
    """The probability that a sample of the model is in an event.

    Args:
        event: an expression ("x1 > 3 and x2 < 0"), which is read and never executed; or a function of samples
            (n, *shape) to n booleans.
        n: samples that the model may draw; None: 100,000, and fewer of large pictures.
        rare: "auto" looks at one sample in twenty, and counts where that promises 100 hits; else the event is
            approached by multilevel splitting in the space of the model's random numbers, and then by importance
            sampling about it where that is better. "always" does so at once, "never" counts.
        distance: of a function `event`: samples to n numbers, positive outside and the larger the farther, by which it
            can be approached. Expressions have one by themselves.
        condition: one, of a conditional model; None: as often as in the data. conditions: names of condition columns,
            for errors. options: of the model's sampling.

    Raises:
        InputError: an expression that cannot be read, or is no condition; a function that does not give booleans;
            `rare="always"` where rare events cannot be approached, with the reason.
    """
    if rare not in RARE:
        raise InputError(f"rare is {rare!r}.", did_you_mean(str(rare), RARE))
    draws = Draws.of(model, condition, seed, options, log)
    n = check_n(n, model)
    asked = _Event.of(event, distance, model, conditions)
    base = Base(model, draws.condition, {**model.options, **options})
    reason = asked.reason or cannot_approach(base)
    if reason is None and n < LEAST_DRAWS:
        reason = f"rare events take at least {LEAST_DRAWS:,} draws"
    if rare == "always" and reason is not None:
        raise InputError(f"this event cannot be approached: {reason}.", "Count it: rare=never (--rare never).")
    if rare == "never" or reason is not None:
        return _counted(asked, draws, n, n, [], "" if reason is None else reason)
    seen = max(1_000, n // _PILOT)
    pilot = torch.cat([asked.cells(x) for x in draws.parts(seen, 1)])
    hits = int(asked.holds_of(pilot).sum())
    if rare == "auto" and hits * n >= _ENOUGH * seen:
        # The look decided how to go on: were it counted too, what it happened to see would count twice.
        return _counted(asked, draws, n - seen, n, [], "")
    asked = asked.with_scales(pilot)

    def away(states: Tensor) -> Tensor:
        return asked.distance_of(asked.cells(base(states)[1]))

    found = estimate(away, base.count(), n - seen, seed=draws.seed, log=log)
    if found.value is None:
        left = n - seen - found.draws
        if left < seen:  # the look's own samples are all that is left to count
            return of_hits(hits, seen, n - left, found.notes, asked.text)
        return _counted(asked, draws, left, n, found.notes, "")
    return of_rare(
        found.value, found.relative_error, seen + found.draws, found.effective_sample_size, found.method,
        [*found.notes, _worth(found)], asked.text,
    )  # fmt: skip


def cannot_approach(base: Base) -> str | None:
    """Why rare events of a model cannot be approached in the space of its random numbers, or None."""
    core = base.model.core if isinstance(base.model, Adapted) else base.model
    if isinstance(core, KDE):
        return (
            "kde draws one of its training points, and points have no neighbours to move to (gmm, real-nvp, vae and "
            "gan move)"
        )
    try:
        numbers = base.count()
    except TypeError:
        return f"samples of {type(core).__name__} are not a function of random numbers that can be played back"
    if numbers == 0:
        return f"samples of {type(core).__name__} draw no random numbers"
    if most_particles(numbers) < _LEAST_PARTICLES:
        return f"a sample takes {numbers:,} random numbers, too many to search"
    return None


def _worth(found: Rare) -> str:
    assert found.value is not None
    plain = (1 - found.value) / (found.value * max(found.relative_error, 1e-9) ** 2)
    return f"counting would take about {plain:.1g} draws for this error"


def _counted(asked: _Event, draws: Draws, count: int, n: int, notes: Sequence[str], reason: str) -> Estimate:
    """The share of `count` new samples in the event; n: samples drawn in all."""
    hits = sum(int(asked.holds_of(asked.cells(x)).sum()) for x in draws.parts(count, 2))
    said = list(notes)
    if hits < _FEW:
        said.append(f"{hits} of {count:,} samples are in the event" + (f"; {reason}" if reason else ""))
    if hits == 0 and isinstance(draws.model.space, Table):
        said.append("samples of a table stay in the range of its data: beyond it, probabilities are 0")
    return of_hits(hits, count, n, said, asked.text)


@dataclass(frozen=True)
class _Event:
    """An event by its expression, or by the user's functions.

    `cells` keeps what is needed of samples; `holds_of` and `distance_of` are of those.
    """

    text: str
    formula: Formula | None
    event: Predicate | None = None
    away: Predicate | None = None
    scales: tuple[float, ...] = ()

    @staticmethod
    def of(
        event: str | Predicate, distance: Predicate | None, model: GenerativeModel, conditions: Sequence[str]
    ) -> _Event:
        if isinstance(event, str):
            if distance is not None:
                raise InputError("an expression has a distance of its own.", "Leave distance out.")
            formula = parse(event, model.space, conditions)
            if not formula.is_condition:
                column = next((c for c in getattr(model.space, "columns", ()) if c.name == event.strip(" `")), None)
                text = column is not None and not column.is_number
                example = f'{event} == "{column.categories[-1]}"' if column is not None and text else f"{event} > 3"
                kind = "a column" if text else "a number"
                raise InputError(f"{event!r} is {kind}, not a condition.", f"Compare it, as in {example}.")
            return _Event(event, formula)
        if not callable(event):
            raise InputError(f"the event is {type(event).__name__}.", "Give an expression or a function of samples.")
        return _Event(getattr(event, "__name__", "event"), None, event, distance)

    @property
    def reason(self) -> str | None:
        """Why it cannot be approached."""
        if self.formula is None and self.away is None:
            return "a function says what is in the event, but not how far away a sample is (give distance=...)"
        return None

    def cells(self, samples: Tensor) -> Tensor:
        return samples if self.formula is None else self.formula.cells(samples)

    def holds_of(self, cells: Tensor) -> Tensor:
        if self.formula is not None:
            return self.formula.root.value(cells)
        assert self.event is not None
        found = answers(self.event, cells, "the event")
        if found.dtype != torch.bool:
            raise InputError(f"the event gives {found.dtype}.", "It must give booleans, such as x[:, 0] > 3.")
        return found

    def with_scales(self, cells: Tensor) -> _Event:
        if self.formula is None:
            return self
        return _Event(self.text, self.formula, scales=tuple(self.formula.scales_of(cells)))

    def distance_of(self, cells: Tensor) -> Tensor:
        if self.formula is not None:
            return self.formula.distance_of(cells, self.scales)
        assert self.away is not None
        away = answers(self.away, cells, "the distance").double()
        if bool(away.isnan().any()):
            raise InputError("the distance is not a number for some samples.", "It must be one for each.")
        return torch.where(self.holds_of(cells), 0.0, away.clamp_min(1e-12))
