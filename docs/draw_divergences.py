"""Draws the figures of docs/divergences.md: docs/images/{line_segments,earth_mover,attained}.png."""

from __future__ import annotations

from pathlib import Path

from pushforward.divergences import Gaussian, Mixture, draw_line_segments, wasserstein1
from pushforward.divergences.pictures import draw_attained, write

IMAGES = Path(__file__).parent / "images"

PILES = [0.05, 0.2, 0.3, 0.2, 0.1, 0.1, 0.05, 0.0, 0.0, 0.0], [0.0, 0.0, 0.05, 0.05, 0.1, 0.2, 0.05, 0.2, 0.3, 0.05]
"""Two piles of earth on ten places, of which the second is to be made from the first."""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    write(draw_line_segments(), IMAGES / "line_segments.png")
    wasserstein1(*PILES).plan.plot(IMAGES / "earth_mover.png")
    bumps = Mixture([0.6, 0.4], [Gaussian(-2, 0.5), Gaussian(2, 1)])
    write(draw_attained(bumps, Gaussian(0, 4)), IMAGES / "attained.png")


if __name__ == "__main__":
    main()
