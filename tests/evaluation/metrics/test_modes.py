"""Modes against closed forms, a perfect sampler at the published sizes, and samplers with one fault."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.data import load
from pushforward.errors import InputError
from pushforward.evaluation.metrics.modes import (
    Modes,
    count_modes,
    known_modes,
    mode_coverage,
    perfect_modes,
    perfect_share,
    ring_centres,
    truncated_std,
)

RING = Modes.of(ring_centres(), 0.01)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_perfect_sampler_reaches_the_closed_form() -> None:
    # P(chi2_2 <= 9) = 1 - exp(-9/2)
    assert perfect_share(2, 3.0) == pytest.approx(1 - torch.exp(torch.tensor(-4.5)).item(), abs=1e-6)
    n = 200_000
    mode = torch.randint(8, (n,), generator=generator())
    x = ring_centres()[mode] + 0.05 * torch.randn(n, 2, generator=generator(1))
    found = count_modes(x, ring_centres(), 0.05)
    assert found.found == 8
    assert found.high_quality == pytest.approx(perfect_share(), abs=4 * (0.989 * 0.011 / n) ** 0.5)


def test_a_mode_needs_a_sample_within_three_deviations() -> None:
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    x = torch.tensor([[0.29, 0.0], [0.69, 0.0]])  # 2.9 deviations from the first mode, 3.1 from the second
    found = count_modes(x, centres, 0.1)
    assert (found.found, found.modes, found.high_quality) == (1, 2, 0.5)
    coverage = mode_coverage(x, Modes.of(centres, 0.1))
    assert (coverage.found, coverage.modes, coverage.high_quality) == (1, 2, 0.5)
    assert coverage.mass.tolist() == [0.5, 0.5]
    assert mode_coverage(x, Modes.of(centres, 0.1), quality_only=True).mass.tolist() == [1.0, 0.0]


def test_centres_are_those_of_the_built_in_ring() -> None:
    from pushforward.data.builtin.source import BUILTINS

    x, _, columns, _ = BUILTINS["ring"][0](8, 1e-6, 1000, 0)
    mode = torch.as_tensor(columns["mode"])
    torch.testing.assert_close(torch.as_tensor(x).double(), ring_centres()[mode], atol=1e-5, rtol=0)


# ------------------------------------------------------------------------------------------------- known sources


@pytest.mark.parametrize("source", ["ring", "grid", "8gaussians", "ring:modes=12,std=0.01"])
def test_built_in_mixtures_are_known(source: str) -> None:
    data = load(source, n=4000)
    modes = known_modes(data)
    assert modes is not None
    assert len(modes.centres) == {"ring": 8, "grid": 25, "8gaussians": 8}.get(source, 12)
    found = mode_coverage(data.train.all()[0], modes)
    assert found.found == found.modes
    assert found.high_quality == pytest.approx(perfect_share(), abs=0.01)
    assert found.mean_std_ratio == pytest.approx(1, abs=0.04)


def test_options_may_be_given_apart_and_beside_those_of_loading() -> None:
    modes = known_modes(load("ring:std=0.02", modes=5, n=500, split_seed=3, validation=0.2, condition="mode"))
    assert modes is not None and len(modes.centres) == 5 and modes.std.tolist() == [0.02] * 5


@pytest.mark.parametrize("source", ["moons", "checkerboard", "digits", "ring:std=0", np.zeros((50, 2)) + 0.5])
def test_nothing_else_is(source: str | np.ndarray) -> None:
    if isinstance(source, np.ndarray):
        source = np.random.default_rng(0).normal(size=(50, 2))
    assert known_modes(load(source)) is None


# ------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(("d", "radius"), [(1, 3.0), (2, 3.0), (2, 1.0), (5, 2.0)])
def test_the_truncated_deviation_is_that_of_the_chi_squared(d: int, radius: float) -> None:
    from scipy.integrate import quad
    from scipy.stats import chi2

    second = quad(lambda q: q * chi2.pdf(q, d), 0, radius**2)[0] / chi2.cdf(radius**2, d)
    assert truncated_std(d, radius) == pytest.approx(math.sqrt(second / d), rel=1e-6)
    assert perfect_share(d, radius) == pytest.approx(chi2.cdf(radius**2, d), rel=1e-9)


def test_widths_masses_and_divergence_by_hand() -> None:
    modes = Modes.of(torch.tensor([[0.0, 0.0], [40.0, 0.0]]), [1.0, 2.0], weights=[3, 1])
    x = torch.tensor([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5], [40.0, 1.0], [40.0, 3.0]])
    found = mode_coverage(x, modes)
    # About their own mean: squares 4 * 0.25 / (3 * 2 directions), and 2 / (1 * 2) in units of 4.
    widths = torch.tensor([1 / 6, 0.25]).double().sqrt() / truncated_std()
    torch.testing.assert_close(found.std_ratio, widths)
    assert found.mass.tolist() == pytest.approx([2 / 3, 1 / 3])
    # KL of the samples from the truth, not the other way round.
    assert found.kl == pytest.approx(2 / 3 * math.log((2 / 3) / 0.75) + 1 / 3 * math.log((1 / 3) / 0.25))
    assert found.mean_std_ratio == pytest.approx(float(widths.mean()))
    assert found.worst_std_ratio == pytest.approx(float(widths[0]))


def test_a_dropped_mode_has_its_divergence() -> None:
    x = ring_centres()[torch.arange(8000) % 7] + 0.01 * torch.randn(8000, 2, generator=generator())
    found = mode_coverage(x, RING)
    assert found.found == 7 and math.isnan(float(found.std_ratio[7])) and found.mass[7] == 0
    assert found.kl == pytest.approx(math.log(8 / 7), abs=1e-5)


def test_half_a_modes_mass() -> None:
    weights = torch.tensor([0.5, 1, 1, 1, 1, 1, 1, 1])
    x = Modes.of(ring_centres(), 0.01, weights=weights).draw(50_000, seed=0)
    q = weights / weights.sum()
    assert mode_coverage(x, RING).kl == pytest.approx(float((q * (q * 8).log()).sum()), abs=0.002)


@pytest.mark.parametrize("factor", [0.0, 0.3, 0.8, 1.0])
def test_widths_are_those_of_the_sampler(factor: float) -> None:
    mode = torch.arange(80_000) % 8
    x = ring_centres()[mode] + 0.01 * factor * torch.randn(80_000, 2, generator=generator(), dtype=torch.float64)
    found = mode_coverage(x, RING)
    # A narrower Gaussian is cut off later: its own closed form.
    own = factor * truncated_std(2, 3 / factor) if factor else 0.0
    assert found.mean_std_ratio == pytest.approx(own / truncated_std(), abs=0.005)
    assert abs(found.worst_std_ratio - own / truncated_std()) < 0.02
    if 0 < factor < 1:
        assert found.high_quality > perfect_share()  # which rewards the fault: hence the widths


def test_the_worst_width_is_the_one_furthest_from_one() -> None:
    mode = torch.arange(8000) % 8
    width = torch.tensor([1, 1, 1, 0.4, 1, 1, 1, 1.2])[mode, None]
    x = ring_centres()[mode] + 0.01 * width * torch.randn(8000, 2, generator=generator())
    found = mode_coverage(x, RING)
    assert found.worst_std_ratio == pytest.approx(0.4, abs=0.03)
    assert int(found.std_ratio.argmin()) == 3


def test_full_covariances_are_measured_in_their_own_units() -> None:
    g = generator(3)
    a = torch.randn(2, 4, 4, generator=g, dtype=torch.float64)
    covariances = a @ a.mT + 0.1 * torch.eye(4)
    centres = torch.tensor([[0.0] * 4, [60.0] * 4])
    modes = Modes.of(centres, covariances=covariances, weights=[0.2, 0.8])
    x = modes.draw(40_000, seed=1)
    torch.testing.assert_close(torch.cov(x[x[:, 0] > 30].T), covariances[1], rtol=0.1, atol=0.1)
    found = mode_coverage(x, modes)
    assert found.high_quality == pytest.approx(perfect_share(4), abs=0.006)
    assert found.std_ratio.tolist() == pytest.approx([1, 1], abs=0.02)
    assert found.mass.tolist() == pytest.approx([0.2, 0.8], abs=0.01)
    # A round mode is the same by either description.
    y = Modes.of(ring_centres(), 0.05).draw(3000, seed=2)
    round_ones = Modes.of(ring_centres(), covariances=0.05**2 * torch.eye(2).double().expand(8, 2, 2))
    one, other = mode_coverage(y, Modes.of(ring_centres(), 0.05)), mode_coverage(y, round_ones)
    torch.testing.assert_close(one.std_ratio, other.std_ratio, rtol=1e-9, atol=0)
    assert (one.found, one.high_quality, one.kl) == (other.found, other.high_quality, pytest.approx(other.kl))


def test_overlapping_modes_have_ratios_of_one_too() -> None:
    modes = Modes.of(ring_centres(), 0.3)  # neighbours 2.5 deviations apart
    assert not modes.separated(3.0) and RING.separated(3.0)
    found = mode_coverage(modes.draw(100_000, seed=5), modes)
    assert found.std_ratio.tolist() == pytest.approx([1.0] * 8, abs=0.015)


# --------------------------------------------------------------------------------------------- a perfect sampler


@pytest.mark.parametrize(("source", "k", "published"), [("ring:std=0.01", 8, 0.0014), ("grid", 25, 0.0048)])
def test_the_perfect_sampler_at_the_published_size(source: str, k: int, published: float) -> None:
    modes = known_modes(load(source, n=100))
    assert modes is not None
    n = 2500
    perfect = perfect_modes(modes, n, replicates=400)
    # 2n KL is chi-squared of k - 1 degrees: its mean and 95% interval.
    from scipy.stats import chi2

    error = math.sqrt(2 * (k - 1)) / (2 * n) / 20
    assert perfect["kl"].mean == pytest.approx((k - 1) / (2 * n), abs=4 * error)
    assert perfect["kl"].mean == pytest.approx(published, abs=4 * error)
    assert perfect["kl"].low == pytest.approx(chi2.ppf(0.025, k - 1) / (2 * n), abs=4 * error * 3)
    assert perfect["kl"].high == pytest.approx(chi2.ppf(0.975, k - 1) / (2 * n), rel=0.15)
    spread = math.sqrt(0.989 * 0.011 / n)
    assert perfect["high_quality"].mean == pytest.approx(0.989, abs=0.0005)
    assert perfect["high_quality"].low == pytest.approx(0.9889 - 1.96 * spread, abs=0.001)
    assert perfect["found"].each == (float(k),) * 400
    assert perfect["mean_std_ratio"].mean == pytest.approx(1, abs=0.003)
    assert perfect["worst_std_ratio"].low < 0.95 and perfect["worst_std_ratio"].high > 1.05


def test_faults_leave_the_interval_of_the_perfect_sampler() -> None:
    n = 2000
    perfect = perfect_modes(RING, n)
    dropped = Modes.of(ring_centres()[:7], 0.01).draw(n, seed=1)
    halved = Modes.of(ring_centres(), 0.01, weights=[0.5] + [1.0] * 7).draw(n, seed=2)
    narrow = Modes.of(ring_centres(), 0.008).draw(n, seed=3)
    noisy = RING.draw(n, seed=4)
    noisy[:200] = 3 * torch.rand(200, 2, generator=generator(), dtype=torch.float64) - 1.5
    assert mode_coverage(dropped, RING).found < perfect["found"].low
    assert mode_coverage(halved, RING).kl > perfect["kl"].high
    assert mode_coverage(narrow, RING).mean_std_ratio < perfect["mean_std_ratio"].low
    assert mode_coverage(noisy, RING).high_quality < perfect["high_quality"].low


def test_seeds_of_the_perfect_sampler() -> None:
    assert perfect_modes(RING, 50, replicates=3) == perfect_modes(RING, 50, replicates=3)
    assert perfect_modes(RING, 50, replicates=3) != perfect_modes(RING, 50, replicates=3, seed=1)
    assert perfect_modes(RING, 50, replicates=3)["kl"].each == perfect_modes(RING, 50, replicates=9)["kl"].each[:3]


# ------------------------------------------------------------------------------------------------------ options


def test_at_least() -> None:
    x = RING.draw(200, seed=0)
    x = torch.cat([x[x[:, 0] < 0.9], ring_centres()[:1]])  # one sample alone at the first mode
    assert [mode_coverage(x, RING, at_least=k).found for k in (1, 2)] == [8, 7]


def test_masses_of_high_quality_alone() -> None:
    far = torch.full((5, 2), 3.0)
    found = mode_coverage(far, RING, quality_only=True)
    assert (found.found, found.high_quality, found.kl) == (0, 0.0, pytest.approx(math.log(8)))
    assert math.isnan(found.mean_std_ratio) and math.isnan(found.worst_std_ratio)
    x = torch.cat([ring_centres(), ring_centres()[:1] + 0.1])  # the last counts for the first mode's mass, or not
    assert mode_coverage(x, RING).mass[0] == pytest.approx(2 / 9)
    assert mode_coverage(x, RING, quality_only=True).mass[0] == pytest.approx(1 / 8)


def test_order_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = Modes.of(ring_centres(), 0.3)
    x = modes.draw(3000, seed=0)

    def numbers(x: Tensor) -> list[float]:
        found = mode_coverage(x, modes)
        return [found.found, found.high_quality, found.kl, *found.std_ratio.tolist(), *found.mass.tolist()]

    first = numbers(x)
    assert numbers(x[torch.randperm(3000, generator=generator())]) == pytest.approx(first, rel=1e-12)
    monkeypatch.setattr("pushforward.evaluation.metrics.modes._BLOCK", 100)
    mode, z = modes.nearest(x)
    monkeypatch.undo()
    assert torch.equal(mode, modes.nearest(x)[0]) and torch.equal(z, modes.nearest(x)[1])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Modes.of(torch.zeros(3), 1.0), "centres"),
        (lambda: Modes.of(ring_centres()), "either"),
        (lambda: Modes.of(ring_centres(), 0.1, covariances=torch.eye(2).expand(8, 2, 2)), "either"),
        (lambda: Modes.of(ring_centres(), 0.0), "std"),
        (lambda: Modes.of(ring_centres(), [0.1, 0.2]), "std"),
        (lambda: Modes.of(ring_centres(), 0.1, weights=[1.0] * 7 + [0.0]), "weights"),
        (lambda: Modes.of(ring_centres(), covariances=-torch.eye(2).expand(8, 2, 2)), "positive definite"),
        (lambda: Modes.of(ring_centres(), covariances=torch.eye(3).expand(8, 3, 3)), "shape"),
        (lambda: mode_coverage(torch.zeros(5, 3), RING), "shape"),
        (lambda: mode_coverage(torch.zeros(0, 2), RING), "shape"),
        (lambda: mode_coverage(torch.tensor([[0.0, math.nan], [0.0, 1.0]]), RING), "1 of 2 samples"),
        (lambda: mode_coverage(torch.zeros(5, 900), Modes.of(torch.zeros(1, 900), 1.0)), "dimensions"),
        (lambda: perfect_modes(RING, 0), "n=0"),
    ],
)
def test_what_cannot_be_used(wrong, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        wrong()
