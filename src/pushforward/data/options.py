"""What the user asks of a source beyond its place: one object, checked once; each kind of source reads its part.

An option of another kind is refused by name: `image_size` of a table is a mistake, not something to ignore.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..errors import InputError, did_you_mean

FITS = ("crop", "letterbox", "stretch")
TOKENS = ("characters", "bpe")
SPACES = ("sphere", "torus", "tokens")


def _of(group: str, default: Any) -> Any:
    return field(default=default, metadata={"group": group})


@dataclass(frozen=True)
class Options:
    """Options of `load`, in their final types. Build it with `Options.of`, which checks them.

    Attributes:
        image_size: pictures are brought to (height, width). grey: colour made grey. fit: how, where the shape differs.
        flip: mirror left and right at random in training. shift: and move by up to this many pixels.
        labels: a CSV file of names and labels of the pictures.
        columns: name to kind of a table's column, or "drop". missing: whether missing cells are modelled.
        encoding, separator, decimal: of a text table; None detects them.
        split_by: a column whose groups are not torn apart. split_time: a column whose latest rows are the test.
        tokens: "characters" or "bpe". vocabulary: of byte-pair encoding. length: tokens of an example.
        space: what the columns of a table or an array are: "sphere" (latitude, longitude), "torus" (angles), or, of
            an array of whole numbers, "tokens".
        memory_budget: bytes; larger arrays and pictures are memory-mapped.
    """

    image_size: tuple[int, int] | None = _of("pictures", None)
    grey: bool = _of("pictures", False)
    fit: str = _of("pictures", "crop")
    flip: bool = _of("augmentation", False)
    shift: int = _of("augmentation", 0)
    labels: str | None = _of("pictures", None)
    columns: Mapping[str, str] = field(default_factory=dict, metadata={"group": "tables"})
    missing: bool = _of("tables", True)
    encoding: str | None = _of("tables", None)
    separator: str | None = _of("tables", None)
    decimal: str | None = _of("tables", None)
    split_by: str | None = _of("splits", None)
    split_time: str | None = _of("splits", None)
    tokens: str = _of("text", "characters")
    vocabulary: int = _of("text", 512)
    length: int = _of("text", 64)
    space: str | None = _of("vectors", None)
    memory_budget: int = _of("all", 1 << 30)

    @staticmethod
    def of(**given: Any) -> Options:
        """The options with the given values, checked.

        Raises:
            InputError: an unknown name, or a value of the wrong type or range.
        """
        known = {f.name for f in fields(Options)}
        for name in given:
            if name not in known:
                raise InputError(f"unknown option {name!r} for this source.", did_you_mean(name, sorted(known)))
        made = {name: value for name, value in given.items() if value is not None}
        if "image_size" in made:
            made["image_size"] = image_size(made["image_size"])
        if "columns" in made:
            made["columns"] = column_kinds(made["columns"])
        for name, words in (("fit", FITS), ("tokens", TOKENS), ("space", SPACES)):
            if name in made and made[name] not in words:
                raise InputError(f"{name}={made[name]!r}.", did_you_mean(str(made[name]), words))
        if made.get("decimal", ".") not in (".", ","):
            raise InputError(f"decimal={made['decimal']!r}.", "The decimal mark is . or a comma.")
        for name in ("grey", "flip", "missing"):
            if name in made and not isinstance(made[name], (bool, np.bool_)):
                raise InputError(f"{name}={made[name]!r}.", "It is true or false.")
        for name, least in (("shift", 0), ("vocabulary", 2), ("length", 1), ("memory_budget", 1)):
            if name in made:
                value = made[name]
                if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                    raise InputError(f"{name}={value!r}.", f"It is a whole number of at least {least}.")
        for name in ("labels", "encoding", "separator", "decimal", "split_by", "split_time"):
            if name in made and (not isinstance(made[name], str) or not made[name]):
                raise InputError(f"{name}={made[name]!r}.", "It is text.")
        if made.get("separator") is not None:
            made["separator"] = made["separator"].replace("\\t", "\t")
        for name, most in (("separator", 1), ("decimal", 1)):
            if len(made.get(name, "")) > most:
                raise InputError(f"{name}={made[name]!r}.", "It is one character.")
        return Options(**made)

    def changed(self) -> dict[str, Any]:
        """The options that differ from the defaults, JSON-able: `Options.of(**changed)` is this again."""
        default = Options()
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value != getattr(default, f.name) and f.name != "memory_budget":
                out[f.name] = (
                    dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
                )
        return out

    def asked(self, group: str) -> str | None:
        """The first option of a group that was given, or None."""
        changed = self.changed()
        return next((f.name for f in fields(self) if f.metadata["group"] == group and f.name in changed), None)

    def refuse(self, where: str, *groups: str) -> None:
        """Raises InputError when an option of one of these groups was asked of something that cannot use it."""
        for group in groups:
            if name := self.asked(group):
                what = {
                    "vectors": "columns of numbers",
                    "splits": "tables with that column",
                    "pictures": "pictures",
                    "augmentation": "pictures",
                    "tables": "tables",
                    "text": "text",
                }[group]
                raise InputError(f"{where}: {name}= is for {what}.", f"Leave it out ({name}).")


def image_size(size: Any) -> tuple[int, int] | None:
    """`image_size=` as (height, width): one number is a square.

    Raises:
        InputError: not one or two whole numbers from 1 to 4096.
    """
    if size is None:
        return None
    values = list(size) if isinstance(size, (tuple, list)) else [size, size]
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and 1 <= v <= 4096 for v in values)
    if len(values) != 2 or not whole:
        raise InputError(f"image_size={size!r}.", "Give one whole number, or (height, width), from 1 to 4096.")
    return int(values[0]), int(values[1])


def column_kinds(value: Any) -> dict[str, str]:
    """`columns=` as a mapping of names to kinds; `"when=datetime,id=drop"` is one, too.

    Raises:
        InputError: not of this form, or an unknown kind.
    """
    from ..spaces import COLUMN_KINDS

    if isinstance(value, str):
        pairs = [item.rpartition("=") for item in value.split(",") if item.strip()]
        for name, equals, kind in pairs:
            if not equals or not name.strip():
                raise InputError(
                    f"columns={value!r}: {kind!r} is not of the form NAME=KIND.", "Example: when=datetime,id=drop"
                )
        value = {name.strip(): kind.strip() for name, _, kind in pairs}
    if not isinstance(value, Mapping):
        raise InputError(f"columns={value!r}.", 'Give names and kinds, such as {"when": "datetime", "id": "drop"}.')
    for name, kind in value.items():
        if kind not in (*COLUMN_KINDS, "drop"):
            raise InputError(f"columns: {name}={kind!r}.", did_you_mean(str(kind), (*COLUMN_KINDS, "drop")))
    return {str(k): str(v) for k, v in value.items()}
