"""Columns of a table, or arrays, as points of a sphere, angles of a torus or sequences of tokens; and back.

========  =================================================  =====================================================
space=    a table                                            an array
========  =================================================  =====================================================
sphere    columns of latitude and longitude, in degrees      (n, 2) latitude and longitude, in degrees; (n, k) unit
                                                             vectors for k of 3 and more
torus     numeric columns, each an angle                     (n, d) angles
tokens                                                       (n, length) whole numbers of at least 0
========  =================================================  =====================================================

Angles are radians unless some exceed a full turn of 2 pi: then all are degrees. Which it was is said and stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..spaces import Space, Sphere, Tokens, Torus
from .source import Rows

if TYPE_CHECKING:
    from .tables.source import TableSource

LATITUDE = ("lat", "latitude")
LONGITUDE = ("lon", "lng", "long", "longitude")
MOST_TOKENS = 1 << 20
_TURN = 2 * math.pi
_DECIMALS = 12
"""Of degrees that are written: 0.1 micrometres on the earth, and 36.2949 instead of 36.294900000000005."""
_SLACK = 1e-6
"""Above pi and its multiples: the nearest float32 is."""

Found = tuple[np.ndarray, Space, list[str]]
"""Rows of a space (n, *space.shape), and what was decided."""

Place = Callable[[int, int], str]
"""Row and column of a value in the user's words."""


def from_table(source: TableSource, columns: Sequence[str], like: Space | None = None) -> Rows:
    """The `columns` of a table that are coordinates as rows of the space that its options ask for, or of `like`.

    Raises:
        InputError: no columns of coordinates, or a value that is none, with its row.
    """
    from .tables.source import column_values, is_numeric

    where, positional = source.where, source.positional
    for name, asked in source.options.columns.items():
        if asked != "drop":
            raise InputError(f"{where}: columns: {name}={asked} with space=.", "Coordinates are numbers: only drop.")
    columns = [name for name in columns if name not in source.options.columns]
    numeric = [name for name in columns if is_numeric(source.columns[name].type)]
    kind = source.options.space if like is None else like.kind
    names: list[str]
    if kind == "sphere":
        names, notes = _latitude_longitude(numeric, columns, where, like)
    elif kind == "torus":
        names, notes = _angles(numeric, where, like, positional)
    else:
        what = "sequences of tokens" if like is None else like.describe()
        raise InputError(f"{where} is a table: its rows are no {what}.", "Give an array, or data of that kind.")
    if like is None and (left := [n for n in columns if n not in names]):
        notes.append(f"left out: {', '.join(left)}")

    def place(row: int, column: int) -> str:
        return f"{where}: column {names[column]!r}, data row {row + 1}"

    cells = [column_values(source.columns[n], n, where) for n in names]
    for j, column in enumerate(cells):
        if (row := _not_a_number(column)) is not None:
            raise InputError(f"{place(row, j)} is {str(column[row])!r}.", "Coordinates are numbers.")
    values = np.stack([column.astype(np.float64) for column in cells], axis=1)
    if kind == "sphere":
        x, space, more = _sphere(values, ("latitude", "longitude") if positional else names, where, place, like)
    else:
        x, space, more = _torus(values, () if positional else tuple(names), where, place, like)
    source.notes += notes + more
    return Rows(x, space)


def array_rows(x: np.ndarray, kind: str | None, where: str, like: Space | None = None) -> Found:
    """An array as rows of the space `kind`, or of a model's space `like`.

    Raises:
        InputError: another shape or type, or a value that is none of this space, with its row.
    """
    kind = like.kind if like is not None else kind
    if x.dtype.kind not in "iuf" or x.ndim not in (1, 2) or 0 in x.shape:
        raise InputError(
            f"{where} is {x.dtype} of shape {x.shape}.", f"space={kind} takes numbers of shape (n, columns)."
        )

    def place(row: int, column: int) -> str:
        return f"{where}: the value at row {row} (index [{row}, {column}])"

    if kind == "tokens":
        return _tokens(x, where, place, like)
    x = x[:, None] if x.ndim == 1 else x
    if kind == "torus":
        return _torus(x.astype(np.float64), (), where, place, like)
    if x.shape[1] == 2:
        return _sphere(x.astype(np.float64), ("latitude", "longitude"), where, place, like)
    return _unit_vectors(x, where, place, like)


def _refuse(bad: np.ndarray, values: np.ndarray, place: Place, hint: str) -> None:
    """Raises InputError for the first value of (n, columns) that is marked."""
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(f"{place(row, column)} is {values[row, column].item()}.", hint)


