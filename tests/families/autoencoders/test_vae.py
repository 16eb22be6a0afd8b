"""The VAE against closed forms: probabilistic PCA, known marginals, torch.distributions, and integrals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pushforward.config import validate
from pushforward.errors import InputError
from pushforward.families.autoencoders.posteriors import GaussianPosterior, active_units
from pushforward.families.autoencoders.vae import VAE, VAESettings
from pushforward.game import Batch
from pushforward.model import Code
from pushforward.noise import Noise
from pushforward.registry import resolve
from pushforward.spaces import Classes, Pixels, Real, Space, Tokens
from tests.helpers import train

SMALL = {"width": 16, "depth": 1}


def vae(space: Space, condition_space: Space | None = None, networks: Any = None, **settings: Any) -> VAE:
    settings.setdefault("network", SMALL)
    return VAE(validate(VAESettings, settings), space, condition_space, networks)


def noise(n: int, seed: int = 0) -> Noise:
    return Noise.of(seed, index=torch.arange(n))


def ring(n: int) -> Tensor:
    """Eight Gaussians of standard deviation 0.1 on the unit circle."""
    angle = 2 * math.pi * torch.arange(n) / 8
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(n, 2)


class Constant(nn.Module):
    """A linear encoder of the mean, with a covariance that does not depend on x."""

    def __init__(self, mean: nn.Linear, rest: Tensor):
        super().__init__()
        self.mean, self.rest = mean, nn.Parameter(rest)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.mean(x), self.rest.expand(len(x), -1)], 1)


def linear_gaussian(exact: bool) -> tuple[VAE, torch.distributions.MultivariateNormal]:
    """A float64 VAE whose p(x) = N(b, W W^T + s^2 I) is known; its posterior is the true one, or a wide one."""
    torch.manual_seed(1)
    d, k, sigma = 5, 2, 0.6
    weights, bias = torch.randn(d, k).double(), torch.randn(d).double()
    decoder = nn.Linear(k, d).double()
    covariance = torch.linalg.inv(torch.eye(k).double() + weights.T @ weights / sigma**2)
    gain = covariance @ weights.T / sigma**2
    root = torch.linalg.cholesky(covariance if exact else 2.5 * covariance)
    mean = nn.Linear(d, k).double()
    with torch.no_grad():
        decoder.weight.copy_(weights)
        decoder.bias.copy_(bias)
        mean.weight.copy_(gain)
        mean.bias.copy_(-gain @ bias)
    row, column = torch.tril_indices(k, k, -1)
    encoder = Constant(mean, torch.cat([root.diagonal().log(), root[row, column]]))
    model = vae(
        Real((d,)),
        latent=k,
        posterior="full",
        scale="fixed",
        initial_scale=sigma,
        networks={"encoder": encoder, "decoder": decoder},
    ).double()
    truth = torch.distributions.MultivariateNormal(bias, weights @ weights.T + sigma**2 * torch.eye(d).double())
    return model, truth


# ------------------------------------------------------------------------------ the bound


def test_reaches_the_likelihood_of_probabilistic_pca():
    """Tipping and Bishop 1999, eq. 8: the linear-Gaussian VAE's optimum is the closed form; ours is within 0.05."""
    d, k, n = 6, 2, 1000
    x = torch.randn(n, k) @ torch.randn(k, d) * 1.5 + 0.5 * torch.randn(n, d) + torch.randn(d)
    values = torch.linalg.eigvalsh(torch.cov(x.T.double(), correction=0)).flip(0)
    noise_variance = values[k:].mean()
    best = -0.5 * (d * math.log(2 * math.pi) + values[:k].log().sum() + (d - k) * noise_variance.log() + d)
    outputs = GaussianPosterior.outputs("full", k)
    networks = {"encoder": nn.Linear(d, outputs), "decoder": nn.Linear(k, d)}
    model = vae(Real((d,)), latent=k, posterior="full", scale="learned", initial_scale=1.0, networks=networks)
    train(model, x, steps=1000, batch_size=250, lr=0.03)
    elbo = model.log_prob(x, draws=50)
    assert elbo.bound == "lower"
    assert float(best) - 0.05 <= elbo.mean() <= float(best) + 0.01
    assert model.log_prob(x, k=100).mean() <= float(best) + 0.01
    learned = model.likelihood.scale(torch.zeros(1, 1, d, dtype=torch.float32)).exp().item()
    assert learned == pytest.approx(math.sqrt(noise_variance), rel=0.02)


