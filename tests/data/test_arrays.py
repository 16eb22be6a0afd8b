"""Arrays: shapes to spaces, types kept, nothing unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pushforward.data import load
from pushforward.data.arrays import as_rows
from pushforward.data.splits import View
from pushforward.errors import InputError
from pushforward.spaces import Classes, Pixels, Real

RNG = np.random.default_rng(0)


def everything(data: Any) -> torch.Tensor:
    return torch.cat([p.all()[0] for p in (data.train, data.validation, data.test)])


@pytest.mark.parametrize(
    ("shape", "dtype", "space"),
    [
        ((20, 5, 6), np.uint8, Pixels(1, 5, 6)),
        ((20, 5, 6, 3), np.uint8, Pixels(3, 5, 6)),
        ((20, 3, 5, 6), np.uint8, Pixels(3, 5, 6)),
        ((20, 5, 6, 1), np.uint8, Pixels(1, 5, 6)),
        ((20, 5, 6, 4), np.uint8, Pixels(4, 5, 6)),
        ((20, 5, 6), np.int64, Pixels(1, 5, 6)),
        ((20, 5, 6), bool, Pixels(1, 5, 6, levels=2)),
        ((20, 5, 6), np.float32, Real((1, 5, 6))),
        ((20, 3, 5, 6), np.float32, Real((3, 5, 6))),
        ((20, 3, 5, 6), np.float64, Real((3, 5, 6), double=True)),
        ((20, 7), np.float32, Real((7,))),
        ((20, 7), np.float16, Real((7,))),
        ((20, 7), np.float64, Real((7,), double=True)),
        ((20, 7), np.int32, Real((7,), double=True)),
        ((20, 7), np.uint8, Real((7,), double=True)),
        ((20,), np.float32, Real((1,))),
    ],
)
def test_shapes_and_types_decide_the_space(shape: tuple, dtype: Any, space: Any, tmp_path: Path) -> None:
    x = RNG.integers(0, 2 if dtype is bool else 200, shape).astype(dtype)
    data = load(x)
    assert data.space == space
    rows = everything(data)
    assert rows.dtype == space.dtype and rows.shape == (20, *space.shape)
    assert torch.equal(space.check(rows), rows)
    np.save(tmp_path / "x.npy", x)
    assert load(tmp_path / "x.npy").hash == data.hash
    if dtype is not bool:
        assert load(torch.from_numpy(x)).hash == data.hash


def test_no_value_changes_on_the_way() -> None:
    x = RNG.normal(size=(30, 2, 3)) * 1e9
    parts = load(x, split_seed=3)
    assert {bytes(r) for r in everything(parts).numpy()} == {bytes(r) for r in x[:, None]}
    hwc = RNG.integers(0, 256, (12, 6, 5, 3)).astype(np.uint8)
    assert {bytes(r) for r in everything(load(hwc)).numpy()} == {
        bytes(np.ascontiguousarray(r.transpose(2, 0, 1))) for r in hwc
    }


def test_loading_does_not_touch_or_share_the_users_array() -> None:
    x = np.arange(40.0).reshape(20, 2)
    x.setflags(write=False)
    data = load(x)
    data.train.x += 1
    assert np.array_equal(x, np.arange(40.0).reshape(20, 2))


def test_a_pair_is_conditional_unless_told_otherwise() -> None:
    x, y = RNG.normal(size=(40, 2)).astype(np.float32), np.arange(40) % 3
    data = load((x, y))
    assert data.condition_space == Classes(3, ("0", "1", "2"))
    rows, labels = data.train.all()
    for row, label in zip(rows.numpy(), labels):  # rows keep their own label
        assert y[np.flatnonzero((x == row).all(1))[0]] == label
    assert load((x, y), condition=False).condition_space is None
    assert load((x, RNG.normal(size=(40, 3)))).condition_space == Real(
        (3,), names=("condition_1", "condition_2", "condition_3"), double=True
    )
    assert load((x, ["a", "b"] * 20)).condition_space == Classes(2, ("a", "b"))


def test_npz_names_and_a_given_test_part(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (60, 4, 4)).astype(np.uint8)
    labels = np.arange(60) % 5
    for names in (
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
    ):
        parts = dict(zip(names, (images[:40], labels[:40], images[40:], labels[40:])))
        np.savez(tmp_path / "set.npz", **parts)
        data = load(tmp_path / "set.npz", condition="label")
        assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 20)
        assert {bytes(r) for r in data.test.x.numpy()} == {bytes(r) for r in images[40:, None]}
        for part in (data.train, data.test):
            for row, label in zip(part.x.numpy(), part.condition):
                assert labels[np.flatnonzero((images == row[0]).all((1, 2)))[0]] == label
    assert load(tmp_path / "set.npz").condition_space is None
    assert load({"data": images, "y": labels}, condition="label").condition_space == Classes(5, tuple("01234"))
    assert (
        load({"data": images, "y": labels}, condition=True).hash
        == load({"images": images, "label": labels}, condition=True).hash
    )


def test_npy_above_the_budget_stays_on_disk(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (200, 6, 5, 3)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    small, large = load(tmp_path / "x.npy"), load(tmp_path / "x.npy", memory_budget=1000)
    assert isinstance(large.train, View) and not isinstance(small.train, View)
    assert large.hash == small.hash
    for a, b in zip(large.train.all(), small.train.all()):
        assert a is b is None or torch.equal(a, b)
    np.savez(tmp_path / "x.npz", x)
    with pytest.raises(InputError, match=r"memory budget.*\.npy"):
        load(tmp_path / "x.npz", memory_budget=1000)


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


def test_pickles_are_refused_and_never_run(tmp_path: Path) -> None:
    objects = np.array([Bomb(), 1], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", x=objects)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("o.npy", "o.npz", "plain.npy"):
        with pytest.raises(InputError, match="never opened"):
            load(tmp_path / name)
    for suffix in (".pkl", ".pt", ".pth", ".joblib"):
        (tmp_path / f"m{suffix}").write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(InputError, match="never opened"):
            load(tmp_path / f"m{suffix}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.array([["a", "b"]] * 5), "text"),
        (np.array([object()] * 5), "Python objects"),
        (np.zeros((5, 2), complex), "complex"),
        (np.zeros((2, 2, 2, 2, 2)), "shape"),
        (np.array(1.0), "shape"),
        (np.zeros((0, 3)), "empty"),
        (np.zeros((5, 0)), "empty"),
        (np.zeros((1, 3)), "1 row"),
        (np.zeros((9, 8, 8, 5), np.uint8), "number of channels"),
        ([[1, 2], [3]], "rectangular"),
        ((np.zeros((5, 2)), np.zeros(4)), r"\(5, 2\).*\(4,\)"),
        ({"a": np.zeros(5), "b": np.zeros(5)}, "which array is the data"),
        ({"x": np.zeros((5, 2)), "label": np.zeros(3)}, "label"),
        ({"x_train": np.zeros((5, 2)), "x_test": np.zeros((5, 3))}, "x_test"),
        ({}, "which array"),
        ({"label": np.zeros(5)}, r"labels \(label\) without"),
        (
            {"train_labels": np.zeros(5), "test_labels": np.zeros(3)},
            "labels .train_labels, test_labels. without",
        ),
        (np.ma.masked_equal(np.arange(10.0).reshape(5, 2), 7.0), r"index \[3, 1\] is masked; 1 value of 10"),
    ],
)
def test_bad_arrays_are_one_clear_error(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source)


def test_the_first_value_that_is_not_finite_is_located() -> None:
    x = np.zeros((3_000_000, 2))  # several blocks
    x[2_500_000, 1] = np.inf
    x[2_999_999, 0] = np.nan
    with pytest.raises(InputError, match=r"index \[2500000, 1\]\) is inf; 2 values of 6,000,000"):
        load(x)


def test_messages_name_the_file_and_the_place(tmp_path: Path) -> None:
    x = np.zeros((20, 3), np.float32)
    x[7, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    for options in ({}, {"memory_budget": 10}):
        with pytest.raises(InputError, match=r"x\.npy: the value at row 7 \(index \[7, 2\]\) is nan"):
            load(tmp_path / "x.npy", **options)
    np.savez(tmp_path / "x.npz", x=np.zeros((20, 3)), label=np.zeros(19))
    with pytest.raises(InputError, match=r"x\.npz: data of shape \(20, 3\), but 'label' of shape \(19,\)"):
        load(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=x)
    with pytest.raises(InputError, match=r"x\.npz: the value at row 7"):
        load(tmp_path / "x.npz")


def test_nothing_is_rounded_or_unmasked_in_silence() -> None:
    x = np.arange(40).reshape(20, 2)
    assert not load(x).notes
    x[5, 1] = (1 << 53) + 1
    assert any("beyond 2^53 (row 5: 9007199254740993)" in note for note in load(x).notes)
    whole = np.ma.masked_equal(np.arange(40.0).reshape(20, 2), -1)  # a mask that hides nothing
    assert load(whole).hash == load(np.arange(40.0).reshape(20, 2)).hash
    assert load(torch.eye(5).to_sparse()).hash == load(torch.eye(5)).hash


def test_damaged_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((50, 50)))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-100])
    (tmp_path / "x.npz").write_bytes(whole)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match="damaged"):
            load(tmp_path / name)
        with pytest.raises(InputError, match="damaged"):
            load(tmp_path / name, memory_budget=10)


def test_size_and_grey_apply_to_pixel_arrays_only() -> None:
    x = RNG.integers(0, 256, (12, 3, 8, 8)).astype(np.uint8)
    assert load(x, image_size=(4, 6), grey=True).space == Pixels(1, 4, 6)
    flat = np.full((12, 3, 8, 8), 77, np.uint8)
    assert set(everything(load(flat, image_size=5)).unique().tolist()) == {77}
    with pytest.raises(InputError, match="image_size= is for pictures"):
        load(x.astype(np.float32), image_size=4)
    with pytest.raises(InputError, match="from 1 to 4096"):
        load(x, image_size=0)


def test_memory_mapped_types_are_converted_when_gathered(tmp_path: Path) -> None:
    np.save(tmp_path / "i.npy", np.arange(4000).reshape(1000, 4))
    data = load(tmp_path / "i.npy", memory_budget=100)
    assert everything(data).dtype == torch.float64 == data.space.dtype
    assert sorted(everything(data)[:, 0].tolist()) == list(range(0, 4000, 4))


def test_as_rows_of_ambiguous_channels_says_so() -> None:
    _, space, notes = as_rows(np.zeros((9, 3, 8, 3), np.uint8), "x")
    assert space == Pixels(3, 8, 3) and "axis 1 taken" in notes[0]
