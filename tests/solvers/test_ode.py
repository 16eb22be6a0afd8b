"""Solvers against closed forms, their orders, torchdiffeq, and the promise that examples are independent."""

from __future__ import annotations

import math

import pytest
import torch
import torchdiffeq

from pushforward.errors import InputError, PushforwardError
from pushforward.solvers.ode import SOLVERS, TABLEAUS, adaptive, fixed, integrate


def pendulum(x, t):
    """A nonlinear field that depends on time; x (n, 2)."""
    return torch.stack([x[:, 1], -torch.sin(x[:, 0]) + 0.5 * torch.cos(3 * t)], 1)


def states(n=4):
    return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def swinging(x, t):
    """Neither linear nor autonomous, so that no method is better than its order."""
    return torch.sin(2 * t.view(-1, 1) * x) - x


@pytest.mark.parametrize("name", SOLVERS)
def test_order_of_convergence(name):
    tableau = TABLEAUS[name]
    exact = torchdiffeq.odeint(
        lambda t, x: swinging(x, t), states(20), torch.tensor([0.0, 2.0], dtype=torch.float64), rtol=1e-13, atol=1e-13
    )[-1]
    counts = (32, 64) if tableau.order >= 4 else (64, 128)
    errors = [float((fixed(swinging, states(20), 0.0, 2.0, tableau, n) - exact).square().mean()) ** 0.5 for n in counts]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(tableau.order, abs=0.3)


@pytest.mark.parametrize("name", SOLVERS)
def test_tableaus_are_consistent(name):
    tableau = TABLEAUS[name]
    assert sum(tableau.weights) == pytest.approx(1, abs=1e-14)
    assert sum(tableau.error) == pytest.approx(0, abs=1e-14)
    for node, row in zip(tableau.nodes, tableau.matrix):
        assert sum(row) == pytest.approx(node, abs=1e-14)


@pytest.mark.parametrize("span", [(0.0, 2.0), (2.0, 0.0)])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
def test_adaptive_against_torchdiffeq(span, tolerance):
    times = torch.tensor(span, dtype=torch.float64)
    exact = torchdiffeq.odeint(lambda t, x: pendulum(x, t), states(), times, rtol=1e-12, atol=1e-12)[-1]
    ours = adaptive(pendulum, states(), *span, rtol=tolerance, atol=tolerance)
    theirs = torchdiffeq.odeint(lambda t, x: pendulum(x, t), states(), times, rtol=tolerance, atol=tolerance)[-1]
    assert float((ours - exact).abs().max()) < max(30 * tolerance, 3 * float((theirs - exact).abs().max()))


@pytest.mark.parametrize("name", SOLVERS)
def test_there_and_back(name):
    x = states()
    y = integrate(pendulum, x, 0.0, 1.0, solver=name, steps=400, rtol=1e-9, atol=1e-9)
    back = integrate(pendulum, y, 1.0, 0.0, solver=name, steps=400, rtol=1e-9, atol=1e-9)
    assert float((back - x).abs().max()) < (5e-3 if name == "euler" else 1e-5)


def decay(x, t, rate):
    return -rate[:, None] * x


def test_a_stiff_example_changes_nothing_for_the_others():
    x = torch.linspace(1, 2, 6, dtype=torch.float64)[:, None]
    rates = torch.tensor([1.0, 0.5, 300.0, 2.0, 0.1, 5.0], dtype=torch.float64)
    together = adaptive(decay, x, 0.0, 1.0, context=(rates,))
    easy = torch.tensor([0, 1, 3, 4, 5])
    alone = adaptive(decay, x[easy], 0.0, 1.0, context=(rates[easy],))
    assert torch.equal(together[easy], alone)
    for i in range(6):
        assert torch.equal(adaptive(decay, x[i : i + 1], 0.0, 1.0, context=(rates[i : i + 1],)), together[i : i + 1])
    assert torch.allclose(together[easy], x[easy] * torch.exp(-rates[easy])[:, None], atol=1e-4)


def test_a_stiff_example_costs_the_others_nothing():
    seen = torch.zeros(2, dtype=torch.int64)

    def counting(x, t, rate, row):
        seen.index_add_(0, row, torch.ones_like(row))
        return -rate[:, None] * x

    context = (torch.tensor([1.0, 300.0]), torch.tensor([0, 1]))
    adaptive(counting, torch.ones(2, 1), 0.0, 1.0, context=context)
    assert int(seen[0]) < 100 < 300 < int(seen[1])


def test_adaptive_works_in_float32_and_on_images():
    x = torch.ones(3, 2, 2, 2)
    y = adaptive(lambda x, t: -x * t.view(-1, 1, 1, 1), x, 0.0, 1.0, rtol=1e-6, atol=1e-6)
    assert y.dtype == torch.float32 and y.shape == x.shape
    assert torch.allclose(y, x * math.exp(-0.5), atol=1e-5)


def test_gradients_pass_through_the_adaptive_solver():
    rates = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    y = adaptive(decay, torch.ones(2, 1, dtype=torch.float64), 0.0, 1.0, context=(rates,), rtol=1e-9, atol=1e-9)
    y.sum().backward()
    assert torch.allclose(rates.grad, -torch.exp(-rates.detach()), atol=1e-6)


def test_zero_length_and_empty_batches():
    x = states()
    assert torch.equal(adaptive(pendulum, x, 1.0, 1.0), x)
    assert adaptive(pendulum, x[:0], 0.0, 1.0).shape == (0, 2)


def test_too_many_evaluations_is_an_error_with_a_way_out():
    with pytest.raises(PushforwardError, match="solver=midpoint"):
        adaptive(decay, torch.ones(1, 1), 0.0, 1.0, context=(torch.tensor([1e5]),), max_evaluations=500)


def test_a_field_that_is_not_finite_is_an_error():
    with pytest.raises(PushforwardError, match="not finite"):
        adaptive(lambda x, t: x / 0.0, torch.ones(1, 1), 0.0, 1.0, max_evaluations=500)


def test_bad_arguments():
    x = states()
    with pytest.raises(InputError, match="Did you mean dopri5"):
        integrate(pendulum, x, 0.0, 1.0, solver="dopri")
    for steps in (0, -1, 2.5, True):
        with pytest.raises(InputError, match="steps"):
            integrate(pendulum, x, 0.0, 1.0, steps=steps)
    with pytest.raises(InputError, match="positive"):
        integrate(pendulum, x, 0.0, 1.0, solver="dopri5", rtol=0.0)
