"""Decoder likelihoods against scipy and torch.distributions, their sums over levels, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.families.autoencoders.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    Gaussian,
    Likelihood,
    Scale,
    build_likelihood,
    choose,
)
from pushforward.families.autoencoders.posteriors import GaussianPosterior, active_units, standard_normal_log_prob
from pushforward.noise import Noise
from pushforward.spaces import Pixels, Real, Space, Tokens

SHAPE = (2, 3, 2)


def noise(n: int, seed: int = 0) -> Noise:
    return Noise.of(seed, index=torch.arange(n))


def double(likelihood: Likelihood, n: int = 5, spread: float = 1.0) -> tuple[Likelihood, Tensor]:
    """The likelihood in float64 and a random decoder output (n, outputs, *SHAPE)."""
    return likelihood.double(), spread * torch.randn(n, likelihood.outputs, *SHAPE, dtype=torch.float64)


# ------------------------------------------------------------------------------ against references


def test_bernoulli_is_torchs():
    likelihood, output = double(Bernoulli(), spread=5.0)
    x = torch.randint(0, 2, (5, *SHAPE))
    expected = torch.distributions.Bernoulli(logits=output[:, 0]).log_prob(x.double()).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(x, output), expected)


@pytest.mark.parametrize("mode", ["fixed", "learned", "per-dimension"])
def test_gaussian_is_scipys(mode):
    likelihood, output = double(Gaussian(mode, initial=0.3, minimum=0.01))
    x = torch.randn(5, *SHAPE, dtype=torch.float64)
    if mode == "per-dimension":
        r = output[:, 1] + math.log(0.3)
        sigma = 0.01 * np.exp(np.logaddexp(0, (r - math.log(0.01)).numpy()))
    else:
        sigma = 0.3
    expected = scipy.stats.norm(output[:, 0].numpy(), sigma).logpdf(x.numpy()).sum((1, 2, 3))
    # A learned scale starts as float32.
    np.testing.assert_allclose(likelihood.log_prob(x, output).detach(), expected, rtol=1e-6)


def test_categorical_is_torchs():
    likelihood, output = double(Categorical(7, ordered=True), spread=3.0)
    x = torch.randint(0, 7, (5, *SHAPE), dtype=torch.uint8)
    reference = torch.distributions.Categorical(logits=output.movedim(1, -1))
    torch.testing.assert_close(likelihood.log_prob(x, output), reference.log_prob(x.long()).flatten(1).sum(1))


@pytest.mark.parametrize("mode", ["fixed", "learned", "per-dimension"])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_discretized_logistic_is_the_difference_of_scipys_cdf(levels, mode):
    likelihood, output = double(DiscretizedLogistic(SHAPE, levels, mode, initial=0.2))
    output[:, :1] *= 0.5
    x = torch.randint(0, levels, (5, *SHAPE))
    log_scale = likelihood.scale(output).detach().expand(5, *SHAPE)
    law = scipy.stats.logistic(output[:, 0].numpy(), log_scale.exp().numpy())
    y, half = 2 * x.numpy() / (levels - 1) - 1, 1 / (levels - 1)
    upper = np.where(x == levels - 1, 1.0, law.cdf(y + half))
    lower = np.where(x == 0, 0.0, law.cdf(y - half))
    expected = np.log(upper - lower).sum((1, 2, 3))
    np.testing.assert_allclose(likelihood.log_prob(x, output).detach(), expected, rtol=1e-8)


@pytest.mark.parametrize("scale", [2e-3, 0.05, 3.0])
@pytest.mark.parametrize("levels", [2, 5, 256])
def test_discretized_logistic_sums_to_one(levels, scale):
    likelihood = DiscretizedLogistic((1, 1, 1), levels, "fixed", scale).double()
    for mean in (-1.7, -1.0, 0.013, 0.9, 4.0):
        x = torch.arange(levels).view(-1, 1, 1, 1)
        output = torch.full((levels, 1, 1, 1, 1), mean, dtype=torch.float64)
        assert likelihood.log_prob(x, output).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_discretized_logistic_in_float32_far_from_its_mean():
    """The difference of sigmoids is 0 in float32 here; the formula stays exact, and so does its gradient."""
    x = torch.tensor([1, 100, 253, 254]).view(4, 1, 1, 1)
    answers = []
    for dtype in (torch.float32, torch.float64):
        likelihood = DiscretizedLogistic((1, 1, 1), 256, "fixed", 2e-3).to(dtype)
        output = torch.tensor([0.9, 0.9, -0.9, -0.9], dtype=dtype).view(4, 1, 1, 1, 1).requires_grad_()
        log_p = likelihood.log_prob(x, output)
        (gradient,) = torch.autograd.grad(log_p.sum(), output)
        answers.append((log_p.detach().double(), gradient.double()))
    assert float(answers[0][0].max()) < -500
    torch.testing.assert_close(answers[0][0], answers[1][0], rtol=1e-4, atol=0)
    torch.testing.assert_close(answers[0][1], answers[1][1], rtol=1e-3, atol=0)


@pytest.mark.parametrize("name, levels", [("bernoulli", 2), ("categorical", 3), ("discretized-logistic", 3)])
def test_mass_over_all_images_is_one(name, levels):
    """Every image of three pixels, one by one."""
    likelihood = build_likelihood(name, Pixels(1, 1, 3, levels)).double()
    images = torch.cartesian_prod(*[torch.arange(levels)] * 3).view(-1, 1, 1, 3)
    output = torch.randn(1, likelihood.outputs, 1, 1, 3, dtype=torch.float64).expand(len(images), -1, -1, -1, -1)
    assert likelihood.log_prob(images, output).exp().sum().item() == pytest.approx(1, abs=1e-12)


# ------------------------------------------------------------------------------ scales


def test_a_free_scale_is_bounded():
    """A decoder that fits exactly and asks for a zero scale: the density stays under the documented bound."""
    likelihood = Gaussian("per-dimension", minimum=1e-2)
    output = torch.stack([torch.zeros(1, 4), torch.full((1, 4), -1e4)], 1)
    bound = -4 * math.log(1e-2 * math.sqrt(2 * math.pi))
    assert likelihood.log_prob(torch.zeros(1, 4), output).item() == pytest.approx(bound, rel=1e-5)
    learned = Gaussian("learned", minimum=1e-2)
    with torch.no_grad():
        learned.scale.raw.fill_(-1e4)
    assert learned.log_prob(torch.zeros(1, 4), output[:, :1]).item() == pytest.approx(bound, rel=1e-5)


def test_scale_starts_at_its_initial_value_and_refuses_one_below_its_bound():
    output = torch.zeros(1, 1, 2, 1, 1)
    torch.testing.assert_close(Scale("learned", 0.02, 1e-3, (2, 1, 1))(output).exp(), torch.full((2, 1, 1), 0.02))
    with pytest.raises(InputError, match="not above its bound"):
        Scale("learned", 1e-4, 1e-3)


def test_learned_logistic_scale_is_one_a_channel():
    assert DiscretizedLogistic((3, 8, 8), 256, "learned").scale.raw.shape == (3, 1, 1)


# ------------------------------------------------------------------------------ draws


@pytest.mark.parametrize("name, levels", [("bernoulli", 2), ("categorical", 5), ("discretized-logistic", 5)])
def test_draws_have_the_frequencies_of_log_prob(name, levels):
    """40,000 draws of one pixel: chi-square at p > 1e-4 against exp(log_prob)."""
    n = 40_000
    likelihood = build_likelihood(name, Pixels(1, 1, 1, levels), "fixed", 0.3)
    output = 0.5 * torch.randn(1, likelihood.outputs, 1, 1, 1)
    drawn = likelihood.draw(output.expand(n, -1, -1, -1, -1), noise(n))
    assert drawn.dtype == torch.uint8
    every = torch.arange(levels).view(-1, 1, 1, 1)
    p = likelihood.log_prob(every, output.expand(levels, -1, -1, -1, -1)).exp().double()
    counts = torch.bincount(drawn.flatten().long(), minlength=levels)
    assert scipy.stats.chisquare(counts.numpy(), (n * p / p.sum()).numpy()).pvalue > 1e-4


def test_gaussian_draws_have_its_moments():
    n = 40_000
    likelihood = Gaussian("fixed", initial=0.3)
    drawn = likelihood.draw(torch.full((n, 1, 1), 2.0), noise(n))
    assert drawn.mean().item() == pytest.approx(2, abs=0.008)
    assert drawn.std().item() == pytest.approx(0.3, abs=0.006)


def test_centres():
    logits = torch.tensor([[[-0.1, 0.1]]])
    assert Bernoulli().mean(logits).tolist() == [[0, 1]]
    # Half on 0, half on 4: the expected level of ordered pixels is 2; of tokens the most likely value.
    split = torch.tensor([1.0, 0, 0, 0, 1.01]).mul(20).view(1, 5, 1)
    assert Categorical(5, ordered=True).mean(split.clamp_max(20)).tolist() == [[2]]
    assert Categorical(5, ordered=False).mean(split).tolist() == [[4]]
    locations = torch.tensor([-5.0, -1, 0, 0.49, 7]).view(1, 1, 1, 1, 5)
    assert DiscretizedLogistic((1, 1, 5), 5).mean(locations).flatten().tolist() == [0, 0, 2, 3, 4]


# ------------------------------------------------------------------------------ choice and refusal


@pytest.mark.parametrize(
    "space, name",
    [
        (Pixels(1, 4, 4, 2), "bernoulli"),
        (Pixels(1, 8, 8, 17), "discretized-logistic"),
        (Pixels(3, 8, 8, 256), "discretized-logistic"),
        (Tokens(5, 1000), "categorical"),
        (Real((2,)), "gaussian"),
    ],
)
def test_auto_chooses_a_likelihood_of_the_space(space, name):
    assert choose(space) == name
    likelihood = build_likelihood(name, space)
    # Location and scale of each number, or a probability of each value.
    expected = {"discretized-logistic": 2, "gaussian": 2, "bernoulli": 1, "categorical": 1000}
    assert likelihood.outputs == expected[name]


@pytest.mark.parametrize(
    "name, space, message",
    [
        ("bernoulli", Pixels(1, 8, 8, 17), "not a likelihood.*discretized-logistic"),
        ("bernoulli", Pixels(3, 8, 8, 256), "not a likelihood.*discretized-logistic"),
        ("bernoulli", Real((2,)), "gaussian"),
        ("gaussian", Pixels(1, 8, 8, 256), "discretized-logistic"),
        ("gaussian", Tokens(4, 9), "categorical"),
        ("discretized-logistic", Real((2,)), "gaussian"),
        ("discretized-logistic", Tokens(4, 9), "categorical"),
        ("categorical", Real((2,)), "gaussian"),
        ("categorical", Pixels(1, 8, 8, 65536), "discretized-logistic"),
    ],
)
def test_what_is_not_a_likelihood_is_refused_with_one_that_is(name, space: Space, message):
    with pytest.raises(InputError, match=message):
        build_likelihood(name, space)


# ------------------------------------------------------------------------------ posteriors


@pytest.mark.parametrize("kind", ["diagonal", "full"])
@pytest.mark.parametrize("d", [1, 4])
def test_posterior_is_torchs(kind, d):
    """KL to N(0, I) and the log-density of a draw against torch.distributions."""
    q = GaussianPosterior.of(torch.randn(6, GaussianPosterior.outputs(kind, d), dtype=torch.float64), d)
    diagonal = torch.diag_embed(q.log_diagonal.exp())
    tril = diagonal if q.lower is None else diagonal + q.lower
    assert (q.lower is not None and bool((q.lower != 0).any())) == (kind == "full" and d > 1)
    reference = torch.distributions.MultivariateNormal(q.mean, scale_tril=tril)
    prior = torch.distributions.MultivariateNormal(q.mean.new_zeros(d), torch.eye(d, dtype=torch.float64))
    torch.testing.assert_close(q.kl(), torch.distributions.kl_divergence(reference, prior))
    eps = torch.randn(3, 6, d, dtype=torch.float64)
    z, log_q = q.draw(eps)
    torch.testing.assert_close(log_q, reference.log_prob(z))
    torch.testing.assert_close(standard_normal_log_prob(z), prior.log_prob(z))


def test_reparametrized_gradient_in_closed_form():
    r"""d/d(mean, log sigma, L) of E f(mu + L eps) for f(z) = |z|^2: at one eps it is 2z, 2z eps sigma, 2 z eps^T."""
    d = 3
    numbers = torch.randn(4, GaussianPosterior.outputs("full", d), dtype=torch.float64, requires_grad=True)
    eps = torch.randn(4, d, dtype=torch.float64)
    q = GaussianPosterior.of(numbers, d)
    z, _ = q.draw(eps)
    (gradient,) = torch.autograd.grad(z.square().sum(), numbers)
    row, column = torch.tril_indices(d, d, -1)
    with torch.no_grad():
        expected = [2 * z, 2 * z * eps * q.log_diagonal.exp(), 2 * z[:, row] * eps[:, column]]
    torch.testing.assert_close(gradient, torch.cat(expected, 1))


def test_active_units_counts_rather_than_measures_a_mask():
    codes = torch.randn(500, 6) * torch.tensor([1.0, 0.5, 0.2, 0.05, 1e-3, 0])
    assert active_units(codes + 3) == 3
