"""DDPM: its loss, its samplers, and its bound against models whose likelihood is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from pushforward.errors import InputError
from pushforward.families.diffusion.ddpm import DDPM, DDPMSettings
from pushforward.game import Batch
from pushforward.noise import Noise
from pushforward.paths import Schedule
from pushforward.spaces import Classes, Pixels, Real
from tests.helpers import train

SMALL = {"width": 16, "depth": 1}


PLANE = Real((2,))


def build(space=PLANE, condition=None, field=None, **settings):
    networks = {} if field is None else {"field": field}
    settings = {"network": SMALL, "schedule": "linear", **settings}
    return DDPM(DDPMSettings.model_validate(settings), space, condition, networks)


class Exact(nn.Module):
    """The best possible field, from E[x_0 | x_k]."""

    def __init__(self, expected, schedule, dtype=torch.float64):
        super().__init__()
        self.expected, self.schedule = expected, schedule
        self.unused = nn.Parameter(torch.zeros((), dtype=dtype))  # the model's precision

    def forward(self, x, t):
        k = ((1 - t) * self.schedule.steps).round().long()
        ab = self.schedule.log_alpha_bar[k].exp().view(-1, *[1] * (x.ndim - 1))
        return ((x - ab.sqrt() * self.expected(x, ab)) / (1 - ab).sqrt()).to(x.dtype)


MEAN = torch.tensor([0.5, -0.3], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
TRUTH = MultivariateNormal(MEAN, COVARIANCE)
DATA = MEAN + torch.randn(20_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) @ (
    torch.linalg.cholesky(COVARIANCE).T
)


def expected_gaussian(x, ab):
    values, vectors = torch.linalg.eigh(COVARIANCE)
    centred = (x.double() - ab.sqrt() * MEAN) @ vectors
    return MEAN + (ab.sqrt() * values / (ab * values + 1 - ab) * centred) @ vectors.T


def exact_gaussian(**settings):
    schedule = Schedule(settings.get("schedule", "linear"), settings.get("timesteps", 1000))
    return build(field=Exact(expected_gaussian, schedule), **settings).eval()


# ------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("space", [Real((3,)), Real((2, 4, 4)), Pixels(1, 5, 3, levels=17)])
def test_a_field_that_returns_the_true_noise_has_no_loss(space):
    # Fails if the noise in x_k is not the noise that is regressed on, or if the time does not name k.
    x = torch.randint(0, 17, (64, *space.shape)) if isinstance(space, Pixels) else torch.randn(64, *space.shape)
    x0 = x / 8.0 - 1 if isinstance(space, Pixels) else x
    model = build(space, field=Exact(lambda _, ab: x0.double(), Schedule("linear", 1000)))
    assert float(model.loss(Batch.of(x, seed=0))["simple"]) < 1e-8


def test_a_field_of_zeros_has_loss_one():
    loss = build().loss(Batch.of(torch.randn(20_000, 2), seed=0))["simple"]
    assert float(loss.detach()) == pytest.approx(1, abs=0.03)


def test_every_step_is_trained_and_none_outside():
    seen = []

    class Records(nn.Module):
        def forward(self, x, t):
            seen.append(((1 - t) * 10).round().long())
            return x

    build(field=Records(), timesteps=10).loss(Batch.of(torch.randn(5000, 2), seed=0))
    counts = torch.bincount(seen[0], minlength=11)
    assert counts[0] == 0 and len(counts) == 11
    assert bool(((counts[1:] - 500).abs() < 4 * (5000 * 0.09) ** 0.5).all())


def test_float64():
    model = build().double()
    loss = model.loss(Batch.of(torch.randn(8, 2, dtype=torch.float64), seed=0))["simple"]
    assert loss.dtype == torch.float64
    assert model.sample(3, seed=0, steps=3).dtype == torch.float64


# ------------------------------------------------------------------------------------------ the bound


@pytest.mark.parametrize(
    "variance, schedule", [("fixed-large", "linear"), ("fixed-small", "linear"), ("auto", "cosine")]
)
def test_bound_is_the_truth_less_the_path_s_divergence(variance, schedule):
    # E[log p - bound] = KL(q(x_T) || N(0, I)) + sum_k E KL(q(x_{k-1} | x_k) || p(x_{k-1} | x_k)), whose means agree for
    # an exact field, so that each is a KL of Gaussians that differ in variance only.
    model = exact_gaussian(variance=variance, schedule=schedule)
    ab = model.schedule.log_alpha_bar.exp()
    eigenvalues = torch.linalg.eigvalsh(COVARIANCE)
    gap = 0.0
    for k in range(1, 1001):
        beta = 1 - ab[k] / ab[k - 1]
        tilde = beta * (1 - ab[k - 1]) / (1 - ab[k])
        inner = eigenvalues * (1 - ab[k]) / (ab[k] * eigenvalues + 1 - ab[k])
        true = tilde + (ab[k - 1].sqrt() * beta / (1 - ab[k])) ** 2 * inner
        ratio = true / (tilde if variance == "fixed-small" and k > 1 else beta)
        gap += float(0.5 * (ratio - 1 - ratio.log()).sum())
    last = ab[-1] * eigenvalues + 1 - ab[-1]
    gap += float(0.5 * (last - 1 - last.log() + ab[-1] * MEAN**2).sum())
    x = DATA[:2000]
    difference = TRUTH.log_prob(x) - model.log_prob(x, bound_steps="all").values
    assert float(difference.mean()) == pytest.approx(gap, abs=4 * float(difference.std()) / 2000**0.5)
    if variance != "fixed-small":
        assert gap < 0.05


def test_drawn_terms_estimate_the_full_bound_with_an_honest_error():
    model = exact_gaussian(timesteps=200)
    x = DATA[:1].expand(3000, 2)
    full = model.log_prob(x, bound_steps="all").values
    drawn = model.log_prob(x, bound_steps=20, seed=1)
    error = (float(full.var() + drawn.values.var()) / 3000) ** 0.5
    assert float(drawn.values.mean() - full.mean()) == pytest.approx(0, abs=4 * error)
    # The reported error is on the safe side, but not absurd.
    reported = float(drawn.standard_error.square().mean().sqrt())
    assert 0.95 < reported / float(drawn.values.std()) < 2
    assert drawn.draws == 20 and drawn.kind == "lower bound"
    assert torch.allclose(sum(drawn.terms.values()), drawn.values)


def test_stratified_steps_are_unbiased():
    # Sum over k of 1 is T, whatever the strata: E[sum of weights of step k] = 1 for each k.
    model = exact_gaussian(timesteps=50)
    u = Noise.of(0, index=torch.arange(40_000)).uniform(7, dtype=torch.float64)
    steps, weights = model._draw_steps(u)
    totals = torch.zeros(51, dtype=torch.float64).index_add_(0, steps.flatten(), weights.flatten()) / len(u)
    assert totals[0] == 0
    assert torch.allclose(totals[1:], torch.ones(50, dtype=torch.float64), atol=0.08)
    assert float(weights.max()) <= 4 * 50 / 7 + 1e-9


def test_the_bound_of_pixels_is_a_bound():
    # One pixel of five levels with known probabilities, and the exact field: exp(bound) sums to at most one, and to
    # nearly one with enough steps.
    levels, p = 5, torch.tensor([0.1, 0.4, 0.05, 0.05, 0.4], dtype=torch.float64)
    values = torch.linspace(-1, 1, levels, dtype=torch.float64)

    def expected(x, ab):
        logits = p.log() - (x.double()[..., None] - ab[..., None].sqrt() * values) ** 2 / (2 - 2 * ab[..., None])
        return (logits.softmax(-1) * values).sum(-1)

    space = Pixels(1, 1, 1, levels=levels)
    model = build(space, field=Exact(expected, Schedule("linear", 300)), timesteps=300).eval()
    x = torch.arange(levels, dtype=torch.uint8).repeat(1000).view(-1, 1, 1, 1)
    out = model.log_prob(x, bound_steps="all")
    bound = out.values.view(1000, levels).mean(0)
    error = out.values.view(1000, levels).std(0) / 1000**0.5
    assert bool((bound < p.log() + 4 * error).all())
    assert 0.9 < float(bound.exp().sum()) < 1 + 4 * float(error.max())
    assert "counting" in out.unit
    # And its samples have these frequencies.
    sample = model.sample(4000, seed=0, steps=100)
    assert sample.dtype == torch.uint8
    frequencies = torch.bincount(sample.flatten().long(), minlength=levels) / 4000
    assert float((frequencies - p).abs().sum()) < 0.08


def test_bad_bound_steps():
    for steps in (1, "some", 2.5, True):
        with pytest.raises(InputError, match="bound_steps"):
            build().log_prob(torch.zeros(1, 2), bound_steps=steps)


# ------------------------------------------------------------------------------------------ sampling


@pytest.mark.parametrize("options", [{"steps": 250}, {"steps": None}, {"sampler": "ddim", "steps": 250}])
def test_exact_gaussian_samples(options):
    x = exact_gaussian().sample(4000, seed=0, **options)
    assert torch.allclose(x.mean(0), MEAN, atol=0.06)
    assert torch.allclose(torch.cov(x.T), COVARIANCE, atol=0.08)


def test_real_data_is_not_clipped_and_pixels_are():
    # Data from N(0, 3^2): clipping the estimate of x_0 to [-1, 1] would leave a standard deviation of 0.8.
    def expected(x, ab):
        return ab.sqrt() * 9 / (ab * 9 + 1 - ab) * x.double()

    schedule = Schedule("linear", 1000)
    x = build(Real((1,)), field=Exact(expected, schedule)).sample(3000, seed=0)
    assert float(x.std()) == pytest.approx(3, rel=0.06)
    pixels = build(Pixels(1, 2, 2, 17), field=Exact(lambda x, ab: 5 * torch.ones_like(x), schedule))
    assert bool((pixels.sample(3, seed=0, steps=10) == 16).all())


def test_ddim_is_deterministic_and_eta_is_not():
    model = exact_gaussian()
    noise = Noise.of(0, index=torch.arange(5))
    x = model.draw(noise, sampler="ddim", steps=10)
    assert noise.counter == 1  # x_T and nothing else
    model.draw(noise, sampler="ddim", steps=10, eta=1.0)
    assert noise.counter == 1 + 10
    again = model.sample(5, seed=0, sampler="ddim", steps=10)
    assert torch.equal(x, again)


@pytest.mark.parametrize("space", [Real((2,)), Pixels(1, 5, 7, 17)])
@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_samples_do_not_depend_on_the_batch(space, sampler):
    model = build(space, Classes(3))
    nn.init.normal_(model.network.field.last.weight, std=0.1)
    condition = torch.arange(64) % 3
    whole = model.sample(64, condition, seed=0, batch_size=64, steps=8, sampler=sampler, guidance=2.0)
    for size in (1, 7):
        parts = model.sample(64, condition, seed=0, batch_size=size, steps=8, sampler=sampler, guidance=2.0)
        # An untrained field leaves values far from any data; agreement is relative to their scale.
        assert float((parts.double() - whole.double()).abs().max()) <= 1e-5 * float(whole.double().abs().max())


def test_codes_come_back():
    model = exact_gaussian()
    x = DATA[:200]
    z = model.encode(x)
    assert torch.allclose(model.decode(z), x, atol=1e-6)
    assert torch.allclose(torch.cov(model.encode(DATA[:4000]).T), torch.eye(2, dtype=torch.float64), atol=0.1)
    # A draw of q(x_T | x) is nearly N(0, I) whatever x.
    noisy = model.encode(x + 3, seed=0)
    assert float(noisy.mean().abs()) < 0.25 and not torch.equal(noisy, model.encode(x + 3, seed=1))
    assert not torch.allclose(model.decode(z, seed=0), x, atol=0.1)


def test_short_chains_are_sampled_whole():
    model = build(timesteps=20)
    assert model.options["steps"] == 20 and model.preview["steps"] == 20
    model.sample(2, seed=0)
    model.encode(torch.randn(2, 2))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sampler": "ddmi"}, "Did you mean ddim"),
        ({"steps": 1001}, "1 to 1000"),
        ({"steps": 0}, "1 to 1000"),
        ({"sampler": "ddim", "eta": 2.0}, "between 0 and 1"),
        ({"eta": 0.5}, "sampler=ddim"),
        ({"guidance": 2.0}, "conditional"),
        ({"gudance": 2.0}, "Did you mean guidance"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        build().sample(1, **options)


# ------------------------------------------------------------------------------------------ trained


def test_trained_on_a_gaussian():
    torch.manual_seed(0)
    model = DDPM(DDPMSettings(network={"width": 64, "depth": 2}), Real((2,)))
    train(model, DATA.float(), steps=2500, batch_size=256, lr=3e-3)
    sample = model.sample(4000, seed=0, steps=100)
    # Standard errors of 4000 samples are 0.016 and 0.03; the rest is for the model.
    assert torch.allclose(sample.mean(0).double(), MEAN, atol=0.07)
    assert torch.allclose(torch.cov(sample.T.double()), COVARIANCE, atol=0.1)
    x = (MEAN + torch.randn(6000, 2, dtype=torch.float64) @ torch.linalg.cholesky(COVARIANCE).T).float()
    gap = TRUTH.log_prob(x.double()) - model.log_prob(x, bound_steps=60).values
    error = float(gap.std()) / 6000**0.5
    assert -3 * error < float(gap.mean()) < 0.05 + 2 * error
    x = x[:500]
    assert torch.allclose(model.decode(model.encode(x)), x, atol=1e-3)


@pytest.mark.slow
def test_trained_on_a_ring_finds_every_mode():
    torch.manual_seed(0)
    angle = torch.arange(8) * math.pi / 4
    centres = torch.stack([angle.cos(), angle.sin()], 1)
    x = centres[torch.randint(8, (20_000,))] + 0.05 * torch.randn(20_000, 2)
    scale = float(x.std())
    model = DDPM(DDPMSettings(), Real((2,)))
    train(model, x / scale, steps=2500, batch_size=256, lr=2e-3)
    distance, mode = torch.cdist(model.sample(1000, seed=0, steps=100) * scale, centres).min(1)
    near = distance < 0.15
    assert float(near.double().mean()) > 0.9
    assert int(torch.bincount(mode[near], minlength=8).min()) > 1000 / 8 / 2


@pytest.mark.parametrize("bound_steps", [2, 3, 5])
def test_the_standard_error_is_no_smaller_than_the_spread(bound_steps: int) -> None:
    """Also for an odd number of draws, whose last one has no partner."""
    model = build(timesteps=50)
    x = torch.tensor([[0.3, -0.8]])
    found = [model.log_prob(x, seed=s, bound_steps=bound_steps) for s in range(300)]
    spread = float(torch.stack([f.values[0] for f in found]).std())
    stated = float(torch.stack([f.standard_error[0] ** 2 for f in found]).mean().sqrt())  # type: ignore[index]
    assert stated > 0.85 * spread
