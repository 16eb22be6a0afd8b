"""Neighbours against brute force, and the four statistics against the reference library and exact expectations."""

from __future__ import annotations

import contextlib
import io
import math
import time

import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.metrics.distances import exact, exact_pairs, squared, squared_error
from pushforward.evaluation.metrics.neighbours import Neighbours, nearest, neighbour_statistics

G = torch.Generator().manual_seed(7)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64)


def oracle(real: Tensor, fake: Tensor, k: int) -> Neighbours:
    import prdc

    with contextlib.redirect_stdout(io.StringIO()):
        return Neighbours(**prdc.compute_prdc(real.numpy(), fake.numpy(), k))


@pytest.mark.parametrize(("n", "m", "d", "k"), [(300, 200, 8, 5), (150, 400, 2, 3), (100, 100, 50, 1)])
def test_the_same_as_prdc(n: int, m: int, d: int, k: int) -> None:
    real, fake = normal(n, d), normal(m, d) * 0.9 + 0.2
    ours, theirs = neighbour_statistics(real, fake, k), oracle(real, fake, k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12), name


def brute(real: Tensor, fake: Tensor, k: int) -> Neighbours:
    """By the definitions, one pair at a time in the open."""
    radius = [exact(v, v).sort(1).values[:, k] for v in (real, fake)]
    cross = exact(real, fake)
    inside = cross < radius[0][:, None]
    return Neighbours(
        float(inside.any(0).double().mean()),
        float((cross < radius[1][None]).any(1).double().mean()),
        int(inside.sum()) / len(fake) / k,
        float(inside.any(1).double().mean()),
    )


def test_ties_are_outside() -> None:
    """Points of a line at 0, 1, ..., 9: every neighbour ball ends on a point, and points on its end are not in it."""
    real = torch.arange(10.0)
    between = neighbour_statistics(real, real + 1, k=1)  # lands on the ends of the radius-1 balls, and on centres
    assert between == Neighbours(precision=0.9, recall=0.9, density=0.9, coverage=0.9)
    lattice = torch.randint(0, 4, (200, 6), generator=G).double()
    other = torch.randint(0, 4, (220, 6), generator=G).double()
    for k in (1, 4):
        assert neighbour_statistics(lattice, other, k) == brute(lattice, other, k)
    offset = torch.tensor(math.pi, dtype=torch.float64)
    assert neighbour_statistics(lattice / 3 + offset, other / 3 + offset, 4) == brute(
        lattice / 3 + offset, other / 3 + offset, 4
    )


def test_copies_have_density_one() -> None:
    """Each ball holds its centre and k - 1 others of the copies; the k-th lies on its end."""
    x = normal(300, 20) + 50
    for k in (1, 5):
        assert neighbour_statistics(x, x.flip(0), k) == Neighbours(1.0, 1.0, 1.0, 1.0)


def test_a_perfect_sampler_has_known_expectations() -> None:
    n, k = 60, 3
    found = [neighbour_statistics(normal(n, 3), normal(n, 3), k) for _ in range(300)]
    density = torch.tensor([f.density for f in found], dtype=torch.float64)
    coverage = torch.tensor([f.coverage for f in found], dtype=torch.float64)
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    for values, mean in ((density, 1.0), (coverage, expected)):
        assert abs(float(values.mean()) - mean) < 4 * float(values.std()) / math.sqrt(len(values))


def test_a_dropped_half_and_an_invented_half() -> None:
    real = torch.cat([normal(500, 2), normal(500, 2) + 100])
    half = neighbour_statistics(real, normal(1000, 2))
    assert half.recall < 0.55 and half.coverage < 0.55 and half.precision > 0.95
    extra = neighbour_statistics(normal(1000, 2), real)
    assert extra.precision < 0.55 and extra.recall > 0.95 and extra.density < 0.6


