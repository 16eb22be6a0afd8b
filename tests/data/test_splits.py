"""Splits: disjoint, complete, shuffled, a pure function of (n, seed); views equal copies."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from pushforward.data import load, splits
from pushforward.data.splits import Groups, View, part, shuffled, split_rows
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


@settings(max_examples=60, deadline=None)
@examples(st.lists(st.integers(0, 12), min_size=3, max_size=200), st.integers(0, 99), st.floats(0.02, 0.45))
def test_whole_groups_go_to_one_part(names: list[int], seed: int, share: float) -> None:
    _, codes = np.unique(names, return_inverse=True)
    if codes.max() < 2:
        with pytest.raises(InputError, match=r"'who' has .* different group.*at least 3"):
            split_rows(len(codes), seed, groups=Groups(codes, "who"))
        return
    parts, account = split_rows(len(codes), seed, share, share, groups=Groups(codes, "who"))
    assert torch.equal(torch.cat(list(parts.values())).sort().values, torch.arange(len(codes)))
    own = {name: set(codes[index.numpy()].tolist()) for name, index in parts.items()}
    assert all(own.values()) and sum(len(groups) for groups in own.values()) == codes.max() + 1
    assert account["split_by"] == "who" and account["groups"] == {name: len(own[name]) for name in account["groups"]}
    again, _ = split_rows(len(codes), seed, share, share, groups=Groups(codes, "who"))
    assert all(torch.equal(parts[name], again[name]) for name in parts)


def test_many_small_groups_fill_the_fractions() -> None:
    codes = np.arange(3000) // 3
    parts, _ = split_rows(3000, groups=Groups(codes, "who"))
    assert 297 <= len(parts["test"]) <= 300 and 297 <= len(parts["validation"]) <= 300
    giant = np.minimum(codes, 100)  # one group of 2,700 rows, a hundred of 3: the giant is trained on
    parts, _ = split_rows(3000, validation=0.04, test=0.04, groups=Groups(giant, "who"))
    assert 100 in giant[parts["train"].numpy()] and 117 <= len(parts["test"]) <= 120


@settings(max_examples=60, deadline=None)
@examples(st.lists(st.integers(0, 30), min_size=3, max_size=200), st.floats(0.02, 0.45))
def test_time_puts_the_latest_rows_last(moments: list[int], share: float) -> None:
    times, codes = np.unique(moments, return_inverse=True)
    groups = Groups(codes, "when", by_time=True, labels=tuple(map(str, times)))
    if len(times) < 3:
        with pytest.raises(InputError, match=r"'when' has .* different time.*at least 3"):
            split_rows(len(codes), groups=groups)
        return
    parts, account = split_rows(len(codes), 0, share, share, groups=groups)
    at = {name: np.array(moments)[index.numpy()] for name, index in parts.items()}
    assert at["train"].max() < at["validation"].min() and at["validation"].max() < at["test"].min()
    assert account["from"] == {name: str(at[name].min()) for name in ("validation", "test")}
    assert account["split_time"] == "when" and account["test"] == len(at["test"])


def test_distinct_times_give_the_fractions_asked_for() -> None:
    codes = torch.randperm(1000, generator=torch.Generator().manual_seed(0)).numpy()
    parts, _ = split_rows(1000, groups=Groups(codes, "t", True, tuple(map(str, range(1000)))))
    assert set(codes[parts["test"].numpy()]) == set(range(900, 1000))
    assert set(codes[parts["validation"].numpy()]) == set(range(800, 900))


@pytest.mark.parametrize("kind", ["text", "number", "date", "missing model column"])
def test_a_table_is_split_by_a_column(kind: str) -> None:
    rng = np.random.default_rng(1)
    code = rng.integers(0, 40, 400)
    values = {
        "text": [f"p{c}" for c in code],
        "number": code * 3,
        "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(code, "D"),
        "missing model column": [f"p{c}" for c in code],
    }
    frame = pd.DataFrame({"g": values[kind], "code": code, "x": rng.normal(size=400)})
    drop = {"columns": "g=drop"} if kind == "missing model column" else {}
    for option in ("split_by", "split_time") if kind in ("number", "date") else ("split_by",):
        data = load(frame, **{option: "g"}, **drop)
        at = data.space.names.index("code")
        train, test = (set(part.x[:, at].tolist()) for part in (data.train, data.test))
        assert not train & test and data.split[option] == "g" and data.options[option] == "g"
        assert ("g" in data.space.names) == (not drop)
        assert option == "split_by" or max(train) < min(test)


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
