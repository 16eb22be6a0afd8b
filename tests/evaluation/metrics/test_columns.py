"""Columns and pairs against SciPy, NumPy, and Gaussians of known correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.evaluation.metrics.columns import (
    ColumnError,
    PairError,
    column_errors,
    mean_column_error,
    mean_pair_error,
    pair_errors,
    worst,
)
from pushforward.spaces import Column, Pixels, Real, Table

RNG = np.random.default_rng(11)
NAN = math.nan
SPACE = Table(
    (
        Column("age", "integer", step=1.0),
        Column("job", "category", tuple("abcde"), missing=True),
        Column("pay", "continuous", missing=True),
        Column("paid", "boolean", ("no", "yes")),
    )
)


def table(n: int, shift: float = 0.0) -> np.ndarray:
    """Rows of SPACE with dependent columns and missing cells."""
    z = RNG.normal(size=n)
    x = np.stack(
        [
            np.round(40 + 10 * z),
            np.clip(np.round(2 + z + RNG.normal(size=n)), 0, 4),
            z + shift + RNG.normal(size=n),
            (z + RNG.normal(size=n) > 0.5) * 1.0,
        ],
        axis=1,
    )
    x[RNG.random(n) < 0.1 + 0.1 * (z > 0), 1] = NAN
    x[RNG.random(n) < 0.2, 2] = NAN
    return x


def test_numbers_are_kolmogorov_smirnov() -> None:
    from scipy.stats import ks_2samp

    x, y = RNG.normal(size=(300, 4)), 1.3 * RNG.normal(size=(170, 4)) + 0.1
    x[:, 3], y[:, 3] = np.round(x[:, 3]), np.round(y[:, 3])  # ties
    errors = column_errors(x, y)
    assert [(e.name, e.measure) for e in errors] == [(f"x{j}", "KS") for j in (1, 2, 3, 4)]
    for j, e in enumerate(errors):
        assert e.value == pytest.approx(ks_2samp(x[:, j], y[:, j]).statistic, rel=1e-9)


def test_a_shifted_normal_has_its_closed_form() -> None:
    r"""sup |Phi(t) - Phi(t - m)| = 2 Phi(m/2) - 1."""
    x, y = RNG.normal(size=100_000), RNG.normal(size=100_000) + 0.8
    assert column_errors(x, y)[0].value == pytest.approx(math.erf(0.4 / math.sqrt(2)), abs=0.008)


def test_missing_numbers_are_an_event() -> None:
    space = Table((Column("v", "continuous", missing=True),))

    def error(x: list[float], y: list[float]) -> float:
        return column_errors(np.array(x)[:, None], np.array(y)[:, None], space)[0].value

    assert error([1, 2, 3, NAN], [1, 2, 3, NAN]) == 0
    assert error([1, 2, 3, 4], [NAN] * 4) == 1
    assert error([1, 2, NAN, NAN], [1, 2, 2, NAN]) == 0.25  # the share of missing cells
    # Large values went missing: nothing but "more than 2" and "missing" has changed, by a half.
    assert error([1, 2, 3, 4], [1, 2, NAN, NAN]) == 0.5
    # Small ones did: "at most 2" has changed by a half; mirrored data give the same.
    assert error([1, 2, 3, 4], [3, 4, NAN, NAN]) == error([-1, -2, -3, -4], [-3, -4, NAN, NAN]) == 0.5
    # Neither "at most t" nor "missing" changes by more than a quarter, but "more than 1" by a half.
    assert error([1, 2, 3, 4], [1, 1, 2, NAN]) == 0.5
    # Equal shares missing, other values: the events count over all rows, missing ones too.
    assert error([1, 1, NAN, NAN], [2, 2, NAN, NAN]) == 0.5


def test_categories_are_total_variation_with_missing_as_a_value() -> None:
    space = Table((Column("c", "category", tuple("abc"), missing=True),))
    x, y = np.array([0, 0, 1, 2, NAN])[:, None], np.array([0, 1, 1, 1, NAN, NAN, NAN, NAN, 2, 2])[:, None]
    expected = 0.5 * (abs(0.4 - 0.1) + abs(0.2 - 0.3) + abs(0.2 - 0.2) + abs(0.2 - 0.4))
    (error,) = column_errors(x, y, space)
    assert error == ColumnError("c", "TV", pytest.approx(expected, rel=1e-12))
    assert column_errors(0 * x, 0 * x + 2, space)[0].value == pytest.approx(0.8)  # the missing fifth agrees


def test_numbers_pair_by_spearman() -> None:
    from scipy.stats import spearmanr

    x, y = RNG.normal(size=(200, 3)), RNG.normal(size=(150, 3))
    x[:, 1] += x[:, 0] ** 3
    y[:, 2] = np.round(y[:, 2] - 2 * y[:, 1])
    found = pair_errors(x, y)
    assert [(e.a, e.b) for e in found] == [("x1", "x2"), ("x1", "x3"), ("x2", "x3")]
    for e, (j, k) in zip(found, ((0, 1), (0, 2), (1, 2))):
        rho = [spearmanr(v[:, j], v[:, k]).statistic for v in (x, y)]
        assert e.measure == "rank correlation"
        assert e.value == pytest.approx(abs(rho[0] - rho[1]) / 2, rel=1e-9)


def test_gaussians_of_known_correlation() -> None:
    r"""Spearman's correlation of normals is :math:`\frac{6}{\pi} \arcsin(\rho / 2)`."""
    n, rho = 50_000, 0.5
    x, y = RNG.normal(size=(n, 2)), RNG.normal(size=(n, 2))
    y[:, 1] = rho * y[:, 0] + math.sqrt(1 - rho**2) * y[:, 1]
    assert pair_errors(x, y)[0].value == pytest.approx(3 / math.pi * math.asin(rho / 2), abs=0.01)
    assert max(e.value for e in column_errors(x, y)) < 0.02  # no column shows it


