"""The Vendi score at its closed forms, and against the eigenvalues of the kernel matrix written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.evaluation.metrics.vendi import LIMIT, vendi_score

G = torch.Generator().manual_seed(9)
X = torch.randn(80, 5, generator=G, dtype=torch.float64)
ORDERS = (0.5, 1.0, 2.0, 3.0, math.inf)


@pytest.mark.parametrize("q", ORDERS)
def test_equal_rows_are_one_and_unlike_rows_are_n(q: float) -> None:
    same = X[:1].repeat(30, 1)
    tolerance = 1e-6 if q >= 1 else 1e-4  # orders below 1 count rounding as rare kinds
    for kernel in ("rbf", "cosine"):
        assert vendi_score(same, 1.0, kernel=kernel, q=q) == pytest.approx(1, rel=tolerance)
    assert vendi_score(torch.eye(30), kernel="cosine", q=q) == pytest.approx(30, rel=1e-9)
    assert vendi_score(1e3 * torch.eye(30), 1.0, q=q) == pytest.approx(30, rel=1e-9)


@pytest.mark.parametrize("q", ORDERS)
def test_k_kinds_with_unequal_shares_are_the_hill_number(q: float) -> None:
    counts = torch.tensor([10, 6, 4])
    shares = (counts / 20).double()
    rows = torch.eye(3).repeat_interleave(counts, 0)
    if q == 1:
        expected = math.exp(-float((shares * shares.log()).sum()))
    elif math.isinf(q):
        expected = 2.0
    else:
        expected = float((shares**q).sum()) ** (1 / (1 - q))
    assert vendi_score(rows, kernel="cosine", q=q) == pytest.approx(expected, rel=1e-6)
    assert vendi_score(rows * 1e3, 1.0, q=q) == pytest.approx(expected, rel=1e-6 if q >= 1 else 1e-3)


@pytest.mark.parametrize("q", [1.0, 2.0, 3.0])
def test_kernels_are_those_of_scikit_learn(q: float) -> None:
    from sklearn.metrics.pairwise import cosine_similarity, rbf_kernel

    x = X.numpy()
    for kernel, matrix in (("rbf", rbf_kernel(x, gamma=1 / (2 * 1.3**2))), ("cosine", cosine_similarity(x))):
        for part, k in ((X, matrix), (X[:4], matrix[:4, :4])):  # fewer rows than columns, and more
            values = np.linalg.eigvalsh(k / len(part)).clip(1e-300)
            entropy = -(values * np.log(values)).sum() if q == 1 else np.log((values**q).sum()) / (1 - q)
            assert vendi_score(part, 1.3, kernel=kernel, q=q) == pytest.approx(math.exp(entropy), rel=1e-9)


def test_no_order_matters_and_copies_add_nothing() -> None:
    for kernel in ("rbf", "cosine"):
        for q in ORDERS:
            value = vendi_score(X, 1.0, kernel=kernel, q=q)
            tolerance = 1e-9 if q >= 1 else 1e-5
            assert vendi_score(X[torch.randperm(80)], 1.0, kernel=kernel, q=q) == pytest.approx(value, rel=tolerance)
            assert vendi_score(X.repeat(2, 1), 1.0, kernel=kernel, q=q) == pytest.approx(
                value, rel=max(1e-6, tolerance)
            )
            assert 1 <= value <= 80


def test_less_spread_is_less_diverse_only_at_a_given_bandwidth() -> None:
    assert vendi_score(0.1 * X, 1.0) < 0.5 * vendi_score(X, 1.0)
    assert vendi_score(0.1 * X) == pytest.approx(vendi_score(X), rel=1e-9)
    far = X + 1e5  # in single precision nothing would be left
    assert vendi_score(far, 1.0) == pytest.approx(vendi_score(X, 1.0), rel=1e-6)


def test_order_two_takes_any_number_of_rows() -> None:
    many = torch.randn(LIMIT + 1, 2, generator=G)
    assert vendi_score(many, 1.0, q=2) == pytest.approx(vendi_score(many[:2500], 1.0, q=2), rel=0.05)
    assert vendi_score(many, kernel="cosine") <= 2 + 1e-9
    with pytest.raises(InputError, match=r"x has 5,001 rows.*q=2"):
        vendi_score(many, 1.0)


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="x, row 1, column 0: the value is nan"):
        vendi_score([[1.0], [math.nan]])
    with pytest.raises(InputError, match="x has no rows"):
        vendi_score(torch.ones(0, 2))
    with pytest.raises(InputError, match="q is 0"):
        vendi_score(X, q=0)
    with pytest.raises(InputError, match="bandwidth is -1"):
        vendi_score(X, -1)
    with pytest.raises(InputError, match="x, row 2: all zeros"):
        vendi_score([[1.0, 0], [0, 1], [0, 0]], kernel="cosine")
    with pytest.raises(InputError, match=r"kernel is 'cosin'.*Did you mean cosine"):
        vendi_score(X, kernel="cosin")  # type: ignore[arg-type]
