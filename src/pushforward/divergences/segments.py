"""Two parallel line segments: the example that shows why a distance should feel how far apart things are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .distributions import Discrete, Samples


@dataclass(frozen=True)
class LineSegments:
    r"""P: (0, W) and Q: (theta, V), with W and V uniform on (0, 1).

    The segments share no point unless theta = 0, so everything but W1 is the same at theta = 0.001 and at 100, and has
    no slope that a generator could follow.

    Source: Arjovsky et al. 2017, Wasserstein GAN, arXiv:1701.07875, example 1.
    """

    theta: float

    @property
    def total_variation(self) -> float:
        """1, or 0 at theta = 0."""
        return float(self.theta != 0)

    @property
    def kl(self) -> float:
        """Infinite in both directions, or 0 at theta = 0."""
        return math.inf if self.theta else 0.0

    @property
    def jensen_shannon(self) -> float:
        """log 2, or 0 at theta = 0."""
        return math.log(2) if self.theta else 0.0

    @property
    def wasserstein1(self) -> float:
        """|theta|: every grain moves straight across."""
        return abs(self.theta)

    def discrete(self, n: int = 50) -> tuple[Discrete, Discrete]:
        """P and Q on n equally spaced heights: their distances are the closed forms, at every n."""
        height = (np.arange(n) + 0.5) / n
        return tuple(  # type: ignore[return-value]
            Discrete(np.stack([np.full(n, x), height], 1), np.full(n, 1 / n)) for x in (0.0, self.theta)
        )

    def sample(self, n: int, seed: int = 0) -> tuple[Samples, Samples]:
        """n independent draws of each. Their W1 is |theta| at least, and tends to it."""
        heights = np.random.default_rng(seed).random((2, n))
        return (
            Samples(np.stack([np.zeros(n), heights[0]], 1)),
            Samples(np.stack([np.full(n, self.theta), heights[1]], 1)),
        )


def line_segments(theta: float) -> LineSegments:
    """The example at `theta`: closed forms, the same on a grid of points, and samples.

    Raises:
        InputError: if theta is not a finite number.
    """
    if not math.isfinite(theta):
        raise InputError(f"theta is {theta}.", "Give a finite number.")
    return LineSegments(float(theta))
