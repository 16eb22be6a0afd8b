"""Wasserstein distances against SciPy, POT, and Gaussians."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.metrics.wasserstein import (
    LIMIT,
    sliced_wasserstein,
    transport_plan,
    unit_directions,
    wasserstein,
    wasserstein_1d,
)

G = torch.Generator().manual_seed(8)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (100, 37), (36, 60), (1, 5)])
def test_numbers_as_scipy_and_pot_have_them(n: int, m: int) -> None:
    import ot
    from scipy.stats import wasserstein_distance

    x, y = normal(n), normal(m) * 2 + 1
    assert wasserstein_1d(x, y) == pytest.approx(wasserstein_distance(x.numpy(), y.numpy()), rel=1e-12)
    for p in (1, 2, 3.5):
        assert wasserstein_1d(x, y, p) ** p == pytest.approx(float(ot.wasserstein_1d(x, y, p=p)), rel=1e-9)
        # Equal shares of every point change nothing: the same distance from samples of equal size.
        assert wasserstein_1d(x, y, p) == pytest.approx(
            wasserstein_1d(x.repeat_interleave(m), y.repeat_interleave(n), p), rel=1e-12
        )


def test_a_shift_and_a_scale() -> None:
    x = normal(500)
    assert wasserstein_1d(x, x + 3) == pytest.approx(3, rel=1e-12)
    assert wasserstein_1d(x, 2 * x, 2) == pytest.approx(float((x**2).mean().sqrt()), rel=1e-12)
    assert wasserstein_1d(x, x.flip(0)) == 0


def test_gaussians_have_their_closed_form() -> None:
    """W2^2 = |m1 - m2|^2 + (s1 - s2)^2, and over directions of the sphere the shift counts by 1/d."""
    x, y = normal(20_000), normal(15_000) * 1.5 + 2
    assert wasserstein_1d(x, y, 2) == pytest.approx(math.sqrt(4 + 0.25), rel=0.02)
    d, shift = 5, torch.tensor([3.0, 0, 0, 0, 0]).double()
    a, b = normal(2000, d), 2 * normal(2000, d) + shift
    assert sliced_wasserstein(a, b, projections=500) == pytest.approx(math.sqrt(9 / d + 1), rel=0.03)


def test_sliced_is_that_of_pot_along_the_same_directions() -> None:
    import ot

    x, y = normal(80, 6), normal(50, 6) + 0.3
    theta = unit_directions(40, 6, seed=3)
    for p in (1, 2):
        expected = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), p=p, projections=theta.T.numpy())
        assert sliced_wasserstein(x, y, p, projections=40, seed=3) == pytest.approx(float(expected), rel=1e-9)
        assert sliced_wasserstein(x, y, p, directions=theta) == pytest.approx(float(expected), rel=1e-9)


def test_directions_are_uniform_and_come_from_the_seed_alone() -> None:
    theta = unit_directions(4000, 3)
    assert torch.allclose(theta.norm(dim=1), torch.ones(4000).double())
    assert torch.allclose(theta.T @ theta / 4000, torch.eye(3).double() / 3, atol=0.03)
    state = torch.get_rng_state()
    assert torch.equal(unit_directions(10, 3, 1), unit_directions(10, 3, 1))
    assert not torch.equal(unit_directions(10, 3, 1), unit_directions(10, 3, 2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("n", "m", "p"), [(60, 60, 1), (60, 45, 2), (30, 70, 1.5)])
def test_exact_is_pots(n: int, m: int, p: float) -> None:
    import ot

    x, y = normal(n, 3), normal(m, 3) + 1
    cost = (x[:, None] - y[None]).norm(dim=2).numpy() ** p
    expected = ot.emd2(np.full(n, 1 / n), np.full(m, 1 / m), cost)
    assert wasserstein(x, y, p) ** p == pytest.approx(expected, rel=1e-9)
    plan, least = transport_plan(x, y, p)
    assert least == pytest.approx(expected, rel=1e-9)
    assert plan.shape == (n, m) and float(plan.min()) >= 0
    assert torch.allclose(plan.sum(1), torch.full((n,), 1 / n).double(), rtol=1e-12)
    assert torch.allclose(plan.sum(0), torch.full((m,), 1 / m).double(), rtol=1e-12)
    independent = float(cost.mean())
    assert least < independent


def test_exact_is_the_best_assignment() -> None:
    from scipy.optimize import linear_sum_assignment

    x, y = normal(80, 4), normal(80, 4)
    cost = (x[:, None] - y[None]).pow(2).sum(2).numpy()
    rows, columns = linear_sum_assignment(cost)
    assert wasserstein(x, y, 2) == pytest.approx(math.sqrt(cost[rows, columns].mean()), rel=1e-9)


def test_exact_in_one_dimension_is_the_quantile_form() -> None:
    x, y = normal(50), normal(35) * 3
    for p in (1, 2):
        assert wasserstein(x, y, p) == pytest.approx(wasserstein_1d(x, y, p), rel=1e-9)
        assert sliced_wasserstein(x, y, p, projections=3) == pytest.approx(wasserstein_1d(x, y, p), rel=1e-9)


def test_a_shift_in_any_dimension_and_any_unit() -> None:
    x, shift = normal(100, 4), torch.tensor([3.0, 4, 0, 0]).double()
    for scale in (1e-9, 1.0, 1e9):
        for p in (1, 2):
            assert wasserstein(x * scale, (x + shift) * scale, p) == pytest.approx(5 * scale, rel=1e-9)
    assert wasserstein(x, x.flip(0)) == 0
    assert wasserstein(torch.ones(5, 2), torch.ones(5, 2)) == 0


def test_no_order_and_no_chunks_matter() -> None:
    x, y = normal(71, 3), normal(64, 3) * 1.4
    for f in (sliced_wasserstein, wasserstein):
        expected = f(x, y)
        assert f(x[torch.randperm(71)], y.flip(0)) == pytest.approx(expected, rel=1e-10)
        assert f(y, x) == pytest.approx(expected, rel=1e-10)
    for chunk in (1, 7, 1000):
        assert sliced_wasserstein(x, y, chunk=chunk) == pytest.approx(sliced_wasserstein(x, y), rel=1e-12)


def test_small_gaps_far_from_zero_are_kept() -> None:
    """Single precision would lose them."""
    x = normal(40, 2) + 1e6
    assert wasserstein(x, x + 1e-4, 2) == pytest.approx(1e-4 * math.sqrt(2), rel=1e-4)
    assert sliced_wasserstein(x, x + 1e-4) == pytest.approx(1e-4, rel=0.2)


@pytest.mark.parametrize("f", [wasserstein_1d, sliced_wasserstein, wasserstein, transport_plan])
def test_what_cannot_be_used_is_refused(f: object) -> None:
    x = torch.ones(6, 1)
    bad = x.clone()
    bad[4] = math.nan
    with pytest.raises(InputError, match="y, row 4, column 0: the value is nan"):
        f(x, bad)  # type: ignore[operator]
    with pytest.raises(InputError, match="x has no rows"):
        f(x[:0], x)  # type: ignore[operator]
    with pytest.raises(InputError, match="x has 1 columns and y has 2"):
        f(x, torch.ones(3, 2))  # type: ignore[operator]
    for p in (0.5, math.inf, math.nan):
        with pytest.raises(InputError, match=f"p is {p}"):
            f(x, x, p)  # type: ignore[operator]


def test_limits_name_what_to_take_instead() -> None:
    with pytest.raises(InputError, match=r"y has 2,001 rows: exact transport takes up to 2,000.*sliced_wasserstein"):
        wasserstein(torch.ones(3, 2), torch.ones(LIMIT + 1, 2))
    with pytest.raises(InputError, match=r"x has 2 columns.*sliced_wasserstein"):
        wasserstein_1d(torch.ones(3, 2), torch.ones(3, 2))
    with pytest.raises(InputError, match="projections is 0"):
        sliced_wasserstein(torch.ones(3, 2), torch.ones(3, 2), projections=0)
    with pytest.raises(InputError, match="directions has 3 columns"):
        sliced_wasserstein(torch.ones(3, 2), torch.ones(3, 2), directions=torch.ones(4, 3))
