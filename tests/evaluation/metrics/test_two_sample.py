"""The two-sample test at its floor, at known values, under copies, and on what gives tables away."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.evaluation.metrics.two_sample import (
    C2ST,
    c2st,
    c2st_network,
    categorical_columns,
    independent_columns,
    mann_whitney,
    resampled_rows,
)
from pushforward.spaces import Column, Table

RNG = np.random.default_rng(0)


def test_the_same_distribution_is_chance() -> None:
    x = RNG.normal(size=(4000, 2))
    found = c2st(x[:2000], x[2000:], iterations=30)
    assert abs(found.auc - 0.5) < 0.04 and abs(found.accuracy - 0.5) < 0.04
    assert found.p_value > 0.01 and found.n == 2000
    assert found.standard_error == pytest.approx(1 / math.sqrt(6 * 1000), rel=0.1)  # of a fold of n/2 each


def test_a_shift_has_its_area() -> None:
    r"""Two normals d apart: the best AUC is :math:`\Phi(d / \sqrt 2)`, the best accuracy :math:`\Phi(d / 2)`."""
    a, b = RNG.normal(size=(4000, 2)), RNG.normal(size=(4000, 2)) + np.array([1.0, 0.0])
    best, right = 0.5 * (1 + math.erf(0.5)), 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))
    found = c2st(a, torch.as_tensor(b))
    assert best - 0.045 < found.auc < best + 0.01
    assert right - 0.04 < found.accuracy < right + 0.01
    assert found.p_value < 1e-50


def test_dependence_alone_is_seen() -> None:
    a = RNG.normal(size=4000)
    real = np.stack([a, a + 0.3 * RNG.normal(size=4000)], 1)
    assert c2st(real, independent_columns(real, 4000)).auc > 0.85
    assert abs(c2st(real[:2000], resampled_rows(real[2000:], 2000)).auc - 0.5) < 0.04


def test_a_changed_correlation_is_seen_where_lines_are_blind() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    x, y = RNG.normal(size=(1000, 8)), RNG.normal(size=(1000, 8)) @ np.linalg.cholesky(0.5 * np.eye(8) + 0.5).T
    found = c2st(x, y, iterations=50)
    assert found.auc > 0.7 and found.p_value < 1e-10
    line = LogisticRegression().fit(np.concatenate([x[:500], y[:500]]), np.repeat([0, 1], 500))
    scores = line.predict_proba(np.concatenate([x[500:], y[500:]]))[:, 1]
    assert abs(roc_auc_score(np.repeat([0, 1], 500), scores) - 0.5) < 0.06


def counts(rng: np.random.Generator, n: int) -> np.ndarray:
    """Each value comes about 4 times: some stay in one fold, some do not."""
    return rng.integers(0, n // 2, (n, 1)).astype(float)


def mixed(rng: np.random.Generator, n: int) -> np.ndarray:
    x = np.stack([rng.integers(0, 4, n), rng.normal(size=n)], 1)
    x[rng.random(n) < 0.2, 1] = np.nan
    return x


def test_the_p_value_is_one() -> None:
    """Of equal distributions at most one in twenty is told apart at the 5% level.

    Of 250 tests of level 5%, more than 21 are false alarms in 1% of cases. Folds taken as independent give more.
    """
    found = []
    for i, rng in enumerate(np.random.default_rng(12).spawn(250)):
        found.append(c2st(rng.normal(size=(60, 2)), rng.normal(size=(60, 2)), seed=i, iterations=10))
    p = np.array([f.p_value for f in found])
    assert 3 <= (p < 0.05).sum() <= 21 and 0.35 < (p < 0.5).mean() < 0.65
    assert abs(np.mean([f.auc for f in found]) - 0.5) < 0.015
    as_if_independent = np.array([NormalDist().inv_cdf(1 - v) * math.sqrt(2) for v in p])
    assert (as_if_independent > NormalDist().inv_cdf(0.95)).sum() > 21


@pytest.mark.parametrize(("draw", "categorical"), [(counts, None), (mixed, [True, False])])
def test_the_p_value_holds_for_values_that_repeat(
    draw: Callable[[np.random.Generator, int], np.ndarray], categorical: list[bool] | None
) -> None:
    """Bound: 60 tests of level 5% give more than 8 false alarms in 1% of cases."""
    found = []
    for i, rng in enumerate(np.random.default_rng(13).spawn(60)):
        found.append(c2st(draw(rng, 50), draw(rng, 50), categorical=categorical, seed=i, iterations=8))
    assert sum(f.p_value < 0.05 for f in found) <= 8
    assert abs(np.mean([f.auc for f in found]) - 0.5) < 0.02


def test_copies_of_the_very_rows_are_chance() -> None:
    """Split over folds, a row and its copy would teach trees the wrong answer: an AUC of 0.2."""
    x = RNG.normal(size=(1000, 4))
    found = c2st(x, RNG.permutation(x), iterations=30)
    assert found.auc == pytest.approx(0.5, abs=1e-9) and found.p_value == pytest.approx(0.5, abs=1e-9)
    some = RNG.normal(size=(1000, 4))
    some[:500] = x[500:]
    assert abs(c2st(x, some, iterations=30).auc - 0.5) < 0.04


def test_training_rows_drawn_again_are_chance_and_a_few_points_are_not() -> None:
    real = RNG.normal(size=(1000, 4))
    assert abs(c2st(real, resampled_rows(RNG.normal(size=(400, 4)), 1000), iterations=30).auc - 0.5) < 0.05
    assert c2st(real, resampled_rows(RNG.normal(size=(50, 4)), 1000), iterations=30).auc > 0.9


def test_categories_have_no_order_and_missing_cells_count() -> None:
    space = Table((Column("c", "category", tuple("abcdefgh")), Column("v", "continuous")))
    assert categorical_columns(space) == [True, False]
    c = RNG.integers(0, 8, 3000).astype(float)
    other = np.where(RNG.random(3000) < 0.5, c // 2 * 2, c)
    assert c2st(c[:, None], other[:, None], categorical=[True]).auc > 0.6
    gone = np.where(RNG.random(3000) < 0.3, np.nan, c)
    assert c2st(c[:, None], gone[:, None], categorical=[True]).auc > 0.6
    many = Table((Column("c", "category", tuple(map(str, range(300)))),))
    assert categorical_columns(many) == [False]


@pytest.mark.parametrize("decimals", [8, 0])
def test_the_statistic_is_that_of_scipy(decimals: int) -> None:
    from scipy.stats import mannwhitneyu
    from sklearn.metrics import roc_auc_score

    low, high = RNG.normal(size=60).round(decimals), RNG.normal(size=45).round(decimals) + 1
    auc, z, _ = mann_whitney(low, high)
    oracle = mannwhitneyu(high, low, alternative="greater", method="asymptotic", use_continuity=False)
    assert 0.5 * math.erfc(z / math.sqrt(2)) == pytest.approx(oracle.pvalue, rel=1e-9)
    assert auc == pytest.approx(roc_auc_score(np.repeat([0, 1], [60, 45]), np.concatenate([low, high])), rel=1e-12)
    assert mann_whitney([1, 1, 1], [1, 1]) == (0.5, 0.0, 0.0)


def test_the_standard_error_is_that_of_the_area() -> None:
    found = np.array([mann_whitney(RNG.normal(size=50), RNG.normal(size=80) + 1) for _ in range(600)])
    assert found[:, 2].mean() == pytest.approx(found[:, 0].std(), rel=0.1)


def test_order_changes_the_folds_only_and_seeds_repeat() -> None:
    a, b = RNG.normal(size=(600, 3)), RNG.normal(size=(600, 3)) + 0.3
    found = c2st(a, b, iterations=20)
    assert c2st(a, b, iterations=20) == found
    again = c2st(RNG.permutation(a), RNG.permutation(b), iterations=20)
    assert abs(again.auc - found.auc) < 4 * found.standard_error
    assert isinstance(found, C2ST) and c2st(a, b[:300], iterations=20).n == 300
    assert abs(c2st(a, b, iterations=20, folds=5).auc - found.auc) < 4 * found.standard_error


def test_a_network_sees_what_is_wrong_with_images() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(900, 1, 10, 10))
    smooth = (noise + np.roll(noise, 1, 3) + np.roll(noise, 1, 2)) * 3 + 100  # any range of values
    real, other = smooth[:300], smooth[300:600]
    shuffled = rng.permutation(other.reshape(300, 100), axis=1).reshape(
        other.shape
    )  # the same pixels, other neighbours
    state = torch.get_rng_state()
    assert c2st_network(real, shuffled, steps=60).auc > 0.8
    first = c2st_network(real, torch.as_tensor(other), steps=60)
    assert abs(first.auc - 0.5) < 0.1 and first.n == 300
    assert c2st_network(real, other, steps=60) == first != c2st_network(real, other, steps=60, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.p_value > 0.001
    copies = c2st_network(real, real[::-1].copy(), steps=20)
    assert copies.auc == pytest.approx(0.5, abs=1e-6)


def test_the_p_value_of_a_network_is_one() -> None:
    p = []
    for i in range(100):
        x = np.random.default_rng(1000 + i).normal(size=(60, 1, 4, 4))
        p.append(c2st_network(x[:30], x[30:], seed=i, steps=4, batch_size=30).p_value)
    assert (np.array(p) < 0.05).sum() <= 11 and (np.array(p) < 0.5).mean() > 0.33


def test_copies_come_once_before_twice() -> None:
    x = np.arange(10.0)[:, None]
    rows = resampled_rows(x, 25)[:, 0]
    assert sorted(rows[:10]) == sorted(rows[10:20]) == list(range(10))
    assert set(independent_columns(x, 50)[:, 0]) <= set(range(10))


def test_what_cannot_be_used_is_refused() -> None:
    good = RNG.normal(size=(100, 2))
    bad = good.copy()
    bad[7, 1] = np.nan
    with pytest.raises(InputError, match="5 rows are too few"):
        c2st(np.zeros((5, 2)), np.zeros((500, 2)))
    with pytest.raises(InputError, match="sampled, row 7, column 1: the value is nan"):
        c2st(good, bad)
    with pytest.raises(InputError, match="sampled, row 7, column 1: the value is inf"):
        c2st(good, np.where(np.isnan(bad), np.inf, bad), categorical=[False, False])
    with pytest.raises(InputError, match="real has 2 columns and sampled has 1"):
        c2st(good, good[:, :1])
    with pytest.raises(InputError, match="real has no rows"):
        c2st(good[:0], good)
    with pytest.raises(InputError, match="categorical has 1 entries"):
        c2st(good, good, categorical=[True])
    with pytest.raises(InputError, match=r"folds is 1.*From 2 to 20"):
        c2st(good, good, folds=1)
    images = RNG.normal(size=(30, 1, 4, 4))
    with pytest.raises(InputError, match=r"real has shape \(100, 2\)"):
        c2st_network(good, good)
    with pytest.raises(InputError, match=r"real images are \(1, 4, 4\) and sampled ones \(1, 4, 3\)"):
        c2st_network(images, images[..., :3])
    with pytest.raises(InputError, match="sampled, row 2, column 0"):
        c2st_network(images, np.where(np.arange(30)[:, None, None, None] == 2, np.nan, images))
    with pytest.raises(InputError, match="steps is 0"):
        c2st_network(images, images, steps=0)
