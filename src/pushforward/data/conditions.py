"""From a column to a condition: classes or numbers.

Text, booleans and integers with few distinct values become `Classes` with the user's own labels; other numbers a
`Real` vector; several columns, separated by commas, one vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, did_you_mean
from ..spaces import Classes, Real, Space
from .source import Column

TEXT_CLASSES = 1000
"""Text with more distinct values than this is not a class."""

_SYNONYMS = ("label", "labels", "class", "y", "target", "train_labels", "condition")


def choose(
    condition: str | bool | None,
    columns: Sequence[str],
    obvious: Sequence[str],
    where: str,
    implied: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Names of the condition columns: () for an unconditional model.

    Args:
        condition: a name, several with commas, True for the only candidate, None or False for none.
        columns: every column there is. obvious: those that True chooses from.
        implied: what None means, when the user gave a pair (x, condition).

    Raises:
        InputError: an unknown name, or True with no candidate or several.
    """
    if condition is None:
        return implied
    if condition is False:
        return ()
    if condition is True:
        if len(obvious) == 1:
            return (obvious[0],)
        found = ", ".join(obvious) if obvious else "none"
        raise InputError(
            f"{where}: condition=True needs exactly one candidate, and here there are {len(obvious)} ({found}).",
            f"Name one: condition='{(list(obvious) or list(columns) or ['COLUMN'])[0]}'." if columns else None,
        )
    if not isinstance(condition, str) or not condition.strip():
        raise InputError(f"condition={condition!r}.", "Give the name of a column, or True for the only one.")
    if condition in columns:
        return (condition,)
    names = tuple(name.strip() for name in condition.split(","))
    if len(set(names)) < len(names):
        raise InputError(f"condition={condition!r} names a column twice.")
    if len(names) == 1 and names[0] in _SYNONYMS:  # "label" means the labels, whatever the file calls them
        if "label" in columns:
            return ("label",)
        if len(obvious) == 1:
            return (obvious[0],)
    for name in names:
        if name not in columns:
            hint = did_you_mean(name, columns) if columns else "This source has no labels and no columns."
            raise InputError(f"{where} has no column {name!r} to be the condition.", hint)
    return names


def encode(columns: Mapping[str, Column], names: Sequence[str], class_limit: int, where: str) -> tuple[Tensor, Space]:
    """The columns `names` as a condition: (n,) class indices or (n, k) numbers, and their space.

    Raises:
        InputError: missing or non-finite values, text with too many distinct values, text among several columns.
    """
    if len(names) == 1:
        values = _values(columns[names[0]], names[0], where)
        if values.ndim == 1 and (texts := class_texts(values, class_limit)) is not None:
            return _classes(texts, values, names[0], where)
        if values.dtype.kind == "U":
            raise _too_many(values, names[0], where)
    return _vector(columns, names, where)


def encode_like(columns: Mapping[str, Column], names: Sequence[str], space: Space, where: str) -> Tensor:
    """The columns `names` as a condition of an existing space: classes by the model's own labels.

    Raises:
        InputError: an unknown label, or a vector of another length.
    """
    if isinstance(space, Classes):
        values = _values(columns[names[0]], names[0], where)
        if len(names) > 1 or values.ndim > 1:
            raise InputError(f"{where}: the model's condition is one class.", "Name one column.")
        texts = class_texts(values, None)
        if texts is None or not space.names:
            return space.check(torch.as_tensor(values), f"{where}, column {names[0]!r}").to(space.dtype)
        index = {name: i for i, name in enumerate(space.names)}
        distinct, inverse = np.unique(texts, return_inverse=True)
        for text in distinct:
            if text not in index:
                raise InputError(
                    f"{where}: unknown label {str(text)!r} in column {names[0]!r}.",
                    did_you_mean(str(text), space.names),
                )
        return torch.from_numpy(np.array([index[str(t)] for t in distinct], dtype=np.int64)[inverse])
    wanted = getattr(space, "names", ())
    if wanted and set(names) == set(wanted):
        names = list(wanted)
    vector, own = _vector(columns, names, where)
    if own.shape != space.shape:
        raise InputError(
            f"{where}: the condition has {own.dimensions} numbers, the model's has {space.dimensions}.",
            f"Name the columns {', '.join(wanted)}." if wanted else None,
        )
    return vector.to(space.dtype)


