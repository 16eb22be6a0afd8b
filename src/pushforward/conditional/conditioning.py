r"""Draws of a mixture of Gaussians within regions of its numbers.

Within a component, numbers are drawn one after the other, each from its conditional normal cut to its intervals (the
estimator of Geweke 1991, Hajivassiliou and Keane); a point is where the number is put. The product of the masses (the
density, of a point) is the draw's weight, and its mean is the component's mass in the region. Weights are constant
where at most one of the constrained numbers is an interval, or all numbers are independent: then draws are exact, else
they are self-normalized.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import Noise
from . import truncated
from .mixture import Mixture
from .regions import Region

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_NUMBERS = 2**21
"""Numbers in the largest arrays of a chunk."""
RACES = 64
"""Draws of the clocks of a box."""


@dataclass(frozen=True)
class Draws:
    """Draws for n rows.

    Attributes:
        z: (n, J, D). ess: (n,) how many draws the candidates were worth that they were chosen from; inf: exact.
        log_mass: (n,) log of the mixture's mass in each row's region (a density, over points).
    """

    z: Tensor
    ess: Tensor
    log_mass: Tensor


def draw_rows(mixture: Mixture, region: Region, n: int, draws: int, noise: Noise, particles: int = 1024) -> Draws:
    """J = `draws` draws in the region of each of n rows; row i depends on row i of `noise` alone.

    Args:
        particles: how many draws within components a row's are chosen from.
    """
    boxes = torch.bincount(region.owner, minlength=n)
    most = int(boxes.max())
    first = boxes.cumsum(0) - boxes
    q = RACES if region.is_raced else 1
    each = 1 if mixture.is_diagonal else max(1, particles // (q * len(mixture)))
    width = 1 if mixture.is_diagonal else max(4 * each, mixture.dimensions**2 // 4)
    parts = []
    for rows in torch.arange(n).split(max(1, _NUMBERS // (most * q * len(mixture) * width))):
        used = torch.arange(most) < boxes[rows, None]
        chunk = region[torch.where(used, first[rows, None] + torch.arange(most), first[rows, None]).flatten()]
        if q > 1:
            chunk = chunk.raced(q, _of_boxes(noise[rows].at(50), most))
        parts.append(_draw_chunk(mixture, chunk, used, q, each, draws, noise[rows]))
    return Draws(*(torch.cat([getattr(p, name) for p in parts]) for name in ("z", "ess", "log_mass")))


def _of_boxes(noise: Noise, count: int) -> Noise:
    """Noise of `count` boxes for each row."""
    words = noise.uniform(count, dtype=torch.float64)
    return Noise((noise.key[:, None] ^ ((words * 2.0**52).long() * 2 + 1)).flatten())


def _draw_chunk(mixture: Mixture, region: Region, used: Tensor, q: int, each: int, draws: int, noise: Noise) -> Draws:
    """Draws for rows whose boxes are in the order (row, which, replicate); `used` (rows, most)."""
    (n, most), k = used.shape, len(mixture)
    base = torch.where(used, 0.0, -math.inf)[:, :, None, None, None] + mixture.log_weights[:, None]
    if region.log_weight is not None:
        base = base + region.log_weight.view(n, most, q, 1, 1)
    plan: Plan | None = None
    if mixture.is_diagonal:
        log_w = base + independent_mass(mixture, region).view(n, most, q, k, 1)
    else:
        plan = Plan(mixture, region)
        u = [noise.at(100 + s).uniform(most * q * k * each, dtype=torch.float64) for s in range(plan.most)]
        eps, walked = plan.walk(*plan.grid(), [v.view(-1, k, each) for v in u])
        log_w = base + walked.view(n, most, q, k, each)
    total = log_w.flatten(1).logsumexp(1)
    share = (log_w - total.view(n, 1, 1, 1, 1)).exp().nan_to_num(0.0)
    chosen = choose(share.flatten(1), noise.at(1).uniform(draws, dtype=torch.float64)).flatten()
    particle, component = chosen % each, chosen // each % k
    box = chosen // (each * k) + (torch.arange(n) * (most * q)).repeat_interleave(draws)
    if plan is None:
        u_all = noise.at(3).uniform(draws * mixture.dimensions, dtype=torch.float64)
        z = independent_draws(mixture, region, box, component, u_all.reshape(n * draws, -1))
    else:
        rest = noise.at(2).normal(draws * mixture.dimensions, dtype=torch.float64)
        z = plan.assemble(box, component, eps[box, component, particle], rest.reshape(n * draws, -1))
    return Draws(z.view(n, draws, -1), _effective(share), total - math.log(each))


def choose(share: Tensor, u: Tensor) -> Tensor:
    """Indices (n, J) by the shares (n, N), with u (n, J)."""
    ends = share.cumsum(1)
    return torch.searchsorted(ends, u * ends[:, -1:], right=True).clamp_max(share.shape[1] - 1)


def _effective(share: Tensor) -> Tensor:
    """Of the shares of particles (n, boxes, q, K, each): inf where they vary between boxes and components only."""
    if share.shape[2] > 1:  # what was drawn is common to all components
        return kish(share.sum((1, 3, 4)))
    inside = share.sum(4)
    loss = (share.square().sum(4) * share.shape[4] / inside.clamp_min(1e-300)).flatten(1).sum(1)
    return torch.where(loss < 1 + 1e-9, math.inf, kish(share.flatten(1)))


def kish(weights: Tensor) -> Tensor:
    """Kish's effective sample size (sum w)^2 / sum w^2 of weights (n, J), (n,)."""
    return weights.sum(1).square() / weights.square().sum(1).clamp_min(1e-300)


