"""Samples to files, in the data's own terms. Nothing half-written is ever left under the final name."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..spaces import Classes, Space, Sphere, Table, Tokens, Torus
from .geometry import written
from .text.tokenizer import tokenizer

if TYPE_CHECKING:
    import pyarrow as pa

_OURS = re.compile(r"\d{5,}\.png")


def write_samples(
    path: str | os.PathLike[str],
    samples: Any,
    space: Space,
    *,
    condition: Any = None,
    condition_space: Space | None = None,
    condition_name: str = "label",
    overwrite: bool = False,
) -> Path:
    """Write samples (n, *space.shape) in the form that the path asks for.

    ====================  =========================================================================================
    `.png`                a grid of pictures; a density, pair or histogram plot of vectors
    `.csv`, `.parquet`    tables in their own types, vectors under their column names, the condition beside them; texts
                          in a column `text`
    `.txt`                texts, a line of dashes between them
    `.npz`                `samples`, and `label` or `condition`; `pushforward.load` reads it back; of a table, an array
                          a column
    `.npy`                the samples alone
    `folder/`             one PNG a picture, 00000.png, ..., in a sub-folder a class when there are classes
    ====================  =========================================================================================

    Files are replaced. A folder with anything in it is refused unless `overwrite`, and even then unless all that it
    holds was written by this function.

    Args:
        condition: (n, *condition_space.shape), or None. condition_name: of the column of a class.

    Raises:
        InputError: an extension that is not listed, samples that do not fit the form, a place that cannot be written.
    """
    text = os.fspath(path)
    target = Path(text).expanduser()
    x = torch.as_tensor(samples).detach().cpu()
    if tuple(x.shape[1:]) != space.shape or len(x) == 0:
        raise InputError(f"samples have shape {tuple(x.shape)}: expected (n, {', '.join(map(str, space.shape))}).")
    labels = _labels(condition, condition_space, len(x), condition_name)
    folder = text.endswith(("/", os.sep)) or (target.is_dir() and not target.suffix)
    suffix = target.suffix.lower()
    writers = {".png": _png, ".csv": _csv, ".parquet": _parquet, ".npz": _npz, ".npy": _npy, ".txt": _txt}
    if not folder and suffix not in writers:
        raise InputError(
            f"cannot write {text!r}: {suffix or 'no extension'}.",
            f"Allowed: {', '.join(writers)}, or a folder (ending in /) of PNG files.",
        )
    if not folder and target.is_dir():
        raise InputError(f"{text} is a folder.", "Give the name of a file, or end it with / for one PNG a picture.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            _folder(target, x, space, labels, overwrite)
        else:
            with replacing(target) as temporary:
                writers[suffix](temporary, x, space, labels)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot write {text}: {error.strerror or error}.") from None
    return target


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A file beside `target` with the same extension; it takes the target's place when the block succeeds."""
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


Labels = dict[str, np.ndarray]
"""The condition as columns: name to (n,) text or numbers; empty when there is none."""


def _labels(condition: Any, space: Space | None, n: int, name: str = "label") -> Labels:
    if condition is None or space is None:
        return {}
    values = torch.as_tensor(condition).detach().cpu()
    if values.ndim == len(space.shape):
        values = values[None].expand(n, *values.shape)
    if len(values) != n or tuple(values.shape[1:]) != space.shape:
        raise InputError(f"{n} samples, but conditions of shape {tuple(values.shape)}.", "Give one for each.")
    if isinstance(space, Classes):
        index = values.numpy()
        return {name: np.array(space.names, dtype=np.str_)[index] if space.names else index}
    flat = values.reshape(n, -1).numpy()
    names = _names(space, flat.shape[1], "condition")
    return {name: flat[:, j] for j, name in enumerate(names)}


def _names(space: Space, d: int, stem: str) -> list[str]:
    names = getattr(space, "names", ())
    return list(names) if len(names) == d else [f"{stem}{j + 1}" for j in range(d)]


def _is_image(space: Space) -> bool:
    return len(space.shape) == 3


