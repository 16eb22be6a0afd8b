"""A fit as a user sees it: the run folder, resume, overwrite, interruption, initialization, your own networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
import yaml

import pushforward as pf
from pushforward.errors import InputError
from pushforward.training import dry_run, run_fit

SMALL = {"network": {"width": 16, "depth": 1}, "training": {"threads": 1, "batch_size": 64, "grids": 1}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "ring-real-nvp"
    pf.fit("real-nvp", "ring:n=2000", steps=60, out=out, seed=3, settings=SMALL, progress=False)
    return out


def test_the_run_folder_has_everything(run: Path) -> None:
    names = {p.name for p in run.iterdir()}
    assert {
        "config.yaml", "environment.json", "data.json", "status.json", "metrics.jsonl", "log.txt", "loss.png",
        "samples", "model", "checkpoints", "README.md",
    } <= names  # fmt: skip
    assert {p.name for p in (run / "model").iterdir()} == {"model.safetensors", "model.json", "manifest.json"}
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"] == "real-nvp" and config["training"]["steps"] == 60 and config["training"]["seed"] == 3
    assert config["data"]["source"].startswith("ring")
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "finished" and status["steps"] == 60 and status["skipped_steps"] == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 60 and rows[-1]["validation"] is not None
    assert list((run / "samples").glob("step_*.png"))
    card = (run / "README.md").read_text()
    assert "pushforward sample" in card and "verdict" in card


def test_an_opened_run_samples_as_the_fitted_model_did(run: Path) -> None:
    opened = pf.open_run(run)
    again = pf.fit("real-nvp", "ring:n=2000", steps=60, seed=3, settings=SMALL, progress=False)
    assert torch.equal(opened.model.sample(8, seed=1), again.sample(8, seed=1))
    x = torch.zeros(3, 2)
    assert torch.equal(opened.model.log_prob(x).values, again.log_prob(x).values)


def test_an_existing_run_is_not_touched(run: Path) -> None:
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(InputError, match=r"exists already.*--resume.*--overwrite"):
        pf.fit("real-nvp", "ring", steps=5, out=run, progress=False)
    assert (run / "config.yaml").read_bytes() == before


def test_overwrite_takes_only_runs(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(InputError, match="not a run folder"):
        pf.fit("real-nvp", "ring", steps=5, out=tmp_path, overwrite=True, progress=False)
    assert (tmp_path / "precious.txt").exists()


def test_resume_with_more_steps_goes_on(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    fit = run_fit(None, None, out=copy, resume=True, steps=30, progress=False)
    assert fit.steps == 90
    assert pf.open_run(copy).status["steps"] == 90
    assert yaml.safe_load((copy / "config.yaml").read_text())["training"]["steps"] == 90


def test_resume_refuses_other_data(run: Path) -> None:
    with pytest.raises(InputError, match="hash differs"):
        pf.fit(None, "ring:n=2001", out=run, resume=True, progress=False)


@pytest.mark.parametrize("file", ["config.yaml", "model/model.json"])
def test_a_run_of_another_format_is_refused(run: Path, tmp_path: Path, file: str) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    path = copy / file
    path.write_text(path.read_text().replace("format: 1", "format: 99").replace('"format": 1', '"format": 99'))
    with pytest.raises(InputError, match="format 99"):
        _ = pf.open_run(copy).model


def test_weights_that_changed_are_refused(run: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    weights = copy / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(InputError, match="SHA-256"):
        _ = pf.open_run(copy).model


def test_init_takes_the_weights_of_another_run(run: Path) -> None:
    fit = run_fit("real-nvp", "ring:n=2000", steps=1, init=run, settings=SMALL, progress=False)
    other = pf.open_run(run).model
    moved = [
        float((a - b).detach().abs().max()) for a, b in zip(fit.model.parameters(), other.parameters()) if a.numel()
    ]
    assert max(moved) < 0.05
    with pytest.raises(InputError, match="no weight has the name and shape"):
        run_fit("vae", "ring:n=2000", steps=1, init=run, settings=SMALL, progress=False)


def test_a_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = dry_run("real-nvp", "ring:n=2000", settings=SMALL)
    assert plan.parameters > 0 and plan.memory_bytes > plan.parameters * 4 and plan.seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_your_own_network_is_asked_for_when_the_run_is_opened(tmp_path: Path) -> None:
    out = tmp_path / "run"
    critic = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    pf.fit("gan", "ring:n=2000", steps=5, out=out, settings=SMALL, networks={"critic": critic}, progress=False)
    with pytest.raises(InputError, match=r"pf.open_run\(path, critic=net\)"):
        _ = pf.open_run(out).model
    fresh = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    assert pf.open_run(out, critic=fresh).model.sample(2, seed=0).shape == (2, 2)


def test_epochs_and_steps_are_not_both_taken() -> None:
    with pytest.raises(InputError, match="--steps and --epochs"):
        pf.fit("real-nvp", "ring", steps=5, epochs=1, progress=False)
    fit = run_fit("real-nvp", "ring:n=1000", epochs=2, settings=SMALL, progress=False)
    assert fit.steps == 25  # 2 x 800 rows in batches of 64


def test_the_data_chooses_a_model() -> None:
    fit = run_fit(None, torch.randn(200, 3), progress=False, settings={"training": {"threads": 1}})
    assert fit.config.model == "gmm"


PROGRAM = """
    import torch, pushforward as pf
    torch.set_num_threads(1)
    pf.fit({model!r}, "digits", steps={steps}, out={out!r}, seed=1, resume={resume}, progress=False,
           settings={{"network": {{"width": 8, "depth": 1}},
                      "training": {{"threads": 1, "batch_size": 16, "grids": 0, "checkpoint_minutes": 1e-6}}}})
