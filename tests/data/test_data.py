"""`load`: reload by options, hashes, descriptions, and paths that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from pushforward.data import Data, load
from pushforward.dataset import batch_rows
from pushforward.errors import InputError
from pushforward.noise import BatchNoise
from pushforward.spaces import Space

RNG = np.random.default_rng(0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "My table.csv"
    rows = "".join(f"{v[0]},{v[1]},{i % 4}\n" for i, v in enumerate(RNG.normal(size=(50, 2))))
    path.write_text("a,b,k\n" + rows)
    return path


def same(a: Data, b: Data) -> bool:
    parts = all(
        torch.equal(left, right)
        for name in ("train", "validation", "test")
        for left, right in zip(getattr(a, name).all(), getattr(b, name).all())
        if left is not None or right is not None
    )
    return parts and a.describe() == b.describe()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"condition": "k"},
        {"condition": "a,b", "split_seed": 5},
        {"validation": 0.3, "test": 0.2},
        {"columns": {"k": "category"}, "missing": False},
        {"columns": {"k": "drop"}, "split_by": "k"},
        {"split_time": "a", "separator": ",", "encoding": "utf-8", "decimal": "."},
    ],
)
def test_source_and_options_reload_the_same_data(table: Path, options: dict) -> None:
    data = load(table, **options)
    options_read_back = json.loads(json.dumps(data.options))
    assert same(data, load(data.source, **options_read_back))
    assert data.options == options


def test_built_ins_and_pairs_reload_too() -> None:
    for data in (load("ring:n=200", seed=np.int64(3), condition=True), load("digits")):
        assert same(data, load(data.source, **json.loads(json.dumps(data.options))))
    pair = (np.ones((20, 2)), np.arange(20) % 2)
    unconditional = load(pair, condition=False)
    assert same(unconditional, load(pair, **unconditional.options))
    with pytest.raises(InputError, match="array in memory"):
        load(unconditional.source)


def test_describe_is_json_and_spaces_come_back(table: Path) -> None:
    data = load(table, condition="k")
    described = json.loads(json.dumps(data.describe()))
    assert Space.from_json(described["space"]) == data.space
    assert Space.from_json(described["condition_space"]) == data.condition_space
    assert described["sizes"] == {"train": 40, "validation": 5, "test": 5}
    assert data.name == "my-table" and data.notes[0] == "50 rows, 2 columns: 2 continuous"
    known = "tables of 2 columns (2 continuous) given 4 classes (0, 1, 2, 3)"
    assert repr(data) == f"Data(my-table: {known}, 40 + 5 + 5 rows)"


def test_the_hash_sees_values_types_shapes_order_and_conditions() -> None:
    x, y = RNG.normal(size=(20, 6)), np.arange(20) % 2
    other = x.copy()
    other[7, 3] = np.nextafter(other[7, 3], 9)
    variants: list[Any] = [x, other, x[::-1].copy(), x.astype(np.float32), x.reshape(20, 2, 3)]
    variants += [(x, y), (x, y[::-1].copy()), (x, ["ab"[i] for i in y])]
    hashes = [load(v).hash for v in variants]
    assert len(set(hashes)) == len(variants)
    assert load(x, split_seed=9).hash == hashes[0] and load(x.copy(order="F")).hash == hashes[0]


def test_the_hash_of_a_table_sees_names_and_categories(table: Path, tmp_path: Path) -> None:
    text = table.read_text()
    variants = [text, text.replace("a,b,k", "a,c,k"), text.replace(",3\n", ",7\n"), text.replace("\n0", "\n1", 1)]
    hashes = []
    for i, variant in enumerate(variants):
        (tmp_path / f"{i}.csv").write_text(variant)
        hashes.append(load(tmp_path / f"{i}.csv", columns={"k": "category"}).hash)
    assert len(set(hashes)) == len([v for i, v in enumerate(variants) if v not in variants[:i]])
    assert load(table, columns={"k": "category"}, split_by="k").hash == hashes[0]


def test_missing_files_suggest_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flood.csv").write_text("a\n1\n2\n3\n")
    monkeypatch.chdir(tmp_path)
    for name, hint in (("fload.csv", "flood.csv"), ("flood", "flood.csv"), ("rnig", "ring"), ("digit", "digits")):
        with pytest.raises(InputError, match=f"Did you mean {hint}"):
            load(name)
    with pytest.raises(InputError, match="built-in: ring"):
        load("/nowhere/at/all.csv")
    with pytest.raises(InputError, match="unknown option 'std'"):
        load("flood.csv", std=3)


def test_unsupported_files(tmp_path: Path) -> None:
    for name in ("a.xlsx", "a.json", "a", "a.log"):
        (tmp_path / name).write_text("1,2\n")
        with pytest.raises(InputError, match=r"not supported\..*\.csv.*\.npz"):
            load(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_files_without_permission(table: Path) -> None:
    table.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        load(table)


def test_options_of_the_wrong_type() -> None:
    for options in ({"condition": 3}, {"condition": ""}, {"split_seed": -1}, {"split_seed": 1.5}, {"validation": "x"}):
        with pytest.raises(InputError):
            load("ring:n=50", **options)  # type: ignore[arg-type]


def test_minibatches_by_index_are_twenty_times_faster_than_a_loader_of_samples() -> None:
    """At MNIST's shape, in processor time, best of several: about 90 times."""
    data = load((RNG.integers(0, 256, (12_000, 28, 28)).astype(np.uint8), np.arange(12_000) % 10)).train

    def best(batch: Any, count: int) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            for draw in range(count):
                batch(draw)
            times.append((time.process_time() - start) / count)
        return min(times)

    def ours(draw: int) -> Any:
        index = batch_rows(len(data), 128, draw, 0)
        return data.gather(index, BatchNoise(draw, 0, 128, 128))

    loader = iter(DataLoader(TensorDataset(data.x, data.condition), batch_size=128, shuffle=True))
    x, labels = ours(0)
    assert [t.shape for t in next(loader)] == [x.shape, labels.shape]
    assert 20 * best(ours, 40) < best(lambda _: next(loader), 12)


def test_reading_arrays_and_built_ins_imports_no_plots_and_no_tables() -> None:
    code = (
        "import sys, pushforward as pf; pf.load('ring:n=100'); "
        "print([m for m in ('matplotlib', 'pandas', 'sklearn', 'pyarrow', 'torchvision') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
