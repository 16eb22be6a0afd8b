"""Splits: disjoint, complete, shuffled, a pure function of (n, seed); views equal copies."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from pushforward.data import splits
from pushforward.data.splits import View, part, shuffled, split_rows
from pushforward.dataset import Dataset
from pushforward.errors import InputError
from pushforward.noise import Noise
from pushforward.spaces import Pixels, Real


@settings(max_examples=60, deadline=None)
@examples(st.integers(3, 400), st.integers(0, 2**31), st.floats(0.01, 0.49), st.floats(0.01, 0.49))
def test_parts_are_a_partition_and_never_empty(n: int, seed: int, validation: float, test: float) -> None:
    parts, account = split_rows(n, seed, validation, test)
    together = torch.cat(list(parts.values()))
    assert torch.equal(together.sort().values, torch.arange(n))
    assert all(len(p) >= 1 for p in parts.values())
    assert account["train"] + account["validation"] + account["test"] == n
    if n >= 100:
        assert abs(len(parts["test"]) - test * n) <= 1 and abs(len(parts["validation"]) - validation * n) <= 1


def test_the_order_is_frozen() -> None:
    """A run's test rows must stay its test rows under any version of any library: the value is recorded."""
    digest = hashlib.sha256(shuffled(1000, 0).numpy().astype("<i8").tobytes()).hexdigest()
    assert digest[:16] == "0a797f00424b0771"
    assert not torch.equal(shuffled(1000, 0), shuffled(1000, 1))


def test_class_ordered_rows_are_mixed() -> None:
    labels = torch.arange(10).repeat_interleave(100)  # as a folder of classes is listed
    parts, _ = split_rows(1000)
    for index in parts.values():
        assert len(labels[index].unique()) == 10
    steps = parts["train"].double().diff().sign()
    assert abs(float(steps.mean())) < 0.15  # inside a part rows are mixed too: first batches see every class


def test_a_given_test_part_is_kept_and_validation_comes_from_training() -> None:
    given = np.r_[np.zeros(60), np.full(40, 2)].astype(np.int8)
    parts, account = split_rows(100, given=given)
    assert set(parts["test"].tolist()) == set(range(60, 100))
    assert len(parts["validation"]) == 6 and max(parts["validation"]) < 60
    assert "test as given" in account["how"]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_rows(n: int) -> None:
    with pytest.raises(InputError, match=f"{n} row.*at least 3 rows"):
        split_rows(n)


@pytest.mark.parametrize(
    "options", [{"validation": 0}, {"test": -0.1}, {"test": 1.0}, {"validation": 0.5, "test": 0.5}, {"test": True}]
)
def test_bad_fractions(options: dict) -> None:
    with pytest.raises(InputError, match="Fractions"):
        split_rows(100, **options)


def test_a_view_of_a_large_array_answers_as_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 5)).astype(np.uint8)
    condition, index, space = torch.arange(50), torch.tensor([7, 3, 49, 0]), Pixels(3, 4, 5)
    copy = part(x, condition, index, space, None)
    monkeypatch.setattr(splits, "COPY_LIMIT", 10)
    view = part(x, condition, index, space, None)
    assert isinstance(view, View) and not isinstance(copy, View)
    asked = torch.tensor([2, 2, 0])
    for a, b in ((view, copy), (view.subset(asked), copy.subset(asked))):
        assert len(a) == len(b) and a.bytes == b.bytes - 8 * len(b)  # of the copy, the condition counts
        for left, right in zip(a.all(), b.all()):
            assert torch.equal(left, right)
    assert view.to("cpu") is view
    assert type(view.to("meta")) is Dataset


def test_memory_mapped_rows_are_gathered_without_reading_the_rest(tmp_path) -> None:
    values = np.arange(4000, dtype=np.float16).reshape(1000, 4)
    np.save(tmp_path / "x.npy", values)
    x = np.load(tmp_path / "x.npy", mmap_mode="c")
    view = part(x, None, torch.arange(999, -1, -1), Real((4,)), None)
    rows, _ = view.gather(torch.tensor([0, 5]), Noise.of(0, index=torch.arange(2)))
    assert rows.dtype == torch.float32
    assert torch.equal(rows, torch.tensor(values[[999, 994]]).float())
    assert view.bytes == 1000 * 4 * 4 and math.prod(view.x.shape) == 4000