"""


def program(model: str, out: Path, steps: int | None, resume: bool) -> list[str]:
    return [
        sys.executable,
        "-c",
        textwrap.dedent(PROGRAM.format(model=model, out=str(out), steps=steps, resume=resume)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "delay"), [("vae", 0.2), ("gan", 1.0), ("real-nvp", 0.0)])
def test_a_kill_loses_nothing(tmp_path: Path, model: str, delay: float) -> None:
    """SIGKILL at an arbitrary moment, then resume: the same weights as a run that was never killed."""
    steps = 60
    subprocess.run(program(model, tmp_path / "whole", steps, False), check=True)
    child = subprocess.Popen(program(model, tmp_path / "killed", steps, False))
    while not list((tmp_path / "killed").glob("checkpoints/step_*[0-9]")):
        assert child.poll() is None
        time.sleep(0.02)
    time.sleep(delay)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    subprocess.run(program(model, tmp_path / "killed", None, True), check=True)
    a, b = (pf.open_run(tmp_path / name).model.state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_fit_killed_before_it_began_does_not_block_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".lock").write_text("123")
    (out / "log.txt").write_text("x")
    assert run_fit("real-nvp", "ring:n=2000", steps=2, out=out, settings=SMALL, progress=False).steps == 2


def test_a_model_without_a_recipe_is_not_written_to_a_run(tmp_path: Path) -> None:
    from .tiny import affine

    with pytest.raises(InputError, match="without a recipe"):
        pf.fit(affine(), pf.load(torch.randn(200, 2)), steps=2, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_group_of_options_is_not_a_value() -> None:
    for group in ("training", "model"):
        with pytest.raises(InputError, match="group of options"):
            pf.fit("real-nvp", "ring:n=2000", settings={group: 5}, progress=False)


def test_the_device_is_resolved_and_written_down(run: Path) -> None:
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["device"] in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["gmm", "kde", "real-nvp", "vae", "ddpm", "flow-matching"])
def test_rescaling_a_column_moves_log_prob_by_the_log_of_the_scale(name: str) -> None:
    """x -> 1000 x in one column: log p falls by log 1000, because the preprocessing is part of the likelihood."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator, dtype=torch.float64) @ torch.tensor([[1.0, 0.5], [0.0, 1.0]]).double()
    scaled = x * torch.tensor([1000.0, 1.0])
    small = {"training": {"threads": 1, "batch_size": 64}}
    if name not in ("gmm", "kde"):
        small["network"] = {"width": 16, "depth": 1}
    values = []
    for data in (x, scaled):
        model = pf.fit(name, data, steps=20, settings=small, progress=False)
        values.append(model.log_prob(data[:50]).values.double())
    shift = values[0] - values[1]
    torch.testing.assert_close(shift, torch.full_like(shift, 6.907755278982137), atol=2e-3, rtol=0)


def test_out_of_memory_in_training_names_the_batch_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    from pushforward.errors import TrainingFailed
    from pushforward.families.flows.flow import Flow

    def full(self: Flow, batch: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Flow, "loss", full)
    with pytest.raises(TrainingFailed, match=r"with a batch of 64.*training\.batch_size=32"):
        pf.fit("real-nvp", "ring:n=2000", steps=5, settings=SMALL, progress=False)
