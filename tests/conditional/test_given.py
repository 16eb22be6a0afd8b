"""Samples in events: moments in closed form, every method against the others, refusals with a reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.conditional import Event, sample_given
from pushforward.conditional.asking import Given
from pushforward.dataset import Dataset
from pushforward.errors import InputError, Unsupported
from pushforward.families.adapted import Adapted
from pushforward.registry import build
from pushforward.spaces import Classes, Pixels, Real

from .tables import (
    GAUSSIAN,
    conditional,
    fitted,
    gaussian_model,
    gaussian_rows,
    mixed,
    mixed_model,
    mixed_rows,
    moments,
)


def flow() -> Adapted:
    """A flow that has learned nothing: independent columns with their own distributions."""
    model = build("real-nvp", GAUSSIAN, None, {"table": {"transform": "standardize"}})
    assert isinstance(model, Adapted)
    model.preprocess_data.fit(Dataset(gaussian_rows(), space=GAUSSIAN))
    return model.eval()


def agrees(found: Given, mean: Any, covariance: Any, columns: list[int], slack: float = 0.0) -> None:
    """Means within five standard errors of the effective sample, variances likewise."""
    x = found.samples[:, columns].numpy()
    ess = found.effective_sample_size
    sd = np.sqrt(np.diag(np.atleast_2d(covariance)))
    np.testing.assert_array_less(np.abs(x.mean(0) - mean), 5 * sd / math.sqrt(ess) + slack)
    np.testing.assert_allclose(x.std(0), sd, rtol=5 * math.sqrt(0.5 / ess) + slack)


def test_a_density_is_conditioned_in_closed_form() -> None:
    model = gaussian_model()
    found = sample_given(model, "a=1.5", 5_000, seed=1)
    assert found.method == "exact" and found.effective_sample_size == 5_000 and found.probability is None
    assert (found.samples[:, 0] == 1.5).all() and not found.tolerance
    mean, covariance = conditional(*moments(model), [0], [1.5])
    agrees(found, mean, covariance, [1, 2])
    correlation = np.corrcoef(found.samples[:, 1:].T)[0, 1]
    assert correlation == pytest.approx(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]), abs=0.07)
    again = sample_given(model, "a=1.5", 5_000, seed=1)
    assert torch.equal(again.samples, found.samples)
    assert not torch.equal(sample_given(model, "a=1.5", 5_000, seed=2).samples, found.samples)


@pytest.mark.parametrize("method", ["exact", "rejection", "mcmc", "importance"])
def test_a_rare_interval_by_every_method(method: str) -> None:
    model = gaussian_model()
    mean, covariance = moments(model)
    sd = math.sqrt(covariance[0, 0])
    edge = float(mean[0] + 2.5 * sd)
    found = sample_given(model, f"a>{edge}", 1_000, seed=3, method=method)
    assert found.method == method and (found.samples[:, 0] > edge).all()
    p = stats.norm.sf(2.5)
    assert found.probability == pytest.approx(p, rel=1e-9 if method == "exact" else 5 * (found.relative_error or 0))
    # b given a is a regression, a given the event a truncated normal.
    hazard = stats.norm.pdf(2.5) / p
    top = mean[0] + sd * hazard
    variance = covariance[0, 0] * (1 + 2.5 * hazard - hazard**2)
    gain = covariance[0, 1] / covariance[0, 0]
    b = mean[1] + gain * (top - mean[0])
    b_variance = covariance[1, 1] - gain * covariance[0, 1] + gain**2 * variance
    assert found.effective_sample_size > 100
    agrees(found, [top, b], np.diag([variance, b_variance]), [0, 1])


def test_one_in_ten_thousand_by_subset_simulation() -> None:
    model = gaussian_model()
    mean, covariance = moments(model)
    edge = float(mean[2] + 3.719 * math.sqrt(covariance[2, 2]))
    found = sample_given(model, f"c>{edge}", 200, seed=5, method="mcmc")
    assert found.probability is not None and found.relative_error is not None and found.relative_error < 0.3
    assert abs(math.log(found.probability / 1e-4)) < 4 * found.relative_error
    assert any("MCMC" in note for note in found.notes) and (found.samples[:, 2] > edge).all()


def test_a_number_of_a_density_by_likelihood_or_within_a_tolerance() -> None:
    model = flow()
    found = sample_given(model, "a=1", 1_000, seed=1)
    assert found.method == "importance" and found.effective_sample_size > 500 and not found.tolerance
    near = sample_given(model, "a=1", 1_000, seed=1, method="rejection")
    assert near.tolerance["a"] == pytest.approx(0.005 * 4, rel=0.1)
    assert any("a was drawn within" in note for note in near.notes)
    x = gaussian_rows().numpy()  # independent of a, in this model
    for one in (found, near):
        assert (one.samples[:, 0] == 1).all() and one.probability is None
        agrees(one, x[:, 1:].mean(0), np.cov(x[:, 1:].T), [1, 2], slack=0.05)


def test_the_weights_matter() -> None:
    """Candidates come from a mixture with a wide component: without weights their spread would be too large."""
    found = sample_given(flow(), "a=1", 2_000, seed=1, method="importance")
    x = gaussian_rows().numpy()
    assert stats.ks_2samp(found.samples[:, 1], x[:, 1]).pvalue > 1e-4


def test_independent_columns_stay_as_they_are() -> None:
    model = flow()
    found = sample_given(model, "a>2,b<5", 500, seed=0)
    assert found.method == "rejection" and found.effective_sample_size == 500 and found.draws > 500
    everything = model.sample(4_000, seed=7)
    assert stats.ks_2samp(found.samples[:, 2], everything[:, 2]).pvalue > 1e-4
    rare = sample_given(model, "a>3.2,b>11", 300, seed=0)
    assert rare.method == "mcmc" and rare.effective_sample_size > 50
    assert stats.ks_2samp(rare.samples[:, 2], everything[:, 2]).pvalue > 1e-4
    x = gaussian_rows()
    a, b = (stats.norm.sf(v, x[:, j].mean(), x[:, j].std()) for j, v in ((0, 3.2), (1, 11.0)))
    assert rare.probability == pytest.approx(a * b, rel=1.0)


EVENTS = [
    "member=yes,age>50",
    "grade=low,score>0",
    "city=missing,gain>0",
    "city in (Cuba|Laos),level<4",
    "gain=0,age<45,age>40",
]


@pytest.mark.parametrize("text", EVENTS)
@pytest.mark.parametrize(("name", "categories"), [("gmm", "interval"), ("gmm", "argmax"), ("kde", "interval")])
def test_mixtures_of_mixed_tables_against_rejection(name: str, categories: str, text: str) -> None:
    model = mixed_model(name, True, categories)
    event = Event.parse(text, model.space)
    exact = sample_given(model, text, 2_000, seed=1)
    rejected = sample_given(model, text, 800, seed=2, method="rejection")
    raced = categories == "argmax" and text.startswith(("grade=low", "city in"))
    assert exact.method == ("importance" if raced else "exact")
    assert bool(event.holds(exact.samples).all() & event.holds(rejected.samples).all())
    assert exact.probability == pytest.approx(rejected.probability, rel=5 * (rejected.relative_error or 0))
    for j in range(7):
        a, b = (one.samples[:, j].nan_to_num(-100).numpy() for one in (exact, rejected))
        assert abs((a == -100).mean() - (b == -100).mean()) < 0.09
        assert stats.ks_2samp(a[: int(exact.effective_sample_size)], b).pvalue > 1e-5, mixed().names[j]


def test_categories_with_clocks_say_what_their_draws_are_worth() -> None:
    """The claimed effective sample and error, against the spread over seeds."""
    model = mixed_model("gmm", True, "argmax")
    found = [sample_given(model, "city=Laos,grade=low", 8_000, seed=seed) for seed in range(24)]
    assert {one.method for one in found} == {"importance"}
    assert not any("closed form" in note for one in found for note in one.notes)
    probability = np.array([one.probability for one in found])
    claimed = np.mean([one.relative_error for one in found])
    assert 0.5 < probability.std(ddof=1) / probability.mean() / claimed < 1.6
    # Draws that share their clocks are taken for the same one: the claim is on the safe side.
    worth = float(np.mean([one.effective_sample_size for one in found]))
    assert worth < 4_096
    for j in (0, 4, 5):
        x = np.stack([one.samples[:, j].numpy() for one in found])
        sd = np.nanmean(np.nanstd(x, axis=1))
        assert np.nanmean(x, axis=1).std(ddof=1) < 1.6 * sd / math.sqrt(worth)
    with pytest.raises(Unsupported, match="clocks"):
        sample_given(model, "city=Laos", 10, method="exact")


def test_more_samples_than_candidates() -> None:
    x = gaussian_rows(600)
    space = Real((1,), double=True)
    model = fitted("real-nvp", x, GAUSSIAN, x[:, :1], space, network={"width": 4, "depth": 1})
    found = sample_given(model, "b=6", 70_000, [0.5], seed=1, method="importance")
    assert len(found.samples) == len(found.conditions) == 70_000


def test_a_discrete_table_by_enumeration() -> None:
    """P(grade, member) of a fitted mixture: frequencies given an event are those of all its samples."""
    model = mixed_model("gmm", False)
    everything = model.sample(60_000, seed=3)
    wanted = sample_given(model, "grade=middle", 4_000, seed=1).samples[:, 6]
    among = everything[everything[:, 3] == 2, 6]
    p = float(among.mean())
    assert float(wanted.mean()) == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) * (1 / 4_000 + 1 / len(among))))


def test_conditions() -> None:
    x = gaussian_rows(1_500)
    c = (x[:, 0] > 1).long()
    space = Classes(2, ("low", "high"))
    for name, options in (("gmm", {"components": 2, "covariance": "full"}), ("kde", {"bandwidth": 0.3})):
        model = fitted(name, x, GAUSSIAN, c, space, **options)
        high = sample_given(model, "b>6", 400, "high", seed=1)
        assert high.method == "exact" and set(high.conditions.tolist()) == {1}
        free = sample_given(model, "b>6", 2_000, seed=1)
        slow = sample_given(model, "b>6", 1_000, seed=1, method="rejection")
        assert free.method == "exact" and free.probability == pytest.approx(slow.probability, rel=0.15)
        share, other = (float(one.conditions.double().mean()) for one in (free, slow))
        assert share == pytest.approx(other, abs=0.08) and share > float(c.double().mean()) + 0.1
        assert stats.ks_2samp(free.samples[:, 2], slow.samples[:, 2]).pvalue > 1e-5
        mcmc = sample_given(model, "b>6", 500, seed=1, method="mcmc")
        assert set(mcmc.conditions.tolist()) == {0, 1} and (mcmc.samples[:, 1] > 6).all()


def test_candidates_of_a_conditional_flow() -> None:
    x = gaussian_rows(600)
    c = (x[:, 0] > 1).long()
    for space, values, one in ((Classes(2), c, 1), (Real((1,), double=True), x[:, :1], [0.5])):
        model = fitted("real-nvp", x, GAUSSIAN, values, space, network={"width": 16, "depth": 1})
        found = sample_given(model, "b=6", 50, one, seed=1)
        assert found.method == "importance" and (found.samples[:, 1] == 6).all()
        assert len(found.conditions) == 50 and len(found.conditions.unique()) == 1
        open_ = sample_given(model, "b=6", 20, seed=1)  # the condition is drawn too: no likelihood of rows alone
        assert open_.method in ("rejection", "mcmc") and len(open_.conditions) == 20


def test_vector_conditions() -> None:
    x = gaussian_rows(1_500)
    c = x[:, :1] + 0.3 * torch.randn(1_500, 1, generator=torch.Generator().manual_seed(0))
    for name, options in (("gmm", {"components": 2, "covariance": "full"}), ("kde", {"bandwidth": 0.4})):
        model = fitted(name, x, GAUSSIAN, c, Real((1,), names=("dose",), double=True), **options)
        exact = sample_given(model, "b>6", 1_500, [1.0], seed=1)
        slow = sample_given(model, "b>6", 1_500, [1.0], seed=1, method="rejection")
        assert exact.method == "exact" and exact.probability == pytest.approx(slow.probability, rel=0.15)
        assert float(exact.conditions.min()) == float(exact.conditions.max()) == 1.0
        for j in range(3):
            assert stats.ks_2samp(exact.samples[:, j], slow.samples[:, j]).pvalue > 1e-5
        assert sample_given(model, "b>6", 50, seed=1).method == "rejection"  # the condition is drawn too
        with pytest.raises(Unsupported, match="condition"):
            sample_given(model, "b>6", 50, seed=1, method="exact")


def test_what_makes_no_sense_is_refused() -> None:
    model = mixed_model("gmm", False)
    columns = "age=40,city=Peru,level=3,grade=middle,gain=0,score=1,member=yes"
    for text, words in {
        columns: "nothing is left",
        "grade=low,level=5": "grade follows from level",
        "age>95": "17 to 90",
        "wage>3": "no column 'wage'",
    }.items():
        with pytest.raises(InputError, match=words):
            sample_given(model, text, 10, seed=0)
    with pytest.raises(InputError, match="Did you mean mcmc"):
        sample_given(model, "age>50", 10, method="mcm")
    with pytest.raises(InputError, match="unknown sampling option"):
        sample_given(model, "age>50", 10, seed=0, speed=3)
    with pytest.raises(InputError, match="at least 1"):
        sample_given(model, "age>50", 0)
    with pytest.raises(Unsupported, match="no closed form"):
        sample_given(flow(), "a>1", 10, method="exact")
    gan = mixed_model("gan", False)
    with pytest.raises(Unsupported, match="no likelihood"):
        sample_given(gan, "age>50", 10, method="importance")
    pixels = build("gmm", Pixels(1, 4, 4))
    with pytest.raises(InputError, match="for tables"):
        sample_given(pixels, "age>50", 10)


def test_an_event_that_no_sample_comes_near() -> None:
    model = flow()
    with pytest.raises(InputError, match="probability is below about"):
        sample_given(model, "a>400", 10, seed=0, budget=20_000)
    with pytest.raises(InputError, match=r"0 of .* samples"):
        sample_given(model, "a>40", 10, seed=0, budget=5_000, method="rejection")


def test_rows_of_an_implicit_model() -> None:
    model = mixed_model("gan", False)
    x = model.sample(2_000, seed=1)
    edge = float(x[:, 5].quantile(0.99))
    found = sample_given(model, f"score>{edge}", 50, seed=1)
    assert found.method == "rejection" and (found.samples[:, 5] > edge).all()
    mcmc = sample_given(model, f"score>{edge}", 300, seed=1, method="mcmc")
    assert mcmc.probability == pytest.approx(0.01, rel=0.7) and (mcmc.samples[:, 5] > edge).all()
    assert mixed_rows().shape[1] == 7
