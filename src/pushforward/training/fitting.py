"""From a model's name and data to a trained model: settings resolved, a run folder kept, signals and errors caught."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from .. import __version__
from ..config import TrainingSettings, merge
from ..errors import InputError, PushforwardError, TrainingFailed
from ..model import GenerativeModel, evaluating
from ..registry import Config, check_groups, resolve
from ..spaces import Space
from .checkpoint import Checkpoints
from .engine import Engine
from .environment import environment
from .files import Lock, damage, explained, write_json
from .memory import Peak
from .metrics import Metrics
from .plan import as_data, build_for, choose_model, epochs_to_steps, training_with, with_training
from .progress import Progress
from .records import Interrupted, Record
from .resolve import choose_device, make_accelerator, measure, parse_duration, settle, threads
from .run import FORMAT, Run, open_run, save, write_card, write_yaml
from .verdict import Verdict, judge


@dataclass
class Fit:
    """What a fit gives: the model, its folder (None: kept in memory), the verdict and the numbers."""

    model: GenerativeModel
    folder: Path | None
    verdict: Verdict
    config: Config
    steps: int
    seconds: float
    skipped: int
    history: list[dict[str, float]]


def fit(
    model: str | GenerativeModel | None,
    data: Any,
    *,
    condition: Any = None,
    steps: int | None = None,
    epochs: float | None = None,
    budget: str | float | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads: int | str | None = None,
    init: str | Path | None = None,
    networks: Mapping[str, nn.Module] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> GenerativeModel:
    """Fit a model and return it, ready to sample.

    Args:
        model: a name from `pf.models()`, a model from `pf.build`, or None to let the data choose.
        data: what `pf.load` gives or takes: a name, a path, an array, a `Data`.
        condition: which column or label the model is conditioned on (see `pf.load`).
        steps, epochs, budget: how long: rounds of training, passes over the data, or time ("3m"; measured once
            at the start and turned into steps). Default: the recipe's.
        out: run folder; None keeps the run in memory.
        overwrite: replace an existing run folder. resume: go on with it; with `steps`, that many more.
        seed, device, precision, threads: see `TrainingSettings`.
        init: a run whose weights to start from.
        networks: your own modules by role.
        settings: overrides, nested: {"network": {"size": "m"}, "training": {"batch_size": 64}}.
        progress: show progress on stderr.

    Returns:
        the trained model, in evaluation mode, with the best (or averaged) weights.

    Raises:
        InputError: anything about the arguments or the data. TrainingFailed: divergence, memory.
    """
    return run_fit(
        model, data, condition=condition, steps=steps, epochs=epochs, budget=budget, out=out, overwrite=overwrite,
        resume=resume, seed=seed, device=device, precision=precision, threads_=threads, init=init,
        networks=networks, settings=settings, progress=progress,
    ).model  # fmt: skip


@contextmanager
def _memory_explained() -> Iterator[None]:
    """Out of memory outside the training loop (building, measuring) is one sentence too."""
    try:
        yield
    except PushforwardError:
        raise  # said already, with more detail
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise TrainingFailed(
            "out of memory.", "Use a smaller --set training.batch_size=..., or a smaller --set network.size."
        ) from error


@_memory_explained()
def run_fit(
    model: str | GenerativeModel | None,
    data: Any,
    *,
    condition: Any = None,
    steps: int | None = None,
    epochs: float | None = None,
    budget: str | float | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads_: int | str | None = None,
    init: str | Path | None = None,
    networks: Mapping[str, nn.Module] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
    cap: bool = False,
    log: Callable[[str], None] | None = None,
) -> Fit:
    """`fit`, with everything that is known about it. `cap`: the budget limits the recipe's own steps."""
    given = [k for k, v in (("steps", steps), ("epochs", epochs), ("budget", budget)) if v is not None]
    if len(given) > 1:
        raise InputError(f"--{given[0]} and --{given[1]} were both given.", "Choose one.")
    run: Run | None = None
    if resume:
        if out is None:
            raise InputError("which run should be resumed?", "Give its folder: --out runs/NAME.")
        run = open_run(out, **(networks or {}))
        data = run.load_data() if data is None else as_data(data, condition)
        if run.data_info and data.hash != run.data_info["hash"]:
            raise InputError(f"{data.source} is not the data that {out} was begun with (its hash differs).")
        config = run.config
        if run.status.get("state") == "finished" and steps is None and epochs is None and budget is None:
            (log or _say(progress))(f"{out} is finished: --steps N trains it N steps further")
            word, _, why = str(run.status["verdict"]).partition(": ")
            numbers = run.status["steps"], run.status["seconds"], run.status["skipped_steps"]
            return Fit(run.model, run.folder, Verdict(word, why), config, *numbers, [])
        if epochs is not None:
            steps = epochs_to_steps(epochs, data, config.training)
    else:
        data = as_data(data, condition)
        if model is None:
            model, why = choose_model(data)
            (log or _say(progress))(f"model: {model} ({why}; --model chooses another)")
        training = {
            "seed": seed, "device": device, "precision": precision, "threads": threads_, "steps": steps,
        }  # fmt: skip
        over = merge(check_groups(settings), {"training": {k: v for k, v in training.items() if v is not None}})
        if isinstance(model, GenerativeModel):
            base = model.config or Config("custom", type(model).Settings(), TrainingSettings())
            config = Config(base.model, base.settings, training_with(base.training, over.get("training", {})))
        else:
            config = resolve(model, over, data.space)
        if epochs is not None:
            config = with_training(config, steps=epochs_to_steps(epochs, data, config.training))
        if out is not None and config.model == "custom":
            raise InputError(
                "a model without a recipe cannot be opened again.", "Fit it without out=, or add a recipe."
            )
    # Whatever may be refused is refused before a folder is made, or an old run is overwritten.
    seconds = parse_duration(str(budget)) if budget is not None else None
    where = choose_device(config.training.device)
    built = build_for(model, config, data, networks, run)
    start = open_run(init, **(networks or {})) if init is not None and not resume else None
    folder = None if out is None else Path(out)
    with ExitStack() as stack:
        if folder is not None and _rank() == 0:
            if not resume:
                prepare_folder(folder, overwrite)
                stack.callback(_remove_if_not_begun, folder)
            lock = Lock(folder)
            stack.callback(lock.release)
        reporter = Progress(
            None if folder is None or _rank() else folder / "log.txt",
            show=progress and _rank() == 0 and log is None,
            sink=log,
        )
        say = reporter.log
        name = config.model
        reporter.log(
            f"{'resuming' if resume else 'fitting'} {name} on {data.name}, pushforward {__version__}", only_file=True
        )
        stack.callback(reporter.close)
        accelerator = make_accelerator(config.training, where)
        _move(built, accelerator.device)
        if config.training.device == "auto":
            config = with_training(config, device=accelerator.device.type)
            reporter.log(f"device: {config.training.device}", only_file=config.training.device == "cpu")
        if start is not None:
            _initialize(built, start, say)
        if not resume:
            built.remember_conditions(data.train)
            training_settings = _settle(built, data, config.training, seconds, cap, say, accelerator)
            config = with_training(config, **training_settings.model_dump())
            built.config = config if built.config is not None else None
            if folder is not None and _rank() == 0:
                _write_head(folder, config, data, sorted(networks or ()), init)
        elif seconds is not None:
            with threads(config.training.threads):
                cost = measure(built, data.train, data.validation, config.training)
            steps = cost.steps(seconds, config.training.validations)
        built.threads = config.training.threads if isinstance(config.training.threads, int) else None
        with threads(config.training.threads):
            return _play(built, config, data, folder, reporter, say, accelerator, resume, steps if resume else None)


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """An empty folder for a run. An existing one is not touched without `overwrite`."""
    with explained(folder):
        # A fit that was killed before it began left nothing else.
        remains = {p.name for p in folder.iterdir()} - {".lock", "log.txt"} if folder.is_dir() else {"a file"}
        if folder.exists() and remains:
            is_run = folder.is_dir() and (folder / "config.yaml").is_file()
            if not overwrite:
                raise InputError(
                    f"{folder} exists already.",
                    "Go on with it: --resume. Replace it: --overwrite. Or choose another --out."
                    if is_run
                    else "Choose another --out.",
                )
            if not is_run:
                raise InputError(f"{folder} is not a run folder: it is not overwritten.", "Choose another --out.")
            Lock(folder).release()
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)


