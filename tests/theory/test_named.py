"""What the lecture names or draws without a formula: those that have one, checked in a few lines."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from pushforward.families.flow_matching.flow_matching import FlowMatching, FlowMatchingSettings
from pushforward.paths import straight
from pushforward.solvers.ode import integrate
from pushforward.spaces import Real
from tests.theory.fixed import jacobians, log_det

M, S = 0.8, 0.5


class Velocity(nn.Module):
    """E[x_1 - x_0 | x_t] for x_0 ~ N(0, 1), x_1 ~ N(M, S^2) on the straight path: linear in x."""

    def __init__(self):
        super().__init__()
        self.dtype = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        t = t.view(-1, 1)
        variance = (1 - t) ** 2 + t**2 * S**2
        return M + (t * S**2 - (1 - t)) / variance * (x - t * M)


def test_flow_matching_s_regression_target_averages_to_the_velocity_of_the_marginals():
    """The field that the loss is least at moves N(0, 1) to N(M, S^2), with all the Gaussians between."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    for t in (0.25, 0.5, 1.0):
        moved = integrate(Velocity(), x, 0.0, t, solver="dopri5", atol=1e-10, rtol=1e-10)
        deviation = math.sqrt((1 - t) ** 2 + t**2 * S**2)
        torch.testing.assert_close(moved, t * M + deviation * x, atol=1e-7, rtol=0)
    # The conditional path is a line: constant velocity from base to data.
    base, data = torch.randn(2, 6, 1, dtype=torch.float64)
    for t in (0.0, 0.3, 1.0):
        point, velocity = straight(base, data, torch.full((6,), t, dtype=torch.float64))
        torch.testing.assert_close(point + (1 - t) * velocity, data)
        torch.testing.assert_close(point - t * velocity, base)


def test_flow_matching_s_density_is_the_change_of_variables_in_continuous_time():
    """log p(x) = log N(x_0; 0, I) - integral of div v dt: that of N(M, S^2) for the exact field."""
    model = FlowMatching(FlowMatchingSettings(), Real((1,)), networks={"field": Velocity()})
    x = torch.linspace(-1, 2.5, 15, dtype=torch.float64)[:, None]
    found = model.log_prob(x, solver="dopri5", atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(found.values, Normal(M, S).log_prob(x[:, 0]).double(), atol=1e-6, rtol=0)


def test_the_planar_flow_s_determinant():
    """f(z) = z + u tanh(w z + b): |det| = |1 + u psi(z)|, psi = (1 - tanh^2) w (Rezende, Mohamed 2015, eq. 10-12)."""
    w, b = torch.randn(4, dtype=torch.float64), 0.3
    u = torch.randn(4, dtype=torch.float64)
    u = u + (-1 + math.log1p(math.exp(float(w @ u))) - w @ u) * w / (w @ w)  # w u >= -1: invertible
    z = torch.randn(6, 4, dtype=torch.float64)

    def f(z: Tensor) -> Tensor:
        return z + torch.tanh(z @ w + b)[:, None] * u

    psi = (1 - torch.tanh(z @ w + b) ** 2)[:, None] * w
    torch.testing.assert_close(log_det(jacobians(f, z)), (1 + psi @ u).abs().log())
    assert bool((1 + psi @ u > 0).all())


def test_the_contrastive_loss_bounds_mutual_information():
    """log N - E[-log f(x_1, y_1) / sum_j f(x_1, y_j)] <= I(X; Y), for the best f too: all draws of N = 2 enumerated."""
    joint = torch.tensor([[0.35, 0.05, 0.1], [0.05, 0.3, 0.15]], dtype=torch.float64)
    p_x, p_y = joint.sum(1), joint.sum(0)
    information = (joint * (joint / (p_x[:, None] * p_y)).log()).sum()
    cells = list(itertools.product(range(2), range(3)))

    def bound(f: Tensor) -> float:
        loss = 0.0
        for (x1, y1), (x2, y2) in itertools.product(cells, cells):
            loss -= joint[x1, y1] * joint[x2, y2] * torch.log(f[x1, y1] / (f[x1, y1] + f[x1, y2]))
        return math.log(2) - float(loss)

    best = bound(joint / (p_x[:, None] * p_y))
    assert 0 < best < float(information)
    assert bound(torch.ones(2, 3, dtype=torch.float64)) == pytest.approx(0, abs=1e-12)
    for _ in range(20):
        assert bound(torch.rand(2, 3, dtype=torch.float64) + 0.1) < best


def test_truncation_reduces_the_variance_of_the_generator_s_input():
    """z ~ N(0, 1) redrawn while |z| > a: variance 1 - 2 a phi(a) / (2 Phi(a) - 1), falling to 0 with a."""
    z = torch.linspace(-9, 9, 180_001, dtype=torch.float64)
    normal = Normal(0.0, 1.0)
    variances = []
    for a in (2.0, 1.0, 0.5, 0.1):
        inside = torch.linspace(-a, a, 20_001, dtype=torch.float64)
        weight = normal.log_prob(inside).exp()
        found = torch.trapezoid(inside**2 * weight, inside) / torch.trapezoid(weight, inside)
        cdf, density = normal.cdf(torch.tensor(a).double()), normal.log_prob(torch.tensor(a).double()).exp()
        torch.testing.assert_close(found, 1 - 2 * a * density / (2 * cdf - 1), atol=1e-7, rtol=0)
        variances.append(float(found))
    assert variances == sorted(variances, reverse=True) and variances[0] < 1
    assert float(torch.trapezoid(z**2 * normal.log_prob(z).exp(), z)) == pytest.approx(1, abs=1e-9)


def test_two_stages_of_unclip_are_one_joint_model():
    """p(x | y) = sum over image embeddings of p(x | z, y) p(z | y), z a function of x: a prior, then a decoder."""
    joint = torch.rand(6, 2, dtype=torch.float64)  # six images x, two captions y
    joint /= joint.sum()
    embedding = torch.tensor([0, 0, 1, 2, 2, 2])  # the frozen encoder's z of each image
    p_x = joint / joint.sum(0)
    prior = torch.zeros(3, 2, dtype=torch.float64).index_add_(0, embedding, p_x)  # p(z | y)
    decoder = p_x / prior[embedding]  # p(x | z, y), for the z of x
    torch.testing.assert_close(decoder * prior[embedding], p_x)
    torch.testing.assert_close((decoder * prior[embedding]).sum(0), torch.ones(2, dtype=torch.float64))
