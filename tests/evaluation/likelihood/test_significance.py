"""Paired intervals against SciPy and by coverage, Holm by hand, and what may be said of bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from pushforward.evaluation.likelihood.significance import Paired, conclude, holm, paired, standard_error


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ------------------------------------------------------------------------------ Holm


def test_holm_by_hand() -> None:
    """0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not fall below the one before it."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=1e-12)
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.02]), [0.02])
    assert len(holm([])) == 0


def test_holm_does_not_depend_on_the_order() -> None:
    p = rng().random(7) ** 3
    for order in itertools.islice(_permutations(7), 5):
        np.testing.assert_allclose(holm(p[order]), holm(p)[order], rtol=1e-12)


def _permutations(n: int) -> Iterator[np.ndarray]:
    while True:
        yield rng(n).permutation(n)


def test_holm_keeps_the_rate_of_any_false_claim() -> None:
    r"""Ten true hypotheses, independent: :math:`1 - (1 - 0.05 / 10)^{10}` = 4.9%."""
    p = rng().random((4000, 10))
    rate = np.mean([holm(row).min() < 0.05 for row in p])
    assert abs(rate - (1 - (1 - 0.005) ** 10)) < 0.011  # three standard errors


# ------------------------------------------------------------------------------ intervals


def test_one_training_each_is_the_paired_t_test() -> None:
    a = rng().normal(size=(1, 50)) * 30
    b = a + 0.3 + rng(1).normal(size=(1, 50))
    found, scipy = paired(a, b), stats.ttest_rel(a[0], b[0])
    interval = scipy.confidence_interval(0.95)
    assert found.p_value == pytest.approx(scipy.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    # Unpaired, the spread of the points would hide it.
    assert found.p_value < 0.05 < stats.ttest_ind(a[0], b[0]).pvalue


def test_trainings_alone_are_the_test_of_welch() -> None:
    """Values that do not depend on the point: what is left is between trainings, with unequal variances."""
    a, b = rng().normal(size=4), 1.0 + 3 * rng(1).normal(size=3)
    found = paired(np.repeat(a[:, None], 9, 1), np.repeat(b[:, None], 9, 1))
    scipy = stats.ttest_ind(a, b, equal_var=False)
    assert found.p_value == pytest.approx(scipy.pvalue, rel=1e-9)
    assert found.degrees == pytest.approx(scipy.df, rel=1e-9)
    interval = scipy.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_intervals_cover_the_truth_over_points_and_trainings(spread: float) -> None:
    """Points and trainings both redrawn; a difference of 0.5. Points alone would cover far too rarely."""
    covered = alone = 0
    for trial in range(400):
        g = rng(trial)
        hard = g.normal(size=80) * 5
        a, b = (
            hard + shift + spread * g.normal(size=(3, 1)) + g.normal(size=80) + 0.3 * g.normal(size=(3, 80))
            for shift in (0.5, 0.0)
        )
        found, points = paired(a, b), paired(a.mean(0), b.mean(0))
        covered += found.low <= 0.5 <= found.high
        alone += points.low <= 0.5 <= points.high
    assert 0.925 <= covered / 400 <= 0.99
    assert (alone / 400 < 0.85) == (spread > 0)


def test_pairing_is_by_points_and_not_by_order() -> None:
    a, b = rng().normal(size=(2, 30)), rng(1).normal(size=(3, 30))
    order = rng(2).permutation(30)
    first, again, swapped = paired(a, b), paired(a[:, order], b[:, order]), paired(b, a)
    assert (first.low, first.high, first.p_value) == pytest.approx((again.low, again.high, again.p_value), rel=1e-12)
    assert (first.low, first.high, first.p_value) == pytest.approx((-swapped.high, -swapped.low, swapped.p_value))
    with pytest.raises(ValueError, match="same points"):
        paired(a, b[:, :10])


def test_a_solvers_error_widens_both_sides_and_agrees_with_the_p_value() -> None:
    for trial in range(50):
        a, b = rng(trial).normal(size=(2, 1, 20))
        plain, wide = paired(a, b), paired(a, b, systematic=0.2)
        assert (wide.low, wide.high) == pytest.approx((plain.low - 0.2, plain.high + 0.2))
        assert (wide.p_value < 0.05) == (wide.low > 0 or wide.high < 0)
        assert (plain.p_value < 0.05) == (plain.low > 0 or plain.high < 0)


def test_the_stated_monte_carlo_error_is_a_floor() -> None:
    a = rng().normal(size=(1, 40))
    b = a + 0.1 + 1e-3 * rng(1).normal(size=(1, 40))
    assert paired(a, b).standard_error < 1e-3
    assert paired(a, b, monte_carlo=0.2).standard_error == pytest.approx(0.2)
    # Where the scatter over points shows it already, it is not counted twice.
    c = a + rng(1).normal(size=(1, 40))
    assert paired(a, c, monte_carlo=0.01).standard_error == paired(a, c).standard_error


def test_the_same_values_do_not_differ_and_one_point_says_nothing() -> None:
    a = rng().normal(size=(1, 10))
    same = paired(a, a)
    assert (same.mean, same.p_value) == (0.0, 1.0)
    assert paired(a + 1, a).p_value == 0.0
    assert paired(a + 1, a, systematic=2.0).p_value == 1.0
    one = paired(a[:, :1] + 100, a[:, :1])
    assert (one.low, one.high, one.p_value) == (-math.inf, math.inf, 1.0)


def test_standard_error_over_points_and_trainings() -> None:
    values = rng().normal(size=(1, 100))
    assert standard_error(values) == pytest.approx(values.std(ddof=1) / 10)
    shifted = values + np.array([[0.0], [1.0], [2.0]])
    assert standard_error(shifted) == pytest.approx(math.sqrt(values.var(ddof=1) / 100 + 1 / 3))
    assert standard_error(values[:, :1]) is None


# ------------------------------------------------------------------------------ words


def difference(mean: float, half: float = 0.4) -> Paired:
    return Paired(mean, mean - half, mean + half, 0.001 if abs(mean) > half else 0.5, half / 2, 99.0)


CASES = [
    # (a is a bound, b is a bound, a - b), claimed, words
    ((False, False, 3.1), True, "A's log-likelihood is above B's by 3.1 nats (2.7 to 3.5)"),
    ((False, False, -3.1), True, "B's log-likelihood is above A's by 3.1 nats (2.7 to 3.5)"),
    ((False, False, 0.1), False, "no difference shown between A and B (A minus B: 0.1 nats (-0.3 to 0.5))"),
    ((False, True, 3.1), False, "A is above B's bound by 3.1 nats (2.7 to 3.5); no claim: B's is a lower bound"),
    ((True, False, -3.1), False, "B is above A's bound by 3.1 nats (2.7 to 3.5); no claim: A's is a lower bound"),
    (
        (True, False, 3.1),
        True,
        "A's log-likelihood is above B's by at least 3.1 nats (2.7 to 3.5): its lower bound is already higher",
    ),
    (
        (False, True, -3.1),
        True,
        "B's log-likelihood is above A's by at least 3.1 nats (2.7 to 3.5): its lower bound is already higher",
    ),
    ((True, True, 3.1), False, "A's bound is above B's by 3.1 nats (2.7 to 3.5); no claim about the models"),
    ((True, True, -3.1), False, "B's bound is above A's by 3.1 nats (2.7 to 3.5); no claim about the models"),
    ((True, True, 0.1), False, "no difference shown between A's bound and B's bound"),
    ((True, False, 0.1), False, "no difference shown between A's bound and B (A's bound minus B"),
]


@pytest.mark.parametrize(("case", "claimed", "words"), CASES)
def test_what_may_be_said(case: tuple[bool, bool, float], claimed: bool, words: str) -> None:
    found = conclude(("A", "B"), case[:2], difference(case[2]), 0.01 if abs(case[2]) > 1 else 0.5, 3)
    assert found[0] is claimed
    assert found[1].startswith(words)


def test_both_the_interval_and_the_adjusted_p_value_must_agree() -> None:
    claimed, words = conclude(("A", "B"), (False, False), difference(3.1), 0.08, 6)
    assert not claimed
    assert "no difference shown" in words and "p = 0.08 after Holm's correction over 6 pairs" in words
    assert not conclude(("A", "B"), (False, False), difference(0.1), 0.01, 6)[0]


def test_no_interval_is_rounded_onto_zero() -> None:
    claimed, words = conclude(("A", "B"), (False, False), Paired(0.51, 0.004, 1.016, 0.04, 0.2, 99.0), 0.04, 1)
    assert claimed and "(0.004 to 1.016)" in words