def test_no_order_and_no_chunks_matter() -> None:
    real, fake = normal(203, 9), normal(187, 9)
    expected = neighbour_statistics(real, fake, 4)
    assert neighbour_statistics(real[torch.randperm(203)], fake.flip(0), 4) == expected
    for chunk in (1, 50, 1000):
        assert neighbour_statistics(real, fake, 4, chunk=chunk) == expected
    distances, indices = nearest(real, fake, 6)
    for chunk in (1, 50):
        again = nearest(real, fake, 6, chunk=chunk)
        assert torch.equal(again[0], distances) and torch.equal(again[1], indices)
    assert neighbour_statistics(real.float().tolist(), fake.float().numpy(), 4) == neighbour_statistics(
        real.float().double(), fake.float().double(), 4
    )


@pytest.mark.parametrize("k", [1, 3, 12, 30])
def test_nearest_is_brute_force(k: int) -> None:
    q, p = normal(40, 5), normal(31, 5)
    whole = exact(q, p).sort(dim=1, stable=True)
    distances, indices = nearest(q, p, k)
    assert torch.equal(distances, whole.values[:, :k]) and torch.equal(indices, whole.indices[:, :k])


def test_copies_are_at_distance_zero_and_ties_come_by_index() -> None:
    x = normal(50, 30) + 1e3
    points = torch.cat([x, x, x, x, x, x, x, x, x, x, x, x])
    distances, indices = nearest(x, points, 3)
    assert torch.equal(distances, torch.zeros(50, 3).double())
    assert torch.equal(indices, torch.arange(50)[:, None] + torch.tensor([0, 50, 100]))
    distances, indices = nearest(points, points, 1, exclude_self=True)
    assert float(distances.max()) == 0 and torch.equal(indices[:50, 0], torch.arange(50) + 50)
    assert torch.equal(indices[50:, 0], torch.arange(550) % 50)
    assert float(nearest(x, x, 1, exclude_self=True)[0].min()) > 0


def test_near_copies_far_from_the_origin_keep_their_distance() -> None:
    """The expansion |a|^2 + |b|^2 - 2ab gives nothing of this gap; single precision even less."""
    x = normal(500, 10) * 1e3 + 1e6
    gap = torch.zeros(10).double()
    gap[0] = 2.0**-20
    distances, indices = nearest(x + gap, x)
    assert torch.equal(indices[:, 0], torch.arange(500))
    assert torch.allclose(distances[:, 0], gap[0].expand(500), rtol=1e-3)
    x[7] = 1e15  # one row far out
    assert torch.equal(nearest(x + gap, x)[1][:, 0], torch.arange(500))


def test_bounds_hold_and_pairs_have_the_bits_of_matrices() -> None:
    a, b = normal(60, 33) * 10, normal(50, 33)
    value, bound = squared(a, b), squared_error(a, b)
    error = (value - exact(a, b) ** 2).abs()
    assert bool((error <= bound).all()) and float(bound.max()) < 1e-9
    i, j = torch.randint(0, 60, (200,)), torch.randint(0, 50, (200,))
    assert torch.equal(exact_pairs(a, b, i, j), exact(a, b)[i, j])
    assert torch.equal(exact(b, a).T, exact(a, b))


def test_a_large_sample_is_quick() -> None:
    real, fake = normal(2000, 64), normal(2000, 64)
    begin = time.process_time()
    neighbour_statistics(real, fake)
    assert time.process_time() - begin < 3  # 0.3 s on an idle core


def test_what_cannot_be_used_is_refused() -> None:
    x = torch.ones(6, 2)
    bad = x.clone()
    bad[2, 0] = math.inf
    with pytest.raises(InputError, match="fake, row 2, column 0: the value is inf"):
        neighbour_statistics(x, bad)
    with pytest.raises(InputError, match="real has no rows"):
        neighbour_statistics(x[:0], x)
    with pytest.raises(InputError, match="real has 2 columns and fake has 1"):
        neighbour_statistics(x, x[:, :1])
    with pytest.raises(InputError, match=r"k is 6 with 6 real.*From 1 to 5"):
        neighbour_statistics(x, x, k=6)
    with pytest.raises(InputError, match=r"k is 6 with 6 points.*From 1 to 5"):
        nearest(x, x, 6, exclude_self=True)
    with pytest.raises(InputError, match="exclude_self with 5 queries and 6 points"):
        nearest(x[:5], x, exclude_self=True)
    with pytest.raises(InputError, match="queries, row 2"):
        nearest(bad, x)
