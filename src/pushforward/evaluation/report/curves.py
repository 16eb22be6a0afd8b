"""Curves a model: losses over training, and whether held-out rows are as likely as the model's own samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..results import Pictures, Report
from .numbers import number
from .scales import Scale, fitted
from .svg import Drawing
from .text import escape, figure, named, shortened, tag

_WIDTH, _HEIGHT = 330.0, 190.0
_LEFT, _TOP, _FOOT = 58.0, 8.0, 38.0
_BLOCKS = 160
_LINES = 4
"""Line styles, by their class; more lines repeat them."""


def _names(report: Report, found: Sequence[str]) -> list[str]:
    order = [row.name for row in report.rows if row.name in found]
    return order + [name for name in found if name not in order]


# ------------------------------------------------------------------------------------------------------ losses


def losses(report: Report) -> str:
    """A small plot a model, each line the means of blocks of steps; "" where there are no histories."""
    pictures = report.pictures
    if pictures is None:
        return ""
    figures = []
    for name in _names(report, list(pictures.histories)):
        steps, series = pictures.histories[name]
        drawn = _loss_plot(name, np.asarray(steps, dtype=np.float64), series)
        if drawn:
            figures.append(drawn)
    return tag("div", "".join(figures), cls="row") if figures else ""


def blocks(x: np.ndarray, y: np.ndarray, most: int = _BLOCKS) -> tuple[np.ndarray, np.ndarray, int]:
    """Means of at most `most` blocks of neighbours, and how many points a block has; y is finite."""
    size = max(1, math.ceil(len(x) / most))
    starts = np.arange(0, len(x), size)
    counts = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts, size


def _loss_plot(name: str, steps: np.ndarray, series: dict[str, list[float]]) -> str:
    lines: list[tuple[str, np.ndarray, np.ndarray]] = []
    broken = ""
    size = 1
    for key, values in series.items():
        y = np.array([math.nan if v is None else float(v) for v in values])[: len(steps)]
        x = steps[: len(y)]
        kept = np.isfinite(y) & np.isfinite(x)
        if np.isinf(y).any():
            broken = f"{key} is infinite at step {number(float(x[np.isinf(y)][0]))}"
        if kept.any():
            bx, by, each = blocks(x[kept], y[kept])
            size = max(size, each)
            lines.append((key, bx, by))
    if not lines:
        return ""
    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH - 70
    across = Scale("linear", 0.0, max(1e-12, max(float(x[-1]) for _, x, _ in lines)), _LEFT, right)
    up = fitted(_most(np.concatenate([y for _, _, y in lines])), bottom, _TOP)
    says = ", ".join(f"{key} ends at {number(float(y[-1]))}" for key, _, y in lines)
    drawing = Drawing(right + 14.0, bottom + _FOOT, f"Losses of {name}: {says}.")
    drawing.x_axis(across, bottom, ticks=4, name="training step")
    drawing.y_axis(up, _LEFT, ticks=5, right=right, name=f"loss{', ' + up.words if up.words else ''}")
    for k, (_, x, y) in enumerate(lines):
        points = [(across(float(a)), up(float(b))) for a, b in zip(x, y)]
        if len(points) < 12:
            for px, py in points:
                drawing.dot(px, py, f"dot line{k % _LINES}", r=2.5)
        drawing.path(points, f"curve line{k % _LINES}")
    note = f"means of {size:,} records" if size > 1 else ""
    note = "; ".join(part for part in (note, broken) if part)
    caption = named(name, note) + _legend([key for key, _, _ in lines])
    return figure(drawing.done(), drawing.width, caption)


def _most(values: np.ndarray) -> np.ndarray:
    """Without the 1% at either end, where those would leave no room for the rest; all where there are few."""
    if len(values) < 50:
        return values
    low, high = np.quantile(values, [0.01, 0.99])
    wide = values.max() - values.min() > 4 * (high - low) and high > low
    kept: np.ndarray = values[(values >= low) & (values <= high)] if wide else values
    return kept


def _legend(keys: Sequence[str]) -> str:
    """Names of lines, each beside a piece of it."""
    entries = []
    for k, key in enumerate(keys):
        says = shortened(key, 150.0)
        drawing = Drawing(28.0, 12.0, f"Line of {key}")
        drawing.line(1, 6, 27, 6, f"curve line{k % _LINES}")
        entries.append(f"<span>{drawing.done('key')} {escape(says)}</span>")
    return tag("div", " ".join(entries), cls="legend")


# ------------------------------------------------------------------------------- are held-out rows as likely?


def calibration(report: Report) -> str:
    """P-P plots of log-likelihoods, a model each; "" where none has a density."""
    pictures = report.pictures
    if pictures is None:
        return ""
    names = [name for name in _names(report, list(pictures.held_out)) if name in pictures.own]
    figures = [_pp_plot(name, pictures) for name in names]
    return tag("div", "".join(figures), cls="row") if any(figures) else ""


def pp(held_out: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of own samples, and of held-out rows, whose log-likelihood is at most t, for every t that occurs."""
    t = np.unique(np.concatenate([held_out, own]))
    x = np.searchsorted(np.sort(own), t, side="right") / len(own)
    y = np.searchsorted(np.sort(held_out), t, side="right") / len(held_out)
    return np.insert(x, 0, 0.0), np.insert(y, 0, 0.0)


