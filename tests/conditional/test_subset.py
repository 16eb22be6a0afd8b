"""Subset simulation: rare probabilities and conditional moments of a known Gaussian, and honest sample sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.conditional import subset
from pushforward.conditional.subset import subset_simulation, worth

THRESHOLD = 3.719  # of probability 1e-4


def beyond(state: Tensor) -> tuple[Tensor, Tensor]:
    """Rows: the first numbers. The event: the sum of three of them, standardized, is above the threshold."""
    s = state[:, :3].double().sum(1) / math.sqrt(3)
    return state[:, :4].double(), (THRESHOLD - s).clamp_min(0)


def log_ratio(dimension: int, seed: int) -> tuple[float, float]:
    found = subset_simulation(beyond, dimension, 1_000, seed=seed, budget=400_000)
    assert found.reached and bool((beyond(found.rows)[1] == 0).all())
    return math.log(found.probability / stats.norm.sf(THRESHOLD)), found.relative_error


@pytest.mark.parametrize("dimension", [3, 100])
def test_a_probability_of_one_in_ten_thousand(dimension: int) -> None:
    errors = [log_ratio(dimension, seed) for seed in range(5)]
    claimed = np.mean([e for _, e in errors])
    assert 0.1 < claimed < 0.3
    ratios = np.array([r for r, _ in errors])
    assert abs(ratios.mean()) < 3 * claimed / math.sqrt(5)
    assert np.sqrt(np.square(ratios).mean()) < 2 * claimed


def test_rows_have_the_conditional_distribution() -> None:
    found = subset_simulation(beyond, 10, 1_000, seed=1, budget=400_000)
    ess = found.ess(torch.arange(1_000), torch.arange(4))
    assert 300 < ess <= 1_000
    total = found.rows[:, :3].sum(1) / math.sqrt(3)
    hazard = stats.norm.pdf(THRESHOLD) / stats.norm.sf(THRESHOLD)
    assert float(total.mean()) == pytest.approx(hazard, abs=5 * 0.25 / math.sqrt(ess))
    # What the event says nothing about is as it was.
    assert float(found.rows[:, 3].mean()) == pytest.approx(0, abs=5 / math.sqrt(ess))
    assert float((found.rows[:, 0] - found.rows[:, 1]).std()) == pytest.approx(math.sqrt(2), abs=0.15)


def test_more_rows_than_particles() -> None:
    found = subset_simulation(beyond, 10, 200, seed=1, budget=400_000, rounds=3)
    assert len(found.rows) == 600 == len(found.families[0])
    assert len(torch.unique(found.rows, dim=0)) > 500
    assert found.ess(torch.arange(600), torch.arange(4)) < 600


def test_where_nothing_comes_near_it_says_so() -> None:
    def never(state: Tensor) -> tuple[Tensor, Tensor]:
        return state, torch.full((len(state),), 3.0, dtype=torch.float64)

    found = subset_simulation(never, 2, 100, seed=0, budget=10_000)
    assert not found.reached and found.draws < 10_000
    tight = subset_simulation(beyond, 3, 500, seed=0, budget=5_000)
    assert not tight.reached and tight.draws <= 5_000 and 1e-4 < tight.probability < 1


def test_plateaus_are_passed() -> None:
    def steps(state: Tensor) -> tuple[Tensor, Tensor]:
        return state, (state[:, :4] < 1).sum(1).double()

    found = subset_simulation(steps, 4, 1_000, seed=0, budget=400_000)
    assert found.reached and math.log(found.probability / stats.norm.sf(1) ** 4) == pytest.approx(0, abs=0.6)


def test_relatives_that_are_alike_are_worth_little() -> None:
    generator = torch.Generator().manual_seed(0)
    families = torch.arange(1_000) // 5
    fresh = torch.randn(1_000, 6, generator=generator)
    assert worth(fresh, families) > 800
    copies = fresh[::5].repeat_interleave(5, 0)
    assert worth(copies, families) == pytest.approx(200, rel=0.01)
    # Correlation rho within families of 5: 1000 / (1 + 4 rho).
    half = math.sqrt(0.5) * copies + math.sqrt(0.5) * torch.randn(1_000, 6, generator=generator)
    assert worth(half, families) == pytest.approx(1_000 / 3, rel=0.15)
    assert worth(fresh, torch.zeros(1_000)) == 1 and worth(fresh, torch.arange(1_000)) == 1_000


def test_copies_that_never_move_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subset, "_MOST_MOVES", 0)
    found = subset_simulation(beyond, 10, 1_000, seed=1, budget=400_000)
    assert found.ess(torch.arange(len(found.rows)), torch.arange(4)) < 250
