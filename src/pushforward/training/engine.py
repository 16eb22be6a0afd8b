"""The engine: plays a model's stages round by round, and can stop and go on at any of them, to the bit.

It knows no family by name. All randomness is keyed by (seed, stage, draw), so a checkpoint needs no random-number
state; a cursor of four numbers, the weights, buffers, optimizers and averages are the whole of it. Every loss is
called through one door, the wrapped player's `forward`, so several ranks, mixed precision and compilation see it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..config import TrainingSettings
from ..dataset import Dataset, batch_rows, onto
from ..errors import InputError, TrainingFailed
from ..game import Batch, Player, Stage, sum_losses
from ..model import GenerativeModel, evaluating
from ..noise import BatchNoise, Noise, mix_seed
from .average import Average
from .checkpoint import Checkpoints
from .optimizers import make_optimizer, rate
from .records import Cursor, Interrupted, Record, Seat
from .state import all_finite, write_tensors

# Streams of a batch's noise, so that preprocessing and each player draw numbers of their own.
_GATHER, _PLAYER = 1_000, 10_000


class Engine:
    """Plays `model.stages()` on `data`.

    Args:
        model: on its final device.
        data: training data, or None (variational inference).
        settings: resolved (no "auto" left that matters here).
        validation: held-out data, or None.
        checkpoints: where to save; None keeps nothing.
        accelerator: devices, precision, ranks; None: this process alone, in float32, where the model is.
        on_record: called with each `Record`. on_round: called after each round with the engine.
        log: one line of text for the user.
    """

    def __init__(
        self,
        model: GenerativeModel,
        data: Dataset | None,
        settings: TrainingSettings,
        *,
        validation: Dataset | None = None,
        checkpoints: Checkpoints | None = None,
        accelerator: Accelerator | None = None,
        on_record: Callable[[Record], None] = lambda record: None,
        on_round: Callable[[Engine], None] = lambda engine: None,
        log: Callable[[str], None] = lambda text: None,
    ):
        self.model, self.data, self.validation = model, data, validation
        self.settings, self.checkpoints, self.accelerator = settings, checkpoints, accelerator
        self.on_record, self.on_round, self.log = on_record, on_round, log
        self.rank = accelerator.process_index if accelerator else 0
        self.world = accelerator.num_processes if accelerator else 1
        self.device = model.device
        self.stages: list[Stage] = []
        self.cursor = Cursor()
        self.seats: list[Seat] = []
        self.average = Average(model.averaged(), settings.half_life, settings.half_life_ramp)
        self.best: dict[str, Any] = {"value": math.inf, "round": 0, "tensors": {}}
        self.history: list[dict[str, float]] = []
        self.skipped = 0
        self.finished = False
        self.stop = threading.Event()
        self._frozen: list[nn.Module] = []  # modules that no player of the stage trains: their statistics rest too
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._last_save = time.monotonic()
        self._begun = time.monotonic()

    # ------------------------------------------------------------------------------ the play

    def play(self, stop_after: int | None = None) -> None:
        """Play from the newest checkpoint, or from the start, to the end.

        Args:
            stop_after: save and return after this many rounds of this call (tests, benchmarks).

        Raises:
            Interrupted: `stop` was set; the state was saved. TrainingFailed: the losses stay non-finite.
        """
        saved = self._load()
        self.stages = list(self.model.stages())
        if saved is None:
            self.save()  # initial weights are state too: no seed gives back --init or a user's own network
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            for s, stage in enumerate(self.stages):
                if s < self.cursor.stage:
                    continue
                self._play_stage(s, stage, saved if s == self.cursor.stage else None, stop_after)
                saved = None
                if stop_after is not None and self._done >= stop_after and not self.finished:
                    return

    _done = 0  # rounds of this call

    def total_rounds(self, stage: Stage) -> int:
        return self.settings.steps if stage.rounds is None else stage.rounds

    @property
    def step(self) -> int:
        """Rounds done over all stages."""
        return self.cursor.step

    def _play_stage(self, s: int, stage: Stage, saved: Mapping[str, Any] | None, stop_after: int | None) -> None:
        fresh = saved is None or not self.cursor.started
        self.model.eval()  # data maps and starts see the same mode whether the stage is entered or resumed
        if stage.enter:
            stage.enter()
        data = stage.data(self.data) if self.data is not None else None
        if fresh:
            self._seed(s, -1)
            if stage.start:
                n = len(data) if data is not None else self.settings.batch_size
                index = torch.arange(n, device=self.device)
                stage.start(data, Noise.of(self.settings.seed, 1, s, index=index))
            self.cursor = Cursor(s, 0, 0, True, self.cursor.seen if stage.continues else 0, self.cursor.step)
            self.best = {"value": math.inf, "round": 0, "tensors": {}}
        total = self.total_rounds(stage)
        players = list(stage.players()) if total else []
        self.seats = [self._seat(player) for player in players]
        owned = {id(p) for seat in self.seats for p in seat.owned}
        if sum(len(seat.owned) for seat in self.seats) != len(owned):
            raise ValueError(f"stage {stage.name}: a parameter has two owners")
        self._frozen = [m for m in self.model.modules() if (p := {id(p) for p in m.parameters()}) and not p & owned]
        if fresh and (s == 0 or not stage.continues):
            self.average.restart(owned)
        if saved is not None and not fresh:
            for seat, state, bad in zip(self.seats, saved["optimizers"], saved["bad"]):
                seat.bad = bad
                if seat.optimizer is not None:
                    seat.optimizer.load_state_dict(state)
            self._load_model(saved)  # wrapping for several ranks copied rank 0's buffers: give each rank its own
        held_out = self._held_out(stage)
        every = max(1, total // 500)
        check = max(1, total // self.settings.validations)
        while self.cursor.round < total:
            self._round(s, stage, data, total)
            self._done += 1
            done = self.cursor.round
            value = None
            if held_out is not None and (done % check == 0 or done == total):
                value = self._validate(s, stage, held_out)
            if value is not None or done % every == 0 or done == total:
                self._record(stage, total, value)
            self.on_round(self)
            if stop_after is not None and self._done >= stop_after and done < total:
                self.save()
                return
            self._maybe_save()
        if s + 1 == len(self.stages):
            # Saved with its raw weights, so that a finished run can be trained further.
            self.save()
            self._commit(s, owned)
            self.finished = True
        else:
            self._commit(s, owned)
            self.cursor = Cursor(s + 1, 0, 0, False, self.cursor.seen, self.cursor.step)
            self.seats = []
            if total:
                self.save()
        if self.accelerator is not None:
            self.accelerator.free_memory()

    def _round(self, s: int, stage: Stage, data: Dataset | None, total: int) -> None:
        """Each player's turns, in order."""
        self.model.train()
        for module in self._frozen:
            module.eval()
        size = self._batch_size(stage, data)
        batch: Batch | None = None
        for k, seat in enumerate(self.seats):
            for group, base in zip(seat.optimizer.param_groups if seat.optimizer else [], seat.rates):
                assert seat.player.optimizer is not None
                group["lr"] = base * rate(seat.player.optimizer, self.cursor.round, total)
            for _ in range(seat.player.turns):
                if batch is None or not seat.player.same_batch:
                    batch = self._draw(s, stage, data, size, total)
                self._seed(s, self.cursor.draw * 64 + k)
                assert isinstance(batch.noise, BatchNoise)
                mine = batch.replace(noise=batch.noise.at(_PLAYER * (k + 1)))
                self._turn(stage, seat, seat.player.prepare(mine) if seat.player.prepare else mine)
        self.cursor.round += 1
        self.cursor.step += 1
        owned = {id(p) for seat in self.seats for p in seat.owned}
        self.cursor.seen += size
        self.average.update(owned, size, self.cursor.seen)

    def _turn(self, stage: Stage, seat: Seat, batch: Batch) -> None:
        player = seat.player
        if seat.optimizer is None:
            with torch.no_grad():
                losses = seat.door(batch)
                total = sum_losses(losses)
            self._note(losses)
            self._guard(stage, seat, batch, losses, bool(torch.isfinite(total)))
        else:
            seat.optimizer.zero_grad(set_to_none=True)
            losses = seat.door(batch)
            total = sum_losses(losses)
            if self.accelerator is not None:
                self.accelerator.backward(total, inputs=seat.owned)
            else:
                total.backward(inputs=seat.owned)
            gradients = [p.grad for p in seat.owned if p.grad is not None]
            if not gradients:
                raise ValueError(f"player {player.name}: its loss reaches none of its parameters")
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            finite = self._everywhere(torch.isfinite(norm) & torch.isfinite(total.detach()))
            self._note(losses)
            self._guard(stage, seat, batch, losses, finite)
            if not finite:
                return
            assert player.optimizer is not None
            if player.optimizer.clip is not None and float(norm) > player.optimizer.clip:
                torch._foreach_mul_(gradients, player.optimizer.clip / float(norm))
            seat.optimizer.step()
        if player.after:
            with torch.no_grad():
                player.after()

    def _guard(self, stage: Stage, seat: Seat, batch: Batch, losses: Mapping[str, Tensor], finite: bool) -> None:
        """Count a non-finite step; after a few in a row stop, with the cause and the last good state."""
        if finite:
            seat.bad = 0
            return
        self.skipped += 1
        terms = [k for k, v in losses.items() if not bool(torch.isfinite(v))] or ["its gradient"]
        lr = seat.optimizer.param_groups[0]["lr"] if seat.optimizer else 0.0
        ids = ", ".join(map(str, batch.index[:8].tolist()))
        cause = (
            f"{stage.name}, round {self.cursor.round}: player {seat.player.name!r}, {' and '.join(terms)} not finite "
            f"(learning rate {lr:.3g}, data rows {ids}, ...)"
        )
        seat.bad += 1
        if seat.bad == 1:
            self.log(f"step skipped: {cause}")
        if seat.bad < self.settings.bad_steps:
            return
        kept = "Nothing was saved."
        if self.checkpoints is not None:
            state = self.model.state_dict()
            if self.world == 1 and all_finite(state):
                kept = f"The last good state is checkpoint {self.save()}."
            elif names := self.checkpoints.names():
                kept = f"The last good state is checkpoint {names[0]}."
        raise TrainingFailed(
            f"training diverged: {seat.bad} non-finite steps in a row. Last: {cause}. {kept}",
            "Lower the learning rate (--set optimizer.learning_rate=...) or clip gradients (--set optimizer.clip=1).",
        )

    # ------------------------------------------------------------------------------ batches

    def _batch_size(self, stage: Stage, data: Dataset | None) -> int:
        if stage.batch_size == -1:
            return len(data) if data is not None else self.settings.batch_size
        size = stage.batch_size or self.settings.batch_size
        if data is not None:
            size = max(self.world, min(size, len(data) // self.world * self.world))
        if size % self.world:
            raise TrainingFailed(f"a batch of {size} cannot be shared by {self.world} ranks.", "Use a multiple.")
        return size

    def _draw(self, s: int, stage: Stage, data: Dataset | None, size: int, total: int) -> Batch:
        """Minibatch number `draw` of the stage; this rank's rows of it."""
        whole = stage.batch_size == -1
        lo, hi = (0, size) if whole else (self.rank * size // self.world, (self.rank + 1) * size // self.world)
        draw = self.cursor.draw
        self.cursor.draw += 1
        noise = BatchNoise(mix_seed(self.settings.seed, 2, s, draw), lo, hi, size, self.device)
        progress = torch.tensor((self.cursor.round + 1) / total, device=self.device)
        if data is None or whole:
            index = torch.arange(lo, hi)
        else:
            index = batch_rows(len(data), size, draw, mix_seed(self.settings.seed, 3, s))[lo:hi]
        x = condition = None
        if data is not None:
            x, condition = data.gather(index.to(data.device), noise.at(_GATHER))
        return Batch(onto(x, self.device), onto(condition, self.device), index.to(self.device), noise, progress)

    def _seed(self, *key: int) -> None:
        """Seed torch's default generators for dropout and users' own modules; everything else is keyed noise."""
        seed = mix_seed(self.settings.seed, 4, self.rank, *key)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)

    def _seat(self, player: Player) -> Seat:
        owned = [p for p in player.parameters() if p.requires_grad]
        door: nn.Module = player
        if player.optimizer is None:
            return Seat(player, door, None, [])
        optimizer = make_optimizer(player.optimizer, owned)
        if self.accelerator is not None:
            door = self.accelerator.prepare_model(player, device_placement=False)
        if self.settings.compile and player.compilable:
            door = torch.compile(door)  # type: ignore[assignment]
        return Seat(player, door, optimizer, owned, [g["lr"] for g in optimizer.param_groups])

    def _everywhere(self, flag: Tensor) -> bool:
        """Whether `flag` holds on every rank."""
        if self.world > 1:
            count = flag.to(torch.float32).reshape(1)
            torch.distributed.all_reduce(count)
            return int(count) == self.world
        return bool(flag)

    # ------------------------------------------------------------------------------ held-out values, records

    def _held_out(self, stage: Stage) -> Dataset | None:
        if stage.validate is None or self.validation is None or len(self.validation) == 0:
            return None
        return stage.data(self.validation)

    def _validate(self, s: int, stage: Stage, data: Dataset) -> float:
        """The held-out loss of the averaged weights, with the same rows and noise each time."""
        assert stage.validate is not None
        n = min(len(data), self.settings.validation_size)
        value = 0.0
        with torch.no_grad(), evaluating(self.model), self.average.swapped():
            for k, index in enumerate(torch.arange(n).split(self.settings.batch_size)):
                noise = BatchNoise(mix_seed(self.settings.seed, 5, s, k), 0, len(index), len(index), self.device)
                x, condition = data.gather(index.to(data.device), noise.at(_GATHER))
                batch = Batch(onto(x, self.device), onto(condition, self.device), index.to(self.device), noise)
                value += float(sum_losses(stage.validate(batch))) * len(index) / n
        if self.world > 1:  # running statistics differ among ranks, and all must choose the same best weights
            mean = torch.tensor(value / self.world, device=self.device)
            torch.distributed.all_reduce(mean)
            value = float(mean)
        if value < self.best["value"]:
            tensors = {k: v.clone() for k, v in self.average.tensors.items()} if self.settings.select == "best" else {}
            self.best = {"value": value, "round": self.cursor.round, "tensors": tensors}
        return value

    def _note(self, losses: Mapping[str, Tensor]) -> None:
        for name, value in losses.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def _record(self, stage: Stage, total: int, value: float | None) -> None:
        losses = {k: float(v) / self._counts[k] for k, v in self._sums.items()}
        self._sums, self._counts = {}, {}
        record = Record(stage.name, self.cursor.round, total, self.step, losses, value, time.monotonic() - self._begun)
        if value is not None:
            main = sum(v for k, v in losses.items() if not k.startswith("_"))
            self.history.append(
                {"stage": self.cursor.stage, "round": self.cursor.round, "validation": value, "train": main}
            )
        self.on_record(record)

    # ------------------------------------------------------------------------------ state

    def _commit(self, s: int, owned: set[int]) -> None:
        """A stage ends: best or averaged weights become the weights of what no later stage trains."""
        later = {id(q) for stage in self.stages[s + 1 :] for p in stage.players() for q in p.parameters()}
        chosen = self.best["tensors"] if self.settings.select == "best" and self.best["tensors"] else None
        tensors = self.average.tensors if chosen is None else chosen
        with torch.no_grad():
            for name, parameter in self.average.parameters.items():
                if id(parameter) in owned and id(parameter) not in later:
                    parameter.copy_(tensors[name])
        self.average.restart(owned - later)  # what later stages build on, where the best weights were chosen
        self.model.eval()

    def state(self) -> dict[str, Any]:
        """Everything that `play` needs to go on to the bit."""
        return {
            "model": self.model.state_dict(),
            "cursor": asdict(self.cursor),
            "average": self.average.tensors,
            "best": self.best,
            "optimizers": [seat.optimizer.state_dict() if seat.optimizer else {} for seat in self.seats],
            "history": self.history,
            "skipped": self.skipped,
            "bad": [seat.bad for seat in self.seats],
            "world": self.world,
            "seconds": time.monotonic() - self._begun,
            "sums": self._sums,
            "counts": self._counts,
        }

    def save(self) -> str | None:
        """Write a checkpoint (rank 0 writes; the others give their buffers). Returns its name."""
        self._last_save = time.monotonic()
        if self.checkpoints is None:
            return None
        extra = {}
        if self.world > 1:
            folder = self.checkpoints.folder
            folder.mkdir(parents=True, exist_ok=True)
            extra = {r: folder / f".rank_{r}.tmp" for r in range(1, self.world)}
            if self.rank:
                state = self.model.state_dict()
                parameters = dict(self.model.named_parameters(remove_duplicate=False))
                write_tensors(extra[self.rank], {k: v for k, v in state.items() if k not in parameters})
            torch.distributed.barrier()
        name = None
        if self.rank == 0:
            name = self.checkpoints.save(self.step, self.state(), extra)
        if self.world > 1:
            torch.distributed.barrier()
        return name

    def _maybe_save(self) -> None:
        """Save when it is time; save and leave when asked to stop."""
        due = time.monotonic() - self._last_save > 60 * self.settings.checkpoint_minutes
        stop = self.stop.is_set()
        if self.world > 1:  # all ranks must agree, and asking them every round would cost
            if self.cursor.round % 20:
                return
            flags = torch.tensor([float(due), float(stop)], device=self.device)
            torch.distributed.all_reduce(flags)
            due, stop = bool(flags[0] > 0), bool(flags[1] > 0)
        if stop:
            name = self.save()
            raise Interrupted(f"stopped at round {self.cursor.round}" + (f", saved as {name}" if name else ""))
        if due:
            self.save()

    def _load(self) -> Mapping[str, Any] | None:
        loaded = self.checkpoints.load(self.rank) if self.checkpoints is not None else None
        if loaded is None:
            if self.checkpoints is not None and self.checkpoints.names():
                raise InputError(
                    f"no checkpoint in {self.checkpoints.folder} is intact, so training cannot go on.",
                    "Restore one, or begin again with --overwrite.",
                )
            return None
        name, state = loaded
        self.log(f"resuming from checkpoint {name}")
        if state["world"] != self.world:
            self.log(
                f"the run had {state['world']} ranks and goes on with {self.world}: buffers of a rank are rank 0's"
            )
        self.cursor = Cursor(**state["cursor"])
        self._load_model(state)
        self.average = Average(self.model.averaged(), self.settings.half_life, self.settings.half_life_ramp)
        self.average.load(state["average"])
        self.best, self.history, self.skipped = state["best"], state["history"], state["skipped"]
        self.best["tensors"] = {k: v.to(self.device) for k, v in self.best["tensors"].items()}
        self._sums = {k: v.to(self.device) for k, v in state["sums"].items()}
        self._counts = dict(state["counts"])
        self._begun = time.monotonic() - state["seconds"]
        return state

    def _load_model(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict({k: v.to(self.device) for k, v in state["model"].items()})
