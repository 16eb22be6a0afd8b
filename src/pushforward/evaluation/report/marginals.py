"""Columns one by one: for each model, its shares as filled bars, and the data's as an outline on the same axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .columns import Bins, Field, apart
from .numbers import percent
from .svg import Drawing
from .text import short, tag, width

_WIDTH, _HEIGHT, _FOOT = 168.0, 74.0, 16.0
_ROW = 13.0
_MOST = 12


def table(fields: Sequence[Field], data: np.ndarray, models: Sequence[tuple[str, np.ndarray]]) -> str:
    """A table of small plots: a line a column, a column a model; of many columns, those that differ most.

    Args:
        data, models: rows (n, columns) in the user's coordinates.
    """
    bins = [Bins(field, data[:, j]) for j, field in enumerate(fields)]
    shown = list(range(len(fields)))
    if len(shown) > _MOST:
        worst = [max((apart(data[:, j], x[:, j], bins[j]) for _, x in models), default=0.0) for j in shown]
        shown = sorted(sorted(shown, key=lambda j: -worst[j])[:_MOST])
    head = tag("th", "column", scope="col") + "".join(
        tag("th", short(name), scope="col", cls="name") for name, _ in models
    )
    lines = []
    for j in shown:
        cells = "".join(
            tag("td", panel) for panel in _line(bins[j], data[:, j], [(name, x[:, j]) for name, x in models])
        )
        lines.append(tag("tr", tag("th", short(fields[j].name), scope="row", cls="name") + cells))
    caption = "Filled: samples of the model. Outline: held-out data. Heights are shares, on one scale a line."
    if len(fields) > len(shown):
        caption += f" The {len(shown)} of {len(fields):,} columns in which some model differs most."
    inner = tag("caption", caption) + tag("thead", tag("tr", head)) + tag("tbody", "".join(lines))
    return tag("div", tag("table", inner, cls="plots"), cls="scroll", tabindex="0")


def _line(bins: Bins, data: np.ndarray, models: Sequence[tuple[str, np.ndarray]]) -> list[str]:
    """The plots of one column, all with the same height for the same share."""
    real, real_beyond, real_gone = bins.shares(data)
    found = [bins.shares(x) for _, x in models]
    highest = float(real.max(initial=0.0)) or 1.0
    # A model that puts everything into one bar is cut off at four times the data's highest, which must be seen too.
    top = min(max([highest, *(float(own.max(initial=0.0)) for own, _, _ in found)]), 4 * highest)
    notes = []
    for own, beyond, gone in found:
        parts = [f"missing {percent(gone)} (data {percent(real_gone)})"] if max(gone, real_gone) > 0 else []
        parts += [f"beyond {percent(beyond)}"] if beyond > max(0.005, 2 * real_beyond) else []
        parts += [f"up to {percent(float(own.max()))}"] if own.max(initial=0.0) > top else []
        notes.append("; ".join(parts))
    head = 13.0 if any(notes) else 4.0
    draw = _bars if bins.edges is None else _histogram
    panels = []
    for (name, x), (own, _, _), note in zip(models, found, notes):
        words = f"{bins.field.name}, {name}: total variation {apart(data, x, bins):.2f} from the data over these bars."
        drawing = draw(bins, real / top, np.minimum(own / top, 1.0), head, words)
        drawing.text(_WIDTH - 4, 9, note, "note", at="end", room=_WIDTH - 8)
        panels.append(drawing.done("small"))
    return panels


def _histogram(bins: Bins, real: np.ndarray, own: np.ndarray, roof: float, words: str) -> Drawing:
    drawing = Drawing(_WIDTH, _HEIGHT + _FOOT, words)
    left, right, floor = 4.0, _WIDTH - 4.0, _HEIGHT
    each = (right - left) / len(real)

    def outline(heights: np.ndarray) -> list[tuple[float, float]]:
        points = [(left, floor)]
        for k, height in enumerate(heights):
            y = floor - (floor - roof) * float(height)
            points += [(left + k * each, y), (left + (k + 1) * each, y)]
        return [*points, (right, floor)]

    drawing.path(outline(own), "fill", close=True)
    drawing.path(outline(real), "outline")
    drawing.line(left, floor, right, floor)
    end = -1e9
    for place, says in bins.ticks(3):
        x = left + each * place
        half = width(says) / 2
        middle = min(max(x, half), _WIDTH - half)
        drawing.line(x, floor, x, floor + 3)
        if middle - half > end + 4:
            drawing.text(middle, floor + 14, says, "tick", at="middle")
            end = middle + half
    return drawing


def _bars(bins: Bins, real: np.ndarray, own: np.ndarray, head: float, words: str) -> Drawing:
    drawing = Drawing(_WIDTH, head + _ROW * len(real) + 3.0, words)
    names = 72.0
    left, right = names + 4.0, _WIDTH - 4.0
    for k, label in enumerate(bins.labels):
        y = head + k * _ROW
        drawing.text(names, y + 10, label, "tick", at="end", room=names)
        drawing.box(left, y + 2, left + (right - left) * own[k], y + _ROW - 2, "fill")
        x = left + (right - left) * real[k]
        drawing.path([(left, y + 1), (x, y + 1), (x, y + _ROW - 1), (left, y + _ROW - 1)], "outline")
    drawing.line(left, head, left, head + _ROW * len(real))
    return drawing
