r"""Gaussian posteriors :math:`q(z \mid x) = N(\mu, \Sigma)` from the numbers that an encoder gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

PosteriorName = Literal["diagonal", "full"]


@dataclass(frozen=True)
class GaussianPosterior:
    r""":math:`N(\mu, L L^\top)` with a lower triangular L, whose diagonal is kept as its logarithm.

    Attributes:
        mean: (n, d).
        log_diagonal: (n, d), :math:`\log L_{ii}`: log standard deviations when diagonal.
        lower: (n, d, d) strictly lower triangle of L, or None when diagonal.
    """

    mean: Tensor
    log_diagonal: Tensor
    lower: Tensor | None = None

    @staticmethod
    def outputs(kind: PosteriorName, d: int) -> int:
        """How many numbers the encoder gives for a d-dimensional code."""
        return 2 * d + (d * (d - 1) // 2 if kind == "full" else 0)

    @staticmethod
    def of(numbers: Tensor, d: int) -> GaussianPosterior:
        """From encoder outputs (n, outputs): mean, log-diagonal, then the strictly lower triangle row by row."""
        mean, log_diagonal, rest = numbers.tensor_split((d, 2 * d), dim=1)
        if rest.shape[1] == 0:
            return GaussianPosterior(mean, log_diagonal)
        row, column = torch.tril_indices(d, d, -1, device=numbers.device)
        lower = numbers.new_zeros(len(numbers), d, d).index_put(
            (torch.arange(len(numbers), device=numbers.device)[:, None], row, column), rest
        )
        return GaussianPosterior(mean, log_diagonal, lower)

    def draw(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        r"""The reparametrized draw :math:`z = \mu + L \epsilon` of eps (..., n, d) ~ N(0, I), and log q(z) (..., n).

        Kingma and Welling 2014, arXiv:1312.6114, sec. 2.4;
        :math:`\log q = -\tfrac12 |\epsilon|^2 - \sum_i \log L_{ii} - \tfrac d2 \log 2\pi`.
        """
        step = eps * torch.exp(self.log_diagonal)
        if self.lower is not None:
            step = step + (self.lower @ eps[..., None])[..., 0]
        return self.mean + step, standard_normal_log_prob(eps) - self.log_diagonal.sum(1)

    def kl(self) -> Tensor:
        r""":math:`D_{KL}(q \| N(0, I)) = \tfrac12 (|L|_F^2 + |\mu|^2 - d) - \sum_i \log L_{ii}` in nats, (n,)."""
        square = torch.exp(2 * self.log_diagonal) + self.mean.square() - 1
        total = 0.5 * square.sum(1) - self.log_diagonal.sum(1)
        return total if self.lower is None else total + 0.5 * self.lower.square().sum((1, 2))


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, I) over the last axis."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


def active_units(codes: Tensor, threshold: float = 0.01) -> int:
    r"""How many code dimensions carry information: those with :math:`\operatorname{Var}_x E[z \mid x] >` threshold.

    Burda et al. 2016, arXiv:1509.00519, sec. 5.2. The others have collapsed to the prior.

    Args:
        codes: (n, d) posterior means (`model.encode(x)`) of at least two examples.
    """
    return int((codes.double().var(0) > threshold).sum())
