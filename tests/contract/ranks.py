"""What two ranks do, run as a script in each of two processes: every case, then mutants. Results go to a folder.

`python -m tests.contract.ranks FOLDER RANK PORT`
"""

from __future__ import annotations

import datetime
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.game import Batch, Player
from pushforward.training import Engine
from pushforward.training.records import Seat

from . import probes
from .cases import PROBES, TRAINED, Case, boundaries
from .resume import play

# On pixels the U-Nets take their time, and differ from the vector case in nothing that ranks could see; of tables one
# model is enough for what they share, the preprocessing.
SHARED = [*PROBES, *(case for case in TRAINED if "-vector" in case.name or case.name == "real-nvp-table")]


class PastTheDoor(Engine):
    """A mutant: the loss is called on the player itself, past its wrapper."""

    def _seat(self, player: Player) -> Seat:
        seat = super()._seat(player)
        seat.door = player
        return seat


class LateStart(probes.ConditionalFlow):
    """A mutant: ActNorm starts at the first batch, after wrapping, on the rows of its own rank."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def start(self, data: Any, noise: Any) -> None:
        pass

    def nll(self, batch: Batch) -> Any:
        if not bool(self.started):
            self.layers.start(batch.x, batch.condition)
            self.started.fill_(True)
        return super().nll(batch)


def mutants() -> list[tuple[str, Case, type[Engine]]]:
    start = next(c for c in PROBES if c.name == "data-dependent-start")
    late = Case("late-start", LateStart, start.data, start.held_out)
    return [("past-the-door", start, PastTheDoor), ("late-start", late, Engine)]


def tensors(state: Any, path: str = "") -> dict[str, Tensor]:
    """The tensors of a nested state, by path."""
    if isinstance(state, Tensor):
        return {path: state}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    out: dict[str, Tensor] = {}
    for key, value in items:
        out.update(tensors(value, f"{path}/{key}"))
    return out


def work(folder: Path, rank: int, port: str) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
        ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1",
    )  # fmt: skip
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    from pushforward.training.resolve import make_accelerator

    results: dict[str, Any] = {}
    for case in SHARED:
        accelerator = make_accelerator(case.settings(), torch.device("cpu"))
        assert accelerator.num_processes == 2
        try:
            whole = play(case, folder / case.name / "whole", accelerator=accelerator)
            resumed = {}
            stops = boundaries(case)
            for k in stops[len(stops) // 2 :][:1]:  # an end of a stage, or the middle of one
                at = folder / case.name / f"at_{k}"
                play(case, at, k, accelerator=accelerator)
                resumed[k] = tensors(play(case, at, accelerator=accelerator))
            results[case.name] = {"whole": tensors(whole), "resumed": resumed, "error": None}
        except Exception:
            results[case.name] = {"whole": {}, "resumed": {}, "error": traceback.format_exc()}
    for name, case, engine in mutants():
        accelerator = make_accelerator(case.settings(), torch.device("cpu"))
        whole = play(case, folder / name / "whole", accelerator=accelerator, engine=engine)
        results[name] = {"whole": tensors(whole), "resumed": {}, "error": None}
    torch.save(results, folder / f"rank_{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def trained_names(case: Case) -> set[str]:
    """Names of the parameters, under which all ranks must agree (buffers may belong to a rank)."""
    model: nn.Module = case.build()
    return {name for name, _ in model.named_parameters()}


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
