"""Optimizers, averages, verdicts, durations: the small parts against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pushforward.config import OptimizerSettings, TrainingSettings
from pushforward.errors import InputError
from pushforward.training.average import Average
from pushforward.training.optimizers import make_optimizer, rate
from pushforward.training.resolve import Cost, measure, parse_duration, settle, threads
from pushforward.training.verdict import judge

from .tiny import affine, normal_data


def test_adam_takes_the_wgan_gp_betas_as_integers() -> None:
    s = OptimizerSettings(betas=(0, 0.9))
    optimizer = make_optimizer(s, [nn.Parameter(torch.zeros(2))])
    assert optimizer.param_groups[0]["betas"] == (0.0, 0.9)


def test_learning_rate_schedules() -> None:
    constant = OptimizerSettings(warmup=4)
    assert [rate(constant, k, 10) for k in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = OptimizerSettings(schedule="cosine")
    assert rate(cosine, 0, 100) == 1.0
    assert rate(cosine, 50, 100) == pytest.approx(0.5)
    assert rate(cosine, 99, 100) == pytest.approx(0.5 * (1 - math.cos(math.pi * 0.01)))
    linear = OptimizerSettings(schedule="linear", warmup=10)
    assert rate(linear, 55, 100) == pytest.approx(0.5)


def test_the_average_forgets_half_in_a_half_life_of_samples() -> None:
    for batch in (10, 50):  # the same in samples, whatever the batch
        p = nn.Parameter(torch.zeros(1))
        average = Average([("p", p)], half_life=1000, ramp=1e9)
        with torch.no_grad():
            p.fill_(1.0)
        for k in range(1000 // batch):
            average.update({id(p)}, batch, (k + 1) * batch)
        assert float(average.tensors["p"]) == pytest.approx(0.5, abs=1e-5)
        with average.swapped():
            assert float(p.detach()) == pytest.approx(0.5, abs=1e-5)
        assert float(p.detach()) == 1.0


def test_the_ramp_forgets_the_random_start() -> None:
    p = nn.Parameter(torch.zeros(1))
    average = Average([("p", p)], half_life=10_000, ramp=0.1)
    with torch.no_grad():
        p.fill_(1.0)
    for k in range(20):
        average.update({id(p)}, 64, (k + 1) * 64)
    assert float(average.tensors["p"]) > 0.99


def history(values: list[float], train: list[float] | None = None) -> list[dict[str, float]]:
    train = train or values
    return [{"round": 10.0 * i, "validation": v, "train": t} for i, (v, t) in enumerate(zip(values, train))]


def test_verdicts() -> None:
    falling = [10 - 0.4 * i for i in range(20)]
    settled = [1 + 5 * 0.5**i for i in range(20)]
    u_shaped = [1 + 0.02 * (i - 8) ** 2 for i in range(20)]
    assert judge(history(falling), trained=True).word == "still improving"
    assert judge(history(settled), trained=True).word == "converged"
    assert judge(history(u_shaped, falling), trained=True).word == "overfitting"
    assert judge(history([1, 2, 5, 9, 30.0]), trained=True).word == "diverged"
    assert judge(history([3, 2, 1, math.nan]), trained=True).word == "diverged"
    assert judge([], trained=True).word == "unknown"
    assert judge([], trained=False).word == "converged"


def test_durations() -> None:
    assert parse_duration("3m") == 180
    assert parse_duration("1h30m") == 5400
    assert parse_duration("45s") == parse_duration("45") == 45
    for bad in ("", "3 days", "0", "m", "-3m"):
        with pytest.raises(InputError, match="--budget"):
            parse_duration(bad)


def test_a_budget_becomes_steps() -> None:
    cost = Cost(2.0, [(100, 0.01)], 0.005, 0.1, 0)
    steps = cost.steps(60.0, 20)
    assert cost.total(steps, 20) <= 0.95 * 60.0 < cost.total(steps + 1, 20)


def test_measuring_leaves_the_model_alone() -> None:
    model = affine()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    data = normal_data()
    torch.manual_seed(5)
    expected = torch.randn(2)
    torch.manual_seed(5)
    base = TrainingSettings(batch_size=64, threads="auto")
    cost = measure(model, data, data, base, seconds=0.05)
    settled = settle(model, data, data, base, budget=2.0)
    assert torch.equal(torch.randn(2), expected)
    assert cost.user_seconds > 0 and cost.activation_bytes > 64 * 2 * 4
    assert isinstance(settled.threads, int) and settled.steps > 10
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
