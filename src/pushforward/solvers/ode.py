r"""Explicit Runge-Kutta methods for dx/dt = f(x, t), for a batch of independent examples.

A field is called `field(x, t, *context)` with x (n, ...), t (n,) and context tensors (n, ...) that belong to the
examples (a condition's embedding, probes). It returns dx/dt of the shape of x. Either direction of time works.

Fixed steps: Euler, midpoint, Heun, and the classical method of order 4. Adaptive: Dormand and Prince 1980 ("A family
of embedded Runge-Kutta formulae"), 5(4), with a step size, an error estimate and an acceptance *for each example*: a
difficult example costs the others nothing and changes none of their results. (A solver that takes the norm over the
batch makes each result depend on its neighbours.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, PushforwardError, did_you_mean

Field = Callable[..., Tensor]


@dataclass(frozen=True)
class Tableau:
    """Butcher's tableau: stage times, stage weights, weights of the result and, if embedded, of its error."""

    nodes: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    order: int
    error: tuple[float, ...] = ()


TABLEAUS = {
    "euler": Tableau((0.0,), ((),), (1.0,), 1),
    "midpoint": Tableau((0.0, 0.5), ((), (0.5,)), (0.0, 1.0), 2),
    "heun": Tableau((0.0, 1.0), ((), (1.0,)), (0.5, 0.5), 2),
    "rk4": Tableau((0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4),
    "dopri5": Tableau(
        (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
        (
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        ),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
        5,
        (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    ),
}
SOLVERS = tuple(TABLEAUS)


def integrate(
    field: Field,
    x: Tensor,
    start: float,
    end: float,
    *,
    solver: str = "midpoint",
    steps: int = 50,
    atol: float = 1e-5,
    rtol: float = 1e-5,
    context: Sequence[Tensor] = (),
    norm: Callable[[Tensor], Tensor] | None = None,
    max_evaluations: int = 10_000,
) -> Tensor:
    """x at time `end`, given x (n, ...) at time `start`.

    Args:
        field: dx/dt, see the module.
        solver: one of `SOLVERS`; dopri5 is adaptive.
        steps: of the fixed-step solvers.
        atol, rtol, norm, max_evaluations: of dopri5, see `adaptive`.
        context: tensors with one row an example, given to the field.

    Raises:
        InputError: an unknown solver, steps < 1, a tolerance that is not positive.
        PushforwardError: dopri5 used up its evaluations.
    """
    if solver not in TABLEAUS:
        raise InputError(f"unknown solver {solver!r}.", did_you_mean(str(solver), TABLEAUS))
    if solver == "dopri5":
        return adaptive(
            field, x, start, end, atol=atol, rtol=rtol, context=context, norm=norm, max_evaluations=max_evaluations
        )
    return fixed(field, x, start, end, TABLEAUS[solver], steps, context)


def fixed(
    field: Field, x: Tensor, start: float, end: float, tableau: Tableau, steps: int, context: Sequence[Tensor] = ()
) -> Tensor:
    """`steps` equal steps of a Runge-Kutta method; `len(tableau.nodes)` evaluations each."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps is {steps!r}.", "It must be a whole number of at least 1.")
    h = (end - start) / steps
    for i in range(steps):
        # Times from the index: adding h up would drift.
        t, step = x.new_full((len(x),), start + i * h), x.new_full((len(x),), h)
        x = _combine(x, step, _stages(field, x, t, step, tableau, context), tableau.weights)
    return x


def adaptive(
    field: Field,
    x: Tensor,
    start: float,
    end: float,
    *,
    atol: float = 1e-5,
    rtol: float = 1e-5,
    context: Sequence[Tensor] = (),
    norm: Callable[[Tensor], Tensor] | None = None,
    max_evaluations: int = 10_000,
) -> Tensor:
    r"""Dormand-Prince 5(4) with a step size for each example.

    A step is accepted where :math:`\| e / (\mathrm{atol} + \mathrm{rtol} \max(|x|, |x'|)) \| \le 1`; the next one is
    scaled by :math:`0.9 \|\cdot\|^{-1/5}`, kept within [0.2, 5] (Hairer, Norsett, Wanner, "Solving ordinary
    differential equations I", sec. II.4). Examples that are done are left out of later evaluations.

    Args:
        norm: (n, ...) to (n,), of the scaled error; the root mean square of an example's values by default.
        max_evaluations: most evaluations of the field that any example may take.

    Raises:
        InputError: a tolerance that is not positive.
        PushforwardError: an example needs more evaluations, or the field is not finite.
    """
    if not (atol > 0 and rtol > 0):
        raise InputError(f"atol is {atol}, rtol is {rtol}.", "Both must be positive.")
    norm = norm or root_mean_square
    tableau, context = TABLEAUS["dopri5"], tuple(context)
    if start == end or len(x) == 0:
        return x
    result, rows = x, torch.arange(len(x), device=x.device)
    t = x.new_full((len(x),), start)
    slope = field(x, t, *context)
    h = _first_step(field, x, t, slope, end - start, atol, rtol, context, norm, tableau.order)
    evaluations = 2
    while len(rows):
        if evaluations + 6 > max_evaluations:
            raise PushforwardError(
                f"the adaptive solver took {evaluations} evaluations of the field and is at t = {float(t.min()):.4g} "
                f"to {float(t.max()):.4g} with {len(rows)} examples left.",
                "Loosen atol and rtol, or take a fixed-step solver (solver=midpoint). A field that is not finite "
                "has this effect too.",
            )
        last = h.abs() >= (end - t).abs()
        step = torch.where(last, end - t, h)
        stages = _stages(field, x, t, step, tableau, context, slope)
        evaluations += len(stages) - 1
        proposal = _combine(x, step, stages, tableau.weights)
        error = _combine(torch.zeros_like(x), step, stages, tableau.error)
        with torch.no_grad():
            size = norm(error / (atol + rtol * torch.maximum(x.abs(), proposal.abs())))
            size = torch.where(torch.isfinite(size), size, torch.inf)
            accepted = size <= 1
            h = step * (0.9 * size.clamp_min(1e-10) ** -0.2).clamp(0.2, 5.0)
        x = torch.where(_like(accepted, x), proposal, x)
        slope = torch.where(_like(accepted, x), stages[-1], slope)  # the last stage is at the new point
        t = torch.where(accepted, torch.where(last, end, t + step), t)
        done = accepted & last
        if bool(done.any()):
            result = result.index_copy(0, rows[done], x[done])
            left = ~done
            x, t, h, slope, rows = x[left], t[left], h[left], slope[left], rows[left]
            context = tuple(c[left] for c in context)
    return result


def root_mean_square(x: Tensor) -> Tensor:
    """(n, ...) to (n,)."""
    return x.flatten(1).square().mean(1).sqrt()


def _like(row: Tensor, x: Tensor) -> Tensor:
    return row.view(-1, *[1] * (x.ndim - 1))


def _stages(
    field: Field,
    x: Tensor,
    t: Tensor,
    step: Tensor,
    tableau: Tableau,
    context: Sequence[Tensor],
    first: Tensor | None = None,
) -> list[Tensor]:
    stages: list[Tensor] = []
    for node, row in zip(tableau.nodes, tableau.matrix):
        if not stages and first is not None:
            stages.append(first)
        else:
            stages.append(field(_combine(x, step, stages, row), t + node * step, *context))
    return stages


def _combine(x: Tensor, step: Tensor, stages: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = None
    for weight, stage in zip(weights, stages):
        if weight:
            total = weight * stage if total is None else total + weight * stage
    return x if total is None else x + _like(step, x) * total


@torch.no_grad()
def _first_step(
    field: Field,
    x: Tensor,
    t: Tensor,
    slope: Tensor,
    span: float,
    atol: float,
    rtol: float,
    context: Sequence[Tensor],
    norm: Callable[[Tensor], Tensor],
    order: int,
) -> Tensor:
    """A first step size for each example, by one Euler step (Hairer, Norsett, Wanner, sec. II.4)."""
    scale = atol + rtol * x.abs()
    size, speed = norm(x / scale), norm(slope / scale)
    guess = torch.where((size < 1e-5) | (speed < 1e-5), 1e-6, 0.01 * size / speed).clamp_max(abs(span))
    signed = guess if span > 0 else -guess
    bend = norm((field(x + _like(signed, x) * slope, t + signed, *context) - slope) / scale) / guess
    fastest = torch.maximum(speed, bend)
    second = torch.where(fastest <= 1e-15, (guess * 1e-3).clamp_min(1e-6), (0.01 / fastest) ** (1 / order))
    h = torch.minimum(100 * guess, second).clamp_max(abs(span))
    h = torch.where(torch.isfinite(h), h, 1e-6)
    return h if span > 0 else -h
