"""Each number of z given all the others, under a mixture of Gaussians: a mixture on the line, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..bijections.table import TablePreprocess
from . import truncated
from .conditioning import choose
from .mixture import Mixture

_LOG_2PI = math.log(2 * math.pi)
_MOST = 256
"""Components of a number's mixture; the likeliest are kept."""


@dataclass(frozen=True)
class Cell:
    """The cells that numbers z (n, I) lie in.

    Attributes:
        low, high: of the interval. point: cells with a density, which z itself stands for.
        log_scale: of those, log dz/dx.
    """

    z: Tensor
    low: Tensor
    high: Tensor
    point: Tensor
    log_scale: Tensor


def cells_of(pre: TablePreprocess, z: Tensor) -> Cell:
    """Of numbers z (n, I), all those with an interval."""
    if z.shape[1] == 0:
        return Cell(z, z, z, z > 0, z)
    device = pre.parent.device
    x = pre.marginals.inverse(z.to(device))
    below, until, log_f, _, atom = (part.T.cpu() for part in pre.marginals.interval(x.T.contiguous()))
    low, high = (torch.special.ndtri(u.clamp(0, 1)) for u in (below, until))
    point = ((pre.marginals.step.cpu() == 0) & ~atom) | (low >= high)
    return Cell(z, low, high, point, log_f + 0.5 * (z.square() + _LOG_2PI))


@dataclass(frozen=True)
class LeaveOneOut:
    """The conditional distributions of numbers, (n, I) of them, each a mixture of K' normals.

    Attributes:
        log_weights, means, deviations: (n, I, K').
        log_others: (n, I) log of the density of all the other numbers (of the mass of their cells, see `of_cells`).
    """

    log_weights: Tensor
    means: Tensor
    deviations: Tensor
    log_others: Tensor

    @staticmethod
    def of_cells(mixture: Mixture, z: Tensor, cell: Cell, free: Tensor) -> LeaveOneOut:
        """Of the numbers in `cell`, the first of the model's, given the others' cells: of independent numbers.

        Args:
            z: (n, D), whose numbers after those of `cell` are what they are. free: (n, D - leading) any value will do.
        """
        count, leading = cell.z.shape[1], mixture.leading
        e = (z[:, None] - mixture.means) / mixture.factor
        each = -0.5 * (e.square() + _LOG_2PI) - mixture.factor.log()
        own = slice(leading, leading + count)
        mean, deviation = mixture.means[:, own], mixture.factor[:, own]
        mass = truncated.log_mass((cell.low[:, None] - mean) / deviation, (cell.high[:, None] - mean) / deviation)
        each[:, :, own] = torch.where(cell.point[:, None], each[:, :, own], mass)
        each[:, :, leading:] = each[:, :, leading:].masked_fill(free[:, None], 0.0)
        others = each.sum(2, keepdim=True) - each[:, :, own]
        log_w = (mixture.log_weights[:, None] + others).transpose(1, 2)
        shape = log_w.shape
        return LeaveOneOut(log_w.log_softmax(2), mean.T.expand(shape), deviation.T.expand(shape), log_w.logsumexp(2))

    @staticmethod
    def of(mixture: Mixture, z: Tensor, count: int) -> LeaveOneOut:
        """Of the first `count` of the model's numbers, given all the others of z (n, D)."""
        own = slice(mixture.leading, mixture.leading + count)
        joint = mixture.joint(z)
        if mixture.is_diagonal:
            variance = mixture.factor.square()[:, own]
            residual = (z[:, None, own] - mixture.means[:, own]) / variance
        else:
            precision = torch.cholesky_inverse(mixture.factor)
            variance = 1 / precision.diagonal(dim1=1, dim2=2)[:, own]
            residual = torch.einsum("nkd,kde->nke", z[:, None] - mixture.means, precision[:, :, own])
        # N(z_-i) = N(z) / N(z_i | z_-i), whose mean is z_i - residual * variance.
        log_w = joint[:, :, None] + 0.5 * (residual.square() * variance + variance.log() + _LOG_2PI)
        log_w, top = log_w.transpose(1, 2).topk(min(_MOST, len(mixture)), dim=2)
        means = (z[:, None, own] - residual * variance).transpose(1, 2).gather(2, top)
        deviations = variance.sqrt().T.expand(len(z), -1, -1).gather(2, top)
        return LeaveOneOut(log_w.log_softmax(2), means, deviations, log_w.logsumexp(2))

    def draw(self, u: Tensor, e: Tensor) -> Tensor:
        """Numbers (n, I) by uniform and by normal ones."""
        n, i, k = self.means.shape
        at = choose(self.log_weights.exp().view(n * i, k), u.reshape(-1, 1)).view(n, i, 1)
        return self.means.gather(2, at)[..., 0] + self.deviations.gather(2, at)[..., 0] * e

    def log_prob(self, cell: Cell) -> Tensor:
        """log p(cell | the other numbers), (n, I): of a probability, or of a density in the column's own unit."""
        low, high = ((edge[..., None] - self.means) / self.deviations for edge in (cell.low, cell.high))
        mass = truncated.log_mass(low, high)
        e = (cell.z[..., None] - self.means) / self.deviations
        density = -0.5 * (e.square() + _LOG_2PI) - self.deviations.log() + cell.log_scale[..., None]
        each = torch.where(cell.point[..., None], density, mass)
        return (self.log_weights + each).logsumexp(2)
