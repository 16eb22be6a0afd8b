"""The engine against the closed form, and its promises: exact resume, skipped steps, best weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pushforward.config import TrainingSettings
from pushforward.dataset import Dataset
from pushforward.errors import TrainingFailed
from pushforward.spaces import Real
from pushforward.training import Engine, Interrupted
from pushforward.training.checkpoint import Checkpoints

from .tiny import Affine, affine, normal_data


def settings(**changes: Any) -> TrainingSettings:
    return TrainingSettings(**{"steps": 40, "batch_size": 64, "threads": 1, **changes})


def everything(engine: Engine) -> dict[str, Any]:
    state = engine.state()
    return {k: state[k] for k in ("model", "average", "best", "optimizers", "cursor", "history")}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return bool(a == b)


def test_reaches_the_maximum_likelihood_fit() -> None:
    data = normal_data()
    model = affine(schedule="cosine")
    Engine(model, data, settings(steps=1500, batch_size=512, half_life=0)).play()
    torch.testing.assert_close(model.m.detach(), data.x.mean(0), atol=2e-3, rtol=0)
    torch.testing.assert_close(model.s.detach().exp(), data.x.std(0, unbiased=False), atol=2e-3, rtol=0)


@pytest.mark.parametrize("k", [1, 7, 39])
def test_resume_is_exact(tmp_path: Path, k: int) -> None:
    data, held_out = normal_data(), normal_data(seed=1)
    whole = Engine(affine(), data, settings(), validation=held_out, checkpoints=Checkpoints(tmp_path / "a"))
    whole.play()
    part = Engine(affine(), data, settings(), validation=held_out, checkpoints=Checkpoints(tmp_path / "b"))
    part.play(stop_after=k)
    torch.manual_seed(1234)  # the default generator must not matter
    rest = Engine(affine(), data, settings(), validation=held_out, checkpoints=Checkpoints(tmp_path / "b"))
    rest.play()
    assert same(everything(whole), everything(rest))
    assert same(dict(whole.model.state_dict()), dict(rest.model.state_dict()))


def test_a_finished_run_trains_further_from_its_raw_weights(tmp_path: Path) -> None:
    data = normal_data()
    long = Engine(affine(), data, settings(steps=60), checkpoints=Checkpoints(tmp_path / "a"))
    long.play()
    short = Engine(affine(), data, settings(steps=40), checkpoints=Checkpoints(tmp_path / "b"))
    short.play()
    more = Engine(affine(), data, settings(steps=60), checkpoints=Checkpoints(tmp_path / "b"))
    more.play()
    # The schedule is constant here, so 40 + 20 steps are 60 steps.
    assert same(dict(long.model.state_dict()), dict(more.model.state_dict()))


def test_the_default_generator_is_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.randn(3)
    torch.manual_seed(7)
    Engine(affine(), normal_data(), settings(steps=3)).play()
    assert torch.equal(torch.randn(3), expected)


def test_best_weights_are_those_of_the_lowest_held_out_loss() -> None:
    # The mean travels from 0 to the data's 3 and passes the held-out data's 1 on the way.
    held_out = Dataset(normal_data(seed=1).x - 2.0, space=Real((2,)))
    engine = Engine(affine(), normal_data(), settings(steps=100, half_life=0), validation=held_out)
    engine.play()
    values = [h["validation"] for h in engine.history]
    assert min(values) < values[-1] - 0.05
    assert -engine.model.log_prob(held_out.x).mean() == pytest.approx(min(values), abs=1e-5)
    last = Engine(affine(), normal_data(), settings(steps=100, half_life=0, select="last"), validation=held_out)
    last.play()
    assert -last.model.log_prob(held_out.x).mean() == pytest.approx(values[-1], abs=1e-5)


class Faulty(Affine):
    """Non-finite loss at the rounds in `bad` (by count of turns)."""

    bad: tuple[int, ...] = ()
    turn = 0

    def loss(self, batch: Any) -> Any:
        self.turn += 1
        losses = super().loss(batch)
        factor = float("nan") if self.turn in self.bad else 1.0
        return {"nll": losses["nll"] * factor}


def faulty(bad: tuple[int, ...]) -> Faulty:
    tiny = affine()
    model = Faulty(tiny.settings, tiny.space)
    model.bad = bad
    return model


def test_a_non_finite_step_is_skipped_and_counted() -> None:
    lines: list[str] = []
    model = faulty((3, 9))
    engine = Engine(model, normal_data(), settings(steps=20), log=lines.append)
    engine.play()
    assert engine.skipped == 2
    assert all(bool(torch.isfinite(v).all()) for v in model.state_dict().values())
    assert "nll not finite" in lines[0] and "learning rate" in lines[0]


def test_several_non_finite_steps_stop_with_the_cause_and_the_last_good_state(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    engine = Engine(faulty(tuple(range(10, 40))), normal_data(), settings(bad_steps=3), checkpoints=store)
    with pytest.raises(TrainingFailed, match=r"3 non-finite steps.*player 'flow', nll.*learning rate 0.05, data rows"):
        engine.play()
    loaded = store.load()
    assert loaded is not None
    assert all(bool(torch.isfinite(v).all()) for v in loaded[1]["model"].values())


def test_gradients_that_are_not_finite_are_caught_too() -> None:
    class Rooted(Affine):
        def loss(self, batch: Any) -> Any:  # finite value 0, infinite slope
            return {"root": (self.m - self.m.detach()).abs().sqrt().sum() + 0 * self.s.sum()}

    tiny = affine()
    with pytest.raises(TrainingFailed, match="its gradient not finite"):
        Engine(Rooted(tiny.settings, tiny.space), normal_data(), settings()).play()


def test_asked_to_stop_it_saves_and_the_rest_is_the_same(tmp_path: Path) -> None:
    data = normal_data()
    whole = Engine(affine(), data, settings())
    whole.play()

    def stop_at_13(engine: Engine) -> None:
        if engine.cursor.round == 13:
            engine.stop.set()

    first = Engine(affine(), data, settings(), checkpoints=Checkpoints(tmp_path), on_round=stop_at_13)
    with pytest.raises(Interrupted):
        first.play()
    rest = Engine(affine(), data, settings(), checkpoints=Checkpoints(tmp_path))
    rest.play()
    assert same(dict(whole.model.state_dict()), dict(rest.model.state_dict()))


def test_two_owners_of_one_parameter_are_refused() -> None:
    class Greedy(Affine):
        def players(self) -> Any:
            return [*super().players(), *super().players()]

    tiny = affine()
    with pytest.raises(ValueError, match="two owners"):
        Engine(Greedy(tiny.settings, tiny.space), normal_data(), settings()).play()


def test_records_average_the_losses_since_the_last() -> None:
    records = []
    engine = Engine(affine(), normal_data(), settings(steps=10), on_record=records.append)
    engine.play()
    assert [r.round for r in records] == list(range(1, 11))
    assert all(set(r.losses) == {"nll"} for r in records)
    assert records[0].losses["nll"] > records[-1].losses["nll"]


def test_one_player_of_a_game_that_stays_non_finite_stops_it() -> None:
    """The other player's good turns must not hide it."""
    from pushforward.registry import build

    gan = build("gan", Real((2,)), overrides={"network": {"width": 8, "depth": 1}})
    core = gan.core
    good = core.discriminator_loss
    core.discriminator_loss = lambda batch: {k: v * float("nan") for k, v in good(batch).items()}
    with pytest.raises(TrainingFailed, match="player 'discriminator'"):
        Engine(gan, normal_data(), settings(bad_steps=3)).play()