def test_numbers_with_missing_cells_pair_over_rows_that_have_both() -> None:
    from scipy.stats import spearmanr

    space = Table(tuple(Column(c, "continuous", missing=True) for c in "abc"))
    x, y = RNG.normal(size=(120, 3)), RNG.normal(size=(90, 3))
    x[:, 1] += x[:, 0]
    x[::7, 0] = x[::5, 1] = y[::3, 1] = NAN
    found = pair_errors(x, y, space)
    for e, (j, k) in zip(found, ((0, 1), (0, 2), (1, 2))):
        rho = [spearmanr(v[:, j], v[:, k], nan_policy="omit").statistic for v in (x, y)]
        assert e.value == pytest.approx(abs(rho[0] - rho[1]) / 2, rel=1e-9)


def test_columns_that_do_not_vary_depend_on_nothing() -> None:
    x = RNG.normal(size=(101, 2))
    x[:, 1] = x[:, 0]
    flat = x.copy()
    flat[:, 1] = 0.1
    assert pair_errors(x, flat)[0].value == pytest.approx(0.5)
    assert pair_errors(flat, flat)[0].value == 0


def test_pairs_with_a_category_are_total_variation_of_counts() -> None:
    x, y = table(700), table(500, shift=0.5)
    found = {(e.a, e.b): e for e in pair_errors(x, y, SPACE)}
    assert len(found) == 6
    assert {k for k, e in found.items() if e.measure == "rank correlation"} == {("age", "pay")}

    def counts(v: np.ndarray, j: int, k: int, sizes: tuple[int, int]) -> np.ndarray:
        made = np.zeros(sizes)
        for a, b in zip(v[:, j], v[:, k]):
            made[-1 if np.isnan(a) else int(a), -1 if np.isnan(b) else int(b)] += 1
        return made / len(v)

    both = 0.5 * np.abs(counts(x, 1, 3, (6, 3)) - counts(y, 1, 3, (6, 3))).sum()
    assert found["job", "paid"].value == pytest.approx(both, rel=1e-12)
    edges = np.quantile(x[~np.isnan(x[:, 2]), 2], np.arange(1, 10) / 10, method="lower")

    def cut(v: np.ndarray) -> np.ndarray:
        made = v.copy()
        made[:, 2] = np.where(np.isnan(v[:, 2]), NAN, np.searchsorted(edges, v[:, 2], side="left"))
        return made

    mixed = 0.5 * np.abs(counts(cut(x), 1, 2, (6, 11)) - counts(cut(y), 1, 2, (6, 11))).sum()
    assert found["job", "pay"].value == pytest.approx(mixed, rel=1e-12)


