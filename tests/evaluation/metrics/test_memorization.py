"""Copying: found where it is planted, absent from perfect samplers, and the statistics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.metrics.memorization import (
    TrainingSet,
    authenticity,
    cell_centres,
    copies,
    data_copying_test,
    expected_authenticity,
    fingerprints,
    mann_whitney,
    memorization,
    near_copies,
    nearest_training,
    perfect_authenticity,
)
from pushforward.evaluation.metrics.nearest_picture import nearest_examples


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(n: int, d: int, seed: int) -> Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TRAIN, HELD_OUT, PERFECT = normal(2000, 6, 0), normal(1000, 6, 1), normal(2000, 6, 2)


def planted(share: float, samples: Tensor = PERFECT, train: Tensor = TRAIN) -> Tensor:
    """A perfect sampler's samples, of which a share are training examples."""
    count = round(share * len(samples))
    return torch.cat([train[:count], samples[count:]])


# -------------------------------------------------------------------------------------------------------- by hand


def test_neighbours_by_hand() -> None:
    train = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    distances, index = nearest_training(torch.tensor([[0.0, 0.0], [3.0, 3.0]]), train, k=2)
    assert index.tolist() == [[0, 2], [1, 2]]
    torch.testing.assert_close(distances, torch.tensor([[0, 1], [1, 13**0.5]], dtype=torch.float64))


def test_authenticity_by_hand() -> None:
    train = torch.tensor([[0.0], [1.0], [10.0]])
    # Nearest others at 1, 1 and 9. Distances of the samples: 0.4 (no), 3 (yes), 2 (no), 0 (no), 90 (yes).
    samples = torch.tensor([[0.4], [-3.0], [8.0], [1.0], [100.0]])
    assert authenticity(samples, train) == pytest.approx(2 / 5)
    # As far as the nearest other is not further.
    assert authenticity(torch.tensor([[-1.0]]), train) == 0.0


def test_near_copies_by_hand() -> None:
    train = torch.cat([torch.arange(99.0), torch.tensor([97.5])])[:, None]  # two examples are 0.5 apart
    samples = torch.tensor([[0.0], [0.3], [0.5], [3.6], [5.5001], [-0.5], [98.9]])
    assert near_copies(samples, train, quantile=0.0) == pytest.approx(6 / 7)
    assert near_copies(samples, train, quantile=0.9) == 1.0


# ---------------------------------------------------------------------------------------------------------- copies


def test_copies_are_counted() -> None:
    assert copies(planted(0.05), TRAIN) == pytest.approx(0.05)
    assert copies(TRAIN[torch.randperm(2000)], TRAIN) == 1.0
    assert copies(PERFECT, TRAIN) == 0.0
    assert copies(np.nextafter(TRAIN.numpy(), np.inf), TRAIN) == 0.0


def test_missing_cells_signs_of_zero_and_types() -> None:
    train = np.array([[1.0, np.nan, 0.0], [2.0, 3.0, -0.0], [1.0, 0.0, 5.0]])
    negative_nan = np.copysign(np.nan, -1.0)
    samples = np.array([[1.0, negative_nan, -0.0], [2.0, 3.0, 0.0], [1.0, np.nan, 5.0], [np.nan, 1.0, 0.0]])
    assert copies(samples, train) == 0.5
    whole = np.arange(12).reshape(3, 2, 2)
    assert copies(whole.astype(np.uint8), whole.astype(np.float32)) == 1.0
    assert copies(torch.as_tensor(whole[:1]), whole[1:]) == 0.0


def test_a_row_is_more_than_its_numbers() -> None:
    """The order of columns counts, and one bit of one cell."""
    x = np.random.default_rng(0).integers(0, 3, (4000, 8)).astype(float)
    distinct = np.unique(x, axis=0)
    assert len(np.unique(fingerprints(distinct))) == len(distinct)
    seen = {tuple(row) for row in x[:2000]}
    assert copies(x[2000:], x[:2000]) == np.mean([tuple(row) in seen for row in x[2000:]])
    assert copies(np.array([[1.0, 2.0]]), np.array([[2.0, 1.0], [-1.0, 2.0], [-1.0, -2.0]])) == 0.0


# ---------------------------------------------------------------------------------------------------- authenticity


