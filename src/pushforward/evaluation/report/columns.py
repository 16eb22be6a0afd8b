"""Rows as columns that can be counted: bins of numbers, slots of categories, the same for data and all models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...spaces import Classes, Column, Space, Sphere, Table, Tokens, Torus
from .scales import linear_ticks, step_of

BEYOND, MISSING = -1, -2
_SLOTS = 8
"""Categories with a slot of their own, when there are more than `_ORDERED` of them."""
_ORDERED = 12
_LARGEST = 1e300
_SLOTS_COARSE = 6


@dataclass(frozen=True)
class Field:
    """One column: its name, and how its numbers are to be read.

    Attributes:
        categories: names, when values are positions among them. ordered: whether their order means something.
        step: numbers lie on multiples of it. date: numbers are seconds since 1970. low, high: fixed ends, or None.
        sine: numbers are sines of latitudes, so that equal heights are equal areas. degrees: numbers are longitudes in
            degrees, whose densities are by steradian.
    """

    name: str
    categories: tuple[str, ...] = ()
    ordered: bool = False
    step: float | None = None
    date: bool = False
    low: float | None = None
    high: float | None = None
    sine: bool = False
    degrees: bool = False


def fields_of(space: Space, d: int) -> list[Field]:
    """The columns of what `flat` returns; d of them."""
    if isinstance(space, Table):
        return [_of_table(c) for c in space.columns]
    if isinstance(space, Classes):
        return [Field("class", space.names or tuple(map(str, range(space.count))))]
    if isinstance(space, Tokens):
        return [Field("token", tuple(map(str, range(space.vocabulary))))]
    if isinstance(space, Torus):
        names = space.names or tuple(f"angle{j + 1}" for j in range(d))
        return [Field(name, low=space.low, high=space.low + space.period) for name in names]
    names = getattr(space, "names", ())
    return [Field(name) for name in (names if len(names) == d else [f"x{j + 1}" for j in range(d)])]


def _of_table(column: Column) -> Field:
    if column.is_number:
        return Field(column.name, step=column.step, date=column.kind == "datetime")
    return Field(column.name, column.categories, ordered=column.kind in ("ordinal", "boolean"))


def flat(x: np.ndarray, space: Space) -> np.ndarray:
    """Rows (n, *shape) as float64 (n, columns) in the user's own coordinates; tokens of all positions as one column."""
    x = np.asarray(x)
    if isinstance(space, Torus) or (isinstance(space, Sphere) and space.names):
        from ...data.geometry import written

        return written(x, space)[0]
    if isinstance(space, Tokens):
        return x.reshape(-1, 1).astype(np.float64)
    return x.reshape(len(x), -1).astype(np.float64)


