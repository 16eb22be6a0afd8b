"""Pictures of transport plans, of the two segments, and of what each distance is attained by."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .distributions import Density, as_pair
from .plan import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, INK = "#0072b2", "#d55e00", "#009e73", "#8a8f98", "#1f2937"
"""Okabe and Ito 2008: told apart with every kind of colour vision. P is blue and Q is orange."""

CELLS = 250_000
"""Cells of a matrix that is drawn, at most."""


def draw_plan(plan: Plan) -> Figure:
    """The piles of P and Q with the ways between them (in one and two dimensions), and the plan as a matrix.

    Raises:
        InputError: if the matrix would have more than 250,000 cells.
    """
    from matplotlib.figure import Figure

    n, m, d = len(plan.source), len(plan.target), plan.source.shape[1]
    if n * m > CELLS:
        raise InputError(f"a plan of {n:,} x {m:,} points is too large for a picture.", "Draw that of fewer points.")
    figure = Figure(figsize=(11 if d <= 2 else 5.5, 4.8), dpi=120, layout="constrained")
    if d <= 2:
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        (_piles if d == 1 else _ways)(left, plan)
    else:
        right = figure.subplots()
    _matrix(figure, right, plan)
    return figure


def draw_line_segments(thetas: Any = None) -> Figure:
    """The four distances of the two segments against theta: closed forms as lines, points of a grid as dots.

    Args:
        thetas: where the dots are; the default is 9 places from -1 to 1, with 0.
    """
    from matplotlib.figure import Figure

    from .entropies import jensen_shannon, kl
    from .segments import line_segments
    from .transport import wasserstein1
    from .variation import total_variation

    thetas = np.linspace(-1, 1, 9) if thetas is None else np.asarray(thetas, dtype=np.float64)
    pairs = [line_segments(float(t)).discrete(20) for t in thetas]
    low, high = min(-1.0, float(thetas.min())), max(1.0, float(thetas.max()))
    figure = Figure(figsize=(11, 5.6), dpi=120, layout="constrained")
    plane, rest = np.asarray(figure.subfigures(1, 2, width_ratios=[1, 2.3]))
    axes = plane.subplots()
    for x, name, colour in ((0.0, "P", BLUE), (0.6, "Q", ORANGE)):
        axes.plot([x, x], [0, 1], color=colour, lw=4, solid_capstyle="butt")
        axes.text(x, 1.04, name, color=colour, ha="center", fontsize=13, weight="bold")
    axes.annotate("", (0.58, 0.5), (0.02, 0.5), arrowprops={"arrowstyle": "<->", "color": INK})
    axes.text(0.3, 0.52, r"$\theta$", ha="center", va="bottom", fontsize=13, color=INK)
    axes.set(xlim=(-0.3, 0.9), ylim=(-0.1, 1.2), xlabel="first coordinate", ylabel="second coordinate")
    axes.set_title("two uniform segments", fontsize=11)
    panels = rest.subplots(2, 2, sharex=True)
    infinite = 1.0
    rows = [
        ("total variation", total_variation, 1.0, (-0.1, 1.25)),
        ("KL (nats)", kl, infinite, (-0.1, 1.25)),
        ("Jensen-Shannon (nats)", jensen_shannon, math.log(2), (-0.07, 0.87)),
        ("Wasserstein-1 (length)", wasserstein1, None, (-0.1 * high, 1.25 * max(high, -low))),
    ]
    for axes, (name, distance, constant, limits) in zip(panels.flat, rows):
        if constant is None:
            axes.plot([low, 0, high], [-low, 0, high], color=INK, lw=1.8, zorder=1)
        else:
            axes.plot([low, 0], [constant] * 2, color=INK, lw=1.8, zorder=1)
            axes.plot([0, high], [constant] * 2, color=INK, lw=1.8, zorder=1)
            axes.plot(0, constant, "o", mfc="white", mec=INK, ms=7, zorder=2)  # the value is not taken at 0
            axes.plot(0, 0, "o", color=INK, ms=9, zorder=2)
        values = np.array([float(distance(*pair)) for pair in pairs])
        axes.plot(thetas, np.where(np.isinf(values), infinite, values), "D", color=ORANGE, ms=4.5, zorder=3)
        if name.startswith("KL"):
            axes.set_yticks([0, infinite], ["0", r"$\infty$"])
        elif name.startswith("Jensen"):
            axes.set_yticks([0, math.log(2)], ["0", "log 2"])
        axes.set(xlim=(low - 0.1, high + 0.1), ylim=limits, ylabel=name, xlabel=r"$\theta$")
        axes.grid(color="#e5e7eb", lw=0.6)
        axes.set_axisbelow(True)
        axes.xaxis.set_tick_params(labelbottom=True)
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=INK, lw=1.8),
        Line2D([], [], ls="", marker="o", mfc="white", mec=INK, ms=7),
        Line2D([], [], ls="", marker="o", color=INK, ms=9),
        Line2D([], [], ls="", marker="D", color=ORANGE, ms=4.5),
    ]
    labels = [
        "closed form",
        r"not the value at $\theta$ = 0",
        r"value at $\theta$ = 0",
        "from 20 points a segment",
    ]
    rest.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def draw_attained(p: Any, q: Any) -> Figure:
    """For two densities on the line: the event of TV, the optimal discriminator, and a Kantorovich potential.

    Raises:
        InputError: if one of them is no density on the line.
    """
    from matplotlib.figure import Figure

    from .discriminator import optimal_discriminator
    from .entropies import jensen_shannon
    from .line import nodes
    from .potentials import kantorovich_potentials
    from .variation import total_variation

    p, q = as_pair(p, q)
    if p.dimension != 1 or not (isinstance(p, Density) and isinstance(q, Density)):
        raise InputError(f"{p} and {q} are no two densities on the line.", "Give Gaussians or mixtures of them.")
    variation, potential = total_variation(p, q), kantorovich_potentials(p, q)
    x = nodes(p, q)
    shown = np.maximum(np.exp(p.log_density(x)), np.exp(q.log_density(x)))
    x = x[shown > 1e-3 * shown.max()]
    a, b = np.exp(p.log_density(x)), np.exp(q.log_density(x))
    figure = Figure(figsize=(8.5, 7.2), dpi=120, layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[1.4, 1, 1])
    top.plot(x, a, color=BLUE, lw=2, label="p")
    top.plot(x, b, color=ORANGE, lw=2, ls="--", label="q")
    top.fill_between(x, b, a, where=list(a > b), color=BLUE, alpha=0.2, lw=0, label=f"area TV = {variation.value:.3f}")
    for low, high in variation.event.intervals or ():
        ends = (max(low, x[0]), min(high, x[-1]))
        top.plot(ends, [-0.03 * a.max()] * 2, color=GREEN, lw=5, solid_capstyle="butt")
    top.plot([], [], color=GREEN, lw=5, label="the event A = {p > q}")
    top.set_ylabel("density")
    top.legend(frameon=False, fontsize=9)
    middle.plot(x, optimal_discriminator(p, q)(x), color=INK, lw=2)
    middle.axhline(0.5, color=GREY, lw=0.8, ls=":")
    middle.set(ylim=(-0.05, 1.05), ylabel="D* = p / (p + q)")
    middle.set_title(f"the optimal discriminator; JS = {jensen_shannon(p, q).value:.3f} nats", fontsize=10)
    bottom.plot(x, potential(x), color=INK, lw=2)
    bottom.set(ylabel="f", xlabel="x")
    bottom.set_title(
        f"a Kantorovich potential: slopes of 1 and -1; $E_p f - E_q f$ = W1 = {potential.distance:.3f}", fontsize=10
    )
    return figure


def write(figure: Figure, path: str | Path) -> Path:
    """Save a figure, whole or not at all.

    Raises:
        InputError: if the folder cannot be written or the ending is no format of pictures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    kind, known = path.suffix.lower().lstrip("."), FigureCanvasAgg(figure).get_supported_filetypes()
    if kind not in known:
        raise InputError(f"{path}: {path.suffix or 'no ending'} is no format of pictures.", "Use .png, .pdf or .svg.")
    content = io.BytesIO()
    figure.savefig(content, format=kind)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content.getvalue())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}.", "Choose a folder that exists.") from error
    return path


