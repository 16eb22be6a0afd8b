"""`labels=FILE.csv`: names of pictures beside their labels, brought into the order of the pictures.

The first row names the columns. The pictures' names are in the column called file, filename, path, image, ... or in
the first one; a name is a path below the folder or a bare file name, with or without its extension. Every picture
needs one row, and every row a picture. The other columns are labels: numbers where all their cells are numbers, text
otherwise.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError

NAME_COLUMNS = ("file", "filename", "file_name", "path", "filepath", "file_path", "image", "image_id", "picture",
                "photo", "img", "name", "id")  # fmt: skip
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Labels(Mapping[str, np.ndarray]):
    """Columns by name, in the order of the pictures. One with empty cells is refused when it is asked for."""

    def __init__(self, where: str, columns: Mapping[str, Sequence[str]], order: Sequence[int]):
        self.where, self.cells, self.order = where, columns, order

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def __contains__(self, name: object) -> bool:
        return name in self.cells

    def __getitem__(self, name: str) -> np.ndarray:
        cells = self.cells[name]
        empty = [row + 1 for row, cell in enumerate(cells) if not cell]
        if empty:
            raise InputError(
                f"{self.where}, data row {empty[0]}, column {name!r}: the cell is empty "
                f"({len(empty):,} of {len(cells):,} rows).",
                "Fill the cells, or choose another column.",
            )
        return _typed([cells[row] for row in self.order])


def _typed(cells: list[str]) -> np.ndarray:
    if all(_INTEGER.fullmatch(cell) for cell in cells):
        return np.array(cells, dtype=np.int64)
    padded = any(cell.lstrip("+-")[:1] == "0" and cell.lstrip("+-")[1:2].isdigit() for cell in cells)  # 007 is a name
    if not padded and all(_NUMBER.fullmatch(cell) for cell in cells):
        return np.array(cells, dtype=np.float64)
    return np.array(cells, dtype=np.str_)


def read_labels(path: Path, pictures: Sequence[str], folder: str) -> Labels:
    """The label columns of a CSV file, for the pictures with these names (paths below the folder).

    Raises:
        InputError: not such a file, a row without a picture, a picture without a row or with two, a name that fits
            several pictures: with the file, the row and the name.
    """
    where = str(path)
    header, rows = _read(path)
    lower = [name.lower() for name in header]
    column = next((lower.index(name) for name in NAME_COLUMNS if name in lower), 0)
    find = _Names(pictures)
    if find(header[column]):
        raise InputError(
            f"{where}: the first row has the picture {header[column]!r}; it should name the columns.",
            "Add a first row such as file,label",
        )
    order = np.full(len(pictures), -1)
    missing: list[tuple[int, str]] = []
    for row, cells in enumerate(rows):
        name = cells[column]
        found = find(name)
        place = f"{where}, data row {row + 1}, column {header[column]!r}"
        if len(found) > 1:
            raise InputError(
                f"{place}: {name!r} is the name of {len(found)} pictures: {pictures[found[0]]}, {pictures[found[1]]}.",
                "Give the path below the folder.",
            )
        if not found:
            missing.append((row, name))
        elif order[found[0]] >= 0:
            first = order[found[0]] + 1
            raise InputError(
                f"{place}: {name!r} is the same picture as in data row {first}: {pictures[found[0]]}.",
                "Keep one row for each picture.",
            )
        else:
            order[found[0]] = row
    if missing:
        row, name = missing[0]
        near = difflib.get_close_matches(name, pictures[:2000], n=1, cutoff=0.8)
        raise InputError(
            f"{where}, data row {row + 1}, column {header[column]!r}: there is no picture {name!r} in {folder}"
            + (f" ({len(missing):,} such rows)." if len(missing) > 1 else "."),
            f"Did you mean {near[0]}?" if near else f"Names are paths below the folder, such as {pictures[0]}.",
        )
    if (order < 0).any():
        without = [pictures[i] for i in np.flatnonzero(order < 0).tolist()]
        shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        raise InputError(
            f"{where}: {len(without):,} of {len(pictures):,} pictures have no row: {shown}.",
            "Add their rows, or move those pictures out of the folder.",
        )
    labels = {name: [r[i] for r in rows] for i, name in enumerate(header) if i != column}
    return Labels(where, labels, order.tolist())


class _Names:
    """Positions of the pictures that a name may mean: by path, else by bare name; exactly, else by the extension left
    out."""

    def __init__(self, pictures: Sequence[str]):
        self.tables: list[dict[str, list[int]]] = [{}, {}, {}, {}]
        for i, name in enumerate(pictures):
            bare = name.rpartition("/")[2]
            keys = (name, name.rpartition(".")[0], bare, bare.rpartition(".")[0])
            for table, key in zip(self.tables, keys):
                table.setdefault(key, []).append(i)

    def __call__(self, name: str) -> list[int]:
        name = name.replace("\\", "/")
        name = name[2:] if name.startswith("./") else name
        return next((table[name] for table in self.tables if name in table), [])


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a small text table, cells stripped."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"labels={str(path)!r} cannot be read: {error.strerror or error}.") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, data row {data[: error.start].count(10)}: not UTF-8 text.", "Save the file as CSV in UTF-8."
        ) from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text), delimiter=delimiter)]
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file: {error}.", "Save it as CSV in UTF-8.") from None
    lines = [line for line in lines if any(line)]
    if len(lines) < 2:
        raise InputError(
            f"{path} has no rows of labels.", "It needs a first row such as file,label and a row a picture."
        )
    header, rows = lines[0], lines[1:]
    if len(header) < 2:
        raise InputError(f"{path} has one column, {header[0]!r}.", "It needs the pictures' names and a label beside.")
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{path}: the column name {repeated[0]!r} is used twice.", "Names must be different.")
    for row, line in enumerate(rows):
        if len(line) != len(header):
            raise InputError(
                f"{path}, data row {row + 1}: {len(line)} cells where the first row has {len(header)}.",
                "Quote cells that hold a separator.",
            )
    return header, rows
