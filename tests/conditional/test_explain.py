"""Contributions of columns: closed forms, and the cells that were spoilt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from pushforward.conditional import explain
from pushforward.errors import InputError, Unsupported
from pushforward.registry import build
from pushforward.spaces import Column, Pixels, Table

from .tables import CITIES, GAUSSIAN, fitted, gaussian_model, gaussian_rows, mixed_model, mixed_rows, moments
from .test_given import flow


def test_a_gaussian_in_closed_form() -> None:
    r"""E log p(x'_j | rest) - log p(x_j | rest) = (r^2 - 1) / 2, with r the standardized residual of the regression."""
    model = gaussian_model()
    x = gaussian_rows(300, seed=4)
    mean, covariance = moments(model)
    precision = np.linalg.inv(covariance)
    residual = (x.numpy() - mean) @ precision / np.sqrt(precision.diagonal())
    found = explain(model, x)
    assert found.method == "exact"
    expected = 0.5 * (residual**2 - 1)
    error = found.contributions.numpy() - expected
    assert np.abs(error.mean(0)).max() < 0.05 and error.std() < 0.2
    assert np.corrcoef(found.contributions[:, 1], expected[:, 1])[0, 1] > 0.98


def test_a_flow_by_likelihoods() -> None:
    model = flow()
    x = gaussian_rows(200, seed=4)
    z = model.preprocess_data(x, None)[0].double()
    found = explain(model, x)
    assert found.method == "importance"
    error = found.contributions - 0.5 * (z.square() - 1)
    assert float(error.mean(0).abs().max()) < 0.1 and float(error.std()) < 0.3


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize(
    ("name", "categories"), [("gmm", "interval"), ("gmm", "argmax"), ("kde", "interval"), ("real-nvp", "interval")]
)
def test_spoilt_cells_come_first(name: str, categories: str, missing: bool) -> None:
    model = mixed_model(name, missing, categories)
    x = mixed_rows(1_000, missing=False, seed=9)[:40]
    typical = explain(model, x, seed=1).contributions
    assert float(typical.mean(0).abs().max()) < 1.5
    spoilt = x.clone()
    spoilt[0, 5] = 30.0  # a score that nobody has
    spoilt[1, 3] = (x[1, 3] + 1) % 3  # a grade that does not follow from its level
    spoilt[2, 0] = 90.0
    found = explain(model, spoilt, seed=1).contributions
    assert [int(found[i].argmax()) for i in (0, 1, 2)] == [5, 3, 0], found[:3]
    assert bool((found[[0, 1, 2], [5, 3, 0]] > 3).all())


def test_independent_categories_in_closed_form() -> None:
    """Of a model that has learned nothing: sum f log f - log f(x), and 0 for a column that follows."""
    model = mixed_model("real-nvp", False)
    x = mixed_rows(60, missing=False, seed=2)
    found = explain(model, x, seed=1).contributions
    f = torch.tensor(
        [float(model.preprocess_data.log_marginal(1, torch.tensor([float(k)]))) for k in range(4)]
    ).double()
    expected = (f.exp() * f).sum() - f[x[:, 1].long()]
    error = found[:, 1] - expected
    assert float(error.mean().abs()) < 0.15 and float(error.std()) < 0.6
    assert bool((found[x[:, 2] != 6, 3].abs() < 1e-9).all())


@pytest.mark.parametrize("name", ["gmm", "diagonal", "argmax", "kde"])
def test_two_dependent_categories_by_enumeration(name: str) -> None:
    """log p(a | b) from p(a, b) in all nine cells; the numbers of the other cell are averaged over."""
    random = np.random.default_rng(0)
    a = random.integers(0, 3, 3_000)
    b = np.where(random.random(3_000) < 0.9, a, random.integers(0, 3, 3_000))
    x = torch.from_numpy(np.stack([a, b], 1).astype(float))
    space = Table(tuple(Column(c, "category", CITIES[:3], stored="string") for c in "ab"))
    options: dict[str, Any] = {"components": 3, "covariance": "diagonal" if name == "diagonal" else "full"}
    if name == "kde":
        options = {"bandwidth": 0.3}
    table = {"categories": "argmax" if name == "argmax" else "interval"}
    model = fitted("kde" if name == "kde" else "gmm", x, space, table=table, **options)
    cells = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0)).double()
    joint = model.log_prob(cells, seed=0, dequantization_draws=400 if name == "kde" else 4_000).values.view(3, 3)
    assert float(joint.exp().sum()) == pytest.approx(1, abs=0.03)
    given_b, given_a = joint.log_softmax(0), joint.log_softmax(1)
    usual = torch.stack(
        [(given_b.exp() * given_b).sum(0).expand(3, 3), (given_a.exp() * given_a).sum(1, True).expand(3, 3)]
    )
    truth = (usual - torch.stack([given_b, given_a])).view(2, 9).T
    found = [explain(model, cells, seed=seed) for seed in range(3)]
    assert {one.method for one in found} == {"exact" if name in ("diagonal", "kde") else "importance"}
    for one in found:
        assert float((one.contributions - truth).abs().max()) < 0.9, (one.contributions, truth)
    mean = torch.stack([one.contributions for one in found]).mean(0)
    assert float((mean - truth).abs().mean()) < 0.25


def test_a_table_of_clocks_alone() -> None:
    random = np.random.default_rng(0)
    city = random.choice(4, 500, p=[0.6, 0.2, 0.15, 0.05])
    x = torch.from_numpy(np.stack([city, (city + (random.random(500) < 0.3)) % 4], 1).astype(float))
    space = Table(tuple(Column(name, "category", CITIES, stored="string") for name in "ab"))
    model = fitted("gmm", x, space, components=3, table={"categories": "argmax"})
    found = explain(model, torch.tensor([[0.0, 0.0], [0.0, 3.0]], dtype=torch.float64)).contributions
    assert bool(found.isfinite().all()) and float(found[1, 1]) > 0.5 > float(found[0, 1])


def test_a_missing_cell_is_an_event() -> None:
    model = mixed_model("gmm", True)
    x = mixed_rows(30, missing=False, seed=2)
    x[:, 5] = math.nan
    found = explain(model, x, seed=1).contributions[:, 5]
    p = 0.2  # of a missing cell, independent of the rest
    expected = p * math.log(p) + (1 - p) * math.log(1 - p) - math.log(p)
    assert float(found.mean()) == pytest.approx(expected, abs=0.4)


def test_refusals() -> None:
    x = gaussian_rows(3)
    with pytest.raises(InputError, match="tables"):
        explain(build("gmm", Pixels(1, 2, 2)), x)
    with pytest.raises(Unsupported, match="no likelihood"):
        explain(build("gan", GAUSSIAN), x)
