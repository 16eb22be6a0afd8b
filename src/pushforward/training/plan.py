"""Before a fit: which model, which settings, and what it will cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ..config import TrainingSettings, merge, validate
from ..errors import InputError
from ..model import GenerativeModel
from ..registry import Config, build_from, resolve, suggest
from .resolve import Cost, choose_device, measure, parse_duration, settle, threads
from .run import Run


@dataclass
class Plan:
    """What `--dry-run` tells: nothing is written."""

    model: str
    data: dict[str, Any]
    parameters: int
    networks: dict[str, int]
    batch_size: int
    steps: int
    memory_bytes: int
    seconds: float
    step_seconds: float
    device: str
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose_model(data: Any) -> tuple[str, str]:
    """A first model for the data, and why."""
    return suggest(data.space, len(data.train))


def dry_run(
    model: str | None,
    data: Any,
    *,
    condition: Any = None,
    steps: int | None = None,
    epochs: float | None = None,
    budget: str | None = None,
    settings: Mapping[str, Any] | None = None,
    networks: Mapping[str, nn.Module] | None = None,
    **training: Any,
) -> Plan:
    """Shapes, parameters, memory and time of a fit, from a short trial; writes nothing."""
    data = as_data(data, condition)
    if model is None:
        model, _ = choose_model(data)
    over = merge(settings or {}, {"training": {k: v for k, v in {**training, "steps": steps}.items() if v is not None}})
    config = resolve(model, over, data.space)
    if epochs is not None:
        config = with_training(config, steps=epochs_to_steps(epochs, data, config.training))
    built = build_for(model, config, data, networks, None).to(choose_device(config.training.device))
    settled = settle(
        built, data.train, data.validation, config.training, budget=parse_duration(budget) if budget else None
    )
    closed = all(s.rounds == 0 for s in built.stages())
    with threads(settled.threads):
        cost = Cost(0, [], 0, 0, 0) if closed else measure(built, data.train, data.validation, settled)
    parameters = sum(p.numel() for p in built.parameters())
    # Weights, gradients, two Adam moments, the average and the best weights; what the backward pass keeps; data.
    memory = 4 * parameters * 6 + cost.activation_bytes + data.train.bytes
    return Plan(
        model,
        data.describe(),
        parameters,
        {
            n: sum(p.numel() for p in m.parameters())
            for n, m in _core(built).named_children()
            if any(True for _ in m.parameters())
        },
        min(settled.batch_size, len(data.train)),
        0 if closed else settled.steps,
        memory,
        cost.total(settled.steps, settled.validations),
        cost.user_seconds,
        str(built.device),
        config.to_dict(),
    )


def as_data(data: Any, condition: Any = None) -> Any:
    """A `Data`, loaded if it is not one yet."""
    from ..data import Data, load

    if isinstance(data, Data):
        if condition is not None:
            raise InputError(
                "condition goes to pf.load when the data is already loaded.", "pf.load(source, condition=...)"
            )
        return data
    return load(data, condition=condition)


def build_for(
    model: Any, config: Config, data: Any, networks: Mapping[str, nn.Module] | None, run: Run | None
) -> GenerativeModel:
    if isinstance(model, GenerativeModel):
        if model.space != data.space or model.condition_space != data.condition_space:
            raise InputError(f"the model is for {model.space.describe()}, the data is {data.space.describe()}.")
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        if run is not None:
            return run.untrained()
        return build_from(config, data.space, data.condition_space, networks)


def training_with(base: TrainingSettings, over: Mapping[str, Any]) -> TrainingSettings:
    return validate(TrainingSettings, merge(base.model_dump(), over), "training")


def with_training(config: Config, **training: Any) -> Config:
    return Config(config.model, config.settings, training_with(config.training, training))


def epochs_to_steps(epochs: float, data: Any, settings: TrainingSettings) -> int:
    if epochs <= 0:
        raise InputError(f"--epochs {epochs} is not positive.")
    return max(1, math.ceil(epochs * len(data.train) / min(settings.batch_size, len(data.train))))


def _core(model: GenerativeModel) -> nn.Module:
    core = getattr(model, "core", model)
    assert isinstance(core, nn.Module)
    return core
