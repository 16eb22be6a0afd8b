r"""Numbers for cells that have none: draws given the row's other numbers, and their density.

A missing cell's numbers are free (variational augmentation), so the bound is

.. math:: \log p(x) \ge \mathbb{E}_q \big[ \log p(z_O, z_I) - \log q(z_I \mid z_O) \big],

the tighter, and the model the simpler, the closer q is to what the cell would have been. q is a factor analysis (Rubin
and Thayer 1982, "EM algorithms for ML factor analysis"): :math:`z = W h + \sqrt{\psi}\, \epsilon`, conditioned on the
numbers O that are there, with r factors h. All is linear algebra of r x r matrices, one a row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..model import Resizable

_ROWS, _ROUNDS = 10_000, 30
_LEAST = 0.01  # of a number's variance is its own: a number that others determine must not make q a point
_LOG_2PI = math.log(2 * math.pi)


class FactorFill(Resizable):
    """q(z_I | z_O) for D numbers. Unfitted, it is N(0, I).

    Buffers: `weights` W (D, r), `variance` psi (D,).
    """

    weights: Tensor
    variance: Tensor

    def __init__(self, d: int):
        super().__init__()
        self.d, self.factors = d, max(1, min(16, d // 2))
        self.register_buffer("weights", torch.zeros(d, self.factors, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(d, dtype=torch.float64))

    @torch.no_grad()
    def fit(self, z: Tensor, known: Tensor) -> None:
        """Expectation-maximization on rows z (n, D) float64, of which only `known` (n, D) numbers count."""
        z, known = z[:_ROWS], known[:_ROWS]
        generator = torch.Generator(z.device).manual_seed(0)
        start = torch.randn(self.d, self.factors, generator=generator, dtype=torch.float64, device=z.device)
        self.weights, self.variance = 0.3 * start, torch.full_like(self.variance, 0.7)
        mask = known.double()
        z = torch.where(known, z, 0.0)
        rows = mask.sum(0)
        usable = rows >= 2
        for _ in range(_ROUNDS):
            factor, mean = self._posterior(z, mask)
            second = torch.cholesky_inverse(factor) + mean[:, :, None] * mean[:, None, :]
            r = self.factors
            # Each number has its own regression on the factors, over the rows where it is known.
            moment = (mask.T @ second.flatten(1)).view(self.d, r, r)
            moment = moment + 1e-6 * torch.eye(r, dtype=z.dtype, device=z.device)
            cross = (mask * z).T @ mean
            weights = torch.linalg.solve(moment, cross[:, :, None])[:, :, 0]
            square = (mask * z.square()).sum(0)
            variance = (square - (weights * cross).sum(1)) / rows.clamp_min(1)
            self.weights = torch.where(usable[:, None], weights, 0.0)
            self.variance = torch.where(usable, variance.clamp_min(_LEAST), 1.0)

    def _posterior(self, z: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Cholesky factor (n, r, r) of the precision of h given the masked numbers, and its mean (n, r)."""
        scaled = self.weights / self.variance[:, None]
        outer = (scaled[:, :, None] * self.weights[:, None, :]).flatten(1)
        r = self.factors
        precision = (mask @ outer).view(-1, r, r) + torch.eye(r, dtype=z.dtype, device=z.device)
        factor = torch.linalg.cholesky(precision)
        mean = torch.cholesky_solve(((mask * z) @ scaled)[:, :, None], factor)[:, :, 0]
        return factor, mean

    def forward(self, z: Tensor, idle: Tensor, factors: Tensor | None, own: Tensor) -> tuple[Tensor, Tensor]:
        """z (n, D) with its `idle` numbers drawn, and log q of those (n,).

        Args:
            factors: standard normals (n, r) for h, or None for its mean. own: the same (n, D) for what is left.
        """
        mask = (~idle).double()
        factor, mean = self._posterior(torch.where(idle, 0.0, z), mask)
        h = mean
        if factors is not None:  # L^-T e has the covariance (L L^T)^-1
            h = mean + torch.linalg.solve_triangular(factor.mT, factors[:, :, None], upper=True)[:, :, 0]
        filled = torch.where(idle, h @ self.weights.T + self.variance.sqrt() * own, z)
        whole, both = self._posterior(filled, torch.ones_like(mask[:1]).expand_as(mask))
        each = filled.square() / self.variance + self.variance.log() + _LOG_2PI
        log_q = -0.5 * (each * idle).sum(1) + _energy(whole, both) - _energy(factor, mean)
        return filled, log_q


def _energy(factor: Tensor, mean: Tensor) -> Tensor:
    """What integrating over h adds to the log-density: (m^T L L^T m - log det L L^T) / 2."""
    quadratic = (factor.mT @ mean[:, :, None]).square().sum((1, 2))
    return 0.5 * quadratic - factor.diagonal(dim1=1, dim2=2).log().sum(1)
