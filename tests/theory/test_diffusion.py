"""Diffusion in closed form: data from N(m, s^2) and a linear denoiser make every term of the bound a number.

With a chain of Gaussians q(x_0..x_T) and a model p(x_0..x_T) of linear Gaussian steps, both are Gaussians of T + 1
numbers. Cross entropy and bound are then formulas of two means and two covariances, and the DDPM's own bound, which
draws one noise a term, is averaged exactly over sigma points (it is quadratic in x_0 and in each noise).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from pushforward.families.diffusion.ddpm import DDPM, DDPMSettings
from pushforward.paths import SCHEDULES, Schedule, diffuse, kl_to_base, posterior
from pushforward.spaces import Real
from tests.theory.fixed import Given, normal_density

T = 8
M, S2 = 0.6, 0.8  # mean and variance of the data
LINE = torch.linspace(-9, 9, 3601, dtype=torch.float64)


class Linear(nn.Module):
    """The noise that a linear denoiser predicts: x0_hat = (1 - w) m' + w r x, with the best r and m' when w = 1."""

    def __init__(self, schedule: Schedule, quality: float):
        super().__init__()
        self.schedule, self.quality = schedule, quality
        self.dtype = nn.Parameter(torch.zeros((), dtype=torch.float64))  # the model's precision

    def coefficients(self, k: int | Tensor) -> tuple[Tensor, Tensor]:
        """x0_hat = slope x + shift at step k."""
        ab = self.schedule.log_alpha_bar[k].exp()
        gain = ab.sqrt() * S2 / (ab * S2 + 1 - ab)
        return self.quality * gain, M * (1 - gain * ab.sqrt()) + 0.3 * (1 - self.quality)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        k = ((1 - t) * self.schedule.steps).round().long()
        ab = self.schedule.log_alpha_bar[k].exp()[:, None]
        slope, shift = (c[:, None] for c in self.coefficients(k))
        return (x - ab.sqrt() * (slope * x + shift)) / (1 - ab).sqrt()


def model(quality: float, schedule: str = "linear", variance: str = "fixed-large") -> DDPM:
    settings = DDPMSettings(timesteps=T, schedule=schedule, variance=variance)
    return DDPM(settings, Real((1,)), networks={"field": Linear(Schedule(schedule, T), quality)}).eval()


def alphas(schedule: Schedule) -> Tensor:
    """alpha_1..alpha_T, at index k - 1."""
    return (schedule.log_alpha_bar[1:] - schedule.log_alpha_bar[:-1]).exp()


def forward_joint(schedule: Schedule) -> MultivariateNormal:
    """q(x_0, ..., x_T) by running the lecture's steps on means and covariances."""
    mean, factor = torch.zeros(T + 1, dtype=torch.float64), torch.zeros(T + 1, T + 1, dtype=torch.float64)
    mean[0], factor[0, 0] = M, math.sqrt(S2)
    for k, alpha in enumerate(alphas(schedule), start=1):
        mean[k] = alpha.sqrt() * mean[k - 1]
        factor[k] = alpha.sqrt() * factor[k - 1]
        factor[k, k] = (1 - alpha).sqrt()
    return MultivariateNormal(mean, factor @ factor.T)


def reverse_steps(ddpm: DDPM) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(slope, shift, variance) of p(x_{k-1} | x_k) for k = 1..T, from the formulas of Ho et al. 2020."""
    schedule, steps = ddpm.schedule, []
    alpha, ab = alphas(schedule), schedule.log_alpha_bar.exp()
    for k in range(1, T + 1):
        beta = 1 - alpha[k - 1]
        slope, shift = ddpm.network.field.coefficients(k)
        to_data = ab[k - 1].sqrt() * beta / (1 - ab[k])
        to_noisy = alpha[k - 1].sqrt() * (1 - ab[k - 1]) / (1 - ab[k])
        tilde = beta * (1 - ab[k - 1]) / (1 - ab[k])
        variance = tilde if ddpm.variance == "fixed-small" and k > 1 else beta
        steps.append((to_noisy + to_data * slope, to_data * shift, variance))
    return steps


def reverse_joint(ddpm: DDPM) -> MultivariateNormal:
    """p(x_0, ..., x_T): N(0, 1) at T, then the model's steps down to x_0."""
    mean, factor = torch.zeros(T + 1, dtype=torch.float64), torch.zeros(T + 1, T + 1, dtype=torch.float64)
    factor[T, T] = 1
    for k in range(T, 0, -1):
        slope, shift, variance = reverse_steps(ddpm)[k - 1]
        mean[k - 1] = slope * mean[k] + shift
        factor[k - 1] = slope * factor[k]
        factor[k - 1, k - 1] = variance.sqrt()
    return MultivariateNormal(mean, factor @ factor.T)


