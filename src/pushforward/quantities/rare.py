r"""Probabilities too small to count, of any model that is a function of standard normals.

Two estimates of :math:`p = P(x(u) \in E)`, :math:`u \sim N(0, I_M)` being all the random numbers of one sample:

**Multilevel splitting** (subset simulation, `conditional.subset`): nested events by a distance to E, each holding a
fifth of the particles of the one before, with the standard error of independent families.

**Importance sampling** about what splitting found: :math:`\hat p = \frac1n \sum_i 1[x(u_i) \in E] \, w_i` with
:math:`w = \varphi / q` and q a Gaussian with the particles' mean and covariance, mixed with one of at least unit
covariance there and with N(0, I) itself, which keep the weights bounded (Hesterberg 1995). What q would cost is judged
twice before it is used, by a first few draws of q and by the particles in the event, which are not drawn from q and so
see where it is too small:

.. math:: \mathrm{Var}_q(1_E w) / p^2 = \mathrm{E}[w \mid E] / p - 1 .

Where that is not better than splitting, half of the other draws go to a second splitting, after which it is tried again
with the particles of both; and then the rest to a third.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ..conditional.subset import Subset, subset_simulation
from ..noise import mix_seed
from .proposal import Proposal

Distance = Callable[[Tensor], Tensor]
"""Of states (n, M), how far their samples are from the event (n,), 0 in it alone."""

MOVES = 3
_FIRST_SHARE, _LEVELS = 0.4, 10
"""Splitting gets this share of the draws when the event is so many levels away (a fifth each: 1e-7)."""
_LEAST_PARTICLES, _MOST_NUMBERS = 100, 1 << 25
_FEW_ANCESTORS, _SOME_ANCESTORS = 4.0, 10.0
"""Of the particles in the event: with fewer there is no estimate; with fewer it comes with a caution."""
_MOST_DIMENSIONS = 600
_TRIAL, _LEAST_HITS = 0.05, 30
LEAST_DRAWS = 5_000
"""Fewer draws than this leave splitting too few particles."""


@dataclass
class Rare:
    """What was found.

    Attributes:
        value: the probability; None when the event was not reached, or no estimate can be trusted.
        relative_error: standard error over it. draws: of the model. method: in words. notes: how it went.
        effective_sample_size: independent draws in the event that the estimate rests on.
        reached: the probability of the last event reached, an order of magnitude where `value` is None.
    """

    value: float | None
    relative_error: float = math.inf
    draws: int = 0
    method: str = "multilevel splitting"
    effective_sample_size: float = 0.0
    reached: float = 1.0
    notes: list[str] = field(default_factory=list)


def most_particles(numbers: int) -> int:
    """How many states of `numbers` random numbers are held at a time."""
    return _MOST_NUMBERS // max(1, numbers)


def estimate(
    distance: Distance, numbers: int, n: int, *, seed: int, log: Callable[[str], None] = lambda text: None
) -> Rare:
    """The probability that the distance is 0, from at most n draws.

    Args:
        numbers: M. n: at least `LEAST_DRAWS`. log: gets a line for each level.
    """

    def evaluate(state: Tensor) -> tuple[Tensor, Tensor]:
        return state, distance(state)

    particles = min(int(_FIRST_SHARE * n / (1 + MOVES * _LEVELS)), most_particles(numbers))
    # The moves within the event are for importance sampling.
    first = subset_simulation(
        evaluate, numbers, max(particles, _LEAST_PARTICLES), seed=seed, budget=n, moves=MOVES, log=log
    )
    found = Rare(None, draws=first.draws, reached=first.probability)
    if first.reached and first.ancestors < _FEW_ANCESTORS:  # steps of unequal heights: more moves may help
        particles = int(0.6 * (n - found.draws) / (1 + 2 * MOVES * (len(first.levels) + 1)))
        if particles >= _LEAST_PARTICLES:
            first = subset_simulation(
                evaluate, numbers, min(particles, most_particles(numbers)), seed=mix_seed(seed, 64),
                budget=n - found.draws, moves=2 * MOVES, log=log,
            )  # fmt: skip
            found.draws += first.draws
            found.reached = first.probability
    if not first.reached or first.ancestors < _FEW_ANCESTORS:
        found.notes.append(_failure(first))
        return found
    parts = [first]
    for share in (0.5, 1.0):
        left = n - found.draws
        pooled = _Pooled(parts)
        tried = int(min(_TRIAL * n, left / 2))
        if numbers <= _MOST_DIMENSIONS and tried > 0:
            proposal = Proposal.of(pooled.states, pooled.worth)
            trial = proposal.weights(distance, tried, mix_seed(seed, 61, len(parts)))
            found.draws += tried
            left -= tried
            if _is_better(proposal, trial, pooled, left):
                return _weighted(found, proposal, distance, left, pooled, seed)
        particles = min(int(share * left) // (1 + MOVES * (len(first.levels) + 1)), most_particles(numbers))
        if particles < _LEAST_PARTICLES:
            break
        again = subset_simulation(
            evaluate, numbers, particles, seed=mix_seed(seed, 63, len(parts)), budget=left, moves=MOVES, log=log
        )
        found.draws += again.draws
        if again.reached:
            parts.append(again)
    pooled = _Pooled(parts)
    found.value, found.relative_error = pooled.probability, pooled.relative_error
    found.effective_sample_size = sum(part.ancestors for part in parts)
    found.notes += [*map(_how, parts), *_caution(parts)]
    found.notes.append("no importance weights: those of Gaussians about the event would vary too much")
    return found


@dataclass(frozen=True)
class _Pooled:
    """Several splittings, averaged by their numbers of particles."""

    parts: list[Subset]

    @property
    def states(self) -> Tensor:
        """Of all particles in the event, (particles, M)."""
        return torch.cat([part.rows.double() for part in self.parts])

    @cached_property
    def worth(self) -> float:
        """Independent states that these are worth."""
        every = [(part, torch.arange(len(part.rows)), torch.arange(part.rows.shape[1])) for part in self.parts]
        return sum(part.ess(chosen, columns) for part, chosen, columns in every)

    @property
    def shares(self) -> list[float]:
        total = sum(len(part.rows) for part in self.parts)
        return [len(part.rows) / total for part in self.parts]

    @property
    def probability(self) -> float:
        return sum(share * part.probability for share, part in zip(self.shares, self.parts))

    @property
    def relative_error(self) -> float:
        errors = [s * part.probability * part.relative_error for s, part in zip(self.shares, self.parts)]
        return math.hypot(*errors) / self.probability

    @property
    def draws(self) -> int:
        return sum(part.draws for part in self.parts)


def _failure(first: Subset) -> str:
    if first.reached:
        return (
            f"splitting cannot be trusted here: all particles in the event descend from about {first.ancestors:.0f} of "
            "the first ones"
        )
    return (
        f"splitting came no nearer in {first.draws:,} draws than an event of probability about "
        f"{first.probability:.0e}: the event is rarer still, or impossible"
    )


def _is_better(proposal: Proposal, trial: Tensor, pooled: _Pooled, left: int) -> bool:
    """Whether the weights of `left` draws are expected to give a smaller error than as many draws of splitting."""
    if int((trial > 0).sum()) < _LEAST_HITS:
        return False
    mean = float(trial.mean())
    seen = float(trial.square().mean()) / mean**2 - 1
    behind = _behind(proposal, pooled, pooled.probability)
    own = pooled.relative_error**2
    agree = abs(math.log(mean / pooled.probability)) < 3 * math.sqrt(own + seen / len(trial)) + 0.05
    splitting = own * pooled.draws / (pooled.draws + left)
    return agree and max(seen, behind) / left < splitting


def _behind(proposal: Proposal, pooled: _Pooled, probability: float) -> float:
    """The variance of a weight over p^2, by the particles in the event."""
    return float(proposal.log_weights(pooled.states).exp().mean()) / probability - 1


def _weighted(found: Rare, proposal: Proposal, distance: Distance, n: int, pooled: _Pooled, seed: int) -> Rare:
    weights = proposal.weights(distance, n, mix_seed(seed, 62))
    found.draws += n
    found.value = float(weights.mean())
    # Where q is too small, its own draws rarely see it: the particles do.
    variance = max(float(weights.var()) / found.value**2, _behind(proposal, pooled, found.value))
    found.relative_error = math.sqrt(variance / n)
    found.effective_sample_size = float(weights.sum().square() / weights.square().sum())
    found.method = "importance sampling after multilevel splitting"
    found.notes += [*map(_how, pooled.parts), *_caution(pooled.parts)]
    found.notes.append(
        f"{n:,} weighted draws of Gaussians about {len(proposal)} part{'s' if len(proposal) > 1 else ''} of the event: "
        f"{float((weights > 0).double().mean()):.0%} of them in it, worth {found.effective_sample_size:,.0f} equally "
        f"weighted ones; splitting alone gave {pooled.probability:.3g} ± {pooled.relative_error:.0%}"
    )
    return found


def _how(part: Subset) -> str:
    size = len(part.families[0])
    return (
        f"splitting with {size:,} particles through {len(part.levels)} nested events: {part.draws:,} draws, "
        f"{part.acceptance:.0%} of the moves accepted, {part.ancestors:,.0f} effective ancestors"
    )


def _caution(parts: Sequence[Subset]) -> list[str]:
    if sum(part.ancestors for part in parts) >= _SOME_ANCESTORS:
        return []
    return ["few ancestors: a part of the event far from where they are may have been missed; other seeds would tell"]
