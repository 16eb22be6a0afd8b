"""Checkpoints: folders that are whole or absent, verified by hash before use, the newest good one wins."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .files import damage, explained, write_folder, write_text
from .state import flatten, read_tensors, unflatten, write_tensors


class Checkpoints:
    """The `checkpoints/` folder of a run.

    Layout: `step_00001200/{model.safetensors, optimizer.safetensors, state.json, manifest.json}`, a file
    `latest` with the newest name, and one `rank_<k>.safetensors` for the buffers of each further rank.
    """

    def __init__(self, folder: Path, keep: int = 2, log: Callable[[str], None] = lambda text: None):
        self.folder, self.keep, self.log = folder, keep, log

    def names(self) -> list[str]:
        """Complete checkpoints, newest first."""
        if not self.folder.is_dir():
            return []
        found = [p.name for p in self.folder.iterdir() if p.is_dir() and p.name[5:].isdigit() and p.name[:5] == "step_"]
        return sorted(found, key=lambda name: int(name[5:]), reverse=True)

    def save(self, step: int, state: dict[str, Any], extra_ranks: dict[int, Path] | None = None) -> str:
        """Write the state as checkpoint `step`, then drop old ones. Returns its name."""
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob("step_*.tmp"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
        name = f"step_{step:08d}"
        # The state is a function of the step: replacing an intact checkpoint would only put it at risk.
        if (self.folder / name).is_dir() and damage(self.folder / name) is None:
            return name

        def fill(folder: Path) -> None:
            model = {k: v.detach() for k, v in state["model"].items()}
            write_tensors(folder / "model.safetensors", _unshared(model))
            tensors: dict[str, Any] = {}
            rest = {k: v for k, v in state.items() if k != "model"}
            document = flatten(rest, tensors)
            write_tensors(folder / "optimizer.safetensors", tensors)
            (folder / "state.json").write_text(json.dumps(document), encoding="utf-8")
            for rank, path in (extra_ranks or {}).items():
                shutil.move(str(path), str(folder / f"rank_{rank}.safetensors"))

        write_folder(self.folder / name, fill)
        write_text(self.folder / "latest", name + "\n")
        for old in self.names()[self.keep :]:
            shutil.rmtree(self.folder / old, ignore_errors=True)
        return name

    def load(self, rank: int = 0) -> tuple[str, dict[str, Any]] | None:
        """(name, state) of the newest verified checkpoint, saying which damaged ones were passed over."""
        for name in self.names():
            folder = self.folder / name
            if problem := damage(folder):
                self.log(f"checkpoint {name} is damaged ({problem}): trying the one before")
                continue
            document = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            state = unflatten(document, read_tensors(folder / "optimizer.safetensors"))
            state["model"] = read_tensors(folder / "model.safetensors")
            own = folder / f"rank_{rank}.safetensors"
            if rank and own.is_file():
                state["model"].update(read_tensors(own))
            return name, state
        return None


def _unshared(tensors: dict[str, Any]) -> dict[str, Any]:
    """Clones of tensors that share memory (tied weights), which safetensors refuses."""
    seen: set[int] = set()
    out = {}
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        out[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return out
