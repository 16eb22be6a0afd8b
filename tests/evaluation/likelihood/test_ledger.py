"""The ledger on models whose likelihoods are known: what is claimed, what may not be, and what is not compared."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.evaluation.likelihood.ledger import Difference, Ledger, combine, ledger, likelihood_of
from pushforward.evaluation.likelihood.significance import holm, paired
from pushforward.registry import build
from pushforward.spaces import Classes, Column, Pixels, Table
from tests.evaluation.closed_forms import Normal, points


def pair(made: Ledger, a: str, b: str) -> Difference:
    (found,) = [d for d in made.differences if (d.a, d.b) == (a, b)]
    return found


def test_an_exact_difference_has_its_closed_form() -> None:
    r"""At x, :math:`\log p - \log q = |x - m|^2 / 2 - |x|^2 / 2 = d m^2 / 2 - m \sum x`."""
    x = points()
    made = ledger({"right": Normal(), "shifted": Normal(mean=0.5)}, x)
    found = pair(made, "right", "shifted")
    expected = 0.25 - 0.5 * x.sum(1)
    assert found.mean == pytest.approx(float(expected.mean()), rel=1e-9)
    half = 1.9647 * float(expected.std()) / math.sqrt(500)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-3)
    assert found.claimed and found.words.startswith("right's log-likelihood is above shifted's by 0.")
    assert made.unbeaten == ["right"]
    np.testing.assert_allclose(made.values["right"][0], torch.distributions.Normal(0, 1).log_prob(x).sum(1))


def test_the_order_of_models_only_changes_signs() -> None:
    x = points()
    models = {"a": Normal(), "b": Normal(mean=0.1), "c": Normal(std=1.2)}
    first = ledger(models, x)
    second = ledger(dict(reversed(models.items())), x)
    for d in first.differences:
        e = pair(second, d.b, d.a)
        assert (d.mean, d.low, d.high, d.p_value) == pytest.approx((-e.mean, -e.high, -e.low, e.p_value))
        assert d.claimed == e.claimed
    assert set(first.unbeaten) == set(second.unbeaten)


def test_p_values_are_adjusted_over_all_pairs() -> None:
    x = points(200)
    models = {"a": Normal(), "b": Normal(mean=0.12), "c": Normal(mean=-0.13), "d": Normal(std=1.1)}
    made = ledger(models, x)
    raw = [paired(made.values[d.a], made.values[d.b]).p_value for d in made.differences]
    assert len(raw) == 6
    np.testing.assert_allclose([d.p_value for d in made.differences], holm(raw), rtol=1e-12)
    assert any(d.p_value > p for d, p in zip(made.differences, raw))


def test_draws_are_shared_and_two_copies_do_not_differ() -> None:
    made = ledger({"a": Normal(scatter=0.3), "b": Normal(scatter=0.3)}, points(), seed=5)
    np.testing.assert_array_equal(made.values["a"], made.values["b"])
    found = pair(made, "a", "b")
    assert not found.claimed and found.mean == 0 and "no difference shown" in found.words


def test_a_bound_below_shows_nothing_and_a_bound_above_does() -> None:
    x = points()
    made = ledger({"exact": Normal(mean=1.0), "loose": Normal(gap=3.0), "tight": Normal(gap=0.01)}, x)
    below = pair(made, "exact", "loose")
    # The truth of `loose` is higher than of `exact`, and its bound is lower: a ranking would be wrong.
    assert below.low > 0 and below.p_value < 1e-6 and not below.claimed
    assert "no claim: loose's is a lower bound" in below.words
    above = pair(made, "exact", "tight")
    assert above.claimed and above.high < 0 and "tight's log-likelihood is above exact's by at least" in above.words
    bounds = pair(made, "loose", "tight")
    assert not bounds.claimed and "both are lower bounds" in bounds.words
    assert made.unbeaten == ["loose", "tight"]


def test_a_solvers_error_takes_a_claim_away() -> None:
    x = points(2000)
    near = ledger({"a": Normal(), "b": Normal(mean=0.2)}, x)
    rough = ledger({"a": Normal(), "b": Normal(mean=0.2, solver=0.1)}, x)
    assert pair(near, "a", "b").claimed and not pair(rough, "a", "b").claimed
    assert pair(rough, "a", "b").low == pytest.approx(pair(near, "a", "b").low - 0.1)


def test_trainings_count() -> None:
    """Two models of one family whose trainings scatter more than they differ."""
    x = points(2000)
    a, b = [Normal(mean=m) for m in (0.0, 0.5, 0.9)], [Normal(mean=m) for m in (0.2, 0.6, 1.0)]
    one, many = ledger({"a": a[0], "b": b[0]}, x), ledger({"a": a, "b": b}, x)
    assert pair(one, "a", "b").claimed and not pair(many, "a", "b").claimed
    assert many.values["a"].shape == (3, 2000) and many.rows["a"].seeds == 3
    assert many.rows["a"].mean == pytest.approx(many.values["a"].mean())
    assert many.rows["a"].standard_error > 2 * one.rows["a"].standard_error  # type: ignore[operator]
    assert any("One training of a, b" in note for note in one.notes)
    assert not any("One training" in note for note in many.notes)


# ------------------------------------------------------------------------------ what is not compared


def test_different_supports_are_not_compared() -> None:
    x = torch.randint(0, 2, (50, 1, 4, 4))
    models = {"two": build("vae", Pixels(1, 4, 4, 2)), "many": build("vae", Pixels(1, 4, 4, 256))}
    made = ledger(models, x)
    assert set(made.values) == {"two", "many"} and made.differences == []
    assert any("two and many are not compared: they have different supports" in note for note in made.notes)


def test_densities_and_probabilities_of_one_table_are_not_compared() -> None:
    """A column of densities with a spike, and the same without: a value has probability in one, none in the other."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(400, 2, generator=generator, dtype=torch.float64)
    spiked = x.clone()
    spiked[::2, 0] = 0.0
    space = Table((Column("a", "continuous"), Column("b", "continuous")))
    models = {"plain": build("gmm", space), "spiked": build("gmm", space)}
    models["plain"].initialize(x)
    models["spiked"].initialize(spiked)
    made = ledger(models, x[:50])
    assert made.differences == []
    assert any("counting at 0 in a" in note for note in made.notes)


