"""Real NVP: exact inverses and determinants, the identity at the start, and densities that are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pushforward import registry
from pushforward.bijections import ActNorm, Dequantize, Standardize
from pushforward.config import NetworkSettings, OptimizerSettings
from pushforward.errors import InputError
from pushforward.families.flows.real_nvp import RealNVP, RealNVPSettings
from pushforward.noise import Noise
from pushforward.spaces import Classes, Pixels, Real, Space
from tests.helpers import dataset, train

SPACES: list[tuple[Space, Space | None]] = [
    (Real((1,)), None),
    (Real((1,)), Real((2,))),
    (Real((2,)), Classes(3)),
    (Real((7,)), None),
    (Real((1, 4, 4)), None),
    (Real((2, 4, 6)), Classes(3)),
    (Real((3, 3, 5)), Real((2,))),
]


def build(space: Space, condition_space: Space | None = None, **settings: object) -> RealNVP:
    base = {"network": NetworkSettings(width=8, depth=1), "layers": 4, "couplings": 2}
    return RealNVP(RealNVPSettings(**{**base, **settings}), space, condition_space)  # type: ignore[arg-type]


def perturb(model: RealNVP, scale: float = 0.15) -> RealNVP:
    with torch.no_grad():
        for p in model.parameters():
            p += scale * torch.randn_like(p)
    return model


def conditions(space: Space | None, n: int, dtype: torch.dtype = torch.float64) -> Tensor | None:
    if space is None:
        return None
    return torch.arange(n) % 3 if isinstance(space, Classes) else torch.randn(n, *space.shape, dtype=dtype)


@pytest.mark.parametrize(("space", "given"), SPACES, ids=str)
def test_identity_at_initialization(space: Space, given: Space | None) -> None:
    model = build(space, given)
    x, c = torch.randn(5, *space.shape), conditions(given, 5, torch.float32)
    assert torch.equal(model.encode(x, c), x) and torch.equal(model.decode(x, c), x)
    base = torch.distributions.Normal(0.0, 1.0).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(model.log_prob(x, c).values, base)


@pytest.mark.parametrize(("space", "given"), SPACES, ids=str)
def test_inverse_and_determinants_in_double(space: Space, given: Space | None) -> None:
    model = perturb(build(space, given)).double()
    n, d = 3, math.prod(space.shape)
    x, c = torch.randn(n, *space.shape, dtype=torch.float64), conditions(given, n)
    embedding = model._embed(c, n)
    z, log_det = model.bijection.forward_and_log_det(x, embedding)
    assert (z - x).abs().max() > 0.1
    back, inverse_log_det = model.bijection.inverse_and_log_det(z, embedding)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    for i in range(n):
        e = None if embedding is None else embedding[i : i + 1].detach()
        forward = _reference_log_det(lambda v, e=e: model.bijection.forward_and_log_det(v, e)[0], x[i], d)
        inverse = _reference_log_det(lambda v, e=e: model.bijection.inverse_and_log_det(v, e)[0], z[i].detach(), d)
        torch.testing.assert_close(log_det[i], forward, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(inverse_log_det[i], inverse, rtol=1e-9, atol=1e-9)


def _reference_log_det(fn: Callable[[Tensor], Tensor], point: Tensor, d: int) -> Tensor:
    """log |det| of the Jacobian of one row, by autograd."""
    jacobian = torch.autograd.functional.jacobian(lambda v: fn(v[None])[0], point)
    return torch.linalg.slogdet(jacobian.reshape(d, d))[1]


def test_round_trip_in_single_precision() -> None:
    """float32 loses digits with depth: the recipe's eight layers keep codes to 1e-4 after training-sized weights."""
    model = perturb(build(Real((6,)), layers=8, network=NetworkSettings(width=64, depth=2)), 0.05)
    z = model.encode(torch.randn(2000, 6))
    assert float((model.encode(model.decode(z)) - z).abs().max()) < 1e-4


def test_terms_add_up_and_gradients_flow() -> None:
    model = perturb(build(Real((3,))))
    x = torch.randn(4, 3, requires_grad=True)
    density = model.density(x, None, None)
    torch.testing.assert_close(density.values, density.terms["base"] + density.terms["log_det"])
    (score,) = torch.autograd.grad(density.values.sum(), x)
    assert torch.isfinite(score).all() and score.abs().min() > 0


