"""Pictures: folders of files, and Parquet columns of encoded pictures, as uint8 arrays (n, c, h, w).

Two passes: the headers decide the size and the number of channels of all, then a thread pool decodes (Pillow
releases the interpreter's lock while it does). Symbolic links are never followed out of a folder, nor paths inside a
Parquet file.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import ChainMap, Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from ...errors import InputError
from ...spaces import Pixels, Space
from ..options import Options
from ..source import TEST, TRAIN, VALIDATION, Column, Rows, Source, number, path_name
from . import cache
from .decode import MAX_PIXELS, Plan, TooLarge, convert, decode, probe
from .labels import read_labels

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
LARGEST, DEFAULT = 256, 64
"""Pictures above LARGEST pixels a side are brought to DEFAULT x DEFAULT, unless a size is asked for."""
BAD_SHARE = 0.01
_PARTS = {"train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
_NOT_DATA = ("__MACOSX", "__pycache__")
_SHARED = 32
"""Pictures that a thread takes at a time."""

Named = tuple[str, Any]
"""A picture not yet decoded: its name for messages, and a path or bytes (None: there is none)."""


def convert_array(x: np.ndarray, plan: Plan) -> np.ndarray:
    """(n, c, h, w) uint8 pictures to the plan's size and channels, as files would be."""
    out = np.empty((len(x), plan.channels, plan.height, plan.width), np.uint8)
    with ThreadPoolExecutor(_workers()) as pool:
        for i, values in enumerate(pool.map(lambda values: convert(values, plan), x)):
            out[i] = values
    return out


class Files:
    """Pictures in files: `names` are their paths below `root`, with forward slashes."""

    def __init__(self, root: Path, names: Sequence[str]):
        self.root, self.names = root, names

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Named]:
        root = str(self.root)
        return ((name, os.path.join(root, name)) for name in self.names)

    def digest_parts(self) -> Iterator[bytes]:
        """What the fingerprint of the pictures is made of."""
        for name, path in self:
            yield f"{name}:{os.stat(path).st_size}:".encode()
            with open(path, "rb") as file:
                yield file.read()


class Encoded:
    """Pictures in a column of a Parquet file, read a batch at a time and never all at once."""

    def __init__(self, path: Path, column: str):
        self.path, self.column = path, column
        with pq.ParquetFile(path) as file:
            self.n = file.metadata.num_rows

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Named]:
        row = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(1024, columns=[self.column]):
                values = batch.column(0)
                if pa.types.is_struct(values.type):
                    # A `path` beside the bytes is never opened: the file does not get to choose what we read.
                    values = pc.struct_field(values, "bytes")
                for value in values:
                    yield f"data row {row + 1}", value.as_py()
                    row += 1

    def digest_parts(self) -> Iterator[bytes]:
        """What the fingerprint of the pictures is made of."""
        yield f"{self.column}:".encode()
        with open(self.path, "rb") as file:
            while block := file.read(1 << 22):
                yield block


def _workers() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores)


def _chunks(pictures: Iterable[Named], size: int) -> Iterator[list[Named]]:
    chunk: list[Named] = []
    for picture in pictures:
        chunk.append(picture)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _attempt(function: Any, chunk: list[Named]) -> list[Any]:
    """`function` of each picture; the exception in place of a result where there is one."""
    out = []
    for _, data in chunk:
        try:
            out.append(function(data))
        except Exception as error:  # Pillow's decoders raise almost anything on damaged files
            out.append(error)
    return out


def _each(pictures: Iterable[Named], function: Any) -> Iterator[tuple[str, Any]]:
    """(name, result or exception) in order, computed by a thread pool a few thousand pictures ahead at most."""
    workers = _workers()
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for block in _chunks(pictures, 4 * workers * _SHARED):
            parts = [block[i : i + _SHARED] for i in range(0, len(block), _SHARED)]
            for part, results in zip(parts, pool.map(lambda p: _attempt(function, p), parts)):
                yield from zip((name for name, _ in part), results)


class Rejects:
    """Pictures that cannot be read: counted and named, until they are more than one in a hundred."""

    def __init__(self, where: str, total: int):
        self.where, self.total = where, total
        self.reasons: dict[str, str] = {}

    def add(self, name: str, error: Exception) -> None:
        """Raises InputError for a picture that is too large, and when too many are bad."""
        if isinstance(error, (TooLarge, Image.DecompressionBombError, Image.DecompressionBombWarning)):
            size = f" of {error} pixels" if isinstance(error, TooLarge) else ""
            raise InputError(
                f"{self.where}: {name} is a picture{size} above the limit of {MAX_PIXELS:,} pixels.",
                "Scale it down or remove it.",
            ) from None
        text = str(error) or type(error).__name__
        self.reasons[name] = "not a PNG, JPEG, WebP or BMP" if "cannot identify" in text else text
        if len(self.reasons) > BAD_SHARE * self.total:
            raise InputError(
                f"{self.where}: {len(self.reasons):,} of {number(self.total, 'picture')} cannot be read: {self}.",
                "Up to 1% are skipped; repair or remove these.",
            )

    def __str__(self) -> str:
        shown = [f"{name} ({reason})" for name, reason in list(self.reasons.items())[:5]]
        return "; ".join(shown) + ("; ..." if len(self.reasons) > 5 else "")


