"""The game of a GAN: its objective, its gradients, the optimal discriminator, and what is minimized in the end."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pushforward import divergences
from pushforward.evaluation.metrics.modes import count_modes, ring_centres
from pushforward.families.gans import objectives
from pushforward.families.gans.gan import GAN, GANSettings
from pushforward.game import Batch
from pushforward.noise import BatchNoise
from pushforward.spaces import Real
from tests.theory.fixed import Given, minimize, normal_density

# Two distributions of five values, in fortieths: repeated rows then stand for exact expectations.
P_COUNTS = torch.tensor([4, 10, 2, 16, 8])
G_COUNTS = torch.tensor([12, 3, 9, 6, 10])
P, G = P_COUNTS.double() / 40, G_COUNTS.double() / 40
LINE = torch.linspace(-12, 12, 6001, dtype=torch.float64)


def rows(counts: Tensor) -> Tensor:
    return torch.arange(len(counts)).repeat_interleave(counts)


def value(logits: Tensor) -> Tensor:
    """E log D(x) + E log(1 - D(G(z))) of a table of logits."""
    return -objectives.discriminator(logits[rows(P_COUNTS)], logits[rows(G_COUNTS)])


def kl(p: Tensor, q: Tensor) -> Tensor:
    return torch.xlogy(p, p / q).sum()


def js(p: Tensor, q: Tensor) -> Tensor:
    return 0.5 * kl(p, (p + q) / 2) + 0.5 * kl(q, (p + q) / 2)


class Line(nn.Module):
    """x = w z + b: a generator, or a discriminator's logit."""

    def __init__(self, w: float, b: float):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x + self.b


def game(loss: str = "non-saturating", steps: int = 1, logit: tuple[float, float] = (1.0, -0.5)) -> GAN:
    settings = GANSettings(latent=1, loss=loss, discriminator_steps=steps)
    return GAN(settings, Real((1,)), networks={"generator": Line(0.7, -1.0), "discriminator": Line(*logit)})


# ------------------------------------------------------------------------------------------ the objective


