"""The likelihood of a model: its kind, errors, units and words, for every registered model and for closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from pushforward.errors import InputError
from pushforward.evaluation.likelihood.scoring import likelihood_of
from pushforward.registry import build, recipe, recipe_names
from pushforward.spaces import Classes, Column, Pixels, Real, Table
from tests.evaluation.closed_forms import Normal, points
from tests.families.autoencoders.test_vae import linear_gaussian

SMALL = {"width": 8, "depth": 1}
KINDS = {
    "exact density": ("exact",),
    "lower bound": ("lower bound", "estimate of a lower bound"),
    "estimate": ("estimate",),
    "implicit": ("unavailable",),
}


def test_a_closed_form() -> None:
    x = points()
    row, values = likelihood_of(Normal(), x)
    assert values is not None and values.dtype == torch.float64
    torch.testing.assert_close(values, torch.distributions.Normal(0, 1).log_prob(x).sum(1))
    assert (row.kind, row.n, row.seeds, row.infinite) == ("exact", 500, 1, 0)
    assert row.mean == pytest.approx(float(values.mean()), rel=1e-12)
    assert row.standard_error == pytest.approx(float(values.std()) / math.sqrt(500), rel=1e-9)
    assert row.bits_per_dimension is None  # of a density they would change with the unit
    assert (row.draws, row.monte_carlo_error, row.solver_error, row.dequantization) == (None, None, None, "")
    assert row.unit == "nats per example (Lebesgue measure, 2 real numbers)"


def test_errors_of_the_mean() -> None:
    """Independent Monte Carlo errors shrink with the points; a solver's error does not."""
    row, _ = likelihood_of(Normal(scatter=0.5, solver=0.1), points(400))
    assert row.kind == "estimate"
    assert row.monte_carlo_error == pytest.approx(0.5 / 20)
    assert row.solver_error == pytest.approx(0.1)
    assert row.draws == 4
    assert likelihood_of(Normal(gap=0.1, solver=0.1), points(9))[0].kind == "estimate of a lower bound"


@pytest.mark.parametrize("name", recipe_names())
def test_every_model_says_what_its_likelihood_is(name: str) -> None:
    model = build(name, Real((2,)), overrides={"network": SMALL} if "network" in _fields(name) else {})
    x = points(40).float()
    model.initialize(x)
    row, values = likelihood_of(model, x[:9])
    assert row.kind in KINDS[recipe(name).likelihood]
    if row.kind == "unavailable":
        assert values is None and row.mean is None
        assert "implicit" in row.reason and "vae" in row.reason  # why, and what to use
        return
    assert values is not None
    torch.testing.assert_close(values, model.log_prob(x[:9]).values.double())
    assert row.method and "its own density" not in row.method
    assert row.unit.endswith("2 real numbers)") and row.measure == "Lebesgue"


def _fields(name: str) -> set[str]:
    from pushforward.registry import model_class

    return set(model_class(name).Settings.model_fields)


METHODS = [
    ("vae", {}, "evidence lower bound (ELBO)"),
    ("vae", {"k": 20}, "importance-weighted bound, k = 20"),
    ("flow-matching", {}, "probability-flow ODE by midpoint in 50 steps, exact divergence"),
    ("flow-matching", {"solver": "dopri5", "divergence": "hutchinson"}, "dopri5 at tolerance 1e-05, Hutchinson's"),
    ("ddpm", {"bound_steps": 10}, "variational bound of the chain, 10 terms drawn of"),
    ("ddpm", {"bound_steps": "all"}, "variational bound of the chain, all"),
]


@pytest.mark.parametrize(("name", "options", "words"), METHODS)
def test_the_method_follows_the_options(name: str, options: dict, words: str) -> None:
    model = build(name, Real((2,)), overrides={"network": SMALL, **({"timesteps": 20} if name == "ddpm" else {})})
    x = points(6).float()
    model.initialize(x)
    row, _ = likelihood_of(model, x, options=options)
    assert words in row.method


