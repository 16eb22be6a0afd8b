"""Training as a game: players, rounds, stages. What a family says; the engine in `training` plays it.

A VAE is a game of one player; a GAN is a game of two; CycleGAN two players with four networks; EM a player without
an optimizer. A stage is one game played to its end: a VQ-VAE then its prior are two stages, progressive growing is
one a resolution, a closed-form fit (KDE, PCA, preprocessing statistics) a stage with a `start` and no players.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from .config import OptimizerSettings
from .dataset import Dataset, count
from .noise import BatchNoise, Noise


@dataclass(frozen=True)
class Batch:
    """What a player's loss sees.

    Attributes:
        x: tensor or pytree of (n, ...); None when there is no data (variational inference).
        condition: tensor or pytree of (n, ...); None when unconditional.
        index: (n,) rows of the dataset: free codes, sample weights, error messages.
        noise: the batch's random numbers. Losses draw from it and from nothing else.
        progress: 0-dim in (0, 1], how much of the stage is done: warm-ups, fade-in, annealing.
    """

    x: Any
    condition: Any
    index: Tensor
    noise: Noise
    progress: Tensor = field(default_factory=lambda: torch.ones(()))

    def __len__(self) -> int:
        return len(self.index)

    def replace(self, **changes: Any) -> Batch:
        return replace(self, **changes)

    @staticmethod
    def of(x: Any, condition: Any = None, *, seed: int | None = None) -> Batch:
        """A batch for your own training loop: fresh noise each time, or the noise of `seed`."""
        n = count(x)
        seed = int(torch.randint(2**62, ())) if seed is None else seed
        device = x.device if isinstance(x, Tensor) else "cpu"
        return Batch(x, condition, torch.arange(n, device=device), BatchNoise(seed, 0, n, n, device))


Loss = Callable[[Batch], Mapping[str, Tensor]]


class Player(nn.Module):
    """One optimizer's worth of a game.

    It registers exactly what it updates in this stage (`owns`), and only refers to everything else through `loss`,
    a bound method of the model, which is not registered. The engine wraps players (for several ranks, precision,
    compilation) and calls them through `forward`: a loss called past the wrapper would leave ranks different.

    Args:
        name: shown in logs: "critic", "generator", "flow".
        owns: the modules and parameters that this player updates, disjoint from every other player's.
        loss: a bound method `Batch -> {name: 0-dim loss}`; what is minimized is the sum. Names starting with "_"
            are only reported.
        optimizer: its settings; None runs the loss without gradients and lets it update its own buffers (EM).
        turns: updates a round.
        same_batch: see the previous player's batch instead of drawing one.
        prepare: `Batch -> Batch` before the wrapper: transport plans, anything outside torch.
        after: called without gradients after each update: clipping, projections, moving codebooks.
        compilable: False for losses that differentiate twice (gradient penalties).
        couples_batch: the loss of a row depends on the other rows (BatchNorm, transport plans, pools), so that
            results depend on how a batch is shared among ranks.
    """

    def __init__(
        self,
        name: str,
        owns: Sequence[nn.Module | nn.Parameter],
        loss: Loss,
        optimizer: OptimizerSettings | None = OptimizerSettings(),  # noqa: B008 (frozen)
        *,
        turns: int = 1,
        same_batch: bool = False,
        prepare: Callable[[Batch], Batch] | None = None,
        after: Callable[[], None] | None = None,
        compilable: bool = True,
        couples_batch: bool = False,
    ):
        super().__init__()
        self.name, self.loss, self.optimizer, self.turns = name, loss, optimizer, turns
        self.same_batch, self.prepare, self.after = same_batch, prepare, after
        self.compilable, self.couples_batch = compilable, couples_batch
        self.owned_modules = nn.ModuleList(m for m in owns if isinstance(m, nn.Module))
        self.owned_parameters = nn.ParameterList(p for p in owns if isinstance(p, nn.Parameter))

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        return self.loss(batch)


def _no_players() -> Sequence[Player]:
    return ()


def _same(dataset: Dataset) -> Dataset:
    return dataset


@dataclass
class Stage:
    """One game played to its end. When it ends, averages become the weights of what no later stage trains.

    Attributes:
        name: shown in logs.
        players: called on entry; a new list each time, so optimizers and wrappers are new.
        rounds: how many; None: the user's `--steps`; 0 when there are no players.
        data: what this stage sees of the dataset: codes, a lower resolution, preprocessed values.
        start: `(dataset | None, Noise)`, once, before wrapping, never on resume: data-dependent initialization,
            closed-form fits. The noise has one entry a row of the dataset.
        enter: always on entry, also on resume: activate parts, set a level.
        batch_size: None: the user's; -1: all the data at once, on every rank.
        continues: go on with the average of the stage before, instead of starting it at the current weights.
        validate: a held-out loss `Batch -> {name: 0-dim}`; the sum (without "_" names) selects the best weights.
    """

    name: str
    players: Callable[[], Sequence[Player]] = _no_players
    rounds: int | None = 0
    data: Callable[[Dataset], Dataset] = _same
    start: Callable[[Dataset | None, Noise], None] | None = None
    enter: Callable[[], None] | None = None
    batch_size: int | None = None
    continues: bool = False
    validate: Loss | None = None


def sum_losses(losses: Mapping[str, Tensor]) -> Tensor:
    """What is minimized: the sum of the losses whose name does not start with an underscore."""
    parts: Sequence[Tensor] = [v for k, v in losses.items() if not k.startswith("_")]
    if not parts:
        raise ValueError("a player's loss gave no terms")
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
