"""Deviates of columns: the tests of SciPy, what is beyond chance, and what is not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats as st

import pushforward as pf
from pushforward.evaluation.metrics.column_tests import MOST, column_deviates, largest_deviate


def test_numbers_are_tested_as_scipy_does() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((400, 2)), generator.standard_normal((300, 2))
    y[:, 1] += 0.3
    found = column_deviates(x, y)
    for j, name in enumerate(("x1", "x2")):
        p = st.ks_2samp(x[:, j], y[:, j], method="asymp").pvalue
        statistic = st.ks_2samp(x[:, j], y[:, j]).statistic
        exact = st.kstwobign.sf(statistic * np.sqrt(400 * 300 / 700))
        assert found[name] == pytest.approx(st.norm.isf(exact), rel=1e-9)
        assert found[name] == pytest.approx(st.norm.isf(p), abs=0.25)
    assert found["x2"] > 2 > found["x1"]


def table(values: list[str], numbers: np.ndarray) -> pf.Data:
    return pf.load(pa.table({"c": values, "v": numbers}))


def test_categories_are_tested_as_scipy_does() -> None:
    data = table(["a", "b", "c"] * 200, np.linspace(0, 1, 600))
    real = np.stack([np.repeat([0.0, 1.0, 2.0], [300, 200, 100]), np.linspace(0, 1, 600)], 1)
    sampled = np.stack([np.repeat([0.0, 1.0, 2.0], [240, 220, 140]), np.linspace(0, 1, 600)], 1)
    found = column_deviates(real, sampled, data.space)
    p = st.chi2_contingency([[300, 200, 100], [240, 220, 140]], correction=False).pvalue
    assert found["c"] == pytest.approx(st.norm.isf(p), rel=1e-9)
    assert found["v"] < -5  # the same numbers: p is 1
    assert largest_deviate(real, sampled, data.space) == found["c"]


def test_half_of_a_category_is_far_beyond_chance() -> None:
    """14% made 7%: a total variation of 0.07 is small among fifteen columns, and six standard deviations."""
    generator = np.random.default_rng(1)
    data = table(["a", "b", "c"] * 200, np.linspace(0, 1, 600))
    real, sampled = (
        np.stack([generator.choice(3, 2000, p=p), generator.random(2000)], 1).astype(float)
        for p in ([0.56, 0.30, 0.14], [0.60, 0.33, 0.07])
    )
    assert largest_deviate(real, sampled, data.space) > 6


def test_missing_cells_count() -> None:
    data = pf.load(pa.table({"v": [None, *np.linspace(0, 1, 599)], "w": np.linspace(0, 1, 600)}))
    generator = np.random.default_rng(2)
    real, sampled = generator.random((1000, 2)), generator.random((1000, 2))
    real[:100, 0] = np.nan
    sampled[:200, 0] = np.nan
    assert column_deviates(real, sampled, data.space)["v"] > 5
    sampled[:, 0] = np.nan
    assert column_deviates(real, sampled, data.space)["v"] == MOST


def test_chance_is_chance() -> None:
    """Of 400 pairs of equal distributions, z > 1.645 in about 5% (a little less: KS is conservative)."""
    generator = np.random.default_rng(3)
    z = [largest_deviate(generator.random((300, 1)), generator.random((300, 1))) for _ in range(400)]
    assert 0.02 < np.mean(np.array(z) > 1.645) < 0.08