def test_pixels_have_bits_and_say_how_they_were_dequantized() -> None:
    space = Pixels(1, 4, 4, 16)
    x = torch.randint(0, 16, (30, 1, 4, 4))
    flow = build("real-nvp", space)
    flow.initialize(x)
    row, values = likelihood_of(flow, x)
    assert values is not None
    assert (row.kind, row.draws, row.measure) == ("lower bound", 1, "counting")
    assert row.dequantization == "uniform noise in [0, 1) added to each level; 1 draw a point"
    assert row.bits_per_dimension == pytest.approx(-float(values.mean()) / (16 * math.log(2)), rel=1e-9)
    more, _ = likelihood_of(flow, x, options={"dequantization_draws": 3})
    assert more.dequantization.endswith("3 draws a point") and more.draws == 3
    # A model of the pixels themselves adds no noise, and has bits as well.
    vae = build("vae", space, overrides={"network": SMALL})
    row, _ = likelihood_of(vae, x)
    assert row.dequantization == "" and row.bits_per_dimension is not None
    assert row.support == more.support


def test_tables_say_their_base_measure() -> None:
    space = Table((Column("size", "continuous"), Column("kind", "category", ("a", "b"))))
    x = torch.stack([torch.rand(200).double(), torch.randint(0, 2, (200,)).double()], 1)
    model = build("gmm", space)
    model.initialize(x)
    row, _ = likelihood_of(model, x)
    assert row.measure == "Lebesgue in size, counting in the rest"
    assert row.bits_per_dimension is None
    assert "categories" in row.dequantization and row.kind == "lower bound"
    # Numbers alone are carried by a bijection: nothing is drawn.
    plain = build("gmm", Table((Column("a", "continuous"), Column("b", "continuous"))))
    plain.initialize(points(200))
    row, _ = likelihood_of(plain, points(20, seed=1))
    assert (row.kind, row.dequantization) == ("exact", "")


def test_importance_weights_raise_the_bound_with_k() -> None:
    model, truth = linear_gaussian(exact=False)
    x = truth.sample((1000,))
    means = [likelihood_of(model, x, options={"k": k}, seed=k)[0].mean for k in (1, 3, 30)]
    assert means[0] is not None and means[1] is not None and means[2] is not None
    assert means[0] < means[1] < means[2] < float(truth.log_prob(x).mean()) + 0.02
    annealed, _ = likelihood_of(model, x[:50], ais={"steps": 20, "chains": 4})
    assert annealed.method == "annealed importance sampling from the encoder, 4 chains of 20 steps"
    assert annealed.kind == "lower bound" and annealed.draws == 4
    # What has nothing to anneal keeps its own likelihood.
    assert likelihood_of(Normal(), points(5), ais=True)[0].kind == "exact"


def test_points_without_probability_make_the_mean_infinite() -> None:
    x = points()
    row, values = likelihood_of(Normal(nowhere=2.0), x)
    assert row.infinite == int((x[:, 0] > 2).sum()) > 0
    assert row.mean == -math.inf and row.standard_error is None and values is not None


def test_numbers_that_are_none_are_no_likelihood() -> None:
    row, values = likelihood_of(Normal(broken=2.0), points())
    assert values is None and row.kind == "unavailable"
    assert "not a number at" in row.reason and "of 500 points" in row.reason
    row, _ = likelihood_of(Normal(std=1e-200, d=400), torch.zeros(3, 400).double())
    assert row.kind == "exact"


def test_points_and_supports_are_told_apart() -> None:
    x = points()
    row, other = likelihood_of(Normal(), x)[0], likelihood_of(Normal(), x + 1e-9)[0]
    assert row.points == likelihood_of(Normal(mean=3.0), x.clone())[0].points != other.points
    named = Normal(space=Real((2,), names=("a", "b")))
    assert likelihood_of(named, x.float())[0].support == row.support  # names and precision change no measure
    assert likelihood_of(Normal(measure="counting"), x)[0].support != row.support
    given = Normal(condition_space=Classes(3))
    row, _ = likelihood_of(given, x, 1)
    assert row.given and row.points != likelihood_of(given, x, 2)[0].points


def test_wrong_points_and_options_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        likelihood_of(Normal(), points(5, 3))
    with pytest.raises(InputError, match="unknown log_prob option"):
        likelihood_of(Normal(), points(5), options={"k": 3})
