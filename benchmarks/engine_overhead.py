"""What the engine costs over a hand-written loop, for the same model, batch, optimizer, clipping and average."""

from __future__ import annotations

import torch
from common import arguments, interleaved, report

from pushforward.config import TrainingSettings
from pushforward.dataset import Dataset
from pushforward.game import Batch, sum_losses
from pushforward.noise import BatchNoise
from pushforward.registry import build
from pushforward.spaces import Real
from pushforward.training import Engine


def compare(name: str, model_name: str, width: int, batch: int, steps: int, repeats: int) -> dict[str, object]:
    """Milliseconds a step of both, for one model."""
    x = torch.randn(20_000, 2)
    space = Real((2,))
    model = build(model_name, space, overrides={"network": {"width": width}})
    model.initialize(x)
    data = model.map_data(Dataset(x, space=space))
    core = model.core
    (player,) = core.players()
    optimizer = torch.optim.Adam(player.parameters(), 1e-4)
    clip = player.optimizer.clip
    average = [p.detach().clone() for p in player.parameters()]
    cached = data.gather(torch.arange(len(x)), BatchNoise(0, 0, len(x), len(x)))[0]

    def loop() -> None:
        core.train()
        for _ in range(steps):
            index = torch.randint(len(x), (batch,))
            seen = Batch(cached[index], None, index, BatchNoise(1, 0, batch, batch))
            loss = sum_losses(player(seen))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(player.parameters(), clip)
            optimizer.step()
            torch._foreach_lerp_(average, [p.detach() for p in player.parameters()], 0.01)

    settings = TrainingSettings(steps=10**9, batch_size=batch, threads=1)
    engine = Engine(core, Dataset(cached, space=space), settings)
    engine.stages = list(core.stages())
    stage = engine.stages[0]
    engine.seats = [engine._seat(p) for p in stage.players()]
    seen = stage.data(engine.data)

    def play() -> None:
        for _ in range(steps):
            engine._round(0, stage, seen, 10**9)
            engine._maybe_save()

    loop()
    play()
    times = interleaved({"loop": loop, "engine": play}, repeats)
    per = {k: 1e3 * v / steps for k, v in times.items()}
    return {
        f"{name}: hand-written loop, ms a step": per["loop"],
        f"{name}: engine, ms a step": per["engine"],
        f"{name}: overhead, %": 100 * (per["engine"] / per["loop"] - 1),
    }


def main() -> None:
    args = arguments(steps={"type": int, "default": 60}, repeats={"type": int, "default": 9})
    torch.set_num_threads(1)
    rows = compare("small", "real-nvp", 64, 128, args.steps, args.repeats)
    rows |= compare("ten milliseconds", "flow-matching", 256, 512, args.steps, args.repeats)
    report("engine_overhead", rows, args.write)


if __name__ == "__main__":
    main()
