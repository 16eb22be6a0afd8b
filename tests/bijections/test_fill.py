"""The density of filled numbers is that of the multivariate normal, conditioned."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal

from pushforward.bijections.fill import FactorFill


def _fitted(n: int = 20_000, d: int = 6) -> tuple[FactorFill, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    weights = 0.7 * torch.randn(d, 2, generator=g, dtype=torch.float64)
    own = 0.2 + torch.rand(d, generator=g, dtype=torch.float64)
    z = torch.randn(n, 2, generator=g, dtype=torch.float64) @ weights.T
    z = z + own.sqrt() * torch.randn(n, d, generator=g, dtype=torch.float64)
    known = torch.rand(n, d, generator=g) > 0.3
    fill = FactorFill(d)
    fill.fit(z.masked_fill(~known, torch.nan), known)
    return fill, weights @ weights.T + own.diag()


def test_the_covariance_is_found_behind_missing_cells() -> None:
    fill, covariance = _fitted()
    assert float((fill.weights @ fill.weights.T + fill.variance.diag() - covariance).abs().max()) < 0.12


def test_the_density_is_conditional() -> None:
    fill, _ = _fitted()
    covariance = fill.weights @ fill.weights.T + fill.variance.diag()
    g = torch.Generator().manual_seed(1)
    z = torch.randn(30, 6, generator=g, dtype=torch.float64)
    idle = torch.rand(30, 6, generator=g) > 0.5
    noise = torch.randn(30, fill.factors, generator=g, dtype=torch.float64)
    filled, log_q = fill(z, idle, noise, torch.randn(30, 6, generator=g, dtype=torch.float64))
    assert torch.equal(filled[~idle], z[~idle])
    for row, gone, value in zip(filled, idle, log_q):
        whole = MultivariateNormal(torch.zeros(6).double(), covariance).log_prob(row)
        there = ~gone
        rest = MultivariateNormal(torch.zeros(int(there.sum())).double(), covariance[there][:, there])
        expected = whole - rest.log_prob(row[there]) if there.any() else whole
        assert abs(float(value - expected)) < 1e-9


def test_draws_have_the_conditional_moments() -> None:
    fill, _ = _fitted()
    covariance = fill.weights @ fill.weights.T + fill.variance.diag()
    n, g = 40_000, torch.Generator().manual_seed(2)
    z = torch.tensor([1.0, 0.0, 0.0, -0.5, 2.0, 0.0], dtype=torch.float64).expand(n, 6)
    idle = torch.tensor([False, True, True, False, False, True]).expand(n, 6)
    filled, _ = fill(
        z,
        idle,
        torch.randn(n, fill.factors, generator=g, dtype=torch.float64),
        torch.randn(n, 6, generator=g, dtype=torch.float64),
    )
    o, i = ~idle[0], idle[0]
    gain = covariance[i][:, o] @ torch.linalg.inv(covariance[o][:, o])
    mean, spread = gain @ z[0, o], covariance[i][:, i] - gain @ covariance[o][:, i]
    assert float((filled[:, i].mean(0) - mean).abs().max()) < 0.03
    assert float((filled[:, i].T.cov() - spread).abs().max()) < 0.04