class ImageSource(Source):
    """Pictures in files or in a Parquet column."""

    def __init__(self, name: str, where: str, pictures: Any, columns: dict[str, Column], options: Options):
        super().__init__(name, where)
        options.refuse(where, "tables", "text", "vectors", "splits")
        self.pictures, self.options = pictures, options
        self.columns, self.obvious = columns, tuple(columns)

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        """The pictures, decoded and brought to one size: the model's, the one asked for, or their own."""
        if like is not None and not isinstance(like, Pixels):
            raise InputError(f"{self.where} has pictures, the model has {like.describe()}.", "Give it as an array.")
        if isinstance(like, Pixels) and like.channels not in (1, 3):
            raise InputError(f"{self.where}: the model has {like.describe()}, files have 1 or 3 channels.")
        rejects = Rejects(self.where, len(self.pictures))
        notes: list[str] = []
        if like is None:
            plan = self._plan(rejects, notes)
        else:
            plan = Plan(like.height, like.width, like.channels, self.options.fit)
        x, kept, changes = cache.decoded(self, plan, rejects)
        if len(x) == 0:
            raise InputError(f"{self.where}: none of the pictures can be read: {rejects}.")
        if isinstance(like, Pixels) and like.levels != 256:
            x = ((x.astype(np.uint32) * (like.levels - 1) + 127) // 255).astype(np.uint8)  # as samples are written
        explain = {"transparency": "put on white", "16-bit": "reduced to 8 bits", "CMYK": "converted to RGB"}
        notes += [f"{number(count, 'picture')} with {what}: {explain[what]}" for what, count in changes.items()]
        if rejects.reasons:
            notes.append(f"{number(len(rejects.reasons), 'picture')} skipped: {rejects}")
        self.notes = [f"{number(len(x), 'picture')}: {plan.space.describe()}", *self.notes, *notes]
        return Rows(x, like or plan.space, kept)

    def _plan(self, rejects: Rejects, notes: list[str]) -> Plan:
        """Size and channels from the headers of all pictures."""
        if len(self.pictures) == 1:
            raise one_picture(self.where, *next(iter(self.pictures)))
        sizes: Counter[tuple[int, int]] = Counter()
        colour = 0
        for name, found in _each(self.pictures, probe):
            if isinstance(found, Exception):
                rejects.add(name, found)
                continue
            sizes[found[:2]] += 1
            colour += not found[2]
        if not sizes:
            raise InputError(f"{self.where}: none of the pictures can be read: {rejects}.")
        total = sum(sizes.values())
        channels = 3 if colour and not self.options.grey else 1
        if 0 < colour < total:
            notes.append(
                f"{colour:,} in colour, {total - colour:,} grey: all made {'colour' if channels == 3 else 'grey'}"
            )
        elif colour and self.options.grey:
            notes.append("colour made grey")
        (height, width), share = sizes.most_common(1)[0]
        if 2 * share <= total:
            sides = np.repeat([min(s) for s in sizes], list(sizes.values()))
            height = width = int(np.median(sides))
        largest = max(height, width)
        if self.options.image_size is not None:
            height, width = self.options.image_size
        elif largest > LARGEST:
            height = width = DEFAULT
        if len(sizes) > 1 or (height, width) not in sizes:
            first = f"{len(sizes)} sizes" if len(sizes) > 1 else "{}x{}".format(*next(iter(sizes)))
            advice = "; choose with image_size=" if self.options.image_size is None else ""
            how = {
                "crop": "scaled and cropped at the centre to",
                "letterbox": "scaled, with bars in the colour of their edges, to",
                "stretch": "stretched to",
            }[self.options.fit]
            notes.append(f"{first} (height x width) {how} {height}x{width}{advice}")
        return Plan(height, width, channels, self.options.fit)

    def decode_into(self, out: np.ndarray, plan: Plan, rejects: Rejects) -> tuple[list[int], Counter[str]]:
        """Decode into the first rows of `out`; gives the rows of the source that are there, and the changes made."""
        kept: list[int] = []
        changes: Counter[str] = Counter()
        for row, (name, found) in enumerate(_each(self.pictures, lambda data: decode(data, plan))):
            if isinstance(found, Exception):
                rejects.add(name, found)
                continue
            out[len(kept)] = found[0]
            changes.update(found[1])
            kept.append(row)
        return kept, changes


# ------------------------------------------------------------------------------------------------- the sources


def from_folder(root: Path, options: Options) -> ImageSource:
    """All pictures below a folder, hidden ones left out, in the order of their names.

    When all are in sub-folders, the first level is the class ("label"); when that level is train, test, ... it is
    the split, and the second level the class.

    Raises:
        InputError: no pictures.
    """
    real_root = root.resolve()
    names, others, links = _walk(real_root)
    found = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
    if not names:
        raise InputError(
            f"{root} has no pictures ({f'only {found}' if found else 'it is empty'}).",
            f"Give a folder of {', '.join(EXTENSIONS)} files; class sub-folders become labels.",
        )
    parts = [name.split("/")[:-1] for name in names]
    given = None
    tops = {part[0].lower() if part else "" for part in parts}
    if "train" in tops and tops <= set(_PARTS):
        given = np.array([_PARTS[part[0].lower()] for part in parts], dtype=np.int8)
        parts = [part[1:] for part in parts]
    classes = [part[0] if part else None for part in parts]
    columns: dict[str, Column] = {}
    if None not in classes and len(set(classes)) > 1:
        columns["label"] = np.array(classes, dtype=np.str_)
    source = ImageSource(path_name(root), str(root), Files(real_root, names), columns, options)
    source.given = given
    if columns:
        source.notes.append(f"{len(set(classes))} class sub-folders: can be the condition 'label'")
    if options.labels is not None:
        path = Path(options.labels).expanduser()
        path = path if path.exists() or path.is_absolute() or not (root / path).exists() else root / path
        labels = read_labels(path, names, str(root))
        source.columns, source.obvious = ChainMap(labels, columns), tuple(labels)  # type: ignore[arg-type]
        source.notes.append(f"labels of {path}: can be the condition: {', '.join(labels)}")
        if path.resolve().is_relative_to(real_root):
            others = others - Counter([path.suffix.lower()])
    if given is not None:
        source.notes.append(f"sub-folders {', '.join(sorted(tops))}: parts as given")
    if others:
        found = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        source.notes.append(f"other files ignored: {found}")
    if links:
        source.notes.append(f"{number(links, 'symbolic link')} to other places not followed")
    return source


def _walk(root: Path) -> tuple[list[str], Counter[str], int]:
    """Below a folder: names of pictures (a folder's own first, all sorted), other files by extension, links left."""
    names: list[str] = []
    others: Counter[str] = Counter()
    links = 0
    todo = [""]
    while todo:
        below = todo.pop()
        folders = []
        with os.scandir(root / below) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                name = entry.name
                if name.startswith("."):
                    continue
                linked = entry.is_symlink()
                if entry.is_dir():
                    links += linked
                    if not linked and name not in _NOT_DATA:
                        folders.append(f"{below}{name}/")
                    continue
                suffix = os.path.splitext(name)[1].lower()
                if suffix not in EXTENSIONS or not entry.is_file():
                    others[suffix or name] += 1
                elif linked and not Path(entry.path).resolve().is_relative_to(root):
                    links += 1
                else:
                    names.append(below + name)
        todo.extend(reversed(folders))
    return names, others, links


def from_files(paths: Sequence[Path], options: Options) -> ImageSource:
    """Single picture files, to be read for a trained model."""
    return ImageSource(path_name(paths[0]), str(paths[0]), Files(paths[0].parent, [p.name for p in paths]), {}, options)


def one_picture(where: str, name: str = "", data: Any = None) -> InputError:
    """What to say when all there is, is one picture: it may be a sheet of many."""
    size = ""
    with contextlib.suppress(Exception):
        height, width, _ = probe(where if data is None else data)
        size = f" of {width}x{height} pixels"
    subject = f"{where} is one picture{size}" if data is None else f"{where} has one picture{size}, {name}"
    return InputError(
        f"{subject}: that is one example.",
        "If it is a sheet of many, cut it into one file each, such as with ImageMagick: "
        "magick SHEET.png -crop 32x32 +repage sprites/%05d.png; then give the folder.",
    )


def image_columns(file: pq.ParquetFile) -> list[str]:
    """Columns of encoded pictures: structs with `bytes`, or binary values that start as a picture does."""
    found, binary = [], []
    for field in file.schema_arrow:
        kind = field.type
        if pa.types.is_struct(kind) and any(f.name == "bytes" and _is_binary(f.type) for f in kind):
            found.append(field.name)
        elif _is_binary(kind):
            binary.append(field.name)
    if binary and file.metadata.num_rows:
        first = next(file.iter_batches(1, columns=binary))
        for name in binary:
            start = (first.column(name)[0].as_py() or b"")[:12]
            magic = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"RIFF")
            if start.startswith(magic):
                found.append(name)
    return [field.name for field in file.schema_arrow if field.name in found]


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def from_parquet_images(path: Path, file: pq.ParquetFile, pictures: list[str], options: Options) -> ImageSource:
    """The column `image`, or the first column of pictures; the others may be the condition."""
    if options.labels is not None:
        raise InputError(f"{path}: labels= is for folders of pictures.", "Name a column of the file: condition=COLUMN.")
    column = "image" if "image" in pictures else pictures[0]
    flat = [f.name for f in file.schema_arrow if f.name not in pictures and not pa.types.is_nested(f.type)]
    table = file.read(columns=flat)
    columns: dict[str, Column] = {name: table.column(name) for name in flat}
    source = ImageSource(path_name(path), str(path), Encoded(path, column), columns, options)
    if rest := [name for name in pictures if name != column]:
        source.notes.append(f"pictures of column {column!r}; {', '.join(map(repr, rest))} not used")
    if flat:
        source.notes.append(f"can be the condition: {', '.join(flat)}")
    return source
