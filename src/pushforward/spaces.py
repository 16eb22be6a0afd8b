r"""What one sample is: its shape, its values, its units of likelihood.

A `Space` is a small frozen value. Models declare the spaces that they can model directly; `families.adapted` gives
every other space to them. Conditions live in spaces too (a class in `Classes`, a vector in `Real`).

Likelihoods are in nats against the base measure of the space: the counting measure for `Pixels`, `Classes` and
`Tokens` (log-probabilities, never above 0), the Lebesgue measure in the data's own units for `Real`, the surface
measure for `Sphere` (steradian), that of angles for `Torus` (radians), and a product of the first two, column by
column, for `Table`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from .errors import InputError


@dataclass(frozen=True)
class Space:
    """Base of all spaces. `shape` is the shape of one sample, `dtype` the torch dtype users get back."""

    kind: ClassVar[str] = "space"
    measure: ClassVar[str] = "Lebesgue"

    @property
    def shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def dimensions(self) -> int:
        """How many numbers one sample has; bits per dimension divide by it."""
        return math.prod(self.shape)

    def check(self, x: Tensor, name: str = "data") -> Tensor:
        """`x` (n, *shape) as a tensor of this space. Raises InputError with the first offending row."""
        x = torch.as_tensor(x)
        if tuple(x.shape[1:]) != self.shape:
            raise InputError(
                f"{name} has shape {tuple(x.shape)}: each example of {self.describe()} has shape {self.shape}.",
                f"Give an array of shape (n, {', '.join(map(str, self.shape)) or ''}).",
            )
        return self._check_values(x, name)

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        return x

    def describe(self) -> str:
        return self.kind

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_json(data: Mapping[str, Any] | None) -> Any:
        """The space that `to_json` described. Raises InputError for an unknown kind or field."""
        if data is None:
            return None
        values = dict(data)
        kind = values.pop("kind", None)
        cls = next((c for c in _all_spaces() if c.kind == kind), None)
        if cls is None:
            raise InputError(f"unknown space {kind!r}.", "The file was written by another version of pushforward.")
        known = {f.name for f in fields(cls)}
        if extra := set(values) - known:
            raise InputError(f"space {kind!r} has no field {sorted(extra)}.", f"Known: {sorted(known)}.")
        return cls(**{k: _tuples(v) for k, v in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _all_spaces() -> list[type[Space]]:
    found, todo = [], [Space]
    while todo:
        todo.extend(subclasses := todo.pop().__subclasses__())
        found.extend(subclasses)
    return found


def _check_finite(x: Tensor, name: str) -> Tensor:
    bad = ~torch.isfinite(x.flatten(1)).all(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise InputError(
            f"{name}, row {row}: a value is {float(x[row].flatten()[~torch.isfinite(x[row].flatten())][0])}.",
            "All values must be finite: remove or fill those rows first.",
        )
    return x


def _check_range(x: Tensor, low: int, high: int, name: str, what: str) -> Tensor:
    """Integers in low..high, as they are; anything else is an InputError with row and value."""
    if x.is_floating_point():
        if bool((x != x.round()).any()):
            value = float(x[x != x.round()][0])
            raise InputError(f"{name} holds {value}.", f"{what} are integers {low} to {high}.")
        x = x.long()
    bad = ((x < low) | (x > high)).flatten(1).any(1) if x.ndim > 1 else (x < low) | (x > high)
    if bad.any():
        row = int(bad.nonzero()[0])
        values = x[row].flatten()
        raise InputError(
            f"{name}, row {row}: value {int(values[(values < low) | (values > high)][0])}.",
            f"{what} are integers {low} to {high}.",
        )
    return x


@dataclass(frozen=True)
class Real(Space):
    """Real numbers of any shape: (d,) vectors, (c, h, w) continuous images.

    `names`: column names of a vector, or (). `double`: users get float64 back (their data was float64).
    """

    kind: ClassVar[str] = "real"
    event_shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    double: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.event_shape

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.double else torch.float32

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        return _check_finite(x if x.is_floating_point() else x.to(self.dtype), name)

    def describe(self) -> str:
        if len(self.event_shape) == 1:
            return f"{self.event_shape[0]} real numbers"
        return f"real arrays of shape {self.event_shape}"


@dataclass(frozen=True)
class Interval(Real):
    """Real numbers in [-1, 1]: what pixels become without dequantization."""

    kind: ClassVar[str] = "interval"


@dataclass(frozen=True)
class Pixels(Space):
    """Images of integers 0..levels-1: (channels, height, width), stored as uint8 (int32 above 256 levels)."""

    kind: ClassVar[str] = "pixels"
    measure: ClassVar[str] = "counting"
    channels: int
    height: int
    width: int
    levels: int = 256

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8 if self.levels <= 256 else torch.int32

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        if x.dtype == torch.uint8 and self.levels == 256:
            return x
        return _check_range(x, 0, self.levels - 1, name, "pixel values").to(self.dtype)

    def describe(self) -> str:
        colour = {1: "grey", 3: "colour"}.get(self.channels, f"{self.channels}-channel")
        return f"{colour} images of {self.height}x{self.width} pixels, {self.levels} levels"


@dataclass(frozen=True)
class Classes(Space):
    """One of `count` classes: an integer 0..count-1. `names` are the user's labels, or ()."""

    kind: ClassVar[str] = "classes"
    measure: ClassVar[str] = "counting"
    count: int
    names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> torch.dtype:
        return torch.int64

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        return _check_range(x, 0, self.count - 1, name, "classes").long()

    def describe(self) -> str:
        return f"{self.count} classes" + (
            f" ({', '.join(self.names[:6])}{', ...' if self.count > 6 else ''})" if self.names else ""
        )


