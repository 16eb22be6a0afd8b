r"""Euclidean distances in float64: exact ones, and fast ones with a bound on their error.

Exact means :math:`\sqrt{\sum_i (a_i - b_i)^2}` as it stands. The expansion :math:`|a|^2 + |b|^2 - 2ab` is a matrix
product and many times faster, but it loses digits where points are near each other (copies come out some
:math:`10^{-8}` apart) and breaks ties by rounding. So it only ever decides what its error bound lets it decide; the
rest is computed exactly, and results are the same to the bit in any order and any chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import blocks

_EXACT = "donot_use_mm_for_euclid_dist"


def exact(a: Tensor, b: Tensor) -> Tensor:
    """All distances (n, m) between rows of a (n, d) and b (m, d)."""
    return torch.cdist(a, b, compute_mode=_EXACT)


def exact_pairs(a: Tensor, b: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """(k,): the distances of a[i] to b[j], with the same bits as in `exact`."""
    parts = [exact(a[i[s], None], b[j[s], None]).flatten() for s in blocks(len(i), a.shape[1])]
    return torch.cat(parts) if parts else a.new_zeros(0)


def centre(a: Tensor, b: Tensor) -> Tensor:
    """(d,): a point amid the rows, that outliers do not move; distances lose least digits around it."""
    return torch.cat([a[:500], b[:500]]).median(dim=0).values


def squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (n, m) by the expansion, for rows that were centred; `squared_error` bounds their errors."""
    return torch.addmm((a**2).sum(1)[:, None] + (b**2).sum(1)[None], a, b.T, alpha=-2.0)


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    r"""Bounds (n, m) on the errors of `squared`.

    A dot product of d terms in floating point is off by at most :math:`d \epsilon \sum |a_i b_i|` (Higham 2002,
    section 3.1), so that the sum of the three is off by at most :math:`(d + 4) \epsilon (|a| + |b|)^2`; twice that is
    given.
    """
    reach = a.norm(dim=1)[:, None] + b.norm(dim=1)[None]
    return reach.square_().mul_(2 * (a.shape[1] + 4) * torch.finfo(a.dtype).eps)