def natural_suffix(space: Space) -> str:
    """The extension that samples of a space are written with when nobody says."""
    if isinstance(space, Tokens) and space.is_text:
        return ".txt"
    return {1: ".csv", 3: ".png"}.get(len(space.shape), ".npz")


def _texts(x: Tensor, space: Space) -> list[str] | None:
    """The samples as text, when they are text."""
    chosen = tokenizer(space) if isinstance(space, Tokens) else None
    if chosen is None:
        return None
    # A sample may hold a zero byte, which would make the file one that no reader takes for text.
    return [chosen.decode(row).replace("\0", "\ufffd") for row in x.numpy()]


def _flat(x: Tensor, space: Space) -> tuple[np.ndarray, list[str]]:
    """Vectors in the user's own coordinates (n, columns), and the columns' names."""
    if isinstance(space, Sphere | Torus):
        return written(x.numpy(), space)
    flat = x.reshape(len(x), -1).numpy()
    return flat, _names(space, flat.shape[1], "x")


RULE = "-" * 20
"""Between two samples in a `.txt` file, blank lines around it."""


def _txt(path: Path, x: Tensor, space: Space, labels: Labels) -> None:
    texts = _texts(x, space)
    if texts is None:
        raise InputError(f"{space.describe()} are no text.", f"Write {natural_suffix(space)} instead.")
    path.write_text(f"\n\n{RULE}\n\n".join(texts) + "\n", encoding="utf-8", newline="\n")


def _png(path: Path, x: Tensor, space: Space, labels: Labels) -> None:
    from . import pictures

    if _is_image(space):
        pictures.image_grid(x, space=space).save(path)
    elif isinstance(space, Table):
        from .tables import write as write_tables

        write_tables.plot(path, x.double().numpy(), space)
    elif isinstance(space, Tokens) and space.is_text:
        raise InputError("texts are not drawn.", f"Write {natural_suffix(space)}, .csv or .npz.")
    else:
        flat, names = _flat(x, space)
        pictures.vector_plot(torch.from_numpy(flat), names, path)


def _columns(path: Path, x: Tensor, space: Space, labels: Labels) -> dict[str, np.ndarray]:
    if _is_image(space):
        raise InputError(
            f"pictures do not fit into {path.suffix}.", "Write .png (one grid), .npz, or a folder/ (one file each)."
        )
    columns: dict[str, np.ndarray]
    if (texts := _texts(x, space)) is not None:
        columns = {"text": np.array(texts, dtype=np.str_)}
    else:
        flat, names = _flat(x, space)
        columns = {name: flat[:, j] for j, name in enumerate(names)}
    for name, values in labels.items():
        columns[name if name not in columns else f"condition_{name}"] = values
    return columns


def to_arrow(x: Any, space: Table) -> pa.Table:
    """Rows (n, columns) of a `Table` space as an Arrow table, with the user's own names, types and categories."""
    from .tables.cells import to_arrow

    return to_arrow(x, space)


def to_table(samples: Any, space: Any) -> pa.Table:
    """Samples of rows as an Arrow table in the user's own names and types; `.to_pandas()` makes it a frame.

    Args:
        samples: (n, columns), as `sample` gives them. space: the model, or the space, that they are of.

    Raises:
        InputError: samples that are no rows.
    """
    import pyarrow as pa

    space = getattr(space, "space", space)
    x = torch.as_tensor(samples).detach().cpu()
    if not isinstance(space, Space) or tuple(x.shape[1:]) != space.shape or _is_image(space):
        what = space.describe() if isinstance(space, Space) else type(space).__name__
        raise InputError(f"samples of shape {tuple(x.shape)} of {what} are no rows of a table.")
    if isinstance(space, Table):
        return to_arrow(x, space)
    columns = _columns(Path("table"), x, space, {})
    return pa.table({k: v.tolist() if v.dtype.kind == "U" else v for k, v in columns.items()})


