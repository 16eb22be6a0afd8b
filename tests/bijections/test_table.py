"""Mixed tables to normals: probabilities are the frequencies, integrals are one, and rows come back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward import registry
from pushforward.bijections.table import TablePreprocess
from pushforward.config import TableSettings
from pushforward.dataset import Dataset
from pushforward.families.adapted import Adapted
from pushforward.noise import Noise
from pushforward.spaces import Column, Table

RNG = np.random.default_rng(0)
CITIES = ("Lima", "Oslo", "Rome", "Zürich", "Kyiv")


def fitted(space: Table, x: np.ndarray, **options: Any) -> TablePreprocess:
    made = TablePreprocess(space, TableSettings(**options))
    made.fit(Dataset(torch.as_tensor(x), space=space))
    return made


def independent(pre: TablePreprocess, x: Any, seed: int = 0) -> Tensor:
    """log p(x) by one draw, with a core that has learned nothing: N(0, I)."""
    x = torch.as_tensor(x, dtype=torch.float64)
    z, log_det = pre(x, Noise.of(seed, index=torch.arange(len(x))))
    return log_det - 0.5 * (z.double().square() + math.log(2 * math.pi)).sum(1)


def mixed(n: int, missing: float = 0.0) -> tuple[Table, np.ndarray]:
    """A continuous column with a spike, integers, categories, a boolean, an ordinal; independent of each other."""
    gone = missing > 0
    space = Table(
        (
            Column("income", "continuous", low=0.0, high=1e4, missing=gone),
            Column("age", "integer", low=0, high=120, step=1.0, missing=gone),
            Column("city", "category", CITIES, missing=gone),
            Column("smokes", "boolean", ("no", "yes"), missing=gone),
            Column("size", "ordinal", ("S", "M", "L"), missing=gone),
            Column("planet", "constant", ("earth",)),
        )
    )
    x = np.stack(
        [
            np.where(RNG.random(n) < 0.4, 0.0, RNG.exponential(900, n)),
            RNG.normal(40, 12, n).round().clip(0, 120),
            RNG.choice(5, n, p=[0.5, 0.3, 0.15, 0.049, 0.001]),
            RNG.random(n) < 0.3,
            RNG.choice(3, n, p=[0.2, 0.7, 0.1]),
            np.zeros(n),
        ],
        axis=1,
    )
    x[:, :5][RNG.random((n, 5)) < missing] = np.nan
    return space, x


@pytest.mark.parametrize("categories", ["interval", "argmax"])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_rows_come_back(categories: str, missing: float) -> None:
    space, x = mixed(3000, missing)
    pre = fitted(space, x, categories=categories)
    for seed in range(3):
        z, log_det = pre(torch.as_tensor(x), Noise.of(seed, index=torch.arange(len(x))))
        assert z.dtype == torch.float32 and tuple(z.shape) == (3000, *pre.codomain.shape)
        assert bool(torch.isfinite(z).all()) and bool(torch.isfinite(log_det).all())
        back = pre.inverse(z).numpy()
        assert (np.isnan(back) == np.isnan(x)).all()
        known = ~np.isnan(x)
        assert (back[:, 1:][known[:, 1:]] == x[:, 1:][known[:, 1:]]).all()
        assert np.abs(back[:, 0] - x[:, 0])[known[:, 0]].max() < 1.0
        assert (back[:, 0][known[:, 0]] == 0).sum() == (x[:, 0][known[:, 0]] == 0).sum(), "the spike is exact"


@pytest.mark.parametrize("categories", ["interval", "argmax"])
def test_numbers_are_independent_standard_normals(categories: str) -> None:
    space, x = mixed(20_000, 0.2)
    z, _ = fitted(space, x, categories=categories)(torch.as_tensor(x), Noise.of(1, index=torch.arange(len(x))))
    z = z.double()
    assert float(z.mean(0).abs().max()) < 0.04 and float((z.std(0) - 1).abs().max()) < 0.03
    assert float((z.T.corrcoef() - torch.eye(z.shape[1])).abs().max()) < 0.04
    assert float((z.square().T.corrcoef() - torch.eye(z.shape[1])).abs().max()) < 0.05, "dependent through their sizes"


@pytest.mark.parametrize("categories", ["interval", "argmax"])
def test_a_category_has_the_probability_of_its_frequency(categories: str) -> None:
    """With N(0, I) for the numbers, exactly and whatever is drawn; a category that no row has gets smoothed mass."""
    n, counts = 1000, np.array([500, 300, 150, 50, 0])
    space = Table((Column("city", "category", CITIES),))
    pre = fitted(space, np.repeat(np.arange(5.0), counts)[:, None], categories=categories)
    rows = torch.arange(5.0).double()[:, None].repeat(40, 1)
    p = independent(pre, rows).exp().view(40, 5)
    assert torch.allclose(p, torch.as_tensor((counts + 0.5) / (n + 2.5)).expand(40, 5), rtol=1e-4)
    assert float(p[0].sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("categories", ["interval", "argmax"])
def test_the_probabilities_of_all_tables_sum_to_one(categories: str) -> None:
    """A boolean, an ordinal and a category with missing cells, under N(0, I): every combination, counted."""
    space, x = mixed(2000, 0.2)
    space = Table(tuple(space.columns[j] for j in (2, 3, 4)))
    pre = fitted(space, x[:, 2:5], categories=categories, fill="normal")
    values = [[*range(5), math.nan], [0, 1, math.nan], [0, 1, 2, math.nan]]
    rows = np.array([[a, b, c] for a in values[0] for b in values[1] for c in values[2]], dtype=float)
    assert float(independent(pre, rows).exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_the_probability_of_missing_is_the_missing_rate() -> None:
    space = Table((Column("a", "continuous", low=-5, high=5, missing=True),))
    x = RNG.normal(size=(4000, 1))
    x[:1000] = np.nan
    for fill in ("normal", "factors"):
        pre = fitted(space, x, fill=fill)
        assert float(independent(pre, [[math.nan]]).exp()) == pytest.approx(0.25, abs=1e-3)


def test_the_log_determinant_is_autograd_s() -> None:
    """Densities alone: the change is a bijection, and its likelihood exact."""
    space = Table((Column("a", "continuous", low=-9, high=9), Column("b", "continuous", low=0, high=99)))
    x = np.stack([RNG.normal(size=3000), RNG.gamma(2.0, 3.0, 3000)], 1)
    for transform in ("quantile", "standardize"):
        pre = fitted(space, x, transform=transform)
        assert pre.bound == "exact"
        rows = torch.as_tensor(x[:20]).requires_grad_()
        v = torch.full((20, 2), 0.5, dtype=torch.float64)
        z, _ = pre.marginals(rows, v, torch.zeros(2, dtype=torch.float64))
        log_det = sum(torch.autograd.grad(z[:, j].sum(), rows, retain_graph=True)[0][:, j].log() for j in range(2))
        found = pre(rows.detach(), None)[1]
        assert float((found - log_det).abs().max()) < 1e-6  # type: ignore[union-attr]


def test_a_spike_makes_the_likelihood_a_bound() -> None:
    space, x = mixed(2000)
    space = Table(space.columns[:1])
    assert fitted(space, x[:, :1]).bound == "lower"


@pytest.mark.parametrize("transform", ["quantile", "standardize"])
def test_a_table_of_gaussians_has_its_likelihood(transform: str) -> None:
    """Correlated columns in odd units, by a mixture: within 0.02 nats of the truth, held out."""
    n, names = 12_000, "abcd"
    mix = np.eye(4) + 0.5 * np.tril(np.ones((4, 4)), -1)
    scale, shift = np.array([1e-3, 1.0, 50.0, 1e5]), np.array([5.0, -2.0, 0.0, 1e6])
    x = RNG.normal(size=(n, 4)) @ mix.T * scale + shift
    space = Table(tuple(Column(c, "continuous", low=x[:, j].min(), high=x[:, j].max()) for j, c in enumerate(names)))
    model = registry.build(
        "gmm", space, None, {"components": 1, "covariance": "full", "table": {"transform": transform}}
    )
    model.initialize(torch.as_tensor(x[:9000]))
    covariance = torch.as_tensor((mix * scale[:, None]) @ (mix * scale[:, None]).T)
    truth = torch.distributions.MultivariateNormal(torch.as_tensor(shift), covariance)
    found = model.log_prob(torch.as_tensor(x[9000:]))
    assert found.kind == "exact" and "Lebesgue" in found.unit
    assert found.mean() == pytest.approx(float(truth.log_prob(torch.as_tensor(x[9000:])).mean()), abs=0.02)


@pytest.mark.parametrize("categories", ["interval", "argmax"])
def test_a_fitted_mixture_integrates_to_one(categories: str) -> None:
    """A density that depends on a category with missing cells: sum over values, integral over numbers, by the bound."""
    n = 4000
    city = RNG.choice(3, n, p=[0.6, 0.3, 0.1]).astype(float)
    height = RNG.normal(size=n) + 2 * city
    city[RNG.random(n) < 0.2] = np.nan
    space = Table(
        (
            Column("height", "continuous", low=height.min(), high=height.max()),
            Column("city", "category", CITIES[:3], missing=True),
        )
    )
    overrides = {"components": 4, "covariance": "full", "table": {"categories": categories}}
    model = registry.build("gmm", space, None, overrides)
    x = torch.as_tensor(np.stack([height, city], 1))
    model.initialize(x)
    grid = torch.linspace(-7, 12, 400, dtype=torch.float64)
    total = 0.0
    for value in (0.0, 1.0, 2.0, math.nan):
        rows = torch.stack([grid, torch.full_like(grid, value)], 1)
        found = model.log_prob(rows, dequantization_draws=64)
        assert found.bound == "lower" and found.draws == 64
        total += float(torch.trapezoid(found.values.exp(), grid))
    assert 0.97 <= total <= 1.01
    # The bound rises with the number of draws, and the truth is above it.
    one, many = (model.log_prob(x[:500], dequantization_draws=k).mean() for k in (1, 64))
    assert one < many
    assert isinstance(model, Adapted)


@pytest.mark.parametrize("name", ["gmm", "kde", "real-nvp", "vae", "ddpm", "flow-matching"])
def test_no_likelihood_sums_to_more_than_one(name: str) -> None:
    """Two dependent categories, every combination, several draws: a bound of a bound must stay one."""
    a = RNG.choice(3, 600, p=[0.5, 0.3, 0.2]).astype(float)
    b = np.where(RNG.random(600) < 0.8, a, RNG.integers(0, 3, 600))
    space = Table((Column("a", "category", CITIES[:3]), Column("b", "category", CITIES[:3])))
    network = {"network": {"width": 16, "depth": 1}}
    over = {**({} if name in ("gmm", "kde") else network), **({"timesteps": 50} if name == "ddpm" else {})}
    model = registry.build(name, space, None, over)
    model.initialize(torch.as_tensor(np.stack([a, b], 1)))
    rows = torch.tensor([[i, j] for i in range(3) for j in range(3)]).double().repeat(20, 1)
    options = {"bound_steps": 16} if name == "ddpm" else {"steps": 10} if name == "flow-matching" else {}
    found = model.log_prob(rows, dequantization_draws=32, **options)
    assert found.bound == "lower"
    assert float(found.values.exp().view(20, 9).sum(1).mean()) <= 1.01


def test_samples_do_not_heap_up_at_the_ends_of_the_range() -> None:
    """A skewed column of few rows: its smallest value is a sample about as often as it is a row."""
    x = np.exp(RNG.normal(0, 1.2, 720))[:, None]
    space = Table((Column("price", "continuous", low=float(x.min()), high=float(x.max())),))
    for name in ("gmm", "kde"):
        model = registry.build(name, space)
        model.initialize(torch.as_tensor(x))
        drawn = model.sample(4000, seed=0)[:, 0]
        assert float((drawn <= x.min()).double().mean()) < 0.005, name
        assert float((drawn >= x.max()).double().mean()) < 0.005, name


def test_the_unit_names_what_is_counted() -> None:
    space, x = mixed(2000)
    model = registry.build("gmm", Table(space.columns[:2]), None, {"components": 1})
    model.initialize(torch.as_tensor(x[:, :2]))
    assert "Lebesgue in income, counting in the rest, counting at 0 in income" in model.log_prob(x[:5, :2]).unit


def test_a_density_follows_no_rule() -> None:
    """A number that has a density beside a category that decides it: its likelihood scales with its unit."""
    city = RNG.integers(0, 4, 2000).astype(float)
    level = np.array([1.5, 2.25, 9.125, 4.0625])[city.astype(int)]
    columns = (Column("city", "category", CITIES[:4]), Column("level", "continuous", low=1.5, high=9.125))
    pre = fitted(Table(columns), np.stack([city, level], 1))
    assert pre.derived() in ([], [0]) and pre.bound == "lower"


def test_statistics_keep_their_precision() -> None:
    space, x = mixed(500, 0.1)
    pre = fitted(space, x)
    before = pre.marginals.atoms.clone()
    noise = [Noise.of(0, index=torch.arange(50)) for _ in range(2)]
    expected = pre(torch.as_tensor(x[:50]), noise[0])[0]
    assert torch.equal(pre.float().marginals.atoms, before)
    assert torch.equal(pre(torch.as_tensor(x[:50]), noise[1])[0], expected)


def test_a_function_of_another_column_is_looked_up() -> None:
    n = 3000
    name = RNG.integers(0, 5, n).astype(float)
    code = (3 * name + 2) % 5
    space = Table((Column("name", "category", CITIES), Column("code", "integer", low=0, high=4, step=1.0)))
    x = np.stack([name, code], 1)
    pre = fitted(space, x)
    drawn = pre.inverse(torch.randn(2000, 2)).numpy()
    assert ((3 * drawn[:, 0] + 2) % 5 == drawn[:, 1]).all()
    # All of the mass is on rows that keep the rule, but for what n rows cannot exclude.
    every = np.array([[a, b] for a in range(5) for b in range(5)], dtype=float)
    p = independent(pre, every).exp()
    kept = torch.as_tensor((3 * every[:, 0] + 2) % 5 == every[:, 1])
    assert 0.99 < float(p[kept].sum()) < 1 and 0 < float(p[~kept].sum()) < 0.01
    assert float(p.sum()) <= 1 + 1e-6
    without = fitted(space, x, dependencies=False).inverse(torch.randn(2000, 2)).numpy()
    assert ((3 * without[:, 0] + 2) % 5 != without[:, 1]).mean() > 0.5


def test_the_gap_is_paid_for() -> None:
    """N(0, I) with half of each interval empty: half the probability for each column with values."""
    space, x = mixed(2000)
    x = x[:, 2:5]
    space = Table(space.columns[2:5])
    whole, halved = independent(fitted(space, x), x[:50]), independent(fitted(space, x, gap=0.5), x[:50])
    assert torch.allclose(whole - halved, torch.full_like(whole, 3 * math.log(2.0)), atol=1e-4)


def test_the_layout_does_not_depend_on_the_rows() -> None:
    """A saved model is built from its space, then takes its statistics: buffers of every size."""
    space, x = mixed(2000, 0.1)
    pre = fitted(space, x, categories="argmax")
    other = TablePreprocess(space, TableSettings(categories="argmax"))
    other.load_state_dict(pre.state_dict())
    noise = Noise.of(3, index=torch.arange(100))
    rows = torch.as_tensor(x[:100])
    assert torch.equal(other(rows, noise)[0], pre(rows, Noise.of(3, index=torch.arange(100)))[0])
