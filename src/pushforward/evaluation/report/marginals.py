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
        cells = "".join(tag("td", _panel(bins[j], data[:, j], x[:, j], name)) for name, x in models)
        lines.append(tag("tr", tag("th", short(fields[j].name), scope="row", cls="name") + cells))
    caption = "Filled: samples of the model. Outline: held-out data. Heights are shares, on one scale a line."
    if len(fields) > len(shown):
        caption += f" The {len(shown)} of {len(fields):,} columns in which some model differs most."
    inner = tag("caption", caption) + tag("thead", tag("tr", head)) + tag("tbody", "".join(lines))
    return tag("div", tag("table", inner, cls="plots"), cls="scroll", tabindex="0")


def _panel(bins: Bins, data: np.ndarray, x: np.ndarray, name: str) -> str:
    real, real_beyond, real_gone = bins.shares(data)
    own, beyond, gone = bins.shares(x)
    notes = []
    if max(gone, real_gone) > 0:
        notes.append(f"missing {percent(gone)} (data {percent(real_gone)})")
    if beyond > max(0.005, 2 * real_beyond):
        notes.append(f"beyond {percent(beyond)}")
    words = f"{bins.field.name}, {name}: total variation {apart(data, x, bins):.2f} from the data over these bars."
    if bins.edges is None:
        return _bars(bins, real, own, "; ".join(notes), words)
    return _histogram(bins, real, own, "; ".join(notes), words)


def _histogram(bins: Bins, real: np.ndarray, own: np.ndarray, note: str, words: str) -> str:
    drawing = Drawing(_WIDTH, _HEIGHT + _FOOT, words)
    left, right, roof, floor = 4.0, _WIDTH - 4.0, 13.0 if note else 4.0, _HEIGHT
    # A model that puts everything into one bar is cut off at four times the data's tallest: theirs must be seen.
    top = max(1e-12, min(float(max(own.max(initial=0), real.max(initial=0))), 4 * float(real.max(initial=0)) or 1.0))
    each = (right - left) / len(real)

    def outline(shares: np.ndarray) -> list[tuple[float, float]]:
        points = [(left, floor)]
        for k, share in enumerate(shares):
            y = floor - (floor - roof) * min(1.0, share / top)
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
    drawing.text(right, 9, note, "note", at="end", room=right - left)
    return drawing.done("small")


def _bars(bins: Bins, real: np.ndarray, own: np.ndarray, note: str, words: str) -> str:
    head = 13.0 if note else 2.0
    drawing = Drawing(_WIDTH, head + _ROW * len(real) + 3.0, words)
    names = 72.0
    left, right = names + 4.0, _WIDTH - 4.0
    top = max(1e-12, float(max(own.max(initial=0), real.max(initial=0))))
    for k, label in enumerate(bins.labels):
        y = head + k * _ROW
        drawing.text(names, y + 10, label, "tick", at="end", room=names)
        drawing.box(left, y + 2, left + (right - left) * own[k] / top, y + _ROW - 2, "fill")
        x = left + (right - left) * real[k] / top
        drawing.path([(left, y + 1), (x, y + 1), (x, y + _ROW - 1), (left, y + _ROW - 1)], "outline")
    drawing.line(left, head, left, head + _ROW * len(real))
    drawing.text(right, 9, note, "note", at="end", room=_WIDTH - 8)
    return drawing.done("small")
