"""Held-out rows and a model's own samples are equally likely under the right model, and not under a wrong one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.errors import DensityUnavailable, InputError
from pushforward.evaluation.likelihood.density_calibration import density_calibration
from pushforward.registry import build
from pushforward.spaces import Classes, Real
from tests.evaluation.closed_forms import Normal, points
from tests.families.autoencoders.test_vae import linear_gaussian


def test_the_right_model_passes_at_its_level() -> None:
    """P-values over many data sets: about 5% below 0.05, and uniform as a whole (they are a little conservative)."""
    p = [density_calibration(Normal(), points(200, seed=s), seed=s).p_value for s in range(200)]
    assert np.mean(np.array(p) < 0.05) < 0.09
    assert stats.kstest(p, "uniform", alternative="greater").pvalue > 1e-3


def test_the_values_are_log_likelihoods() -> None:
    x = points(3000)
    found = density_calibration(Normal(), x)
    assert len(found.held_out) == len(found.own) == 2000
    kept = x[torch.linspace(0, 2999, 2000, dtype=torch.float64).round().long()]
    np.testing.assert_allclose(found.held_out, torch.distributions.Normal(0, 1).log_prob(kept).sum(1))
    # -2 log p - d log 2 pi of the samples is chi-squared.
    squares = -2 * found.own - 2 * math.log(2 * math.pi)
    assert stats.kstest(squares, stats.chi2(2).cdf).pvalue > 1e-3
    assert found.statistic == stats.ks_2samp(found.held_out, found.own).statistic


@pytest.mark.parametrize("wrong", [{"std": 1.3}, {"std": 0.75}, {"mean": 1.0}])
def test_a_wrong_model_is_found_out(wrong: dict) -> None:
    assert density_calibration(Normal(**wrong), points(1000)).p_value < 1e-6


def test_works_for_bounds_and_estimates() -> None:
    model, truth = linear_gaussian(exact=False)
    assert density_calibration(model, truth.sample((1000,)), k=2).p_value > 0.01
    assert density_calibration(model, 1.3 * truth.sample((1000,))).p_value < 1e-3
    # Noise of an estimate is drawn afresh for the samples: the two are independent.
    noisy = density_calibration(Normal(std=1e-6, scatter=1.0), 1e-6 * points(500))
    assert noisy.p_value > 1e-3 and abs(np.corrcoef(noisy.held_out, noisy.own)[0, 1]) < 0.2


def test_samples_come_with_the_conditions_of_the_rows() -> None:
    """A class that is rare in training and common here: samples under training frequencies would look wrong."""
    condition = torch.arange(2000) % 2
    x = torch.randn(2000, 1) * torch.where(condition == 0, 1.0, 10.0)[:, None]
    model = build("gmm", Real((1,)), Classes(2), overrides={"components": 1})
    seen = torch.cat([torch.zeros(1900), torch.ones(100)]).long()
    model.initialize(torch.randn(2000, 1) * torch.where(seen == 0, 1.0, 10.0)[:, None], seen)
    assert density_calibration(model, x, condition, n=1000).p_value > 1e-3


def test_refusals() -> None:
    gan = build("gan", Real((2,)), overrides={"network": {"width": 8, "depth": 1}})
    gan.initialize(points())
    with pytest.raises(DensityUnavailable):
        density_calibration(gan, points())
    with pytest.raises(InputError, match="too few"):
        density_calibration(Normal(), points(1))
