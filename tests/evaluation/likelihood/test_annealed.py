"""Annealed importance sampling against a likelihood in closed form, and against an integral."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pushforward.errors import InputError, Unsupported
from pushforward.evaluation.likelihood.annealed import annealed_log_prob
from pushforward.registry import build
from pushforward.spaces import Classes, Pixels, Real
from tests.families.autoencoders.test_vae import linear_gaussian, vae
from tests.helpers import train


@pytest.mark.parametrize(("start", "steps"), [("encoder", 1), ("encoder", 20), ("prior", 20)])
def test_weights_are_unbiased_whatever_the_steps(start: str, steps: int) -> None:
    """E w = p(x): with a wrong correction, or moves that leave another law alone, their mean is off."""
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((4000,))
    found = annealed_log_prob(model, x, steps=steps, chains=8, start=start)  # type: ignore[arg-type]
    ratio = (found.log_prob.values - truth.log_prob(x)).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(4000)
    assert float(ratio.std()) < 0.8


def test_reaches_the_likelihood_within_the_stated_error() -> None:
    """Probabilistic PCA: log p in closed form. The z-scores of all points have about unit spread."""
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((300,))
    found = annealed_log_prob(model, x, steps=100, chains=16)
    error = found.log_prob.values - truth.log_prob(x)
    z = error / found.log_prob.standard_error
    assert -0.02 < float(error.mean()) < 0.005
    assert float(error.std()) < 0.1
    assert 0.7 < float(z.std()) < 1.4
    assert float(found.effective.min()) > 8 and float(found.effective.max()) <= 16
    assert 0.6 < float(found.acceptance.mean()) < 0.85


def test_rises_with_steps_from_the_prior_and_passes_other_bounds() -> None:
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((200,))
    log_p = float(truth.log_prob(x).mean())
    means = [annealed_log_prob(model, x, steps=s, chains=8, start="prior").log_prob.mean() for s in (1, 10, 100)]
    assert means[0] + 0.1 < means[1] and means[1] + 0.05 < means[2] < log_p + 0.02
    assert means[2] > model.log_prob(x).mean() + 0.2  # the ELBO of a posterior that is too wide


def test_one_step_from_the_prior_is_simple_importance_sampling() -> None:
    """No move is made: the value is the mean of p(x | z) over draws of the prior, with every weight below its best."""
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((5,))
    found = annealed_log_prob(model, x, steps=1, chains=4000, start="prior", seed=3)
    assert float((found.log_prob.values - truth.log_prob(x)).abs().max()) < 0.4
    assert float(found.acceptance.min()) == 1.0


def test_a_decoder_that_is_not_linear_against_an_integral() -> None:
    """One code, binary pixels: the likelihood by quadrature; the encoder knows nothing of it."""
    torch.manual_seed(3)
    first, last = nn.Linear(1, 8), nn.Linear(8, 9)
    nn.init.normal_(first.weight, std=2.0)
    nn.init.normal_(last.weight, std=2.0)
    decoder = nn.Sequential(first, nn.Tanh(), last, nn.Unflatten(1, (1, 3, 3)))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    networks = {"decoder": decoder, "encoder": encoder}
    model = vae(Pixels(1, 3, 3, 2), latent=1, posterior="diagonal", networks=networks).double()
    x = torch.randint(0, 2, (60, 1, 3, 3), dtype=torch.uint8)
    grid = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    with torch.no_grad():
        decoded = model._decode(grid[:, None], None)
        likelihood = torch.stack([model.likelihood.log_prob(row.expand(2001, 1, 3, 3), decoded) for row in x])
    log_prior = -0.5 * grid.square() - 0.5 * math.log(2 * math.pi)
    truth = (likelihood + log_prior).logsumexp(1) + math.log(float(grid[1] - grid[0]))
    for start in ("encoder", "prior"):
        found = annealed_log_prob(model, x, steps=100, chains=16, start=start)  # type: ignore[arg-type]
        error = found.log_prob.values - truth
        # Its posteriors have several modes, so single chains weigh very differently: the mean weight is right.
        assert abs(float(error.exp().mean()) - 1) < 4 * float(error.exp().std()) / math.sqrt(60)
        assert float(error.mean()) == pytest.approx(0, abs=0.1)


def test_a_trained_model_is_above_its_own_bounds() -> None:
    """Through the preprocessing: ELBO <= importance-weighted <= annealed, in the data's own units."""
    torch.manual_seed(2)
    x = torch.randn(800, 1) @ torch.randn(1, 3) * 2 + torch.tanh(torch.randn(800, 3))
    settings = {"network": {"width": 16, "depth": 1}, "posterior": "diagonal", "latent": 2}
    model = build("vae", Real((3,)), overrides=settings)
    model.initialize(x)
    z = model.preprocess_data(x, None)[0]  # type: ignore[operator]
    train(model.core, z, steps=150)  # type: ignore[arg-type]
    points = x[:60]
    elbo, weighted = model.log_prob(points, draws=20), model.log_prob(points, k=50)
    annealed = annealed_log_prob(model, points, steps=30, chains=8)
    assert elbo.mean() < weighted.mean() < annealed.log_prob.mean() + 0.03
    reference = model.log_prob(points, k=1500)
    assert annealed.log_prob.mean() == pytest.approx(reference.mean(), abs=0.05)
    assert annealed.log_prob.unit == reference.unit and annealed.log_prob.kind == "lower bound"


def test_points_do_not_depend_on_their_neighbours() -> None:
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((6,))
    whole = annealed_log_prob(model, x, steps=10, chains=3, seed=4)
    pieces = annealed_log_prob(model, x, steps=10, chains=3, seed=4, batch_size=2)
    torch.testing.assert_close(whole.log_prob.values, pieces.log_prob.values)
    alone = annealed_log_prob(model, x[:1], steps=10, chains=3, seed=4)
    torch.testing.assert_close(whole.log_prob.values[:1], alone.log_prob.values)
    other = annealed_log_prob(model, x, steps=10, chains=3, seed=5)
    assert not torch.allclose(whole.log_prob.values, other.log_prob.values)


def test_conditions_and_modes_of_modules_are_kept() -> None:
    model = vae(Real((2,)), Classes(3), latent=2, scale="fixed", initial_scale=1.0)
    model.train()
    x, condition = torch.randn(30, 2), torch.arange(30) % 3
    found = annealed_log_prob(model, x, condition, steps=20, chains=8)
    reference = model.log_prob(x, condition, k=3000)
    assert found.log_prob.mean() == pytest.approx(reference.mean(), abs=0.05)
    assert model.training and all(p.grad is None for p in model.parameters())


def test_one_chain_states_no_error() -> None:
    model, truth = linear_gaussian(exact=False)
    found = annealed_log_prob(model, truth.sample((3,)), steps=5, chains=1)
    assert found.log_prob.standard_error is None and found.log_prob.draws == 1


def test_refusals() -> None:
    gan = build("gan", Real((2,)), overrides={"network": {"width": 8, "depth": 1}})
    with pytest.raises(Unsupported, match=r"gan states no p\(x given z\).*sigma"):
        annealed_log_prob(gan, torch.randn(3, 2))
    model, truth = linear_gaussian(exact=False)
    for options in ({"steps": 0}, {"chains": 1.5}, {"leapfrog": True}, {"start": "posterior"}):
        with pytest.raises(InputError, match=next(iter(options))):
            annealed_log_prob(model, truth.sample((3,)), **options)  # type: ignore[arg-type]
