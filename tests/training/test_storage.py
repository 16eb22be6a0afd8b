"""Writes that survive: hashes, cuts, pickles, full and read-only disks, two processes."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from pushforward.errors import InputError
from pushforward.training import files
from pushforward.training.checkpoint import Checkpoints
from pushforward.training.files import Lock, WriteFailed, damage, write_folder, write_text
from pushforward.training.state import flatten, read_tensors, unflatten, write_tensors


def state(step: int) -> dict[str, Any]:
    return {
        "model": {"w": torch.full((4,), float(step)), "tied": torch.zeros(2)},
        "optimizers": [
            {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 0.1}]}
        ],
        "cursor": {"stage": 0, "round": step, "draw": step, "started": True},
    }


def test_nested_state_comes_back_with_its_key_types() -> None:
    tensors: dict[str, torch.Tensor] = {}
    value = {"a": [1, 2.5, None, True, "x"], 3: {"t": torch.arange(3)}, "inf": float("inf")}
    back = unflatten(flatten(value, tensors), tensors)
    assert back["a"] == value["a"] and back["inf"] == float("inf")
    assert torch.equal(back[3]["t"], torch.arange(3))
    with pytest.raises(TypeError, match="cannot be saved"):
        flatten({"f": print}, {})


def test_checkpoints_round_trip_and_old_ones_go(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, keep=2)
    for step in (9, 10, 100):
        store.save(step, state(step))
    assert store.names() == ["step_00000100", "step_00000010"]
    assert (tmp_path / "latest").read_text().strip() == "step_00000100"
    loaded = store.load()
    assert loaded is not None
    name, found = loaded
    assert name == "step_00000100" and found["cursor"]["round"] == 100
    assert torch.equal(found["model"]["w"], torch.full((4,), 100.0))
    assert found["optimizers"][0]["state"][0]["step"] == 3


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "manifest"])
def test_a_damaged_checkpoint_is_found_and_the_one_before_used(tmp_path: Path, harm: str) -> None:
    said: list[str] = []
    store = Checkpoints(tmp_path, log=said.append)
    store.save(1, state(1))
    store.save(2, state(2))
    victim = tmp_path / "step_00000002" / "model.safetensors"
    content = bytearray(victim.read_bytes())
    if harm == "flip":
        content[-1] ^= 1
        victim.write_bytes(bytes(content))
    elif harm == "cut":
        victim.write_bytes(bytes(content[:-5]))
    elif harm == "remove":
        victim.unlink()
    else:
        (victim.parent / "manifest.json").write_text("{")
    loaded = store.load()
    assert loaded is not None and loaded[0] == "step_00000001"
    assert "step_00000002 is damaged" in said[0]


def test_weights_that_are_a_pickle_or_a_zip_are_never_opened(tmp_path: Path) -> None:
    opened = tmp_path / "opened"

    class Bomb:
        def __reduce__(self) -> Any:
            return (open, (str(opened), "w"))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="pickle"):
        read_tensors(path)
    torch.save({"w": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="zip archive"):
        read_tensors(path)
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="not a safetensors file"):
        read_tensors(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a safetensors file"):
        read_tensors(path)
    assert not opened.exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model"
    write_folder(target, lambda f: write_tensors(f / "a.safetensors", {"x": torch.ones(3)}))
    assert damage(target) is None

    def fails(folder: Path) -> None:
        write_tensors(folder / "a.safetensors", {"x": torch.zeros(3)})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(target, fails)
    assert damage(target) is None
    assert torch.equal(read_tensors(target / "a.safetensors")["x"], torch.ones(3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "denied")]
)
def test_a_disk_that_fails_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    store = Checkpoints(tmp_path)
    store.save(1, state(1))

    def full(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(WriteFailed, match=words):
        store.save(2, state(2))
    with pytest.raises(WriteFailed, match=words):
        write_text(tmp_path / "latest", "x")
    monkeypatch.undo()
    assert store.names() == ["step_00000001"]
    assert (tmp_path / "latest").read_text().strip() == "step_00000001"
    assert store.load() is not None
    assert not list(tmp_path.glob("*.tmp"))


def test_a_second_process_in_the_folder_is_refused(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(InputError, match="in use by another pushforward"):
        Lock(tmp_path)
    lock.release()
    Lock(tmp_path).release()
