r"""Rare events of any model: subset simulation in the space of its standard normals.

The event is reached through a sequence of larger ones, :math:`\{d(x) \le \epsilon_1\} \supset \{d(x) \le \epsilon_2\}
\supset \dots \supset \{d(x) = 0\}`, each holding a fifth of the particles of the one before (Au and Beck 2001; Cérou,
Del Moral, Furon, Guyader 2012). Survivors are copied in the place of the others and moved apart by preconditioned
Crank-Nicolson steps, :math:`\xi' = \sqrt{1 - b^2}\, \xi + b \eta` (Neal 1998; Cotter, Roberts, Stuart, White 2013),
which leave N(0, I) invariant in any number of dimensions and are accepted where :math:`d(x(\xi')) \le \epsilon_k`.

The particles of the first level are independent, and each begins a family of its own: with c_i of N survivors in the
event, the estimate is a mean of independent families' sizes, and

.. math:: \widehat{\mathrm{Var}}(\hat p) / \hat p^2 = \sum_i c_i^2 / (\textstyle\sum_i c_i)^2 - 1 / N

knows of copies that live and die together (Lee and Whiteley 2018, "Variance estimation in the particle filter").

How much the copies still resemble each other says what the sample is worth: with the intraclass correlation rho of
families of mean size m, :math:`n / (1 + (m - 1) \rho)` independent draws (Kish's design effect).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..noise import mix_seed

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A state (n, M) to rows (n, F) and distances (n,) to the event."""

SHARE = 0.2
_ACCEPTED = 0.3
_APART = 1.5
"""Moves go on until copies have forgotten: the correlation of their states is e to minus this, on average."""
_MOST_MOVES, _LEAST_STEP = 60, 0.01


@dataclass
class Subset:
    """What subset simulation found.

    Attributes:
        rows: (N * rounds, F) of the particles in the event; the survivors (N, F), not moved, without rounds.
        probability: of the event, or of the last level that was reached. relative_error: its standard error over it.
        reached: whether that is the event. levels: the epsilons. draws: rows that the model drew.
        acceptance: share of the moves that were accepted. ancestors: particles of the first level with descendants in
            the event, each counted by its share of them (Kish's effective number).
        families: for each level, the survivor that each particle descends from.
    """

    rows: Tensor
    probability: float = 1.0
    relative_error: float = math.inf
    reached: bool = False
    levels: list[float] = field(default_factory=list)
    draws: int = 0
    acceptance: float = math.nan
    ancestors: float = 0.0
    families: list[Tensor] = field(default_factory=list)

    def ess(self, chosen: Tensor, columns: Tensor) -> float:
        """What the rows `chosen` are worth, by their `columns`: the least over the levels' families."""
        alike = self.rows[chosen][:, columns]
        return min([float(len(chosen)), *(worth(alike, families[chosen]) for families in self.families)])


