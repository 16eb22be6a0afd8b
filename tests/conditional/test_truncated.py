"""Normals within intervals: masses are scipy's in both tails, draws have the distribution that they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.conditional.truncated import draw, inverse_log_ndtr, log_mass

EDGES = [(-1, 2), (5, 6), (-6, -5), (30, 31), (-40, -39.9), (-math.inf, 1), (1, math.inf), (60, math.inf)]


@pytest.mark.parametrize(("low", "high"), EDGES)
def test_mass_and_quantiles(low: float, high: float) -> None:
    a, b = (torch.tensor([v], dtype=torch.float64) for v in (low, high))
    mass = float(log_mass(a, b))
    upper, lower = stats.norm.logsf, stats.norm.logcdf
    big, small = (upper(low), upper(high)) if low > 0 else (lower(high), lower(low))
    assert mass == pytest.approx(big + np.log1p(-np.exp(small - big)), rel=1e-10)
    u = torch.tensor([1e-9, 0.1, 0.5, 0.9, 1 - 1e-9], dtype=torch.float64)
    x = draw(a.expand(5), b.expand(5), u)
    assert bool(((x >= low) & (x <= high)).all())
    share = (log_mass(a.expand(5), x) - mass).exp()
    np.testing.assert_allclose(share, 1 - u if low > 0 else u, rtol=1e-5, atol=1e-8)


def test_an_empty_interval_has_no_mass() -> None:
    one = torch.tensor([1.0, math.inf], dtype=torch.float64)
    assert log_mass(one, one).tolist() == [-math.inf, -math.inf]


def test_the_inverse_is_one() -> None:
    x = torch.tensor([-200.0, -50.0, -37.0, -8.0, 0.0, 5.0], dtype=torch.float64)
    np.testing.assert_allclose(inverse_log_ndtr(torch.special.log_ndtr(x)), x, rtol=1e-8)