def band(n: int, m: int) -> float:
    r"""Half-width c sqrt((n + m) / (n m)) that two samples of one distribution stay in with 95%, c = 1.358 (Smirnov).

    The asymptotic quantile of the two-sample Kolmogorov-Smirnov statistic (Smirnov 1948).
    """
    return 1.3581 * math.sqrt((n + m) / (n * m))


def _pp_plot(name: str, pictures: Pictures) -> str:
    held_out, own = (np.asarray(x, dtype=np.float64).ravel() for x in (pictures.held_out[name], pictures.own[name]))
    lost = int(np.isnan(held_out).sum() + np.isnan(own).sum())
    held_out, own = held_out[~np.isnan(held_out)], own[~np.isnan(own)]
    if not (len(held_out) and len(own)):
        return ""
    x, y = pp(held_out, own)
    half = band(len(held_out), len(own))
    farthest = int(np.argmax(np.abs(y - x)))
    leaves = abs(y[farthest] - x[farthest]) > half
    side = 190.0
    left, top = 48.0, 8.0
    right, bottom = left + side, top + side
    across = Scale("linear", 0.0, 1.0, left, right)
    up = Scale("linear", 0.0, 1.0, bottom, top)
    says = f"largest distance from the diagonal {abs(y[farthest] - x[farthest]):.3f}, 95% band {half:.3f}"
    drawing = Drawing(right + 14.0, bottom + _FOOT, f"Likelihoods of held-out rows and samples of {name}: {says}.")
    corners = [(0, 0), (0, half), (1 - half, 1), (1, 1), (1, 1 - half), (half, 0)] if half < 1 else []
    drawing.path([(across(a), up(b)) for a, b in corners], "band", close=True)
    drawing.x_axis(across, bottom, ticks=4, name="share of own samples")
    drawing.y_axis(up, left, ticks=4, name="share of held-out rows")
    drawing.line(left, bottom, right, top, "diagonal")
    keep = np.unique(np.linspace(0, len(x) - 1, 300).round().astype(int))
    drawing.path([(across(float(a)), up(float(b))) for a, b in zip(x[keep], y[keep])], "curve line0")
    if leaves:
        word = "held-out rows are less likely" if y[farthest] > x[farthest] else "held-out rows are more likely"
        word = f"✗ outside the band: {word} than its own samples"
    else:
        word = "✓ inside the band"
    note = f"; {lost:,} undefined values left out" if lost else ""
    caption = named(name, f"{len(held_out):,} held-out rows, {len(own):,} samples{note}")
    caption += tag("div", word, cls=f"mark {'outside' if leaves else 'inside'}")
    return figure(drawing.done(), drawing.width, caption)