def test_every_number_is_changed_and_masks_are_saved() -> None:
    model = build(Real((7,)), layers=4)
    masks = [m.kept for m in model.bijection.modules() if hasattr(m, "kept")]
    for first, second in zip(masks[::2], masks[1::2]):
        assert torch.equal(first, ~second)
    assert not torch.equal(masks[0], masks[2]) or not torch.equal(masks[0], masks[3])
    torch.manual_seed(123)
    other = build(Real((7,)), layers=4)
    perturb(model)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.sample(5, seed=0), model.sample(5, seed=0))


def test_start_uses_rows_of_the_data_and_happens_once() -> None:
    x = 5 + 3 * torch.randn(500, 4)
    model = build(Real((4,)))
    noise = Noise.of(0, 7, index=torch.arange(500))
    model.start(dataset(x, model.space), noise)
    z = model.encode(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(z.std(0), torch.ones(4), rtol=0, atol=5e-3)
    model.start(dataset(100 * x, model.space), noise)
    assert torch.equal(model.encode(x), z)
    # Evaluation before the start leaves a fresh model alone.
    fresh = build(Real((4,)))
    fresh.sample(3, seed=0), fresh.log_prob(x)
    assert not any(bool(m.started) for m in fresh.modules() if isinstance(m, ActNorm))


@pytest.mark.parametrize("actnorm", [True, False])
def test_sharpens_beyond_the_base(actnorm: bool) -> None:
    """N(0, 0.05^2)^2 without standardization: the optimum is -3.154 nats; a scale clamped at 1 stays above 1.8."""
    x = 0.05 * torch.randn(4000, 2)
    model = build(Real((2,)), actnorm=actnorm, network=NetworkSettings(width=32, depth=1))
    train(model, x, steps=300, lr=5e-3)
    held_out = 0.05 * torch.randn(4000, 2)
    optimum = -math.log(0.05) * 2 - math.log(2 * math.pi * math.e)
    assert optimum == pytest.approx(3.1537, abs=1e-3)
    assert model.log_prob(held_out).mean() > optimum - 0.04


def test_correlated_gaussian_reaches_its_entropy() -> None:
    mix = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.5, 0.9, 0.3]])
    x = torch.randn(8000, 3) @ mix.T + torch.tensor([1.0, -2.0, 0.5])
    model = build(Real((3,)), layers=6, network=NetworkSettings(width=32, depth=1))
    train(model, x, steps=700, lr=5e-3, batch_size=256)
    y = torch.randn(8000, 3) @ mix.T + torch.tensor([1.0, -2.0, 0.5])
    truth = torch.distributions.MultivariateNormal(torch.tensor([1.0, -2.0, 0.5]), scale_tril=mix).log_prob(y)
    assert abs(float(model.log_prob(y).mean() - truth.mean())) < 0.02
    s = model.sample(20_000, seed=0)
    torch.testing.assert_close(torch.cov(s.T), mix @ mix.T, rtol=0.05, atol=0.08)


@pytest.mark.parametrize("given", [None, Classes(2), Real((1,))], ids=["none", "class", "vector"])
def test_one_dimension_is_a_conditional_gaussian(given: Space | None) -> None:
    c = None if given is None else (torch.arange(4000) % 2 if isinstance(given, Classes) else torch.rand(4000, 1))
    shift = 0.0 if c is None else c.float().view(-1, 1)
    x = 3 * shift + (0.2 + 0.5 * shift) * torch.randn(4000, 1)
    model = build(Real((1,)), given)
    train(model, x, c, steps=400, lr=5e-3, batch_size=256)
    for value in (0.0, 1.0) if given is not None else (0.0,):
        condition = None if given is None else (int(value) if isinstance(given, Classes) else torch.tensor([value]))
        s = model.sample(8000, condition=condition, seed=0)
        assert abs(float(s.mean()) - 3 * value) < 0.1 and abs(float(s.std()) - 0.2 - 0.5 * value) < 0.1