def _csv(path: Path, x: Tensor, space: Space, labels: Labels) -> None:
    """Numbers with as many digits as it takes to read the same number back."""
    if isinstance(space, Table):
        from .tables import write as write_tables

        write_tables.write_csv(path, write_tables.with_labels(to_arrow(x, space), labels))
        return
    columns = _columns(path, x, space, labels)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        # NumPy's own text of a float32 is shortest; as Python floats the digits would be those of float64.
        writer.writerows(zip(*(_cells(values) for values in columns.values())))


def _cells(values: np.ndarray) -> Sequence[str]:
    return values.astype(np.str_).tolist() if values.dtype != np.float32 else [str(v) for v in values]


def _parquet(path: Path, x: Tensor, space: Space, labels: Labels) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(space, Table):
        from .tables import write as write_tables

        write_tables.write_parquet(path, write_tables.with_labels(to_arrow(x, space), labels))
        return
    columns = _columns(path, x, space, labels)
    pq.write_table(pa.table({k: v.tolist() if v.dtype.kind == "U" else v for k, v in columns.items()}), path)


def _classes(labels: Labels) -> np.ndarray | None:
    """The classes, where the condition is a class (a vector's columns are floating-point numbers)."""
    values = list(labels.values())
    return values[0] if len(values) == 1 and values[0].dtype.kind != "f" else None


def _npz(path: Path, x: Tensor, space: Space, labels: Labels) -> None:
    if isinstance(space, Table):
        from .tables import write as write_tables

        write_tables.write_npz(path, write_tables.with_labels(to_arrow(x, space), labels))
        return
    extra: dict[str, Any] = {}
    if (classes := _classes(labels)) is not None:
        extra = {"label": classes}
    elif labels:
        extra = {"condition": np.stack(list(labels.values()), axis=1)}
    np.savez_compressed(path, samples=_array(x, space), **extra)


def _npy(path: Path, x: Tensor, space: Space, labels: Labels) -> None:
    if isinstance(space, Table) and not all(c.is_number for c in space.columns):
        raise InputError(
            "one array holds numbers, and these samples have other columns.", "Write .csv, .parquet or .npz."
        )
    np.save(path, _array(x, space), allow_pickle=False)


def _array(x: Tensor, space: Space) -> np.ndarray:
    """Samples as they are, but coordinates in the user's own (degrees for unit vectors)."""
    return written(x.numpy(), space)[0] if isinstance(space, Sphere | Torus) else x.numpy()


def _folder(target: Path, x: Tensor, space: Space, labels: Labels, overwrite: bool) -> None:
    from . import pictures

    if not _is_image(space):
        raise InputError(
            "a folder holds pictures, and these samples are not.", f"Write {natural_suffix(space)} or .npz."
        )
    if target.is_file():
        raise InputError(f"{target} is a file.", "Give another name.")
    if target.is_dir() and any(target.iterdir()):
        if not overwrite:
            raise InputError(f"the folder {target} is not empty.", "Choose another, or overwrite it (--overwrite).")
        foreign = next((p for p in target.rglob("*") if not (p.is_dir() or _OURS.fullmatch(p.name))), None)
        if foreign is not None:
            raise InputError(f"{target} holds {foreign.name}, which is not a written sample.", "Choose another folder.")
    pictures_of = pictures.picture_values(x, space)
    folders = _class_folders(labels, len(x))
    digits = max(5, len(str(len(x) - 1)))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        for i, values in enumerate(pictures_of):
            place = temporary / folders[i]
            place.mkdir(parents=True, exist_ok=True)
            pictures.to_picture(values).save(place / f"{i:0{digits}d}.png")
        if target.is_dir():
            old = target.with_name(f".{target.name}.{os.getpid()}.old")
            os.replace(target, old)
            os.replace(temporary, target)
            shutil.rmtree(old)
        else:
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _class_folders(labels: Labels, n: int) -> Sequence[str]:
    """The sub-folder of each sample: its class, as a safe file name."""
    classes = _classes(labels)
    if classes is None:
        return [""] * n
    names = [str(v) for v in classes]
    safe: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = re.sub(r'[/\\:*?"<>|\x00-\x1f]', "_", name).strip(" .") or "class"
        safe[name] = plain if plain not in safe.values() else f"{plain}_{len(safe)}"
    return [safe[name] for name in names]