# ------------------------------------------------------------------------------------------------ dependent numbers


class Plan:
    """The order in which the numbers of each box are drawn: points, then the narrowest intervals, then free ones."""

    def __init__(self, mixture: Mixture, region: Region):
        mass = truncated.log_mass(region.low, region.high).logsumexp(2).clamp_min(-1e6)
        key = torch.where(region.constrained, torch.where(region.point, -1e9, mass), 1e9)
        self.order = key.argsort(dim=1, stable=True)
        self.count = region.constrained.sum(1)
        self.most = int(self.count.max())
        orders, self.which = torch.unique(self.order, dim=0, return_inverse=True)
        covariances = mixture.covariances()[:, orders[:, :, None], orders[:, None, :]]
        self.roots = torch.linalg.cholesky(covariances.transpose(0, 1))  # (orders, K, D, D)
        self.means = mixture.means[:, self.order].transpose(0, 1)  # (B, K, D)
        self.low = region.low.gather(1, self.order[:, :, None].expand_as(region.low))
        self.high = region.high.gather(1, self.order[:, :, None].expand_as(region.high))
        self.point = region.point.gather(1, self.order)

    def grid(self) -> tuple[Tensor, Tensor]:
        """All boxes (B, 1, 1) and all components (1, K, 1)."""
        b, k = self.means.shape[:2]
        return torch.arange(b)[:, None, None], torch.arange(k)[None, :, None]

    def walk(self, box: Tensor, component: Tensor, u: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Standard normals (*P, S) of the constrained numbers, and the log-weights (*P) of the draws.

        Args:
            box, component: of each draw, broadcast to the shape P of the uniform numbers `u` of each of the S steps.
        """
        shape = u[0].shape if u else torch.broadcast_shapes(box.shape, component.shape)
        order = self.which[box]
        eps = torch.zeros(*shape, self.most, dtype=torch.float64)
        log_w = torch.zeros(shape, dtype=torch.float64)
        for s in range(self.most):
            centre = self.means[:, :, s][box, component]
            if s:
                centre = centre + torch.linalg.vecdot(eps[..., :s], self.roots[:, :, s, :s][order, component])
            centre = centre.expand(shape)
            deviation = self.roots[:, :, s, s][order, component].expand(shape)
            active, point = self.count[box] > s, self.point[box, s]
            e = (self.low[box, s, 0] - centre) / deviation
            each = -0.5 * e.square() - _LOG_SQRT_2PI - deviation.log()
            free = (active & ~point).expand(shape)
            e, each = torch.where(free, 0.0, e), torch.where(free, 0.0, each)
            if bool(free.any()):
                mean, scale = centre[free][:, None], deviation[free][:, None]
                low, high = (v[:, s][box].expand(*shape, -1)[free] for v in (self.low, self.high))
                e[free], each[free] = _draw_union((low - mean) / scale, (high - mean) / scale, u[s][free])
            eps[..., s] = torch.where(active, e, 0.0)
            log_w += torch.where(active, each, 0.0)
        return eps, log_w

    def assemble(self, box: Tensor, component: Tensor, eps: Tensor, rest: Tensor) -> Tensor:
        """Numbers z (P, D) of draws: eps (P, S) of the constrained ones, rest (P, D) standard normals of the others."""
        d = rest.shape[1]
        own = torch.arange(d) < self.count[box, None]
        everything = torch.where(own, torch.nn.functional.pad(eps, (0, d - eps.shape[1])), rest)
        parts = []
        for i in torch.arange(len(box)).split(max(1, _NUMBERS // d**2)):
            step = self.roots[self.which[box[i]], component[i]] @ everything[i, :, None]
            parts.append(self.means[box[i], component[i]] + step[..., 0])
        z = torch.where(self.point[box], self.low[box, :, 0], torch.cat(parts))
        return torch.empty_like(z).scatter_(1, self.order[box], z)


def _draw_union(low: Tensor, high: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Standard normals in the union of intervals (..., m), by u (...), and the log of its mass (...)."""
    mass = truncated.log_mass(low, high)
    total = mass.logsumexp(-1)
    if mass.shape[-1] == 1:
        return truncated.draw(low[..., 0], high[..., 0], u), total
    share = (mass - total[..., None]).exp().nan_to_num(0.0)
    ends = share.cumsum(-1)
    at = (ends < u[..., None]).sum(-1, keepdim=True).clamp_max(mass.shape[-1] - 1)
    inside = (u[..., None] - (ends - share).gather(-1, at)) / share.gather(-1, at).clamp_min(1e-300)
    inside = inside[..., 0].clamp(1e-15, 1 - 1e-15)
    return truncated.draw(low.gather(-1, at)[..., 0], high.gather(-1, at)[..., 0], inside), total


# ------------------------------------------------------------------------------------------------ independent numbers


def independent_mass(mixture: Mixture, region: Region) -> Tensor:
    """log of the mass of each box in each component of a mixture with independent numbers, (B, K)."""
    total = torch.zeros(len(region), len(mixture), dtype=torch.float64)
    constrained = region.constrained
    for d in constrained.any(0).nonzero()[:, 0].tolist():
        # Cells repeat: each of the different ones once.
        cells = torch.cat([region.low[:, d], region.high[:, d], region.point[:, d, None].double()], 1)
        cells, which = torch.unique(cells, dim=0, return_inverse=True)
        m = region.low.shape[2]
        mean, deviation = mixture.means[:, d], mixture.factor[:, d]
        table = torch.empty(len(cells), len(mixture), dtype=torch.float64)
        point = cells[:, -1] > 0
        e = (cells[point, :1] - mean) / deviation
        table[point] = -0.5 * e.square() - _LOG_SQRT_2PI - deviation.log()
        for i in (~point).nonzero()[:, 0].split(max(1, _NUMBERS // (m * len(mixture)))):
            low, high = cells[i, None, :m], cells[i, None, m : 2 * m]
            mean_, scale = mean[:, None], deviation[:, None]
            table[i] = truncated.log_mass((low - mean_) / scale, (high - mean_) / scale).logsumexp(2)
        total += table[which]
    return total


def independent_draws(mixture: Mixture, region: Region, box: Tensor, component: Tensor, u: Tensor) -> Tensor:
    """Numbers z (P, D) in the boxes (P,) from the components (P,), by u (P, D)."""
    parts = []
    for i in torch.arange(len(box)).split(max(1, _NUMBERS // region.low[0].numel())):
        mean, scale = mixture.means[component[i]], mixture.factor[component[i]]
        low, high = region.low[box[i]], region.high[box[i]]
        e, _ = _draw_union(
            (low - mean[..., None]) / scale[..., None], (high - mean[..., None]) / scale[..., None], u[i]
        )
        parts.append(torch.where(region.point[box[i]], low[..., 0], mean + scale * e))
    return torch.cat(parts)
