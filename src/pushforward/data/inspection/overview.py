"""Data in plain facts, JSON-able: the columns of a table, the classes of a condition, pictures, tokens, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...dataset import join
from ...errors import InputError
from ...spaces import Classes, Column, Pixels, Real, Sphere, Tokens, Torus
from ..data import Data
from ..geometry import written
from ..source import Source
from ..tables.cells import LARGEST_INTEGER
from ..tables.columns import Dropped
from ..text.tokenizer import tokenizer
from .oddities import Profile, profiles, some_rows
from .oddity import amount, leave_out, listed, moment, shorten

MOST_NAMED = 20
"""Categories that are listed with their counts."""
MOST_CLASSES = 100
"""Labels that are counted one by one."""
WINDOWS = 3
"""Texts that are shown."""


def of_columns(seen: Sequence[Profile], x: np.ndarray) -> list[dict[str, Any]]:
    """Each column: its kind, values, range, missing cells, and an example.

    Args:
        seen: `profiles(x, columns)`. x: (n, columns) all rows, NaN where missing.
    """
    out = []
    for p in seen:
        known = ~np.isnan(x[:, p.j])
        first = int(known.argmax())
        facts: dict[str, Any] = {
            "name": p.column.name,
            "kind": p.column.kind,
            "values": _values(p),
            "missing": round(p.missing * len(x)),
            "missing_share": p.missing,
            "example": p.shown(x[first, p.j], quoted=False) if known[first] else None,
        }
        if p.column.is_number:
            facts |= {"low": p.column.low, "high": p.column.high, "step": p.column.step}
        else:
            common = np.argsort(-p.counts, kind="stable")[:MOST_NAMED]
            named = {p.column.categories[int(p.values[i])]: int(p.counts[i]) for i in common}
            facts |= {"categories": len(p.column.categories), "most_frequent": named}
        out.append(facts)
    return out


def _values(p: Profile) -> str:
    """`17 to 90`; `2015-01-01 to 2023-03-19, days`; `7: Private, Local-gov, ...`."""
    column = p.column
    if len(p.values) == 0:
        return "none"
    if column.kind == "datetime":
        units = {86400.0: ", days", 3600.0: ", hours", 60.0: ", minutes"}
        return f"{moment(column.low, column)} to {moment(column.high, column)}{units.get(column.step or 0.0, '')}"
    if column.is_number:
        step = f", multiples of {column.step:g}" if column.step not in (None, 1.0) else ""
        return f"{amount(column.low)} to {amount(column.high)}{step}"
    if column.kind in ("constant", "boolean"):
        return ", ".join(shorten(c, 20) for c in column.categories)
    order = range(len(p.values)) if column.kind == "ordinal" else np.argsort(-p.counts, kind="stable")
    names = [shorten(column.categories[int(p.values[i])], 20) for i in order]
    mark = " < " if column.kind == "ordinal" else ", "
    return f"{len(column.categories):,}: {mark.join(names[:4])}{mark + '...' if len(names) > 4 else ''}"


def of_dropped(dropped: Sequence[Dropped], cells: Any) -> list[dict[str, Any]]:
    """Each column that is left out: why, an example, and the option that keeps it.

    Args:
        cells: the typed columns of the source, by name.
    """
    out = []
    for d in dropped:
        asked = d.kind == "drop"
        example = None if asked else next((c.as_py() for c in cells[d.name] if c.is_valid), None)
        keep = None if asked else leave_out(d.name).replace("=drop", "=category")
        shown = None if example is None else shorten(str(example), 30)
        out.append({"name": d.name, "kind": d.kind, "why": d.why, "example": shown, "keep": keep})
    return out


def of_condition(data: Data) -> dict[str, Any] | None:
    """What the data are conditioned on: the count of each class, or the range of each number."""
    space = data.condition_space
    if space is None:
        return None
    name = data.options.get("condition")
    values = join([part.conditions() for part in (data.train, data.validation, data.test)])
    facts: dict[str, Any] = {"name": name if isinstance(name, str) else "label", "what": space.describe()}
    if isinstance(space, Classes):
        counts = torch.bincount(values.reshape(-1), minlength=space.count).tolist()
        names = space.names or tuple(map(str, range(space.count)))
        facts["classes"] = dict(zip(names, counts))
    elif isinstance(space, Real):
        flat = values.double().reshape(len(values), -1)
        names = getattr(space, "names", ()) or tuple(str(i + 1) for i in range(flat.shape[1]))
        facts["ranges"] = {n: [float(c.min()), float(c.max())] for n, c in zip(names, flat.unbind(1))}
    return facts


def of_pictures(space: Pixels) -> dict[str, Any]:
    """The size of pictures, JSON-able."""
    return {"height": space.height, "width": space.width, "channels": space.channels, "levels": space.levels}


def of_labels(opened: Source) -> dict[str, Any]:
    """What may be the condition: how often each label is there; of many, how many differ; or why it cannot be used."""
    labels: dict[str, Any] = {}
    for name in opened.obvious:
        try:
            cells = np.asarray(opened.columns[name])
        except InputError as error:
            labels[name] = error.what
            continue
        values, counts = np.unique(cells.astype(str), return_counts=True)
        labels[name] = dict(zip(values.tolist(), counts.tolist())) if len(values) <= MOST_CLASSES else len(values)
    return labels


def of_tokens(x: np.ndarray, space: Tokens) -> tuple[dict[str, Any], Profile]:
    """Tokens of a text (N,) or of sequences (n, length): how many, which, and the first windows; and their profile."""
    counts = np.bincount(x.reshape(-1).astype(np.int64), minlength=space.vocabulary)
    chosen = tokenizer(space)
    first = x.reshape(-1)[: WINDOWS * space.length].reshape(-1, space.length)
    if chosen is None:
        names = [str(i) for i in range(space.vocabulary)]
        windows = [" ".join(map(str, row[:64].tolist())) for row in first]
    else:
        names = [chosen.decode(np.array([i])) for i in range(space.vocabulary)]
        windows = [chosen.decode(row) for row in first]
    shown = tuple(name.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") for name in names)
    common = np.argsort(-counts, kind="stable")[:MOST_NAMED]
    facts = {
        "tokens": int(counts.sum()),
        "vocabulary": space.vocabulary,
        "length": space.length,
        "used": int((counts > 0).sum()),
        "most_frequent": {names[i]: int(counts[i]) for i in common},
        "windows": windows,
    }
    values = np.flatnonzero(counts)
    return facts, Profile(Column("tokens", "category", shown), 0, values.astype(float), counts[values], 1.0, 0.0)


def of_vectors(x: np.ndarray, space: Real | Sphere | Torus) -> tuple[np.ndarray, list[Profile]]:
    """Vectors, points or angles in the user's coordinates (n, columns) float64, and what values the columns have.

    Of more than 64 million numbers, some rows at random are looked at.
    """
    if x.size > 1 << 26:
        x = x[some_rows(len(x), max(1, x[0].size))]
    if isinstance(space, (Sphere, Torus)):
        values, names = written(np.asarray(x), space)
    else:
        values = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
        names = list(space.names) or [str(j + 1) for j in range(values.shape[1])]
    low, high = values.min(0), values.max(0)
    exact = np.maximum(-low, high) <= LARGEST_INTEGER
    whole = exact & (values[:1000] == np.rint(values[:1000])).all(0)
    columns = []
    for j, name in enumerate(names):
        integers = bool(whole[j]) and bool((values[:, j] == np.rint(values[:, j])).all())
        kind, step = ("integer", 1.0) if integers else ("continuous", None)
        columns.append(Column(name, kind, (), float(low[j]), float(high[j]), step))
    return values, profiles(values, columns, tabular=False)


def classes_in_words(classes: dict[str, int], most: int = 12) -> str:
    """`3: 1,000, 7: 998 and 8 more`, the largest first."""
    order = sorted(classes, key=lambda name: -classes[name])
    return listed([f"{shorten(name, 20)} ({classes[name]:,})" for name in order], most)
