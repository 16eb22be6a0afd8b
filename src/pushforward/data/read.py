"""New data for a trained model: the same kinds of source, brought to the model's own space."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import InputError
from ..spaces import Classes, Real, Space, Table
from .builtin.source import is_builtin
from .conditions import choose, encode_like
from .data import open_source
from .options import Options
from .source import Source
from .splits import part, split_rows

Preference = Literal["all", "train", "validation", "test"]


def read_like(
    source: Any,
    space: Space,
    condition_space: Space | None = None,
    *,
    condition: str | bool | None = None,
    preference: Preference = "all",
    fit: str = "crop",
    labels: str | None = None,
    blanks: bool = False,
    options: Mapping[str, Any] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Rows of `source` in the space of a model, (n, *space.shape), and their conditions if it is conditional.

    Columns are matched by name, in any order; what else a table has is left aside. Picture files are scaled and
    cropped as in training; arrays must have the model's size. Classes are matched by the model's own labels.

    Args:
        source: as in `load`; also one picture file. space, condition_space: the model's.
        condition: the column that holds the condition; None finds it when there is one candidate, by name or alone.
        preference: "all" rows in their order (of a built-in: its test part), or one part of the default split.
        fit: how picture files of another shape are made to fit; a model's space does not say how its own were.
        labels: a CSV file of names and labels of a folder of pictures.
        blanks: cells of a table may be missing (NaN) in every column, also where the model's data had none.
        options: the load options of the model's own data; those that say how cells are read hold here, too.

    Raises:
        InputError: the source cannot be read, or is not of the model's kind: missing columns, another size, unknown
            labels and categories, missing cells, values out of range.
    """
    if blanks and isinstance(space, Table):
        space = Table(tuple(replace(column, missing=True) for column in space.columns))
    builtin = isinstance(source, str) and is_builtin(source)
    asked: dict[str, Any] = {} if builtin else {"fit": fit, "labels": labels}
    asked |= as_before(source, options or {}, space)
    if condition_space is not None and isinstance(condition, str):  # "007" stays text where it was made so
        of_condition = {name.strip() for name in condition.split(",")}
        kinds = {k: v for k, v in (options or {}).get("columns", {}).items() if k in of_condition and v != "drop"}
        asked |= {"columns": kinds} if kinds else {}
    opened = _open(source, Options.of(memory_budget=1 << 62, **asked))
    names = _condition_columns(opened, space, condition_space, condition)
    values = None
    if condition_space is not None:
        values = encode_like(opened.columns, names, condition_space, opened.where)
    found = opened.read(names, like=space)
    given = opened.given
    if found.kept is not None:
        kept = torch.from_numpy(found.kept)
        values = None if values is None else values[kept]
        given = None if given is None else given[found.kept]
    if found.space.shape != space.shape:
        raise InputError(
            f"{opened.where} has {found.space.describe()} (shape {found.space.shape}), the model has "
            f"{space.describe()} (shape {space.shape}).",
            "Give data of the shape that it was trained on.",
        )
    if preference == "all" and not builtin:
        index = torch.arange(len(found.x))
    else:
        wanted = "test" if preference == "all" else preference
        parts, _ = split_rows(len(found.x), given=given, where=opened.where)
        if wanted not in parts:
            raise InputError(f"preference={preference!r}.", f"Known: all, {', '.join(parts)}.")
        index = parts[wanted]
    x, values = part(found.x, values, index, found.space, condition_space).all()
    return space.check(x, opened.where).to(space.dtype), values


def as_before(source: Any, options: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """How a text table is written, by the load options of a model's own data: encoding, separator and decimal mark.

    They hold for every CSV and TSV file but one that cannot be written so: whose header has the model's columns by
    UTF-8 and commas, as samples of the model have, and not by the options.
    """
    form = {name: options[name] for name in ("encoding", "separator", "decimal") if options.get(name) is not None}
    if not form or not isinstance(source, (str, os.PathLike)):
        return {}
    path = Path(source).expanduser()
    if path.suffix.lower() not in (".csv", ".tsv") or not path.is_file():
        return {}
    from .tables import csvfile

    wanted = set(getattr(space, "names", ()))
    found = csvfile.header(path, Options.of(**form))
    plain = csvfile.header(path, Options(separator=","))
    if plain is not None and wanted <= set(plain.names) and (found is None or not wanted <= set(found.names)):
        return {}
    if found is not None and "separator" not in form and found.separator == form.get("decimal") and not found.quotes:
        form.pop("decimal")  # it separates the cells, and none is in quotes: it stands in no number
    return form


def _open(source: Any, options: Options) -> Source:
    from .images.source import EXTENSIONS, from_files

    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        if path.suffix.lower() in EXTENSIONS and path.is_file():
            return from_files([path], options)
    return open_source(source, options, {})


def _condition_columns(
    opened: Source, space: Space, condition_space: Space | None, condition: str | bool | None
) -> tuple[str, ...]:
    """The columns of the condition. For an unconditional model these are left out of the data when named."""
    free = [name for name in opened.columns if name not in getattr(space, "names", ())]
    obvious = tuple(free) if isinstance(space, (Real, Table)) and space.names else opened.obvious
    columns = list(opened.columns)
    if condition_space is None:
        return choose(condition, columns, obvious, opened.where) if condition else ()
    wanted = getattr(condition_space, "names", ())
    if condition in (None, True):
        if opened.chosen:
            return opened.chosen
        if isinstance(condition_space, Real) and wanted and set(wanted) <= set(columns):
            return tuple(wanted)
        if len(obvious) > 1 and isinstance(condition_space, Classes) and isinstance(space, Table):
            obvious = tuple(name for name in obvious if _fits(opened, name, condition_space)) or obvious
        if len(obvious) != 1:
            raise InputError(
                f"{opened.where}: the model is conditional on {condition_space.describe()}; which column is it? "
                f"Candidates: {', '.join(obvious or columns) or 'none'}.",
                "Name it with condition= (--condition).",
            )
        return obvious
    return choose(condition, columns, obvious, opened.where)


def _fits(opened: Source, name: str, classes: Classes) -> bool:
    """Whether a column holds these classes and nothing else."""
    try:
        encode_like(opened.columns, (name,), classes, opened.where)
    except InputError:
        return False
    return True
