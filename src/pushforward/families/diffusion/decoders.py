r"""The last factor of a diffusion, :math:`p(x_0 \mid x_1) = N(\mu, \sigma^2)` read as a distribution of data."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.special import log_ndtr


def gaussian_log_prob(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log-density of N(mean, variance I) in nats, (n,)."""
    return -0.5 * ((x - mean).square() / variance + torch.log(2 * math.pi * variance)).flatten(1).sum(1)


def discretized_gaussian_log_prob(x: Tensor, mean: Tensor, variance: Tensor, levels: int) -> Tensor:
    r"""Log-probability of levels under a rounded Gaussian, in nats, (n,): Ho et al. 2020, eq. 13, for any levels L.

    Level x of 0..L-1 sits at :math:`y = 2x/(L-1) - 1` and owns the interval :math:`y \pm 1/(L-1)`; the first and last
    own the tails, so that the levels' probabilities sum to one. The difference of the two distribution functions is
    taken in the lower tail (by symmetry) and in logarithms: no level's probability underflows or needs a floor.

    Args:
        x: (n, ...) integers. mean: (n, ...) in [-1, 1] units. variance: broadcasts against it.
    """
    half = 1 / (levels - 1)
    mean = mean.double()
    scale = variance.double().sqrt()
    centre = x.to(mean.dtype) * (2 * half) - 1 - mean
    # P(interval) is even in its centre: put the interval in the lower tail, where log_ndtr is accurate.
    upper, lower = (half - centre.abs()) / scale, (-half - centre.abs()) / scale
    log_upper = log_ndtr(upper)
    inside = log_upper + torch.log(-torch.expm1(log_ndtr(lower) - log_upper))
    first, last = log_ndtr((centre + half) / scale), log_ndtr((half - centre) / scale)
    log_p = torch.where(x == 0, first, torch.where(x == levels - 1, last, inside))
    return log_p.flatten(1).sum(1)
