"""Arrays: `.npy`, `.npz`, NumPy arrays, tensors, pairs (x, condition), dictionaries of arrays.

====================================  =============================================================================
uint8 (n, h, w), (n, h, w, c),        `Pixels(c, h, w)`, c in 1, 3, 4; other integers too if all lie in 0..255
(n, c, h, w)
bool of these shapes                  `Pixels(c, h, w, levels=2)`
float of these shapes                 `Real((c, h, w))`
(n, d), (n,)                          `Real((d,))`, `Real((1,))`; integers and float64 give `double=True`; with
                                      `space=`, points of a sphere, angles or tokens: see `geometry`
====================================  =============================================================================

Nothing is ever unpickled: arrays of Python objects are refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..spaces import Pixels, Real, Space, Sphere, Tokens, Torus
from .geometry import array_rows
from .options import Options
from .source import TEST, TRAIN, VALIDATION, Column, Rows, Source, mapped, number, path_name

_CHANNELS = (1, 3, 4)
_DATA = ("x", "X", "data", "images", "samples", "arr_0")
_LABELS = ("label", "labels", "y", "target", "targets", "condition")
_PARTS = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "test": TEST}
# train_images, x_train, ... of one part: the data, then its labels.
_PART_DATA = ("{}_images", "{}_data", "{}_x", "x_{}", "X_{}", "{}")
_PART_LABELS = ("{}_labels", "{}_label", "{}_y", "y_{}", "Y_{}")


class ArraySource(Source):
    """Rows that are already numbers.

    Args:
        x: (n, ...) of any supported shape. columns: candidates for the condition, by name.
        options: those of pictures and of vectors apply.
    """

    def __init__(
        self,
        name: str,
        where: str,
        x: np.ndarray,
        columns: Mapping[str, Column],
        options: Options,
        given: np.ndarray | None = None,
    ):
        super().__init__(name, where)
        options.refuse(where, "tables", "text", "splits")
        if options.labels is not None:
            raise InputError(f"{where}: labels= is for folders of pictures.", "Give labels as a second array.")
        self.x, self.options, self.given = x, options, given
        self.columns, self.obvious = columns, tuple(columns)

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        """The rows of the array, in the space of a model or in the one that they show."""
        if self.options.space is not None or isinstance(like, (Sphere, Torus, Tokens)):
            self.options.refuse(self.where, "pictures", "augmentation")
            x, made, notes = array_rows(self.x, self.options.space, self.where, like)
            self.notes += notes
            return Rows(x, made)
        x, space, notes = as_rows(self.x, self.where)
        if isinstance(space, Pixels) and (self.options.asked("pictures") or isinstance(like, Pixels)):
            x, space, more = self._convert(x, space, like)
            notes += more
        elif asked := self.options.asked("pictures"):
            raise InputError(
                f"{self.where}: {asked}= is for pictures of whole numbers 0..255, and this is {space.describe()}.",
                "Resize the array first.",
            )
        self.notes += notes
        return Rows(x, space)

    def _convert(self, x: np.ndarray, space: Pixels, like: Space | None) -> tuple[np.ndarray, Space, list[str]]:
        from .images.decode import Plan
        from .images.source import convert_array

        if isinstance(like, Pixels):
            if (space.height, space.width) != (like.height, like.width):
                raise InputError(
                    f"{self.where} has pictures of {space.height}x{space.width} pixels, the model's have "
                    f"{like.height}x{like.width}.",
                    "Resize the array first (a folder of picture files is resized for you).",
                )
            if like.levels != 256 or space.channels == like.channels:
                return x, space, []
            height, width, channels = like.shape[1], like.shape[2], like.channels
        else:
            height, width = self.options.image_size or (space.height, space.width)
            channels = 1 if self.options.grey else space.channels
        if space.levels != 256 or space.channels not in _CHANNELS:
            raise InputError(f"{self.where}: {space.describe()} cannot be resized or made grey.", "Do it first.")
        plan = Plan(height, width, channels, self.options.fit)
        if (plan.height, plan.width, plan.channels) == space.shape:
            return x, space, []
        new = Pixels(channels, height, width)
        return convert_array(x, plan), new, [f"{space.describe()} made {new.describe()}"]


def from_memory(source: Any, options: Options) -> ArraySource:
    """Arrays, tensors and lists; a tuple of two is a pair (x, condition); a dictionary is an `.npz` in memory.

    Raises:
        InputError: not numbers, unequal lengths, names that do not say which array is the data.
    """
    where = "the array"
    if isinstance(source, Mapping):
        return _from_names(
            {str(k): _numpy(v, f"array {k!r}") for k, v in source.items()}, "array", "the arrays", options
        )
    if isinstance(source, tuple) and len(source) == 2:
        x, condition = _numpy(source[0], where), _numpy(source[1], "the condition")
        _same_length(where, x, {"condition": condition})
        found = ArraySource("array", where, x, {"condition": condition}, options)
        found.chosen = ("condition",)
        return found
    return ArraySource("array", where, _numpy(source, where), {}, options)


def from_npy(path: Path, options: Options) -> ArraySource:
    """One array; memory-mapped when it is larger than the memory budget.

    Raises:
        InputError: damaged, or Python objects inside.
    """
    large = path.stat().st_size > options.memory_budget
    try:
        # "c": pages are shared with the file and never written back.
        x = np.load(path, mmap_mode="c" if large else None, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _unreadable(path, error) from None
    if not isinstance(x, np.ndarray):
        raise InputError(f"{path} is not one NumPy array.", "Save it with np.save, or name it .npz.")
    found = ArraySource(path_name(path), str(path), x, {}, options)
    if large:
        found.notes.append(f"{x.nbytes / 2**30:.1f} GiB stay on disk and are read as needed")
    return found


def from_npz(path: Path, options: Options) -> ArraySource:
    """Named arrays: one, or data and labels, or a train/test pair with their labels (`train_images`, `x_test`, ...).

    Raises:
        InputError: damaged, Python objects inside, larger than the memory budget, or names that do not say
            which array is the data.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
        if total > options.memory_budget:
            raise InputError(
                f"{path} unpacks to {total / 2**30:.1f} GiB, above the memory budget of "
                f"{options.memory_budget / 2**30:.1f} GiB.",
                "Save the array as .npy (read from disk as needed), or raise memory_budget.",
            )
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(path, error) from None
    return _from_names(arrays, path_name(path), str(path), options)


