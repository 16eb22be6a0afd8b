"""`evaluate` and `compare`: verdicts on the screen, one document with --json, reports on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import SMALL, Cli

FEW = ("-n", 30, "--sets", 2, "--points", 10, "--features", "standardized", "--metrics", "columns")
DATA = "ring:n=600"


@pytest.fixture
def run(cli: Cli) -> Path:
    assert cli("fit", DATA, "--model", "vae", "--steps", 3, "--out", "runs/v", *SMALL).code == 0
    return Path("runs/v")


def test_a_run_on_its_own_held_out_rows(cli: Cli, run: Path) -> None:
    result = cli("evaluate", run, *FEW, "--density", "k=4", "--set", "decode=mean")
    assert result.code == 0, result.err
    assert "floor (real data)" in result.out and "n = 30 samples" in result.out
    page = run / "evaluation" / "report.html"
    assert page.is_file() and str(page) in result.out
    document = json.loads((run / "evaluation" / "report.json").read_text())
    model = document["rows"][0]
    assert model["likelihood"]["draws"] is not None and model["notes"][0].startswith("sampling options: decode=mean")


def test_one_json_document(cli: Cli, run: Path) -> None:
    result = cli("evaluate", run, *FEW, "--json", "--out", "elsewhere")
    assert result.json["report"] == "elsewhere/report.html"
    assert result.json["rows"][0]["values"]["columns"]["n"] == 30
    assert len(result.json["rows"][0]["values"]["columns"]["each"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--metrics", "colums"), "Error: unknown metric 'colums'. Did you mean"),
        (("--features", "pca"), "Error: there are no features 'pca'."),
        (("--set", "decod=mean"), "Error: unknown sampling option 'decod'."),
        (("--density", "kk=3"), "Error: unknown log-prob option 'kk'."),
        (("-n", 5), "Error: n is 5."),
    ],
)
def test_mistakes_are_one_sentence(cli: Cli, run: Path, words: tuple[object, ...], message: str) -> None:
    result = cli("evaluate", run, *words)
    assert result.code == 2 and result.err.strip().splitlines()[-1].startswith(message), result.err
    assert "Traceback" not in result.err and not (run / "evaluation").exists()


def test_other_data_must_be_alike(cli: Cli, run: Path) -> None:
    assert cli("evaluate", run, "ring:n=600,seed=5", *FEW).code == 0
    result = cli("evaluate", run, "digits")
    assert result.code == 2 and "the model is for 2 real numbers" in result.err


def test_models_on_data_and_again(cli: Cli) -> None:
    words = ("compare", DATA, "--models", "gmm,vae", "--budget", "1s", *FEW)
    first = cli(*words)
    assert first.code == 0, first.err
    assert Path("comparisons/ring/report.html").is_file() and "comparisons/ring/report.html" in first.out
    again = cli("compare", "--resume", "--out", "comparisons/ring", "--json")
    assert again.code == 0 and {row["name"] for row in again.json["rows"]} >= {"gmm", "vae"}
    assert cli(*words, "--out", "comparisons/ring").code == 2
    assert cli(*words).code == 0 and Path("comparisons/ring-2/report.html").is_file()


def test_finished_runs(cli: Cli, run: Path) -> None:
    assert cli("fit", DATA, "--model", "gmm", "--out", "runs/g").code == 0
    result = cli("compare", run, "runs/g", *FEW, "--out", "both")
    assert result.code == 0, result.err
    assert "vae" in result.out and "gmm" in result.out and Path("both/report.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which data?"),
        (("--resume",), "which comparison should be resumed?"),
        ((DATA, "digits"), "digits is not a run."),
        ((DATA, "--models", "gm"), "unknown model 'gm'."),
        ((DATA, "--match", "parms"), "Invalid value for '--match'"),
        ((DATA, "--budget", "soon"), "--budget 'soon' is not a duration."),
        (("nowhere.csv",), "there is no file, folder or built-in 'nowhere.csv'."),
    ],
)
def test_mistakes_of_compare(cli: Cli, words: tuple[object, ...], message: str) -> None:
    result = cli("compare", *words)
    assert result.code == 2 and message in result.err, result.err
    assert "Traceback" not in result.err and not Path("comparisons").exists()


def test_two_fits_at_a_time_report_the_processor(cli: Cli) -> None:
    result = cli("compare", DATA, "--models", "gmm,vae", "--budget", "1s", "--jobs", 2, *FEW, "--json")
    assert result.code == 0, result.err
    assert result.json["settings"]["time"] == "processor seconds"
    assert all(row["cost"]["train_seconds"] > 0 for row in result.json["rows"] if row["kind"] == "model")
