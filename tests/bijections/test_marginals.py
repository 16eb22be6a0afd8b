"""Distributions of single columns: they sum to one, carry data to normals, and come back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from pushforward.bijections.marginals import Marginals, categorical_marginal, fit_marginal

RNG = np.random.default_rng(0)


def marginals(values: np.ndarray, step: float | None, transform: str = "quantile") -> Marginals:
    made = Marginals()
    made.set([fit_marginal(values, step, transform)])
    return made


def transform(m: Marginals, x: np.ndarray | Tensor, seed: int = 0, gap: float = 0.0) -> tuple[Tensor, Tensor]:
    """(z, log f) of one column, (n,) each."""
    x = torch.as_tensor(x, dtype=torch.float64)[:, None]
    v = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z, log_f = m(x, v, torch.tensor([gap], dtype=torch.float64))
    return z[:, 0], log_f[:, 0]


COLUMNS = {
    "normal": (RNG.normal(3, 2, 4000), None),
    "heavy tails": (RNG.standard_t(2, 4000), None),
    "spike and density": (np.where(RNG.random(4000) < 0.6, 0.0, RNG.exponential(5, 4000)), None),
    "few integers": (RNG.poisson(3, 4000).astype(float), 1.0),
    "many integers": (RNG.normal(0, 5000, 4000).round(), 1.0),
    "rounded, heaped": (np.where(RNG.random(4000) < 0.3, 5.0, (RNG.normal(7, 30, 4000) * 10).round() / 10), 0.1),
    "times": (1.6e9 + (RNG.random(4000) * 3e7).round(), 1.0),
}


@pytest.mark.parametrize("how", ["quantile", "standardize"])
@pytest.mark.parametrize("name", COLUMNS)
def test_probabilities_sum_to_one(name: str, how: str) -> None:
    values, step = COLUMNS[name]
    m = marginals(values, step, how)
    centre, width = float(np.median(values)), float(values.std())
    if step is not None:
        cells = torch.arange(-60_000, 60_001, dtype=torch.float64) * step + round(centre / step) * step
        if width > 60_000 * step / 8:  # a sum over every 1000th cell of a smooth mass
            cells = torch.arange(-400_000, 400_001, dtype=torch.float64) * 1000 * step + round(centre / step) * step
            total = 1000 * float(transform(m, cells)[1].exp().sum())
            assert total == pytest.approx(1.0, abs=2e-3)
            return
        assert float(transform(m, cells)[1].exp().sum()) == pytest.approx(1.0, abs=1e-6)
        return
    grid = torch.linspace(centre - 60 * width, centre + 60 * width, 600_001, dtype=torch.float64) + 1e-7
    density = float(torch.trapezoid(transform(m, grid)[1].exp(), grid))
    spikes = float(m.cumulative[0, -1])
    assert density + spikes == pytest.approx(1.0, abs=1e-3)
    if spikes:
        assert float(transform(m, m.atoms[0])[1].exp().sum()) == pytest.approx(spikes, abs=1e-9)


@pytest.mark.parametrize("name", COLUMNS)
def test_data_become_standard_normal(name: str) -> None:
    values, step = COLUMNS[name]
    z, _ = transform(marginals(values, step), values)
    assert bool(torch.isfinite(z).all())
    assert stats.kstest(z.numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("how", ["quantile", "standardize"])
@pytest.mark.parametrize("name", COLUMNS)
def test_values_come_back(name: str, how: str) -> None:
    values, step = COLUMNS[name]
    m = marginals(values, step, how)
    x = torch.as_tensor(values[:500])
    back = m.inverse(transform(m, x)[0][:, None])[:, 0]
    # Beside a spike z goes through u, which has 16 digits: near u = 1 they are few.
    assert float((back - x).abs().max()) <= 1e-4 * (float(x.std()) if step is None else step)


def test_the_slope_is_the_derivative() -> None:
    m = marginals(*COLUMNS["heavy tails"])
    x = torch.linspace(-40, 40, 2001, dtype=torch.float64)[None].requires_grad_()
    s, log_slope = m.spline(x)
    (slope,) = torch.autograd.grad(s.sum(), x)
    assert float((slope.log() - log_slope).detach().abs().max()) < 1e-9
    assert bool((s[0, 1:] > s[0, :-1]).all())
    assert float((m.inverse_spline(s.detach()) - x.detach()).abs().max()) < 1e-8


@pytest.mark.parametrize("how", ["quantile", "standardize"])
def test_a_gaussian_keeps_its_likelihood(how: str) -> None:
    x = RNG.normal(50, 7, 8000)
    m = marginals(x[:6000], None, how)
    truth = stats.norm(50, 7).logpdf(x[6000:]).mean()
    assert float(transform(m, x[6000:])[1].mean()) == pytest.approx(truth, abs=0.01)


def test_frequencies_are_the_probabilities_of_few_values() -> None:
    values = np.repeat([1.0, 2.0, 7.0], [50, 30, 20])
    m = marginals(values, 1.0)
    p = transform(m, np.array([1.0, 2.0, 7.0, 4.0, 500.0]))[1].exp()
    assert p[:3].tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.01)
    assert bool((p[3:] > 0).all()) and float(p[3]) < 0.01, "a value that no row has is possible, and rare"


def test_categories_have_smoothed_frequencies() -> None:
    m = Marginals()
    m.set([categorical_marginal(np.array([7, 0, 3]))])
    p = transform(m, np.array([0.0, 1.0, 2.0]))[1].exp()
    assert p.tolist() == pytest.approx([7.5 / 11.5, 0.5 / 11.5, 3.5 / 11.5])


def test_a_gap_keeps_values_apart_and_pays_for_it() -> None:
    m = marginals(*COLUMNS["few integers"])
    x = torch.full((2000,), 3.0, dtype=torch.float64)
    (wide, log_wide), (narrow, log_narrow) = transform(m, x), transform(m, x, gap=0.5)
    u, inner = torch.special.ndtr(wide), torch.special.ndtr(narrow)
    assert float(inner.max() - inner.min()) == pytest.approx(0.5 * float(u.max() - u.min()), rel=0.01)
    assert float((log_wide - log_narrow).mean()) == pytest.approx(math.log(2.0))
    assert torch.equal(m.inverse(narrow[:, None])[:, 0], x)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=80),
    st.sampled_from([None, 1.0, 0.01, 86400.0]),
    st.sampled_from([1.0, 1e-6, 1e6]),
    st.sampled_from(["quantile", "standardize"]),
)
def test_any_column_round_trips(numbers: list[int], step: float | None, scale: float, how: str) -> None:
    """Few rows, constant columns, tiny and huge units."""
    values = np.array(numbers, dtype=float) * (step or scale)
    m = marginals(values, step, how)
    z, log_f = transform(m, values)
    assert bool(torch.isfinite(z).all()) and bool(torch.isfinite(log_f).all())
    back = m.inverse(z[:, None])[:, 0]
    tolerance = 1e-6 * (max(values.std(), 1e-3 * abs(values).max(), 1e-300) if step is None else step)
    assert float((back - torch.as_tensor(values)).abs().max()) <= tolerance
