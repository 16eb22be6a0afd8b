"""Gaussian paths against Bayes' rule and against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pushforward.paths import Schedule, diffuse, epsilon_from_x0, kl_to_base, posterior, straight, x0_from_epsilon

SCHEDULE = Schedule("linear", 1000)
STEPS = [(0, 1), (1, 2), (0, 1000), (499, 500), (100, 900), (999, 1000)]


def test_straight_path_ends_and_velocity():
    torch.manual_seed(0)
    base, data = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64)
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    x, velocity = straight(base, data, t)
    assert torch.equal(x[0], base[0]) and torch.equal(x[2], data[2])
    later, _ = straight(base, data, t + 1e-6)
    assert torch.allclose((later - x) / 1e-6, velocity, atol=1e-8)


@pytest.mark.parametrize("s, k", STEPS)
def test_posterior_is_bayes_rule(s, k):
    torch.manual_seed(0)
    x0, x = torch.randn(2, 5, 3, dtype=torch.float64)
    a, earlier = SCHEDULE.at(k, x), SCHEDULE.at(s, x)
    mean, variance = posterior(x0, x, earlier, a)
    if s == 0:
        assert torch.allclose(mean, x0) and float(variance) == 0
        return
    # Precisions of q(x_s | x_0) and of q(x_k | x_s) as a function of x_s add up.
    prior_mean, prior_precision = earlier.exp().sqrt() * x0, 1 / (1 - earlier.exp())
    alpha = (a - earlier).exp()
    precision = prior_precision + alpha / (1 - alpha)
    expected = (prior_precision * prior_mean + alpha.sqrt() / (1 - alpha) * x) / precision
    assert torch.allclose(mean, expected, rtol=1e-7)
    assert torch.allclose(variance, 1 / precision, rtol=1e-7)


def test_posterior_of_one_step_a_row():
    torch.manual_seed(0)
    x0, x = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64)
    k, s = torch.tensor([2, 500, 1000]), torch.tensor([1, 20, 0])
    mean, variance = posterior(x0, x, SCHEDULE.at(s, x), SCHEDULE.at(k, x))
    for i in range(3):
        one, v = posterior(x0[i], x[i], SCHEDULE.at(int(s[i]), x), SCHEDULE.at(int(k[i]), x))
        assert torch.allclose(mean[i], one) and torch.allclose(variance[i].squeeze(), v)


def test_two_diffusions_compose():
    # q(x_k | x_0) is q(x_k | x_s) after q(x_s | x_0): same mean, same variance.
    s, k = 200, 700
    a, earlier = SCHEDULE.at(k, torch.zeros(1)), SCHEDULE.at(s, torch.zeros(1))
    x0 = torch.tensor([2.0], dtype=torch.float64)
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    step = a - earlier
    assert torch.allclose(diffuse(diffuse(x0, zero, earlier), zero, step), diffuse(x0, zero, a))
    first = diffuse(zero, one, earlier) * (0.5 * step).exp()
    second = diffuse(zero, one, step)
    assert torch.allclose(first**2 + second**2, diffuse(zero, one, a) ** 2)


@pytest.mark.parametrize("k", [1, 10, 1000])
def test_data_and_noise_determine_each_other(k):
    torch.manual_seed(0)
    x0, epsilon = torch.randn(2, 4, 2, dtype=torch.float64)
    a = SCHEDULE.at(k, x0)
    x = diffuse(x0, epsilon, a)
    assert torch.allclose(x0_from_epsilon(x, epsilon, a), x0, atol=1e-9)
    assert torch.allclose(epsilon_from_x0(x, x0, a), epsilon, atol=1e-9)


@pytest.mark.parametrize("k", [1, 300, 1000])
def test_kl_to_base(k):
    torch.manual_seed(0)
    x0 = torch.randn(4, 3, 2, dtype=torch.float64)
    a = SCHEDULE.at(k, x0)
    q = Normal((0.5 * a).exp() * x0, (1 - a.exp()).sqrt())
    expected = kl_divergence(q, Normal(torch.zeros_like(x0), torch.ones_like(x0))).sum((1, 2))
    assert torch.allclose(kl_to_base(x0, a), expected, rtol=1e-9, atol=1e-12)
