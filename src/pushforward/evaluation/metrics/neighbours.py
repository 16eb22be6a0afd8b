r"""Nearest neighbours, and what they say of two samples: precision, recall, density, coverage.

The support of a sample is taken to be the union of balls around its points, each as large as the distance to the
point's k-th neighbour. *Precision* is the share of sampled points within the real support and *recall* the share of
real points within the sampled one (Kynkaanniemi et al. 2019, arXiv:1904.06991, section 2); *density* counts in how many
real balls a sampled point lies, over k, so that one far ball counts little; *coverage* is the share of real balls with
a sampled point in them (Naeem et al. 2020, arXiv:2002.09797, eqs. 3 and 4). "In" is strict: the k-th neighbour itself,
on the sphere, is not.

A perfect sampler has density 1 and coverage :math:`1 - \frac{(n-1) \cdots (n-k)}{(2n-1) \cdots (2n-k)}`, whatever the
distribution (0.97 for k = 5); its precision and recall depend on the dimension and on n, so they need their floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from .distances import centre, exact, exact_pairs, squared, squared_error
from .inputs import blocks, pair

_SPARE = 8
"""Candidates beyond the k nearest that are looked at exactly."""


@dataclass(frozen=True)
class Neighbours:
    """Precision, recall and coverage in [0, 1]; density from 0, 1 for a perfect sampler."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_statistics(real: Any, fake: Any, k: int = 5, *, chunk: int | None = None) -> Neighbours:
    """Precision, recall, density and coverage of `fake` (m, d) against `real` (n, d), by k neighbours.

    Args:
        chunk: real rows at a time; by default what fits 16 MiB.

    Raises:
        InputError: k is not from 1 to the smaller sample less one; values that are not finite; different columns.
    """
    r, f = pair(real, fake, ("real", "fake"))
    if not 1 <= k < min(len(r), len(f)):
        raise InputError(
            f"k is {k} with {len(r)} real and {len(f)} sampled rows.", f"From 1 to {min(len(r), len(f)) - 1}."
        )
    real_radius = nearest(r, r, k, exclude_self=True, chunk=chunk)[0][:, -1]
    fake_radius = nearest(f, f, k, exclude_self=True, chunk=chunk)[0][:, -1]
    middle = centre(r, f)
    r0, f0 = r - middle, f - middle
    balls = torch.zeros(len(f), dtype=torch.long, device=r.device)  # real ones that each sampled point lies in
    covered = recalled = 0
    for s in blocks(len(r), len(f), chunk):
        value, bound = squared(r0[s], f0), squared_error(r0[s], f0)
        inside = _inside(value, bound, real_radius[s, None], r[s], f)
        balls += inside.sum(0)
        covered += int(inside.any(1).sum())
        recalled += int(_inside(value, bound, fake_radius[None], r[s], f).any(1).sum())
    return Neighbours(
        precision=float((balls > 0).double().mean()),
        recall=recalled / len(r),
        density=float(balls.double().mean()) / k,
        coverage=covered / len(r),
    )


def nearest(
    queries: Any, points: Any, k: int = 1, exclude_self: bool = False, *, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """The k nearest of `points` (m, d) to each of `queries` (n, d): distances (n, k), ascending, and indices (n, k).

    Distances are exact and equal ones come by index, so nothing depends on chunks.

    Args:
        exclude_self: queries are the points, and row i is no neighbour of row i (a copy of it elsewhere is).
        chunk: queries at a time; by default what fits 16 MiB.

    Raises:
        InputError: k is not from 1 to the number of points (less one with `exclude_self`); `exclude_self` with sets of
            different sizes; values that are not finite; different columns.
    """
    q, p = pair(queries, points, ("queries", "points"))
    if exclude_self and len(q) != len(p):
        raise InputError(
            f"exclude_self with {len(q)} queries and {len(p)} points.", "It is for neighbours within one set."
        )
    most = len(p) - exclude_self
    if not 1 <= k <= most:
        raise InputError(f"k is {k} with {len(p)} points.", f"From 1 to {most}.")
    middle = centre(q, p)
    q0, p0 = q - middle, p - middle
    found = [_nearest_block(q, p, q0, p0, s, k, exclude_self) for s in blocks(len(q), len(p), chunk)]
    return torch.cat([d for d, _ in found]), torch.cat([i for _, i in found])


def _nearest_block(
    q: Tensor, p: Tensor, q0: Tensor, p0: Tensor, s: slice, k: int, exclude_self: bool
) -> tuple[Tensor, Tensor]:
    """Candidates by fast distances, ranked by exact ones; whole rows where the candidates may not be all."""
    lower = squared(q0[s], p0).sub_(squared_error(q0[s], p0))
    own = torch.arange(s.start, s.stop, device=q.device)
    if exclude_self:
        lower[torch.arange(len(own), device=q.device), own] = torch.inf
    take = min(k + _SPARE, len(p) - exclude_self)
    kept, index = lower.topk(take, dim=1, largest=False)
    index = index.sort(dim=1).values
    row = own.repeat_interleave(take)
    distance = exact_pairs(q, p, row, index.flatten()).view(len(own), take)
    distance, order = distance.sort(dim=1, stable=True)
    index = index.gather(1, order)
    distance, index = distance[:, :k].clone(), index[:, :k].clone()
    if take < len(p) - exclude_self:
        # A point left out is at least this far; if that is not beyond the k-th found, it might belong.
        doubtful = (kept[:, -1] <= distance[:, -1] ** 2 * (1 + 1e-12)).nonzero()[:, 0]
        for part in blocks(len(doubtful), len(p)):
            which = doubtful[part]
            whole = exact(q[own[which]], p)
            if exclude_self:
                whole[torch.arange(len(which), device=q.device), own[which]] = torch.inf
            whole, order = whole.sort(dim=1, stable=True)
            distance[which], index[which] = whole[:, :k], order[:, :k]
    return distance, index


def _inside(value: Tensor, bound: Tensor, radius: Tensor, r: Tensor, f: Tensor) -> Tensor:
    """(c, m) bool: whether the distance is below the radius (broadcast), exactly, from fast squared distances."""
    limit = radius**2
    inside = value < limit
    doubtful = (value - limit).abs() <= bound + 1e-12 * limit
    count = int(doubtful.sum())
    if count * 8 > doubtful.numel():  # many ties: a whole block costs less than picking pairs
        return exact(r, f) < radius
    if count:
        i, j = doubtful.nonzero(as_tuple=True)
        inside[i, j] = exact_pairs(r, f, i, j) < radius.expand_as(value)[i, j]
    return inside
