"""Optimizers from settings. The learning rate is a pure function of the round, so there is no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from ..config import OptimizerSettings


def make_optimizer(settings: OptimizerSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """A torch optimizer. Adam's betas are floats here: torch refuses the pair (0, 0.9) for its mixed types."""
    s = settings
    parameters = list(parameters)
    if s.name in ("adam", "adamw"):
        cls = torch.optim.Adam if s.name == "adam" else torch.optim.AdamW
        betas = (float(s.betas[0]), float(s.betas[1]))
        return cls(parameters, lr=s.learning_rate, betas=betas, eps=s.eps, weight_decay=s.weight_decay)
    if s.name == "rmsprop":
        return torch.optim.RMSprop(
            parameters, lr=s.learning_rate, eps=s.eps, momentum=s.momentum, weight_decay=s.weight_decay
        )
    return torch.optim.SGD(parameters, lr=s.learning_rate, momentum=s.momentum, weight_decay=s.weight_decay)


def rate(settings: OptimizerSettings, done: int, total: int) -> float:
    """The learning rate's factor for the round after `done` of `total`: linear warm-up, then the schedule."""
    if done < settings.warmup:
        return (done + 1) / settings.warmup
    left = max(0.0, 1.0 - (done - settings.warmup) / max(1, total - settings.warmup))
    if settings.schedule == "cosine":
        return 0.5 * (1.0 - math.cos(math.pi * left))
    return left if settings.schedule == "linear" else 1.0