def _remove_if_not_begun(folder: Path) -> None:
    """A run that failed before its settings were written cannot be resumed, and would only be in the way."""
    if not (folder / "config.yaml").is_file():
        shutil.rmtree(folder, ignore_errors=True)


def _play(
    model: GenerativeModel,
    config: Config,
    data: Any,
    folder: Path | None,
    reporter: Progress,
    say: Callable[[str], None],
    accelerator: Any,
    resume: bool,
    more: int | None,
) -> Fit:
    settings = config.training
    main = accelerator.is_main_process
    store = None
    if folder is not None:
        store = Checkpoints(folder / "checkpoints", settings.keep_checkpoints, say)
    if more is not None and store is not None:
        settings, config = _extend(config, store, more, say)
        if main and folder is not None:
            _write_head(folder, config, data, sorted(model.user_networks), None)
    metrics = Metrics(folder / "metrics.jsonl" if folder is not None and main else None, settings)
    train = data.train
    if accelerator.device.type != "cpu" and train.bytes < _device_room(accelerator.device):
        train = train.to(accelerator.device)

    def on_round(engine: Engine) -> None:
        stage = engine.stages[engine.cursor.stage]
        total = engine.total_rounds(stage)
        reporter.tick(stage.name, engine.cursor.round, total)
        if (
            main
            and folder is not None
            and settings.grids
            and engine.cursor.round % max(1, total // settings.grids) == 0
        ):
            _preview(engine, folder, say)

    def on_record(record: Record) -> None:
        metrics.add(record)
        reporter.record(record)

    engine = Engine(
        model, train, settings, validation=data.validation, checkpoints=store, accelerator=accelerator,
        on_record=on_record, on_round=on_round, log=say,
    )  # fmt: skip
    if resume and store is not None:
        metrics.rewind(next((int(n[5:]) for n in store.names() if damage(store.folder / n) is None), 0))
    if main and folder is not None:
        write_json(folder / "status.json", {"state": "running"})
    begun, peak = time.monotonic(), Peak()
    state, failure = "finished", None
    with _signals(engine, say):
        try:
            engine.play()
        except (Interrupted, TrainingFailed) as error:
            state, failure = ("interrupted" if isinstance(error, Interrupted) else "failed"), error
            _use_average(engine)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            state = "failed"
            failure = TrainingFailed(
                f"out of memory on {accelerator.device} with a batch of {settings.batch_size}.",
                f"Use --set training.batch_size={max(1, settings.batch_size // 2)} or a smaller --set network.size.",
            )
    reporter.close()
    seconds = metrics.seconds or (time.monotonic() - begun)
    trained = any(s.rounds != 0 for s in engine.stages or model.stages())
    last = [h for h in engine.history if h["stage"] == len(engine.stages) - 1]
    verdict = judge(last, trained=trained, skipped=engine.skipped)
    if isinstance(failure, TrainingFailed):
        verdict = Verdict("diverged", failure.what)
    steps = engine.step if engine.stages else 0
    if main and folder is not None:
        status = {
            "state": state,
            "steps": steps,
            "seconds": round(seconds, 2),
            "verdict": str(verdict),
            "held_out": engine.best["value"] if math.isfinite(engine.best["value"]) else None,
            "skipped_steps": engine.skipped,
            "parameters": sum(p.numel() for p in model.parameters()),
            "peak_memory": peak.bytes(),
        }
        _finish(model, folder, metrics, status, state)
    reporter.log(f"{state} after {steps:,} steps in {seconds:.1f} s. {verdict}", only_file=True)
    if failure is not None:
        raise failure
    return Fit(model, folder, verdict, config, steps, seconds, engine.skipped, engine.history)


def _finish(model: GenerativeModel, folder: Path, metrics: Metrics, status: dict[str, Any], state: str) -> None:
    """The files that come last: the model, the status, the loss plot, the card."""
    if state != "failed" and model.config is not None:
        save(model, folder / "model")
    write_json(folder / "status.json", status)
    if metrics.records:
        from ..data.pictures import loss_plot

        loss_plot(metrics.records, folder / "loss.png")
    if model.config is not None:
        write_card(Run(folder))


def _write_head(folder: Path, config: Config, data: Any, networks: list[str], init: Any) -> None:
    with explained(folder):
        write_yaml(
            folder / "config.yaml",
            {
                "format": FORMAT,
                "pushforward": __version__,
                **config.to_dict(),
                "data": {"source": data.source, "options": data.options},
                "networks": networks,
                "init": None if init is None else str(init),
            },
        )
        write_json(folder / "data.json", data.describe() | {"hash": data.hash})
        if not (folder / "environment.json").exists():
            write_json(folder / "environment.json", environment())


def _initialize(model: GenerativeModel, source: Run, say: Callable[[str], None]) -> None:
    """Weights of another run where names and shapes agree; a run that shares none is refused."""
    own, theirs = model.state_dict(), source.model.state_dict()
    shared = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if not any(k in shared for k, _ in model.named_parameters()):
        raise InputError(f"--init {source.folder}: no weight has the name and shape of one of this model.")
    model.load_state_dict({**own, **shared})
    say(f"starting from {source.folder}: {len(shared)} of {len(own)} tensors taken")


def _move(model: GenerativeModel, device: torch.device) -> None:
    try:
        model.to(device)
    except TypeError as error:
        if "float64" not in str(error):
            raise
        raise InputError(f"this model keeps float64 numbers, which {device} lacks.", "Use --device cpu.") from None


def _settle(
    model: GenerativeModel,
    data: Any,
    settings: TrainingSettings,
    budget: float | None,
    cap: bool,
    say: Any,
    accelerator: Any,
) -> TrainingSettings:
    """Resolve on rank 0; the other ranks take its numbers."""
    if accelerator.num_processes == 1:
        return settle(model, data.train, data.validation, settings, budget=budget, cap=cap, log=say)
    if settings.threads == "auto":
        settings = settings.model_copy(update={"threads": 1})
        say("threads: 1 a rank")
    numbers = torch.zeros(2, device=accelerator.device)
    if accelerator.is_main_process:
        found = settle(model, data.train, data.validation, settings, budget=budget, cap=cap, log=say)
        numbers = torch.tensor([float(found.steps), float(found.compile)], device=accelerator.device)
    torch.distributed.broadcast(numbers, 0)
    return settings.model_copy(update={"steps": int(numbers[0]), "compile": bool(numbers[1])})


def _extend(config: Config, store: Checkpoints, more: int, say: Any) -> tuple[TrainingSettings, Config]:
    """`--resume --steps MORE`: that many more rounds than the newest checkpoint has."""
    loaded = store.load()
    done = 0 if loaded is None else loaded[1]["cursor"]["round"]
    config = with_training(config, steps=done + more)
    say(f"training for {more:,} more steps, to {config.training.steps:,}")
    return config.training, config


def _use_average(engine: Engine) -> None:
    """After an interruption: the averaged weights, as at the end of a stage (the checkpoint has the raw ones)."""
    with torch.no_grad():
        for name, parameter in engine.average.parameters.items():
            parameter.copy_(engine.average.tensors[name])
    engine.model.eval()


def _preview(engine: Engine, folder: Path, say: Callable[[str], None]) -> None:
    """A picture (or a file of texts) of samples under `samples/`; a stage whose model cannot sample yet has none."""
    from ..data import write_samples
    from ..data.write import natural_suffix

    model = engine.model
    if not isinstance(model.space, Space) or engine.cursor.stage + 1 < len(engine.stages):
        return
    text = natural_suffix(model.space) == ".txt"
    count = 36 if text or len(model.space.shape) == 3 else 1000
    with evaluating(model), engine.average.swapped():
        samples = model.sample(count, seed=0, **model.preview)
    path = folder / "samples" / f"step_{engine.step:08d}{'.txt' if text else '.png'}"
    with explained(path):
        path.parent.mkdir(exist_ok=True)
        write_samples(path, samples.cpu(), model.space)


@contextmanager
def _signals(engine: Engine, say: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop at the end of the round and save; a second Ctrl-C stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if engine.stop.is_set():
            raise KeyboardInterrupt
        engine.stop.set()
        say("stopping after this step and saving (once more to stop at once)")

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for s, old in before.items():
            signal.signal(s, old)


def _say(show: bool) -> Callable[[str], None]:
    return Progress(show=show).log


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _device_room(device: torch.device) -> int:
    """Bytes of a device that data may take: a quarter of what is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 4
    return 2 << 30


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in text for words in ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    )
