"""`sample`: seeds, conditions, files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.cli.common import parse_condition
from pushforward.errors import InputError
from pushforward.spaces import Classes, Real
from pushforward.training import open_run

from .conftest import Cli


def test_files_hold_what_the_model_samples(cli: Cli, plane_run: Path, tmp_path: Path) -> None:
    document = cli("sample", plane_run, "-n", 12, "--seed", 5, "--out", "a.npz", "--json").json
    assert document["file"] == "a.npz" and document["n"] == 12 and document["seconds"] > 0
    expected = open_run(plane_run).model.sample(12, seed=5)
    np.testing.assert_array_equal(np.load("a.npz")["samples"], expected.numpy())
    assert cli("sample", plane_run, "-n", 12, "--seed", 5, "--out", "a.csv").code == 0
    table = np.genfromtxt("a.csv", delimiter=",", names=True)
    assert table.dtype.names == ("x", "y")
    np.testing.assert_allclose(np.stack([table["x"], table["y"]], 1), expected.numpy(), rtol=1e-6)


def test_the_seed_that_is_told_gives_the_same_again(cli: Cli, plane_run: Path) -> None:
    first = cli("sample", plane_run, "-n", 3, "--out", "a.npz", "--json").json
    second = cli("sample", plane_run, "-n", 3, "--out", "b.npz", "--json").json
    assert first["seed"] != second["seed"]
    cli("sample", plane_run, "-n", 3, "--seed", first["seed"], "--out", "c.npz")
    a, b, c = (np.load(f"{name}.npz")["samples"] for name in "abc")
    np.testing.assert_array_equal(a, c)
    assert not np.array_equal(a, b)


def test_files_are_kept(cli: Cli, plane_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(plane_run, run)
    names = [Path(cli("sample", run, "-n", 3, "--json").json["file"]).name for _ in range(2)]
    assert names == ["samples-3.csv", "samples-3-2.csv"]
    Path("mine.csv").write_text("mine")
    refused = cli("sample", run, "-n", 3, "--out", "mine.csv")
    assert refused.code == 2 and "--overwrite" in refused.err and Path("mine.csv").read_text() == "mine"
    assert cli("sample", run, "-n", 3, "--out", "mine.csv", "--overwrite").code == 0
    assert Path("mine.csv").read_text().startswith("x,y\n")


def test_conditions_are_written_beside_the_samples(cli: Cli, digits_run: Path) -> None:
    assert cli("sample", digits_run, "-n", 5, "--condition", "label=7", "--out", "a.npz", "--seed", 1).code == 0
    assert set(np.load("a.npz")["label"].tolist()) == {"7"}
    assert cli("sample", digits_run, "-n", 400, "--out", "b.npz", "--seed", 1).code == 0
    kept = np.load("b.npz")
    labels = torch.tensor([int(label) for label in kept["label"]])
    assert len(labels.unique()) == 10
    # They are the conditions that the samples were drawn with.
    again = open_run(digits_run).model.sample(400, labels, seed=1)
    np.testing.assert_array_equal(kept["samples"], again.numpy())


def test_a_folder_of_pictures(cli: Cli, digits_run: Path) -> None:
    from PIL import Image

    assert cli("sample", digits_run, "-n", 3, "--condition", "3", "--out", "pictures/").code == 0
    files = sorted(Path("pictures").rglob("*.png"))
    assert len(files) == 3 and Image.open(files[0]).size == (8, 8)
    assert cli("sample", digits_run, "-n", 3, "--out", "grid.png").code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-n", "0"], "-n"),
        (["-n", "-4"], "-n"),
        (["--out", "a.jpg"], ".png"),
        (["--out", "plain"], ".png"),
        (["--condition", "label=12"], "Known: 0, 1"),
        (["--condition", "lable=2"], "Did you mean label"),
        (["--condition", "1", "--condition", "2"], "one class"),
        (["--set", "decoed=mean"], "Did you mean decode"),
        (["--seed", "-1"], "--seed"),
        (["--device", "mps"], "not available"),
    ],
)
def test_refused(cli: Cli, digits_run: Path, tmp_path: Path, words: list[str], says: str) -> None:
    result = cli("sample", digits_run, "--out", "a.npz", *words)
    assert result.code == 2 and says in result.err and "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == []


def test_an_unconditional_model_has_nothing_to_choose(cli: Cli, plane_run: Path) -> None:
    result = cli("sample", plane_run, "--condition", "mode=2", "--out", "a.npz")
    assert result.code == 2 and "unconditional" in result.err


def test_conditions_as_they_are_typed() -> None:
    named = Classes(3, ("cat", "dog", "a=b"))
    assert parse_condition(["kind=dog"], named, "kind") == "dog"
    assert parse_condition(["dog"], named, "kind") == "dog"
    assert parse_condition(["a=b"], named, "kind") == "a=b"
    assert parse_condition(["kind=a=b"], Classes(1, ("b",)), "kind=a") == "b"
    assert parse_condition(None, named, "kind") is None
    vector = Real((2,), names=("age", "height"))
    assert parse_condition(["height=1.8", "age=40"], vector, "age,height") == [40.0, 1.8]
    assert parse_condition(["2.5"], Real((1,), names=("age",)), "age") == [2.5]
    for bad in (["age=4"], ["age=old", "height=1"], ["1.8"], ["agee=4", "height=1"]):
        with pytest.raises(InputError):
            parse_condition(bad, vector, "age,height")
