"""What the columns of a table are: continuous, integer, ordinal, category, boolean, date, constant; or left out.

Kinds, ranges and categories come from all rows (they say what a cell can be); frequencies are learned from the
training rows alone, later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError, did_you_mean
from ...spaces import Column, Table
from . import cells, dates, words
from .cells import encode, encode_column

__all__ = ["Detected", "Dropped", "detect", "encode", "encode_column"]

SEQUENCE = 20
"""Distinct whole numbers without a gap are identifiers from this many rows on (below, chance makes them)."""

_LABELS = ("category", "ordinal", "boolean", "constant")


@dataclass(frozen=True)
class Dropped:
    """A column that is left out of the model: its name, the kind it was found to be, and why."""

    name: str
    kind: str
    why: str


@dataclass(frozen=True)
class Detected:
    """The columns of a table in its own order, those left out, and what was decided in plain words."""

    columns: tuple[Column, ...]
    dropped: tuple[Dropped, ...]
    notes: list[str]

    @property
    def space(self) -> Table:
        """The space of the columns."""
        return Table(self.columns)


def detect(table: pa.Table, kinds: Mapping[str, str], where: str) -> Detected:
    """The columns of a table, from all its rows.

    Args:
        kinds: name to kind, for the columns where the user said it ("drop" leaves one out).

    Raises:
        InputError: `kinds` names an unknown column, or a kind that cannot be (with row and value); infinite numbers;
            nested or binary columns.
    """
    for name in kinds:
        if name not in table.column_names:
            raise InputError(f"{where} has no column {name!r} (columns=).", did_you_mean(name, table.column_names))
    finders = [_Finder(table.column(name), name, where) for name in table.column_names]
    found = cells.each(lambda finder: finder.find(kinds.get(finder.name)), finders, table.num_rows)
    columns = tuple(column for column in found if isinstance(column, Column))
    dropped = tuple(column for column in found if isinstance(column, Dropped))
    notes = [note for finder in finders for note in finder.notes]
    for d in dropped:
        if d.kind != "drop":
            notes.append(f"left out: column {d.name} ({d.kind}: {d.why}); --columns {d.name}=category keeps it")
    return Detected(columns, dropped, notes)


class _Finder:
    """One column on its way to a kind."""

    def __init__(self, column: pa.ChunkedArray, name: str, where: str):
        self.column, self.name, self.where = column, name, where
        self.notes: list[str] = []
        self.stored = str(column.type)

    def find(self, kind: str | None) -> Column | Dropped:
        if kind in ("drop", "identifier", "text"):
            return Dropped(self.name, "drop", "as asked")
        base = self.column.type.value_type if pa.types.is_dictionary(self.column.type) else self.column.type
        usable = cells.is_text(base) or cells.is_numeric(base) or cells.is_date(base) or str(base) == "string_view"
        if not (usable or pa.types.is_boolean(base) or pa.types.is_null(base) or pa.types.is_duration(base)):
            what = "nested" if pa.types.is_nested(base) else "binary" if "binary" in str(base) else "not a plain value"
            raise InputError(
                f"{self.where}: column {self.name!r} is {what} ({base}).",
                f"Columns hold single values: leave it out (columns {self.name}=drop).",
            )
        if kind is not None:
            return self._asked(kind, base)
        if pa.types.is_dictionary(self.column.type) or pa.types.is_boolean(base):
            return self._labels(None)
        if pa.types.is_null(base):
            return self._labels("constant")
        if cells.is_date(base):
            return self._dates()
        if cells.is_numeric(base) or pa.types.is_duration(base):
            return self._numbers()
        return self._text()

    # -------------------------------------------------------------------------------------- labels

    def _labels(self, kind: str | None, names: pa.ChunkedArray | None = None) -> Column:
        """A column of named values, of a given kind or the one that they have."""
        names = cells.texts(self.column) if names is None else names
        known = pc.unique(names).drop_null().to_pylist()
        missing = names.null_count > 0
        order = self._dictionary_order()
        if kind == "constant" or len(known) < 2:
            if len(known) > 1:
                raise self._cannot("constant", names, known[1], "A constant has one value.")
            if not known:
                self.notes.append(f"column {self.name}: every cell is missing")
            kind, order = "constant", None
        pair = ("false", "true") if self.stored == "bool" else words.boolean(known)
        if kind == "boolean" and len(known) > 2:
            strange = [k for k in known if k.lower() not in cells.BOOLEAN_WORDS]
            extra = strange[0] if len(known) - len(strange) == 2 else known[2]
            raise self._cannot("boolean", names, extra, f"A boolean has two values, and here are {len(known):,}.")
        if kind is None:
            kind = "ordinal" if order else "boolean" if pair else "category"
        if kind == "boolean":
            categories: tuple[str, ...] = pair or words.in_order(known)
        elif kind == "ordinal":
            categories = order or words.known_order(known) or words.in_order(known)
        else:
            categories = words.in_order(known)
        if kind == "category" and len(categories) > words.MANY_CATEGORIES:
            self.notes.append(f"column {self.name}: a category of {len(categories):,} values")
        return Column(self.name, kind, categories, missing=missing, stored=self.stored)

    def _dictionary_order(self) -> tuple[str, ...] | None:
        """All levels of an ordered dictionary, used or not."""
        kind = self.column.type
        if not (pa.types.is_dictionary(kind) and kind.ordered) or self.column.num_chunks == 0:
            return None
        levels = self.column.unify_dictionaries().chunk(0).dictionary
        return tuple(cells.texts(pa.chunked_array([levels])).to_pylist()) if len(levels) > 1 else None

    def _text(self) -> Column | Dropped:
        encoded = self.column.dictionary_encode().combine_chunks()
        texts, rows = encoded.dictionary, len(encoded) - encoded.null_count
        if len(texts) < 2:
            return self._labels("constant")
        if len(texts) == 2 and words.boolean(texts.to_pylist()):
            return self._labels("boolean")
        if found := dates.find(texts):
            return self._dates(*found)
        if rows >= 10:
            counts = np.bincount(encoded.indices.drop_null().to_numpy(), minlength=len(texts))
            if nearly := dates.nearly(texts, counts):
                raise self._no_date(texts[nearly[1]].as_py(), dates.example(nearly[0]))
        if len(texts) <= 100 and (order := words.known_order(texts.to_pylist())):
            self.notes.append(f"column {self.name}: in the order {_shown(order)}")
            return Column(self.name, "ordinal", order, missing=self.column.null_count > 0, stored=self.stored)
        if found := words.unmodelled(texts, rows, self.name):
            return Dropped(self.name, *found)
        return self._labels("category")

    # -------------------------------------------------------------------------------------- numbers

    def _numbers(self) -> Column | Dropped:
        kind = self.column.type
        if cells.beyond(self.column) is not None:
            rows, distinct = len(self.column) - self.column.null_count, pc.count_distinct(self.column).as_py()
            if 2 * distinct > rows:
                return Dropped(self.name, "identifier", "whole numbers beyond 2^53")
            self.notes.append(f"column {self.name}: whole numbers beyond 2^53 are kept as labels")
            return self._labels("category")
        x = cells.numbers(self.column, self.name, self.where)
        known = x[~np.isnan(x)]
        values, counts = np.unique(known, return_counts=True)
        if len(values) < 2:
            return self._labels("constant")
        missing = len(known) < len(x)
        if len(values) == 2 and values.tolist() == [0, 1]:
            made = self._labels("boolean")
            if len(made.categories) == 2:
                self.notes.append(f"column {self.name}: 0 and 1 are taken as no and yes")
                return made
        whole = bool((values == np.rint(values)).all() and abs(values[[0, -1]]).max() <= cells.LARGEST_INTEGER)
        unique = whole and len(values) == len(known)
        if unique and (why := self._identifies(values, pa.types.is_integer(kind) or pa.types.is_duration(kind))):
            return Dropped(self.name, "identifier", why)
        low, high = float(values[0]), float(values[-1])
        if whole:
            return Column(self.name, "integer", (), low, high, 1.0, missing, self.stored)
        step = grid(values, counts, single=kind in (pa.float32(), pa.float16()))
        if step is None and pa.types.is_decimal(kind) and _lie_on(values, 10**kind.scale, False):
            step = 10.0**-kind.scale  # its type says so, however few of its values repeat
        if step is not None:
            self.notes.append(
                f"column {self.name}: multiples of {step:g} (--columns {self.name}=continuous: a density)"
            )
            low, high = cells.on_grid(np.array([low, high]), step).tolist()
        return Column(self.name, "continuous", (), low, high, step, missing, self.stored)

    def _identifies(self, values: np.ndarray, integers: bool) -> str:
        """Why distinct whole numbers are names of rows, or ""."""
        n = len(values)
        if words.is_id_name(self.name) and n >= 10:
            return "every row has its own number"
        years = values[0] >= 1000 and values[-1] <= 2200
        if integers and n >= SEQUENCE and not years and values[-1] - values[0] == n - 1:
            return f"every row has its own number, {values[0]:.0f} to {values[-1]:.0f} without a gap"
        return ""

    # -------------------------------------------------------------------------------------- dates

    def _dates(self, format: str = "", remark: str = "") -> Column:
        draft = Column(self.name, "datetime", (), missing=True, stored=self.stored, format=format)
        x = encode_column(self.column, draft, self.where)
        known = x[~np.isnan(x)]
        if dates.is_finer_than_microseconds(self.column):
            self.notes.append(f"column {self.name}: nanoseconds are rounded to microseconds")
        if len(known) == 0 or known.min() == known.max():
            return self._labels("constant")
        if format:
            self.notes.append(f"column {self.name}: dates such as {dates.example(format)}")
        if remark:
            self.notes.append(f"column {self.name}: {remark}")
        step = dates.step(known)
        if getattr(self.column.type, "tz", None) is not None:
            days = dates.local_days(known, self.column.type.tz)
            if dates.step(days) == 86400:  # else moments stay in UTC, where no hour of autumn comes twice
                known, step = days, 86400.0
            elif step == 86400:
                step = 3600.0  # days of UTC are none in the zone
        low, high = float(known.min()), float(known.max())
        return Column(self.name, "datetime", (), low, high, step, len(known) < len(x), self.stored, format)

    def _no_date(self, value: str, example: str) -> InputError:
        row = pc.index(self.column, value).as_py()
        return InputError(
            f"{self.where}: column {self.name!r}, data row {row + 1}: {value!r} is not a date as the others, "
            f"such as {example}.",
            f"Correct the cell, or keep the column as labels: columns {self.name}=category.",
        )

    # -------------------------------------------------------------------------------------- what the user says

    def _asked(self, kind: str, base: pa.DataType) -> Column:
        if kind in _LABELS:
            return self._labels(kind)
        if kind == "datetime":
            return self._asked_date(base)
        x = cells.numbers(self.column, self.name, self.where)
        known = x[~np.isnan(x)]
        if len(known) == 0:
            raise InputError(f"{self.where}: column {self.name!r} cannot be {kind}: every cell is missing.")
        if kind == "integer" and (known != np.rint(known)).any():
            row = int(np.flatnonzero(~np.isnan(x) & (x != np.rint(x)))[0])
            raise InputError(
                f"{self.where}: column {self.name!r}, data row {row + 1}: {x[row]:g} is not a whole number.",
                f"Allowed: columns {self.name}=continuous.",
            )
        if known.min() == known.max():
            return self._labels("constant")
        step = 1.0 if kind == "integer" else None
        return Column(
            self.name, kind, (), float(known.min()), float(known.max()), step, len(known) < len(x), self.stored
        )

    def _asked_date(self, base: pa.DataType) -> Column:
        if cells.is_date(base):
            return self._dates()
        if not (cells.is_text(base) or pa.types.is_integer(base)):
            raise InputError(f"{self.where}: column {self.name!r} holds {base} and cannot be datetime.")
        texts = pc.unique(cells.texts(self.column)).drop_null()
        if len(texts) == 0:
            raise InputError(f"{self.where}: column {self.name!r} cannot be datetime: every cell is missing.")
        if found := dates.find(texts):
            return self._dates(*found)
        for format in ("%Y%m%d", "%Y%m"):
            if not np.isnan(dates.parse(texts, format)).any():
                return self._dates(format)
        nearly = dates.nearly(texts, np.ones(len(texts)), least=0.3)
        if nearly:
            raise self._no_date(texts[nearly[1]].as_py(), dates.example(nearly[0]))
        raise InputError(
            f"{self.where}: column {self.name!r}, data row {pc.index(cells.texts(self.column), texts[0]).as_py() + 1}: "
            f"{texts[0].as_py()!r} is no date.",
            "Write dates as 2024-12-31 or 2024-12-31 23:59:59.",
        )

    def _cannot(self, kind: str, names: pa.ChunkedArray, value: Any, why: str) -> InputError:
        row = pc.index(names, value).as_py()
        return InputError(
            f"{self.where}: column {self.name!r}, data row {row + 1}: {value!r}: the column cannot be {kind}.", why
        )


def moments(column: pa.ChunkedArray, name: str, where: str) -> np.ndarray:
    """A column of dates or of numbers as (n,) float64 that grows with time, NaN where missing.

    Raises:
        InputError: neither.
    """
    if not cells.is_text(cells.plain(column).type):
        return cells.numbers(column, name, where)
    texts = pc.unique(cells.plain(column)).drop_null()
    found = dates.find(texts)
    if found is None:
        value = texts[0].as_py() if len(texts) else ""
        raise InputError(
            f"{where}: column {name!r} holds {value!r}, which is neither a date nor a number.",
            "split_time= takes a column of dates or of numbers.",
        )
    return dates.strictly(cells.plain(column), found[0], name, where)


def time_labels(column: pa.ChunkedArray, times: np.ndarray) -> list[str]:
    """The values of `moments` in words."""
    if cells.is_numeric(cells.plain(column).type):
        return [f"{t:.15g}" for t in times]
    written = dates.write(times, np.isnan(times), "%Y-%m-%d %H:%M:%S%.f").to_pylist()
    whole = all(w is None or w.endswith(" 00:00:00") for w in written)
    return [w or "" if not whole else (w or "")[:10] for w in written]


def grid(values: np.ndarray, counts: np.ndarray, single: bool = False) -> float | None:
    """The decimal step that distinct, sorted `values` lie on, as rounded numbers do; or None.

    Up to two decimals are a grid (prices, however few repeat); more of them only when many values repeat.

    The most frequent value is left out of the count: a spike at zero says nothing about rounding. Steps are
    1/k for a whole k, so that value = round(value * k) / k exactly.
    """
    rest = counts.sum() - counts.max()
    if rest < 10:
        return None
    repeats = rest - (len(values) - 1) >= 0.2 * rest
    some = values[:: max(1, len(values) // 1000)]
    for digits in range(1, 7 if repeats else 3):
        scale = 10**digits
        if not _lie_on(some, scale, single) or not _lie_on(values, scale, single):
            continue
        whole = np.round(values * scale).astype(np.int64)
        return int(np.gcd(np.gcd.reduce(whole), scale)) / scale
    return None


def _lie_on(values: np.ndarray, scale: int, single: bool) -> bool:
    if abs(values[[0, -1]]).max() > cells.LARGEST_INTEGER / scale:
        return False
    nearest = np.round(values * scale) / scale
    return bool((nearest.astype(np.float32) == values.astype(np.float32) if single else nearest == values).all())


def _shown(order: tuple[str, ...]) -> str:
    return " < ".join(order if len(order) <= 6 else (*order[:4], "...", order[-1]))
