"""Verdicts say what the intervals allow, and nothing more."""

from __future__ import annotations

import pytest

from pushforward.evaluation.likelihood.ledger import Difference
from pushforward.evaluation.likelihood.scoring import Likelihood
from pushforward.evaluation.results import Floor, MetricInfo, Report, Row, Value
from pushforward.evaluation.verdict import apart, verdict

C2ST = MetricInfo(
    "c2st", "C2ST", "distance", "lower", "Chance is 0.5. Above it samples can be told.", 0.5, headline=True
)
COVERAGE = MetricInfo("coverage", "coverage", "support", "higher", "Share covered. More is better.", headline=True)
COPIES = MetricInfo("copies", "copies", "memorization", "lower", "Share of copies. 0 is best.", 0.0)
MODES = MetricInfo("modes", "modes", "modes", "higher", "Modes found. All is best.", 8.0)
FLOORS = {
    "c2st": Floor(0.5, 0.47, 0.53, 0.01, 500, 0),
    "coverage": Floor(0.97, 0.94, 1.0, 0.01, 500, 24),
    "copies": Floor(0.0, 0.0, 0.004, 0.0, 500, 24),
    "modes": Floor(8.0, 8.0, 8.0, 0.0, 500, 24),
}


def value(x: float, half: float | None = 0.01, outside: bool = False, seeds: int = 1) -> Value:
    low, high = (None, None) if half is None else (x - half, x + half)
    return Value(x, 500, low, high, 5, seeds, (), outside)


def report(rows: list[Row], differences: list[Difference] | None = None) -> Report:
    return Report("t", {}, [C2ST, COVERAGE, COPIES, MODES], FLOORS, rows, differences or [], settings={"n": 500})


def words(*args: object) -> str:
    return " ".join(verdict(report(*args)))  # type: ignore[arg-type]


def test_the_closest_is_named_only_where_intervals_are_apart() -> None:
    a, b, c = Row("a", values={"c2st": value(0.6)}), Row("b", values={"c2st": value(0.7)}), Row("c")
    assert "a is closest to the data: C2ST 0.6 (0.59 to 0.61); real data get 0.5, against 0.7 of b." in words([b, a, c])
    a.values["c2st"] = value(0.6, 0.095)
    said = words([b, a])
    assert (
        said.startswith("By C2ST, a comes out closest to the data (C2ST 0.6")
        and "no difference from it is shown for b." in said
    )
    a.values["c2st"] = value(0.6, None)  # one set has no interval, so nothing is shown
    assert "no difference from it is shown for b" in words([b, a])


def test_ties_are_with_the_best_alone() -> None:
    """b and c are apart from each other, and neither from a: the sentence says no more than that."""
    rows = [
        Row(n, values={"c2st": value(x, h)}) for n, x, h in (("a", 0.61, 0.11), ("b", 0.62, 0.01), ("c", 0.705, 0.005))
    ]
    said = words(rows)
    assert "a comes out closest" in said and "no difference from it is shown for b and c." in said


def test_narrow_samples_are_not_said_to_memorize() -> None:
    """C_T below 0 alone is what samples that are too narrow have; near copies are what only copies have."""
    ct = MetricInfo("data-copying", "C_T", "memorization", "floor", "z. Near 0 is best.", 0.0)
    near = MetricInfo("near-copies", "near copies", "memorization", "lower", "Share. Low is best.")
    floors = {
        **FLOORS,
        "data-copying": Floor(0.0, -2.0, 2.0, 1.0, 500, 24),
        "near-copies": Floor(0.01, 0, 0.02, 0.0, 500, 24),
    }
    narrow = Row("narrow", values={"data-copying": value(-2.5, outside=True), "near-copies": value(0.01)})
    copier = Row("copier", values={"data-copying": value(-2.5, outside=True), "near-copies": value(0.06, outside=True)})
    found = Report("t", {}, [ct, near], floors, [narrow, copier], settings={"n": 500})
    (said,) = [sentence for sentence in verdict(found) if "memorizing" in sentence]
    assert "copier's samples" in said and "narrow" not in said


def test_touching_intervals_are_not_apart() -> None:
    assert apart(value(0.6), value(0.63)) and apart(value(0.63), value(0.6))
    assert not apart(value(0.6), value(0.62))
    assert not apart(value(0.6, None), value(0.9))


def test_a_saturated_classifier_hands_over() -> None:
    frechet = MetricInfo("frechet:pca64", "FD[pca64]", "distance", "lower", "Distance. Lower is better.", 0.0)
    a = Row("a", values={"c2st": value(0.99), "frechet:pca64": value(3.0, 0.1)})
    b = Row("b", values={"c2st": value(1.0, 0.0), "frechet:pca64": value(2.0, 0.1)})
    found = Report("t", {}, [C2ST, frechet], FLOORS, [a, b], settings={"n": 500})
    assert verdict(found)[0].startswith("b is closest to the data: FD[pca64] 2")


def test_only_those_inside_every_floor_cannot_be_told() -> None:
    good = Row("good", values={"c2st": value(0.5), "coverage": value(0.97)})
    bad = Row("bad", values={"c2st": value(0.5), "coverage": value(0.71, outside=True)})
    said = words([good, bad])
    assert "good cannot be told from the data by any metric here with 500 samples at a time." in said
    assert "bad covers 71% of the data's support, where other real data cover 97%." in said
    assert "Every model can be told" not in said
    assert "Of 4 metrics, few tell these from the data: bad by coverage alone." in said
    assert "Every model can be told from the data" in words([bad, Row("worse", values=bad.values)])
    assert "cannot be told" not in words([bad])


def test_copies_and_missing_modes_are_said() -> None:
    row = Row("gan", values={"copies": value(0.05, outside=True), "modes": value(6.0, outside=True)})
    said = words([row])
    assert "5.0% of the samples of gan are exact copies of training examples" in said
    assert "gan finds 6 of 8 modes." in said


def test_bounds_and_missing_likelihoods_are_marked() -> None:
    rows = [
        Row("flow", likelihood=Likelihood("exact", mean=-1.0)),
        Row("vae", likelihood=Likelihood("lower bound", mean=-2.0)),
        Row("gan", likelihood=Likelihood("unavailable", "implicit")),
    ]
    unclaimed = Difference("flow", "vae", 1.0, 0.9, 1.1, 0.0, False, "no claim: vae's is a lower bound")
    claimed = Difference(
        "flow", "other", 1.0, 0.9, 1.1, 0.0, True, "flow's log-likelihood is above other's by 1.00 nats"
    )
    said = words(rows, [unclaimed, claimed])
    assert "vae's likelihood is only bounded from below: the true one may be higher." in said
    assert "gan has no likelihood." in said
    assert "flow's log-likelihood is above other's by 1.00 nats." in said and "no claim" not in said


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_training_is_said_to_be_one(seeds: int) -> None:
    rows = [Row(name, values={"c2st": value(x, seeds=seeds)}) for name, x in (("a", 0.6), ("b", 0.7))]
    assert ("trained once" in words(rows)) == (seeds == 1)
