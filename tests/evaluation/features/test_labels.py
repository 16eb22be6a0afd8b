from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pushforward.data import Data, load
from pushforward.errors import InputError
from pushforward.evaluation.features.labels import find_labels, has_labels

from .data import table, vectors


def test_the_condition_is_the_label() -> None:
    data = load("digits", condition="label")
    found = find_labels(data)
    assert torch.equal(found.train, data.train.conditions()) and torch.equal(found.test, data.test.conditions())
    assert (found.count, found.name, found.column) == (10, "label", None) and has_labels(data)


def test_labels_beside_unconditional_data_are_those_of_the_same_rows() -> None:
    data, conditional = load("digits", split_seed=3), load("digits", split_seed=3, condition="label")
    assert has_labels(data)
    assert torch.equal(find_labels(data).train, conditional.train.conditions())
    assert torch.equal(find_labels(load("moons:n=100")).test, load("moons:n=100", condition=True).test.conditions())


def folder(root: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(generator.integers(0, 255, (8, 8)).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def test_sub_folders_are_labels_with_augmentation_and_without(tmp_path: Path) -> None:
    path = folder(tmp_path / "pets")
    data = load(str(path), flip=True)
    assert has_labels(data)
    assert torch.equal(find_labels(data).train, load(str(path), condition="label").train.conditions())


def test_rows_that_changed_since_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    x, label = np.random.default_rng(0).integers(0, 255, (40, 5, 5)).astype(np.uint8), np.arange(40) % 2
    np.savez(path, x=x, label=label)
    data = load(str(path))
    assert find_labels(data).count == 2
    np.savez(path, x=255 - x, label=label)
    with pytest.raises(InputError, match="no longer the same"):
        find_labels(data)


def test_a_column_of_the_table_itself(tmp_path: Path) -> None:
    data = table(tmp_path)
    found = find_labels(data, "sex")
    assert (found.count, found.column) == (2, 2)
    assert torch.equal(found.train, data.train.all()[0][:, 2].long())
    with pytest.raises(InputError, match="holds numbers"):
        find_labels(data, "hours")


def sources(tmp_path: Path) -> list[tuple[Data, str | None, str]]:
    return [
        (vectors(), None, r"arrays in memory without any.*pair \(x, labels\)"),
        (load("swiss-roll:n=50"), None, "holds numbers"),
        (load("shapes:n=50"), None, "candidates"),
        (load("digits"), "colour", "no column 'colour'"),
    ]


def test_what_has_no_labels_says_what_to_do(tmp_path: Path) -> None:
    for data, column, message in sources(tmp_path):
        with pytest.raises(InputError, match=message):
            find_labels(data, column)
    assert not any(has_labels(data) for data, column, _ in sources(tmp_path) if column is None)
    assert find_labels(load("shapes:n=50"), "shape").count > 1
