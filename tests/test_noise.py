"""Noise: pure functions of a seed, the right distributions, independence of everything that should be independent."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from pushforward.noise import BatchNoise, Noise, mix_seed

N = 40_000
DTYPES = [torch.float32, torch.float64]
SOURCES: dict[str, Callable[[int], Noise]] = {
    "sampling": lambda n: Noise.of(3, index=torch.arange(n)),
    "training": lambda n: BatchNoise(3, 0, n, n),
}


@pytest.fixture(params=list(SOURCES))
def source(request: pytest.FixtureRequest) -> Callable[[int], Noise]:
    return SOURCES[request.param]


# ---------------------------------------------------------------------------------- a pure function


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    stream=st.lists(st.integers(0, 2**40), max_size=3),
    start=st.integers(0, 2**40),
    cut=st.integers(1, 9),
    width=st.integers(1, 5),
)
def test_rows_do_not_depend_on_the_chunk(seed: int, stream: list[int], start: int, cut: int, width: int) -> None:
    index = start + torch.arange(10)
    whole = Noise.of(seed, *stream, index=index)
    parts = [Noise.of(seed, *stream, index=index[:cut]), whole[cut:]]
    for draw in ("normal", "uniform", "signs", "normal"):  # the second call too
        together = getattr(whole, draw)(width)
        assert torch.equal(together, torch.cat([getattr(p, draw)(width) for p in parts]))


def test_the_same_arguments_give_the_same_numbers_and_calls_advance(source: Callable[[int], Noise]) -> None:
    a, b = source(5), source(5)
    first = a.normal(3)
    assert torch.equal(first, b.normal(3))
    assert not torch.equal(first, a.normal(3))
    assert torch.equal(source(5).at(7).normal(2), a.at(7).normal(2))
    assert not torch.equal(a.at(7).normal(2), a.at(8).normal(2))


def test_the_default_generator_is_neither_read_nor_moved(source: Callable[[int], Noise]) -> None:
    torch.manual_seed(1)
    a = source(4).normal(2)
    expected = torch.random.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), expected)
    torch.manual_seed(2)
    assert torch.equal(source(4).normal(2), a)


def test_seeds_streams_and_their_order_matter() -> None:
    index = torch.arange(6)
    draws = [Noise.of(*key, index=index).normal(4) for key in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 1, 0)]]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            assert not bool((a == b).any())


def test_values_are_pinned() -> None:
    """A run's samples must be the same in every version: these numbers never change."""
    assert mix_seed(0) == 1227844342346046657
    x = Noise.of(42, 7, index=torch.tensor([0, 1, 10**12])).uniform(2, dtype=torch.float64)
    expected = [
        [0.10807068956372257, 0.8554715159195795],
        [0.8645894744996293, 0.23996653521999212],
        [0.16040158043569075, 0.5550950443789396],
    ]
    assert x.tolist() == expected


@settings(max_examples=30, deadline=None)
@given(
    a=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4), i=st.integers(0, 3), bit=st.integers(0, 62)
)
def test_mix_seed_feels_every_bit(a: list[int], i: int, bit: int) -> None:
    b = list(a)
    b[i % len(a)] ^= 1 << bit
    assert 0 <= mix_seed(*a) < 2**63
    assert mix_seed(*a) != mix_seed(*b)
    assert mix_seed(*a) != mix_seed(*a, 0)


# ---------------------------------------------------------------------------------- distributions


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform(source: Callable[[int], Noise], dtype: torch.dtype) -> None:
    u = source(N).uniform(2, dtype=dtype)
    assert u.dtype == dtype and tuple(u.shape) == (N, 2)
    assert float(u.min()) > 0 and float(u.max()) < 1
    assert abs(float(u.double().mean()) - 0.5) < 5 * math.sqrt(1 / 12 / u.numel())
    for column in u.double().T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-4


