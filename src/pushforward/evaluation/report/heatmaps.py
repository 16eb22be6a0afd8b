"""Densities of two columns side by side: data and models on one colour scale and one range, with a colour bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .columns import Bins, Field, joint
from .numbers import percent
from .png import heat
from .scales import Scale
from .svg import Drawing
from .text import escape, figure, named, shortened, tag, width

_DECADES = 3.0
_SIDE = 190.0
_SLANTED = 70.0
"""Room for the names of categories below a map."""


@dataclass(frozen=True)
class Tones:
    """One logarithmic colour scale: densities from `low` (and less, and none) to `high` (and more)."""

    low: float
    high: float

    def __call__(self, density: np.ndarray) -> np.ndarray:
        """Levels in [0, 1]."""
        with np.errstate(divide="ignore"):
            levels: np.ndarray = np.log(np.asarray(density) / self.low) / math.log(self.high / self.low)
        return np.clip(levels, 0.0, 1.0)


def tones(densities: list[np.ndarray]) -> Tones:
    """The scale of several maps: up to the densest cell (but for the last thousandth), at most three decades down."""
    positive = [d[d > 0] for d in densities]
    tops = [float(np.quantile(p, 0.999)) for p in positive if p.size]
    least = [float(p.min()) for p in positive if p.size]
    if not tops:
        return Tones(0.1, 1.0)
    high = max(tops)
    low = max(high / 10**_DECADES, min(least) * 0.8)
    return Tones(low if low < high * 0.9 else high / 10, high)


Pairs = tuple[np.ndarray, np.ndarray]
"""Values (n,), (n,) of two columns."""


def maps(a: Field, b: Field, data: Pairs, models: Sequence[tuple[str, Pairs]]) -> str:
    """A line of figures: the data first and the colour bar, then each model by name, all on one scale.

    Args:
        a, b: the columns across and up.
    """
    everything = [("data", data), *models]
    n = min(len(xy[0]) for _, xy in everything)
    most = int(np.clip(0.9 * math.sqrt(n), 16, 64))
    across, up = Bins(a, data[0], most), Bins(b, data[1], most)
    area = _cell(across) * _cell(up)
    found = [joint(across, up, *xy) for _, xy in everything]
    densities = [counts / (max(1, len(xy[0])) * area) for (counts, *_), (_, xy) in zip(found, everything)]
    scale = tones(densities)
    figures = []
    for (name, xy), density, (_, beyond, gone) in zip(everything, densities, found):
        total = len(xy[0])
        notes = [f"n = {total:,}"]
        notes += [f"{percent(lost / total)} {word}" for lost, word in ((beyond, "beyond"), (gone, "missing")) if lost]
        note = ", ".join(notes)
        words = f"Density of {a.name} and {b.name}, {name}, {note}."
        drawing = _panel(across, up, heat(scale(density)), words)
        figures.append(figure(drawing.done(), drawing.width, named(name, note)))
    unit = "share" if across.edges is None and up.edges is None else "per steradian" if b.sine else "density"
    bar = colour_bar(scale, unit)
    figures.insert(1, figure(bar.done(), bar.width, ""))
    return tag("div", "".join(figures), cls="row")


def _cell(bins: Bins) -> float:
    """The width of a slot in the user's unit; 1 of categories, whose densities are shares."""
    if bins.edges is None:
        return 1.0
    return float(bins.edges[1] - bins.edges[0]) * (math.pi / 180 if bins.field.degrees else 1.0)


def _panel(across: Bins, up: Bins, picture: str, words: str) -> Drawing:
    names = [says for _, says in up.ticks(5)]
    left = 22.0 + min(76.0, max((width(shortened(s, 70.0)) for s in names), default=0.0))
    foot = 34.0
    if across.edges is None:
        longest = max((width(shortened(says, _SLANTED)) for _, says in across.ticks(4)), default=0.0)
        foot = 26.0 + 0.77 * longest
    drawing = Drawing(left + _SIDE + 14.0, 6.0 + _SIDE + foot, words)
    right, bottom = left + _SIDE, 6.0 + _SIDE
    drawing.image(left, 6.0, _SIDE, _SIDE, picture)
    drawing.path([(left, 6.0), (right, 6.0), (right, bottom), (left, bottom)], "frame", close=True)
    for place, says in up.ticks(5):
        y = bottom - _SIDE * place / len(up)
        drawing.line(left - 3, y, left, y)
        drawing.text(left - 5, y + 4, says, "tick", at="end", room=74.0)
    end = -1e9
    for place, says in across.ticks(4):
        x = left + _SIDE * place / len(across)
        drawing.line(x, bottom, x, bottom + 3)
        if across.edges is None:
            _slanted(drawing, x, bottom + 8, says)
            continue
        half = width(says) / 2
        middle = min(max(x, half), drawing.width - half)
        if middle - half > end + 4:
            drawing.text(middle, bottom + 14, says, "tick", at="middle")
            end = middle + half
    drawing.text(left + _SIDE / 2, bottom + foot - 5, across.field.name, "name", at="middle", room=_SIDE)
    drawing.text(11, 6 + _SIDE / 2, up.field.name, "name", at="middle", turn=True, room=_SIDE)
    return drawing


def _slanted(drawing: Drawing, x: float, y: float, says: str) -> None:
    says_short = shortened(says, _SLANTED)
    title = "" if says_short == says else f"<title>{escape(says)}</title>"
    drawing.parts.append(
        f'<text transform="translate({x + 4:.1f} {y:.1f}) rotate(-50)" class="tick" text-anchor="end">'
        f"{title}{escape(says_short)}</text>"
    )


def colour_bar(scale: Tones, unit: str = "density") -> Drawing:
    """The colour scale with its numbers."""
    drawing = Drawing(84.0, 6.0 + _SIDE + 34.0, f"Colour scale, from {scale.low:.3g} to {scale.high:.3g}, logarithmic.")
    drawing.image(6.0, 6.0, 14.0, _SIDE, heat(np.linspace(0, 1, 128)[None, :]))
    axis = Scale("log", scale.low, scale.high, 6.0 + _SIDE, 6.0)
    for value, says in axis.ticks(5):
        y = axis(value)
        drawing.line(20.0, y, 24.0, y)
        drawing.text(27.0, y + 4, says, "tick")
    drawing.text(76.0, 6.0 + _SIDE / 2, f"{unit}, log scale", "name", at="middle", turn=True)
    return drawing