def _unreadable(path: Path, error: Exception) -> InputError:
    if "pickle" in str(error).lower() or "object" in str(error).lower():
        return InputError(
            f"{path} holds Python objects (a pickle), which are never opened: they can run any code.",
            "Save plain numbers: np.save(path, array.astype(float)).",
        )
    return InputError(f"{path} is damaged or not a NumPy file: {error}.")


def _numpy(value: Any, where: str) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value if value.layout == torch.strided else value.to_dense()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, np.ma.MaskedArray) and (mask := np.ma.getmaskarray(value)).any():
        position = ", ".join(map(str, np.argwhere(mask)[0]))
        raise InputError(
            f"{where}: the value at index [{position}] is masked; {number(int(mask.sum()), 'value')} of {mask.size:,}.",
            "Remove or fill them first.",
        )
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        raise InputError(
            f"{where} ({type(value).__name__}) is not a rectangular array.", "Every row needs the same length."
        ) from None


def _from_names(arrays: dict[str, np.ndarray], name: str, where: str, options: Options) -> ArraySource:
    pieces = _split_names(arrays)
    if pieces is not None:
        return _from_parts(arrays, pieces, name, where, options)
    data = next((k for k in _DATA if k in arrays), None)
    if data is None and arrays and all(k in _LABELS or k.endswith(("_label", "_labels")) for k in arrays):
        raise InputError(f"{where}: labels ({', '.join(arrays)}) without images or rows.", "Name the data 'x'.")
    if data is None and len(arrays) == 1:
        data = next(iter(arrays))
    if data is None:
        shapes = ", ".join(f"{k} {v.shape}" for k, v in arrays.items()) or "nothing"
        raise InputError(
            f"{where}: which array is the data? There are {shapes}.",
            "Name it 'x' and its labels 'label'; or train_images, train_labels, test_images, test_labels.",
        )
    x = arrays[data]
    if x.ndim == 0:
        raise InputError(f"{where}: {data!r} is a single number.", "Give an array of rows.")
    columns: dict[str, Column] = {}
    for key, value in arrays.items():
        if key in _LABELS:
            _same_length(where, x, {key: value})
        if key != data and value.ndim in (1, 2) and len(value) == len(x):
            columns["label" if key in _LABELS and "label" not in arrays else key] = value
    found = ArraySource(name, where, x, columns, options)
    if len(arrays) > 1:
        found.notes.append(f"data: {data!r}" + (f"; can be the condition: {', '.join(columns)}" if columns else ""))
    return found


