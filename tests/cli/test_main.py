"""Help, bad usage, bad input, JSON and exit codes of the whole command."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pushforward import __version__
from pushforward.cli import main
from pushforward.cli.complete import BUILT_IN
from pushforward.registry import recipe_names

from .conftest import Cli

HEAVY = ("torch", "numpy", "pandas", "sklearn", "matplotlib", "pyarrow", "accelerate")


def python(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})}
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["fit", "--help"], 0),
        (["runs", "--help"], 0),
        (["--version"], 0),
        (["models"], 0),
        (["models", "--json"], 0),
        (["reproduce"], 0),
        (["nonsense"], 2),
        (["fit", "--nonsense"], 2),
        (["fit", "ring", "--model", "nonsense"], 2),
    ],
)
def test_answers_without_heavy_imports(words: list[str], code: int) -> None:
    script = (
        "import sys; from pushforward.cli import main; code = main(sys.argv[1:]); "
        f"found = [m for m in {HEAVY!r} if m in sys.modules]; sys.exit(repr(found) if found else code)"
    )
    done = python("-c", script, *words)
    assert done.returncode == code, done.stderr


def test_help_takes_less_than_half_a_second() -> None:
    """Processor time, because other tests run beside this one; importing torch alone would take a second of it."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = python("-m", "pushforward", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0 and "log-prob" in done.stdout
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(3)) < 0.5


def test_completion_of_models_data_and_runs(tmp_path: Path) -> None:
    (tmp_path / "runs" / "photos-vae").mkdir(parents=True)
    (tmp_path / "runs" / "photos-vae" / "config.yaml").touch()

    def complete(line: str) -> list[str]:
        script = (
            f"import os, sys; os.chdir({str(tmp_path)!r}); from pushforward.cli import main; "
            "code = main([]); assert 'torch' not in sys.modules; sys.exit(code)"
        )
        words = line.split(" ")
        env = {
            "_PUSHFORWARD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
        }  # fmt: skip
        return python("-c", script, env=env).stdout.split()

    assert complete("pushforward fit ring --model va") == ["vae"]
    assert complete("pushforward fit di") == ["digits"]
    assert complete("pushforward sample runs/ph") == ["runs/photos-vae"]


def test_built_in_names_for_completion_are_the_real_ones() -> None:
    from pushforward.data.builtin.source import BUILTINS

    assert sorted(BUILTINS) == sorted(BUILT_IN)


def test_version_and_help_of_nothing(cli: Cli) -> None:
    assert cli("--version").out == f"pushforward {__version__}\n"
    assert cli().code == 0 and "Usage" in cli().out


