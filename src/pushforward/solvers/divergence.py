r"""The divergence of a field, :math:`\nabla \cdot f = \operatorname{tr} \partial f / \partial x`, for any shape."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .ode import Field


def velocity_and_divergence(
    field: Field, x: Tensor, t: Tensor, context: Sequence[Tensor] = (), probes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""f(x, t) and its divergence.

    Without probes the trace is exact, by one backward pass for each of the D numbers of an example. With probes it is
    Hutchinson's unbiased estimate :math:`e^\top (\partial f / \partial x)\, e` for each of them (Hutchinson 1990), by
    one backward pass a probe. **Keep the probes fixed along a trajectory**: redrawn ones make the right-hand side
    discontinuous, and an adaptive solver never ends.

    Works for callers under `torch.no_grad` (the results are then detached), and is differentiable for others.

    Args:
        field: called as field(x, t, *context), rows independent of each other.
        x: (n, ...). t: (n,).
        probes: (n, P, ...) with independent entries of mean 0 and variance 1, or None.

    Returns:
        f of the shape of x, and (n, P) divergences (P = 1 when exact).
    """
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        if not (differentiable and x.requires_grad):
            x = x.detach().requires_grad_()
        velocity = field(x, t, *context)
        flat = velocity.flatten(1)
        count = flat.shape[1] if probes is None else probes.shape[1]
        if velocity.requires_grad:
            columns = []
            for i in range(count):
                direction = flat[:, i].sum() if probes is None else (velocity * probes[:, i]).sum()
                (row,) = torch.autograd.grad(
                    direction,
                    x,
                    create_graph=differentiable,
                    retain_graph=differentiable or i + 1 < count,
                    materialize_grads=True,
                )
                columns.append(row.flatten(1)[:, i] if probes is None else (row * probes[:, i]).flatten(1).sum(1))
            divergence = torch.stack(columns, 1)
        else:  # a field that does not depend on x
            divergence = flat.new_zeros(len(x), count)
    if probes is None:
        divergence = divergence.sum(1, keepdim=True)
    return (velocity, divergence) if differentiable else (velocity.detach(), divergence.detach())
