"""What samples look like, beside the data and beside their nearest training examples, by the kind of data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...spaces import Space, Sphere, Table, Tokens
from ..results import Pictures, Report
from . import heatmaps, marginals
from .columns import Field, fields_of, flat, worst_pairs
from .numbers import number
from .png import Shades, grid, shrunk
from .text import escape, figure, named, short, tag

_PAGE = 2_400_000
"""Bytes of pixels, before compression, that all grids of a page may have."""
_MOST = 64
_TEXTS, _LETTERS = 4, 320
_ROWS = 20_000
"""Rows of each model that are counted: more change nothing that can be seen."""
_PAIR_COLUMNS = 40
_NEAREST_COLUMNS = 10

Named = Sequence[tuple[str, np.ndarray]]


def section(report: Report) -> str:
    """Figures of the data and of all rows' samples; "" without pictures."""
    pictures = report.pictures
    if pictures is None:
        return ""
    models = _in_order(report, pictures.samples)
    space, data = pictures.space, np.asarray(pictures.data)
    if len(space.shape) == 3:
        return _images(pictures, models) if len(data) or models else ""
    if isinstance(space, Tokens) and space.is_text:
        return _texts(space, data, models)
    if not len(data) or not models:
        return ""
    return _columns(space, data[:_ROWS], [(name, x[:_ROWS]) for name, x in models])


def nearest(report: Report) -> str:
    """Samples beside the training examples nearest to them; "" where there are none."""
    pictures = report.pictures
    if pictures is None or not pictures.nearest:
        return ""
    space = pictures.space
    order = [name for name, _ in _in_order(report, {k: v[0] for k, v in pictures.nearest.items()})]
    pairs = [(name, np.asarray(pictures.nearest[name][0]), np.asarray(pictures.nearest[name][1])) for name in order]
    if len(space.shape) == 3:
        return _nearest_images(pictures, pairs)
    if isinstance(space, Tokens):
        return "".join(_nearest_texts(space, name, a, b) for name, a, b in pairs)
    return tag("div", "".join(_nearest_rows(space, name, a, b) for name, a, b in pairs), cls="row")