def test_the_limit_of_authenticity_has_its_known_values() -> None:
    assert perfect_authenticity(1) == pytest.approx(1 / 3)
    discs = 2 / 3 - 3**0.5 / (2 * math.pi)  # what two unit discs share whose centres are 1 apart, over one of them
    assert perfect_authenticity(2) == pytest.approx(1 - 1 / (2 - discs))
    assert perfect_authenticity(3) == pytest.approx(11 / 27)  # balls share 5/16
    assert perfect_authenticity(500) == pytest.approx(0.5)


@pytest.mark.parametrize("d", [1, 2])
def test_a_perfect_sampler_reaches_it_whatever_the_density(d: int) -> None:
    seeds = range(6)
    flat = np.mean([authenticity(uniform(1500, d, 2 * s), uniform(1500, d, 2 * s + 1)) for s in seeds])
    round_ = np.mean([authenticity(normal(1500, d, 2 * s), normal(1500, d, 2 * s + 1)) for s in seeds])
    assert flat == pytest.approx(perfect_authenticity(d), abs=0.025)
    assert round_ == pytest.approx(perfect_authenticity(d), abs=0.025)


@pytest.mark.parametrize("d", [1, 6, 40])
def test_training_examples_alone_tell_what_to_expect(d: int) -> None:
    each = [authenticity(normal(1000, d, 50 + s), normal(1000, d, s)) for s in range(20)]
    own = [expected_authenticity(normal(1000, d, s)) for s in range(20)]
    error = math.sqrt(np.var(each, ddof=1) / 20 + np.var(own, ddof=1) / 20)
    assert abs(np.mean(each) - np.mean(own)) < 4 * error
    assert error < 0.01


def test_in_many_dimensions_the_limit_is_far() -> None:
    """What the docstring and the page say of 2,000 points of a Gaussian."""
    assert expected_authenticity(normal(2000, 6, 4)) == pytest.approx(0.53, abs=0.04)
    assert expected_authenticity(normal(2000, 64, 4)) == pytest.approx(0.82, abs=0.05)


def test_expected_authenticity_leaves_each_example_out() -> None:
    train = normal(60, 3, 9)
    one_by_one = [
        authenticity(train[i : i + 1], torch.cat([train[:i], train[i + 1 :]])) for i in range(len(train))
    ]  # fmt: skip
    assert expected_authenticity(train) == pytest.approx(np.mean(one_by_one))


# -------------------------------------------------------------------------------------------------- the C_T test


@pytest.mark.parametrize("ties", [False, True])
def test_the_rank_statistic_is_scipys(ties: bool) -> None:
    from scipy.stats import mannwhitneyu, norm

    x, y = normal(300, 1, 1)[:, 0] - 0.1, normal(200, 1, 2)[:, 0]
    if ties:
        x, y = (2 * x).round(), (2 * y).round()
    p = mannwhitneyu(x, y, alternative="less", method="asymptotic", use_continuity=False).pvalue
    assert mann_whitney(x, y) == pytest.approx(norm.ppf(p), rel=1e-9)
    assert mann_whitney(y, x) == pytest.approx(-norm.ppf(p), rel=1e-9)


def test_nothing_but_ties_is_nothing() -> None:
    assert mann_whitney(torch.ones(30), torch.ones(40)) == 0.0


def test_one_cell_is_the_plain_statistic() -> None:
    found = data_copying_test(PERFECT, HELD_OUT, TRAIN, cells=1)
    plain = mann_whitney(nearest_training(PERFECT, TRAIN)[0][:, 0], nearest_training(HELD_OUT, TRAIN)[0][:, 0])
    assert found.statistic == pytest.approx(plain) and found.z == pytest.approx(plain)
    assert (found.std, found.share) == (1.0, 1.0)


def test_cells_are_weighted_by_held_out_rows() -> None:
    centres = torch.tensor([[-10.0], [10.0], [40.0]])
    train = torch.cat([normal(200, 1, 1) - 10, normal(200, 1, 2) + 10, normal(9, 1, 8) + 40])
    held = torch.cat([normal(100, 1, 3) - 10, normal(300, 1, 4) + 10, normal(100, 1, 9) + 40])
    samples = torch.cat([normal(150, 1, 5) - 10, 4 * normal(50, 1, 6) + 10, normal(19, 1, 7) + 40])
    found = data_copying_test(samples, held, train, cells=centres)
    d, h = nearest_training(samples, train)[0][:, 0], nearest_training(held, train)[0][:, 0]
    left, right = mann_whitney(d[:150], h[:100]), mann_whitney(d[150:200], h[100:400])
    assert found.cells[:2] == pytest.approx((left, right))
    assert math.isnan(found.cells[2])  # 19 samples are too few
    assert found.statistic == pytest.approx((100 * left + 300 * right) / 400)
    assert found.std == pytest.approx(math.sqrt(100**2 + 300**2) / 400)
    assert found.share == pytest.approx(0.8)


