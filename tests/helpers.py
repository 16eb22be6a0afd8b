"""Shared by tests: a plain training loop, and spaces to try things on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pushforward.dataset import Dataset, batch_rows, rows
from pushforward.game import Batch
from pushforward.model import GenerativeModel
from pushforward.noise import BatchNoise, Noise
from pushforward.spaces import Space


def dataset(x: Tensor, space: Space, condition: Tensor | None = None, condition_space: Space | None = None) -> Dataset:
    return Dataset(x, condition, space=space, condition_space=condition_space)


def train(
    model: GenerativeModel,
    x: Tensor,
    condition: Tensor | None = None,
    *,
    steps: int = 200,
    batch_size: int = 128,
    lr: float | None = None,
    seed: int = 0,
    decay: bool = True,
) -> dict[str, float]:
    """Play the model's only stage with Adam in a plain loop (no engine). Returns the last losses."""
    data = Dataset(x, condition, space=model.space, condition_space=model.condition_space)
    everything = torch.arange(len(x))
    model.remember_conditions(data)
    model.start(data, Noise.of(seed, 7, index=everything))
    players = list(model.players())
    optimizers: list[Any] = []
    for player in players:
        o = player.optimizer
        assert o is not None
        optimizers.append(torch.optim.Adam(player.parameters(), lr or o.learning_rate, betas=o.betas))
    rates = [o.param_groups[0]["lr"] for o in optimizers]
    last: dict[str, float] = {}
    draw = 0
    model.train()
    for step in range(steps):
        for player, optimizer, rate in zip(players, optimizers, rates):
            if decay:
                optimizer.param_groups[0]["lr"] = rate * max(0.02, 1 - step / steps)
            for _ in range(player.turns):
                index = batch_rows(len(x), min(batch_size, len(x)), draw, seed)
                noise = BatchNoise(seed * 1_000_003 + draw, 0, len(index), len(index))
                batch = Batch(rows(x, index), rows(condition, index), index, noise, torch.tensor((step + 1) / steps))
                draw += 1
                if player.prepare:
                    batch = player.prepare(batch)
                losses = player(batch)
                optimizer.zero_grad()
                total = sum(v for k, v in losses.items() if not k.startswith("_"))
                total.backward(inputs=list(player.parameters()))  # type: ignore[union-attr]
                optimizer.step()
                if player.after:
                    with torch.no_grad():
                        player.after()
                last.update({k: float(v.detach()) for k, v in losses.items()})
    model.eval()
    return last