def _split_names(arrays: Mapping[str, np.ndarray]) -> dict[int, tuple[str, str | None]] | None:
    """Part to (data, labels) names, when there is a training array named as such."""
    pieces: dict[int, tuple[str, str | None]] = {}
    for part, code in _PARTS.items():
        data = next((p.format(part) for p in _PART_DATA if p.format(part) in arrays), None)
        if data is not None and code not in pieces:
            pieces[code] = (data, next((p.format(part) for p in _PART_LABELS if p.format(part) in arrays), None))
    return pieces if TRAIN in pieces else None


def _from_parts(
    arrays: dict[str, np.ndarray],
    pieces: Mapping[int, tuple[str, str | None]],
    name: str,
    where: str,
    options: Options,
) -> ArraySource:
    shape, dtype = arrays[pieces[TRAIN][0]].shape, arrays[pieces[TRAIN][0]].dtype
    for data, labels in pieces.values():
        if arrays[data].shape[1:] != shape[1:] or arrays[data].dtype != dtype:
            its = f"{arrays[data].dtype} {arrays[data].shape}"
            raise InputError(f"{where}: {data!r} is {its}, the training data are {dtype} {shape}.")
        if labels is not None:
            _same_length(where, arrays[data], {labels: arrays[labels]})
    x = np.concatenate([arrays[data] for data, _ in pieces.values()])
    given = np.concatenate([np.full(len(arrays[data]), code, np.int8) for code, (data, _) in pieces.items()])
    named = [labels for _, labels in pieces.values() if labels is not None]
    columns = {"label": np.concatenate([arrays[labels] for labels in named])} if len(named) == len(pieces) else {}
    found = ArraySource(name, where, x, columns, options, given if len(pieces) > 1 else None)
    found.notes.append("parts as given: " + ", ".join(f"{data} ({len(arrays[data]):,})" for data, _ in pieces.values()))
    return found


def _same_length(where: str, x: np.ndarray, others: Mapping[str, np.ndarray]) -> None:
    for key, value in others.items():
        if x.ndim == 0 or value.ndim == 0 or len(value) != len(x):
            raise InputError(
                f"{where}: data of shape {x.shape}, but {key!r} of shape {value.shape}.", "One entry a row."
            )


