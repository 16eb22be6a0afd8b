"""Probabilities: counted ones with their intervals, rare ones against closed forms, distances, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.errors import InputError
from pushforward.quantities import probability
from pushforward.quantities.estimates import of_hits
from pushforward.quantities.parser import parse
from pushforward.quantities.proposal import Proposal
from pushforward.quantities.rare import estimate
from pushforward.spaces import Classes, Real
from pushforward.studies.rare_events import EVENTS, NAMES, event, known_model

from ..conditional.tables import fitted, gaussian_rows, mixed_model

FIRST = np.array([1.0, 0.0, 0.0])


def test_intervals_of_counts_are_those_of_statsmodels_and_hold_the_truth() -> None:
    for hits, count in ((0, 50), (1, 50), (25, 50), (50, 50), (3, 100_000)):
        found = of_hits(hits, count, count, [], "")
        known = stats.binomtest(hits, count).proportion_ci(0.95, "wilson")
        assert found.low == pytest.approx(known.low, abs=1e-12) and found.high == pytest.approx(known.high, abs=1e-12)
    known_gan = known_model("gan")
    truth = known_gan.tail(FIRST, known_gan.threshold(FIRST, 0.2))
    text = f"x1 > {known_gan.threshold(FIRST, 0.2)!r}"
    found = [probability(known_gan.model, text, 1_000, seed=s, rare="never") for s in range(200)]
    assert 0.95 - 3.3 * 0.0154 < np.mean([e.low <= truth <= e.high for e in found]) <= 1.0


def test_common_events_are_counted() -> None:
    known = known_model("gmm")
    c = known.threshold(FIRST, 0.1)
    found = probability(known.model, f"x1 > {c!r}", 20_000)
    assert found.method == "monte carlo" and abs(found.value - 0.1) < 5 * found.standard_error
    assert found.n == 20_000 and found.effective_sample_size == 19_000  # the first look is not counted twice
    by_function = probability(known.model, lambda x: x[:, 0] > c, 20_000)
    assert abs(by_function.value - 0.1) < 5 * by_function.standard_error
    assert probability(known.model, f"not x1 > {c!r}", 20_000).value == pytest.approx(1 - found.value)


@pytest.mark.parametrize("name", NAMES)
def test_one_in_a_million_within_a_fifth(name: str) -> None:
    known = known_model(name)
    for kind in EVENTS:
        text, truth = event(known, kind)
        found = probability(known.model, text, 50_000, seed=11)
        assert abs(found.value / truth - 1) < 0.2 and found.n <= 50_000, kind
        assert abs(math.log(found.value / truth)) < 4.5 * found.relative_error, kind
        assert found.low < found.value < found.high and "splitting" in found.method


def test_much_rarer_events() -> None:
    known = known_model("vae")
    for p in (1e-9, 1e-12):
        found = probability(known.model, f"x1 > {known.threshold(FIRST, p)!r}", 200_000)
        assert abs(found.value / p - 1) < 0.2 and abs(math.log(found.value / p)) < 4.5 * found.relative_error


def test_splitting_alone_states_its_error_honestly(monkeypatch: pytest.MonkeyPatch) -> None:
    from pushforward.quantities import rare

    monkeypatch.setattr(rare, "_MOST_DIMENSIONS", 0)
    threshold = stats.norm.isf(1e-6)

    def away(u: Tensor) -> Tensor:
        return (threshold - u[:, :2].sum(1) / math.sqrt(2)).clamp_min(0)

    found = [estimate(away, 4, 40_000, seed=s) for s in range(40)]
    logs = np.array([math.log((f.value or 0) / 1e-6) for f in found])
    stated = math.sqrt(np.mean([f.relative_error**2 for f in found]))
    assert all(f.draws <= 40_000 and f.method == "multilevel splitting" for f in found)
    assert 0.6 < math.sqrt(np.square(logs).mean()) / stated < 1.6
    assert abs(logs.mean()) < 0.15 and stated < 0.3


def test_weights_are_those_of_the_densities() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(400, 3, generator=generator, dtype=torch.float64)
    states[:, 0] = 4 + states[:, 0].abs() / 4
    states[:200, 0] *= -1
    proposal = Proposal.of(states, 300.0)
    assert len(proposal) >= 2
    density = 0.05 * stats.multivariate_normal(np.zeros(3)).pdf(states)
    for share, part in zip(proposal.shares[:-1], proposal.parts):
        covariance = part.axes @ torch.diag(part.variances) @ part.axes.T
        density += float(share) * stats.multivariate_normal(part.mean, covariance).pdf(states)
    expected = stats.multivariate_normal(np.zeros(3)).pdf(states) / density
    np.testing.assert_allclose(proposal.log_weights(states).exp(), expected, rtol=1e-9)
    drawn = proposal.draw(40_000, generator)
    assert float(proposal.log_weights(drawn).exp().mean()) == pytest.approx(1.0, abs=0.1)


def test_distances_are_zero_where_the_event_is_and_grow_outside() -> None:
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for text in (
        "x1 > 1 and x2 < 0",
        "x1 > 1 or x2 < -1",
        "not (x1 < 1 and x2 > 0)",
        "-1 < x1 < 1",
        "x1 != x2",
        "x1 == 1",
    ):
        formula = parse(text, Real((2,)))
        cells = formula.cells(x)
        away = formula.distance_of(cells, formula.scales_of(cells))
        assert torch.equal(away == 0, formula.value(x)) and bool((away >= 0).all())
    formula = parse("x1 > 1 and x2 < 0", Real((2,)))
    away = formula.distance_of(torch.tensor([[-1.0, 3.0], [0.0, 1.0], [2.0, 1.0], [2.0, -1.0]]).double(), [2.0, 1.0])
    assert away.tolist() == [1.0 + 3.0, 0.5 + 1.0, 1.0, 0.0]
    either = parse("x1 > 1 or x2 < 0", Real((2,)))
    assert either.distance_of(torch.tensor([[-1.0, 3.0]]).double(), [2.0, 1.0]).tolist() == [1.0]


def test_a_distance_of_the_users_own() -> None:
    known = known_model("gan")
    c = known.threshold(FIRST, 1e-6)
    found = probability(known.model, lambda x: x[:, 0] > c, 60_000, distance=lambda x: c - x[:, 0])
    assert abs(found.value / 1e-6 - 1) < 0.2
    without = probability(known.model, lambda x: x[:, 0] > c, 10_000)
    assert without.value == 0 and 0 < without.high < 1e-3 and "distance=" in without.notes[0]
    assert math.isinf(without.relative_error)


def test_conditions_are_honoured() -> None:
    x = gaussian_rows(3_000)
    space = Real((3,), names=("a", "b", "c"), double=True)
    model = fitted("gmm", x, space, (x[:, 0] > 0).long(), Classes(2, ("low", "high")), components=1, covariance="full")
    scale, mean = model.preprocess_data.scale, model.preprocess_data.mean
    tails = []
    for k in (0, 1):
        m = float(mean[0] + scale[0] * model.core.means[k, 0, 0])
        s = float(scale[0] * model.core.factor[k, 0, 0, 0])
        tails.append(stats.norm.sf((3.0 - m) / s))
    for k, name in enumerate(("low", "high")):
        found = probability(model, "a > 3", 50_000, condition=name)
        assert abs(found.value / tails[k] - 1) < 0.2, (name, found.value, tails[k])
    shares = model.conditions.weights.tolist()
    both = probability(model, "a > 3", 50_000)
    assert abs(both.value / (shares[0] * tails[0] + shares[1] * tails[1]) - 1) < 0.2
    with pytest.raises(InputError, match="--condition label"):
        probability(model, "label > 5", 50_000, conditions=("label",))


def test_tables_with_categories_and_missing_cells() -> None:
    model = mixed_model("gmm")
    text = 'city == "Cuba" and age > 74 and not missing(score)'
    counted = probability(model, text, 400_000, rare="never")
    found = probability(model, text, 60_000, rare="always", seed=1)
    error = math.hypot(found.standard_error, counted.standard_error)
    assert counted.value < 1e-3 and abs(found.value - counted.value) < 5 * error
    beyond = probability(model, "age > 95", 20_000)
    assert beyond.value == 0 and beyond.high < 1e-3 and "stay in the range" in " ".join(beyond.notes)


def test_what_cannot_be_approached_says_why_and_is_counted() -> None:
    model = fitted("kde", gaussian_rows(300), Real((3,), double=True), bandwidth=0.3)
    found = probability(model, "x1 > 6", 10_000)
    assert found.method == "monte carlo" and "kde draws one of its training points" in found.notes[0]
    with pytest.raises(InputError, match="kde draws one of its training points"):
        probability(model, "x1 > 6", 10_000, rare="always")
    with pytest.raises(InputError, match="at least 5,000 draws"):
        probability(known_model("gan").model, "x1 > 6", 1_000, rare="always")
    impossible = probability(known_model("gan").model, "x1 > 6 and x1 < 5", 20_000)
    assert impossible.value == 0 and 0 < impossible.high < 1e-3 and "or impossible" in impossible.notes[0]


def test_refused() -> None:
    model = known_model("gmm").model
    for asked, says in (
        ("x1 + 1", "a number, not a condition"),
        (lambda x: x[:, 0], "booleans"),
        (lambda x: x > 0, "gives shape"),
        (3, "the event is int"),
    ):
        with pytest.raises(InputError, match=says):
            probability(model, asked, 1_000)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Did you mean always"):
        probability(model, "x1 > 0", 1_000, rare="alway")
    with pytest.raises(InputError, match="of its own"):
        probability(model, "x1 > 0", 1_000, distance=lambda x: x[:, 0])
    with pytest.raises(InputError, match="not a number"):
        probability(model, lambda x: x[:, 0] > 90, 6_000, distance=lambda x: x[:, 0] * math.nan)


def test_the_same_seed_gives_the_same() -> None:
    known = known_model("real-nvp")
    text, _ = event(known, "a sum")
    one, two = (probability(known.model, text, 20_000, seed=4) for _ in range(2))
    assert one == two and probability(known.model, text, 20_000, seed=5).value != one.value
