"""Exact resume, as a check: N rounds are k rounds and N - k more in a new object, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.training import Engine
from pushforward.training.checkpoint import Checkpoints

from .cases import Case


def plain(value: Any) -> Any:
    """Tuples as lists, as they come back from JSON."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def difference(a: Any, b: Any, path: str = "") -> str | None:
    """Where two nested values differ (bitwise, for tensors), or None."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        same = a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.isnan(), b.isnan())
        same = same and torch.equal(a.nan_to_num(0), b.nan_to_num(0))
        return None if same else f"{path}: {a.flatten()[:3].tolist()} and {b.flatten()[:3].tolist()}"
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"{path}: keys {sorted(map(str, a.keys() ^ b.keys()))}"
        return next((d for k in a if (d := difference(a[k], b[k], f"{path}/{k}"))), None)
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{path}: lengths {len(a)} and {len(b)}"
        return next((d for i, (x, y) in enumerate(zip(a, b)) if (d := difference(x, y, f"{path}/{i}"))), None)
    return None if a == b or (a != a and b != b) else f"{path}: {a} and {b}"


def everything(engine: Engine) -> dict[str, Any]:
    """The state that training ends with, a sample included."""
    state = engine.state()
    del state["seconds"]
    state["final"] = dict(engine.model.state_dict())
    state["sample"] = engine.model.sample(5, seed=3)
    return {k: plain(_copied(v)) for k, v in state.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, (list, tuple)) else value


def play(
    case: Case, folder: Path, stop_after: int | None = None, store: type[Checkpoints] = Checkpoints, **engine: Any
) -> dict[str, Any]:
    """Play on from the folder's newest checkpoint with a new model and a new engine."""
    model, data = case.build(), case.data()
    if data is not None:
        model.remember_conditions(data)
    kind: type[Engine] = engine.pop("engine", Engine)
    player = kind(model, data, case.settings(), validation=case.held_out(), checkpoints=store(folder), **engine)
    torch.manual_seed(int(torch.randint(2**31, ())))  # nothing may hang on the default generator
    player.play(stop_after)
    return everything(player) if player.finished else {}


def check_resume(case: Case, folder: Path, stops: list[int], store: type[Checkpoints] = Checkpoints) -> None:
    """N rounds are k rounds and the other N - k in a new object, to the bit, for every k of `stops`."""
    whole = play(case, folder / "whole")
    assert whole, "the play did not finish"
    for k in stops:
        assert not play(case, folder / f"at_{k}", k), f"the play did not stop after {k} rounds"
        rest = play(case, folder / f"at_{k}", store=store)
        problem = difference(whole, rest)
        assert problem is None, f"resumed after {k} rounds: {problem}"
