"""Divergences against traces and Jacobians."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from pushforward.noise import Noise
from pushforward.solvers.divergence import velocity_and_divergence


def network(shape, seed=0):
    """A nonlinear field of any shape; rows are independent."""
    torch.manual_seed(seed)
    d = torch.Size(shape).numel()
    net = nn.Sequential(nn.Linear(d + 1, 16), nn.Tanh(), nn.Linear(16, d)).double()
    return lambda x, t: net(torch.cat([x.flatten(1), t[:, None]], 1)).view_as(x)


@pytest.mark.parametrize("shape", [(3,), (1, 4, 4), (2, 3, 1)])
def test_exact_divergence_is_the_trace_of_the_jacobian(shape):
    field, x, t = network(shape), torch.randn(5, *shape, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    velocity, divergence = velocity_and_divergence(field, x, t)
    assert torch.equal(velocity, field(x, t))
    d = x[0].numel()
    for i in range(5):
        jacobian = torch.func.jacrev(lambda y, i=i: field(y[None], t[i : i + 1])[0])(x[i]).reshape(d, d)
        assert torch.allclose(divergence[i, 0], jacobian.trace())


def test_hutchinson_averages_to_the_trace_over_all_signs():
    # The mean over all 2^3 sign vectors is the expectation itself: no statistics needed.
    field, x, t = network((3,)), torch.randn(2, 3, dtype=torch.float64), torch.rand(2, dtype=torch.float64)
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    _, estimates = velocity_and_divergence(field, x, t, probes=signs.expand(2, 8, 3))
    _, exact = velocity_and_divergence(field, x, t)
    assert estimates.shape == (2, 8) and estimates.std(1).min() > 1e-3
    assert torch.allclose(estimates.mean(1), exact[:, 0])


def test_hutchinson_on_images_is_unbiased_within_its_error():
    field, x, t = network((1, 4, 4)), torch.randn(1, 1, 4, 4, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    probes = Noise.of(3, index=torch.arange(1)).signs(4000, 1, 4, 4, dtype=torch.float64)
    repeated = probes.transpose(0, 1)
    _, estimates = velocity_and_divergence(field, x.expand(4000, 1, 4, 4), t.expand(4000), probes=repeated)
    estimates, exact = estimates.detach(), velocity_and_divergence(field, x, t)[1].detach()
    assert abs(float(estimates.mean() - exact)) < 4 * float(estimates.std()) / 4000**0.5


def test_without_gradients_and_without_dependence():
    x, t = torch.randn(4, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    with torch.no_grad():
        velocity, divergence = velocity_and_divergence(network((3,)), x, t)
    assert not velocity.requires_grad and not divergence.requires_grad and bool((divergence != 0).all())
    _, zero = velocity_and_divergence(lambda x, t: torch.ones_like(x), x, t)
    assert torch.equal(zero, torch.zeros(4, 1, dtype=torch.float64))


def test_divergence_is_differentiable():
    # f = a x^3: divergence 3 a sum x^2, whose derivative in a is 3 sum x^2 and in x is 6 a x.
    a = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    _, divergence = velocity_and_divergence(lambda x, t: a * x**3, x, torch.zeros(4, dtype=torch.float64))
    divergence.sum().backward()
    assert torch.allclose(a.grad, 3 * x.detach().square().sum())
    assert torch.allclose(x.grad, 6 * a.detach() * x.detach())
