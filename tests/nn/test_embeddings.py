"""Time is resolved, conditions are told apart, and dropping a condition means the null embedding."""

from __future__ import annotations

import pytest
import torch

from pushforward.errors import InputError
from pushforward.nn import ConditionEmbedding, TimeEmbedding
from pushforward.nn.embeddings import Sinusoids
from pushforward.nn.mlp import VectorField
from pushforward.noise import BatchNoise, Noise
from pushforward.spaces import Classes, Pixels, Real


def _rank(features: torch.Tensor) -> int:
    """Singular values above 1e-3 of the largest."""
    values = torch.linalg.svdvals(features.double())
    return int((values > 1e-3 * values[0]).sum())


def test_sinusoids_of_unit_time_have_high_rank_and_without_scale_they_do_not():
    t = torch.linspace(0, 1, 1000)
    assert _rank(Sinusoids(256)(t)) >= 80
    # The planted mistake: t in [0, 1] fed to frequencies made for 0..1000.
    assert _rank(Sinusoids(256, scale=1.0)(t)) <= 4


def test_neighbouring_times_are_far_apart():
    near = torch.tensor([0.50, 0.51, 0.501])
    a, b, c = Sinusoids(256)(near)
    assert (a - b).norm() > 5
    assert (a - c).norm() > 1  # one step of a thousand
    a, b, _ = VectorField(2, 2, 16, 1).time.sinusoids(near)
    assert (a - b).norm() > 1  # vectors use slower sinusoids; hundredths stay apart
    a, b, _ = Sinusoids(256, scale=1.0)(near)
    assert (a - b).norm() < 0.1


def test_sinusoids_are_their_formula():
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    frequencies = 1000 * 10.0 ** (-4 * torch.arange(32, dtype=torch.float64) / 31)
    expected = torch.cat([(t[:, None] * frequencies).sin(), (t[:, None] * frequencies).cos()], 1)
    torch.testing.assert_close(Sinusoids(64).double()(t), expected, atol=1e-4, rtol=0)


def test_time_embedding_float32_agrees_with_float64():
    t = torch.rand(50)
    module = TimeEmbedding(32)
    single = module(t)
    torch.testing.assert_close(single.double(), module.double()(t.double()), atol=1e-3, rtol=0)


def test_sinusoids_refuse_odd_features():
    with pytest.raises(ValueError, match="even"):
        Sinusoids(5)


def test_class_embedding_is_a_table():
    embedding = ConditionEmbedding(Classes(5), 8)
    out = embedding(torch.tensor([3, 0, 3]), 3)
    assert out.shape == (3, 8)
    torch.testing.assert_close(out[0], out[2], atol=0, rtol=0)
    assert torch.cdist(embedding(torch.arange(5), 5), out[1:2]).argmin() == 0


@pytest.mark.parametrize("shape", [(3,), (1, 4, 5)])
def test_real_condition_any_shape_and_row_by_row(shape):
    embedding = ConditionEmbedding(Real(shape), 8)
    c = torch.randn(6, *shape)
    whole = embedding(c, 6)
    assert whole.shape == (6, 8)
    torch.testing.assert_close(whole, torch.cat([embedding(row[None], 1) for row in c]), atol=1e-6, rtol=0)


def test_no_dropout_has_no_null_embedding():
    embedding = ConditionEmbedding(Classes(5), 8)
    assert embedding.null is None
    with pytest.raises(ValueError, match="no condition"):
        embedding(None, 4)


@pytest.mark.parametrize("space", [Classes(5), Real((2,))])
def test_dropped_rows_are_the_null_embedding_with_the_stated_frequency(space):
    n = 4000
    embedding = ConditionEmbedding(space, 8, dropout=0.2)
    c = torch.randint(5, (n,)) if isinstance(space, Classes) else torch.randn(n, 2)
    null = embedding(None, n)
    assert null.shape == (n, 8)
    out = embedding(c, n, BatchNoise(0, 0, n, n))
    dropped = (out == null).all(1)
    assert abs(float(dropped.float().mean()) - 0.2) < 4 * (0.2 * 0.8 / n) ** 0.5
    full = embedding(c, n)  # no noise: nothing is dropped
    torch.testing.assert_close(out[~dropped], full[~dropped], atol=0, rtol=0)
    assert not (full == null).all(1).any()
    embedding.eval()
    torch.testing.assert_close(embedding(c, n, BatchNoise(0, 0, n, n)), full, atol=0, rtol=0)


def test_dropping_depends_on_the_row_alone():
    embedding = ConditionEmbedding(Classes(3), 4, dropout=0.5)
    c, index = torch.randint(3, (40,)), torch.arange(40)
    whole = embedding(c, 40, Noise.of(0, index=index))
    parts = [embedding(c[i], len(i), Noise.of(0, index=i)) for i in index.split(7)]
    torch.testing.assert_close(whole, torch.cat(parts), atol=0, rtol=0)


def test_a_condition_that_cannot_be_embedded_is_one_clear_error():
    with pytest.raises(InputError, match="class or a real vector"):
        ConditionEmbedding(Pixels(1, 8, 8), 4)
