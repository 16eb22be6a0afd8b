"""Many draws of a mixture in one region, with importance weights: what samples of an event are chosen from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import Noise
from .conditioning import Plan, independent_draws, independent_mass, kish
from .mixture import Mixture
from .regions import Region

_PILOT = 64
RACES = 4096
"""Drawings of the clocks of all boxes."""


@dataclass(frozen=True)
class Pool:
    """P weighted draws.

    Attributes:
        z: (P, D). component: (P,) of the mixture. log_weights: (P,); their mean is the mass of the region.
        replicate: (P,) where clocks of races were drawn, the drawing of them that a draw shares with others.
        per_box: then, how many such drawings each box has; those of box b are b * per_box, b * per_box + 1, ...
    """

    z: Tensor
    component: Tensor
    log_weights: Tensor
    replicate: Tensor | None = None
    per_box: int = 1

    @property
    def log_mass(self) -> float:
        return float(self.log_weights.logsumexp(0)) - math.log(len(self.log_weights))

    def _shared(self, weights: Tensor) -> Tensor:
        """Sums of weights (P,) over the draws that share their clocks."""
        if self.replicate is None:
            return weights
        return torch.zeros(int(self.replicate.max()) + 1, dtype=weights.dtype).index_add_(0, self.replicate, weights)

    @property
    def ess(self) -> float:
        """Kish's effective sample size; draws that share their clocks count as one."""
        return float(kish(self._shared(self.log_weights.softmax(0))[None])[0])

    @property
    def relative_error(self) -> float:
        """Standard error of the mass over it: of the draws, and of the clocks that were drawn before them."""
        weights = self.log_weights.softmax(0)
        variance = 0.0 if self._is_even else float((weights * len(weights)).var()) / max(1, len(weights))
        if self.replicate is not None:
            # What is left of the sum of squares without the squares of the draws themselves is that of the shares that
            # the drawings of clocks have; drawings of one box differ by chance alone.
            pairs = self._shared(weights).square().sum() - weights.square().sum()
            box = self.replicate // self.per_box
            boxes = torch.zeros(int(box.max()) + 1, dtype=weights.dtype).index_add_(0, box, weights)
            variance += max(0.0, float(pairs - boxes.square().sum() / self.per_box))
        return math.sqrt(variance)

    @property
    def _is_even(self) -> bool:
        return bool(self.log_weights.max() - self.log_weights.min() < 1e-6)

    @property
    def is_exact(self) -> bool:
        """Whether the draws are independent draws of the conditional distribution: no clocks, and equal weights."""
        return self.replicate is None and self._is_even

    def choose(self, n: int, seed: int) -> tuple[Tensor, float]:
        """n draws by their weights (systematic resampling, in random order), and their effective sample size.

        That is n for exact draws, else 1 / (1 / n + 1 / ess): what resampling adds to the variance of averages.
        """
        if self._is_even and len(self.z) >= n:
            effective = float(n) if self.is_exact else 1 / (1 / n - 1 / len(self.z) + 1 / self.ess)
            return torch.arange(n), effective
        noise = Noise.of(seed, 53, index=torch.zeros(1, dtype=torch.int64))
        u = noise.uniform(1, dtype=torch.float64)
        ends = self.log_weights.softmax(0).cumsum(0)
        at = (torch.arange(n) + u[0]) / n * ends[-1]
        index = torch.searchsorted(ends, at, right=True).clamp_max(len(ends) - 1)
        order = noise.uniform(n)[0].argsort()
        return index[order], 1 / (1 / n + 1 / self.ess)


def draw_pool(mixture: Mixture, region: Region, count: int, seed: int) -> Pool | None:
    """`count` draws of the mixture in the union of the boxes; None where its mass there is zero.

    Boxes and components are drawn by their mass, which is known in closed form or estimated by a first round.
    """
    is_raced, q = region.is_raced, 1
    if is_raced:
        q = max(2, RACES // len(region))
        region = region.raced(q, Noise.of(seed, 50, index=torch.arange(len(region))))
    prior = mixture.log_weights + (0.0 if region.log_weight is None else region.log_weight[:, None])
    plan = None
    if mixture.is_diagonal:
        log_mass = independent_mass(mixture, region)
    else:
        plan = Plan(mixture, region)
        each = max(1, _PILOT // len(region))
        shape = (len(region), len(mixture), each)
        noise = Noise.of(seed, 51, index=torch.arange(math.prod(shape)))
        pilot = [noise.uniform(1, dtype=torch.float64).view(shape) for _ in range(plan.most)]
        log_mass = plan.walk(*plan.grid(), pilot)[1].logsumexp(2) - math.log(each)
    target = (prior + log_mass).flatten()
    if not bool((target > -math.inf).any()):
        return None
    q_group = target.softmax(0)
    noise = Noise.of(seed, 52, index=torch.arange(count))
    ends = q_group.cumsum(0)
    u = noise.uniform(1, dtype=torch.float64)[:, 0]
    group = torch.searchsorted(ends, u * ends[-1], right=True).clamp_max(len(ends) - 1)
    box, component = group // len(mixture), group % len(mixture)
    if plan is None:
        z = independent_draws(mixture, region, box, component, noise.uniform(mixture.dimensions, dtype=torch.float64))
        log_w = log_mass[box, component]
    else:
        steps = [noise.uniform(1, dtype=torch.float64)[:, 0] for _ in range(plan.most)]
        eps, log_w = plan.walk(box, component, steps)
        z = plan.assemble(box, component, eps, noise.normal(mixture.dimensions, dtype=torch.float64))
    log_weights = prior.expand_as(log_mass)[box, component] + log_w - q_group[group].log()
    return Pool(z, component, log_weights, box if is_raced else None, q)
