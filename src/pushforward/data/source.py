"""A source: what the user gave, opened but not yet read.

Opening is cheap and finds the columns that may be conditions, so that a misspelt name is refused before 50,000
pictures are decoded. Reading then gives the rows. There are three kinds (arrays, tables, pictures), one module each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from ..dataset import Dataset
from ..spaces import Space

if TYPE_CHECKING:
    import pyarrow as pa

    from .splits import Groups

Column = Union[np.ndarray, "pa.ChunkedArray"]
"""Values of a condition candidate, one a row: (n,) or (n, k)."""

Parts = Callable[[int], tuple[dict[str, Dataset], dict[str, Any]]]
"""From a split seed to the parts by name, and an account of how they were chosen."""

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass
class Rows:
    """What reading gives: `x` (n, *space.shape), in memory or memory-mapped.

    `kept`: rows of the source that are here, when some were skipped; None when all are.
    `parts`: how the source splits itself, when single rows may not be dealt out (text; then `x` is all of it).
    """

    x: np.ndarray
    space: Space
    kept: np.ndarray | None = None
    parts: Parts | None = None


class Source:
    """Base of the three kinds.

    Attributes:
        name: for run folders. where: for messages.
        columns: candidates for the condition, by name, in the source's own order and with all its rows.
        obvious: the candidates that `condition=True` chooses from.
        chosen: the condition that the user already implied (a pair (x, condition)), or ().
        class_limit: integers with at most this many distinct values are classes.
        groups: rows that stay together when they are split, else None.
        given: (n,) the part of each row (TRAIN, VALIDATION, TEST) when the source comes split, else None.
        held_out: fractions of the validation and the test part, set before reading.
        notes: what was detected, in plain words.
    """

    def __init__(self, name: str, where: str):
        self.name, self.where = slug(name), where
        self.columns: Mapping[str, Column] = {}
        self.obvious: tuple[str, ...] = ()
        self.chosen: tuple[str, ...] = ()
        self.class_limit = 1000
        self.given: np.ndarray | None = None
        self.groups: Groups | None = None
        self.held_out = (0.1, 0.1)
        self.notes: list[str] = []

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        """The rows, without the `chosen` condition columns; of the space `like` if one is given.

        Raises:
            InputError: the values cannot be used, or cannot be made `like`.
        """
        raise NotImplementedError


def slug(name: str) -> str:
    """`name` as part of a folder's name: "My photos (2)" to "my-photos-2"."""
    return re.sub(r"[^a-z0-9_.]+", "-", name.lower()).strip("-.") or "data"


def number(n: int, what: str) -> str:
    """`3 pictures`, `1 picture`, `50,000 pictures`."""
    return f"{n:,} {what if n == 1 else what + 's'}"


def mapped(x: np.ndarray) -> bool:
    """Whether the values live in a file rather than in memory."""
    return isinstance(x, np.memmap)


def path_name(path: Path) -> str:
    """The last part of a path without its extension: the name of a source."""
    resolved = path if path.name not in ("", ".", "..") else path.resolve()
    return resolved.name if resolved.is_dir() else resolved.stem
