"""Nested training state to safetensors and JSON, and back. No pickle is ever written or read.

Tensors go to one safetensors file under their path; everything else to a JSON document of the same shape, in which
a tensor is `{"tensor": path}`. Dictionary keys keep their type (optimizers use integers).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import InputError


def flatten(value: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """JSON form of `value`, its tensors added to `tensors`."""
    if isinstance(value, Tensor):
        # A copy: safetensors refuses tensors that share memory, and training goes on.
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": path}
    if isinstance(value, Mapping):
        return {"map": [[k, flatten(v, tensors, f"{path}/{k}")] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list": [flatten(v, tensors, f"{path}/{i}") for i, v in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise TypeError(f"{path}: {type(value).__name__} cannot be saved")


def unflatten(document: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value that `flatten` described."""
    (kind, content) = next(iter(document.items()))
    if kind == "tensor":
        return tensors[content]
    if kind == "map":
        return {k: unflatten(v, tensors) for k, v in content}
    if kind == "list":
        return [unflatten(v, tensors) for v in content]
    return content


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file."""
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, str(path))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; anything else is refused by its first bytes, unopened.

    Raises:
        InputError: missing, empty, truncated, a pickle or a zip archive (a torch.save file).
    """
    if not path.is_file():
        raise InputError(f"{path} is missing.", "The run is incomplete: resume it, or fit again with --overwrite.")
    with open(path, "rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    # The header's length may itself begin with the bytes of a pickle or a zip: the brace that follows it decides.
    if len(head) < 9 or head[8:9] != b"{" or length > min(100_000_000, path.stat().st_size):
        if head[:2] == b"PK" or head[:1] == b"\x80":
            kind = "a zip archive (a torch.save file?)" if head[:2] == b"PK" else "a pickle"
            raise InputError(f"{path} is {kind}, not safetensors: it was not opened.", "Pickles can run code.")
        raise InputError(f"{path} is not a safetensors file, or is cut off.", "Restore it, or fit again.")
    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read as safetensors ({error}).", "Restore it, or fit again.") from None


def all_finite(tensors: Mapping[str, Tensor]) -> bool:
    """Whether every floating-point tensor is finite."""
    return all(bool(torch.isfinite(v).all()) for v in tensors.values() if v.is_floating_point())