def test_exact_posterior_makes_every_bound_the_truth():
    """With q(z|x) = p(z|x) each importance weight is p(x) itself, at any draw."""
    model, truth = linear_gaussian(exact=True)
    x = truth.sample((20,))
    weights = model.log_weights(x, None, noise(20), 7)
    torch.testing.assert_close(weights, truth.log_prob(x).expand(7, 20))
    bound = model.log_prob(x, k=7)
    torch.testing.assert_close(bound.values, truth.log_prob(x))
    assert float(bound.standard_error.max()) < 1e-6


def test_bounds_rise_with_k_to_the_known_likelihood():
    """ELBO <= IW_3 <= IW_30 <= log p on a posterior that is too wide: Burda et al. 2016, theorem 1."""
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((4000,))
    log_p = truth.log_prob(x).mean().item()
    bounds = [model.log_prob(x, k=k, draws=4, seed=k).mean() for k in (1, 3, 30)]
    assert bounds[0] + 0.1 < bounds[1] and bounds[1] + 0.05 < bounds[2] <= log_p + 0.01
    # The ELBO's gap is the divergence of q from the true posterior, here the same for every x.
    gap = 0.5 * (2 * 2.5 - 2 - 2 * math.log(2.5))
    assert bounds[0] == pytest.approx(log_p - gap, abs=0.03)
    assert bounds[2] == pytest.approx(log_p, abs=0.05)


def test_standard_errors_cover_the_spread_of_repeated_estimates():
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((1,)).expand(3000, -1)
    for options in ({"k": 40}, {"k": 1, "draws": 40}, {"k": 5, "draws": 10}):
        estimate = model.log_prob(x, **options)
        assert estimate.draws == options["k"] * options.get("draws", 1)
        assert estimate.standard_error.mean().item() == pytest.approx(estimate.values.std().item(), rel=0.1)
    assert model.log_prob(x).standard_error is None


def test_importance_bound_with_one_draw_is_the_sampled_elbo():
    """log p(x|z) + log p(z) - log q(z|x) at the contract's own draw, term by term."""
    model = vae(Real((3,)), latent=4, posterior="full", initial_scale=1.0)
    x = torch.randn(8, 3)
    weight = model.log_weights(x, None, noise(8), 1)[0]
    code = model.posterior(x, None, noise(8))
    assert isinstance(code, Code)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(code.z).sum(1)
    torch.testing.assert_close(weight, model.log_likelihood(x, code) + prior - code.log_q)
    # On average over draws, it is the ELBO with the KL in closed form.
    many = x[:1].expand(40_000, -1)
    sampled = model.log_weights(many, None, noise(40_000, 1), 1)[0].detach()
    elbo = model.log_prob(many).values
    error = math.hypot(sampled.std() / 200, elbo.std() / 200)
    assert abs(sampled.mean() - elbo.mean()) < 4 * error < 0.1


def test_terms_add_up_and_elbo_matches_the_loss():
    model = vae(Pixels(1, 4, 4, 5))
    x = torch.randint(0, 5, (6, 1, 4, 4), dtype=torch.uint8)
    bound = model.log_prob(x)
    torch.testing.assert_close(bound.terms["reconstruction"] + bound.terms["kl"], bound.values)
    assert bool((bound.terms["kl"] < 0).all()) and bound.kind == "lower bound"
    losses = model.loss(Batch.of(x, seed=0))
    torch.testing.assert_close(losses["reconstruction"] + losses["kl"], -losses["_elbo"])
    torch.testing.assert_close(model.validate(Batch.of(x, seed=0))["negative_elbo"], -losses["_elbo"])
    assert sum(k[0] != "_" for k in model.validate(Batch.of(x, seed=0))) == 1


