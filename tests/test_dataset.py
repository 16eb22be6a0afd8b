"""Datasets: every row once an epoch, and views that answer as the data they stand for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pushforward.dataset import Dataset, Unpaired, batch_rows, count, join, onto, rows
from pushforward.noise import BatchNoise, Noise
from pushforward.spaces import Classes, Real


def numbered(n: int, d: int = 2) -> Dataset:
    """Row i is (i, i, ...), its class i mod 3."""
    x = torch.arange(float(n))[:, None].expand(n, d).contiguous()
    return Dataset(x, torch.arange(n) % 3, space=Real((d,)), condition_space=Classes(3))


def noise(index: Tensor, seed: int = 0) -> Noise:
    return Noise.of(seed, index=index)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 40), size=st.integers(1, 90), epochs=st.integers(1, 4), seed=st.integers(0, 2**63 - 1))
def test_every_epoch_visits_every_row_once(n: int, size: int, epochs: int, seed: int) -> None:
    draws = -(-epochs * n // size)
    drawn = [batch_rows(n, size, draw, seed) for draw in range(draws)]
    assert all(len(rows_) == size for rows_ in drawn)
    visited = torch.cat(drawn)
    for epoch in range(epochs):
        assert sorted(visited[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


def test_batches_are_a_pure_function_and_epochs_are_shuffled_anew() -> None:
    first = [batch_rows(50, 50, draw, 3) for draw in range(3)]
    torch.manual_seed(9)
    again = [batch_rows(50, 50, draw, 3) for draw in reversed(range(3))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], batch_rows(50, 50, 0, 4))


def test_the_first_row_is_uniform() -> None:
    n, trials = 5, 2000
    counts = torch.bincount(torch.cat([batch_rows(n, 1, 0, seed) for seed in range(trials)]), minlength=n)
    assert float((counts - trials / n).abs().max()) < 5 * (trials / n * (1 - 1 / n)) ** 0.5


def test_gather_and_subset() -> None:
    data = numbered(10)
    index = torch.tensor([7, 0, 7])
    x, c = data.gather(index, noise(index))
    assert x[:, 0].tolist() == [7, 0, 7] and c is not None and c.tolist() == [1, 0, 1]
    part = data.subset(torch.tensor([9, 3]))
    assert len(part) == 2 and part.space == data.space and part.condition_space == data.condition_space
    assert part.all()[0][:, 0].tolist() == [9, 3] and part.all()[1].tolist() == [0, 0]
    assert len(data.all(limit=4)[0]) == 4 and len(data.all()[0]) == 10
    assert data.bytes == 10 * (2 * 4 + 8)


def test_mapped_draws_its_noise_anew_and_cached_keeps_it() -> None:
    mapped = numbered(600).map(lambda x, c, noise: (x + noise.uniform(2), c), Real((2,)), Classes(3))
    index = torch.arange(5)
    a, b = (mapped.gather(index, noise(index, seed))[0] for seed in (0, 1))
    assert not torch.equal(a, b) and torch.equal(a.floor(), b.floor())
    assert torch.equal(mapped.gather(index, noise(index))[0], a)
    cached, again = mapped.cached(), mapped.cached(batch_size=7)  # type: ignore[attr-defined]
    assert type(cached) is Dataset and len(cached) == 600 and cached.condition_space == Classes(3)
    assert torch.equal(cached.x, again.x), "the cache depends on its batch size"
    assert torch.equal(cached.gather(index, noise(index, 5))[0], cached.gather(index, noise(index, 6))[0])
    assert torch.equal(cached.x.floor(), numbered(600).x)


def test_a_map_is_lazy_and_without_gradients() -> None:
    weight = torch.ones(2, requires_grad=True)
    mapped = numbered(4).map(lambda x, c, noise: (x * weight, c), Real((2,)))
    with torch.no_grad():
        weight.mul_(3)
    x, _ = mapped.gather(torch.arange(4), noise(torch.arange(4)))
    assert not x.requires_grad and x[:, 0].tolist() == [0, 3, 6, 9]


def test_a_subset_of_a_map_is_the_map_of_the_subset() -> None:
    mapped = numbered(10).map(lambda x, c, noise: (10 * x, c), Real((2,)))
    index = torch.tensor([8, 2])
    assert mapped.subset(index).all()[0][:, 0].tolist() == [80, 20]


def test_unpaired_rows_are_uniform_and_new_at_each_visit() -> None:
    other = Dataset(100 + torch.arange(7.0)[:, None], space=Real((1,)))
    data = Unpaired(numbered(700), other)
    assert len(data) == 700 and data.condition_space == Real((1,))
    index = torch.arange(700)
    x, y = data.gather(index, noise(index))
    assert torch.equal(x, numbered(700).x)
    counts = torch.bincount((y[:, 0] - 100).long(), minlength=7)
    assert len(counts) == 7 and float((counts - 100).abs().max()) < 5 * 100**0.5
    assert not torch.equal(data.gather(index, noise(index, 1))[1], y)
    part = data.subset(torch.tensor([5]))
    assert len(part) == 1 and part.all()[0][0, 0] == 5


def test_unpaired_rows_do_not_depend_on_the_ranks() -> None:
    data = Unpaired(numbered(20), Dataset(torch.arange(7.0)[:, None], space=Real((1,))))
    index = torch.arange(12)
    whole = data.gather(index, BatchNoise(3, 0, 12, 12))[1]
    parts = [data.gather(index[lo:hi], BatchNoise(3, lo, hi, 12))[1] for lo, hi in ((0, 4), (4, 12))]
    assert torch.equal(whole, torch.cat(parts))


def test_trees_of_tensors() -> None:
    tree = {"a": torch.arange(6), "b": (torch.arange(12).view(6, 2), torch.ones(6))}
    assert count(tree) == 6
    parts = [rows(tree, slice(0, 2)), rows(tree, torch.arange(2, 6))]
    joined = join(parts)
    assert torch.equal(joined["a"], tree["a"]) and torch.equal(joined["b"][0], tree["b"][0])
    assert rows(None, slice(0, 2)) is None and join([None, None]) is None
    assert onto(tree, torch.device("cpu"))["a"] is tree["a"]


@pytest.mark.parametrize("data", [numbered(3), numbered(3).map(lambda x, c, n: (x, c), Real((2,)))])
def test_to_keeps_the_rows(data: Dataset) -> None:
    moved = data.to("cpu")
    assert len(moved) == 3 and torch.equal(moved.all()[0], data.all()[0])
