"""The planted faults are the faults that they say they are, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pushforward.studies import faults
from pushforward.studies.faults import Case


@pytest.fixture(scope="module")
def ring() -> Case:
    return faults.ring()


@pytest.fixture(scope="module")
def mixture() -> Case:
    return faults.mixture()


def spoilt(case: Case, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    x = case.fresh(0)
    return x, case.faults[name](case, x.clone(), np.random.default_rng(1))


def test_modes_are_dropped_halved_and_doubled(ring: Case) -> None:
    for name, share in (("a mode dropped", 0.0), ("half a mode", 0.5), ("wrong frequencies", 2.0)):
        x, made = spoilt(ring, name)
        before, after = (torch.bincount(ring.mode(v), minlength=8).double() for v in (x, made))
        assert after[1] == pytest.approx(share * before[1], abs=30) and len(made) == len(x)
        others = after[[0, *range(2, 8)]] / after.sum()
        assert float(others.max() - others.min()) < 0.06  # the rest is made up for evenly


def test_modes_are_narrower(ring: Case) -> None:
    x, made = spoilt(ring, "std x 0.8")
    assert torch.equal(ring.mode(x), ring.mode(made))
    ratio = (made.double() - ring.centre(made)).std() / (x.double() - ring.centre(x)).std()
    assert float(ratio) == pytest.approx(0.8, rel=1e-3)


def test_dependence_is_broken_and_columns_are_kept(mixture: Case) -> None:
    x, made = spoilt(mixture, "correlation broken")
    assert torch.equal(x[:, 5].sort().values, made[:, 5].sort().values) and torch.equal(x[:, :5], made[:, :5])
    mode = mixture.mode(x)
    for m in range(4):
        before, after = (torch.corrcoef(v[mode == m].T)[5, :5].abs().max() for v in (x, made))
        assert after < 0.2 < before


def test_training_rows_and_noise_are_mixed_in(mixture: Case) -> None:
    rows = {tuple(row) for row in mixture.data.train.all()[0].tolist()}
    for name, share in (("5% training rows", 0.05), ("copycat", 1.0)):
        _, made = spoilt(mixture, name)
        assert np.mean([tuple(row) in rows for row in made.tolist()]) == share
    x, made = spoilt(mixture, "10% noise")
    assert float((x != made).any(1).double().mean()) == pytest.approx(0.1)


def test_perfect_samples_are_new(ring: Case, mixture: Case) -> None:
    for case in (ring, mixture):
        rows = {tuple(row) for row in case.data.train.all()[0].tolist()}
        assert not any(tuple(row) in rows for row in case.fresh(3).tolist())
        assert not torch.equal(case.fresh(3), case.fresh(4))