def test_uniform_is_open_at_the_extreme_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bits zero and all bits one are the numbers nearest to 0 and 1, and neither is reached."""
    words = torch.tensor([[0], [-1]])
    monkeypatch.setattr(Noise, "_words", lambda self, count: words)
    for dtype in DTYPES:
        u = Noise(torch.zeros(2, dtype=torch.int64)).uniform(1, dtype=dtype)
        assert 0 < float(u[0]) < 1e-6 and 1 - 1e-6 < float(u[1]) < 1 and bool(u[1] < 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 5])
def test_normal(source: Callable[[int], Noise], dtype: torch.dtype, width: int) -> None:
    z = source(N).normal(width, dtype=dtype)
    assert z.dtype == dtype and tuple(z.shape) == (N, width) and bool(torch.isfinite(z).all())
    x, n = z.double().flatten(), z.numel()
    # Central moments 0, 1, 0, 3, with their exact standard errors.
    for power, value, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((x**power).mean()) - value) < 5 * math.sqrt(variance / n), f"moment {power}"
    for column in z.double().T:
        assert stats.kstest(column.numpy(), "norm").pvalue > 1e-4


def test_categorical(source: Callable[[int], Noise]) -> None:
    p = torch.tensor([0.5, 0.3, 0.15, 0.05, 0.0])
    k = source(N).categorical((p.log() + 3).expand(N, 2, 5))
    assert tuple(k.shape) == (N, 2) and k.dtype == torch.int64
    for column in k.T:
        counts = torch.bincount(column, minlength=5)
        assert int(counts[4]) == 0, "an impossible class was drawn"
        assert stats.chisquare(counts[:4].numpy(), (p[:4] * N).numpy()).pvalue > 1e-4


def test_signs(source: Callable[[int], Noise]) -> None:
    s = source(N).signs(3)
    assert set(s.unique().tolist()) == {-1.0, 1.0}
    assert float(s.mean().abs()) < 5 / math.sqrt(s.numel())


# ---------------------------------------------------------------------------------- independence


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Correlations of the columns of a with those of b, in standard errors."""
    a, b = ((v - v.mean(0)) / v.std(0) for v in (a.double(), b.double()))
    return a.T @ b / math.sqrt(len(a))


def features(z: Tensor) -> Tensor:
    """Of normal numbers: themselves, squares, and signs, so that dependence of more than the mean shows."""
    return torch.cat([z, z.square(), z.abs().log()], 1)


def test_dimensions_calls_and_rows_are_independent(source: Callable[[int], Noise]) -> None:
    noise = source(N)
    first, second = features(noise.normal(4)), features(noise.normal(4))
    within = correlations(first, first)
    columns = torch.arange(12)
    within = within[columns[:, None] % 4 != columns % 4]  # a number and its own square are no news
    for what, found in {
        "dimensions": within,
        "calls": correlations(first, second),
        "neighbours": correlations(first[1:], first[:-1]),
        "every other row": correlations(first[2:], first[:-2]),
        "rows and calls": correlations(first[1:], second[:-1]),
    }.items():
        assert float(found.abs().max()) < 5, what


@pytest.mark.parametrize("shift", [1, 2**31, 2**32, 2**53])
def test_nearby_seeds_and_far_indices_are_independent(shift: int) -> None:
    index = torch.arange(N)
    one = features(Noise.of(5, index=index).normal(2))
    assert float(correlations(one, features(Noise.of(5 + shift, index=index).normal(2))).abs().max()) < 5
    far = features(Noise.of(5, index=index + N + shift).normal(2))
    assert float(correlations(one, far).abs().max()) < 5


def test_words_have_no_repeats() -> None:
    """A keyed 64-bit hash of a million counters: a collision has probability 3e-8."""
    words = Noise.of(0, index=torch.arange(1000))._words(1000)
    assert len(words.unique()) == 1_000_000


# ---------------------------------------------------------------------------------- ranks


@settings(max_examples=30, deadline=None)
@given(
    total=st.integers(2, 24),
    world=st.integers(1, 4),
    seed=st.integers(0, 2**62),
    width=st.integers(0, 6),
    double=st.booleans(),
)
def test_ranks_share_the_global_numbers(total: int, world: int, seed: int, width: int, double: bool) -> None:
    edges = [r * total // world for r in range(world + 1)]
    dtype = torch.float64 if double else torch.float32
    whole = BatchNoise(seed, 0, total, total)
    ranks = [BatchNoise(seed, lo, hi, total) for lo, hi in itertools.pairwise(edges)]
    for call in (lambda b: b.normal(width, 2, dtype=dtype), lambda b: b.uniform(width, dtype=dtype)):
        parts = [call(r) for r in ranks]
        assert [len(p) for p in parts] == [len(r) for r in ranks]
        assert torch.equal(call(whole), torch.cat(parts))
    logits = torch.zeros(total, 3)
    parts = [r.categorical(logits[r.lo : r.hi]) for r in ranks]
    assert torch.equal(whole.categorical(logits), torch.cat(parts))


def test_a_batch_of_noise_is_not_indexed() -> None:
    with pytest.raises(TypeError, match="whole batch"):
        BatchNoise(0, 0, 4, 4)[:2]
