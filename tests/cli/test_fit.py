"""`fit`: plans, folders, resuming, interruption."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pushforward.training import open_run

from .conftest import SMALL, Cli

RING = ("fit", "ring:n=400", "--model", "vae", *SMALL)


def test_a_dry_run_tells_the_cost_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    plan = cli(*RING, "--epochs", 4, "--dry-run", "--json").json
    assert list(tmp_path.iterdir()) == []
    from pushforward.registry import build
    from pushforward.spaces import Real

    model = build("vae", Real((2,), names=("x", "y")), overrides={"network": {"width": 16, "depth": 1}})
    assert plan["parameters"] == sum(p.numel() for p in model.parameters())
    assert plan["data"]["sizes"] == {"train": 320, "validation": 40, "test": 40}
    assert plan["steps"] == 4 * 320 / plan["batch_size"]
    assert plan["memory_bytes"] > 24 * plan["parameters"] and plan["seconds"] > 0
    text = cli(*RING, "--dry-run").out
    for word in ("shape (2,)", "parameters", "memory", "time", "nothing was written"):
        assert word in text
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_a_fit(cli: Cli, tmp_path: Path) -> None:
    done = cli(*RING, "--steps", 8, "--json")
    assert done.code == 0
    document = done.json
    assert document["run"] == "runs/ring-vae" and document["steps"] == 8
    assert document["held_out_loss"] == open_run("runs/ring-vae").status["held_out"]
    for command in document["next"]:
        words = command.removeprefix("pushforward ").replace("NEW_DATA", "ring:n=30").split()
        assert cli(*words).code == 0, command
    # The next run of the same data and model gets a folder of its own, and says where.
    again = cli(*RING, "--steps", 8)
    assert again.code == 0 and "runs/ring-vae-2" in again.out
    assert str(open_run("runs/ring-vae-2").status["verdict"]) in again.out
    assert "pushforward sample runs/ring-vae-2" in again.out


def test_an_existing_folder_is_kept_unless_told(cli: Cli, tmp_path: Path) -> None:
    assert cli(*RING, "--steps", 4, "--out", "kept").code == 0
    before = (tmp_path / "kept" / "status.json").read_text()
    refused = cli(*RING, "--steps", 4, "--out", "kept")
    assert refused.code == 2 and "--overwrite" in refused.err and "--resume" in refused.err
    # A command that cannot work does not cost the old run, --overwrite or not.
    for bad in (["--init", "nowhere"], ["--budget", "soon"], ["--set", "network.depth=-1"]):
        steps = [] if "--budget" in bad else ["--steps", "4"]
        assert cli(*RING, *steps, "--out", "kept", "--overwrite", *bad).code == 2
        assert (tmp_path / "kept" / "status.json").read_text() == before
    assert cli(*RING, "--steps", 5, "--out", "kept", "--overwrite").code == 0
    assert open_run("kept").status["steps"] == 5
    # What is not a run is never replaced.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    assert cli(*RING, "--steps", 4, "--out", "mine", "--overwrite").code == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def test_a_finished_run_is_trained_further(cli: Cli, plane_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "ring-vae"
    shutil.copytree(plane_run, folder)
    assert cli("fit", "--resume", "--steps", 7, "--json").json["steps"] == 27  # the latest run of runs/
    assert cli("fit", "ring", "--model", "vae", "--resume", "--out", folder, "--steps", 3).code == 2  # other data
    other = cli("fit", "--resume", "--model", "gan", "--out", folder)
    assert other.code == 2 and "vae" in other.err
    for option in (["--seed", "3"], ["--set", "network.width=3"], ["--condition", "mode"], ["--dry-run"]):
        fixed = cli("fit", "--resume", "--out", folder, *option)
        assert fixed.code == 2 and option[0] in fixed.err


def test_several_processes_need_a_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = cli(*RING)
    assert result.code == 2 and "--out" in result.err


def test_weights_of_another_run(cli: Cli, plane_run: Path) -> None:
    assert cli(*RING, "--steps", 1, "--init", plane_run, "--out", "next").code == 0
    assert "tensors taken" in Path("next/log.txt").read_text()


def test_interrupted_and_resumed(tmp_path: Path, cli: Cli) -> None:
    words = ["fit", "ring:n=400", "--model", "vae", *SMALL, "--steps", "50000", "--out", "long run", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pushforward", *words], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    metrics = tmp_path / "long run" / "metrics.jsonl"
    deadline = time.monotonic() + 90
    while not metrics.is_file():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    import json

    error = json.loads(out)["error"]
    assert error["exit_code"] == 130 and "saved" in error["message"]
    assert error["hint"] == "Go on with: pushforward fit --resume --out 'long run'"
    run = open_run("long run")
    assert run.status["state"] == "interrupted" and run.status["steps"] > 0
    assert cli("sample", "long run", "-n", 2).code == 0
    done = cli("fit", "--resume", "--out", "long run", "--steps", 3, "--json").json
    assert done["steps"] == run.status["steps"] + 3
    assert open_run("long run").status["state"] == "finished"
