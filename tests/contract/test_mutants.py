"""The suite's checks bite: each planted mistake fails the check that is there for it.

Mistakes that only several ranks show (a loss past the wrapper, a late ActNorm) are in `test_ranks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pushforward.game import Batch, Player, Stage
from pushforward.noise import Noise
from pushforward.training import Engine
from pushforward.training.checkpoint import Checkpoints

from . import probes, probes_discrete, suite
from .cases import PROBES, Case
from .resume import check_resume


def probe(name: str) -> Case:
    return next(c for c in PROBES if c.name == name)


def spoiled(change: Callable[[dict[str, Any]], Any]) -> type[Checkpoints]:
    """Checkpoints that lose something when they are read."""

    class Spoiled(Checkpoints):
        def load(self, rank: int = 0) -> tuple[str, dict[str, Any]] | None:
            loaded = super().load(rank)
            if loaded is not None:
                change(loaded[1])
            return loaded

    return Spoiled


def without_buffers(name: str) -> Callable[[dict[str, Any]], Any]:
    """Buffers as a new model has them (but for the conditions to sample from, which training does not move)."""

    def change(state: dict[str, Any]) -> None:
        buffers = probe(name).build().named_buffers()
        state["model"].update({k: v for k, v in buffers if not k.startswith("conditions.")})

    return change


def raw_average(state: dict[str, Any]) -> None:
    state["average"] = {name: state["model"][name] for name in state["average"]}


LOSSES: list[tuple[str, str, int, Callable[[dict[str, Any]], Any]]] = [
    ("start forgotten", "data-dependent-start", 4, lambda s: s["cursor"].update(started=False)),
    ("draw forgotten", "tokens", 4, lambda s: s["cursor"].update(draw=0)),
    ("round forgotten", "tokens", 4, lambda s: s["cursor"].update(round=0)),
    ("stage forgotten", "cached-codes", 11, lambda s: s["cursor"].update(stage=0, started=False)),
    ("samples of the average forgotten", "growing", 6, lambda s: s["cursor"].update(seen=0)),
    ("optimizers forgotten", "tokens", 4, lambda s: s.update(optimizers=[])),
    ("average forgotten", "tokens", 4, raw_average),
    ("best value forgotten", "cached-codes", 11, lambda s: s["best"].update(value=-1e9, tensors={})),
    ("pool forgotten", "unpaired-pool", 5, without_buffers("unpaired-pool")),
    ("running statistics forgotten", "cached-codes", 5, without_buffers("cached-codes")),
    ("mixture forgotten", "em", 2, without_buffers("em")),
]


@pytest.mark.parametrize("what, name, k, change", LOSSES, ids=[row[0] for row in LOSSES])
def test_a_lost_piece_of_state_breaks_resume(what: str, name: str, k: int, change: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="resumed after"):
        check_resume(probe(name), tmp_path, [k], spoiled(change))


class Coupled(probes_discrete.SphereFlow):
    """A mutant: a sample depends on the others of its batch."""

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        x = super().draw(noise, condition, **options)
        return torch.nn.functional.normalize(x - 0.1 * x.mean(0), dim=1)


def test_a_coupled_sample_is_caught() -> None:
    suite.check_rows_are_independent(probes_discrete.SphereFlow().eval())
    with pytest.raises(AssertionError, match="batch size"):
        suite.check_rows_are_independent(Coupled().eval())


class Greedy(probes.CycleGAN):
    """A mutant: the generators' player owns a critic too."""

    def players(self) -> Sequence[Player]:
        first, *rest = super().players()
        owns = [self.to_b, self.to_a, self.critic_a]
        return [Player(first.name, owns, self.generator_loss, first.optimizer), *rest]


class Idle(probes.CycleGAN):
    """A mutant: nobody trains one of the critics."""

    def players(self) -> Sequence[Player]:
        first, second = super().players()
        return [first, Player(second.name, [self.critic_b, self.pool_a, self.pool_b], self.critic_loss)]


class Detached(probes_discrete.SphereFlow):
    """A mutant: the gradient stops before the last layer."""

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        h = self.net[1](self.net[0](torch.cat([x, t.to(x)], 1))).detach()
        v = self.net[2](h)
        return v - (v * x).sum(1, keepdim=True) * x


class Meddler(probes.CycleGAN):
    """A mutant: the critics' turn moves the generators."""

    def critic_loss(self, batch: Batch) -> Any:
        with torch.no_grad():
            next(self.to_b.parameters()).mul_(0.99)
        return super().critic_loss(batch)


@pytest.mark.parametrize("mutant", [Greedy, Idle])
def test_wrong_ownership_is_caught(mutant: Callable[[], probes.CycleGAN]) -> None:
    suite.check_ownership(probes.CycleGAN())
    with pytest.raises(AssertionError, match=r"two owners|nobody trains"):
        suite.check_ownership(mutant())


def test_two_owners_are_refused_by_the_engine() -> None:
    case = probe("unpaired-pool")
    with pytest.raises(ValueError, match="two owners"):
        Engine(Greedy(), case.data(), case.settings()).play()


@pytest.mark.parametrize("name, mutant, said", [("sphere", Detached, "reached"), ("unpaired-pool", Meddler, "moved")])
def test_wrong_gradients_are_caught(name: str, mutant: Callable[[], Any], said: str) -> None:
    suite.check_gradients(probe(name))
    with pytest.raises(AssertionError, match=said):
        suite.check_gradients(replace(probe(name), make=mutant))


class Unfrozen(probes_discrete.Quantized):
    """A mutant: what the second stage sees depends on torch's default generator."""

    def stages(self) -> Sequence[Stage]:
        def restless(data: Any) -> Any:
            codes = self._encoded(data)
            codes.x = (codes.x + torch.randint(self.codes, codes.x.shape)) % self.codes
            return codes

        first, second = super().stages()
        return [first, replace(second, data=restless)]


def test_a_restless_stage_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="resumed after"):
        check_resume(replace(probe("cached-codes"), make=Unfrozen), tmp_path, [11])