def _piles(axes: Any, plan: Plan) -> None:
    """P above, Q below, upside down, and the mass that goes from one to the other."""
    x, y = plan.source[:, 0], plan.target[:, 0]
    every = np.unique(np.concatenate([x, y]))
    width = 0.8 * max(float(np.diff(every).min()), float(np.ptp(every)) / 150) if len(every) > 1 else 0.8
    tallest = float(max(plan.source_weights.max(), plan.target_weights.max()))
    gap = 1.2 * tallest
    axes.bar(x, plan.source_weights, width, bottom=gap, color=BLUE)
    axes.bar(y, -plan.target_weights, width, color=ORANGE)
    moves = plan.moves(len(plan.mass))
    thick = 5 * min(1.0, 15 / max(1, len(moves))) / tallest
    for move in reversed(moves):
        (start,), (end,) = move.start, move.end
        axes.annotate(
            "", (end, 0.02 * tallest), (start, gap - 0.02 * tallest),
            arrowprops={"arrowstyle": "-|>", "color": INK, "alpha": 0.75, "lw": 0.6 + thick * move.mass,
                        "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9 if len(moves) < 30 else 5},
        )  # fmt: skip
    stays = plan.distances == 0
    for at, mass in zip(x[plan.rows[stays]], plan.mass[stays]):
        axes.plot([at, at], [0, gap], color=GREY, ls=":", lw=0.6 + thick * mass, zorder=0)
    axes.axhline(0, color=INK, lw=0.8)
    axes.axhline(gap, color=INK, lw=0.8)
    ticks = np.linspace(0, tallest, 3).tolist()
    axes.set_yticks([-t for t in ticks] + [gap + t for t in ticks], [f"{t:.2g}" for t in ticks] * 2)
    axes.set(xlabel="x", ylabel="mass", ylim=(-1.15 * tallest, gap + 1.15 * tallest))
    axes.text(0.01, 0.98, "P", color=BLUE, transform=axes.transAxes, va="top", fontsize=13, weight="bold")
    axes.text(0.01, 0.02, "Q", color=ORANGE, transform=axes.transAxes, va="bottom", fontsize=13, weight="bold")
    axes.set_title(f"earth moved from P to Q: mass x distance = {plan.cost:.4g}", fontsize=11)


def _ways(axes: Any, plan: Plan) -> None:
    """Points of the plane, with a line for each entry of the plan."""
    from matplotlib.collections import LineCollection

    ways = np.stack([plan.source[plan.rows], plan.target[plan.columns]], axis=1)
    axes.add_collection(
        LineCollection(list(ways), colors=INK, alpha=0.5, linewidths=(0.3 + 2.5 * plan.mass / plan.mass.max()).tolist())
    )
    for points, weights, colour, marker, name in (
        (plan.source, plan.source_weights, BLUE, "o", "P"),
        (plan.target, plan.target_weights, ORANGE, "^", "Q"),
    ):
        axes.scatter(*points.T, s=60 * weights / weights.max(), color=colour, marker=marker, label=name, zorder=2)
    axes.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    axes.legend(frameon=False)
    axes.set_title(f"earth moved from P to Q: mass x distance = {plan.cost:.4g}", fontsize=11)


def _matrix(figure: Figure, axes: Any, plan: Plan) -> None:
    """Row x, column y, in the order of the points on the line; the two marginals are the sums."""
    line = plan.source.shape[1] == 1
    rows = np.argsort(plan.source[:, 0], kind="stable") if line else np.arange(len(plan.source))
    columns = np.argsort(plan.target[:, 0], kind="stable") if line else np.arange(len(plan.target))
    matrix = plan.matrix[np.ix_(rows, columns)]
    image = axes.imshow(np.where(matrix > 0, matrix, np.nan), cmap="viridis_r", aspect="auto", vmin=0)
    figure.colorbar(image, ax=axes, label="mass moved")
    if max(matrix.shape) <= 16:
        for (i, j), mass in np.ndenumerate(matrix):
            if mass > 0:
                dark = mass > 0.6 * matrix.max()
                axes.text(j, i, f"{mass:.2g}", ha="center", va="center", fontsize=7, color="white" if dark else INK)
        if line:
            axes.set_yticks(range(len(rows)), [f"{v:g}" for v in plan.source[rows, 0]])
            axes.set_xticks(range(len(columns)), [f"{v:g}" for v in plan.target[columns, 0]])
    axes.set_ylabel("from x (rows sum to P)", color=BLUE)
    axes.set_xlabel("to y (columns sum to Q)", color=ORANGE)
    axes.set_title(r"the plan $\gamma(x, y)$", fontsize=11)
