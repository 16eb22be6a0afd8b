from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from pushforward.data import load
from pushforward.errors import InputError
from pushforward.evaluation.features import make_features
from pushforward.evaluation.features.pca import principal, shrunk


def decaying(n: int, d: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) * 0.95 ** np.arange(d) @ np.linalg.qr(generator.normal(size=(d, d)))[0]


def relative(a: torch.Tensor, b: np.ndarray) -> float:
    """Largest difference of coordinates, each up to its sign, relative to the largest coordinate."""
    found, expected = a.numpy(), b
    signs = np.sign((found * expected).sum(0))
    return float(np.abs(found * signs - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(("n", "d"), [(300, 20), (40, 100)])
def test_components_are_those_of_scikit_learn(n: int, d: int) -> None:
    x = decaying(n, d)
    mean = x.mean(0)
    own = torch.from_numpy(x - mean) @ principal(torch.from_numpy(x - mean), 12).T
    assert relative(own, PCA(12, svd_solver="full").fit_transform(x)) < 1e-9


def test_large_matrices_are_decomposed_to_machine_precision() -> None:
    x = torch.from_numpy(decaying(1300, 1100))
    x -= x.mean(0)
    _, values, vectors = torch.linalg.svd(x, full_matrices=False)
    found = principal(x, 30)
    torch.testing.assert_close((x @ found.T).norm(dim=0), values[:30], rtol=1e-10, atol=0)
    torch.testing.assert_close((found @ vectors[:30].T).abs(), torch.eye(30, dtype=torch.float64), atol=1e-6, rtol=0)


def test_pixels_through_the_public_door_match_scikit_learn_and_float32_would_not() -> None:
    data = load("digits")
    rows, x = (part.all()[0].flatten(1).double().numpy() / 16 for part in (data.train, data.test))
    expected = PCA(10, svd_solver="full").fit(rows)
    features = make_features("pca10", data)
    assert relative(features.transform(data.test.all()[0]), expected.transform(x)) < 1e-9
    # The planted mistake: the same in float32.
    single = rows.astype(np.float32)
    components = principal(torch.from_numpy(single - single.mean(0)), 10)
    assert (
        relative(torch.from_numpy(x.astype(np.float32) - single.mean(0)) @ components.T, expected.transform(x)) > 1e-7
    )


def test_signs_are_determined_by_the_largest_entry() -> None:
    x = torch.from_numpy(decaying(200, 10))
    components = principal(x - x.mean(0), 10)
    at = components.abs().argmax(1, keepdim=True)
    assert bool((components.gather(1, at) > 0).all())
    order = torch.randperm(200)
    torch.testing.assert_close(principal((x - x.mean(0))[order], 10), components, atol=1e-9, rtol=0)


def test_the_dimension_is_capped_by_samples_rank_and_columns() -> None:
    data = load("digits")
    assert make_features("pca64", data, n=180).id == "pca9"
    assert make_features("pca64", data, n=10).id == "pca2"
    rank = np.linalg.matrix_rank(data.train.all()[0].flatten(1).double().numpy() - 0.1)
    full = make_features("pca500", data)
    assert full.dimension <= rank <= 64 and full.id == f"pca{full.dimension}"
    x = np.random.default_rng(0).normal(size=(100, 2)) @ np.random.default_rng(1).normal(size=(2, 7))
    assert make_features("pca64", load(x)).id == "pca2"


def test_columns_of_vectors_are_standardized_first() -> None:
    x, units = decaying(200, 4), np.array([1.0, 1e3, 1e-3, 1e6])
    first, second = make_features("pca3", load(x)), make_features("pca3", load(x * units))
    torch.testing.assert_close(first.transform(x), second.transform(x * units), rtol=1e-8, atol=1e-8)


def test_constant_data_have_no_components() -> None:
    with pytest.raises(InputError, match="all training rows are the same"):
        make_features("pca64", load(np.full((30, 4, 4), 7, dtype=np.uint8)))


def test_large_pictures_are_averaged_down() -> None:
    assert shrunk(28, 28) == (28, 28) and shrunk(128, 256) == (32, 64) and shrunk(1000, 2) == (64, 1)
    x = np.random.default_rng(0).integers(0, 256, (12, 128, 128)).astype(np.uint8)
    data = load(x)
    features = make_features("pca4", data)
    assert "averaged to 64x64" in features.about
    small = x.reshape(12, 64, 2, 64, 2).mean((2, 4)).reshape(12, -1) / 255
    at = [i for row in data.train.all()[0] for i in range(12) if np.array_equal(row[0].numpy(), x[i])]
    expected = PCA(4, svd_solver="full").fit(small[at]).transform(small)
    assert relative(features.transform(x[:, None]), expected) < 1e-9
