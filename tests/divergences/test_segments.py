"""The two segments: closed forms, a grid of points, samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pushforward.divergences import (
    Discrete,
    jensen_shannon,
    kantorovich_potentials,
    kl,
    line_segments,
    total_variation,
    wasserstein1,
)
from pushforward.errors import InputError


@pytest.mark.parametrize("theta", [-1.0, -1e-6, 0.0, 0.25, 3.0])
@pytest.mark.parametrize("n", [1, 7, 40])
def test_a_grid_of_points_has_the_closed_forms(theta: float, n: int) -> None:
    example = line_segments(theta)
    p, q = example.discrete(n)
    assert float(total_variation(p, q)) == pytest.approx(example.total_variation, abs=1e-12)
    assert float(kl(p, q)) == pytest.approx(example.kl, abs=1e-12) == float(kl(q, p))
    assert float(jensen_shannon(p, q)) == pytest.approx(example.jensen_shannon, abs=1e-12)
    assert float(wasserstein1(p, q)) == pytest.approx(example.wasserstein1, abs=1e-12)


def test_the_closed_forms() -> None:
    example = line_segments(-0.5)
    values = (example.total_variation, example.kl, example.jensen_shannon, example.wasserstein1)
    assert values == (1.0, math.inf, math.log(2), 0.5)
    same = line_segments(0)
    assert (same.total_variation, same.kl, same.jensen_shannon, same.wasserstein1) == (0, 0, 0, 0)
    with pytest.raises(InputError, match="theta"):
        line_segments(math.nan)


def test_samples() -> None:
    values = []
    for n in (50, 800):
        x, y = line_segments(0.5).sample(n, seed=1)
        p, q = Discrete.count(x.points), Discrete.count(y.points)
        assert float(total_variation(p, q)) == 1 and float(kl(p, q)) == math.inf
        assert float(jensen_shannon(p, q)) == pytest.approx(math.log(2), abs=1e-12)
        values.append(float(wasserstein1(x, y)))
    assert 0.5 <= values[1] <= values[0] and values[1] < 0.503


def test_the_critic_of_the_segments_slopes_across() -> None:
    p, q = line_segments(0.3).discrete(10)
    f = kantorovich_potentials(p, q)
    assert f.value == pytest.approx(0.3, abs=1e-12)
    across = f(p.points) - f(q.points)
    assert across == pytest.approx(np.full(10, 0.3), abs=1e-12)
