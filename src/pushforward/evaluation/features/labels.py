"""The classes of training and test examples, wherever a source has them: as the condition, as labels, in a column."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ...data import Data, load
from ...data.conditions import choose, encode
from ...data.data import ARRAY, open_source
from ...data.options import Options
from ...dataset import Dataset
from ...errors import InputError, did_you_mean
from ...noise import Noise
from ...spaces import Classes, Space, Table
from .maps import plain


@dataclass(frozen=True)
class Labels:
    """Classes 0..count-1 of all training and test rows; -1 where the cell is missing.

    Attributes:
        name: of the column. column: its position among the columns of the data themselves, else None.
    """

    train: Tensor
    test: Tensor
    count: int
    name: str
    column: int | None = None


def find_labels(data: Data, column: str | None = None) -> Labels:
    """The condition where it is a class; a column of the table; or the labels that the source has beside its data.

    In the last case the source is read once more, and its rows have to be the same ones.

    Args:
        column: the name; None for the only candidate.

    Raises:
        InputError: there are none, several, or they are not classes; the source is an array, or has changed.
    """
    named = data.options.get("condition")
    if isinstance(data.condition_space, Classes) and (column is None or column == named):
        train, test = data.train.conditions(), data.test.conditions()
        name = named if isinstance(named, str) else "condition"
        return Labels(train, test, data.condition_space.count, name)
    if isinstance(data.space, Table) and column is not None and column in data.space.names:
        return _of_table(data, data.space, column)
    if data.source == ARRAY:
        raise InputError(
            "features 'classifier' need labels, and these data are arrays in memory without any.",
            "Load them as a pair (x, labels), which makes the labels the condition, or from a file that has them (.npz "
            "with x and label; a folder with a sub-folder for each class).",
        )
    name = _candidate(data, column)
    again = load(data.source, **{**data.options, "condition": name})
    assert isinstance(again.condition_space, Classes)
    for part in ("train", "test"):
        if not _same_rows(getattr(data, part), getattr(again, part)):
            raise InputError(
                f"{data.source} was read once more for its labels {name!r}, and its {part} rows are no longer the same "
                "(or the labels are a column of the data themselves).",
                "Load the data again, or make the labels the condition.",
            )
    return Labels(again.train.conditions(), again.test.conditions(), again.condition_space.count, name)


def has_labels(data: Data) -> bool:
    """Whether `find_labels` would find classes without being told where; the source's rows are not read for it."""
    if isinstance(data.condition_space, Classes):
        return True
    if data.source == ARRAY:
        return False
    try:
        _candidate(data, None)
    except InputError:
        return False
    return True


def _candidate(data: Data, column: str | None) -> str:
    """The column of the source that holds classes, checked before any row is read again."""
    known = {f.name for f in fields(Options)}
    own = ("condition", "split_seed", "validation", "test")
    given: dict[str, Any] = {k: v for k, v in data.options.items() if k not in own}
    opened = open_source(
        data.source,
        Options.of(**{k: v for k, v in given.items() if k in known}),
        {k: v for k, v in given.items() if k not in known},
    )
    columns = list(opened.columns)
    if column is None and len(opened.obvious) != 1:
        found = ", ".join(opened.obvious or columns) or "none"
        raise InputError(
            f"features 'classifier' need labels, and {opened.where} has {len(opened.obvious)} candidates ({found}).",
            f"Name one: classifier:{(list(opened.obvious) or columns)[0]}."
            if columns
            else "Give a source with labels, or use other features (pca64, random).",
        )
    (name, *others) = choose(True if column is None else column, columns, opened.obvious, opened.where)
    if others or not isinstance(encode(opened.columns, (name,), opened.class_limit, opened.where)[1], Classes):
        raise InputError(
            f"features 'classifier' need classes, and {name!r} of {opened.where} holds numbers.",
            "Name a column of classes: classifier:COLUMN.",
        )
    return name


def _of_table(data: Data, space: Table, name: str) -> Labels:
    j = space.names.index(name)
    column = space.columns[j]
    if column.is_number:
        named = [c.name for c in space.columns if not c.is_number]
        raise InputError(
            f"features 'classifier:{name}': the column holds numbers ({column.kind}).",
            did_you_mean(name, named) if named else "No column of the table holds classes.",
        )
    train, test = (_column(part, j) for part in (data.train, data.test))
    return Labels(train, test, len(column.categories), name, j)


def _column(dataset: Dataset, j: int) -> Tensor:
    x, _ = plain(dataset).all()
    return torch.as_tensor(x)[:, j].nan_to_num(nan=-1.0).long()


def _same_rows(a: Dataset, b: Dataset) -> bool:
    spaces: tuple[Space, Space] = (a.space, b.space)
    if len(a) != len(b) or spaces[0].shape != spaces[1].shape:
        return False
    a, b = plain(a), plain(b)
    for index in torch.arange(len(a)).split(4096):
        noise = Noise.of(0, 97, index=index)
        x, y = (torch.as_tensor(part.gather(index.to(part.device), noise)[0]).cpu() for part in (a, b))
        if not torch.equal(x.nan_to_num(), y.nan_to_num()):
            return False
    return True
