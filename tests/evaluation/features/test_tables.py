from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata

from pushforward.errors import InputError
from pushforward.evaluation.features import make_features
from pushforward.evaluation.features.tables import category, encoded, normal_score, simplex

from .data import table, vectors


def test_numbers_are_the_normal_scores_of_their_ranks() -> None:
    """Van der Waerden's scores: the normal quantiles of average ranks over n + 1."""
    x = np.random.default_rng(0).integers(0, 30, 500).astype(float)
    z = normal_score(torch.from_numpy(x), 1.0)(torch.from_numpy(x))[:, 0]
    np.testing.assert_allclose(z, norm.ppf(rankdata(x) / 501), rtol=1e-9, atol=1e-12)


def test_only_the_order_of_numbers_matters_and_tails_do_not() -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_cauchy(999))
    scores = normal_score(x, None)
    z = scores(x)
    assert abs(float(z.mean())) < 1e-9 and abs(float(z.square().mean()) - 1) < 0.02
    for change in (torch.atan, lambda v: v**3, lambda v: 1e9 * v + 7):
        assert torch.equal(normal_score(change(x), None)(change(x)), z)
    beyond = scores(torch.tensor([-1e300, 1e300], dtype=torch.float64))[:, 0]
    np.testing.assert_allclose(beyond, norm.ppf([0.5 / 1000, 999.5 / 1000]), rtol=1e-9)


def test_numbers_on_a_grid_are_equal_when_they_are_nearly_equal() -> None:
    x = torch.tensor([0.1, 0.3, 0.3, 0.3, 0.7], dtype=torch.float64)
    assert 3 * 0.1 != 0.3
    above, exact = torch.tensor([3 * 0.1], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    assert torch.equal(normal_score(x, 0.1)(above), normal_score(x, 0.1)(exact))
    assert not torch.equal(normal_score(x, None)(above), normal_score(x, None)(exact))


@pytest.mark.parametrize("k", [2, 3, 7, 40])
def test_categories_are_equally_far_apart_as_one_hot_vectors_are(k: int) -> None:
    points = simplex(k)
    assert points.shape == (k, k - 1)
    torch.testing.assert_close(torch.cdist(points, points), torch.cdist(torch.eye(k), torch.eye(k)).double())
    torch.testing.assert_close(points.sum(0), torch.zeros(k - 1, dtype=torch.float64), atol=1e-12, rtol=0)
    values = category(np.full(k, 5))(torch.tensor([0.0, k - 1.0, float("nan")], dtype=torch.float64))
    assert torch.equal(values[:2], points[[0, k - 1]]) and bool((values[2] == 0).all())


def test_a_mismatch_weighs_like_a_difference_of_two_numbers() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, generator=generator, dtype=torch.float64)
    z = normal_score(x, None)(x)[:, 0]
    numeric = (z - z[torch.randperm(4000, generator=generator)]).square().mean()
    mismatch = (simplex(5)[0] - simplex(5)[3]).square().sum()
    assert abs(float(numeric) - float(mismatch)) < 0.1 and abs(float(mismatch) - 2) < 1e-12


def test_rare_values_share_a_place() -> None:
    counts = np.array([1, 50, 2, 40, 1, 30])
    points = category(counts, cap=4)(torch.arange(6).double())
    assert points.shape == (6, 3)
    assert torch.equal(points[0], points[2]) and torch.equal(points[0], points[4])
    assert len(points.unique(dim=0)) == 4
    assert category(counts, cap=6)(torch.arange(6).double()).shape == (6, 5)


def test_of_a_table_nothing_comes_out_missing(tmp_path: Path) -> None:
    data = table(tmp_path)
    x = data.train.all()[0]
    features = make_features("encoded", data)
    z = features.transform(x)
    assert bool(x.isnan().any()) and bool(z.isfinite().all()) and float(z.abs().max()) < 4
    missing = x[:, 0].isnan()
    # income, its indicator, hours, sex (one dimension), town
    assert bool((z[missing, 0] == 0).all()) and torch.equal(z[:, 1], missing.double())
    torch.testing.assert_close(z[:, 3].abs(), torch.full((len(z),), 0.5**0.5, dtype=torch.float64))
    towns = len(data.space.columns[3].categories)  # type: ignore[attr-defined]
    assert features.dimension == z.shape[1] == 4 + towns - 1


def test_samples_bear_fewer_dimensions_when_they_are_few(tmp_path: Path) -> None:
    data = table(tmp_path)
    towns = len(data.space.columns[3].categories)  # type: ignore[attr-defined]
    full, few = make_features("encoded", data, n=1000), make_features("encoded", data, n=120)
    assert full.dimension == 3 + towns and "merged" not in full.about
    assert few.dimension <= 12 and f"of {towns} merged" in few.about
    assert few.hash != full.hash
    least = make_features("encoded", data, n=5)
    assert least.dimension == 4 + 2


def test_a_column_can_be_left_out(tmp_path: Path) -> None:
    data = table(tmp_path)
    without = encoded(data, without=2)
    assert without.dimension == encoded(data).dimension - 1
    x = data.train.all()[0].clone()
    before = without.apply(x)
    x[:, 2] = 1 - x[:, 2]
    assert torch.equal(without.apply(x), before)
    assert not torch.equal(encoded(data).apply(x)[:, 3], encoded(data).apply(data.train.all()[0])[:, 3])


def test_new_categories_and_other_data_are_refused(tmp_path: Path) -> None:
    data = table(tmp_path)
    x = data.train.all()[0][:2].clone()
    x[1, 2] = 2
    with pytest.raises(InputError, match="row 1, column 'sex'"):
        make_features("encoded", data).transform(x)
    with pytest.raises(InputError, match="are of tables"):
        make_features("encoded", vectors())