def test_initial_weights_are_saved_so_a_run_killed_at_once_resumes_the_same(tmp_path: Path) -> None:
    def start() -> Affine:
        model = affine()
        with torch.no_grad():
            model.m.fill_(1.5)  # weights that no seed gives
        return model

    whole = Engine(start(), normal_data(), settings())
    whole.play()

    class Killed(BaseException):
        pass

    def kill(engine: Engine) -> None:
        raise Killed

    first = Engine(start(), normal_data(), settings(), checkpoints=Checkpoints(tmp_path), on_round=kill)
    with pytest.raises(Killed):
        first.play()
    rest = Engine(affine(), normal_data(), settings(), checkpoints=Checkpoints(tmp_path))
    rest.play()
    assert same(dict(whole.model.state_dict()), dict(rest.model.state_dict()))


def test_without_an_intact_checkpoint_nothing_is_trained_again(tmp_path: Path) -> None:
    from pushforward.errors import InputError

    store = Checkpoints(tmp_path, keep=1)
    Engine(affine(), normal_data(), settings(), checkpoints=store).play()
    weights = tmp_path / store.names()[0] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"no checkpoint .* is intact"):
        Engine(affine(), normal_data(), settings(), checkpoints=store).play()


def test_an_intact_checkpoint_is_not_written_again(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    Engine(affine(), normal_data(), settings(), checkpoints=store).play()
    newest = tmp_path / store.names()[0] / "manifest.json"
    before = newest.stat().st_mtime_ns
    Engine(affine(), normal_data(), settings(), checkpoints=store).play()
    assert newest.stat().st_mtime_ns == before
