"""`load`: any source to training, validation and test examples in one space."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..dataset import Dataset
from ..errors import InputError, did_you_mean
from ..spaces import Classes, Real, Space, Table, Tokens
from .builtin import source as builtin
from .conditions import choose, encode
from .images.augment import account, augment
from .options import Options
from .source import Rows, Source
from .splits import part, split_rows

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".bin")
_FILES = (".csv", ".tsv", ".parquet", ".pq", ".npy", ".npz")
ARRAY = "<array>"


@dataclass
class Data:
    """Examples of one space, split, with an account of where they came from.

    Attributes:
        name: for run folders ("digits", "photos"). source: what was given; "<array>" for arrays in memory.
        options: the load options: `load(source, **options)` gives the same data again.
        train, validation, test: the parts, disjoint. Statistics are learned from `train` alone.
        space, condition_space: what an example and its condition are (None: unconditional).
        hash: SHA-256 of the values, their type and shape, and of the conditions, in the source's order.
        split: sizes, seed, fractions, how.
        notes: what was detected, in plain words.
    """

    name: str
    source: str
    options: dict[str, Any]
    train: Dataset
    validation: Dataset
    test: Dataset
    space: Space
    condition_space: Space | None
    hash: str
    split: dict[str, Any]
    notes: list[str]

    def describe(self) -> dict[str, Any]:
        """Everything but the rows, JSON-able."""
        return {
            "name": self.name,
            "source": self.source,
            "options": self.options,
            "space": self.space.to_json(),
            "condition_space": None if self.condition_space is None else self.condition_space.to_json(),
            "sizes": {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)},
            "hash": self.hash,
            "split": self.split,
            "notes": self.notes,
        }

    def __repr__(self) -> str:
        condition = "" if self.condition_space is None else f" given {self.condition_space.describe()}"
        sizes = f"{len(self.train):,} + {len(self.validation):,} + {len(self.test):,} rows"
        return f"Data({self.name}: {self.space.describe()}{condition}, {sizes})"


def load(
    source: Any,
    *,
    condition: str | bool | None = None,
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    **options: Any,
) -> Data:
    """Read a source and split it.

    >>> load("ring:std=0.01,n=1000")
    Data(ring: 2 real numbers, 800 + 100 + 100 rows)

    Args:
        source: a built-in name (`builtin.BUILTINS`: `ring`, `moons`, `digits`, `shapes`, ..., with options after a
            colon); a CSV, TSV, Parquet, `.npy`, `.npz` or text file; a folder of pictures, class sub-folders being
            labels; an array or tensor, a pair (x, condition), a dictionary of arrays; a pandas or polars frame.
        condition: the column to condition on, several with commas; True for the only candidate. Default: none (but
            the second of a pair).
        split_seed: of the shuffle. validation, test: fractions of the rows; a source's own parts are kept.
        options: those of `data.options.Options` that suit the source (`image_size`, `columns`, `length`, ...), and
            those of a built-in source.

    Raises:
        InputError: whatever cannot be used, with file, row and column where there are any.
    """
    return load_opened(source, condition=condition, split_seed=split_seed, validation=validation, test=test, **options)[
        0
    ]


def load_opened(
    source: Any,
    *,
    condition: str | bool | None = None,
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    **options: Any,
) -> tuple[Data, Rows, Source]:
    """`load`, together with all rows in the source's own order, and the source: what an inspection looks at."""
    known = {f.name for f in fields(Options)}
    asked = Options.of(**{k: v for k, v in options.items() if k in known})
    builtin_options = {k: v for k, v in options.items() if k not in known}
    opened = open_source(source, asked, builtin_options)
    names = choose(condition, list(opened.columns), opened.obvious, opened.where, opened.chosen)
    encoded: tuple[Tensor, Space] | None = None
    if names:
        encoded = encode(opened.columns, names, opened.class_limit, opened.where)
    opened.held_out = (validation, test)
    found = opened.read(names)
    values, condition_space = encoded or (None, None)
    given = opened.given
    if found.kept is not None:
        values = None if values is None else values[torch.from_numpy(found.kept)]
        given = None if given is None else given[found.kept]
    if found.parts is not None:
        datasets, split = found.parts(split_seed)
    else:
        parts, split = split_rows(len(found.x), split_seed, validation, test, given, opened.where, opened.groups)
        datasets = {name: part(found.x, values, index, found.space, condition_space) for name, index in parts.items()}
    datasets["train"] = augment(datasets["train"], asked.flip, asked.shift)
    if condition_space is not None:
        opened.notes.append(f"condition: {', '.join(names)} ({condition_space.describe()})")
    opened.notes.extend(account(datasets["train"], asked.flip, asked.shift))
    if isinstance(found.space, Table) and found.parts is None and opened.groups is None:
        from .tables.dependence import warnings

        opened.notes.extend(warnings(opened.columns, found.x, found.space, parts, names))
    opened.notes.extend(_constant_columns(datasets["train"], found.space))
    made = Data(
        name=opened.name,
        source=_as_given(source),
        options=_options(condition, split_seed, validation, test, asked, builtin_options),
        **datasets,
        space=found.space,
        condition_space=condition_space,
        hash=content_hash(found, values, condition_space),
        split=split,
        notes=opened.notes,
    )
    return made, found, opened