@dataclass(frozen=True)
class Tokens(Space):
    """Sequences of `length` integers 0..vocabulary-1.

    Of text, the space carries the vocabulary itself, so that it is saved with a model; else both are empty.

    Attributes:
        characters: token i is the character at i; they are in the order of their code points.
        merges: of byte-pair encoding: tokens 0..255 are bytes, token 256 + i is the pair of earlier tokens merges[i].
    """

    kind: ClassVar[str] = "tokens"
    measure: ClassVar[str] = "counting"
    length: int
    vocabulary: int
    characters: str = ""
    merges: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.characters:
            good = list(self.characters) == sorted(set(self.characters)) and self.vocabulary == len(self.characters)
        else:
            earlier = (len(m) == 2 and min(m) >= 0 and max(m) < 256 + i for i, m in enumerate(self.merges))
            good = not self.merges or (self.vocabulary == 256 + len(self.merges) and all(earlier))
        if not good or (self.characters and self.merges):
            raise InputError(
                f"a vocabulary of {self.vocabulary} tokens does not fit its characters or merges.",
                "Characters are distinct and in order; merges are pairs of earlier tokens, 256 being bytes.",
            )

    @property
    def is_text(self) -> bool:
        return bool(self.characters or self.merges)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def dtype(self) -> torch.dtype:
        return torch.int64

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        return _check_range(x, 0, self.vocabulary - 1, name, "tokens").long()

    def describe(self) -> str:
        if self.characters:
            return f"texts of {self.length} characters out of {self.vocabulary}"
        if self.merges:
            return f"texts of {self.length} byte-pair tokens out of {self.vocabulary}"
        return f"sequences of {self.length} tokens out of {self.vocabulary}"


@dataclass(frozen=True)
class Sphere(Space):
    """Unit vectors of R^(d+1): the d-dimensional sphere. Densities are against its surface measure.

    On the earth's sphere (d = 2) that is the area in steradian, 4 pi in all: the uniform density is 1 / (4 pi).

    Attributes:
        names: the user's columns of latitude and longitude (d = 2), or () for data that were vectors.
        west: longitudes are written in [west, west + 360) degrees.
        double: users get float64 back.
    """

    kind: ClassVar[str] = "sphere"
    measure: ClassVar[str] = "surface"
    d: int
    names: tuple[str, ...] = ()
    west: float = -180.0
    double: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.d + 1,)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.double else torch.float32

    @property
    def dimensions(self) -> int:
        return self.d

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        x = _check_finite(x if x.is_floating_point() else x.to(self.dtype), name)
        off = (x.norm(dim=1) - 1).abs() > 1e-4
        if off.any():
            row = int(off.nonzero()[0])
            raise InputError(f"{name}, row {row}: norm {float(x[row].norm()):.4g}.", "Points have unit norm.")
        return x

    def describe(self) -> str:
        if self.names:
            return f"points of the sphere by {' and '.join(self.names)}, areas in steradian"
        return f"points on the {self.d}-sphere"