def class_texts(values: np.ndarray, limit: int | None) -> np.ndarray | None:
    """The labels of (n,) `values` as text, or None when they are numbers and not classes.

    Whole numbers with at most `limit` distinct values are classes (None: whole numbers always are).
    """
    if values.dtype.kind == "U":
        return (
            values if limit is None or len(np.unique(values)) <= min(TEXT_CLASSES, max(2, len(values) // 2)) else None
        )
    if values.dtype.kind == "b":
        return np.where(values, "true", "false")
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            return None
        values = values.astype(np.int64)
    if limit is not None and len(np.unique(values)) > limit:
        return None
    return values.astype(np.str_)


def _values(column: Column, name: str, where: str) -> np.ndarray:
    """A column as NumPy: text as unicode, the rest as it is."""
    if not isinstance(column, np.ndarray):
        from .tables.source import column_values

        return column_values(column, name, where)
    if column.dtype.kind == "S":
        return np.char.decode(column, "utf-8", "replace")
    if column.dtype.kind == "O":
        if all(isinstance(v, str) for v in column.flat):
            return column.astype(np.str_)
        raise InputError(f"{where}: {name!r} holds Python objects.", "Labels are text or numbers.")
    if column.dtype.kind not in "biufU":
        raise InputError(f"{where}: {name!r} has type {column.dtype}.", "Labels are text or numbers.")
    if column.dtype == np.float16:
        return column.astype(np.float32)
    return column[:, 0] if column.ndim == 2 and column.shape[1] == 1 and column.dtype.kind != "f" else column


def _classes(texts: np.ndarray, values: np.ndarray, name: str, where: str) -> tuple[Tensor, Space]:
    distinct, inverse = np.unique(texts, return_inverse=True)
    if values.dtype.kind in "iuf":  # 2 before 10
        order = np.argsort(distinct.astype(np.int64), kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        distinct, inverse = distinct[order], rank[inverse]
    if len(distinct) < 2:
        raise InputError(
            f"{where}: the condition {name!r} is always {str(distinct[0])!r}.",
            "A condition needs two values or more.",
        )
    return torch.from_numpy(inverse.astype(np.int64)), Classes(len(distinct), tuple(str(v) for v in distinct))


def _too_many(values: np.ndarray, name: str, where: str) -> InputError:
    return InputError(
        f"{where}: column {name!r} holds text with {len(np.unique(values)):,} distinct values in {len(values):,} rows, "
        f"such as {str(values[0])!r}.",
        f"A text condition is a class: at most {TEXT_CLASSES} values, each more than once.",
    )


def _vector(columns: Mapping[str, Column], names: Sequence[str], where: str) -> tuple[Tensor, Space]:
    parts = []
    labels: list[str] = []
    for name in names:
        values = _values(columns[name], name, where)
        if values.dtype.kind == "U":
            raise InputError(f"{where}: column {name!r} holds text.", "Several condition columns must all be numbers.")
        if values.ndim > 2:
            raise InputError(
                f"{where}: the condition {name!r} has shape {values.shape}.",
                "Conditions are classes or vectors.",
            )
        values = values.reshape(len(values), -1)
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise InputError(
                f"{where}: the condition {name!r}[{row}, {column}] is {values[row, column]}.",
                "Fill it first.",
            )
        parts.append(values)
        width = values.shape[1]
        labels += [name] if width == 1 else [f"{name}_{i + 1}" for i in range(width)]
    joined = np.concatenate(parts, axis=1)
    double = joined.dtype != np.float32
    tensor = torch.from_numpy(np.ascontiguousarray(joined, dtype=np.float64 if double else np.float32))
    return tensor, Real((joined.shape[1],), names=tuple(labels), double=double)
