"""WGAN and its gradient penalty: what the mathematics says, checked in plain torch (the family is still to come)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pushforward.config import NetworkSettings
from pushforward.divergences import Discrete, kantorovich_potentials, wasserstein1
from pushforward.families.gans import objectives
from pushforward.nn import critic

GENERATOR = torch.Generator().manual_seed(8)


def network(width: int = 16) -> nn.Module:
    """The repository's critic, in float64."""
    return critic((2,), NetworkSettings(width=width, depth=1)).double()


def slopes(f: nn.Module, x: Tensor) -> Tensor:
    """|grad f| at each row."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    return gradient.norm(dim=1)


def points(n: int, shift: float) -> Tensor:
    return torch.randn(n, 2, dtype=torch.float64, generator=GENERATOR) + shift


class Unit(nn.Module):
    """A 1-Lipschitz network: three layers of operator norm 1 at most, and slopes of at most 1 between them."""

    def __init__(self):
        super().__init__()
        sizes = [(2, 16), (16, 16), (16, 1)]
        weights = [torch.randn(b, a, dtype=torch.float64, generator=GENERATOR) for a, b in sizes]
        self.weights = [w / torch.linalg.matrix_norm(w, 2) for w in weights]

    def forward(self, x: Tensor) -> Tensor:
        for w in self.weights[:-1]:
            x = torch.tanh(x @ w.T)
        return x @ self.weights[-1].T


# ------------------------------------------------------------------------------------------ the objective


def test_the_best_critic_s_objective_is_the_distance():
    """max over 1-Lipschitz D of E D(x) - E D(G(z)) is W1 between data and samples; any network stays below it."""
    x, samples = points(30, 0.0), points(30, 1.0)
    p, q = (Discrete(t.numpy(), np.full(30, 1 / 30)) for t in (x, samples))
    best = kantorovich_potentials(p, q)
    distance = float(wasserstein1(p, q))
    assert float(np.mean(best(x.numpy())) - np.mean(best(samples.numpy()))) == pytest.approx(distance, abs=1e-9)
    for _ in range(20):
        d = Unit()
        assert abs(float(d(x).mean() - d(samples).mean())) <= distance


def test_the_printed_gan_objective_is_the_gan_s_when_read_with_its_two_signs():
    """E log D(x) - E(-log(1 - D(G(z)))): both minus signs count; dropping one changes what the players want."""
    real, fake = torch.randn(2, 100, dtype=torch.float64, generator=GENERATOR)
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    read = d_real.log().mean() - (-torch.log(1 - d_fake)).mean()
    torch.testing.assert_close(read, -objectives.discriminator(real, fake), atol=1e-12, rtol=0)
    dropped = d_real.log().mean() - torch.log(1 - d_fake).mean()
    assert abs(float(read - dropped)) > 0.5
    # So in WGAN's form: f = log D on data, and -log(1 - D) on samples; WGAN has D for both.
    torch.testing.assert_close(F.softplus(fake), -torch.log(1 - d_fake), atol=1e-12, rtol=0)


# ------------------------------------------------------------------------------------------ the constraint


def test_clipped_weights_bound_the_slope_but_not_by_one():
    """Weights within [-c, c]: a Lipschitz constant below the product of the layers' norms, which scales with c."""
    bounds, found = [], []
    for c in (0.01, 0.1, 1.0):
        layers = [nn.Linear(2, 16), nn.Linear(16, 16), nn.Linear(16, 1)]
        d = nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.LeakyReLU(0.2), layers[2]).double()
        with torch.no_grad():
            for p in d.parameters():
                p.copy_(torch.randn(p.shape, dtype=torch.float64, generator=GENERATOR).mul(3).clamp(-c, c))
        bounds.append(math.prod(c * math.sqrt(w.weight.numel()) for w in layers))  # |W| <= Frobenius <= c sqrt(size)
        found.append(float(slopes(d, points(2000, 0.0)).max().detach()))
    assert all(f <= b for f, b in zip(found, bounds))
    assert found[0] < 1e-3 and found[2] > 2  # one c starves the critic, another breaks the constraint


def test_one_lipschitz_functions_have_gradients_of_norm_one_at_most():
    d = Unit()
    x, y = points(2000, 0.0) * 3, points(2000, 0.5) * 3
    assert bool(((d(x) - d(y)).abs()[:, 0] <= (x - y).norm(dim=1) + 1e-12).all())
    assert float(slopes(d, x).max().detach()) <= 1 + 1e-12
    # And back: differences are integrals of the gradient along the segment, so a bound on it is a Lipschitz constant.
    d = network()
    t = torch.linspace(0, 1, 201, dtype=torch.float64)[:, None, None]
    for a, b in zip(x[:20], y[:20]):
        line = (a + t[:, 0] * (b - a)).detach()
        with torch.no_grad():
            rise = float((d(a[None]) - d(b[None])).abs())
        assert rise <= float(slopes(d, line).max().detach()) * float((a - b).norm()) + 1e-9