@dataclass(frozen=True)
class Torus(Space):
    """`d` angles in [-pi, pi), each on its own circle, float64. Densities are against d theta, (2 pi)^d in all.

    Attributes:
        names: the user's columns, or ().
        period: a full turn in the user's unit: 2 pi for radians, 360 for degrees.
        low: angles are written in [low, low + period).
    """

    kind: ClassVar[str] = "torus"
    d: int
    names: tuple[str, ...] = ()
    period: float = 2 * math.pi
    low: float = -math.pi

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.d,)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        x = _check_finite(x.to(self.dtype), name)
        # A little more is allowed: pi is no number of float32, and the nearest one is above it.
        bad = x.abs() > math.pi + 1e-6
        if bad.any():
            row = int(bad.any(1).nonzero()[0])
            value = float(x[row][bad[row]][0])
            raise InputError(f"{name}, row {row}: the angle {value:.6g}.", "Angles lie in [-pi, pi), in radians.")
        return torch.where(x < math.pi, x.clamp_min(-math.pi), -math.pi)

    def describe(self) -> str:
        return f"{self.d} angle{'' if self.d == 1 else 's'}, densities by radian"


COLUMN_KINDS = ("continuous", "integer", "ordinal", "category", "boolean", "datetime", "constant", "identifier", "text")
"""What a table's column may be. Identifiers and free text are recognized, and left out of the model."""

_NUMBERS = ("continuous", "integer", "datetime")
_NAMED = ("ordinal", "category", "boolean", "constant")


@dataclass(frozen=True)
class Column:
    """One column of a table, as all rows of the data show it.

    Attributes:
        name: the user's. kind: of `COLUMN_KINDS`.
        categories: the values of a category, ordinal (in order), boolean (false first) or constant, as text; a cell
            is held as its position here.
        low, high: the range of the numbers; dates are seconds since 1970-01-01 (UTC).
        step: numbers lie on multiples of it (1 for integers, 0.01 for cents, 86400 for days); None: anywhere.
        missing: whether cells are missing.
        stored: the Arrow type that cells came as, and that samples go back to.
        format: how dates were written as text (strftime), or "".
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    missing: bool = False
    stored: str = "double"
    format: str = ""

    @property
    def is_number(self) -> bool:
        """Whether cells are numbers (else positions among the categories)."""
        return self.kind in _NUMBERS

    @property
    def is_density(self) -> bool:
        """Whether likelihoods are densities over this column's numbers (else probabilities of its values)."""
        return self.is_number and self.step is None


@dataclass(frozen=True)
class Table(Space):
    """Rows of mixed columns: (columns,) float64, numbers as they are, positions of categories, NaN where missing."""

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        made = tuple(
            c if isinstance(c, Column) else Column(**{k: _tuples(v) for k, v in c.items()}) for c in self.columns
        )
        object.__setattr__(self, "columns", made)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64

    @property
    def measure(self) -> str:  # type: ignore[override]
        """The base measure: counting for probabilities, Lebesgue for densities, a missing cell being a value."""
        densities = [c.name for c in self.columns if c.is_density]
        if not densities:
            return "counting"
        if len(densities) == len(self.columns) and not any(c.missing for c in self.columns):
            return "Lebesgue"
        shown = ", ".join(densities[:6]) + (", ..." if len(densities) > 6 else "")
        return f"Lebesgue in {shown}, counting in the rest"

    def _check_values(self, x: Tensor, name: str) -> Tensor:
        x = x.to(torch.float64)
        for j, column in enumerate(self.columns):
            values, missing = x[:, j], torch.isnan(x[:, j])
            allowed = "missing cells were not seen in training" if not column.missing else ""
            bad = missing if not column.missing else torch.zeros_like(missing)
            if not column.is_number:
                top = len(column.categories) - 1
                bad = bad | (~missing & ((values < 0) | (values > top) | (values != values.round())))
                allowed = allowed or f"positions 0 to {top} of its categories"
            else:
                bad = bad | values.isinf()
                allowed = allowed or "finite numbers"
            if bool(bad.any()):
                row = int(bad.nonzero()[0])
                raise InputError(
                    f"{name}, row {row}, column {column.name!r}: {float(values[row])}.", f"Allowed: {allowed}."
                )
        return x

    def describe(self) -> str:
        counts = {k: sum(c.kind == k for c in self.columns) for k in COLUMN_KINDS}
        parts = [f"{n} {k}" for k, n in counts.items() if n]
        return f"tables of {len(self.columns)} column{'s' if len(self.columns) > 1 else ''} ({', '.join(parts)})"
