"""What "auto" means on this machine, decided once and written down: device, threads, budget.

Threads, compilation and a time budget become plain settings and rounds before training, so that a resumed run
repeats them instead of measuring again.
"""

from __future__ import annotations

import copy
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedDataParallelKwargs

from ..config import TrainingSettings
from ..dataset import Dataset
from ..errors import InputError
from ..game import sum_losses
from ..model import GenerativeModel
from ..noise import Noise
from .engine import Engine


def choose_device(name: str) -> torch.device:
    """The device that `name` (auto, cpu, cuda, mps) means here.

    Raises:
        InputError: it is not available.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":  # not mps: it has no float64, which statistics and closed forms are kept in
        name = "cuda" if available["cuda"] else "cpu"
    if not available.get(name, False):
        raise InputError(f"device {name!r} is not available.", "`pushforward doctor` shows what is.")
    return torch.device(name)


def make_accelerator(settings: TrainingSettings, device: torch.device) -> Accelerator:
    """accelerate's thin layer over devices, precision and ranks.

    Buffers are not broadcast before each forward: image pools and running statistics belong to a rank.
    """
    AcceleratorState._reset_state()
    if "WORLD_SIZE" not in os.environ:
        PartialState._reset_state()
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="bf16" if settings.precision == "bf16" else "no",
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


@contextmanager
def threads(count: int | str) -> Iterator[None]:
    """`count` CPU threads inside the block ("auto": as they are)."""
    before = torch.get_num_threads()
    if isinstance(count, int) and count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def parse_duration(text: str) -> float:
    """Seconds of "90", "90s", "3m", "1.5h", "1h30m".

    Raises:
        InputError: anything else, or zero.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([hms]?)", text.strip().lower())
    if not parts or "".join(a + b for a, b in parts) != re.sub(r"\s", "", text.strip().lower()):
        raise InputError(f"--budget {text!r} is not a duration.", "Examples: 45s, 3m, 1h30m.")
    seconds = sum(float(a) * {"h": 3600, "m": 60, "s": 1, "": 1}[b] for a, b in parts)
    if seconds <= 0:
        raise InputError(f"--budget {text!r} is not positive.", "Examples: 45s, 3m, 1h30m.")
    return seconds


_TRIAL_ROWS = 1 << 16
"""Rows that a trial works on at most."""


@dataclass
class Cost:
    """What a short trial on a copy of the model measured."""

    start_seconds: float  # closed-form fits and data-dependent starts
    fixed_rounds: list[tuple[int, float]]  # (rounds, seconds a round) of stages with their own number
    user_seconds: float  # seconds of one --step, over the stages that leave the number to the user
    validation_seconds: float  # one held-out evaluation
    activation_bytes: int  # kept for the backward pass, at the run's batch size

    @property
    def round_seconds(self) -> float:
        """Of one round of each stage."""
        return self.user_seconds + sum(seconds for _, seconds in self.fixed_rounds)

    def total(self, steps: int, validations: int) -> float:
        fixed = sum(rounds * seconds for rounds, seconds in self.fixed_rounds)
        held_out = validations * self.validation_seconds if self.user_seconds else 0.0
        return self.start_seconds + fixed + steps * self.user_seconds + held_out

    def steps(self, budget: float, validations: int) -> int:
        """How many steps fit into `budget` seconds, 5% left for the rest; at least 1."""
        spare = 0.95 * budget - self.total(0, validations)
        return max(1, int(spare / self.user_seconds)) if self.user_seconds else 1