def test_a_perfect_sampler_has_a_standard_normal_z() -> None:
    z = np.array([data_copying_test(normal(600, 3, 3 * s), normal(400, 3, 3 * s + 1), normal(500, 3, 3 * s + 2)).z
                  for s in range(40)])  # fmt: skip
    assert abs(z.mean()) < 4 / 40**0.5
    assert 0.6 < z.std(ddof=1) < 1.5  # chi-squared of 39 degrees, beyond its 1e-4 quantiles


def test_underfitting_and_copying_have_opposite_signs() -> None:
    assert data_copying_test(1.3 * PERFECT, HELD_OUT, TRAIN).z > 10
    assert data_copying_test(TRAIN + 0.1 * PERFECT, HELD_OUT, TRAIN).z < -10
    assert data_copying_test(planted(0.2), HELD_OUT, TRAIN).z < -4


# ------------------------------------------------------------------------------------------------ planted copying


def test_a_copycat() -> None:
    training = TrainingSet.of(TRAIN, HELD_OUT)
    found = memorization(TRAIN[torch.randint(2000, (2000,), generator=torch.Generator().manual_seed(0))], training)
    assert found.authenticity == 0.0 and found.near_copies == 1.0
    assert found.copying.statistic < -10 and float(found.distances.max()) == 0.0


def test_five_per_cent_of_copies() -> None:
    training = TrainingSet.of(TRAIN, HELD_OUT)
    perfect, found = memorization(PERFECT, training), memorization(planted(0.05), training)
    assert copies(planted(0.05), TRAIN) == pytest.approx(0.05)
    assert found.near_copies - perfect.near_copies == pytest.approx(0.05, abs=0.003)
    # A share a of copies takes a of the authentic samples, and a / 2 of the pairs.
    assert found.authenticity == pytest.approx(0.95 * perfect.authenticity, abs=0.01)
    assert found.copying.z < perfect.copying.z - 1


def test_perfect_samplers_stay_within_the_floor() -> None:
    """30 seeds: samples against held-out rows in their place, each statistic at most 4.5 standard deviations off."""
    n, d = 1000, 6
    for seed in range(30):
        train, held, other, x = (normal(n, d, 1000 + 4 * seed + i) for i in range(4))
        training = TrainingSet.of(train, held)
        found, floor = memorization(x, training), memorization(other, training)
        assert copies(x, train) == 0
        assert abs(found.near_copies - floor.near_copies) < 4.5 * math.sqrt(2 * 0.012 / n)
        assert abs(found.authenticity - floor.authenticity) < 4.5 * math.sqrt(2 * 0.25 / n)
        assert abs(found.copying.z) < 4.5 and abs(floor.copying.z) < 4.5


def test_the_radius_makes_one_per_cent_of_a_perfect_sampler_near() -> None:
    shares = [near_copies(normal(1000, 3, 2 * s), normal(1000, 3, 2 * s + 1)) for s in range(30)]
    assert np.mean(shares) == pytest.approx(0.01, abs=4 * math.sqrt(0.01 / 30_000) + 0.001)


def test_duplicates_among_training_examples() -> None:
    """A training set of pairs has a radius of 0, within which only copies are."""
    train = TRAIN[:500].repeat(2, 1)
    assert near_copies(planted(0.05, train=train), train) == pytest.approx(0.05)
    assert authenticity(planted(0.05, train=train), train) == pytest.approx(0.95)
    assert expected_authenticity(train) == 0.0


# ------------------------------------------------------------------------------------------------------ invariance


def everything(samples: Tensor, held_out: Tensor, train: Tensor) -> list[float]:
    found = memorization(samples, TrainingSet.of(train, held_out))
    return [found.authenticity, found.near_copies, found.copying.statistic, found.copying.std]


def test_order_does_not_matter() -> None:
    g = torch.Generator().manual_seed(0)
    shuffled = [x[torch.randperm(len(x), generator=g)] for x in (PERFECT, HELD_OUT, TRAIN)]
    assert everything(*shuffled) == pytest.approx(everything(PERFECT, HELD_OUT, TRAIN), rel=1e-12)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, hashes = everything(PERFECT, HELD_OUT, TRAIN), fingerprints(TRAIN)
    monkeypatch.setattr("pushforward.evaluation.metrics.inputs.BLOCK", 50_000)
    assert everything(PERFECT, HELD_OUT, TRAIN) == whole
    assert (fingerprints(TRAIN) == hashes).all()


