r"""Modes of a known mixture: how many are found, and how many samples lie near one.

The usual numbers for the ring and the grid of Gaussians (Srivastava et al. 2017, VEEGAN, arXiv:1705.07761, sec. 5.1):
a sample is of high quality within three standard deviations of a mode, and a mode is found when a high-quality sample
is nearest to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ModeCount:
    """`found` of `modes` modes, and the share of samples that are of high quality."""

    found: int
    modes: int
    high_quality: float


def count_modes(samples: Tensor, centres: Tensor, std: float, *, radius: float = 3.0) -> ModeCount:
    r"""Modes found by samples (n, d), for modes at `centres` (k, d) of isotropic standard deviation `std`.

    A perfect sampler's share of high quality is :math:`P(\chi^2_d \le r^2)`; see `perfect_share`.
    """
    distances = torch.cdist(samples.double(), centres.double())
    nearest, mode = distances.min(dim=1)
    good = nearest <= radius * std
    return ModeCount(len(mode[good].unique()), len(centres), float(good.double().mean()))


def perfect_share(dimensions: int = 2, radius: float = 3.0) -> float:
    r"""What a perfect sampler of well-separated modes reaches: :math:`P(\chi^2_d \le r^2)`, 98.9% in the plane."""
    half, point = torch.tensor(dimensions / 2, dtype=torch.float64), torch.tensor(radius**2 / 2, dtype=torch.float64)
    return float(torch.special.gammainc(half, point))


def ring_centres(modes: int = 8) -> Tensor:
    r"""Centres (k, 2) of the built-in `ring`, at angles :math:`2\pi k / K` of the unit circle."""
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return torch.stack([angle.cos(), angle.sin()], dim=1)