def measure(
    model: GenerativeModel,
    data: Dataset | None,
    validation: Dataset | None,
    settings: TrainingSettings,
    seconds: float = 1.0,
    only_rounds: bool = False,
) -> Cost:
    """Play a few rounds of every stage on a copy of the model; the model itself is untouched.

    `only_rounds`: leave the memory and the held-out evaluation out. Of large data a part is enough: what a start costs
    is taken to grow with the rows.
    """
    whole = 1.0
    if data is not None and len(data) > _TRIAL_ROWS:
        whole = len(data) / _TRIAL_ROWS
        data = data.subset(torch.arange(_TRIAL_ROWS, device=data.device))
    trial = settings.model_copy(update={"steps": 10**9})
    scratch = Engine(copy.deepcopy(model), data, trial, validation=validation)
    scratch.stages = list(scratch.model.stages())
    cost = Cost(0.0, [], 0.0, 0.0, 0)
    devices = [model.device.index or 0] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for s, stage in enumerate(scratch.stages):
            begun = time.perf_counter()
            scratch.cursor.round = scratch.cursor.draw = 0
            if stage.enter:
                stage.enter()
            seen = stage.data(data) if data is not None else None
            if stage.start:
                n = len(seen) if seen is not None else settings.batch_size
                stage.start(seen, Noise.of(settings.seed, 1, s, index=torch.arange(n, device=model.device)))
            cost.start_seconds += whole * (time.perf_counter() - begun)
            total = stage.rounds if stage.rounds is not None else 10**9
            scratch.seats = [scratch._seat(p) for p in stage.players()] if total else []
            if not scratch.seats:
                continue
            if not only_rounds:
                cost.activation_bytes = max(cost.activation_bytes, _activations(scratch, s, stage, seen, total))
            rate = _time_rounds(scratch, s, stage, seen, total, seconds)
            if stage.rounds is None:
                cost.user_seconds += rate
                held_out = None if only_rounds else scratch._held_out(stage)
                if held_out is not None:
                    begun = time.perf_counter()
                    scratch._validate(s, stage, held_out)
                    cost.validation_seconds += time.perf_counter() - begun
            else:
                cost.fixed_rounds.append((stage.rounds, rate))
    return cost


def _time_rounds(engine: Engine, s: int, stage: Any, data: Dataset | None, total: int, seconds: float) -> float:
    """Median seconds of a round: two to warm up, then for `seconds` (at most 200 rounds); slow ones are cut short."""
    times: list[float] = []
    begun = time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds or len(times) < 5:
        if len(times) >= 202 or (times and spent > 2 * seconds + 0.1):
            break
        t = time.perf_counter()
        engine._round(s, stage, data, max(total, 1))
        _synchronize(engine.device)
        times.append(time.perf_counter() - t)
    return statistics.median(times[2:] or times[-1:])


def _activations(engine: Engine, s: int, stage: Any, data: Dataset | None, total: int) -> int:
    """Bytes that the largest loss keeps for its backward pass."""
    most = 0
    for seat in engine.seats:
        kept: dict[int, int] = {}

        def pack(t: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        batch = engine._draw(s, stage, data, engine._batch_size(stage, data), max(total, 1))
        if seat.player.prepare:
            batch = seat.player.prepare(batch)
        if seat.optimizer is None:
            continue
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            sum_losses(seat.player(batch))
        most = max(most, sum(kept.values()))
    return most


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def settle(
    model: GenerativeModel,
    data: Dataset | None,
    validation: Dataset | None,
    settings: TrainingSettings,
    *,
    budget: float | None = None,
    cap: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> TrainingSettings:
    """`settings` with threads, compilation and a budget turned into plain values.

    `cap`: the budget is a limit on the settings' own steps, which may be fewer.
    """
    update: dict[str, Any] = {}
    cost: Cost | None = None
    trains = any(s.rounds != 0 for s in model.stages())
    if settings.compile and trains:
        try:
            measure(model, data, validation, settings, seconds=0.0)
        except Exception as error:
            first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            log(f"compilation failed ({first}): training without it")
            update["compile"] = False
            settings = settings.model_copy(update=update)
    if settings.threads == "auto":
        most = torch.get_num_threads()
        choice = most
        if model.device.type == "cpu" and most > 1 and trains:
            # One thread often beats two on small models, and always on a busy machine.
            short = 0.5 if budget is None else min(1.0, budget / 30)
            with threads(1):
                cost = measure(model, data, validation, settings, seconds=short)
            with threads(most):
                many = measure(model, data, validation, settings, seconds=short, only_rounds=True)
            one, all_ = cost.round_seconds, many.round_seconds
            choice = 1 if one <= all_ else most
            if choice == most:
                cost = replace(cost, user_seconds=many.user_seconds, fixed_rounds=many.fixed_rounds)
            log(f"threads: {choice} (a round takes {1e3 * one:.1f} ms with 1, {1e3 * all_:.1f} ms with {most})")
        update["threads"] = choice
    if budget is not None and trains:
        if cost is None:
            with threads(update.get("threads", settings.threads)):
                cost = measure(model, data, validation, settings, seconds=min(2.0, budget / 15))
        most = cost.steps(budget, settings.validations)
        update["steps"] = min(most, settings.steps) if cap else most
        log(f"budget: {budget:.0f} s are {most:,} steps of {1e3 * cost.user_seconds:.1f} ms")
    return settings.model_copy(update=update)