def marginal(joint: MultivariateNormal, k: int) -> Normal:
    return Normal(joint.mean[k], joint.covariance_matrix[k, k].sqrt())


def given_data(joint: MultivariateNormal) -> tuple[Tensor, Tensor, Tensor]:
    """x_1..x_T given x_0: N(gain x_0 + shift, covariance)."""
    c = joint.covariance_matrix
    gain = c[1:, 0] / c[0, 0]
    return gain, joint.mean[1:] - gain * joint.mean[0], c[1:, 1:] - torch.outer(gain, c[0, 1:])


def bound(ddpm: DDPM) -> tuple[float, dict[str, float]]:
    """E_q of the DDPM's own bound on log p(x_0), and of its three terms, without sampling error."""
    x0, e = torch.tensor([1.0, 1.0, -1.0, -1.0]).double(), torch.tensor([1.0, -1.0, 1.0, -1.0]).double()
    out = ddpm.density((M + math.sqrt(S2) * x0)[:, None], None, Given([e]), bound_steps="all")
    return float(out.values.mean()), {name: float(v.mean()) for name, v in out.terms.items()}


# ------------------------------------------------------------------------------------------ forward


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("steps", [10, 1000])
def test_the_closed_form_of_the_forward_process_by_induction(name, steps):
    """x_k = sqrt(a_k) x_{k-1} + sqrt(1 - a_k) e_k, T times: signal sqrt(prod a), variance 1 - prod a, at every k."""
    schedule = Schedule(name, steps)
    signal, variance = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    for k, alpha in enumerate(alphas(schedule), start=1):
        assert 0 < float(alpha) < 1
        signal, variance = alpha.sqrt() * signal, alpha * variance + (1 - alpha)
        a = schedule.at(k, one)
        torch.testing.assert_close(diffuse(one, zero, a)[0, 0], signal, rtol=1e-9, atol=0)
        torch.testing.assert_close(diffuse(zero, one, a)[0, 0] ** 2, variance, rtol=1e-9, atol=0)
    torch.testing.assert_close(signal**2, alphas(schedule).prod(), rtol=1e-9, atol=0)


def test_two_steps_are_one_with_a_noise_of_its_own():
    """The noises of two steps merge: a weighted sum of e_{T-1}, e_T of variance 1 - a_T a_{T-1}, itself N(0, I)."""
    a1, a2 = 0.9, 0.7
    x0, e1, e2 = torch.randn(3, 1000, dtype=torch.float64)
    x2 = math.sqrt(a2) * (math.sqrt(a1) * x0 + math.sqrt(1 - a1) * e1) + math.sqrt(1 - a2) * e2
    weights = math.sqrt(a2 * (1 - a1)), math.sqrt(1 - a2)
    assert weights[0] ** 2 + weights[1] ** 2 == pytest.approx(1 - a1 * a2, rel=1e-14)
    merged = (weights[0] * e1 + weights[1] * e2) / math.sqrt(1 - a1 * a2)
    torch.testing.assert_close(x2, math.sqrt(a1 * a2) * x0 + math.sqrt(1 - a1 * a2) * merged)


def test_a_whole_chain_is_one_draw_of_its_closed_form():
    """The same, over all steps of a schedule: the chain with noises e_k is `diffuse` with their merged noise."""
    schedule = Schedule("cosine", 50)
    x0, e = torch.randn(20, 1, dtype=torch.float64), torch.randn(50, 20, 1, dtype=torch.float64)
    x, merged = x0, torch.zeros_like(x0)
    for alpha, noise in zip(alphas(schedule), e):
        x = alpha.sqrt() * x + (1 - alpha).sqrt() * noise
        merged = alpha.sqrt() * merged + (1 - alpha).sqrt() * noise
    a = schedule.at(50, x0)
    torch.testing.assert_close(x, diffuse(x0, merged / (-torch.expm1(a)).sqrt(), a))


