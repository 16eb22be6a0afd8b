"""The two-sample test at its floor, at a known value, and on what gives tables away."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pushforward.errors import PushforwardError
from pushforward.evaluation.two_sample import c2st, independent_columns, resampled_rows
from pushforward.spaces import Column, Table

RNG = np.random.default_rng(0)
PLANE = Table((Column("a", "continuous"), Column("b", "continuous")))


def test_the_same_distribution_is_chance() -> None:
    x = RNG.normal(size=(6000, 2))
    assert abs(c2st(x[:3000], x[3000:], PLANE) - 0.5) < 0.03


def test_a_shift_has_its_area() -> None:
    r"""Two normals d apart: the best AUC is :math:`\Phi(d / \sqrt 2)`."""
    a, b = RNG.normal(size=(4000, 2)), RNG.normal(size=(4000, 2)) + np.array([1.0, 0.0])
    best = 0.5 * (1 + math.erf(0.5))
    assert best - 0.03 < c2st(a, b, PLANE) < best + 0.01


def test_dependence_alone_is_seen() -> None:
    a = RNG.normal(size=4000)
    real = np.stack([a, a + 0.3 * RNG.normal(size=4000)], 1)
    assert c2st(real, independent_columns(real, 4000), PLANE) > 0.85
    assert abs(c2st(real[:2000], resampled_rows(real[2000:], 2000), PLANE) - 0.5) < 0.04


def test_categories_have_no_order_and_missing_cells_count() -> None:
    space = Table((Column("c", "category", tuple("abcdefgh")),))
    c = RNG.integers(0, 8, 3000).astype(float)
    other = np.where(RNG.random(3000) < 0.5, c // 2 * 2, c)
    assert c2st(c[:, None], other[:, None], space) > 0.6
    gone = np.where(RNG.random(3000) < 0.3, np.nan, c)
    assert c2st(c[:, None], gone[:, None], space) > 0.6


def test_copies_come_once_before_twice() -> None:
    x = np.arange(10.0)[:, None]
    rows = resampled_rows(x, 25)[:, 0]
    assert sorted(rows[:10]) == sorted(rows[10:20]) == list(range(10))
    assert set(independent_columns(x, 50)[:, 0]) <= set(range(10))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(PushforwardError, match="too few"):
        c2st(np.zeros((5, 2)), np.zeros((500, 2)), PLANE)