class Bins:
    """Slots of one column, chosen by the data and used for every model.

    Numbers: `edges`, of equal width, from the 0.1% to the 99.9% point of the data and a margin; what a model draws
    beyond is counted apart. Categories: `labels`, the most frequent first unless ordered, the rest as "others".
    """

    def __init__(self, field: Field, data: np.ndarray, most: int = 40):
        self.field = field
        self.edges: np.ndarray | None = None
        self.labels: tuple[str, ...] = ()
        known = data[np.isfinite(data) & (np.abs(data) < _LARGEST)]
        if field.categories:
            self._slots_of(known)
        else:
            self.edges = _edges(field, known, most)

    def _slots_of(self, known: np.ndarray) -> None:
        names = self.field.categories
        counts = np.bincount(known.astype(np.int64), minlength=len(names))[: len(names)]
        slot = np.arange(len(names))
        if len(names) > _ORDERED:
            first = np.sort(np.argsort(-counts, kind="stable")[:_SLOTS]) if self.field.ordered else None
            first = np.argsort(-counts, kind="stable")[:_SLOTS] if first is None else first
            slot = np.full(len(names), len(first))
            slot[first] = np.arange(len(first))
            self.labels = (*(names[k] for k in first), f"{len(names) - len(first):,} others")
        elif self.field.ordered:
            self.labels = names
        else:
            order = np.argsort(-counts, kind="stable")
            slot[order] = np.arange(len(names))
            self.labels = tuple(names[k] for k in order)
        self._slot = slot

    def __len__(self) -> int:
        return len(self.labels) if self.edges is None else len(self.edges) - 1

    def index(self, x: np.ndarray) -> np.ndarray:
        """(n,) slot of each value, `BEYOND` the range, or `MISSING`."""
        gone = np.isnan(x)
        if self.edges is None:
            code = np.where(gone, -1, x).astype(np.int64)
            inside = (code >= 0) & (code < len(self._slot))
            found = np.where(inside, self._slot[np.where(inside, code, 0)], BEYOND)
        else:
            found = np.searchsorted(self.edges, x, side="right") - 1
            found = np.where(x == self.edges[-1], len(self) - 1, found)
            found = np.where((x < self.edges[0]) | (x > self.edges[-1]), BEYOND, found)
        return np.where(gone, MISSING, found)

    def shares(self, x: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Shares of all values in each slot, beyond the range, and missing."""
        index = self.index(x)
        n = max(1, len(index))
        counts = np.bincount(index[index >= 0], minlength=len(self)) / n
        return counts, float((index == BEYOND).sum() / n), float((index == MISSING).sum() / n)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Places, in slots from the left or lower end, and their labels."""
        if self.edges is None:
            return [(k + 0.5, name) for k, name in enumerate(self.labels)]
        low, high = float(self.edges[0]), float(self.edges[-1])
        if self.field.sine:
            degrees = np.degrees(np.arcsin(np.clip([low, high], -1, 1)))
            found = [(math.sin(math.radians(v)), says) for v, says in linear_ticks(degrees[0], degrees[1], most)]
        else:
            found = _date_ticks(low, high, most) if self.field.date else linear_ticks(low, high, most)
        if self.field.step and not self.field.date and self.field.step >= 1:
            found = [(v, says) for v, says in found if v == round(v)]
        return [((v - low) / (high - low) * len(self), says) for v, says in found]


def _edges(field: Field, known: np.ndarray, most: int) -> np.ndarray:
    if field.low is not None and field.high is not None:
        return np.linspace(field.low, field.high, most + 1)
    if not known.size:
        return np.array([0.0, 1.0])
    low, high = (float(v) for v in np.quantile(known, [0.001, 0.999]))
    if field.step:
        first, last = math.floor(low / field.step + 0.5), math.floor(high / field.step + 0.5)
        each = max(1, math.ceil((last - first + 1) / most))
        count = math.ceil((last - first + 1) / each)
        edges: np.ndarray = field.step * (first - 0.5 + each * np.arange(count + 1))
        if np.all(np.diff(edges) > 0):
            return edges
    if high <= low:
        half = abs(low) * 0.01 or 0.5
        return np.linspace(low - half, high + half, 4)
    margin = 0.05 * (high - low)
    return np.linspace(low - margin, high + margin, most + 1)


_SPANS = ((86400 * 365.25 * 3, "Y"), (86400 * 90, "M"), (86400 * 3, "D"), (3600 * 3, "h"), (180, "m"), (0, "s"))


def _date_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Whole years, months, days, ... (UTC) between two moments in seconds."""
    if not (abs(low) < 2e11 and abs(high) < 2e11):
        return linear_ticks(low, high, most)
    unit: Any = next(u for span, u in _SPANS if high - low >= span)
    first, last = (int(np.datetime64(int(v), "s").astype(f"datetime64[{unit}]").astype(int)) for v in (low, high))
    every = max(1, math.ceil(step_of(last - first + 1.0, most)))
    numbers = np.arange(first, last + 2)
    moments = [np.datetime64(int(v), unit) for v in numbers if v % every == 0][:50]
    found = [(float(m.astype("datetime64[s]").astype(int)), str(m).replace("T", " ")) for m in moments]
    return [(v, says) for v, says in found if low <= v <= high]


def joint(a: Bins, b: Bins, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Counts (len(a), len(b)) of pairs of values (n,), (n,); how many lie beyond, and how many have a missing cell."""
    i, j = a.index(x), b.index(y)
    inside = (i >= 0) & (j >= 0)
    gone = int(((i == MISSING) | (j == MISSING)).sum())
    counts = np.bincount(i[inside] * len(b) + j[inside], minlength=len(a) * len(b))
    return counts.reshape(len(a), len(b)), int(len(inside) - inside.sum()) - gone, gone


def coarse(x: np.ndarray, data: np.ndarray, fields: Sequence[Field], slots: int = _SLOTS_COARSE) -> np.ndarray:
    """(n, columns, slots + 1) 0 or 1: each value's slot among quantiles of the data or frequent categories.

    The last slot is that of missing cells. Products of it count how two columns go together.
    """
    n, d = x.shape
    index = np.zeros((n, d), np.int64)
    for j, field in enumerate(fields):
        known = data[:, j][np.isfinite(data[:, j])]
        if field.categories:
            counts = np.bincount(known.astype(np.int64), minlength=len(field.categories))
            order = np.argsort(-counts, kind="stable")
            slot = np.full(len(counts), slots - 1)
            slot[order[: slots - 1]] = np.arange(min(slots - 1, len(order)))
            code = np.clip(np.nan_to_num(x[:, j], nan=0.0), 0, len(counts) - 1).astype(np.int64)
            index[:, j] = slot[code]
        elif known.size:
            cuts = np.unique(np.quantile(known, np.arange(1, slots) / slots))
            index[:, j] = np.searchsorted(cuts, x[:, j], side="right").clip(0, slots - 1)
        index[:, j] = np.where(np.isnan(x[:, j]), slots, index[:, j])
    return (index[:, :, None] == np.arange(slots + 1)).astype(np.float32)


def worst_pairs(
    data: np.ndarray, models: Sequence[np.ndarray], fields: Sequence[Field], most: int = 3
) -> list[tuple[int, int]]:
    r"""Pairs of columns whose dependence differs most from the data's in any of the models, the worst first.

    At least one, and others only if they differ by more than chance.

    Of each pair, the total variation between the joint shares of data and model over a coarse grid, less the larger of
    the two columns' own: what the marginals do not explain.
    """
    d = len(fields)
    if d < 2 or not len(data):
        return []

    def shares(x: np.ndarray) -> np.ndarray:
        hot = coarse(x, data, fields)
        k = hot.shape[2]
        wide = hot.reshape(len(x), d * k)
        product: np.ndarray = (wide.T @ wide / len(x)).astype(np.float64).reshape(d, k, d, k).transpose(0, 2, 1, 3)
        return product

    real = shares(data)
    worst = np.zeros((d, d))
    for x in models:
        if len(x):
            difference = 0.5 * np.abs(shares(x) - real).sum(axis=(2, 3))
            own = np.diag(difference)
            # Two samples of one distribution over K cells are sqrt(K / (pi n)) apart.
            chance = math.sqrt(_SLOTS_COARSE**2 / (math.pi * min(len(x), len(data))))
            worst = np.maximum(worst, (difference - np.maximum(own[:, None], own[None])) / chance)
    pairs = sorted(((i, j) for i in range(d) for j in range(i + 1, d)), key=lambda p: -worst[p])
    return [pair for k, pair in enumerate(pairs[:most]) if k == 0 or worst[pair] > 1.25]


def apart(data: np.ndarray, x: np.ndarray, bins: Bins) -> float:
    """Total variation between the shares of data and model over the slots of one column, beyond and missing too."""
    (a, a1, a2), (b, b1, b2) = bins.shares(data), bins.shares(x)
    return 0.5 * float(np.abs(a - b).sum() + abs(a1 - b1) + abs(a2 - b2))