def subset_simulation(
    evaluate: Evaluate,
    dimension: int,
    particles: int,
    *,
    seed: int,
    budget: int,
    rounds: int = 1,
    moves: int | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> Subset:
    """Rows in an event of any probability, and that probability.

    Args:
        evaluate: distances must be 0 in the event alone. dimension: M.
        budget: rows that the model may draw. rounds: how many times the particles are collected, moved apart between;
            0: the probability alone is wanted.
        moves: of each particle at each level; None: until copies have forgotten each other. log: gets a line for each
            level.
    """
    generator = torch.Generator().manual_seed(mix_seed(seed, 54))
    dtype = torch.float64 if particles * dimension <= 1 << 22 else torch.float32

    def normal() -> Tensor:
        return torch.randn(particles, dimension, generator=generator, dtype=dtype)

    state = normal()
    rows, distance = evaluate(state)
    found = Subset(rows, draws=particles)
    everyone = torch.arange(particles)
    collected: list[Tensor] = []
    rates: list[float] = []
    step = 0.5
    while len(collected) < rounds or not found.reached:
        if not found.reached:
            level = _next_level(distance, found.levels[-1] if found.levels else math.inf)
            last = level == 0 and rounds == 0  # nothing is drawn after it
            if level is None or (found.draws + particles > budget and not last):
                return found
            alive = (distance <= level).nonzero()[:, 0]
            found.probability *= len(alive) / particles
            found.levels.append(level)
            found.reached = level == 0
            log(f"{found.draws:,} draws: a larger event of probability {found.probability:.2g}")
            copies = alive[everyone * len(alive) // particles]
            state, rows, distance = state[copies], rows[copies], distance[copies]
            found.families = [f[copies] for f in found.families] + [copies]
            if found.reached:
                _account(found, particles)
            if last:
                break
        apart = 0.0
        for _ in range(_MOST_MOVES if moves is None else moves):
            enough = moves is None and apart > _APART * (2 if found.reached else 1)
            if enough or found.draws + particles > budget:
                break
            proposal = math.sqrt(1 - step**2) * state + step * normal()
            new_rows, new_distance = evaluate(proposal)
            found.draws += particles
            accepted = new_distance <= found.levels[-1]
            state = torch.where(accepted[:, None], proposal, state)
            rows = torch.where(accepted[:, None], new_rows, rows)
            distance = torch.where(accepted, new_distance, distance)
            rate = float(accepted.double().mean())
            rates.append(rate)
            apart -= 0.5 * rate * math.log(1 - step**2)
            step = min(0.999, max(_LEAST_STEP, step * math.exp(rate - _ACCEPTED)))
        found.rows, found.acceptance = rows, sum(rates) / len(rates) if rates else math.nan
        if found.reached:
            collected.append(rows)
    if rounds > 0:
        found.rows = torch.cat(collected)
        found.families = [f.repeat(rounds) for f in found.families]
    return found


def _account(found: Subset, particles: int) -> None:
    """The standard error and what it rests on, by the sizes of the first particles' families."""
    size = torch.bincount(found.families[0]).double()
    found.ancestors = float(size.sum().square() / size.square().sum())
    found.relative_error = math.sqrt(max(0.0, 1 / found.ancestors - 1 / particles))


def _next_level(distance: Tensor, last: float) -> float | None:
    """The distance that a fifth of the particles are within, and smaller than the last one; None if none is nearer."""
    level = float(distance.double().quantile(SHARE))
    if level >= last or (level > 0 and float((distance <= level).double().mean()) > 0.5):  # many are equally far
        nearer = distance[distance < min(level, last)]
        if len(nearer):
            return float(nearer.max())
        return level if level < last else None
    return level


def worth(x: Tensor, families: Tensor) -> float:
    """How many independent draws the rows x (n, F) are worth, by how alike those of a family (n,) are, on average.

    The intraclass correlation is that of one-way analysis of variance, on ranks.
    """
    _, which = torch.unique(families, return_inverse=True)
    n, groups = len(x), int(which.max()) + 1
    if groups == n or n < 3:
        return float(n)
    if groups == 1:
        return 1.0
    size = torch.bincount(which, minlength=groups).double()
    mean_size = float(size.square().sum() / n)
    ranks = torch.stack([_ranks(column) for column in x.unbind(1)], 1)
    ranks = ranks[:, ranks.std(0) > 0]
    if ranks.shape[1] == 0:
        return float(n)
    means = torch.zeros(groups, ranks.shape[1], dtype=torch.float64).index_add_(0, which, ranks) / size[:, None]
    between = (means.square() * size[:, None]).sum(0)
    within = ranks.square().sum(0) - between
    a, b = between / (groups - 1), within / (n - groups)
    even = (n - mean_size) / (groups - 1)
    rho = float(((a - b) / (a + (even - 1) * b)).mean().clamp(0.0, 1.0))
    return n / (1 + (mean_size - 1) * rho)


def _ranks(x: Tensor) -> Tensor:
    """Centred ranks (n,) in which equal numbers have the same one; missing ones come first."""
    _, which, counts = torch.unique(x.nan_to_num(-1e300), return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0).double() - counts.double() / 2)[which]
    return ranks - ranks.mean()