def ring(n: int) -> Tensor:
    angle = torch.randint(8, (n,)) * (math.pi / 4)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(n, 2)


def test_density_of_a_trained_ring_integrates_to_one() -> None:
    model = build(Real((2,)), layers=6, network=NetworkSettings(width=32, depth=1))
    train(model, ring(4000), steps=300, lr=5e-3, batch_size=256)
    points = torch.cartesian_prod(torch.linspace(-4, 4, 801), torch.linspace(-4, 4, 801)).double()
    mass = float(model.double().log_prob(points).values.exp().sum()) * 0.01**2
    assert abs(mass - 1) < 0.01
    gaussian = -math.log(2 * math.pi * math.e * 0.5025)  # the entropy of the ring's covariance
    assert model.log_prob(ring(2000).double()).mean() > gaussian + 0.5


def test_class_condition_separates() -> None:
    labels = torch.arange(3000) % 3
    centre = torch.tensor([[0.0, 4.0], [4.0, 0.0], [-4.0, -4.0]])
    x = (centre[labels] + 0.3 * torch.randn(3000, 2)) / 4
    model = build(Real((2,)), Classes(3), network=NetworkSettings(width=32, depth=1))
    train(model, x, labels, steps=300, lr=5e-3)
    for k in range(3):
        s = model.sample(500, condition=k, seed=0)
        assert float((4 * s - centre[k]).norm(dim=1).median()) < 0.6
        right, wrong = model.log_prob(x[labels == k], k).mean(), model.log_prob(x[labels == k], (k + 1) % 3).mean()
        assert right > wrong + 2


def test_temperature_scales_the_base() -> None:
    model = build(Real((2,)))
    assert torch.equal(model.sample(9, seed=0, temperature=0.5), 0.5 * model.sample(9, seed=0))
    with pytest.raises(InputError, match="temperature"):
        model.sample(3, temprature=1.0)


def test_preprocessing() -> None:
    pixels = Pixels(1, 8, 8, 17)
    logit = RealNVP.preprocess(pixels, RealNVPSettings())
    assert isinstance(logit, Dequantize) and logit.onto == "logit"
    assert RealNVP.preprocess(pixels, RealNVPSettings(preprocess="symmetric")).onto == "symmetric"
    assert isinstance(RealNVP.preprocess(Real((3,)), RealNVPSettings()), Standardize)


def test_scales_follow_the_size() -> None:
    """8x8 allows three squeezes, 28x28 two, odd sizes none; each leaves half of the channels to the base."""

    def squeezes(*shape: int) -> int:
        model = build(Real(shape), scales=3)
        return sum(type(m).__name__ == "Squeezed" for m in model.modules())

    assert [squeezes(1, 8, 8), squeezes(1, 28, 28), squeezes(3, 7, 8), squeezes(3, 32, 32)] == [3, 2, 0, 3]


def test_refusals() -> None:
    with pytest.raises(InputError, match="takes no networks"):
        RealNVP(RealNVPSettings(), Real((2,)), None, {"conditioner": torch.nn.Identity()})
    with pytest.raises(InputError, match="shape"):
        RealNVP(RealNVPSettings(), Real((3, 4)))


def test_player_owns_everything_once() -> None:
    model = build(Real((2,)), Classes(3), optimizer=OptimizerSettings(learning_rate=0.1))
    (player,) = model.players()
    assert {id(p) for p in player.parameters()} == {id(p) for p in model.parameters()}
    assert player.optimizer is not None and player.optimizer.learning_rate == 0.1


@pytest.mark.slow
def test_digits_beat_a_mixture() -> None:
    """Held-out bits per dimension of digits under the recipe's model: below the mixture's (2.6), in 100 steps."""
    from sklearn.datasets import load_digits

    x = torch.tensor(load_digits().images).to(torch.uint8)[:, None]
    space = Pixels(1, 8, 8, 17)
    model = registry.build("real-nvp", space)
    pre = model.preprocess_data
    z = torch.cat([pre(x[:1400], Noise.of(s, index=torch.arange(1400)))[0] for s in range(8)])
    train(model.core, z, steps=100, batch_size=64)
    assert float(model.log_prob(x[1400:]).bits_per_dimension().mean()) < 2.45
