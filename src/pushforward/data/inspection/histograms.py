"""One page of histograms, a small panel a column: what the data look like before anything is fitted.

The page is drawn in points on one sheet, each text being measured first: nothing is clipped, however long a name is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..write import replacing
from .letters import drawable, families, fitted, is_lacking, width
from .odd_columns import spikes_of
from .oddity import Profile, moment, share

MOST = 60
"""Columns on a page."""
BARS = 8
"""Categories with a bar of their own."""
_BAR, _PALE, _SPIKE, _GREY, _LINE = "#31688e", "#b9d0e0", "#e6772e", "#666666", "#bbbbbb"
_LARGEST = 1e300
_DPI = 110
_MARGIN, _HEAD, _GAP_X, _GAP_Y = 14.0, 38.0, 16.0, 13.0
_TITLE, _SMALL = 8.5, 7.0
_TITLE_ROOM, _TICK_ROOM = 23.0, 12.0


@dataclass
class _Sheet:
    """What is drawn, in points from the upper left corner."""

    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        self.boxes.append((left, top, right, bottom))
        self.colours.append(colour)

    def text(
        self, x: float, y: float, text: str, size: float = _SMALL, colour: str = "black", at: str = "left", **more: Any
    ) -> None:
        if text:
            self.texts.append(
                {"x": x, "y": y, "s": text, "fontsize": size, "color": colour, "ha": at, "va": "center", **more}
            )


@dataclass(frozen=True)
class _Area:
    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


def histogram_page(
    seen: Sequence[Profile],
    path: str | os.PathLike[str],
    *,
    title: str,
    remark: str = "",
    most: int = MOST,
    bars: int = BARS,
) -> int:
    """Draw the distribution of each column and write them as one PNG; returns how many columns were left out.

    Numbers are histograms, values with an unusual share being marked apart from them; categories are bars, the most
    frequent first; what is missing is said beside each name.

    Args:
        seen: of `oddities.profiles`. path: a `.png`. title: of the page. remark: below it.
        most: columns on the page. bars: categories with a bar of their own.

    Raises:
        InputError: nothing to draw, another extension, a place that cannot be written.
    """
    target = Path(path).expanduser()
    if target.suffix.lower() != ".png":
        raise InputError(f"cannot write {os.fspath(path)!r} as a page of histograms.", "It is a .png file.")
    if not seen:
        raise InputError("there are no columns to draw.")
    shown, left_out = seen[:most], max(0, len(seen) - most)
    columns, panel, height = _layout(len(shown))
    height = max(height, _TITLE_ROOM + 8.0 * (bars + 1))
    lines = math.ceil(len(shown) / columns)
    size = (
        2 * _MARGIN + columns * panel + (columns - 1) * _GAP_X,
        _MARGIN + _HEAD + lines * height + (lines - 1) * _GAP_Y + _MARGIN,
    )
    sheet = _Sheet()
    marked = False
    for i, p in enumerate(shown):
        line, column = divmod(i, columns)
        left, top = _MARGIN + column * (panel + _GAP_X), _MARGIN + _HEAD + line * (height + _GAP_Y)
        marked |= _panel(sheet, p, i, _Area(left, top, left + panel, top + height), bars)
    _head(sheet, size[0], title, remark, marked, left_out, len(seen))
    _write(sheet, size, target)
    return left_out


def _layout(n: int) -> tuple[int, float, float]:
    """Panels in a line, and their width and height."""
    if n == 1:
        return 1, 360.0, 180.0
    for most, columns, width_, height in ((3, n, 230, 140), (4, 2, 230, 140), (9, 3, 210, 125), (20, 4, 185, 115)):
        if n <= most:
            return columns, float(width_), float(height)
    return (5, 165.0, 108.0) if n <= 30 else (6, 150.0, 100.0)


def _head(sheet: _Sheet, page: float, title: str, remark: str, marked: bool, left_out: int, n: int) -> None:
    room = page - 2 * _MARGIN
    sheet.text(_MARGIN, _MARGIN + 6, fitted(title, room, 11, True), 11, fontweight="bold")
    parts = [remark] if remark else []
    if marked:
        parts.append("orange: one value, with its share (not to scale)")
    if left_out:
        parts.append(f"{left_out:,} of {n:,} columns are not shown")
    sheet.text(_MARGIN, _MARGIN + 22, fitted("; ".join(parts), room, _SMALL), _SMALL, _GREY)


def _panel(sheet: _Sheet, p: Profile, i: int, area: _Area, bars: int) -> bool:
    """Draw one column; whether spikes were marked."""
    name = f"{i + 1}: {p.column.name}" if is_lacking(p.column.name) else p.column.name or f"column {i + 1}"
    size = _TITLE if width(drawable(name), _TITLE, True) <= area.width else _TITLE - 1
    sheet.text(area.left, area.top + 5, fitted(name, area.width, size, True, 8), size, fontweight="bold")
    sheet.text(area.left, area.top + 15, p.column.kind, colour=_GREY)
    if p.missing:
        after = area.left + width(p.column.kind, _SMALL) + 6
        sheet.text(after, area.top + 15, f"{share(p.missing)} missing", colour=_SPIKE)
    inner = _Area(area.left, area.top + _TITLE_ROOM, area.right, area.bottom)
    if len(p.values) < 2:
        says = f"always {p.shown(p.values[0], quoted=False)}" if len(p.values) else "no cells"
        sheet.text(
            inner.left + inner.width / 2, inner.top + inner.height / 2, fitted(says, inner.width, _SMALL), at="center"
        )
        return False
    if p.column.is_number and abs(p.values).max() < _LARGEST:
        return _numbers(sheet, p, inner)
    if p.column.is_number:
        says = fitted(f"from {p.values[0]:.4g} to {p.values[-1]:.4g}: too wide to draw", inner.width, _SMALL)
        sheet.text(inner.left, inner.top + inner.height / 2, says)
        return False
    if p.column.kind == "ordinal" and len(p.values) > bars + 1:
        _levels(sheet, p, inner)
    else:
        _categories(sheet, p, inner, bars)
    return False


# ------------------------------------------------------------------------------------------------ categories


def _categories(sheet: _Sheet, p: Profile, area: _Area, most: int) -> None:
    """A bar a category with its name and share inside; the others in one."""
    by_count = np.argsort(-p.counts, kind="stable")
    in_order = p.column.kind in ("ordinal", "boolean") and len(p.values) <= most + 1
    own = np.arange(len(p.values)) if in_order else by_count[: most if len(p.values) > most + 1 else most + 1]
    bars = [(p.shown(p.values[k], quoted=False), float(p.counts[k]), _PALE) for k in own]
    if rest := len(p.values) - len(own):
        bars.append((f"{rest:,} others", float(p.counts.sum() - p.counts[own].sum()), "#dddddd"))
    slot = min(14.0, area.height / len(bars))
    longest = max(count for _, count, _ in bars)
    for k, (name, count, colour) in enumerate(bars):
        top = area.top + k * slot
        sheet.box(area.left, top + 0.6, area.left + max(0.5, area.width * count / longest), top + slot - 0.6, colour)
        part = share(count / p.known)
        size = min(_SMALL, slot - 2.0)
        y = top + slot / 2
        room = area.width - width(part, size) - 10
        sheet.text(area.left + 2, y, fitted(name, room, size), size)
        sheet.text(area.right - 2, y, part, size, at="right")


def _levels(sheet: _Sheet, p: Profile, area: _Area) -> None:
    """Many levels in their order, as upright bars between the names of the first and the last."""
    floor = area.bottom - _TICK_ROOM
    slot = area.width / len(p.values)
    gap = min(1.0, 0.15 * slot)
    for k, count in enumerate(p.counts):
        top = floor - (floor - area.top) * count / p.counts.max()
        sheet.box(area.left + k * slot + gap, top, area.left + (k + 1) * slot - gap, floor, _BAR)
    room = area.width / 2 - 4
    for value, x, at in ((p.values[0], area.left, "left"), (p.values[-1], area.right, "right")):
        sheet.text(x, floor + 7, fitted(p.shown(value, quoted=False), room, _SMALL), colour=_GREY, at=at)


# ------------------------------------------------------------------------------------------------ numbers


def _numbers(sheet: _Sheet, p: Profile, area: _Area) -> bool:
    marks = np.flatnonzero(spikes_of(p))
    marks = marks[np.argsort(-p.counts[marks], kind="stable")][:3]
    plain = np.delete(np.arange(len(p.values)), marks)
    low, high = _range(p, plain)
    if len(marks):
        low, high = min(low, p.values[marks].min()), max(high, p.values[marks].max())
    edges, apart = _edges(p, plain, low, high, area.width)
    counts, _ = np.histogram(p.values[plain], edges, weights=p.counts[plain])
    floor = area.bottom - _TICK_ROOM
    roof = area.top + (9.0 if len(marks) else 0.0)
    tallest = max(1.0, float(counts.max()))

    def place(value: float) -> float:
        return area.left + area.width * float((value - edges[0]) / (edges[-1] - edges[0]))

    for count, a, b in zip(counts, edges, edges[1:]):
        if count:
            gap = min(1.0, 0.12 * (place(b) - place(a))) if apart else 0.0
            top = floor - (floor - roof) * (0.8 if len(marks) else 1.0) * count / tallest
            sheet.box(place(a) + gap, min(top, floor - 0.6), place(b) - gap, floor, _BAR)
    sheet.box(area.left, floor, area.right, floor + 0.5, _LINE)
    _mark(sheet, p, marks, place, area, roof, floor)
    _ticks(sheet, p, edges, place, area, floor)
    outside = p.counts[plain][(p.values[plain] < edges[0]) | (p.values[plain] > edges[-1])].sum()
    if outside:
        sheet.text(area.right, area.top - 8, f"{share(outside / p.known)} beyond", colour=_GREY, at="right")
    return len(marks) > 0


def _range(p: Profile, plain: np.ndarray) -> tuple[float, float]:
    """From the smallest to the largest value, unless a few far ones would leave nothing to see of the others."""
    values, counts = p.values[plain], p.counts[plain].cumsum()
    low, high = float(values[0]), float(values[-1])
    for level in (0.005, 0.05):
        a, b = (float(values[np.searchsorted(counts, q * counts[-1])]) for q in (level, 1 - level))
        if not (b - a > 0 and high - low > 3 * (b - a)):
            break
        low, high = max(low, a - 0.1 * (b - a)), min(high, b + 0.1 * (b - a))
    return low, high


def _edges(p: Profile, plain: np.ndarray, low: float, high: float, room: float) -> tuple[np.ndarray, bool]:
    """Edges of the bins, whole steps wide for rounded values; whether bars stand apart, one a value."""
    n = int(p.counts[plain].sum())
    most = int(np.clip(2 * n ** (1 / 3), 8, room / 3.5))
    step = p.column.step
    if step is None:
        if high <= low:
            return np.array([low - 0.5, low + 0.5]), False
        return np.linspace(low, high, most + 1), False
    steps = round((high - low) / step) + 1
    if steps <= max(most, room / 5):
        return low + step * (np.arange(steps + 1) - 0.5), True
    if steps > 20 * most:
        return np.linspace(low - step / 2, high + step / 2, most + 1), False
    least = math.ceil(steps / most)
    each = min(range(least, least + max(1, least // 3) + 1), key=lambda e: (-steps % e / e, e))  # the last bin is full
    return low + step * (each * np.arange(math.ceil(steps / each) + 1) - 0.5), False


def _mark(sheet: _Sheet, p: Profile, marks: np.ndarray, place: Any, area: _Area, roof: float, floor: float) -> None:
    """Values with a share of their own: bars of another colour, and labels above them side by side."""
    for k in marks:
        x = min(max(place(p.values[k]), area.left + 1.2), area.right - 1.2)
        part = max(0.3, p.counts[k] / p.counts[marks].max())
        sheet.box(x - 1.2, floor - (floor - roof) * part, x + 1.2, floor, _SPIKE)
    says = {k: f"{p.shown(p.values[k])}: {share(p.counts[k] / p.known)}" for k in marks}
    kept = list(marks)
    while kept and sum(width(says[k], _SMALL) + 6 for k in kept) > area.width:
        kept.pop()  # the smallest share
    kept.sort(key=lambda k: p.values[k])
    end = area.right
    after = [end := min(end, area.right) - width(says[k], _SMALL) - 6 for k in reversed(kept)][::-1]
    start = area.left
    for k, latest in zip(kept, after):
        long = width(says[k], _SMALL)
        start = min(max(start, place(p.values[k]) - long / 2), latest + 6)
        sheet.text(start, roof - 5, says[k], colour=_SPIKE)
        start += long + 6


def _ticks(sheet: _Sheet, p: Profile, edges: np.ndarray, place: Any, area: _Area, floor: float) -> None:
    """Labels below the bars, kept inside the panel and apart from each other."""
    low, high = float(edges[0]), float(edges[-1])
    step = p.column.step or 0.0
    if p.column.kind == "datetime":
        ticks = [(v, _date(v, p, high - low)) for v in (low + step / 2, high - step / 2, (low + high) / 2)]
    else:
        from matplotlib.ticker import MaxNLocator

        ticks = [(v, compact(v)) for v in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
        ticks = [(v, text) for v, text in ticks if low <= v <= high and (step != 1 or v == round(v))]
    taken: list[tuple[float, float]] = []
    for value, says in ticks:
        x, long = place(value), width(says, _SMALL)
        start = min(max(x - long / 2, area.left), area.right - long)
        if long <= area.width and all(start > b + 5 or start + long < a - 5 for a, b in taken):
            sheet.text(start, floor + 7, says, colour=_GREY)
            sheet.box(x - 0.25, floor, x + 0.25, floor + 2.5, _LINE)
            taken.append((start, start + long))


def _date(value: float, p: Profile, span: float) -> str:
    text = moment(value, p.column)
    if span > 20 * 365 * 86400:
        return text[:4]
    return text[:7] if span > 3 * 365 * 86400 else text[:10] if span > 3 * 86400 else text[:16]


def compact(value: float) -> str:
    """A number in few letters: 0.25, 1200, 25k, 1.5M, 3e-07."""
    if value == 0:
        return "0"
    size = abs(value)
    for unit, word in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if unit <= size < 1e15:
            return f"{value / (unit if word != 'k' else 1e3):.4g}{word}"
    return f"{value:.4g}"


# ------------------------------------------------------------------------------------------------ drawing


def _write(sheet: _Sheet, size: tuple[float, float], target: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=_DPI, facecolor="white")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(0, size[0])
    axis.set_ylim(size[1], 0)
    axis.set_axis_off()
    if sheet.boxes:
        a, b, c, d = np.array(sheet.boxes).T
        corners = np.stack([np.stack([a, b], 1), np.stack([c, b], 1), np.stack([c, d], 1), np.stack([a, d], 1)], 1)
        axis.add_collection(PolyCollection(list(corners), facecolors=sheet.colours, edgecolors="none"))
    for text in sheet.texts:
        axis.text(**text, family=families(), parse_math=False)
    FigureCanvasAgg(figure)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as beside:
            figure.savefig(beside, format="png")
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}.") from None