@pytest.mark.parametrize("k", [1, 64])
def test_bound_does_not_depend_on_chunks(k, monkeypatch):
    """Draws belong to (seed, row): how many rows or draws share memory changes nothing."""
    model = vae(Pixels(1, 4, 4, 17))
    x = torch.randint(0, 17, (9, 1, 4, 4), dtype=torch.uint8)
    whole = model.log_prob(x, k=k, seed=3).values
    torch.testing.assert_close(model.log_prob(x, k=k, seed=3, batch_size=2).values, whole, atol=1e-4, rtol=1e-5)
    monkeypatch.setattr(VAE, "chunk_numbers", 5000)
    torch.testing.assert_close(model.log_prob(x, k=k, seed=3).values, whole, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("scale", ["learned", "per-dimension"])
def test_bound_integrates_to_at_most_one(scale):
    """Eight Gaussians on a ring, briefly trained: the importance-weighted bound on a fine grid over [-2.5, 2.5]^2."""
    x = 1.4 * ring(2000)
    model = vae(Real((2,)), latent=2, scale=scale, network={"width": 64, "depth": 1})
    train(model, x, steps=400, batch_size=200, lr=6e-3)
    side, half = 100, 2.5
    line = (torch.arange(side) + 0.5) * (2 * half / side) - half
    log_p = model.log_prob(torch.cartesian_prod(line, line), k=64, seed=1)
    mass = log_p.values.double().exp().sum().item() * (2 * half / side) ** 2
    assert 0.9 <= mass <= 1.01


# ------------------------------------------------------------------------------ training


def test_loss_is_nats_per_example_whatever_the_batch_and_the_size():
    """Sums over values, means over examples: repeating the batch changes nothing; repeating the pixels doubles it."""
    model = vae(Real((3,)), latent=2)
    x = torch.randn(4, 3)
    per_example, kl = model._terms(x, None, noise(4))
    index = torch.arange(4)
    double = Batch(x.repeat(2, 1), None, index.repeat(2), Noise.of(0, index=index.repeat(2)))
    losses = model.loss(double)
    torch.testing.assert_close(losses["reconstruction"], -per_example.mean())
    torch.testing.assert_close(losses["kl"], kl.mean())
    fixed = {"scale": "fixed", "initial_scale": 0.5, "latent": 2}
    for d in (3, 12):
        networks = {"encoder": Constant(nn.Linear(d, 2), torch.zeros(2)), "decoder": nn.Linear(2, d)}
        for p in networks["decoder"].parameters():
            nn.init.zeros_(p)
        flat = vae(Real((d,)), networks=networks, **fixed)
        loss = flat.loss(Batch.of(torch.ones(5, d), seed=0))["reconstruction"].item()
        assert loss == pytest.approx(d * (2.0 + math.log(0.5 * math.sqrt(2 * math.pi))), rel=1e-5)


def test_warmup_weighs_the_kl_and_reports_it_whole():
    model = vae(Real((3,)), kl_warmup=0.5)
    batch = Batch.of(torch.randn(4, 3), seed=0)
    for progress, weight in ((0.1, 0.2), (0.5, 1.0), (0.9, 1.0)):
        losses = model.loss(Batch(batch.x, None, batch.index, noise(4), torch.tensor(progress)))
        torch.testing.assert_close(losses["kl"], losses["_kl"] * weight)
        torch.testing.assert_close(losses["_elbo"], -losses["reconstruction"] - losses["_kl"])


SPACES: list[tuple[Space, dict[str, Any]]] = [
    (Real((3,)), {"scale": "learned"}),
    (Real((2, 5, 7)), {"scale": "per-dimension", "posterior": "full"}),
    (Pixels(1, 5, 3, 2), {}),
    (Pixels(1, 8, 8, 17), {"likelihood": "categorical"}),
    (Pixels(3, 6, 6, 256), {"likelihood": "discretized-logistic", "scale": "learned"}),
    (Pixels(3, 6, 6, 256), {"likelihood": "discretized-logistic", "scale": "per-dimension"}),
    (Tokens(4, 11), {}),
]


def data_of(space: Space, n: int) -> Tensor:
    if isinstance(space, Real):
        return torch.randn(n, *space.shape)
    levels = space.levels if isinstance(space, Pixels) else space.vocabulary  # type: ignore[attr-defined]
    return torch.randint(0, levels, (n, *space.shape)).to(space.dtype)


@pytest.mark.parametrize("space, settings", SPACES)
@pytest.mark.parametrize("condition", [None, Classes(3), Real((2,))])
def test_every_parameter_is_owned_and_has_a_gradient(space, settings, condition):
    model = vae(space, condition, latent=3, **settings)
    (player,) = model.players()
    assert {id(p) for p in player.parameters()} == {id(p) for p in model.parameters()}
    c = None if condition is None else torch.arange(5) % 3 if isinstance(condition, Classes) else torch.randn(5, 2)
    losses = player(Batch.of(data_of(space, 5), c, seed=0))
    sum(v for k, v in losses.items() if not k.startswith("_")).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and bool(p.grad.isfinite().all()), name
        assert bool((p.grad != 0).any()), name


@pytest.mark.parametrize("space, settings", SPACES)
@pytest.mark.parametrize("decode", ["draw", "mean"])
def test_samples_belong_to_their_index(space, settings, decode):
    """Types and ranges of the space; the same sample alone, in sevens, or together; another for another index."""
    model = vae(space, latent=3, **settings)
    whole = model.sample(20, seed=4, decode=decode)
    assert whole.dtype == space.dtype
    space.check(whole)
    for size in (1, 7):
        torch.testing.assert_close(model.sample(20, seed=4, decode=decode, batch_size=size), whole, atol=1e-5, rtol=0)
    if decode == "draw":
        assert len({tuple(row.flatten().tolist()) for row in whole}) == 20


@pytest.mark.parametrize("space, settings", SPACES)
def test_float64_all_the_way(space, settings):
    model = vae(space, latent=3, **settings).double()
    x = data_of(space, 4)
    bound = model.log_prob(x.double() if isinstance(space, Real) else x, k=3)
    assert bound.values.dtype == torch.float64
    assert model.sample(4, seed=0).dtype == (torch.float64 if isinstance(space, Real) else space.dtype)


def test_learns_tokens_and_reconstructs_them():
    """Two words of probability 1/2: the bound nears -log 2 from below, and decoding the code gives the word back.

    It stays a little below: a continuous decoder cannot jump from one word to the other. Independent tokens would
    have -4 log 2.
    """
    words = torch.tensor([[0, 1, 2, 3], [7, 7, 0, 5]])
    x = words[torch.arange(400) % 2]
    model = vae(Tokens(4, 8), latent=2)
    train(model, x, steps=400, lr=1e-2)
    assert -math.log(2) - 0.3 <= model.log_prob(words, k=500).mean() <= -math.log(2) + 0.01
    assert torch.equal(model.decode(model.encode(words)), words)
    drawn = model.sample(400, seed=0)
    share = [(drawn == w).all(1).double().mean().item() for w in words]
    assert min(share) > 0.4


def test_condition_moves_samples_and_bounds():
    """A binary image that is its class: p(x | c) is nearly 1, p(x | wrong c) nearly 0."""
    classes = torch.arange(300) % 3
    patterns = torch.eye(3, dtype=torch.uint8).repeat_interleave(3, 1).view(3, 1, 3, 3)
    model = vae(Pixels(1, 3, 3, 2), Classes(3), latent=2)
    train(model, patterns[classes], classes, steps=120, lr=1e-2)
    assert model.log_prob(patterns, [0, 1, 2], k=100).mean() > -0.3
    assert model.log_prob(patterns, [1, 2, 0], k=100).mean() < -5
    drawn = model.sample(60, condition=2, seed=0)
    assert (drawn == patterns[2]).all(1).all(1).all(1).double().mean() > 0.8


# ------------------------------------------------------------------------------ codes and options


def test_encode_is_the_posterior_mean_and_seeds_draw():
    model, truth = linear_gaussian(exact=True)
    x = truth.sample((3000,))
    q = model.approximate_posterior(x)
    torch.testing.assert_close(model.encode(x), q.mean)
    residual = torch.linalg.solve_triangular(
        q.lower + torch.diag_embed(q.log_diagonal.exp()), (model.encode(x, seed=1) - q.mean)[..., None], upper=False
    )[..., 0]
    torch.testing.assert_close(torch.cov(residual.T), torch.eye(2).double(), atol=0.1, rtol=0)
    z = model.encode(x[:5])
    torch.testing.assert_close(model.decode(z), model.decoder(z))
    spread = (model.decode(z[:1].expand(4000, -1), seed=0) - model.decode(z[:1])).std()
    assert spread.item() == pytest.approx(0.6, rel=0.03)


def test_samples_have_the_moments_of_the_known_marginal():
    """Samples come from the p(x) that log_prob bounds: likelihood noise included; `decode=mean` leaves it out."""
    model, truth = linear_gaussian(exact=True)
    x = model.sample(40_000, seed=0)
    torch.testing.assert_close(x.mean(0), truth.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(x.T), truth.covariance_matrix, atol=0.1, rtol=0.02)
    means = model.sample(40_000, seed=0, decode="mean")
    without_noise = truth.covariance_matrix - 0.36 * torch.eye(5).double()
    torch.testing.assert_close(torch.cov(means.T), without_noise, atol=0.1, rtol=0.02)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.sample(2, decode="mode"), "draw, mean"),
        (lambda m: m.sample(2, temperature=0.5), "decode"),
        (lambda m: m.log_prob(torch.zeros(1, 3), k=0), "at least 1"),
        (lambda m: m.log_prob(torch.zeros(1, 3), draws=1.5), "whole number"),
        (lambda m: m.log_prob(torch.zeros(1, 3), samples=5), "draws, k"),
    ],
)
def test_bad_options_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(vae(Real((3,)), latent=2))