def test_the_objective_is_its_formula_and_outputs_are_probabilities():
    model = game()
    x, z = torch.randn(50, 1, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    batch = Batch(x, None, torch.arange(50), Given([z]))
    d_real = 1 / (1 + torch.exp(-(x - 0.5)))
    d_fake = 1 / (1 + torch.exp(-((0.7 * z - 1.0) - 0.5)))
    losses = model.discriminator_loss(batch)
    expected = (d_real.log() + (1 - d_fake).log()).mean()
    torch.testing.assert_close(losses["discriminator"], -expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(losses["_D(data)"], d_real.mean(), atol=1e-12, rtol=0)
    assert 0 < float(losses["_D(samples)"]) < 1
    # The generator's part is the second term, and the first does not depend on it.
    minimax = game("minimax").generator_loss(Batch(x, None, torch.arange(50), Given([z])))["generator"]
    torch.testing.assert_close(minimax, (1 - d_fake).log().mean(), atol=1e-12, rtol=0)


def test_each_player_pushes_the_outputs_its_own_way():
    """Ascent raises D on data and lowers it on samples; the generator's descent raises it there, by both losses."""
    real = torch.linspace(-3, 3, 13, dtype=torch.float64, requires_grad=True)
    fake = real.detach().clone().requires_grad_()
    up_real, up_fake = torch.autograd.grad(-objectives.discriminator(real, fake), [real, fake])
    assert bool((up_real > 0).all()) and bool((up_fake < 0).all())
    for loss in objectives.GENERATOR.values():
        (gradient,) = torch.autograd.grad(loss(fake), fake)
        assert bool((-gradient > 0).all())


def test_the_players_alternate_k_turns_to_one():
    players = list(game(steps=5).players())
    assert [(p.name, p.turns) for p in players] == [("discriminator", 5), ("generator", 1)]


def test_gradient_descent_ascent_need_not_converge():
    """min over x, max over y of x y: simultaneous steps leave the saddle point by sqrt(1 + rate^2) a step."""
    rate, x, y = 0.1, 1.0, 1.0
    for _ in range(200):
        x, y = x - rate * y, y + rate * x
    assert math.hypot(x, y) == pytest.approx(math.sqrt(2) * (1 + rate**2) ** 100, rel=1e-12)
    # In alternation they stay on an ellipse: no divergence, and no convergence either.
    x, y, least, most = 1.0, 1.0, math.inf, 0.0
    for _ in range(2000):
        x = x - rate * y
        y = y + rate * x
        least, most = min(least, math.hypot(x, y)), max(most, math.hypot(x, y))
    assert least > 1.3 and most < 1.5


# ------------------------------------------------------------------------------------------ the generator's gradient


def test_the_gradient_of_minimax_vanishes_where_samples_are_bad():
    """By the logit l of D: -D for log(1 - D), and -(1 - D) for -log D. As D -> 0 they tend to 0 and to -1."""
    logits = torch.tensor([-30.0, -10.0, -2.0, 0.0, 2.0, 10.0, 30.0], dtype=torch.float64, requires_grad=True)
    d = logits.detach().sigmoid()
    (saturating,) = torch.autograd.grad(objectives.minimax(logits) * 7, logits)
    (trick,) = torch.autograd.grad(objectives.non_saturating(logits) * 7, logits)
    torch.testing.assert_close(saturating, -d, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(trick, -(1 - d), atol=1e-14, rtol=1e-12)
    assert abs(float(saturating[0])) < 1e-12 and float(saturating[-1]) < -1 + 1e-12
    assert float(trick[0]) < -1 + 1e-12 and abs(float(trick[-1])) < 1e-12
    torch.testing.assert_close(saturating[3], trick[3])  # equal at D = 1/2, the equilibrium
    # By D itself the slopes are -1/(1 - D) and -1/D: at D -> 0 the first is -1, small only beside the second.
    d = torch.tensor([1e-6, 0.5, 1 - 1e-6], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.log(1 - d).sum(), d)
    torch.testing.assert_close(slope, -1 / (1 - d.detach()))
    assert float(slope[0]) == pytest.approx(-1, abs=2e-6)


def test_the_trick_gives_bad_generators_a_gradient():
    """The same game, the same generator, a sure discriminator: the ratio of the two gradients is D / (1 - D)."""
    z = torch.zeros(4, 1, dtype=torch.float64)
    gradients = {}
    for loss in objectives.GENERATOR:
        model = game(loss, logit=(1.0, -20.0))
        batch = Batch(None, None, torch.arange(4), Given([z]))
        (gradients[loss],) = torch.autograd.grad(model.generator_loss(batch)["generator"], model.generator.b)
    d = float(torch.sigmoid(torch.tensor(-21.0, dtype=torch.float64)))
    assert float(gradients["non-saturating"]) == pytest.approx(-1, abs=1e-8)
    assert float(gradients["minimax"]) == pytest.approx(-d, rel=1e-9)


# ------------------------------------------------------------------------------------------ stochastic gradients


def test_stochastic_gradients_are_averages_over_the_minibatch():
    """The lecture's two updates, example by example: ascent is descent on the negative."""
    x, z = torch.randn(6, 1, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)

    def batch(rows: slice) -> Batch:
        return Batch(x[rows], None, torch.arange(6)[rows], Given([z[rows]]))

    model = game()
    d = list(model.discriminator.parameters())
    g = list(model.generator.parameters())
    whole_d = torch.autograd.grad(model.discriminator_loss(batch(slice(None)))["discriminator"], d)
    whole_g = torch.autograd.grad(model.generator_loss(batch(slice(None)))["generator"], g)
    sum_d, sum_g = [torch.zeros_like(p) for p in d], [torch.zeros_like(p) for p in g]
    for i in range(6):
        samples = model.generator(z[i])
        one = torch.log(model.discriminator(x[i]).sigmoid()) + torch.log(1 - model.discriminator(samples).sigmoid())
        for total, part in zip(sum_d, torch.autograd.grad(one.sum(), d)):
            total += part / 6
        one = torch.log(model.discriminator(model.generator(z[i])).sigmoid())
        for total, part in zip(sum_g, torch.autograd.grad(one.sum(), g)):
            total += part / 6
    for found, ascent in zip((*whole_d, *whole_g), (*sum_d, *sum_g)):
        torch.testing.assert_close(found, -ascent, atol=1e-12, rtol=0)


def test_samples_are_the_generator_s_image_of_noise():
    model = game()
    noise = BatchNoise(5, 0, 20_000, 20_000)
    z = BatchNoise(5, 0, 20_000, 20_000).normal(1, dtype=torch.float64)
    x = model.draw(noise).detach()
    torch.testing.assert_close(x, 0.7 * z - 1.0)
    assert abs(float(x.mean()) + 1.0) < 4 * 0.7 / 20_000**0.5  # the pushforward of N(0, 1) is N(-1, 0.49)
    assert abs(float(x.var()) - 0.49) < 4 * 0.49 * (2 / 20_000) ** 0.5


def test_mode_collapse_is_fewer_modes_than_the_support_has():
    centres = ring_centres(8)
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(4000, 2, dtype=torch.float64, generator=generator)
    everywhere = centres[torch.arange(4000) % 8] + noise
    collapsed = centres[torch.arange(4000) % 3] + noise
    assert count_modes(everywhere, centres, 0.05).found == 8
    three = count_modes(collapsed, centres, 0.05)
    assert three.found == 3 and three.high_quality > 0.98  # each sample is good: only the modes tell


# ------------------------------------------------------------------------------------------ what is minimized


def test_the_optimal_discriminator_found_by_training_a_table():
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    minimize(lambda: -value(logits), [logits])
    torch.testing.assert_close(logits.detach().sigmoid(), P / (P + G), atol=1e-7, rtol=0)
    formula = torch.from_numpy(divergences.optimal_discriminator(P, G)(range(5)))
    torch.testing.assert_close(formula, P / (P + G), atol=1e-14, rtol=0)


def test_the_optimal_discriminator_maximizes_the_objective_pointwise():
    """a log D + b log(1 - D) has slope a/D - b/(1 - D), zero at a/(a + b), and is concave."""
    d = P / (P + G)
    torch.testing.assert_close(P / d - G / (1 - d), torch.zeros(5, dtype=torch.float64), atol=1e-14, rtol=0)
    best = value(torch.logit(d))
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        change = torch.randn(5, dtype=torch.float64, generator=generator)
        assert value(torch.logit(d) + 0.1 * change) < best


def test_the_game_s_value_in_its_three_forms():
    """max over D with E over z; with the optimal D and E over x ~ p_g; with the densities alone."""
    # The generator: 40 equally likely z, each sent to a value of x; p_g is the pushforward.
    sent = rows(G_COUNTS)
    torch.testing.assert_close(torch.bincount(sent).double() / 40, G)
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)

    def over_z() -> Tensor:
        log_d, log_not = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
        return -((P * log_d).sum() + log_not[sent].mean())

    first = -minimize(over_z, [logits])
    d = P / (P + G)
    second = (P * d.log()).sum() + (G * (1 - d).log()).sum()
    third = (P * (P / (P + G)).log()).sum() + (G * (G / (P + G)).log()).sum()
    assert abs(first - float(second)) < 1e-12 and abs(float(second - third)) < 1e-14
    # And it is two divergences, or twice the Jensen-Shannon one, less log 4.
    two = kl(P, (P + G) / 2) + kl(G, (P + G) / 2) - math.log(4)
    assert abs(float(third - two)) < 1e-14
    assert abs(float(third - (2 * js(P, G) - math.log(4)))) < 1e-14
    found = divergences.gan_value(P, G)
    for form in (found.maximum, found.optimum, found.ratios, found.divergence):
        assert form == pytest.approx(float(third), abs=1e-12)
    # The objective itself, at this discriminator and at one that is surer.
    assert divergences.gan_objective(P, G, lambda _: d.numpy()) == pytest.approx(float(third), abs=1e-12)
    surer = torch.sigmoid(2 * torch.logit(d)).numpy()
    assert divergences.gan_objective(P, G, lambda _: surer) < float(third) - 1e-2


def test_the_game_s_value_for_gaussians():
    """The same identities for a generator x = 0.7 z - 1 against N(0.3, 1), by quadrature over x and over z."""
    p, q = normal_density(LINE, 0.3, 1.0), normal_density(LINE, -1.0, 0.49)

    def integral(values: Tensor) -> float:
        return float(torch.trapezoid(values, LINE))

    def log_d(x: Tensor) -> Tensor:
        odds = (0.5 * (x + 1) ** 2 / 0.49 + math.log(0.7)) - 0.5 * (x - 0.3) ** 2
        return nn.functional.logsigmoid(odds)

    def log_not(x: Tensor) -> Tensor:
        odds = (0.5 * (x + 1) ** 2 / 0.49 + math.log(0.7)) - 0.5 * (x - 0.3) ** 2
        return nn.functional.logsigmoid(-odds)

    base = normal_density(LINE, 0.0, 1.0)
    first = integral(p * log_d(LINE)) + integral(base * log_not(0.7 * LINE - 1.0))
    second = integral(p * log_d(LINE)) + integral(q * log_not(LINE))
    log_p, log_q = -0.5 * (LINE - 0.3) ** 2, -0.5 * (LINE + 1) ** 2 / 0.49 - math.log(0.7)
    log_sum = torch.logaddexp(log_p, log_q)
    third = integral(p * (log_p - log_sum)) + integral(q * (log_q - log_sum))
    twice_js = integral(p * (log_p - log_sum + math.log(2))) + integral(q * (log_q - log_sum + math.log(2)))
    assert abs(first - second) < 1e-10 and abs(second - third) < 1e-12
    assert abs(third - (twice_js - math.log(4))) < 1e-12
    found = divergences.gan_value(divergences.Gaussian(0.3, 1.0), divergences.Gaussian(-1.0, 0.49))
    for form in (found.maximum, found.optimum, found.ratios, found.divergence):
        assert form == pytest.approx(third, abs=1e-8)


def test_the_game_s_value_is_least_where_the_generator_is_the_data():
    """Minimizing C over all p_g from any start ends at p_g = p, with the value -log 4."""

    def c(p_g: Tensor) -> Tensor:
        return torch.xlogy(P, P / (P + p_g)).sum() + torch.xlogy(p_g, p_g / (P + p_g)).sum()

    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        logits = torch.randn(5, dtype=torch.float64, generator=generator, requires_grad=True)
        least = minimize(lambda logits=logits: c(logits.softmax(0)), [logits])
        assert least == pytest.approx(-math.log(4), abs=1e-12)
        torch.testing.assert_close(logits.detach().softmax(0), P, atol=1e-6, rtol=0)
    others = torch.distributions.Dirichlet(torch.ones(5, dtype=torch.float64)).sample((200,))
    assert all(float(c(q)) > -math.log(4) for q in others)
