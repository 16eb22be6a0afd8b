"""Rows that hang together are told, with the flag that mends it; independent rows are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pushforward.data import load
from pushforward.data.tables.dependence import row_keys

RNG = np.random.default_rng(0)
N = 300
FRAME = pd.DataFrame({"x": RNG.normal(size=N), "k": RNG.integers(0, 5, N), "c": RNG.choice(["a", "b"], N)})


def flags(frame: pd.DataFrame, **options: object) -> list[str]:
    notes = load(frame, **options).notes
    return [word for note in notes for word in ("--split-by", "--split-time") if word in note]


def test_independent_rows_give_no_warning() -> None:
    assert flags(FRAME) == []
    assert flags(FRAME.assign(zip=RNG.choice(["10115", "20095", "80331"], N))) == []
    assert flags(pd.concat([FRAME[["k", "c"]]] * 3, ignore_index=True)) == []  # few values repeat by chance


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(np.repeat(np.arange(100), 3), name="patient_id"),
        pd.Series([f"P{i // 3:03d}" for i in range(N)], name="who"),
        pd.Series([f"{'abcdefghijklmnopqrst'[i // 15]}" for i in range(N)], name="Subject"),
    ],
)
def test_groups(column: pd.Series) -> None:
    frame = FRAME.assign(**{str(column.name): column})
    assert flags(frame) == ["--split-by"]
    assert flags(frame, split_by=column.name) == []


def test_time() -> None:
    frame = FRAME.assign(when=pd.date_range("2020-01-01", periods=N))
    for own in (frame, frame[::-1], frame.assign(when=frame["when"].dt.strftime("%d.%m.%Y"))):
        assert flags(own) == ["--split-time"]
        assert flags(own, split_time="when") == []
    assert flags(frame.sample(frac=1, random_state=0)) == []
    assert flags(FRAME.assign(year=1900 + np.arange(N) // 3)) == ["--split-time"]


def test_copies() -> None:
    doubled = pd.concat([FRAME, FRAME], ignore_index=True)
    note = next(note for note in load(doubled).notes if "cell by cell" in note)
    data = load(doubled)
    train = {tuple(row) for row in data.train.x.tolist()}
    shared = sum(tuple(row) in train for row in data.test.x.tolist())
    assert note.startswith(f"{shared} of {len(data.test)} test rows")


def test_keys_are_equal_where_rows_are() -> None:
    x = np.array([[0.0, np.nan], [-0.0, -np.nan], [np.nan, 0.0], [1.0, 2.0], [2.0, 1.0]])
    keys = row_keys(x)
    assert keys[0] == keys[1] and len(set(keys.tolist())) == 4
    grid = np.stack(np.meshgrid(np.arange(100.0), np.arange(100.0), np.arange(10.0)), -1).reshape(-1, 3)
    assert len(np.unique(row_keys(grid))) == len(grid)
