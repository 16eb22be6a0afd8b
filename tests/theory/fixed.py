"""Shared by the tests of the theory page: expectations without error, and Jacobians.

A mean of a polynomial of degree three or less under N(0, I) is its mean over 2 d points (`sigma_points`). `Given` hands
such points to a model in place of its noise, so that what a model estimates with one draw can be averaged to its exact
expectation, and compared with a closed form to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def sigma_points(d: int) -> Tensor:
    r"""The points :math:`\pm \sqrt d\, e_i`, (2 d, d): their mean is exact for cubic polynomials of N(0, I)."""
    points = math.sqrt(d) * torch.eye(d, dtype=torch.float64)
    return torch.cat([points, -points])


class Given:
    """Noise whose draws are known: the k-th call of `normal` returns the k-th tensor, the last one for ever."""

    def __init__(self, draws: Sequence[Tensor]):
        self.draws, self.calls = list(draws), 0

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        draw = self.draws[min(self.calls, len(self.draws) - 1)]
        self.calls += 1
        return draw.view(len(draw), *shape).to(dtype)


def jacobians(map_: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """d map_(x) / dx of each row by automatic differentiation, (n, D, D) with the rows flattened."""
    rows = []
    for row in x:
        full = torch.autograd.functional.jacobian(lambda r: map_(r[None])[0].flatten(), row)
        rows.append(full.reshape(full.shape[0], -1))
    return torch.stack(rows)


def log_det(jacobian: Tensor) -> Tensor:
    """log |det J| of (n, D, D)."""
    return torch.linalg.slogdet(jacobian).logabsdet


def normal_density(x: Tensor, mean: Tensor | float, variance: Tensor | float) -> Tensor:
    """The density of N(mean, variance), elementwise."""
    variance = torch.as_tensor(variance, dtype=x.dtype)
    return torch.exp(-0.5 * (x - mean) ** 2 / variance) / torch.sqrt(2 * math.pi * variance)


def minimize(objective: Callable[[], Tensor], parameters: Sequence[Tensor], rounds: int = 20) -> float:
    """L-BFGS with a line search, to rounding; returns the least value."""
    optimizer = torch.optim.LBFGS(
        list(parameters),
        max_iter=200,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
        history_size=30,
    )

    def closure() -> float:
        optimizer.zero_grad()
        value = objective()
        value.backward()
        return float(value.detach())

    value = math.inf
    for _ in range(rounds):
        before, value = value, float(optimizer.step(closure))  # type: ignore[arg-type]
        if abs(before - value) < 1e-15:
            break
    return float(objective().detach())