def as_rows(x: np.ndarray, where: str) -> tuple[np.ndarray, Space, list[str]]:
    """An array as rows of a space, (n, *space.shape), and what was decided.

    A memory-mapped array stays one, whatever its number type: rows are converted when they are gathered.

    Raises:
        InputError: objects, text, complex numbers, a shape that is neither vectors nor pictures, no rows, or a
            value that is not finite (with its position).
    """
    kind = x.dtype.kind
    if kind not in "biuf":
        what = {"O": "Python objects", "U": "text", "S": "bytes", "c": "complex numbers"}.get(kind, str(x.dtype))
        raise InputError(f"{where} holds {what}.", "Arrays are real numbers; columns of text belong in a CSV file.")
    if x.ndim not in (1, 2, 3, 4):
        raise InputError(
            f"{where} has shape {x.shape}.", "Allowed: (n,), (n, d), (n, h, w), (n, h, w, c) or (n, c, h, w)."
        )
    if 0 in x.shape:
        raise InputError(f"{where} is empty: its shape is {x.shape}.", "Give at least 3 rows.")
    notes: list[str] = []
    if x.ndim <= 2:
        x = x[:, None] if x.ndim == 1 else x
        if kind in "iu" and x.dtype.itemsize == 8 and (row := _beyond_doubles(x)) is not None:
            notes.append(f"integers beyond 2^53 (row {row}: {x[row].max()}) are rounded: float64 holds no more digits")
        return _reals(x, where), Real(x.shape[1:], double=_is_double(x)), notes
    x, channels_note = _channels_first(x, where)
    notes += channels_note
    shape = x.shape[1:]
    if kind == "b":
        return _cast(x, np.uint8), Pixels(shape[0], shape[1], shape[2], levels=2), notes
    if kind in "iu" and (x.dtype == np.uint8 or _within_bytes(x)):
        if x.dtype != np.uint8:
            notes.append(f"{x.dtype} values all lie in 0..255: taken as pixels")
        return _cast(x, np.uint8), Pixels(shape[0], shape[1], shape[2]), notes
    return _reals(x, where), Real(shape, double=_is_double(x)), notes


def _channels_first(x: np.ndarray, where: str) -> tuple[np.ndarray, list[str]]:
    if x.ndim == 3:
        return x[:, None], []
    first, last = x.shape[1] in _CHANNELS, x.shape[3] in _CHANNELS
    if not first and not last:
        raise InputError(
            f"{where} has shape {x.shape}: neither axis 1 nor axis 3 is a number of channels.",
            "Pictures are (n, h, w, c) or (n, c, h, w) with c = 1, 3 or 4.",
        )
    if last and not first:
        return x.transpose(0, 3, 1, 2), ["channels last: moved first"]
    return x, ["both axis 1 and axis 3 could be channels: axis 1 taken"] if last else []


def _is_double(x: np.ndarray) -> bool:
    return x.dtype.kind != "f" or x.dtype.itemsize > 4


def _cast(x: np.ndarray, dtype: type) -> np.ndarray:
    return x if mapped(x) else np.ascontiguousarray(x, dtype=dtype)


def _reals(x: np.ndarray, where: str) -> np.ndarray:
    if x.dtype.kind == "f":
        check_finite(x, where)
    return _cast(x, np.float64 if _is_double(x) else np.float32)


def _blocks(x: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of at most 4 million values, with the row each starts at."""
    step = max(1, (1 << 22) // max(1, int(np.prod(x.shape[1:]))))
    return ((start, x[start : start + step]) for start in range(0, len(x), step))


def _within_bytes(x: np.ndarray) -> bool:
    return all(block.min() >= 0 and block.max() <= 255 for _, block in _blocks(x))


def _beyond_doubles(x: np.ndarray) -> int | None:
    """The first row with an integer that float64 does not hold exactly."""
    for start, block in _blocks(x):
        large = (block > 1 << 53) | (block < -(1 << 53))
        if large.any():
            return start + int(np.argmax(large.any(1)))
    return None


def check_finite(x: np.ndarray, where: str) -> None:
    """Raises InputError naming the position of the first value that is not finite."""
    for start, block in _blocks(x):
        if not np.isfinite(block).all():
            position = np.argwhere(~np.isfinite(block))[0]
            value = block[tuple(position)]
            place = ", ".join(str(int(p) + (start if axis == 0 else 0)) for axis, p in enumerate(position))
            total = sum(int((~np.isfinite(b)).sum()) for _, b in _blocks(x))
            raise InputError(
                f"{where}: the value at row {int(position[0]) + start} (index [{place}]) is {value}; "
                f"{number(total, 'value')} of {x.size:,} not finite.",
                "Remove or fill them first.",
            )