def test_shifts_and_scales_do_not_matter() -> None:
    moved = [3.0 * x - 7.0 for x in (PERFECT, HELD_OUT, TRAIN)]
    assert everything(*moved) == pytest.approx(everything(PERFECT, HELD_OUT, TRAIN), abs=0.002)


def test_together_they_are_what_each_is_alone() -> None:
    found = memorization(PERFECT, TrainingSet.of(TRAIN, HELD_OUT))
    assert found.authenticity == authenticity(PERFECT, TRAIN)
    assert found.near_copies == near_copies(PERFECT, TRAIN)
    assert found.copying == data_copying_test(PERFECT, HELD_OUT, TRAIN)


def test_cells_are_found() -> None:
    x = torch.cat([normal(100, 2, 1) * 0.01 + c for c in (0.0, 5.0, 9.0)])
    centres = cell_centres(x, 3)
    torch.testing.assert_close(centres[:, 0].sort().values, torch.tensor([0.0, 5, 9]).double(), atol=0.01, rtol=0)
    assert len(cell_centres(torch.tensor([[1.0], [1.0], [2.0]]), 9)) == 2


# --------------------------------------------------------------------------------------------------------- pictures


def test_the_nearest_examples_in_the_units_of_the_data() -> None:
    train_data = torch.arange(40, dtype=torch.uint8).reshape(10, 1, 2, 2)
    samples_data = train_data[[7, 3, 9]].float() + 0.2
    features = train_data.flatten(1).double()
    samples, near = nearest_examples(samples_data.flatten(1).sqrt(), features.sqrt(), 2, train_data, samples_data)
    np.testing.assert_array_equal(samples, samples_data[:2])
    np.testing.assert_array_equal(near, train_data[[7, 3]])
    assert near.dtype == np.uint8 and near.shape == (2, 1, 2, 2)
    assert len(nearest_examples(features, features, 99, train_data, train_data)[0]) == 10


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: nearest_training(PERFECT, TRAIN[:, :3]), "columns"),
        (lambda: nearest_training(PERFECT, TRAIN[:2], k=3), "k is 3"),
        (lambda: authenticity(PERFECT, TRAIN[:1]), "At least 2"),
        (lambda: authenticity(torch.tensor([[math.nan] * 6]), TRAIN), "finite"),
        (lambda: copies(PERFECT, TRAIN[:, :3]), "shape"),
        (lambda: copies(PERFECT[:0], TRAIN), "shape"),
        (lambda: data_copying_test(PERFECT[:19], HELD_OUT, TRAIN), "no cell"),
        (lambda: data_copying_test(PERFECT, HELD_OUT, TRAIN, cells=0), "cells=0"),
        (lambda: nearest_examples(PERFECT, TRAIN, 0, TRAIN, PERFECT), "count=0"),
        (lambda: nearest_examples(PERFECT, TRAIN, 4, TRAIN[:5], PERFECT), "train_data 5"),
    ],
)
def test_what_cannot_be_used(wrong, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        wrong()


def test_rows_of_a_table() -> None:
    """Encoded features for distances, raw rows for copies: what the caller does."""
    g = np.random.default_rng(0)
    numbers, category = g.normal(size=1500), g.integers(0, 4, 1500).astype(float)
    numbers[::10] = np.nan
    raw = np.stack([numbers, category], 1)
    features = np.column_stack([np.nan_to_num(numbers), np.isnan(numbers), np.eye(4)[category.astype(int)]])
    train, held, fresh = slice(0, 600), slice(600, 900), slice(900, 1500)
    mixed = np.concatenate([np.arange(60), np.arange(960, 1500)])  # a tenth copied
    assert copies(raw[mixed], raw[train]) >= 0.1
    floor = copies(raw[fresh], raw[train])  # blanks and categories alone are equal by chance
    assert 0.05 < floor < 0.15
    assert copies(raw[mixed], raw[train]) > floor + 0.05
    training = TrainingSet.of(torch.from_numpy(features[train]), torch.from_numpy(features[held]))
    copied = memorization(torch.from_numpy(features[mixed]), training)
    perfect = memorization(torch.from_numpy(features[fresh]), training)
    assert copied.authenticity < perfect.authenticity and copied.copying.z < perfect.copying.z
