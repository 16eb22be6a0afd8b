r"""Wasserstein distances between samples: exact in one dimension, exact by linear programming, and sliced.

.. math:: W_p(\mu, \nu)^p = \min_{\pi \in \Pi(\mu, \nu)} E_{(x, y) \sim \pi} |x - y|^p, \qquad p \ge 1,

over the couplings of the two (Peyre and Cuturi 2019, arXiv:1803.00567, eq. 2.15). In one dimension the best coupling
joins equal quantiles, :math:`W_p^p = \int_0^1 |F^{-1}(u) - G^{-1}(u)|^p du` (remark 2.30). The sliced distance averages
:math:`W_p^p` over the directions of the sphere (Bonneel et al. 2015). Between samples of one distribution the exact
distance falls only as :math:`n^{-1/d}`; sliced ones fall as :math:`n^{-1/2}`.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError, PushforwardError
from .distances import exact
from .inputs import blocks, pair

LIMIT = 2000
"""Rows of either sample that exact distances take: the linear program has as many unknowns as there are pairs."""


def wasserstein_1d(x: Any, y: Any, p: float = 1) -> float:
    """W_p of two samples of numbers, (n,) and (m,) of any sizes, exact. In the units of the data.

    Raises:
        InputError: more than one column, p below 1, values that are not finite, no rows.
    """
    a, b = pair(x, y)
    if a.shape[1] != 1:
        raise InputError(f"x has {a.shape[1]} columns.", "One number an example: see sliced_wasserstein for more.")
    return float(_quantile_cost(a, b, _power(p))[0]) ** (1 / p)


def sliced_wasserstein(
    x: Any,
    y: Any,
    p: float = 2,
    projections: int = 128,
    seed: int = 0,
    *,
    directions: Any = None,
    chunk: int | None = None,
) -> float:
    """The mean of W_p^p over random directions, to the power 1/p, of x (n, d), y (m, d). In the units of the data.

    Args:
        projections: how many directions, drawn uniformly from the sphere by `seed`.
        directions: (k, d), to be used as they are instead. chunk: directions at a time; by default what fits 16 MiB.

    Raises:
        InputError: p below 1, no directions, values that are not finite, different columns.
    """
    a, b = pair(x, y)
    p = _power(p)
    theta = (
        unit_directions(projections, a.shape[1], seed)
        if directions is None
        else pair(directions, a[:1], ("directions", "x"))[0]
    )
    theta = theta.to(a.device)
    total = 0.0
    for s in blocks(len(theta), len(a) + len(b), chunk):
        total += float(_quantile_cost(a @ theta[s].T, b @ theta[s].T, p).sum())
    return (total / len(theta)) ** (1 / p)


def unit_directions(k: int, d: int, seed: int = 0) -> Tensor:
    """(k, d) float64: directions uniform on the sphere, by `seed` alone.

    Raises:
        InputError: k is below 1.
    """
    if k < 1:
        raise InputError(f"projections is {k}.", "At least 1 direction.")
    drawn = torch.randn(k, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm(dim=1, keepdim=True)


def wasserstein(x: Any, y: Any, p: float = 1) -> float:
    """W_p of x (n, d), y (m, d) with Euclidean distances, exact. In the units of the data.

    Raises:
        InputError: more than 2,000 rows of either, and as `sliced_wasserstein`.
    """
    return transport_plan(x, y, p)[1] ** (1 / p)


def transport_plan(x: Any, y: Any, p: float = 1) -> tuple[Tensor, float]:
    """The best coupling of x (n, d) and y (m, d), and its cost.

    Returns:
        plan (n, m) float64: how much of each x goes to each y, rows summing to 1/n and columns to 1/m;
        cost: the mean of |x - y|^p under it, which is W_p^p.

    Raises:
        InputError: more than 2,000 rows of either, and as `sliced_wasserstein`.
        PushforwardError: the solver did not come to an end.
    """
    import ot

    a, b = pair(x, y)
    p = _power(p)
    for name, value in (("x", a), ("y", b)):
        if len(value) > LIMIT:
            raise InputError(
                f"{name} has {len(value):,} rows: exact transport takes up to {LIMIT:,}.",
                "Take fewer rows, or sliced_wasserstein.",
            )
    cost = exact(a, b) ** p
    # The simplex compares costs with a fixed tolerance, so its unit is made the largest of them.
    scale = float(cost.max()) or 1.0
    source, target = (torch.full((len(v),), 1 / len(v), dtype=torch.float64).numpy() for v in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the solver has to say is in its log
        solved, log = ot.emd(source, target, (cost / scale).cpu().numpy(), numItermax=10_000_000, log=True)
    if log["warning"]:
        raise PushforwardError(f"exact transport did not end: {log['warning']}", "Take sliced_wasserstein.")
    plan = torch.as_tensor(solved, dtype=torch.float64, device=a.device)
    off = max(float((plan.sum(1) - 1 / len(a)).abs().max()), float((plan.sum(0) - 1 / len(b)).abs().max()))
    if off > 1e-10 or float(plan.min()) < 0:
        raise PushforwardError(f"the transport plan's marginals are off by {off:.2g}.", "Take sliced_wasserstein.")
    return plan, float((plan * cost).sum())


def _power(p: float) -> float:
    if not 1 <= p < float("inf"):
        raise InputError(f"p is {p}.", "A number from 1; 1 and 2 are usual.")
    return float(p)


def _quantile_cost(x: Tensor, y: Tensor, p: float) -> Tensor:
    r"""(k,): :math:`\int_0^1 |F^{-1} - G^{-1}|^p`, column by column of x (n, k), y (m, k).

    Both quantile functions are steps, of width 1/n and 1/m. Their breaks are merged as whole multiples of 1/(nm).
    """
    x, y = x.sort(dim=0).values, y.sort(dim=0).values
    n, m = len(x), len(y)
    if n == m:
        return ((x - y).abs() ** p).mean(0)
    breaks = torch.cat([torch.arange(n, device=x.device) * m, torch.arange(1, m, device=x.device) * n]).unique()
    width = torch.diff(breaks, append=breaks.new_full((1,), n * m)).double() / (n * m)
    gap = x[breaks.div(m, rounding_mode="floor")] - y[breaks.div(n, rounding_mode="floor")]
    return width @ (gap.abs() ** p)
