"""Parzen windows against scikit-learn, and what must stand beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.evaluation.likelihood import parzen as module
from pushforward.evaluation.likelihood.parzen import WARNING, log_densities, parzen


def data(n: int, seed: int, d: int = 6) -> np.ndarray:
    """A mixture of two bumps in the unit cube."""
    g = np.random.default_rng(seed)
    return np.clip(0.3 + 0.4 * g.integers(0, 2, (n, 1)) + 0.08 * g.normal(size=(n, d)), 0, 1)


SAMPLES, REAL, HELD_OUT, VALIDATION = data(300, 0), data(400, 1), data(200, 2), data(100, 3)


def test_agrees_with_scikit_learn() -> None:
    from sklearn.neighbors import KernelDensity

    grid = np.logspace(-1, 0, 10)
    found = parzen(SAMPLES, HELD_OUT, VALIDATION, real=REAL[:300])
    scores = [KernelDensity(bandwidth=s, rtol=1e-12).fit(SAMPLES).score(VALIDATION) for s in grid]
    assert found.sigma == pytest.approx(grid[int(np.argmax(scores))])
    for sigma in (0.05, found.sigma, 1.0):
        oracle = KernelDensity(bandwidth=sigma, rtol=1e-12).fit(SAMPLES).score_samples(HELD_OUT)
        ours = log_densities(torch.from_numpy(HELD_OUT), torch.from_numpy(SAMPLES), [sigma])[:, 0]
        np.testing.assert_allclose(ours, oracle, rtol=1e-9)
    oracle = KernelDensity(bandwidth=found.sigma, rtol=1e-12).fit(SAMPLES).score_samples(HELD_OUT)
    assert found.value == pytest.approx(oracle.mean(), rel=1e-9)
    assert found.standard_error == pytest.approx(oracle.std(ddof=1) / math.sqrt(200), rel=1e-9)
    oracle = KernelDensity(bandwidth=found.ceiling_sigma, rtol=1e-12).fit(REAL[:300]).score_samples(HELD_OUT)
    assert found.ceiling == pytest.approx(oracle.mean(), rel=1e-9)
    assert (found.n, found.held_out) == (300, 200)


def test_one_sample_is_a_normal_density() -> None:
    x, s = torch.tensor([[0.1, 0.2]], dtype=torch.float64), torch.tensor([[0.4, 0.6]], dtype=torch.float64)
    expected = -0.5 * (0.09 + 0.16) / 0.04 - math.log(2 * math.pi * 0.04)
    assert log_densities(x, s, [0.2]).item() == pytest.approx(expected, rel=1e-12)


def test_does_not_depend_on_order_chunks_shape_or_type(monkeypatch: pytest.MonkeyPatch) -> None:
    first = parzen(SAMPLES, HELD_OUT, VALIDATION, real=REAL[:300])
    order = np.random.default_rng(0).permutation
    second = parzen(SAMPLES[order(300)], HELD_OUT[order(200)], VALIDATION[order(100)], real=REAL[:300][order(300)])
    monkeypatch.setattr(module, "_PAIRS", 1000)
    images = [torch.from_numpy(v).view(-1, 1, 2, 3) for v in (SAMPLES, HELD_OUT, VALIDATION, REAL[:300])]
    third = parzen(*images[:3], real=images[3])
    for other in (second, third):
        assert (other.value, other.ceiling) == pytest.approx((first.value, first.ceiling), rel=1e-12)


def test_the_ceiling_is_the_value_of_real_examples() -> None:
    found = parzen(REAL[:300], HELD_OUT, VALIDATION, real=REAL[:300])
    assert (found.value, found.standard_error, found.sigma) == (
        found.ceiling,
        found.ceiling_standard_error,
        found.ceiling_sigma,
    )
    # Blurry prototypes are above it: what Theis et al. warn of, and the warning that comes with every value.
    prototypes = np.repeat([[0.3] * 6, [0.7] * 6], 150, axis=0)
    blurry = parzen(prototypes, HELD_OUT, VALIDATION, real=REAL)
    assert blurry.value > blurry.ceiling + 0.1
    for each in (found, blurry):
        assert each.warning.startswith(WARNING) and "real training examples" in str(each) and WARNING in str(each)


def test_real_examples_are_as_many_as_samples_and_from_everywhere() -> None:
    """Sorted rows (a file ordered by class): the first ones alone would be one bump."""
    ordered = REAL[np.argsort(REAL[:, 0])]
    found = parzen(SAMPLES[:40], HELD_OUT, VALIDATION, real=ordered)
    kept = ordered[np.linspace(0, 399, 40).round().astype(int)]
    assert found.ceiling == pytest.approx(parzen(kept, HELD_OUT, VALIDATION, real=kept).value, rel=1e-12)
    assert found.n == 40


def test_an_end_of_the_grid_is_said() -> None:
    found = parzen(SAMPLES, HELD_OUT, VALIDATION, real=REAL, sigmas=[0.5, 0.7])
    assert "The best sigma of the samples is at an end of the grid (0.5)" in found.warning
    inside = parzen(SAMPLES, HELD_OUT, VALIDATION, real=REAL, sigmas=[0.01, 0.08, 1.0])
    assert inside.warning == WARNING


def test_sigma_is_chosen_on_the_validation_points() -> None:
    """Validation points that are the samples themselves ask for the narrowest kernel, whatever the others ask."""
    assert parzen(SAMPLES, HELD_OUT, SAMPLES[:50], real=REAL, sigmas=[0.01, 0.08, 1.0]).sigma == 0.01


def test_refusals() -> None:
    with pytest.raises(InputError, match="ceiling"):
        parzen(SAMPLES, HELD_OUT, VALIDATION)
    with pytest.raises(InputError, match=r"100 real examples for 300 samples"):
        parzen(SAMPLES, HELD_OUT, VALIDATION, real=REAL[:100])
    with pytest.raises(InputError, match=r"samples lie between .*divide pixels"):
        parzen(SAMPLES * 255, HELD_OUT, VALIDATION, real=REAL)
    with pytest.raises(InputError, match="held_out lie between nan"):
        parzen(SAMPLES, HELD_OUT * math.nan, VALIDATION, real=REAL)
    with pytest.raises(InputError, match="validation have 2 numbers each"):
        parzen(SAMPLES, HELD_OUT, VALIDATION[:, :2], real=REAL)
    with pytest.raises(InputError, match="sigmas"):
        parzen(SAMPLES, HELD_OUT, VALIDATION, real=REAL, sigmas=[0.0])
