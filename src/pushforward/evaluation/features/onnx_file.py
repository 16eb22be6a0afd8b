"""Features by the user's own network in an ONNX file, run by onnxruntime on the CPU."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import Data
from ...data.source import slug
from ...errors import InputError
from ...spaces import Pixels, Real, Space, Tokens
from .base import Features
from .function import as_vectors, probe
from .maps import Map, as_features, block_of, digest, is_picture, training_rows
from .pca import values

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
}
_EXTERNAL = re.compile(rb"\x0a\x08location\x12([\x01-\x7f]|[\x80-\xff][\x01-\x7f])", re.DOTALL)
"""A key "location" and the length of its value: how a tensor of an ONNX file names another file (onnx.proto,
StringStringEntryProto)."""


def onnx(data: Data, file: str | Path | None) -> Features:
    """The first output of a network, flattened.

    Its one input is

    * of pictures: float (n, c, h, w). Pixels come in [0, 1] (further normalization belongs into the network), the
      interval [-1, 1] too, other real numbers as they are. Where the network has a fixed height and width, pictures
      are resized to them, bilinearly and with antialiasing; grey ones are repeated for three channels.
    * of all others: float (n, d), the numbers in their own units (NaN in missing cells of tables); tokens as int64.

    Raises:
        InputError: no file, no onnxruntime, a file that is none, inputs and outputs that do not fit, or features that
            depend on the other examples of a batch.
    """
    path = _path(file)
    session = _session(path)
    where = f"{path.name}"
    if len(session.get_inputs()) != 1:
        names = ", ".join(i.name for i in session.get_inputs())
        raise InputError(f"{where} has {len(session.get_inputs())} inputs ({names}).", "Features take one: examples.")
    entry, output = session.get_inputs()[0], session.get_outputs()[0]
    if entry.type not in _TYPES:
        raise InputError(f"{where}: the input {entry.name!r} has type {entry.type}.", f"Allowed: {', '.join(_TYPES)}.")
    sizes = [s if isinstance(s, int) and s > 0 else None for s in entry.shape]
    prepare, account = _preparation(data.space, sizes, where)
    kind = _TYPES[entry.type]
    if kind is np.int64 and not isinstance(data.space, Tokens):
        raise InputError(f"{where}: the input {entry.name!r} has type {entry.type}.", "Examples are of type float.")
    block = sizes[0] or min(256, block_of(data.space.dimensions))

    def run(x: Tensor) -> Tensor:
        given = np.ascontiguousarray(prepare(x).numpy().astype(kind))
        try:
            found = session.run([output.name], {entry.name: given})[0]
        except Exception as error:  # onnxruntime's own classes are not public
            said = str(error).splitlines()[0]
            raise InputError(f"{where} failed on an input of shape {given.shape}: {said}") from None
        return as_vectors(found, len(x), f"the features of {where}")

    rows = training_rows(data, block)
    if len(rows) < block:
        rows = rows[torch.arange(block) % len(rows)]
    dimension = _probed(run, rows, where)
    made = Map(
        dimension,
        f"the network of {path.name} on {account}",
        digest("onnx/1", _file_hashes(path), data.space.to_json(), account),
        run,
        block,
    )
    return as_features(f"onnx:{slug(path.stem)}", made, data.space)


def _probed(run: Callable[[Tensor], Tensor], rows: Tensor, where: str) -> int:
    if len(rows) > 1:
        return probe(run, rows, f"the features of {where}")
    return run(rows).shape[1]


def _path(file: str | Path | None) -> Path:
    if file is None:
        raise InputError("features 'onnx' need a file.", "Give file=NETWORK.onnx, or the name onnx:NETWORK.onnx.")
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {str(file)!r}.", "Features 'onnx' need an ONNX file.")
    if path.suffix.lower() != ".onnx":
        raise InputError(
            f"{path.name} is not an ONNX file by its name.",
            "Export the network with torch.onnx.export; pickles (.pt, .pth) are never opened.",
        )
    return path


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            "features 'onnx' need onnxruntime, which is not installed.", 'pip install "pushforward[onnx]"'
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{path.name} is damaged or not an ONNX network: {said}") from None


def _preparation(space: Space, sizes: list[int | None], where: str) -> tuple[Callable[[Tensor], Tensor], str]:
    """How a block of examples becomes the network's input, and that in words."""
    if is_picture(space):
        return _picture(space, sizes, where)
    d = space.dimensions
    if len(sizes) != 2 or sizes[1] not in (None, d):
        raise InputError(
            f"{where}: the input has shape ({_shown(sizes)}), and {space.describe()} are (n, {d}).",
            "Export a network of such an input.",
        )
    kept = isinstance(space, Tokens)
    return lambda x: x.flatten(1) if kept else x.flatten(1).double(), "tokens" if kept else "the data's own numbers"


def _picture(space: Space, sizes: list[int | None], where: str) -> tuple[Callable[[Tensor], Tensor], str]:
    c, h, w = space.shape
    if len(sizes) != 4:
        raise InputError(
            f"{where}: the input has shape ({_shown(sizes)}), and pictures are (n, channels, height, width).",
            "Export a network of such an input.",
        )
    channels = sizes[1] or c
    if channels != c and not (c == 1 and channels == 3):
        raise InputError(
            f"{where}: the input has {channels} channels, the pictures have {c} (of {h}x{w} pixels).",
            "Inputs are (n, channels, height, width); grey pictures are repeated for three channels, nothing else is "
            "converted.",
        )
    size = (sizes[2] or h, sizes[3] or w)

    def prepare(x: Tensor) -> Tensor:
        made = values(space, x, torch.float32)
        if size != (h, w):
            made = F.interpolate(made, size, mode="bilinear", antialias=True, align_corners=False)
        return made.expand(-1, channels, -1, -1) if channels != c else made

    unit = "pixels in [0, 1]" if isinstance(space, Pixels) else "pictures"
    unit = "pictures in their own units" if type(space) is Real else unit
    how = "" if size == (h, w) else f", resized to {size[0]}x{size[1]} (bilinear, antialiased)"
    return prepare, unit + how + (", repeated for 3 channels" if channels != c else "")


def _shown(sizes: list[int | None]) -> str:
    return ", ".join("any" if s is None else str(s) for s in sizes)


def _file_hashes(path: Path) -> dict[str, str]:
    """SHA-256 of the file and of those beside it that it takes weights from."""
    content = path.read_bytes()
    names = {path.name: content}
    for match in _EXTERNAL.finditer(content):
        length = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(match.group(1)))
        name = content[match.end() : match.end() + length].decode("utf-8", "replace")
        beside = path.parent / name
        if name not in names and beside.is_file():
            names[name] = beside.read_bytes()
    return {name: hashlib.sha256(held).hexdigest() for name, held in names.items()}
