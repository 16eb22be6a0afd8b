"""Floors: prediction intervals that a perfect sampler leaves as seldom as they say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import t

from pushforward.evaluation.floor import Scale, combine, floor_of, is_outside, known_floor
from pushforward.evaluation.results import Floor


def test_the_interval_is_students_prediction_interval() -> None:
    x = np.array([1.0, 2.0, 4.0, 3.0])
    floor = floor_of(x, 100, tests=5, sets=2, level=0.05)
    reach = t.ppf(1 - 0.05 / 10, 3) * x.std(ddof=1) * math.sqrt(1 / 2 + 1 / 4)
    assert floor == Floor(2.5, pytest.approx(2.5 - reach), pytest.approx(2.5 + reach), x.std(ddof=1), 100, 4)


Draw = Callable[..., np.ndarray]
DRAWS: dict[str, tuple[Draw, Scale]] = {
    "normal": (lambda g, *size: 0.7 + 0.1 * g.standard_normal(size), "plain"),
    "chi-square 6": (lambda g, *size: g.chisquare(6, size) / 6, "positive"),
    "chi-square 2": (lambda g, *size: g.chisquare(2, size), "positive"),
    "half-normal": (lambda g, *size: np.abs(g.standard_normal(size)), "positive"),
    "share": (lambda g, *size: g.binomial(400, 0.97, size) / 400, "share"),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("sets", [1, 5])
def test_perfect_samplers_stay_inside(name: str, sets: int) -> None:
    """2,000 perfect samplers, each beside 24 replicates: at level 5%, half on the bad side, about 2.5% leave."""
    draw, scale = DRAWS[name]
    generator = np.random.default_rng(0)
    outside = []
    for _ in range(2000):
        floor = floor_of(draw(generator, 24), 400, tests=1, sets=sets, scale=scale, level=0.05)
        outside.append(is_outside(draw(generator, sets), floor, "lower", scale))
    assert np.mean(outside) < 0.04
    assert np.mean(outside) > 0.003 or scale == "share"  # and not by an interval that is far too wide


@pytest.mark.parametrize(("share", "sets"), [(0.25, 1), (0.25, 5), (0.5, 3)])
def test_sets_from_one_pool(share: float, sets: int) -> None:
    """Means of n rows out of a pool of N: the floor knows that the pool itself is a sample. Also at a small level."""
    generator = np.random.default_rng(2)
    n = 100
    outside = []
    for _ in range(1500):
        pool = generator.standard_normal(round(n / share))
        values = [generator.permutation(pool)[:n].mean() for _ in range(24)]
        floor = floor_of(values, n, tests=1, sets=sets, pool=len(pool), level=0.05)
        outside.append(is_outside(generator.standard_normal((sets, n)).mean(1), floor, "floor"))
    assert 0.02 < np.mean(outside) < 0.07


def test_many_metrics_share_the_level() -> None:
    """30 metrics, family-wise 5%: of 300 perfect samplers about 15 leave any interval."""
    generator = np.random.default_rng(1)
    accused = 0
    for _ in range(300):
        replicates, own = generator.standard_normal((30, 24)), generator.standard_normal(30)
        accused += any(is_outside([v], floor_of(r, 10, tests=30, level=0.05), "floor") for r, v in zip(replicates, own))
    assert accused / 300 < 0.09


def test_a_share_that_never_varies_still_has_a_width() -> None:
    floor = floor_of([0.0] * 24, 1000, tests=10, scale="share")
    assert 0.001 < floor.high < 0.01
    assert is_outside([0.05], floor, "lower")
    assert not is_outside([0.001], floor, "lower")


def test_the_side_that_is_bad() -> None:
    floor = Floor(0.5, 0.4, 0.6, 0.02, 10, 24)
    assert is_outside([0.7], floor, "lower") and not is_outside([0.3], floor, "lower")
    assert is_outside([0.3], floor, "higher") and not is_outside([0.7], floor, "higher")
    assert is_outside([0.3], floor, "floor") and is_outside([0.7], floor, "floor")
    assert is_outside([math.nan], floor, "lower")


def test_a_known_distribution_needs_no_replicates() -> None:
    one, many = (known_floor(0.5, 0.01, 100, tests=1, sets=k, level=0.05) for k in (1, 100))
    assert one.high == pytest.approx(0.5 + 1.959964 * 0.01)
    assert many.high == pytest.approx(0.5 + 1.959964 * 0.01 * math.sqrt(0.505))


def test_intervals_come_from_sets_or_from_trainings() -> None:
    one = combine([[1.0, 2.0, 3.0]], 10)
    assert (one.value, one.sets, one.seeds) == (2.0, 3, 1)
    assert one.high == pytest.approx(2 + t.ppf(0.975, 2) / math.sqrt(3))
    several = combine([[1.0, 3.0], [2.0, 4.0], [6.0, 6.0]], 10)
    means = np.array([2.0, 3.0, 6.0])
    assert several.value == pytest.approx(means.mean())
    assert several.low == pytest.approx(means.mean() - t.ppf(0.975, 2) * means.std(ddof=1) / math.sqrt(3))
    assert several.each == (1.0, 3.0, 2.0, 4.0, 6.0, 6.0)
    single = combine([[1.5]], 10)
    assert (single.value, single.low, single.high) == (1.5, None, None)


def test_intervals_cover_their_mean() -> None:
    """Of 1,000 models with five sets each, the 95% interval holds the truth in 95%."""
    generator = np.random.default_rng(3)
    inside = 0
    for _ in range(1000):
        value = combine([list(0.3 + 0.1 * generator.standard_normal(5))], 10)
        assert value.low is not None and value.high is not None
        inside += value.low <= 0.3 <= value.high
    assert 0.93 < inside / 1000 < 0.97