def test_spikes_are_parts_of_their_own() -> None:
    """Nine in ten are zero: the tenth must not be cut together with them."""
    space = Table((Column("gain", "continuous"), Column("rich", "boolean", ("no", "yes"))))
    gain = np.where(np.arange(1000) % 10 == 0, 5000.0 + np.arange(1000), 0.0)
    x = np.stack([gain, (gain > 0) * 1.0], 1)
    y = np.stack([gain, np.roll(gain > 0, 1) * 1.0], 1)  # the same columns, unhooked
    assert max(e.value for e in column_errors(x, y, space)) == 0
    assert pair_errors(x, y, space)[0].value == pytest.approx(0.2, rel=1e-12)


def test_a_broken_dependence_is_seen_in_pairs_only() -> None:
    x, y = table(4000), table(4000)
    assert mean_pair_error(pair_errors(x, y, SPACE)) < 0.05
    for j in range(4):
        y[:, j] = RNG.permutation(y[:, j])
    assert mean_column_error(column_errors(x, y, SPACE)) < 0.03
    broken = pair_errors(x, y, SPACE)
    assert worst(broken).value > 0.2 and all(e.value > 0.05 for e in broken)


def test_no_order_matters_and_equal_samples_have_no_error() -> None:
    x, y = table(300), table(200)
    for f in (column_errors, pair_errors):
        expected = f(x, y, SPACE)
        again = f(RNG.permutation(x), torch.as_tensor(RNG.permutation(y)), SPACE)
        assert [e.value for e in again] == pytest.approx([e.value for e in expected], rel=1e-12)
        assert all(e.value == pytest.approx(0, abs=1e-12) for e in f(x, RNG.permutation(x), SPACE))


def test_vectors_and_pictures_are_numbers() -> None:
    x = RNG.integers(0, 3, (50, 1, 2, 2))
    assert column_errors(x, x[::-1].copy(), Pixels(1, 2, 2, 3))[3] == ColumnError("x4", "KS", 0.0)
    assert column_errors(x.reshape(50, 4), x.reshape(50, 4), Real((4,)))[0].measure == "KS"
    assert len(pair_errors(x, x)) == 6
    named = Real((2,), names=("height", "weight"))
    assert [e.name for e in column_errors(x[:, 0, 0], x[:, 0, 0], named)] == ["height", "weight"]
    # 1e9 + 0.25 k is no number of single precision
    fine = 1e9 + np.arange(8)[:, None] / 4
    assert column_errors(fine, fine + 0.25)[0].value == pytest.approx(1 / 8)


def test_summaries() -> None:
    errors = [ColumnError("a", "KS", 0.1), ColumnError("b", "TV", 0.3), ColumnError("c", "KS", 0.3)]
    assert mean_column_error(errors) == pytest.approx(0.7 / 3) and worst(errors).name == "b"
    pairs = [PairError("a", "b", "TV", 0.2)]
    assert mean_pair_error(pairs) == 0.2 and worst(pairs) is pairs[0]
    with pytest.raises(InputError, match="no pairs of columns"):
        mean_pair_error(pair_errors(np.ones((3, 1)), np.ones((3, 1))))
    with pytest.raises(InputError, match="no columns"):
        mean_column_error([])
    with pytest.raises(InputError, match="the worst"):
        worst([])


@pytest.mark.parametrize("f", [column_errors, pair_errors])
def test_what_cannot_be_used_is_refused(f: object) -> None:
    good = table(5)
    for value, column, message in (
        (5.0, 1, "sampled, row 3, column 'job': 5 is no category.*0 to 4"),
        (0.5, 3, "sampled, row 3, column 'paid': 0.5"),
        (-1.0, 3, "sampled, row 3, column 'paid': -1"),
        (math.inf, 0, "sampled, row 3, column 0: the value is inf"),
    ):
        bad = np.nan_to_num(good)
        bad[3, column] = value
        with pytest.raises(InputError, match=message):
            f(good, bad, SPACE)  # type: ignore[operator]
    with pytest.raises(InputError, match="real, row 1, column 0: the value is nan"):
        f([[1.0], [NAN]], [[1.0], [2.0]])  # type: ignore[operator]
    with pytest.raises(InputError, match=r"real has 3 columns.*table has 4"):
        f(good[:, :3], good[:, :3], SPACE)  # type: ignore[operator]
    with pytest.raises(InputError, match="sampled has no rows"):
        f(good, good[:0], SPACE)  # type: ignore[operator]