def test_likelihoods_of_different_points_are_not_compared() -> None:
    scored = {n: likelihood_of(Normal(mean=m), points(seed=s)) for n, m, s in (("a", 0, 0), ("b", 1, 0), ("c", 0, 1))}
    made = combine({n: row for n, (row, _) in scored.items()}, {n: v.numpy() for n, (_, v) in scored.items()})
    assert [(d.a, d.b) for d in made.differences] == [("a", "b")]
    assert sum("scored on different points" in note for note in made.notes) == 2
    whole = ledger({"a": Normal(mean=0), "b": Normal(mean=1)}, points())
    assert pair(made, "a", "b") == pair(whole, "a", "b")


def test_what_is_given_must_be_the_same() -> None:
    models = {"given": Normal(condition_space=Classes(3)), "plain": Normal()}
    made = ledger(models, points(), torch.zeros(500, dtype=torch.int64))
    assert made.differences == [] and len(made.values) == 2
    assert any("given is given" in note and "plain is unconditional" in note for note in made.notes)


def test_a_model_of_another_space_is_left_out_with_the_reason() -> None:
    made = ledger({"a": Normal(), "b": Normal(d=3)}, points())
    assert made.rows["b"].kind == "unavailable" and "cannot be scored" in made.rows["b"].reason
    assert list(made.values) == ["a"]
    with pytest.raises(InputError, match="shape"):
        ledger({"b": Normal(d=3)}, points())


def test_a_model_without_a_density_has_a_row_and_no_difference() -> None:
    gan = build("gan", Normal().space, overrides={"network": {"width": 8, "depth": 1}})
    gan.initialize(points())
    made = ledger({"gan": gan, "a": Normal(), "b": Normal(mean=1.0)}, points())
    assert made.rows["gan"].kind == "unavailable" and made.rows["gan"].reason
    assert [(d.a, d.b) for d in made.differences] == [("a", "b")]
    assert "gan" not in made.unbeaten


# ------------------------------------------------------------------------------ no probability


def test_a_model_that_rules_points_out_is_below_one_that_does_not() -> None:
    x = points()
    made = ledger({"a": Normal(mean=3.0), "b": Normal(nowhere=2.0), "c": Normal(nowhere=2.5)}, x)
    found = pair(made, "a", "b")
    gone = int((x[:, 0] > 2).sum())
    assert found.claimed and found.mean == math.inf
    assert f"b gives {gone} of 500 points no probability (mean -inf)" in found.words
    both = pair(made, "b", "c")
    assert not both.claimed and both.p_value == 1.0 and "no difference shown" in both.words
    assert any(note.startswith(f"b gives {gone} of 500 points") for note in made.notes)


def test_a_bound_that_rules_points_out_shows_nothing() -> None:
    found = pair(ledger({"a": Normal(), "b": Normal(nowhere=2.0, gap=0.1)}, points()), "a", "b")
    assert not found.claimed and "no claim: b's bound gives" in found.words


def test_what_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="no models"):
        ledger({}, points())
    with pytest.raises(InputError, match=r"'vea'.*Did you mean vae"):
        ledger({"vae": Normal()}, points(), options={"vea": {"k": 3}})
    with pytest.raises(InputError, match="no trainings"):
        ledger({"a": []}, points())
