from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from pushforward.data import load
from pushforward.errors import InputError
from pushforward.evaluation.features import make_features
from pushforward.evaluation.features import vectors as module
from pushforward.evaluation.features.maps import some_rows, training_rows
from pushforward.evaluation.features.vectors import moments

from .data import vectors


def test_columns_are_standardized_as_scikit_learn_does() -> None:
    data = vectors()
    features = make_features("standardized", data)
    x = np.random.default_rng(1).normal(size=(40, 3)) * 100
    scaler = StandardScaler().fit(data.train.all()[0].numpy())
    np.testing.assert_allclose(features.transform(x), scaler.transform(x), rtol=1e-12, atol=1e-12)
    assert (features.id, features.dimension) == ("standardized", 3)
    assert features.hash[:8] in features.about


def test_statistics_of_the_test_rows_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = vectors()
    right = make_features("standardized", data)
    monkeypatch.setattr(module, "training_rows", lambda data, limit: some_rows(data.test, limit))
    wrong = make_features("standardized", data)
    x = data.test.all()[0]
    assert wrong.hash != right.hash
    assert (wrong.transform(x) - right.transform(x)).abs().max() > 0.01


def test_constant_columns_divide_nothing_by_zero() -> None:
    x = np.column_stack([np.arange(20.0), np.full(20, 1e6), np.full(20, 0.25), np.zeros(20)])
    features = make_features("standardized", load(x))
    assert bool((features.transform(x)[:, 1:] == 0).all())
    off = features.transform(x + np.array([0, 1e3, 1.0, 2.0]))
    torch.testing.assert_close(off[0, 1:], torch.tensor([1e-3, 1.0, 2.0], dtype=torch.float64))


def test_moments_of_extreme_units() -> None:
    x = torch.tensor([[1e200, 1e-200, 3e9], [3e200, 3e-200, 3e9 + 2]], dtype=torch.float64)
    mean, scale = moments(x)
    torch.testing.assert_close(scale, torch.tensor([1e200, 1e-200, 1.0], dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close((x - mean) / scale, torch.tensor([[-1.0] * 3, [1.0] * 3]).double(), rtol=1e-6, atol=0)


def test_float32_rows_are_summed_in_float64() -> None:
    x = (1e4 + np.random.default_rng(0).normal(size=(50_000, 1))).astype(np.float32)
    data = load(x)
    rows = training_rows(data).double()
    z = make_features("standardized", data).transform(x)
    torch.testing.assert_close(
        z, (torch.from_numpy(x).double() - rows.mean()) / rows.std(correction=0), rtol=1e-9, atol=1e-9
    )


def test_a_sphere_keeps_its_vectors_and_a_torus_becomes_circles() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    sphere = load(x, space="sphere")
    features = make_features("standardized", sphere)
    assert features.id == "unit-vectors"
    np.testing.assert_array_equal(features.transform(x), x)
    angles = load(generator.uniform(-3, 3, (60, 2)), space="torus")
    features = make_features("standardized", angles)
    assert (features.id, features.dimension) == ("cos-sin", 4)
    turned = features.transform(np.array([[0.0, math.pi / 2], [-math.pi, 0.0]]))
    torch.testing.assert_close(turned, torch.tensor([[1.0, 0, 0, 1], [-1, 1, 0, 0]]).double(), atol=1e-12, rtol=0)


def test_what_is_no_vector_is_refused() -> None:
    with pytest.raises(InputError, match="pca64 and random"):
        make_features("standardized", load("digits"))
    features = make_features("standardized", vectors())
    with pytest.raises(InputError, match="samples, row 1"):
        features.transform(np.array([[1.0, 2, 3], [1, np.nan, 3]]))
    with pytest.raises(InputError, match="shape"):
        features.transform(np.zeros((4, 2)))