def _in_order(report: Report, found: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    names = [row.name for row in report.rows if row.name in found]
    names += [name for name in found if name not in names]
    return [(name, np.asarray(found[name])) for name in names if len(found[name])]


# ------------------------------------------------------------------------------------------------- of images


def _factor(shape: tuple[int, ...], room: float) -> int:
    """How many pixels in a row become one, so that four pictures fit into the room (in bytes)."""
    channels, height, width = shape
    each = (3 if channels in (3, 4) else 1) * height * width
    return max(1, math.ceil(math.sqrt(4 * each / room)))


def _images(pictures: Pictures, models: Named) -> str:
    shape = tuple(pictures.space.shape)
    shades = Shades(pictures.space, np.asarray(pictures.data))
    room = _PAGE / (len(models) + 1 + len(pictures.nearest) / 2)
    factor = _factor(shape, room)
    height, width = shape[1] // factor, shape[2] // factor
    each = (3 if shape[0] in (3, 4) else 1) * height * width
    most = max(1, min(_MOST, int(room / each)))
    figures = []
    for name, x in [("data", np.asarray(pictures.data)), *models]:
        chosen = shrunk(shades(x[:most]), factor)
        if len(chosen):
            says = f"{len(chosen)} {'held-out examples' if name == 'data' else 'samples'}"
            figures.append(_image_figure(chosen, max(1, math.ceil(math.sqrt(most))), name, says))
    note = "The first samples of each, not chosen."
    if factor > 1:
        note += f" Shown at 1/{factor} of their height and width."
    return tag("p", note, cls="note") + tag("div", "".join(figures), cls="row")


def _image_figure(
    pictures: np.ndarray, columns: int, name: str, says: str, *, wide: float = 240.0, every: int = 0
) -> str:
    address, width, height = grid(pictures, min(columns, len(pictures)), every)
    scale = max(1, int(wide // width))  # whole pixels stay square and sharp
    image = (
        f'<img src="{address}" width="{width * scale}" height="{height * scale}" class="crisp" '
        f'alt="{escape(f"{name}: {says}")}">'
    )
    return figure(image, max(150, width * scale), named(name, says))


def _nearest_images(pictures: Pictures, pairs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> str:
    shades = Shades(pictures.space, np.asarray(pictures.data))
    room = _PAGE / (2 * len(pictures.samples) + 2 + len(pairs))
    factor = _factor(tuple(pictures.space.shape), room)
    figures = []
    for name, samples, training in pairs:
        k = min(8, len(samples), len(training))
        if k == 0:
            continue
        both = shrunk(shades(np.stack([samples[:k], training[:k]], axis=1).reshape(2 * k, *samples.shape[1:])), factor)
        columns = 4 if k > 2 else 2 * k
        says = f"{k} pairs: sample, nearest"
        figures.append(_image_figure(both, columns, name, says, every=2))
    return tag("div", "".join(figures), cls="row")


# ------------------------------------------------------------------------------------------------ of columns


def _columns(space: Space, data: np.ndarray, models: Named) -> str:
    real = flat(data, space)
    drawn = [(name, flat(x, space)) for name, x in models]
    fields = fields_of(space, real.shape[1])
    note = tag("p", "Shares of rows in cells of equal size, all on one colour scale and one range.", cls="note")
    if isinstance(space, Sphere) and space.names:
        return note + _earth(space, fields, real, drawn)
    if len(fields) == 2 and not isinstance(space, Table):
        return note + heatmaps.maps(fields[0], fields[1], _pair(real, 0, 1), [(n, _pair(x, 0, 1)) for n, x in drawn])
    found = tag("h3", "Columns") + marginals.table(fields, real, drawn)
    chosen = _candidates(fields, real, drawn)
    pairs = worst_pairs(real[:, chosen], [x[:, chosen] for _, x in drawn], [fields[j] for j in chosen])
    if pairs:
        found += tag("h3", "Pairs of columns") + tag(
            "p", "The pairs whose dependence differs most from the data's in some model, the worst first.", cls="note"
        )
    for i, j in pairs:
        a, b = chosen[i], chosen[j]
        if fields[b].categories and not fields[a].categories:
            a, b = b, a  # names need less room across
        words = f"{short(fields[a].name)} and {short(fields[b].name)}"
        found += tag("h4", words, cls="name")
        found += heatmaps.maps(fields[a], fields[b], _pair(real, a, b), [(n, _pair(x, a, b)) for n, x in drawn])
    return found


def _pair(x: np.ndarray, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
    return x[:, i], x[:, j]


def _candidates(fields: Sequence[Field], data: np.ndarray, models: Named) -> list[int]:
    """Columns whose pairs are looked at: those that are not constant, the first of many."""
    kept = [j for j in range(len(fields)) if len(np.unique(data[:200, j])) > 1]
    return kept[:_PAIR_COLUMNS]


def _earth(space: Sphere, fields: list[Field], data: np.ndarray, models: Named) -> str:
    """Longitude across, the sine of the latitude up: equal areas of the page are equal areas of the sphere."""
    latitude = replace(fields[0], sine=True, low=-1.0, high=1.0)
    longitude = replace(fields[1], degrees=True, low=space.west, high=space.west + 360)

    def place(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x[:, 1], np.sin(np.radians(x[:, 0]))

    return heatmaps.maps(longitude, latitude, place(data), [(name, place(x)) for name, x in models])


# -------------------------------------------------------------------------------------------------- of texts


def _decoded(space: Tokens, row: np.ndarray) -> str:
    from ...data.text.tokenizer import tokenizer

    chosen = tokenizer(space)
    if chosen is None:
        return " ".join(map(str, row.tolist()))
    return chosen.decode(row)


def visible(text: str, most: int = _LETTERS) -> str:
    """Text as HTML, spaces, line ends and tabs as signs; longer text is cut, and says so."""
    rest = len(text) - most
    shown = escape(text[:most])
    for letter, sign in ((" ", "·"), ("\r", "␍"), ("\n", "↵\n"), ("\t", "⇥\t")):
        shown = shown.replace(letter, f"<i>{sign}</i>")
    return shown + (tag("small", f" ({rest:,} more characters)") if rest > 0 else "")


def _texts(space: Tokens, data: np.ndarray, models: Named) -> str:
    figures = []
    for name, x in [("data", data), *models]:
        windows = "".join(tag("pre", visible(_decoded(space, row)), cls="text") for row in x[:_TEXTS])
        if windows:
            caption = tag("figcaption", named(name))
            figures.append(tag("figure", caption + windows, cls="texts"))
    note = "The first windows of each, not chosen. · is a space, ↵ the end of a line, ⇥ a tab."
    return tag("p", note, cls="note") + tag("div", "".join(figures), cls="row")


# ---------------------------------------------------------------------------------- nearest training examples


def _nearest_texts(space: Tokens, name: str, samples: np.ndarray, training: np.ndarray) -> str:
    lines = "".join(
        tag("tr", "".join(tag("td", tag("pre", visible(_decoded(space, row), 160), cls="text")) for row in pair))
        for pair in list(zip(samples, training))[:_TEXTS]
    )
    head = tag("tr", tag("th", "sample", scope="col") + tag("th", "nearest training example", scope="col"))
    inner = tag("caption", named(name)) + tag("thead", head) + tag("tbody", lines)
    return tag("div", tag("table", inner), cls="scroll", tabindex="0")


def _nearest_rows(space: Space, name: str, samples: np.ndarray, training: np.ndarray) -> str:
    a, b = flat(samples[:4], space), flat(training[:4], space)
    fields = fields_of(space, a.shape[1])[:_NEAREST_COLUMNS]
    head = tag("th", "row", scope="col") + "".join(tag("th", short(f.name), scope="col", cls="name") for f in fields)
    lines = []
    for one, other in zip(a, b):
        for says, row in (("sample", one), ("nearest", other)):
            cells = "".join(tag("td", escape(cell(f, float(v))), cls="number") for f, v in zip(fields, row))
            lines.append(tag("tr", tag("th", says, scope="row") + cells, cls=says))
    more = "" if a.shape[1] == len(fields) else f", the first {len(fields)} of {a.shape[1]:,} columns"
    caption = tag("caption", f'<b class="name">{escape(name)}</b>{more}')
    inner = caption + tag("thead", tag("tr", head)) + tag("tbody", "".join(lines))
    return tag("div", tag("table", inner), cls="scroll", tabindex="0")


def cell(field: Field, value: float) -> str:
    """One cell of a row in the user's words."""
    if math.isnan(value):
        return "missing"
    if field.categories:
        k = int(value)
        return field.categories[k] if 0 <= k < len(field.categories) else f"no category ({k})"
    if field.date and abs(value) < 2e11:
        moment = str(np.datetime64(round(value), "s")).replace("T", " ")
        return moment.removesuffix(" 00:00:00")
    return number(value, 5)