def test_the_end_of_the_chain_is_nearly_the_base():
    """alpha falls, and x_T is N(0, I) but for KL(q(x_T | x_0) || N(0, I)) = (ab x^2 - ab - log(1 - ab)) / 2."""
    x0 = torch.tensor([[2.0]], dtype=torch.float64)
    for name in SCHEDULES:
        schedule = Schedule(name, 1000)
        alpha = alphas(schedule)
        assert bool((alpha[1:] < alpha[:-1]).all())
        a = schedule.at(1000, x0)
        expected = kl_divergence(
            MultivariateNormal(a.exp().sqrt() * x0, (-torch.expm1(a)).view(1, 1, 1)),
            MultivariateNormal(torch.zeros(1, dtype=torch.float64), torch.eye(1, dtype=torch.float64)),
        )
        torch.testing.assert_close(kl_to_base(x0, a), expected, atol=1e-12, rtol=1e-6)
        assert 0 < float(expected) < 5e-4


def test_falling_alphas_alone_do_not_reach_the_base():
    """For one falling sequence prod a_t <= a_1^T, which vanishes; for a schedule that changes with T it need not."""
    fixed = 0.99 - 0.5 * torch.arange(2000, dtype=torch.float64) / 2000
    assert float(fixed.prod()) < 0.99**2000
    for steps in (100, 1000, 10_000):
        falling = 1 - torch.arange(1, steps + 1, dtype=torch.float64) / steps**3
        assert bool((falling[1:] < falling[:-1]).all())
        assert float(falling.prod()) > 1 - 1 / steps


# ------------------------------------------------------------------------------------------ reverse


def test_the_posterior_of_a_step_is_bayes_rule():
    """q(x_{k-1} | x_k, x_0) is proportional to q(x_k | x_{k-1}) q(x_{k-1} | x_0): mean and variance by quadrature."""
    schedule = Schedule("linear", T)
    ab = schedule.log_alpha_bar.exp()
    x0, x = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-0.4]], dtype=torch.float64)
    for k in range(2, T + 1):
        alpha = ab[k] / ab[k - 1]
        product = normal_density(x[0], alpha.sqrt() * LINE, 1 - alpha) * normal_density(
            LINE, ab[k - 1].sqrt() * x0[0], 1 - ab[k - 1]
        )
        product = product / torch.trapezoid(product, LINE)
        mean, variance = posterior(x0, x, schedule.at(k - 1, x), schedule.at(k, x))
        expected = torch.trapezoid(LINE * product, LINE)
        torch.testing.assert_close(mean[0, 0], expected, atol=1e-8, rtol=0)
        spread = torch.trapezoid((LINE - expected) ** 2 * product, LINE)
        torch.testing.assert_close(variance, spread, atol=1e-8, rtol=0)
        # And it is a Gaussian: the whole density, not two of its moments.
        torch.testing.assert_close(normal_density(LINE, mean[0, 0], variance), product, atol=1e-7, rtol=0)


def test_the_reverse_step_of_gaussian_data_is_gaussian_and_of_other_data_nearly():
    """q(x_{k-1} | x_k) of a mixture: its divergence from a Gaussian of the same moments falls with the step's noise."""
    divergences = []
    for beta in (0.5, 0.1, 0.02):
        x = 0.25
        before = 0.5 * normal_density(LINE, -1.0, 0.05) + 0.5 * normal_density(LINE, 1.0, 0.05)
        reverse = before * normal_density(torch.tensor(x), math.sqrt(1 - beta) * LINE, beta)
        reverse = reverse / torch.trapezoid(reverse, LINE)
        mean = torch.trapezoid(LINE * reverse, LINE)
        variance = torch.trapezoid((LINE - mean) ** 2 * reverse, LINE)
        log_ratio = torch.log(reverse + 1e-300) - torch.log(normal_density(LINE, mean, variance) + 1e-300)
        divergences.append(float(torch.trapezoid(reverse * log_ratio, LINE)))
    assert divergences[0] > 0.3 and divergences[2] < 5e-3 and divergences == sorted(divergences, reverse=True)
    # For N(m, s^2) the reverse step is exactly N(slope x + shift, variance): conditioning of the joint.
    q = forward_joint(Schedule("linear", T)).covariance_matrix
    for k in range(1, T + 1):
        slope = q[k - 1, k] / q[k, k]
        before, step = normal_density(LINE, 0.0, q[k - 1, k - 1]), alphas(Schedule("linear", T))[k - 1]
        reverse = before * normal_density(torch.tensor(0.3), step.sqrt() * LINE, 1 - step)
        exact = normal_density(LINE, slope * 0.3, q[k - 1, k - 1] - slope * q[k - 1, k])
        torch.testing.assert_close(reverse / torch.trapezoid(reverse, LINE), exact, atol=1e-7, rtol=0)


