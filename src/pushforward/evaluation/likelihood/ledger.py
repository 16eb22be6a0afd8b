"""The likelihood ledger: what each model's likelihood is worth, and which differences may be claimed.

Every model scores the same points with the same seed of noise. A value is exact, a lower bound, either of them
estimated, or unavailable with the reason. Only values against the same base measure, of the same points, given the same
condition, are compared; and a lower bound is never ranked against an exact value as if it were one (`significance`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError, did_you_mean
from .scoring import Likelihood, likelihood_of, score
from .significance import Paired, conclude, holm, paired

if TYPE_CHECKING:
    from ...model import GenerativeModel

__all__ = ["Difference", "Ledger", "Likelihood", "combine", "ledger", "likelihood_of"]

_UNFIT = "these points cannot be scored"


@dataclass(frozen=True)
class Difference:
    """Two models' likelihoods on the same points: `mean` nats in favour of `a`.

    Attributes:
        low, high: 95% interval. p_value: adjusted by Holm over all pairs. claimed: whether the interval excludes 0,
            the adjusted p-value is below 5%, and no bound stands in the way: one of the models is shown to be better.
        words: in a sentence, with the marks that bounds need; "no difference shown" when nothing is claimed.
    """

    a: str
    b: str
    mean: float
    low: float
    high: float
    p_value: float
    claimed: bool
    words: str


@dataclass
class Ledger:
    """Likelihoods of several models on the same points.

    Attributes:
        rows: by model, in the order given. values: nats (trainings, points), of the models that have them.
        differences: of every pair that can be compared. notes: what was not compared, and why; what limits the reading.
    """

    rows: dict[str, Likelihood]
    values: dict[str, np.ndarray]
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def unbeaten(self) -> list[str]:
        """The models with a likelihood that no other one is shown to be above."""
        beaten = {d.b if d.mean > 0 else d.a for d in self.differences if d.claimed}
        return [name for name in self.values if name not in beaten]


def ledger(
    models: Mapping[str, GenerativeModel | Sequence[GenerativeModel]],
    x: Any,
    condition: Any = None,
    *,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    ais: bool | Mapping[str, Any] = False,
) -> Ledger:
    """The likelihoods of all models on the same points with the same seed, and their paired differences.

    Args:
        models: by name: a fitted model, or several trainings of one (with other seeds).
        x, condition: held-out points as in `likelihood_of`; models that are unconditional do without the condition.
        seed: of the draws of bounds and estimates. options: `density_options` by the model's name.
        ais: as in `likelihood_of`, for every autoencoder.

    Raises:
        InputError: no models, points that are of no model's space, options of an unknown model.
    """
    if not models:
        raise InputError("there are no models to compare.", "Give at least one.")
    options = options or {}
    for name in options:
        if name not in models:
            raise InputError(f"options of a model {name!r}, which is not among the models.", did_you_mean(name, models))
    rows: dict[str, Likelihood] = {}
    values: dict[str, np.ndarray] = {}
    refused: InputError | None = None
    for name, given in models.items():
        trainings = list(given) if isinstance(given, Sequence) else [given]
        if not trainings:
            raise InputError(f"{name} has no trainings.", "Give a fitted model, or a list of them.")
        own = None if trainings[0].condition_space is None else condition
        try:
            points, own = trainings[0]._check_data(x, own)
        except InputError as error:
            refused = error
            rows[name] = Likelihood("unavailable", f"{_UNFIT}: {error}")
            continue
        rows[name], found = score(trainings, points, own, seed, options.get(name, {}), ais)
        if found is not None:
            values[name] = found
    if refused is not None and all(row.reason.startswith(_UNFIT) for row in rows.values()):
        raise refused
    return combine(rows, values)


def combine(rows: Mapping[str, Likelihood], values: Mapping[str, np.ndarray]) -> Ledger:
    """The ledger of likelihoods that were computed one by one, each with its `values` (trainings, points)."""
    made = Ledger(dict(rows), {name: np.atleast_2d(values[name]) for name in rows if name in values})
    found: list[tuple[str, str, Paired | None]] = []
    for a, b in combinations(made.values, 2):
        why = _apart(a, b, rows[a], rows[b])
        if why:
            made.notes.append(why)
        elif rows[a].infinite or rows[b].infinite:
            found.append((a, b, None))
        else:
            found.append((a, b, _paired(rows[a], rows[b], made.values[a], made.values[b])))
    both = {(a, b) for a, b, _ in found if rows[a].infinite and rows[b].infinite}
    adjusted = holm([float((a, b) in both) if each is None else each.p_value for a, b, each in found])
    for (a, b, each), p in zip(found, adjusted):
        if each is None:
            made.differences.append(_infinite(a, b, rows[a], rows[b]))
            continue
        claimed, words = conclude((a, b), (rows[a].is_bound, rows[b].is_bound), each, float(p), len(found))
        made.differences.append(Difference(a, b, each.mean, each.low, each.high, float(p), claimed, words))
    made.notes.extend(_limits(made))
    return made


def _apart(a: str, b: str, x: Likelihood, y: Likelihood) -> str:
    """Why two likelihoods are not compared, or ""."""
    if x.support != y.support or x.measure != y.measure:
        kinds = (x.unit, y.unit) if x.unit != y.unit else (x.measure, y.measure)
        return f"{a} and {b} are not compared: they have different supports ({kinds[0]}; {kinds[1]})."
    if x.given != y.given:
        first, second = (f"{n} is given {r.given}" if r.given else f"{n} is unconditional" for n, r in ((a, x), (b, y)))
        return f"{a} and {b} are not compared: {first}, {second}."
    if x.points != y.points or x.n != y.n:
        return f"{a} and {b} are not compared: they were scored on different points."
    return ""


def _paired(x: Likelihood, y: Likelihood, a: np.ndarray, b: np.ndarray) -> Paired:
    solver = (x.solver_error or 0.0) + (y.solver_error or 0.0)
    return paired(a, b, systematic=solver, monte_carlo=math.hypot(x.monte_carlo_error or 0, y.monte_carlo_error or 0))


def _infinite(a: str, b: str, x: Likelihood, y: Likelihood) -> Difference:
    """Where a model gives some points probability 0, its mean is -inf, whatever the others say."""

    def none(name: str, row: Likelihood) -> str:
        what = f"{name}'s bound" if row.is_bound else name
        return f"{what} gives {row.infinite:,} of {row.n:,} points no probability (mean -inf)"

    if x.infinite and y.infinite:
        words = f"no difference shown between {a} and {b}: {none(a, x)}; {none(b, y)}"
        return Difference(a, b, math.nan, -math.inf, math.inf, 1.0, False, words)
    sign = 1.0 if y.infinite else -1.0
    better, (name, row) = (a, (b, y)) if y.infinite else (b, (a, x))
    mean = sign * math.inf
    if row.is_bound:
        words = f"no claim: {none(name, row)}, and its likelihood may be higher; {better} gives some to all"
        return Difference(a, b, mean, mean, mean, 0.0, False, words)
    return Difference(
        a, b, mean, mean, mean, 0.0, True, f"{better} is above {name}: {none(name, row)}, {better} some to all"
    )


def _limits(made: Ledger) -> list[str]:
    """What limits the reading of the whole ledger."""
    notes = []
    for name, row in made.rows.items():
        if row.infinite:
            notes.append(f"{name} gives {row.infinite:,} of {row.n:,} points no probability: its mean is -inf.")
    if made.differences:
        alone = [name for name in made.values if made.rows[name].seeds == 1]
        if alone:
            notes.append(
                f"One training of {', '.join(alone)}: differences are of the fitted models; another training may "
                "come out otherwise."
            )
        n = min(row.n for row in made.rows.values() if row.mean is not None)
        if n < 100:
            notes.append(f"{n} points are few: intervals are wide, and rely on means being nearly normal.")
    return notes
