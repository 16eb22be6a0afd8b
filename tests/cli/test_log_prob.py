"""`log-prob`: the numbers are the model's own, and percentiles those of the test split."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from pushforward.data import load, read_like
from pushforward.training import open_run

from .conftest import Cli


def test_values_are_the_model_s(cli: Cli, digits_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(digits_run, run)
    document = cli("log-prob", run, "digits", "--json").json
    opened = open_run(run)
    model = opened.model
    x, y = read_like("digits", model.space, model.condition_space, condition="label")
    expected = model.log_prob(x, y)
    values = [row["log_prob"] for row in document["examples"]]
    np.testing.assert_allclose(values, expected.values.numpy(), rtol=1e-6)
    assert document["kind"] == expected.kind == "lower bound"
    assert document["unit"] == expected.unit and document["n"] == len(x)
    assert document["mean"] == pytest.approx(np.mean(values))
    bits = [row["bits_per_dimension"] for row in document["examples"]]
    np.testing.assert_allclose(bits, -np.array(values) / (64 * math.log(2)), rtol=1e-5)
    assert document["mean_standard_error"] == pytest.approx(np.std(values, ddof=1) / len(values) ** 0.5, rel=1e-5)


def test_percentiles_among_held_out_rows(cli: Cli, plane_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(plane_run, run)
    Path("new.csv").write_text("y,x\n0,1\n0.1,0.9\n40,40\n")
    document = cli("log-prob", run, "new.csv", "--json").json
    model = open_run(run).model
    test = load("ring:n=400").test
    held_out = model.log_prob(test).values.numpy()
    rows = document["examples"]
    for row in rows:
        assert row["percentile"] == pytest.approx(100 * (held_out <= row["log_prob"] + 1e-6).mean())
    assert rows[2]["percentile"] == 0
    assert document["held_out"] == {"n": 40, "mean": pytest.approx(held_out.mean(), rel=1e-5)}
    assert "bits_per_dimension" not in rows[0]  # no unit of bits for real numbers


def test_held_out_rows_are_scored_once(cli: Cli, plane_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(plane_run, run)
    first = cli("log-prob", run, "ring:n=30")
    assert "scoring 40 held-out rows" in first.err
    assert "scoring" not in cli("log-prob", run, "ring:n=30").err
    assert "scoring" in cli("log-prob", run, "ring:n=30", "--set", "k=3").err  # other options, other values
    assert "scoring" in cli("log-prob", run, "ring:n=30").err
    (run / "heldout.json").write_text("{")  # damaged
    assert "scoring" in cli("log-prob", run, "ring:n=30").err
    assert cli("fit", "--resume", "--out", run, "--steps", 5).code == 0  # other weights
    assert "scoring" in cli("log-prob", run, "ring:n=30").err


def test_without_the_run_s_data_there_are_no_percentiles(cli: Cli, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    np.save("mine.npy", rows)
    done = cli(
        "fit", "mine.npy", "--model", "vae", "--steps", 2, "--out", "run", "--threads", 1, "--set", "network.width=8"
    )  # fmt: skip
    assert done.code == 0, done.err
    Path("mine.npy").rename("other.npy")
    result = cli("log-prob", "run", "other.npy", "--json")
    assert result.code == 0 and "no percentiles" in result.err and "mine.npy" in result.err
    assert result.json["held_out"] is None and "percentile" not in result.json["examples"][0]


def test_all_values_in_a_file(cli: Cli, plane_run: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    values = [row["log_prob"] for row in cli("log-prob", plane_run, "ring:n=300", "--json").json["examples"]]
    for name in ("v.csv", "v.parquet", "v.npz", "v.json"):
        result = cli("log-prob", plane_run, "ring:n=300", "--out", name)
        assert result.code == 0 and name in result.out
    found = [
        pyarrow.csv.read_csv("v.csv").column("log_prob").to_pylist(),
        pyarrow.parquet.read_table("v.parquet").column("log_prob").to_pylist(),
        np.load("v.npz")["log_prob"].tolist(),
        [row["log_prob"] for row in json.loads(Path("v.json").read_text())],
    ]
    for each in found:
        np.testing.assert_allclose(each, values, rtol=1e-9)


def test_refused(cli: Cli, plane_run: Path, digits_run: Path, implicit_run: Path) -> None:
    no_density = cli("log-prob", implicit_run, "ring:n=30")
    assert no_density.code == 2 and "no density" in no_density.err and "real-nvp" in no_density.err
    Path("other.csv").write_text("a,b\n1,2\n3,4\n")
    for words, says in (
        ([plane_run, "other.csv"], "lacks 'x', 'y'"),
        ([plane_run, "digits"], "model"),
        ([plane_run, "missing.csv"], "missing.csv"),
        ([plane_run, "ring:n=30", "--out", "v.txt"], ".csv"),
        ([plane_run, "ring:n=30", "--set", "kk=3"], "Did you mean k"),
        ([digits_run, "ring:n=30"], "model has"),
    ):
        result = cli("log-prob", *words)
        assert result.code == 2 and says in result.err, (words, result.err)