def _as_given(source: Any) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else ARRAY


def _options(
    condition: Any, split_seed: int, validation: float, test: float, asked: Options, builtin_options: dict
) -> dict[str, Any]:
    """The options that differ from the defaults, JSON-able."""
    options: dict[str, Any] = {} if condition is None else {"condition": condition}
    if split_seed != 0:
        options["split_seed"] = int(split_seed)
    for name, value in (("validation", validation), ("test", test)):
        if value != 0.1:
            options[name] = float(value)
    given = {k: v.item() if isinstance(v, np.generic) else v for k, v in builtin_options.items()}
    return {**options, **asked.changed(), **given}


def open_source(source: Any, options: Options, builtin_options: dict[str, Any]) -> Source:
    """The source behind whatever the user gave, opened but not read.

    Raises:
        InputError: missing, unsupported, or refused (a pickle is never opened).
    """
    if isinstance(source, str) and builtin.is_builtin(source):
        return builtin.Builtin(source, builtin_options, options)
    if builtin_options:
        name = next(iter(builtin_options))
        known = ["condition", "split_seed", "validation", "test", *(f.name for f in fields(Options))]
        raise InputError(f"unknown option {name!r} for this source.", did_you_mean(name, known))
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), os.fspath(source), options)
    from . import arrays
    from .tables import source as tables

    if tables.is_frame(source):
        return tables.from_frame(source, options)
    return arrays.from_memory(source, options)


def _open_path(path: Path, text: str, options: Options) -> Source:
    suffix = path.suffix.lower()
    path = path.expanduser()
    if suffix in _PICKLES:
        raise InputError(
            f"{text} may hold a pickle, which is never opened: it can run any code.",
            f"Save the data as {', '.join(_FILES)}, or as a folder of pictures.",
        )
    if not path.exists():
        raise InputError(*_missing(path, text))
    if path.is_dir():
        from .images import source as pictures

        return pictures.from_folder(path, options)
    from . import arrays
    from .tables import source as tables
    from .text import windows as texts

    readers = {
        ".csv": tables.from_csv,
        ".tsv": tables.from_csv,
        ".parquet": tables.from_parquet,
        ".pq": tables.from_parquet,
        ".npy": arrays.from_npy,
        ".npz": arrays.from_npz,
        **dict.fromkeys(texts.EXTENSIONS, texts.from_text),
    }
    if suffix not in readers:
        from .images.source import EXTENSIONS, one_picture

        hint = f"Supported: {', '.join(readers)}, a folder of pictures, or a built-in: {', '.join(builtin.BUILTINS)}."
        if suffix in EXTENSIONS:
            raise one_picture(str(path))
        raise InputError(f"{text}: {suffix or 'a file without extension'} is not supported.", hint)
    try:
        return readers[suffix](path, options)
    except OSError as error:
        raise InputError(f"{text} cannot be read: {error.strerror or error}.") from None


def _missing(path: Path, text: str) -> tuple[str, str]:
    if text == ARRAY:
        return "this data was an array in memory and cannot be read again.", "Give the array, or a file."
    nearby: list[str] = []
    with contextlib.suppress(OSError):
        nearby = [str(path.parent / p.name) if path.parent != Path(".") else p.name for p in path.parent.iterdir()]
    known = [*builtin.BUILTINS, *(p for p in nearby[:1000] if not Path(p).name.startswith("."))]
    base = text.partition(":")[0] if not path.suffix else text
    hint = did_you_mean(base, known)
    if not hint.startswith("Did you mean"):
        hint = f"Give a file, a folder, or a built-in: {', '.join(builtin.BUILTINS)}."
    else:
        hint = hint.partition(" Known:")[0]
    return f"there is no file, folder or built-in {text!r}.", hint


def content_hash(found: Rows, condition: Tensor | None, condition_space: Space | None) -> str:
    """SHA-256 of the type, shape and bytes of the rows and of their conditions, with the classes' names."""
    digest = hashlib.sha256()

    def add(x: np.ndarray) -> None:
        digest.update(f"{x.dtype.str}{x.shape}".encode())
        step = max(1, (1 << 24) // max(1, x[:1].nbytes))
        for start in range(0, len(x), step):
            digest.update(np.ascontiguousarray(x[start : start + step]).data)

    add(found.x)
    if isinstance(found.space, Tokens) and found.space.is_text:
        digest.update(repr((found.space.characters, found.space.merges)).encode())
    if isinstance(found.space, Table):
        digest.update(repr([(c.name, c.kind, c.categories, c.stored) for c in found.space.columns]).encode())
    if condition is not None:
        add(condition.numpy())
    if isinstance(condition_space, Classes):
        digest.update(repr(condition_space.names).encode())
    return digest.hexdigest()


def _constant_columns(data: Dataset, space: Space) -> list[str]:
    """A warning for each column of a vector that never changes: its density is infinite."""
    if not isinstance(space, Real) or len(space.shape) != 1:
        return []
    x, _ = data.all()
    names = space.names or tuple(f"{i + 1}" for i in range(space.shape[0]))
    return [
        f"column {name} is always {float(x[0, i]):g}: it has no density, so likelihoods mean little; leave it out"
        for i, name in enumerate(names)
        if bool((x[:, i] == x[0, i]).all())
    ]