def _files(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("x")
    (folder / "one.csv").write_text("a,b\n1,2\n")
    (folder / "text.csv").write_text("a,b\n1,2\n3,oops\n5,6\n7,8\n")
    (folder / "hole.csv").write_text("a,b\n1,2\n3,\n5,6\n7,8\n")
    (folder / "pickled.pt").write_bytes(b"\x80\x04.")
    np.save(folder / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fit"], "which data"),
        (["fit", "missing.csv"], "missing.csv"),
        (["fit", "rign"], "Did you mean ring"),
        (["fit", "empty"], "empty"),
        (["fit", "one.csv"], "row"),
        (["fit", "text.csv"], "'oops'"),
        (["fit", "hole.csv", "--no-missing"], "row 2"),
        (["fit", "pickled.pt"], "never opened"),
        (["fit", "objects.npy"], "never opened"),
        (["fit", "ring:modez=3"], "Did you mean modes"),
        (["fit", "ring", "--model", "vea"], "Did you mean vae"),
        (["fit", "ring", "--model", "vae", "--set", "network.widht=3"], "Did you mean network.width"),
        (["fit", "ring", "--model", "vae", "--set", "netwrok.width=3"], "Did you mean network"),
        (["fit", "ring", "--model", "vae", "--set", "training.batch_size=-1"], "batch_size"),
        (["fit", "ring", "--model", "vae", "--set", "network"], "name=value"),
        (["fit", "ring", "--condition", "mdoe"], "Did you mean mode"),
        (["fit", "ring", "--steps", "0"], "--steps"),
        (["fit", "ring", "--steps", "-5"], "--steps"),
        (["fit", "ring", "--steps", "many"], "--steps"),
        (["fit", "ring", "--epochs", "-1"], "not positive"),
        (["fit", "ring", "--model", "vae", "--budget", "soon"], "3m"),
        (["fit", "ring", "--model", "vae", "--budget", "0s"], "not positive"),
        (["fit", "ring", "--steps", "5", "--budget", "3m"], "Choose one"),
        (["fit", "ring", "--device", "tpu"], "--device"),
        (["fit", "ring", "--precision", "64"], "--precision"),
        (["fit", "ring", "--image-size", "32"], "image_size"),
        (["fit", "digits", "--image-size", "big"], "not a size"),
        (["fit", "ring", "--setps", "5"], "--steps"),
        (["fit", "ring", "--init", "runs/none", "--model", "vae", "--out", "new"], "runs/none"),
        (["fit", "--resume"], "no run to resume"),
        (["fit", "--resume", "--out", "runs/none"], "runs/none"),
        (["sample", "runs/none", "-n", "3"], "runs/none"),
        (["sample", "notes", "-n", "3"], "not a run folder"),
        (["log-prob", "runs/none", "ring"], "runs/none"),
        (["models", "vea"], "Did you mean vae"),
        (["runs", "show", "runs/none"], "runs/none"),
        (["runs", "rm", "notes", "--yes"], "not a run folder"),
        (["runs", "list", "nowhere"], "nowhere"),
        (["reproduce", "ring-mods"], "Did you mean ring-modes"),
        (["reproduce", "ring-modes", "--seeds", "0"], "--seeds"),
        (["smaple"], "Did you mean 'sample'"),
    ],
)
def test_bad_input_is_one_clear_line(cli: Cli, tmp_path: Path, words: list[str], says: str) -> None:
    _files(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = cli(*words)
    assert result.code == 2, result.err
    errors = [line for line in result.err.splitlines() if not line.startswith(("data:", "model:"))]
    assert len(errors) == 1 and errors[0].startswith("Error: ") and says in errors[0]
    assert result.out == ""
    as_json = cli(*words, "--json")
    assert as_json.code == 2
    error = as_json.json["error"]
    assert says in f"{error['message']} {error['hint']}" and error["exit_code"] == 2
    assert sorted(tmp_path.rglob("*")) == before  # nothing was begun


def test_a_bug_says_so_and_debug_shows_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[str, ...]:
        raise ZeroDivisionError("nothing over nothing")

    monkeypatch.setattr("pushforward.registry.recipe_names", broken)
    result = cli("models")
    assert result.code == 1 and "This is a bug" in result.err and "Traceback" not in result.err
    debug = cli("models", "--debug")
    assert debug.code == 1 and "Traceback" in debug.err
    as_json = cli("models", "--json")
    assert as_json.code == 1 and "nothing over nothing" in as_json.json["error"]["message"]


def test_interrupt_outside_of_training(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> tuple[str, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr("pushforward.registry.recipe_names", interrupt)
    assert main(["models"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_models_are_grouped_by_what_they_know(cli: Cli) -> None:
    rows = cli("models", "--json").json
    assert sorted(row["name"] for row in rows) == sorted(recipe_names())
    order = ["exact density", "lower bound", "estimate", "implicit"]
    kinds = [row["likelihood"] for row in rows]
    assert kinds == sorted(kinds, key=order.index)
    text = cli("models").out
    assert all(row["name"] in text and row["summary"] in text for row in rows)


def test_one_model_shows_every_option(cli: Cli) -> None:
    from pushforward.registry import model_class

    row = cli("models", "vae", "--json").json
    names = {option["name"] for option in row["options"]}
    top = {n for n in model_class("vae").Settings.model_fields if n not in ("network", "optimizer", "table")}
    assert top | {"network.width", "table.transform", "optimizer.learning_rate", "training.batch_size"} <= names
    text = cli("models", "vae").out
    assert all(name in text for name in names) and row["source"][0] in text


def test_doctor_writes_nothing(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = cli("doctor", "--json").json
    import torch

    assert result["packages"]["torch"] == torch.__version__
    assert result["threads"] == torch.get_num_threads()
    assert result["torch_line"].startswith("pip install torch")
    assert "pip install torch" in cli("doctor").out
    assert list(tmp_path.iterdir()) == []