def written(x: np.ndarray, space: Sphere | Torus) -> tuple[np.ndarray, list[str]]:
    """Points (n, *space.shape) in the user's own coordinates (n, columns), and the columns' names."""
    x = x.astype(np.float64)
    if isinstance(space, Torus):
        y = x if space.period == _TURN else np.round(x * (space.period / _TURN), _DECIMALS)
        y = np.where(y < space.low, y + space.period, y)
        y = np.where(y >= space.low + space.period, space.low, y)
        return y, list(space.names) or [f"angle{j + 1}" for j in range(space.d)]
    if not space.names:
        return x, [f"x{j + 1}" for j in range(space.d + 1)]
    latitude = np.round(np.degrees(np.arctan2(x[:, 2], np.hypot(x[:, 0], x[:, 1]))), _DECIMALS)
    longitude = np.round(np.degrees(np.arctan2(x[:, 1], x[:, 0])), _DECIMALS)
    longitude = np.where(longitude < space.west, longitude + 360, longitude)
    longitude = np.where(longitude >= space.west + 360, longitude - 360, longitude)
    return np.stack([latitude, longitude], axis=1), list(space.names)


# -------------------------------------------------------------------------------------------------- the sphere


def unit_vectors(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Degrees (n,), (n,) to unit vectors (n, 3): the north pole is (0, 0, 1), longitude 0 of the equator (1, 0, 0)."""
    a, b = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], axis=1)


def _latitude_longitude(
    numeric: Sequence[str], columns: Sequence[str], where: str, like: Space | None
) -> tuple[list[str], list[str]]:
    """The names of the two columns, latitude first, and how they were found."""
    wanted = getattr(like, "names", ())
    if wanted and all(name in columns for name in wanted):
        return list(wanted), []
    found = [_named(columns, words) for words in (LATITUDE, LONGITUDE)]
    if all(len(names) == 1 for names in found):
        return [found[0][0], found[1][0]], []
    if len(numeric) == 2 and not any(found):
        return list(numeric), [
            f"latitude is {numeric[0]}, longitude is {numeric[1]}: the two numeric columns, in order"
        ]
    several = [
        f"{name} by {', '.join(map(repr, names))}"
        for name, names in zip(("latitude", "longitude"), found)
        if len(names) > 1
    ]
    raise InputError(
        f"{where}: which columns are latitude and longitude? "
        + (f"There is {' and '.join(several)}." if several else f"Its columns are {', '.join(columns)}."),
        "Name them lat and lon (or latitude, longitude), once each; or leave just two numeric columns.",
    )


def _named(names: Sequence[str], words: Sequence[str]) -> list[str]:
    """The names that are one of the words, else those that contain one (start_lat)."""
    exact = [n for n in names if n.strip().lower() in words]
    return exact or [n for n in names if set(re.split(r"[^a-z]+", n.lower())) & set(words)]


def _not_a_number(cells: np.ndarray) -> int | None:
    """The first row of a column whose cell is no number."""
    if cells.dtype.kind in "iuf":
        return None

    def fails(cell: str) -> bool:
        try:
            float(cell)
        except ValueError:
            return True
        return False

    return next((row for row, cell in enumerate(cells) if fails(str(cell))), None)


def _sphere(values: np.ndarray, names: Sequence[str], where: str, place: Place, like: Space | None) -> Found:
    latitude, longitude = values.T
    _refuse(~np.isfinite(values), values, place, "Remove or fill those rows first.")
    bad = np.abs(latitude) > 90
    swapped = " Are latitude and longitude swapped?" if bad.any() and (np.abs(longitude) <= 90).all() else ""
    _refuse(bad[:, None] & [True, False], values, place, f"Latitudes lie in -90..90 degrees.{swapped}")
    east = longitude > 180
    bad = (longitude < -180) | (longitude > 360) | (east & (longitude.min() < 0))
    mixed = " (not both in one column)" if (longitude.min() >= -180) and longitude.max() <= 360 else ""
    _refuse(bad[:, None] & [False, True], values, place, f"Longitudes lie in -180..180 or 0..360 degrees{mixed}.")
    x = unit_vectors(latitude, longitude)
    if like is None:
        space: Space = Sphere(2, tuple(names), 0.0 if east.any() else -180.0, double=True)
        return x, space, [f"{len(x):,} points by {names[0]} and {names[1]}, in degrees; areas are in steradian"]
    return x, like, []


def _unit_vectors(x: np.ndarray, where: str, place: Place, like: Space | None) -> Found:
    if x.shape[1] < 3:
        raise InputError(
            f"{where} has shape {x.shape}.", "A sphere takes (n, 2) degrees, or (n, k) unit vectors with k >= 3."
        )
    values = x.astype(np.float64)
    _refuse(~np.isfinite(values), values, place, "Remove or fill those rows first.")
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    bad = np.abs(norms[:, 0] - 1) > 1e-3
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{where}: row {row} has norm {norms[row, 0]:.6g}.",
            "Points of a sphere are unit vectors: divide each by its norm; or give (n, 2) degrees.",
        )
    double = x.dtype.kind != "f" or x.dtype.itemsize > 4
    space = Sphere(x.shape[1] - 1, double=double) if like is None else like
    return (values / norms).astype(np.float64 if double else np.float32), space, []


# --------------------------------------------------------------------------------------------------- the torus


def _angles(numeric: Sequence[str], where: str, like: Space | None, positional: bool) -> tuple[list[str], list[str]]:
    wanted = getattr(like, "names", ())
    if wanted and not positional:
        if missing := [name for name in wanted if name not in numeric]:
            raise InputError(
                f"{where} lacks {', '.join(map(repr, missing))}.", f"The model's angles: {', '.join(wanted)}."
            )
        return list(wanted), []
    if not numeric:
        raise InputError(f"{where} has no numeric columns.", "Angles are numbers.")
    if like is not None and like.shape != (len(numeric),):
        raise InputError(f"{where} has {len(numeric)} numeric columns, the model has {like.describe()}.")
    return list(numeric), []


def _torus(values: np.ndarray, names: tuple[str, ...], where: str, place: Place, like: Space | None) -> Found:
    _refuse(~np.isfinite(values), values, place, "Remove or fill those rows first.")
    if like is not None and values.shape[1:] != like.shape:
        raise InputError(f"{where} has {values.shape[1]} angles, the model has {like.describe()}.")
    low, high = float(values.min()), float(values.max())
    if isinstance(like, Torus):
        period = like.period
    else:
        period = _TURN if max(-low, high) <= _TURN + _SLACK else 360.0
    unit = "degrees" if period == 360 else "radians"
    allowed = "-360..360 degrees" if period == 360 else "-2 pi..2 pi radians"
    of_model = "The model's angles" if like is not None else "Angles"
    _refuse(np.abs(values) > period + _SLACK, values, place, f"{of_model} lie in {allowed}.")
    x = wrap(values if period == _TURN else values * (_TURN / period))
    if like is not None:
        return x, like, []
    space = Torus(values.shape[1], names, period, 0.0 if low >= 0 else -period / 2)
    why = "none exceeds 2 pi" if period == _TURN else f"the largest is {max(-low, high):g}"
    notes = [f"{len(x):,} rows of {values.shape[1]} angles, taken as {unit}: {why}"]
    for j in range(values.shape[1]) if period == 360 else ():
        if np.abs(values[:, j]).max() <= _TURN and (values[:, j] != np.rint(values[:, j])).any():
            column = names[j] if names else f"{j + 1}"
            notes.append(f"angle {column} never exceeds 2 pi: if it is in radians, turn it into degrees first")
    return x, space, notes


def wrap(angles: np.ndarray) -> np.ndarray:
    """Radians brought into [-pi, pi); those that lie there stay as they are, to the bit."""
    turns = np.floor((angles + math.pi) / _TURN)
    wrapped = np.where((angles >= -math.pi) & (angles < math.pi), angles, angles - turns * _TURN)
    return np.where(wrapped >= math.pi, -math.pi, np.maximum(wrapped, -math.pi))


# --------------------------------------------------------------------------------------------------- sequences


def _tokens(x: np.ndarray, where: str, place: Place, like: Space | None) -> Found:
    if x.ndim != 2:
        raise InputError(f"{where} is one sequence of {len(x):,} tokens.", "Cut it into rows: (n, length).")
    if x.dtype.kind == "f":
        _refuse(~np.isfinite(x) | (x != np.rint(x)), x, place, "Tokens are whole numbers.")
    most = MOST_TOKENS if like is None else like.vocabulary  # type: ignore[attr-defined]
    _refuse((x < 0) | (x >= most), x, place, f"Tokens are whole numbers 0 to {most - 1:,}.")
    if x.dtype.kind == "f" or not x.dtype.isnative or x.dtype in (np.uint16, np.uint32, np.uint64):
        x = x.astype(np.int64)  # torch gathers few of these types
    if like is not None:
        return x, like, []
    space = Tokens(x.shape[1], int(x.max()) + 1)
    return x, space, [f"{len(x):,} {space.describe()} (0 to the largest)"]
