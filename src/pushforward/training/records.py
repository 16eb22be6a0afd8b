"""The small things that the engine passes around."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from ..game import Player


@dataclass
class Cursor:
    """Where training is. `draw` counts minibatches of the stage, `started` says its start has run, `seen` counts the
    samples that the running average has seen (over several stages, where they continue it), `step` all rounds of all
    stages."""

    stage: int = 0
    round: int = 0
    draw: int = 0
    started: bool = False
    seen: int = 0
    step: int = 0


@dataclass
class Seat:
    """A player at the table: its wrapped self, its optimizer, the parameters it updates."""

    player: Player
    door: nn.Module
    optimizer: torch.optim.Optimizer | None
    owned: list[nn.Parameter]
    rates: list[float] = field(default_factory=list)
    bad: int = 0  # non-finite steps in a row


@dataclass
class Record:
    """One line of the metrics: mean losses since the last one, and a held-out value where it was measured."""

    stage: str
    round: int
    rounds: int
    step: int
    losses: dict[str, float]
    validation: float | None = None
    seconds: float = 0.0


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and saved its state first."""
