"""Draws docs/images/house.png: the parts of the package and what each may use."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

INK, PAPER = "#1f2937", "#ffffff"
ROOMS = [  # name, what, x, y, width, colour
    ("studies", "reproduce", 0.4, 6.4, 2.0, "#fde68a"),
    ("cli", "one module a command", 2.8, 6.4, 6.7, "#fde68a"),
    ("evaluation", "suites, floors, compare, the report", 0.4, 5.2, 4.6, "#bfdbfe"),
    ("divergences", "of known distributions", 6.5, 5.2, 2.2, "#bfdbfe"),
    ("training", "engine, runs, checkpoints", 0.4, 4.0, 2.5, "#bfdbfe"),
    ("data", "read, split, write", 3.2, 4.0, 1.8, "#bfdbfe"),
    ("conditional", "given cells, blanks", 5.3, 4.0, 1.9, "#bfdbfe"),
    ("quantities", "moments, events", 7.5, 4.0, 2.0, "#bfdbfe"),
    ("families", "classic, autoencoders, gans, flows, diffusion, flow matching  |  adapted", 0.4, 2.8, 9.1, "#bbf7d0"),
    ("paths", "schedules", 0.4, 1.6, 1.9, "#e9d5ff"),
    ("solvers", "ODE, chains", 2.6, 1.6, 2.1, "#e9d5ff"),
    ("bijections", "maps, preprocessing", 5.0, 1.6, 2.4, "#e9d5ff"),
    ("nn", "networks by role", 7.7, 1.6, 1.8, "#e9d5ff"),
    ("the contract", "spaces, noise, dataset, game, likelihood, model, config, registry", 0.4, 0.4, 9.1, "#e5e7eb"),
]


def main() -> None:
    figure, axes = plt.subplots(figsize=(10, 7.5), dpi=110, facecolor=PAPER)
    for name, what, x, y, width, colour in ROOMS:
        box = FancyBboxPatch((x, y), width, 0.78, boxstyle="round,pad=0.02,rounding_size=0.08", fc=colour, ec=INK, lw=1)
        axes.add_patch(box)
        axes.text(x + width / 2, y + 0.52, name, ha="center", va="center", fontsize=12, weight="bold", color=INK)
        axes.text(x + width / 2, y + 0.22, what, ha="center", va="center", fontsize=8.5, color=INK)
    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
    for x, top, bottom in [
        (1.65, 4.0, 3.6), (6.25, 4.0, 3.6), (8.5, 4.0, 3.6),
        (1.35, 2.8, 2.4), (3.65, 2.8, 2.4), (6.2, 2.8, 2.4), (8.6, 2.8, 2.4),
        (1.35, 1.6, 1.2), (3.65, 1.6, 1.2), (6.2, 1.6, 1.2), (8.6, 1.6, 1.2),
    ]:  # fmt: skip
        axes.annotate("", (x, bottom), (x, top), arrowprops=arrow)
    for start, end in [
        ((1.4, 6.4), (1.4, 6.0)),
        ((3.9, 6.4), (3.9, 6.0)),
        ((5.9, 6.4), (5.9, 4.8)),
        ((9.1, 6.4), (9.1, 4.8)),
        ((1.65, 5.2), (1.65, 4.8)),
        ((4.1, 5.2), (4.1, 4.8)),
        ((7.5, 4.4), (7.2, 4.4)),
    ]:
        axes.annotate("", end, start, arrowprops=arrow)
    axes.annotate("", (3.2, 4.4), (2.9, 4.4), arrowprops=arrow)
    axes.annotate("", (5.0, 4.4), (5.3, 4.4), arrowprops=arrow)
    axes.set_xlim(0, 10)
    axes.set_ylim(0.1, 7.4)
    axes.set_aspect("equal")
    axes.axis("off")
    figure.tight_layout(pad=0.3)
    path = Path(__file__).parent / "images" / "house.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, facecolor=PAPER)


if __name__ == "__main__":
    main()
