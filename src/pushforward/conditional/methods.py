"""The four ways to samples in an event: closed form, rejection, importance weights, subset simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..dataset import join, rows
from ..errors import InputError
from ..noise import mix_seed
from ..spaces import Classes
from .asking import Given, Request
from .mixture import Mixture, mixture_of
from .pool import RACES, Pool, draw_pool
from .regions import Region
from .replay import core_condition
from .stand_in import Usable, stand_in, weigher
from .subset import subset_simulation

_PILOT, _PARTICLES = 2_000, 600
_MOST_STATE = 1 << 27
"""Numbers of all particles' states."""


def exactly(asked: Request) -> Given:
    """Of a mixture of Gaussians: each component conditioned in closed form.

    Where categories have clocks, the given ones' are drawn, and weighted by the mixture: that is "importance".

    Raises:
        InputError: the model gives the event no probability at all.
    """
    adapted, region = asked.adapted, asked.region
    assert adapted is not None and region is not None
    is_class = isinstance(asked.model.condition_space, Classes)
    label = int(asked.condition[0]) if is_class and asked.condition is not None else None
    mixture = mixture_of(adapted.core, label, asked.model.conditions)
    log_scale = 0.0
    if mixture.leading:
        known = core_condition(adapted, asked.condition).cpu().flatten(1)
        region = region.led_by(known.expand(len(region), -1))
        marginal = draw_pool(mixture, _free(mixture.dimensions - mixture.leading).led_by(known), 1, 0)
        log_scale = -math.inf if marginal is None else marginal.log_mass
    pool = _filled(asked, mixture, region)
    index, effective = pool.choose(asked.n, asked.seed)
    conditions = asked.condition
    if mixture.classes is not None:
        conditions = mixture.classes[pool.component[index]]
    elif conditions is not None:
        conditions = conditions.cpu().expand(asked.n, *conditions.shape[1:])
    if pool.replicate is None:
        said = f"closed form of a mixture of {len(mixture):,} Gaussians"
        note = said if pool.is_exact else f"{said}, by weighted draws within the event"
    else:
        note = (
            f"a mixture of {len(mixture):,} Gaussians given clocks of the categories, of which {RACES:,} were "
            "drawn and weighted by it"
        )
    probability = None if asked.is_density else min(1.0, math.exp(pool.log_mass - log_scale))
    return asked.answer(
        _decoded(asked, pool.z[index, mixture.leading :]),
        "exact" if pool.replicate is None else "importance",
        effective,
        conditions,
        [note],
        probability=probability,
        relative_error=None if probability is None else pool.relative_error,
    )


