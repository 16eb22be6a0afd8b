"""The game's objectives in closed form, who trains what, and a game played to its equilibrium."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pushforward.dataset import Dataset
from pushforward.errors import DensityUnavailable, InputError, Unsupported
from pushforward.families.adapted import Adapted
from pushforward.families.gans import objectives
from pushforward.families.gans.gan import GAN, GANSettings
from pushforward.game import Batch
from pushforward.noise import Noise
from pushforward.registry import build, recipe
from pushforward.spaces import Classes, Pixels, Real
from tests.helpers import train

SMALL = {"latent": 3, "network": {"width": 16, "depth": 1}, "discriminator_network": {"width": 16, "depth": 1}}
LOGITS = torch.tensor([-6.0, -1.5, -0.2, 0.0, 0.7, 3.0, 8.0], dtype=torch.float64)


def small(space, condition_space=None, **settings) -> GAN:
    return GAN(GANSettings(**{**SMALL, **settings}), space, condition_space)


def batch_for(model: GAN, n: int = 12, seed: int = 3) -> Batch:
    x = torch.randn(n, *model.space.shape)
    c = model.condition_space
    condition = None if c is None else torch.arange(n) % c.count if isinstance(c, Classes) else torch.randn(n, *c.shape)
    return Batch.of(x, condition, seed=seed)


# ---------------------------------------------------------------------------------- objectives


def test_objectives_are_their_formulas():
    real, fake = LOGITS, LOGITS.flip(0) * 0.7 + 0.1
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    expected = -(d_real.log().mean() + (1 - d_fake).log().mean())
    torch.testing.assert_close(objectives.discriminator(real, fake), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(objectives.minimax(fake), (1 - d_fake).log().mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(objectives.non_saturating(fake), -d_fake.log().mean(), rtol=1e-12, atol=0)


def test_the_two_players_of_minimax_play_a_zero_sum_game():
    fake = LOGITS
    constant = objectives.discriminator(LOGITS, fake) - torch.nn.functional.softplus(-LOGITS).mean()
    torch.testing.assert_close(constant, -objectives.minimax(fake), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "name, slope", [("minimax", lambda d: -d), ("non-saturating", lambda d: -(1 - d))], ids=["minimax", "ns"]
)
def test_generator_gradients_are_the_closed_form(name, slope):
    logits = LOGITS.clone().requires_grad_()
    objectives.GENERATOR[name](logits).backward()
    torch.testing.assert_close(logits.grad * len(LOGITS), slope(LOGITS.sigmoid()), rtol=1e-12, atol=1e-15)


def test_discriminator_gradients_are_the_closed_form():
    real, fake = LOGITS.clone().requires_grad_(), LOGITS.clone().requires_grad_()
    objectives.discriminator(real, fake).backward()
    torch.testing.assert_close(real.grad * len(LOGITS), LOGITS.sigmoid() - 1, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(fake.grad * len(LOGITS), LOGITS.sigmoid(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", [objectives.minimax, objectives.non_saturating])
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_no_overflow_at_extreme_logits(loss, logit):
    """In float32, where log(1 - sigmoid(100)) is -inf and log(sigmoid(-100)) has no gradient to speak of."""
    logits = torch.full((4,), logit, requires_grad=True)
    for value in (loss(logits), objectives.discriminator(logits, logits)):
        (gradient,) = torch.autograd.grad(value, logits)
        assert gradient.isfinite().all()
        assert min(abs(float(value.detach()) - expected) for expected in (0, 100, -100)) < 1e-4


def test_optimal_discriminator_minimizes_its_objective():
    """At D = p / (p + p_G) of two known densities the value is log 4 - 2 JS (the lecture's C(G)), and it is a minimum.

    Expectations are means over 20,000 midpoint quantiles of each Gaussian.
    """
    n = 20_000
    normal = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    p, q = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(0.7, 1.3)
    real, fake = normal, 0.7 + 1.3 * normal

    def value(change) -> torch.Tensor:
        def logit(x: torch.Tensor) -> torch.Tensor:  # log D - log(1 - D)
            return p.log_prob(x) - q.log_prob(x) + change(x)

        return objectives.discriminator(logit(real), logit(fake))

    def log_mixture(x: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(p.log_prob(x), q.log_prob(x)) - math.log(2)

    twice_js = (p.log_prob(real) - log_mixture(real)).mean() + (q.log_prob(fake) - log_mixture(fake)).mean()
    best = value(torch.zeros_like)
    torch.testing.assert_close(best, math.log(4) - twice_js, atol=1e-9, rtol=0)
    for direction in (torch.ones_like, torch.sin, torch.tanh, lambda x: x):
        size = torch.zeros((), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(value(lambda x, d=direction, s=size: s * d(x)), size)
        assert slope.abs() < 2e-4
        assert value(lambda x, d=direction: 0.1 * d(x)) > best + 1e-4
        assert value(lambda x, d=direction: -0.1 * d(x)) > best + 1e-4


# ---------------------------------------------------------------------------------- who trains what


@pytest.mark.parametrize("condition", [None, Classes(3), Real((2,))], ids=["none", "class", "vector"])
@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 5, 7)])
def test_ownership_is_disjoint_and_complete_and_gradients_stay_inside(shape, condition):
    model = small(Real(shape), condition)
    players = list(model.players())
    assert [p.name for p in players] == ["discriminator", "generator"]
    owned = [list(p.parameters()) for p in players]
    ids = [id(p) for group in owned for p in group]
    assert len(ids) == len(set(ids)) == len(list(model.parameters()))
    for player, mine in zip(players, owned):
        model.zero_grad(set_to_none=True)
        loss = sum(v for k, v in player(batch_for(model)).items() if not k.startswith("_"))
        loss.backward(inputs=mine)
        others = {id(p) for p in model.parameters()} - {id(p) for p in mine}
        for name, p in model.named_parameters():
            if id(p) in others:
                assert p.grad is None, name
            else:
                assert p.grad is not None and p.grad.isfinite().all(), name
                assert p.grad.abs().sum() > 0, name


def test_discriminator_sees_detached_samples():
    """Its loss has no path to the generator at all: the graph is not even built."""
    model = small(Real((2,)), Classes(3))
    loss = model.discriminator_loss(batch_for(model))["discriminator"]
    grads = torch.autograd.grad(loss, [p for _, p in model.averaged()], allow_unused=True)
    assert all(g is None for g in grads)


def test_generator_update_leaves_the_discriminator_and_improves_its_loss():
    model = small(Real((2,)))
    generator = model.players()[1]
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(generator.parameters(), 0.05)
    values = []
    for _ in range(20):
        loss = generator(batch_for(model, 64, seed=0))["generator"]
        values.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward(inputs=list(generator.parameters()))
        optimizer.step()
    assert values[-1] < values[0] - 1e-3
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith("discriminator"), name


def test_average_covers_exactly_the_generator():
    model = small(Real((2,)), Classes(3))
    averaged = dict(model.averaged())
    assert {id(p) for p in averaged.values()} == {id(p) for p in model.players()[1].parameters()}
    assert all(dict(model.named_parameters())[n] is p for n, p in averaged.items())


def test_discriminator_steps_are_turns_and_loss_chooses_the_objective():
    model = small(Real((2,)), discriminator_steps=3, loss="minimax")
    assert [p.turns for p in model.players()] == [3, 1]
    batch = batch_for(model)
    logits = model.logits(model.forward_generator(Batch.of(batch.x, seed=3).noise, None))
    expected = torch.log(1 - logits.double().sigmoid()).mean()
    torch.testing.assert_close(model.generator_loss(batch)["generator"].double(), expected, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------------------- the equilibrium


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["non-saturating", "minimax"])
def test_gaussian_equilibrium(loss):
    """On N(2, 0.5^2) the game ends at p_G = p, D = 1/2 (Goodfellow et al. 2014, theorem 1), with default settings."""
    generator = torch.Generator().manual_seed(0)
    x = 2 + 0.5 * torch.randn(4000, 1, generator=generator)
    model = build("gan", Real((1,)), overrides={"loss": loss})
    assert isinstance(model, Adapted)
    data = Dataset(x, space=model.space)
    preprocess, fit = model.stages()
    preprocess.start(data, Noise.of(0, index=torch.arange(len(x))))
    train(model.core, fit.data(data).all()[0], steps=1000)
    model.eval()
    n = 20_000
    samples = model.sample(n, seed=1)
    quantiles = 2 + 0.5 * torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    w1 = (samples.flatten().double().sort().values - quantiles).abs().mean() / 0.5
    with torch.no_grad():
        d_data = model.core.logits(model.preprocess_data(x, None)[0]).sigmoid().mean()
        d_samples = model.core.logits(model.preprocess_data(samples, None)[0]).sigmoid().mean()
    assert abs(float(d_data) - 0.5) <= 0.05 and abs(float(d_samples) - 0.5) <= 0.05
    assert float(w1) <= 0.1
    assert 0.9 < float(samples.std()) / 0.5 < 1.1  # not collapsed, which D = 1/2 alone would not show


@pytest.mark.slow
def test_classes_change_the_samples():
    """Two classes at -1 and 1: the conditional game learns which is which."""
    generator = torch.Generator().manual_seed(0)
    c = torch.arange(2000) % 2
    x = (2.0 * c - 1)[:, None] + 0.1 * torch.randn(2000, 1, generator=generator)
    model = GAN(GANSettings(), Real((1,)), Classes(2))
    train(model, x, c, steps=300)
    for label, mean in ((0, -1.0), (1, 1.0)):
        assert abs(float(model.sample(500, condition=label, seed=0).mean()) - mean) < 0.25
    drawn = model.sample(400, seed=0)  # conditions from the training frequencies
    assert 0.4 < float((drawn > 0).float().mean()) < 0.6


# ---------------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("condition", [None, Classes(3), Real((2,))], ids=["none", "class", "vector"])
@pytest.mark.parametrize("space", [Real((2,)), Real((3, 5, 7)), Pixels(1, 8, 8, 17)], ids=["vector", "image", "pixels"])
def test_samples_agree_by_index_at_any_batch_size(space, condition):
    model = build("gan", space, condition, overrides=SMALL)
    given = None
    if condition is not None:
        given = torch.arange(64) % 3 if isinstance(condition, Classes) else torch.randn(64, 2)
    whole = model.sample(64, given, seed=5, batch_size=64)
    for size in (1, 7):
        parts = model.sample(64, given, seed=5, batch_size=size)
        torch.testing.assert_close(parts.double(), whole.double(), atol=1e-5 * 64, rtol=1e-5)
    assert whole.shape == (64, *space.shape) and whole.dtype == space.dtype
    assert whole.flatten(1).double().std(0).max() > 0  # they differ


def test_pixels_are_played_in_minus_one_to_one_and_come_back_as_integers():
    space = Pixels(3, 6, 9, 256)
    model = build("gan", space, overrides=SMALL)
    every = torch.arange(162, dtype=torch.uint8).reshape(1, 3, 6, 9) + 94
    z, _ = model.preprocess_data(every, None)
    assert z.min() >= -1 and z.max() == 1.0
    assert torch.equal(model.preprocess_data.inverse(z), every)
    with torch.no_grad():
        for p in list(model.core.generator.parameters())[-2:]:  # the last layer
            p.mul_(1000)
        raw = model.core.draw(Noise.of(0, index=torch.arange(32)))
    assert raw.abs().max() <= 1 and raw.abs().max() > 0.99  # the tanh is there, whatever the weights
    samples = model.sample(32, seed=0)
    assert samples.dtype == torch.uint8 and samples.min() == 0 and samples.max() == 255


def test_real_data_have_no_tanh():
    for shape in [(2,), (1, 4, 4)]:
        model = small(Real(shape))
        with torch.no_grad():
            for p in list(model.generator.parameters())[-2:]:  # the last layer
                p.mul_(1000)
            assert model.draw(Noise.of(0, index=torch.arange(32))).abs().max() > 2


def test_implicit_model_says_so():
    model = build("gan", Real((2,)), overrides=SMALL)
    x = torch.randn(3, 2)
    with pytest.raises(DensityUnavailable, match="real-nvp"):
        model.log_prob(x)
    with pytest.raises(Unsupported, match="cannot encode"):
        model.encode(x)
    with pytest.raises(InputError, match="unknown sampling option"):
        model.sample(2, steps=3)
    assert recipe("gan").likelihood == "implicit"


def test_own_networks_take_the_roles():
    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, z):
            return self.layer(z)

    for role in ("discriminator", "critic"):
        networks = {"generator": Generator(), role: nn.Linear(2, 1)}
        model = GAN(GANSettings(**SMALL), Real((2,)), None, networks)
        assert model.generator is networks["generator"] and model.discriminator is networks[role]
        assert sum(p.numel() for p in model.parameters()) == 3 * 2 + 2 + 2 + 1
        for player in model.players():
            loss = sum(v for k, v in player(batch_for(model)).items() if not k.startswith("_"))
            loss.backward(inputs=list(player.parameters()))
        assert model.sample(4, seed=0).shape == (4, 2)


def test_double_precision():
    model = small(Real((2,)), Classes(3)).double()
    x, c = torch.randn(6, 2, dtype=torch.float64), torch.arange(6) % 3
    for player in model.players():
        losses = player(Batch.of(x, c, seed=0))
        assert all(v.dtype == torch.float64 for v in losses.values())
    assert model.draw(Noise.of(0, index=torch.arange(4)), c[:4]).dtype == torch.float64


def test_discriminator_of_one_half_costs_log_four():
    """At D = 1/2 everywhere the objective is log 4 (theorem 1) and both diagnostics are 1/2."""
    model = small(Real((2,)))
    for p in model.discriminator.parameters():
        nn.init.zeros_(p)
    losses = model.discriminator_loss(batch_for(model))
    assert math.isclose(float(losses["discriminator"].detach()), math.log(4), rel_tol=1e-6)
    assert float(losses["_D(data)"]) == float(losses["_D(samples)"]) == 0.5
