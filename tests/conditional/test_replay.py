"""Models as functions of standard normals: the same distribution, the same numbers again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.conditional.replay import Base, Replay
from pushforward.spaces import Classes

from .tables import GAUSSIAN, fitted, gaussian_model, gaussian_rows, mixed_model


def normals(n: int, m: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_numbers_come_in_their_order() -> None:
    state = normals(500, 9)
    noise = Replay(state)
    assert torch.equal(noise.normal(2, 2, dtype=torch.float64), state[:, :4].view(500, 2, 2))
    torch.testing.assert_close(noise.uniform(3, dtype=torch.float64), torch.special.ndtr(state[:, 4:7]))
    assert set(noise.signs(1).unique().tolist()) == {-1.0, 1.0}
    part = Replay(state)[torch.tensor([3, 1])]
    assert torch.equal(part.normal(1, dtype=torch.float64), state[[3, 1], :1])
    with pytest.raises(TypeError):
        noise.at(3)


def test_uniform_numbers_are_within_their_ends() -> None:
    noise = Replay(torch.tensor([[-40.0], [40.0]]))
    u = noise.uniform(1)
    assert float(u[0]) > 0 and float(u[1]) < 1


def test_classes_have_their_probabilities() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    found = Replay(normals(20_000, 3)).categorical(logits.expand(20_000, 3))
    np.testing.assert_allclose(np.bincount(found) / 20_000, [0.5, 0.3, 0.2], atol=0.015)


@pytest.mark.parametrize("name", ["gmm", "kde", "real-nvp", "vae", "gan"])
def test_a_model_of_normals_is_the_model(name: str) -> None:
    model = mixed_model(name)
    base = Base(model, None, dict(model.options))
    state = normals(2_000, base.count())
    z, x, condition = base(state)
    assert condition is None
    torch.testing.assert_close(base(state[:3])[1], x[:3], rtol=1e-4, atol=1e-4, equal_nan=True)
    expected = model.sample(2_000, seed=1)
    for j in range(x.shape[1]):
        found, own = (v[:, j].nan_to_num(-100) for v in (x, expected))
        assert stats.ks_2samp(found, own).pvalue > 1e-4, (name, j)
    assert z.shape == (2_000, model.core.space.shape[0])


def test_all_numbers_are_counted() -> None:
    model = gaussian_model()
    base = Base(model, None, {})
    assert base.count() == 1 + 3  # a component and a point
    ddpm = fitted("ddpm", gaussian_rows(50), GAUSSIAN, network={"width": 8, "depth": 1}, timesteps=20)
    assert Base(ddpm, None, {**ddpm.options, "steps": 5}).count() == 3 * 5


def test_conditions_are_part_of_the_state() -> None:
    x = gaussian_rows(600)
    model = fitted("gmm", x, GAUSSIAN, (x[:, 0] > 1).long(), Classes(2), components=1)
    base = Base(model, None, {})
    assert base.count() == 1 + 1 + 3
    _, rows, condition = base(normals(3_000, 5))
    assert float(condition.double().mean()) == pytest.approx(float((x[:, 0] > 1).double().mean()), abs=0.04)
    assert float(rows[condition == 1, 0].mean()) > 1 > float(rows[condition == 0, 0].mean())
    fixed = Base(model, torch.tensor([1]), {})
    assert fixed.count() == 4 and float(fixed(normals(500, 4))[1][:, 0].mean()) > 1
