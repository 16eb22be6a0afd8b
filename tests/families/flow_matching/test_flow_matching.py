"""Flow matching: its loss, its flow, and its likelihood against Gaussians, for which all is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from pushforward.errors import InputError, PushforwardError
from pushforward.families.flow_matching.flow_matching import FlowMatching, FlowMatchingSettings
from pushforward.game import Batch
from pushforward.noise import BatchNoise, Noise
from pushforward.spaces import Classes, Real
from tests.helpers import train

SMALL = {"width": 16, "depth": 1}


PLANE = Real((2,))


def build(space=PLANE, condition=None, field=None, **settings):
    networks = {} if field is None else {"field": field}
    return FlowMatching(FlowMatchingSettings.model_validate({"network": SMALL, **settings}), space, condition, networks)


class ExactVelocity(nn.Module):
    r"""E[x_1 - x_0 | x_t] for data from N(m, S): m + (t S - (1-t) I)((1-t)^2 I + t^2 S)^{-1}(x - t m)."""

    def __init__(self, mean, covariance):
        super().__init__()
        self.mean = mean
        self.values, self.vectors = torch.linalg.eigh(covariance)
        self.unused = nn.Parameter(torch.zeros((), dtype=torch.float64))  # the model's precision
        self.calls = 0

    def forward(self, x, t):
        self.calls += 1
        t = t[:, None]
        y = (x.flatten(1) - t * self.mean) @ self.vectors
        gain = (t * self.values - (1 - t)) / ((1 - t) ** 2 + t**2 * self.values)
        return (self.mean + (gain * y) @ self.vectors.T).view_as(x)


def gaussian(d=2, seed=5):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(d, dtype=torch.float64, generator=generator) / 2
    root = torch.randn(d, d, dtype=torch.float64, generator=generator) / d**0.5
    return MultivariateNormal(mean, root @ root.T + 0.2 * torch.eye(d, dtype=torch.float64))


TRUTH = gaussian()


def exact(truth=TRUTH, shape=(2,)):
    return build(Real(shape), field=ExactVelocity(truth.mean, truth.covariance_matrix)).eval()


def draws(truth, n, seed=1):
    z = torch.randn(n, len(truth.mean), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return truth.mean + z @ truth.scale_tril.T


# ------------------------------------------------------------------------------------------ training


def test_a_field_that_returns_the_true_velocity_has_no_loss():
    data = torch.randn(64, 2, 3, 3, dtype=torch.float64)

    class Knows(nn.Module):
        def forward(self, x, t):
            t = t.view(-1, 1, 1, 1)
            return (data - x) / (1 - t)  # (x_1 - x_t) / (1 - t) = x_1 - x_0

    model = build(Real((2, 3, 3)), field=Knows())
    model.register_parameter("unused", nn.Parameter(torch.zeros((), dtype=torch.float64)))
    assert float(model.loss(Batch.of(data, seed=0))["velocity"]) < 1e-20


def test_no_field_beats_the_exact_velocity():
    # The minimum of the loss is E[x_1 - x_0 | x_t]; scaling it either way is worse.
    x = draws(TRUTH, 20_000)
    velocity = ExactVelocity(TRUTH.mean, TRUTH.covariance_matrix)

    class Scaled(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.velocity, self.factor = velocity, factor

        def forward(self, x, t):
            return self.factor * self.velocity(x, t)

    losses = [float(build(field=Scaled(f)).loss(Batch.of(x, seed=0))["velocity"]) for f in (0.9, 1.0, 1.1)]
    assert losses[1] < losses[0] and losses[1] < losses[2]


@pytest.mark.parametrize("time", ["uniform", "logit-normal"])
def test_times_have_their_distribution(time):
    seen = []

    class Records(nn.Module):
        def forward(self, x, t):
            seen.append(t)
            return x

    build(field=Records(), time=time).loss(Batch.of(torch.randn(20_000, 2), seed=0))
    t = seen[0].double()
    assert float(t.min()) > 0 and float(t.max()) < 1
    if time == "logit-normal":
        t = 0.5 * (1 + torch.erf(torch.logit(t) / 2**0.5))
    # A Kolmogorov-Smirnov test of uniformity, at one in ten thousand.
    grid = torch.arange(1, 20_001, dtype=torch.float64) / 20_000
    assert float((t.sort().values - grid).abs().max()) < 2.2 / 20_000**0.5


# ------------------------------------------------------------------------------------------ the flow


@pytest.mark.parametrize("options", [{"solver": "dopri5", "atol": 1e-8, "rtol": 1e-8}, {"steps": 100}])
def test_the_exact_flow_is_affine_with_the_right_covariance(options):
    # The flow of a Gaussian is x -> m + A x with A A^T = S. Pushing 0 and the unit vectors gives m and A.
    from pushforward.solvers import integrate

    truth = gaussian(3)
    points = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double()
    out = integrate(ExactVelocity(truth.mean, truth.covariance_matrix), points, 0.0, 1.0, **options)
    A = (out[1:] - out[0]).T
    tolerance = 1e-6 if "solver" in options else 1e-3
    assert torch.allclose(out[0], truth.mean, atol=tolerance)
    assert torch.allclose(A @ A.T, truth.covariance_matrix, atol=tolerance)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun", "rk4", "dopri5"])
def test_samples_of_the_exact_field(solver):
    x = exact().sample(4000, seed=0, solver=solver, steps=200 if solver == "euler" else 50)
    assert torch.allclose(x.mean(0), TRUTH.mean, atol=0.08)
    assert torch.allclose(torch.cov(x.T), TRUTH.covariance_matrix, atol=0.15)


def test_codes_come_back_and_are_the_base():
    model, x = exact(), draws(TRUTH, 500)
    z = model.encode(x)
    assert torch.allclose(model.decode(z), x, atol=1e-4)
    # The exact flow is a linear map of whitened data: same norm.
    white = torch.linalg.solve_triangular(TRUTH.scale_tril, (x - TRUTH.mean).T, upper=False).T
    assert torch.allclose(z.norm(dim=1), white.norm(dim=1), atol=1e-3)


@pytest.mark.parametrize(
    "space, solver", [(Real((2,)), "midpoint"), (Real((1, 5, 7)), "midpoint"), (Real((2,)), "dopri5")]
)
def test_samples_do_not_depend_on_the_batch(space, solver):
    model = build(space, Classes(3))
    nn.init.normal_(model.network.field.last.weight, std=0.1)
    condition = torch.arange(64) % 3
    options = {"solver": solver, "steps": 5, "guidance": 2.0}
    # An adaptive solver may take other steps after another rounding, and agrees within its tolerance only.
    atol = 1e-5 if solver == "midpoint" else 1e-3
    whole = model.sample(64, condition, seed=0, batch_size=64, **options)
    for size in (1, 7):
        parts = model.sample(64, condition, seed=0, batch_size=size, **options)
        assert torch.allclose(parts, whole, atol=atol)


# ------------------------------------------------------------------------------------------ likelihood


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 10},
        {"solver": "rk4", "steps": 6},
        {"solver": "heun"},
        {"solver": "dopri5"},
        {"solver": "euler", "steps": 100},
    ],
)
def test_likelihood_is_within_its_stated_error(options):
    x = draws(TRUTH, 500)
    out = exact().log_prob(x, **options)
    error = (out.values - TRUTH.log_prob(x)).abs()
    # The stated error is that of the coarser solution, at least twice the actual one for a method of order 2.
    slack = 1.2 if options.get("solver") == "euler" else 1.0
    assert bool((error <= slack * out.solver_error + 1e-7).all())
    assert out.kind == "estimate" and out.bound == "exact" and out.standard_error is None


def test_default_likelihood_is_accurate_and_one_euler_step_says_that_it_is_not():
    x = draws(TRUTH, 200)
    assert float((exact().log_prob(x).values - TRUTH.log_prob(x)).abs().max()) < 0.01
    assert float(exact().log_prob(x, solver="euler", steps=2).solver_error.mean()) > 0.2


def test_likelihood_of_images_exact_and_by_probes():
    truth = gaussian(12)
    model, x = exact(truth, (3, 2, 2)), draws(truth, 400).view(-1, 3, 2, 2)
    expected = truth.log_prob(x.flatten(1))
    assert float((model.log_prob(x, divergence="exact").values - expected).abs().max()) < 0.05
    out = model.log_prob(x, divergence="hutchinson", probes=8)
    assert out.draws == 8
    z = (out.values - expected) / out.standard_error
    # Student's t with 7 degrees of freedom has variance 7/5.
    assert abs(float(z.mean())) < 4 * (1.4 / 400) ** 0.5
    assert 0.9 < float(z.square().mean()) < 2.1
    assert torch.allclose(sum(out.terms.values()), out.values)


def test_probes_are_fixed_along_a_trajectory():
    # Redrawn probes make the field discontinuous in time, and an adaptive solver takes thousands of evaluations.
    torch.manual_seed(0)
    model = build(Real((1, 4, 5))).double()
    nn.init.normal_(model.network.field.last.weight, std=0.05)
    calls = []
    model.network.field.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(4, 1, 4, 5, dtype=torch.float64)
    model.log_prob(x, solver="dopri5", divergence="hutchinson", atol=1e-3, rtol=1e-3)
    assert len(calls) < 1500


def test_likelihood_does_not_depend_on_the_batch_and_works_in_float32():
    torch.manual_seed(0)
    model = build(Real((20,)), Classes(2))
    nn.init.normal_(model.network.field.last.weight, std=0.1)
    x, condition = torch.randn(16, 20), torch.arange(16) % 2
    whole = model.log_prob(x, condition, steps=6)
    parts = model.log_prob(x, condition, steps=6, batch_size=3)
    assert torch.allclose(whole.values, parts.values, atol=1e-4)
    assert whole.draws == 4 and whole.standard_error is not None


def test_likelihood_is_differentiable():
    x = draws(TRUTH, 6).requires_grad_()
    out = exact().density(x, None, Noise.of(0, index=torch.arange(6)), steps=60)
    (gradient,) = torch.autograd.grad(out.values.sum(), x)
    y = x.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad(TRUTH.log_prob(y).sum(), y)
    assert torch.allclose(gradient, expected, atol=0.02)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"solver": "rk5"}, "Did you mean rk4"),
        ({"steps": 1}, "at least 2"),
        ({"probes": 0}, "probes"),
        ({"divergence": "exacts"}, "Did you mean exact"),
        ({"guidance": 2.0}, "unknown log_prob option"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        build().log_prob(torch.zeros(1, 2), **options)


def test_an_impossible_tolerance_is_an_error_with_a_way_out():
    class Rough(nn.Module):
        def forward(self, x, t):
            return torch.sin(1e6 * t)[:, None] * x

    with pytest.raises(PushforwardError, match="Loosen atol and rtol"):
        build(field=Rough()).sample(1, seed=0, solver="dopri5")


# ------------------------------------------------------------------------------------------ trained


def test_trained_on_a_gaussian():
    torch.manual_seed(0)
    model = FlowMatching(FlowMatchingSettings(network={"width": 64, "depth": 2}), Real((2,)))
    train(model, draws(TRUTH, 20_000).float(), steps=2500, batch_size=256, lr=3e-3)
    sample = model.sample(4000, seed=0, steps=20).double()
    assert torch.allclose(sample.mean(0), TRUTH.mean, atol=0.07)
    assert torch.allclose(torch.cov(sample.T), TRUTH.covariance_matrix, atol=0.1)
    x = draws(TRUTH, 1000, seed=2)
    out = model.log_prob(x.float())
    fine = model.log_prob(x.float(), solver="rk4", steps=100)
    # The solver's error is what it says; what is left is the model's.
    covered = (out.values - fine.values).abs() <= out.solver_error + fine.solver_error + 1e-4
    assert float(covered.double().mean()) > 0.99
    gap = TRUTH.log_prob(x) - out.values
    assert abs(float(gap.mean())) < 0.03


@pytest.mark.slow
def test_trained_on_a_ring_finds_every_mode():
    torch.manual_seed(0)
    angle = torch.arange(8) * math.pi / 4
    centres = torch.stack([angle.cos(), angle.sin()], 1)
    x = centres[torch.randint(8, (20_000,))] + 0.05 * torch.randn(20_000, 2)
    scale = float(x.std())
    model = FlowMatching(FlowMatchingSettings(), Real((2,)))
    train(model, x / scale, steps=2500, batch_size=256, lr=2e-3)
    distance, mode = torch.cdist(model.sample(1000, seed=0) * scale, centres).min(1)
    near = distance < 0.15
    assert float(near.double().mean()) > 0.9
    assert int(torch.bincount(mode[near], minlength=8).min()) > 1000 / 8 / 2


def test_training_reads_the_batch_s_noise_only():
    x = torch.randn(8, 2)
    model = build()
    noise = BatchNoise(3, 0, 8, 8)
    state = torch.get_rng_state()
    first = model.loss(Batch(x, None, torch.arange(8), noise))["velocity"]
    second = model.loss(Batch(x, None, torch.arange(8), noise.at(0)))["velocity"]
    assert torch.equal(first, second) and torch.equal(state, torch.get_rng_state())