def _filled(asked: Request, mixture: Mixture, region: Region) -> Pool:
    """As many draws as it takes for n to be chosen from."""
    count = max(asked.n, 1_000)
    pool = draw_pool(mixture, region, count, asked.seed)
    for more in (8, 64):
        # More draws do not help beyond the clocks that were drawn.
        enough = 2 * asked.n if pool is None or pool.replicate is None else min(2 * asked.n, RACES // 4)
        if pool is not None and (pool.is_exact or pool.ess > enough):
            break
        pool = draw_pool(mixture, region, max(count, min(more * count, 1 << 18)), asked.seed)
    if pool is None or not math.isfinite(pool.log_mass):
        raise InputError(f"{asked.event} has no probability under this model.", "Ask for less.")
    return pool


def _free(dimensions: int) -> Region:
    """All of space."""
    whole = torch.full((1, dimensions, 1), math.inf, dtype=torch.float64)
    return Region(-whole, whole, torch.zeros(1, dimensions, dtype=torch.bool), torch.zeros(1, dtype=torch.int64))


def _decoded(asked: Request, z: Tensor) -> Tensor:
    pre = asked.pre
    assert pre is not None
    return torch.cat([pre.inverse(part.to(pre.parent.device)).cpu() for part in z.split(1 << 14)])


def by_importance(asked: Request, likelihood: Usable) -> Given:
    """Candidates in the event of a mixture fitted to the model's samples, chosen by the model's likelihood."""
    adapted, region = asked.adapted, asked.region
    assert adapted is not None and region is not None
    mixture = stand_in(adapted, asked.condition, seed=asked.seed)
    count = min(max(8 * asked.n, 4_000), 1 << 16)
    pool = draw_pool(mixture, region, count, asked.seed)
    if pool is None:
        raise InputError(f"{asked.event} is far from all samples of this model.", "Ask for less.")
    condition = None if asked.condition is None else asked.condition.expand(count, *asked.condition.shape[1:])
    log_prob = weigher(adapted.core, likelihood)(pool.z, core_condition(adapted, condition), asked.seed)
    log_weights = pool.log_weights + log_prob - mixture.log_prob(pool.z)
    pool = replace(pool, log_weights=log_weights.nan_to_num(-math.inf, posinf=-math.inf, neginf=-math.inf))
    index, effective = pool.choose(asked.n, asked.seed)
    note = f"{count:,} candidates of a mixture fitted to the model's samples, weighted by the model's likelihood"
    return asked.answer(
        _decoded(asked, pool.z[index]),
        "importance",
        effective,
        None if asked.condition is None else asked.condition.cpu().expand(asked.n, *asked.condition.shape[1:]),
        [note],
        probability=None if asked.is_density else math.exp(min(0.0, pool.log_mass)),
        relative_error=None if asked.is_density else pool.relative_error,
    )


def by_rejection(asked: Request, insist: bool = False) -> Given | None:
    """The samples of the model that are in the event; None where that would take more than half of the budget.

    Raises:
        InputError: with `insist`, when the budget is used up.
    """
    model, n = asked.model, asked.n
    one = None if asked.condition is None else asked.condition[0]
    kept: list[tuple[Tensor, Any]] = []
    hits = drawn = 0
    size = max(_PILOT, min(n, 20_000))
    for turn in range(1 << 20):
        seed = mix_seed(asked.seed, 57, turn)
        x = model.sample(size, one, seed=seed, **asked.options)
        drawn += size
        held = asked.event.holds(x).nonzero()[:, 0]
        hits += len(held)
        condition = None
        if model.condition_space is not None:
            condition = model.draw_conditions(size, seed) if one is None else asked.condition.expand(size, *one.shape)
        kept.append((x[held].cpu(), None if condition is None else rows(condition, held).cpu()))
        if hits >= n:
            break
        asked.log(f"{drawn:,} draws: {hits:,} in the event, of {n:,}")
        few = hits < 5
        if few and drawn < asked.budget // 20:
            size = min(10_000, asked.budget // 20)
            continue
        if insist:
            if drawn >= asked.budget:
                raise InputError(
                    f"{hits:,} of {drawn:,} samples of the model are in {asked.event}, and {n:,} were asked for.",
                    "Raise the budget, or leave the method to be chosen.",
                )
        elif few or drawn + (n - hits) * drawn / hits > asked.budget / 2:
            return None
        wanted = math.ceil(1.1 * (n - hits) * drawn / max(1, hits))
        size = max(1_000, min(wanted, 50_000, max(1_000, asked.budget - drawn)))
    x, condition = join([k[0] for k in kept]), join([k[1] for k in kept])
    first = torch.arange(n)
    probability = hits / drawn
    return asked.answer(
        x[:n],
        "rejection",
        float(n),
        rows(condition, first),
        [f"{hits:,} of {drawn:,} samples of the model were in the event"],
        probability=None if asked.exact_event else probability,
        relative_error=None if asked.exact_event else math.sqrt((1 - probability) / hits),
        draws=drawn,
    )


def by_mcmc(asked: Request) -> Given:
    """Subset simulation in the space of all the random numbers that the model draws.

    Raises:
        InputError: no sample came into the event within the budget; a state that does not fit into memory.
    """
    base, region, event = asked.base, asked.region, asked.event
    numbers = base.count()
    most = _MOST_STATE // max(1, numbers)
    particles = min(max(_PARTICLES, min(asked.n, 5_000)), most)
    if particles < 100:
        raise InputError(
            f"a sample of this model takes {numbers:,} random numbers: too many to search for {event}.",
            "Choose a sampler with fewer (--set sampler=ddim).",
        )

    def evaluate(state: Tensor) -> tuple[Tensor, Tensor]:
        z, x, condition = base(state)
        distance = event.distance(x) if region is None else region.distance(z.double())
        # The table says what is in the event; a border may be rounded to either side.
        distance = torch.where(event.holds(x), 0.0, distance.clamp_min(1e-9))
        parts = (
            [x]
            if condition is None
            else [x, condition.cpu().double().flatten(1) if condition.ndim > 1 else condition.cpu().double()[:, None]]
        )
        return torch.cat(parts, 1), distance

    columns = len(event.space.columns)
    open_ = [j for j in range(columns) if j not in event.cells or event.cells[j].point is None]
    found = subset_simulation(
        evaluate, numbers, particles, seed=asked.seed, budget=asked.budget,
        rounds=math.ceil(asked.n / particles), log=asked.log,
    )  # fmt: skip
    if not found.reached:
        raise InputError(
            f"no sample of this model came into {asked.exact_event or event} in {found.draws:,} draws: its probability "
            f"is below about {found.probability:.0e}.",
            "Ask for less, or raise the budget.",
        )
    generator = torch.Generator().manual_seed(mix_seed(asked.seed, 58))
    chosen = torch.randperm(len(found.rows), generator=generator)[: asked.n]
    rows_ = found.rows[chosen]
    conditions = None
    if (space := asked.model.condition_space) is not None:
        conditions = rows_[:, columns:].to(space.dtype).view(asked.n, *space.shape)
    note = f"MCMC over the {numbers:,} random numbers of a sample, through {len(found.levels)} nested events"
    return asked.answer(
        rows_[:, :columns],
        "mcmc",
        found.ess(chosen, torch.tensor(open_)),
        conditions,
        [note],
        probability=None if asked.exact_event else found.probability,
        relative_error=None if asked.exact_event else found.relative_error,
        draws=found.draws,
    )