# ------------------------------------------------------------------------------------------ the bound


@pytest.mark.parametrize("quality", [1.0, 0.7])
@pytest.mark.parametrize("schedule, variance", [("linear", "fixed-large"), ("cosine", "fixed-small")])
def test_cross_entropy_is_below_the_bound(quality, schedule, variance):
    """L_CE = H(q) + KL(q(x_0) || p(x_0)) <= L_VLB = H(q) + KL of the whole chains; and L_VLB is the DDPM's."""
    ddpm = model(quality, schedule, variance)
    q, p = forward_joint(ddpm.schedule), reverse_joint(ddpm)
    entropy = float(marginal(q, 0).entropy())
    cross_entropy = entropy + float(kl_divergence(marginal(q, 0), marginal(p, 0)))
    vlb = entropy + float(kl_divergence(q, p))
    assert cross_entropy < vlb - 1e-3
    assert -bound(ddpm)[0] == pytest.approx(vlb, abs=1e-9)
    # The gap is Jensen's: the mean divergence of q(x_1..x_T | x_0) from the model's own posterior, as in a VAE.
    (gain_q, shift_q, cov_q), (gain_p, shift_p, cov_p) = given_data(q), given_data(p)
    change, constant = gain_q - gain_p, shift_q - shift_p
    mean = constant + change * M
    outer = torch.outer(mean, mean) + S2 * torch.outer(change, change)
    ratio = torch.linalg.solve(cov_p, cov_q)
    gap = 0.5 * (torch.trace(ratio + torch.linalg.solve(cov_p, outer)) - T - torch.linalg.slogdet(ratio).logabsdet)
    assert vlb - cross_entropy == pytest.approx(float(gap), abs=1e-8)
    # "Evidence lower bound": it is -L_VLB that is below E log p(x_0).
    assert -vlb < -cross_entropy


@pytest.mark.parametrize("quality", [1.0, 0.7])
def test_the_three_terms_add_up_to_the_bound(quality):
    """L_T + sum of L_{t-1} + L_0, each in closed form, each equal to the DDPM's term of that name."""
    ddpm = model(quality)
    schedule, steps = ddpm.schedule, reverse_steps(ddpm)
    ab, alpha = schedule.log_alpha_bar.exp(), alphas(schedule)
    q = forward_joint(schedule)
    square = S2 + M**2
    l_t = 0.5 * float(ab[T] * square - ab[T] - torch.log(1 - ab[T]))
    l_between = 0.0
    for k in range(2, T + 1):
        beta = 1 - alpha[k - 1]
        to_data = ab[k - 1].sqrt() * beta / (1 - ab[k])
        to_noisy = alpha[k - 1].sqrt() * (1 - ab[k - 1]) / (1 - ab[k])
        true = beta * (1 - ab[k - 1]) / (1 - ab[k])
        slope, shift, variance = steps[k - 1]
        # E (mean of q - mean of p)^2 for x_0 and x_k of the joint.
        a, b, c = to_data, to_noisy - slope, -shift
        second = a * q.mean[0] + b * q.mean[k] + c
        spread = (
            a * a * q.covariance_matrix[0, 0]
            + 2 * a * b * q.covariance_matrix[0, k]
            + b * b * q.covariance_matrix[k, k]
        )
        l_between += 0.5 * float((second**2 + spread) / variance + true / variance - 1 - torch.log(true / variance))
    slope, shift, variance = steps[0]
    residual = (1 * q.mean[0] - slope * q.mean[1] - shift) ** 2 + (
        q.covariance_matrix[0, 0] - 2 * slope * q.covariance_matrix[0, 1] + slope**2 * q.covariance_matrix[1, 1]
    )
    l_0 = 0.5 * float(residual / variance + torch.log(2 * math.pi * variance))
    vlb = float(marginal(q, 0).entropy() + kl_divergence(q, reverse_joint(ddpm)))
    assert l_t + l_between + l_0 == pytest.approx(vlb, abs=1e-10)
    total, terms = bound(ddpm)
    assert terms["prior"] == pytest.approx(-l_t, abs=1e-10)
    assert terms["diffusion"] == pytest.approx(-l_between, abs=1e-9)
    assert terms["reconstruction"] == pytest.approx(-l_0, abs=1e-9)
    assert total == pytest.approx(-vlb, abs=1e-9)