def test_unit_gradients_are_needed_along_the_plan_only():
    """An optimal critic may be flat elsewhere: P at 0, Q at 1, f(x) = -min(max(x, 0), 1) attains W1 = 1."""

    def f(x: Tensor) -> Tensor:
        return -x.clamp(0, 1)

    assert float(f(torch.tensor(0.0)) - f(torch.tensor(1.0))) == float(wasserstein1(Discrete([0.0], [1.0]), [0.0, 1.0]))
    x = torch.tensor([-2.0, 0.25, 0.75, 3.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(f(x).sum(), x)
    assert gradient.abs().tolist() == [0, 1, 1, 0]
    # So does an independent pairing: interpolates between unmatched points have slopes below 1 at the optimum.
    p, q = Discrete([0.0, 10.0], [0.5, 0.5]), Discrete([1.0, 11.0], [0.5, 0.5])
    best = kantorovich_potentials(p, q)
    assert best.value == pytest.approx(1)
    assert abs(float(best([0.0])[0] - best([11.0])[0])) / 11 < 0.2  # the mean slope from 0 to 11


# ------------------------------------------------------------------------------------------ the gradient penalty


def objective(d: nn.Module, x: Tensor, samples: Tensor, t: Tensor, weight: float) -> Tensor:
    """The slide: E D(x) - E D(G(z)) - lambda E (|grad D(x~)| - 1)^2, x~ = t x + (1 - t) G(z)."""
    between = t * x + (1 - t) * samples
    (gradient,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
    return d(x).mean() - d(samples).mean() - weight * (gradient.norm(dim=1) - 1).square().mean()


def test_the_algorithm_s_loss_is_minus_the_slide_s_objective():
    """L = D(x~) - D(x) + lambda (|grad D(x^)| - 1)^2, averaged: the slide's x~ is the algorithm's x^."""
    d, x, samples = network(), points(8, 0.0), points(8, 1.0).requires_grad_()
    t = torch.rand(8, 1, dtype=torch.float64, generator=GENERATOR)
    total = 0.0
    for i in range(8):
        between = t[i] * x[i] + (1 - t[i]) * samples[i]
        penalty = (slopes(d, between[None]) - 1).square()
        total += float((d(samples[i : i + 1])[:, 0] - d(x[i : i + 1])[:, 0] + 10 * penalty).detach())
    assert float(objective(d, x, samples, t, 10.0).detach()) == pytest.approx(-total / 8, abs=1e-10)


def test_the_penalty_is_zero_at_slope_one_and_punishes_both_sides():
    class Plane(nn.Module):
        def __init__(self, slope: float):
            super().__init__()
            self.direction = slope * torch.tensor([0.6, 0.8], dtype=torch.float64)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.direction[:, None]

    x, samples = points(40, 1.0), points(40, 0.0).requires_grad_()
    t = torch.rand(40, 1, dtype=torch.float64, generator=GENERATOR)
    for slope, penalty in ((1.0, 0.0), (0.5, 0.25), (1.5, 0.25)):
        with_it, without = (objective(Plane(slope), x, samples, t, w) for w in (10.0, 0.0))
        assert float((without - with_it).detach()) == pytest.approx(10 * penalty, abs=1e-12)


def test_interpolates_run_from_samples_to_data():
    x, samples = points(5, 0.0), points(5, 1.0)
    for t, end in ((0.0, samples), (1.0, x)):
        torch.testing.assert_close(t * x + (1 - t) * samples, end)
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)  # uniform t: mean (x + G(z)) / 2, variance |x - G(z)|^2 / 12
    between = t[:, None] * x[0] + (1 - t[:, None]) * samples[0]
    torch.testing.assert_close(between.mean(0), (x[0] + samples[0]) / 2)
    torch.testing.assert_close(between.var(0, correction=0), (x[0] - samples[0]) ** 2 / 12, atol=0, rtol=1e-3)


def test_the_generator_s_step_leaves_the_penalty_out():
    """As printed, min over theta_g of the whole would also move the interpolates; the algorithm's does not."""
    d, x, z = Unit(), points(8, 0.0), points(8, 0.0)  # curved: a piecewise linear critic's slope does not move with x
    t = torch.rand(8, 1, dtype=torch.float64, generator=GENERATOR)
    shift = torch.ones(2, dtype=torch.float64, requires_grad=True)
    (printed,) = torch.autograd.grad(objective(d, x, z + shift, t, 10.0), shift)
    (algorithm,) = torch.autograd.grad(-d(z + shift).mean(), shift)
    (without,) = torch.autograd.grad(objective(d, x, z + shift, t, 0.0), shift)
    torch.testing.assert_close(without, algorithm)
    assert float((printed - algorithm).abs().max()) > 1e-3
