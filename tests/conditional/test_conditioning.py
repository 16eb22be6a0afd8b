"""Mixtures conditioned on regions: densities and moments in closed form, masses by scipy and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.conditional.conditioning import draw_rows, kish
from pushforward.conditional.mixture import Mixture, fit_mixture, mixture_of
from pushforward.conditional.pool import Pool, draw_pool
from pushforward.conditional.regions import Region
from pushforward.dataset import Dataset
from pushforward.noise import Noise
from pushforward.registry import build
from pushforward.spaces import Classes, Real

from .tables import conditional, uniform_noise

K, D = 3, 4


def mixture(diagonal: bool = False) -> Mixture:
    generator = torch.Generator().manual_seed(0)
    factor = 0.5 * torch.randn(K, D, D, generator=generator, dtype=torch.float64).tril()
    factor.diagonal(dim1=1, dim2=2).abs_().add_(0.4)
    means = torch.randn(K, D, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    return Mixture(weights, means, factor.diagonal(dim1=1, dim2=2).contiguous() if diagonal else factor)


def where(
    intervals: dict[int, list[tuple[float, float]]], points: dict[int, float] | None = None, rows: int = 1
) -> Region:
    low = torch.full((rows, D, 2), math.inf, dtype=torch.float64)
    high = -low
    low[:, :, 0], high[:, :, 0] = -math.inf, math.inf
    point = torch.zeros(rows, D, dtype=torch.bool)
    for j, pairs in intervals.items():
        for k, (a, b) in enumerate(pairs):
            low[:, j, k], high[:, j, k] = a, b
    for j, value in (points or {}).items():
        low[:, j, 0], high[:, j, 0], point[:, j] = value, value, True
    return Region(low, high, point, torch.arange(rows))


def components(mix: Mixture) -> list[tuple[float, np.ndarray, np.ndarray]]:
    return [(float(w), m.numpy(), c.numpy()) for w, m, c in zip(mix.log_weights.exp(), mix.means, mix.covariances())]


@pytest.mark.parametrize("diagonal", [False, True])
def test_densities_are_scipy_s(diagonal: bool) -> None:
    mix = mixture(diagonal)
    z = torch.randn(50, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = sum(w * stats.multivariate_normal.pdf(z, m, c) for w, m, c in components(mix))
    np.testing.assert_allclose(mix.log_prob(z), np.log(expected), rtol=1e-9)


@pytest.mark.parametrize("diagonal", [False, True])
def test_points_are_conditioned_in_closed_form(diagonal: bool) -> None:
    mix = mixture(diagonal)
    values = [0.3, -0.5]
    known, rest = [1, 3], [0, 2]
    region = where({}, dict(zip(known, values)))
    weights, means, covariances = [], [], []
    for w, m, c in components(mix):
        weights.append(w * stats.multivariate_normal.pdf(values, m[known], c[np.ix_(known, known)]))
        mean, covariance = conditional(m, c, known, values)
        means.append(mean), covariances.append(covariance)
    share = np.array(weights) / np.sum(weights)
    mean = share @ np.array(means)
    second = sum(s * (c + np.outer(m, m)) for s, m, c in zip(share, means, covariances))
    n = 40_000
    pool = draw_pool(mix, region, n, 1)
    rows = draw_rows(mix, where({}, dict(zip(known, values)), 400), 400, 100, uniform_noise(400))
    assert pool is not None and pool.is_exact and bool(rows.ess.isinf().all())
    assert pool.log_mass == pytest.approx(math.log(np.sum(weights)), rel=1e-9)
    np.testing.assert_allclose(rows.log_mass, math.log(np.sum(weights)), rtol=1e-9)
    for z in (pool.z, rows.z.flatten(0, 1)):
        assert (z[:, known] == torch.tensor(values, dtype=torch.float64)).all()
        spread = np.sqrt(second.diagonal() - mean**2)
        np.testing.assert_allclose(z[:, rest].mean(0), mean, atol=5 * spread.max() / math.sqrt(n))
        np.testing.assert_allclose(z[:, rest].T @ z[:, rest] / n, second, rtol=0.03, atol=0.05)


@pytest.mark.parametrize("diagonal", [False, True])
def test_masses_of_boxes_are_scipy_s(diagonal: bool) -> None:
    mix = mixture(diagonal)
    region = where({0: [(-1.0, 0.5)], 2: [(0.0, 2.0)], 3: [(-math.inf, 0.2)]})
    expected = 0.0
    for w, m, c in components(mix):
        expected += w * stats.multivariate_normal.cdf(
            [0.5, math.inf, 2.0, 0.2], m, c, lower_limit=[-1.0, -math.inf, 0.0, -math.inf], abseps=1e-8
        )
    pool = draw_pool(mix, region, 20_000, 3)
    assert pool is not None and pool.is_exact == diagonal
    assert pool.log_mass == pytest.approx(math.log(expected), abs=1e-5 if diagonal else 0.01)
    rows = draw_rows(
        mix, where({0: [(-1.0, 0.5)], 2: [(0.0, 2.0)], 3: [(-math.inf, 0.2)]}, rows=50), 50, 1, uniform_noise(50)
    )
    np.testing.assert_allclose(rows.log_mass.logsumexp(0) - math.log(50), math.log(expected), atol=0.02)


@pytest.mark.parametrize("diagonal", [False, True])
def test_draws_in_unions_of_intervals_are_those_of_rejection(diagonal: bool) -> None:
    mix = mixture(diagonal)
    asked = {1: [(0.3, 0.8), (-1.0, -0.5)], 2: [(-math.inf, 0.0), (1.0, math.inf)], 3: [(-0.5, 1.5)]}
    region = where(asked)
    generator = torch.Generator().manual_seed(2)
    which = torch.multinomial(mix.log_weights.exp(), 400_000, replacement=True, generator=generator)
    e = torch.randn(400_000, D, generator=generator, dtype=torch.float64)
    factor = torch.linalg.cholesky(mix.covariances())
    z = mix.means[which] + (factor[which] @ e[:, :, None])[..., 0]
    accepted = z[region.distance(z) == 0]
    pool = draw_pool(mix, region, 20_000, 1)
    assert pool is not None
    assert pool.log_mass == pytest.approx(math.log(len(accepted) / 400_000), abs=4 / math.sqrt(len(accepted)))
    index, ess = pool.choose(10_000, 0)
    rows = draw_rows(mix, where(asked, rows=500), 500, 20, uniform_noise(500))
    for found in (pool.z[index], rows.z.flatten(0, 1)):
        assert bool((region.distance(found) < 1e-9).all())
        error = accepted.std(0) * math.sqrt(1 / 5_000 + 1 / len(accepted))
        assert bool(((found.mean(0) - accepted.mean(0)).abs() < 4 * error).all())
        for j in range(D):
            assert stats.ks_2samp(found[:, j], accepted[:5_000, j]).pvalue > 1e-4
    assert ess <= 10_000 and (diagonal or ess < 10_000)


def test_a_row_s_draws_are_its_own() -> None:
    mix = mixture()
    asked = where({1: [(0.3, 0.8)], 2: [(-1.0, 0.0)], 3: [(0.0, 1.0)]}, rows=30)
    asked.low[7:, 2] = -math.inf
    asked.high[7:, 2, 0] = math.inf
    index = torch.arange(30)
    together = draw_rows(mix, asked, 30, 3, Noise.of(5, index=index))
    some = torch.tensor([20, 3])
    apart = draw_rows(mix, asked.of_rows(some), 2, 3, Noise.of(5, index=some))
    torch.testing.assert_close(apart.z, together.z[some], rtol=1e-9, atol=1e-9)


def test_weights_of_pools() -> None:
    log_weights = torch.tensor([0.0, 0.0, 1.0, -math.inf], dtype=torch.float64)
    pool = Pool(torch.arange(4.0)[:, None].double(), torch.zeros(4), log_weights)
    w = np.exp([0.0, 0.0, 1.0])
    assert pool.ess == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert pool.log_mass == pytest.approx(math.log(w.sum() / 4))
    index, ess = pool.choose(1_000, 3)
    counts = np.bincount(index, minlength=4)
    np.testing.assert_allclose(counts[:3], 1_000 * w / w.sum(), atol=1)  # systematic: as many as they should be
    assert counts[3] == 0 and ess == pytest.approx(1 / (1 / 1_000 + 1 / pool.ess))
    even = Pool(torch.zeros(8, 1), torch.zeros(8), torch.zeros(8, dtype=torch.float64))
    assert even.is_exact and even.choose(5, 0)[1] == 5
    weights = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert kish(weights).tolist() == [2.0, 3.0]


def test_an_empty_interval_has_no_mass() -> None:
    assert draw_pool(mixture(), where({0: [(2.0, 1.0)]}), 100, 0) is None


def test_a_fitted_mixture_covers_the_rows() -> None:
    mix = mixture()
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(3_000, D, generator=generator, dtype=torch.float64)
    found = fit_mixture(z, components=4)
    assert len(found) == 5 and float(found.log_weights.exp().sum()) == pytest.approx(1)
    assert float(found.log_prob(z).mean()) == pytest.approx(-0.5 * D * math.log(2 * math.pi * math.e), abs=0.1)
    far = torch.full((1, D), 6.0, dtype=torch.float64)  # six deviations out the wide component still reaches
    exact = -0.5 * float(far.square().sum()) - 0.5 * D * math.log(2 * math.pi)
    assert float(found.log_prob(far)) > exact and mix.dimensions == D


def core(name: str, condition_space: object = None, **options: object) -> object:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(300, 2, generator=generator)
    model = build(name, Real((2,)), condition_space, options).core  # type: ignore[arg-type, attr-defined]
    c = None
    if isinstance(condition_space, Classes):
        c = (x[:, 0] > 0.5).long()
    elif condition_space is not None:
        c = x[:, :1] + 0.5 * torch.randn(300, 1, generator=generator)
    data = Dataset(x, c, space=model.space, condition_space=model.condition_space)
    model.remember_conditions(data)
    model.start(data, Noise.of(0, index=torch.arange(300)))
    return model.eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gmm", {"components": 3, "covariance": "full"}),
        ("gmm", {"components": 3, "covariance": "tied"}),
        ("gmm", {"components": 2, "covariance": "spherical"}),
        ("kde", {"bandwidth": 0.3}),
    ],
)
def test_the_mixture_of_a_model_is_the_model(name: str, options: dict[str, object]) -> None:
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(5))
    model = core(name, **options)
    torch.testing.assert_close(mixture_of(model).log_prob(x), model.log_prob(x).values, rtol=1e-6, atol=1e-6)
    classes = core(name, Classes(2), **options)
    for k in (0, 1):
        expected = classes.log_prob(x, k).values
        torch.testing.assert_close(mixture_of(classes, k).log_prob(x), expected, rtol=1e-6, atol=1e-6)
    both = mixture_of(classes, None, classes.conditions)
    share = classes.conditions.weights
    expected = torch.logsumexp(torch.stack([share[k].log() + classes.log_prob(x, k).values for k in (0, 1)]), 0)
    torch.testing.assert_close(both.log_prob(x), expected, rtol=1e-6, atol=1e-6)
    assert both.classes is not None and set(both.classes.tolist()) == {0, 1}
    vector = core(name, Real((1,)), **options)
    joint = mixture_of(vector)
    c = torch.linspace(-1, 1, 20)[:, None]
    given = vector.condition_space and joint.leading
    assert given == 1

    def marginal(values: Tensor) -> Tensor:
        wide = where_all(len(values), values)
        return torch.stack([torch.tensor(draw_pool(joint, wide[torch.tensor([i])], 1, 0).log_mass) for i in range(20)])

    expected = joint.log_prob(torch.cat([c, x], 1)) - marginal(c)
    torch.testing.assert_close(vector.log_prob(x, c).values, expected, rtol=1e-5, atol=1e-5)


def where_all(rows: int, values: Tensor) -> Region:
    """Everything, given that the first number is known."""
    whole = torch.full((rows, 2, 1), math.inf, dtype=torch.float64)
    return Region(-whole, whole, torch.zeros(rows, 2, dtype=torch.bool), torch.zeros(rows).long()).led_by(values)