@pytest.mark.parametrize(
    "networks, message",
    [({"encoder": nn.Linear(3, 5)}, r"encoder.*\(1, 4\)"), ({"decoder": nn.Linear(2, 5)}, r"decoder.*\(1, 3\)")],
)
def test_networks_of_the_wrong_shape_are_named(networks, message):
    with pytest.raises(InputError, match=message):
        vae(Real((3,)), latent=2, scale="learned", networks=networks).log_prob(torch.zeros(1, 3))


def test_recipe_validates_and_builds():
    settings = resolve("vae").settings
    assert isinstance(settings, VAESettings)
    for space, latent in ((Real((2,)), 2), (Real((20,)), 8), (Pixels(1, 8, 8, 17), 8), (Pixels(3, 32, 32), 32)):
        assert VAE(settings, space).code_space == Real((latent,))


def test_gaussian_decoder_does_not_start_in_collapse():
    """Eight Gaussians on a ring: a fit that leaves the code unused stays at one Gaussian's -2.85 nats."""
    x = ring(2000) / 0.707
    one_gaussian = -1 - math.log(2 * math.pi) - 0.5 * torch.logdet(torch.cov(x.T)).item()
    model = vae(Real((2,)), latent=2, posterior="full", scale="learned", network={"width": 64, "depth": 1})
    train(model, x, steps=600, batch_size=200, lr=5e-3)
    assert active_units(model.encode(x)) == 2
    assert model.log_prob(x).mean() > one_gaussian + 0.3