def test_only_the_first_term_does_not_depend_on_the_model():
    """L_T is the same for two denoisers; the others are not."""
    (_, good), (_, bad) = bound(model(1.0)), bound(model(0.7))
    assert good["prior"] == bad["prior"]
    assert good["diffusion"] > bad["diffusion"] and good["reconstruction"] != bad["reconstruction"]


def test_every_line_of_the_bound_s_derivation():
    """T = 2, by sums over grids of x_1, x_2: the integral of p, E_q of p/q, and minus E_q log p/q, for one x_0."""
    line = torch.linspace(-8, 8, 801, dtype=torch.float64)
    cell = float(line[1] - line[0])
    a1, a2, x0 = 0.6, 0.4, 0.9
    x1, x2 = line[:, None], line[None, :]
    q = normal_density(x1, math.sqrt(a1) * x0, 1 - a1) * normal_density(x2, math.sqrt(a2) * x1, 1 - a2)

    def p(step: Callable[[Tensor], Tensor]) -> Tensor:
        joint = normal_density(x2, 0.0, 1.0) * normal_density(x1, step(x2), 0.5)
        return joint * normal_density(torch.tensor(x0).double(), 0.8 * x1 + 0.2, 0.4)

    for step in (lambda x: 0.3 * x + 0.1, lambda x: torch.tanh(2 * x)):
        joint = p(step)
        assert float(q.sum() * cell**2) == pytest.approx(1, abs=1e-9)
        direct = -math.log(float(joint.sum() * cell**2))
        weighted = -math.log(float((q * (joint / q.clamp_min(1e-300))).sum() * cell**2))
        jensen = float((q * (q.clamp_min(1e-300).log() - joint.clamp_min(1e-300).log())).sum() * cell**2)
        assert weighted == pytest.approx(direct, abs=1e-6)
        assert jensen > direct + 1e-2
    # Equality where p / q is constant: p's posterior is q.
    chain = normal_density(torch.tensor(x0).double(), 0.0, 1.0) * q
    jensen = float((q * (q.clamp_min(1e-300).log() - chain.clamp_min(1e-300).log())).sum() * cell**2)
    assert jensen == pytest.approx(-math.log(float(chain.sum() * cell**2)), abs=1e-9)


def test_l_simple_is_the_bound_s_terms_reweighted():
    """L_{k-1} = beta^2 / (2 sigma^2 alpha (1 - ab)) E |e - e_theta|^2 + const (Ho et al. 2020, eq. 12)."""
    ddpm = model(0.7)
    schedule, steps = ddpm.schedule, reverse_steps(ddpm)
    ab, alpha = schedule.log_alpha_bar.exp(), alphas(schedule)
    x0, e = torch.tensor([1.0, 1.0, -1.0, -1.0]).double(), torch.tensor([1.0, -1.0, 1.0, -1.0]).double()
    x0 = M + math.sqrt(S2) * x0
    for k in range(2, T + 1):
        beta, (slope, shift, variance) = 1 - alpha[k - 1], steps[k - 1]
        x = diffuse(x0, e, schedule.log_alpha_bar[k])
        predicted = ddpm.network.field(x[:, None], torch.full((4,), 1 - k / T).double())[:, 0]
        error = (e - predicted).square().mean()
        mean, _ = posterior(x0, x, schedule.log_alpha_bar[k - 1], schedule.log_alpha_bar[k])
        squared = ((mean - slope * x - shift) ** 2).mean() / (2 * variance)
        factor = beta**2 / (2 * variance * alpha[k - 1] * (1 - ab[k]))
        torch.testing.assert_close(squared, (factor * error).detach(), atol=1e-10, rtol=1e-8)
