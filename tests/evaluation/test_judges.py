"""Every judge hands the right rows to its metric: samples against held-out rows, copies against training rows."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

import pushforward as pf
from pushforward.evaluation.judges.distance import chance
from pushforward.evaluation.metrics.columns import column_errors, mean_column_error, mean_pair_error, pair_errors
from pushforward.evaluation.metrics.frechet import frechet_distance
from pushforward.evaluation.metrics.kernels import kernel_distance, median_bandwidth, mmd
from pushforward.evaluation.metrics.likelihood_distance import feature_likelihood_distance
from pushforward.evaluation.metrics.memorization import TrainingSet, copies, memorization
from pushforward.evaluation.metrics.neighbours import neighbour_statistics
from pushforward.evaluation.metrics.two_sample import c2st, categorical_columns
from pushforward.evaluation.metrics.vendi import vendi_score
from pushforward.evaluation.metrics.wasserstein import sliced_wasserstein, wasserstein
from pushforward.evaluation.suite import Suite, is_shifted


def scores(suite: Suite, x: Tensor) -> dict[str, float]:
    found, missing = suite.score(x, sets=1)
    assert not missing
    return {key: value for key, (value,) in found.items()}


@pytest.fixture(scope="module")
def vectors() -> tuple[Suite, Tensor]:
    """Correlated triples, and samples of another width, a few of them training rows."""
    generator = np.random.default_rng(0)
    data = pf.load(generator.standard_normal((2000, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]]))
    samples = torch.from_numpy(1.3 * generator.standard_normal((150, 3)))
    samples[:9] = data.train.all()[0][:9]
    return Suite(data, n=150, features=["standardized"]), samples


def test_vectors(vectors: tuple[Suite, Tensor]) -> None:
    suite, x = vectors
    found, map_ = scores(suite, x), suite.maps["standardized"].transform
    real, mine, near = map_(suite.real[0].x), map_(x), map_(suite.near.x)
    width = median_bandwidth(real, real)
    neighbours = neighbour_statistics(real, mine, k=5)
    fld = feature_likelihood_distance(mine, near[:150], real)
    memory = memorization(mine, TrainingSet.of(near, real))
    errors = column_errors(suite.real[0].x, x, suite.data.space)
    expected = {
        "c2st": c2st(real, mine, seed=0).auc,
        "frechet:standardized": frechet_distance(real, mine),
        "coverage": neighbours.coverage, "density": neighbours.density,
        "precision": neighbours.precision, "recall": neighbours.recall,
        "sliced": sliced_wasserstein(real, mine, seed=0),
        "mmd": mmd(real, mine, bandwidth=width),
        "w1": wasserstein(real, mine, p=1), "w2": wasserstein(real, mine, p=2),
        "vendi": vendi_score(mine, bandwidth=width / 2),
        "columns": mean_column_error(errors), "worst-column": max(e.value for e in errors),
        "pairs": mean_pair_error(pair_errors(suite.real[0].x, x, suite.data.space)),
        "copies": copies(x, suite.data.train.all()[0]),
        "authenticity": memory.authenticity, "near-copies": memory.near_copies, "data-copying": memory.copying.z,
        "fld": fld.value, "fld-gap": fld.gap,
    }  # fmt: skip
    assert found.keys() == {*expected, "column-z"}
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-9, abs=1e-12), key
    assert found["copies"] == pytest.approx(9 / 150)


def test_tables_are_told_apart_by_their_cells() -> None:
    generator = np.random.default_rng(1)

    def rows(n: int, share: float) -> pa.Table:
        return pa.table({"v": generator.standard_normal(n), "c": np.where(generator.random(n) < share, "a", "b")})

    data = pf.load(rows(2000, 0.5))
    suite = Suite(data, n=100, features=["encoded"], metrics=["c2st"])
    x, _ = pf.read_like(rows(100, 0.8), data.space)
    mask = categorical_columns(data.space)
    assert scores(suite, x)["c2st"] == c2st(suite.real[0].x, x, categorical=mask, seed=0).auc


def test_pictures_and_their_classes() -> None:
    data = pf.load("digits", test=0.3)
    keys = ["kernel:pca64", "classes:classifier", "frechet:pca64"]
    suite = Suite(data, n=100, features=["pca64", "classifier"], metrics=keys)
    x, held_out = data.validation.all()[0][:100], suite.real[0]
    found = scores(suite, x)
    map_ = suite.maps["pca64"].transform
    assert found["kernel:pca64"] == pytest.approx(kernel_distance(map_(held_out.x), map_(x)), rel=1e-9)
    assert found["frechet:pca64"] == pytest.approx(frechet_distance(map_(held_out.x), map_(x)), rel=1e-9)
    probabilities = suite.maps["classifier"].probabilities
    assert probabilities is not None
    p, q = probabilities(held_out.x), probabilities(x)
    assert found["classes:classifier"] == pytest.approx(float((p.mean(0) - q.mean(0)).abs().sum() / 2), rel=1e-9)
    a, b = (torch.bincount(v.argmax(1), minlength=10).double() for v in (p, q))
    assert found["class-z:classifier"] == pytest.approx(float(((a - b).abs() / (a + b).sqrt()).max()), rel=1e-9)
    assert not any(v.outside for v in suite.values([suite.score(x, sets=1)[0]]).values())
    # One class alone: 90% of the mass is in the wrong place, and far beyond chance.
    labelled = pf.load("digits", condition="label")
    rows, labels = labelled.train.all()
    ones = rows[labels == 1][:100]
    wrong = suite.values([suite.score(ones, sets=1)[0]])
    assert wrong["classes:classifier"].value > 0.75 and wrong["classes:classifier"].outside
    assert wrong["class-z:classifier"].outside and wrong["kernel:pca64"].outside


def test_copies_and_their_gap() -> None:
    """Training rows in the place of samples: the mixture around them predicts them too well."""
    generator = np.random.default_rng(2)
    data = pf.load(generator.standard_normal((2400, 6)))
    suite = Suite(data, n=200, sets=1, features=["standardized"], metrics=["copies", "authenticity", "fld-gap"])
    flagged = {key for key, v in suite.values([suite.score(suite.near.x[:200])[0]]).items() if v.outside}
    assert {"copies", "authenticity", "near-copies", "fld-gap"} <= flagged
    new = torch.from_numpy(generator.standard_normal((200, 6)))
    assert not any(v.outside for v in suite.values([suite.score(new)[0]]).values())


def test_repeated_rows_are_no_copies() -> None:
    """Of a table with few different rows most held-out ones are in the training data, and so may samples be."""
    generator = np.random.default_rng(3)
    data = pf.load(pa.table({name: generator.integers(0, 6, 4000).astype(str) for name in "abcd"}))
    suite = Suite(data, n=300, sets=1, features=["encoded"], metrics=["copies"])
    new, _ = pf.read_like(
        pa.table({name: generator.integers(0, 6, 300).astype(str) for name in "abcd"}), data.space
    )  # fmt: skip
    value = suite.values([suite.score(new)[0]])["copies"]
    assert value.value > 0.7 and not value.outside


def test_the_chance_of_a_classifier() -> None:
    """One fold of n/2 of each kind by Mann-Whitney; the other is no second witness."""
    assert chance("c2st")(100)["c2st"] == (0.5, pytest.approx(math.sqrt(101 / (12 * 2500))))


def test_training_pictures_are_taken_as_they_are() -> None:
    plain, turned = pf.load("digits"), pf.load("digits", flip=True)
    suite = Suite(turned, n=40, features=["pca64"], metrics=["copies"])
    assert torch.equal(suite.whole, plain.train.all()[0])


def test_later_rows_are_no_random_rows() -> None:
    """A trend: later rows differ from earlier ones, which no model is to be blamed for."""
    generator = np.random.default_rng(4)
    t = np.arange(2000)
    table = pa.table({"t": t, "v": t / 500 + generator.standard_normal(2000)})
    data = pf.load(table, split_time="t", columns={"t": "drop"})
    assert is_shifted(data) and not is_shifted(pf.load(table))
    suite = Suite(data, n=150, sets=1, features=["encoded"], metrics=["c2st"])
    assert any("not dealt out at random" in w for w in suite.warnings)
    earlier = data.train.all()[0][torch.from_numpy(generator.permutation(1600)[:150])]
    value = suite.values([suite.score(earlier)[0]])["c2st"]
    assert value.value > 0.8 and not value.outside and value.p_value is None
