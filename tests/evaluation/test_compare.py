"""`compare`: equal terms, stops that cost nothing, and comparisons that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import pushforward as pf
from pushforward.errors import InputError, PushforwardError, TrainingFailed
from pushforward.evaluation import compare as module
from pushforward.evaluation.compare import load_for_comparison
from pushforward.evaluation.contest import entries, sensible
from pushforward.registry import build

QUICK: dict[str, Any] = {
    "n": 40,
    "sets": 2,
    "points": 20,
    "features": ["standardized"],
    "metrics": ["columns", "copies"],
}
DATA = "ring:n=600"
SHORT = {"training": {"steps": 5}}


def numbers(report: pf.Report) -> dict[str, Any]:
    return {row.name: {k: v.each for k, v in row.values.items()} for row in report.rows}


def test_models_share_rows_floors_and_points(tmp_path: Path) -> None:
    report = pf.compare(["gmm", "vae"], DATA, settings=SHORT, seeds=2, out=tmp_path / "c", **QUICK)
    gmm, vae = report.models
    assert [len(row.values["columns"].each) for row in (gmm, vae)] == [4, 4]
    assert vae.values["columns"].seeds == 2 and vae.likelihood is not None and vae.likelihood.seeds == 2
    assert gmm.likelihood is not None and gmm.likelihood.points == vae.likelihood.points
    (difference,) = report.differences
    assert not difference.claimed or difference.mean < 0 or "bound" in difference.words
    assert (tmp_path / "c" / "report.html").is_file()
    assert json.loads((tmp_path / "c" / "report.json").read_text())["settings"]["seeds"] == 2
    assert sorted(p.name for p in (tmp_path / "c" / "runs").iterdir()) == ["gmm-s0", "gmm-s1", "vae-s0", "vae-s1"]


def test_a_stopped_comparison_goes_on_to_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"models": ["gmm", "vae"], "data": DATA, "settings": SHORT, **QUICK}
    whole = pf.compare(**arguments, out=tmp_path / "whole")
    real = module.score_model
    calls: list[str] = []

    def stopped(suite: Any, model: Any, **more: Any) -> Any:
        calls.append(type(model).__name__)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(suite, model, **more)

    monkeypatch.setattr(module, "score_model", stopped)
    with pytest.raises(KeyboardInterrupt):
        pf.compare(**arguments, out=tmp_path / "parts")
    assert not (tmp_path / "parts" / "report.html").exists()
    again = pf.compare(out=tmp_path / "parts", resume=True)
    assert len(calls) == 3  # the first score was kept
    assert numbers(again) == numbers(whole)


def test_damaged_scores_are_computed_again(tmp_path: Path) -> None:
    first = pf.compare(["gmm"], DATA, out=tmp_path / "c", **QUICK)
    path = tmp_path / "c" / "scores" / "gmm-s0" / "scores.json"
    path.write_text(path.read_text().replace("0.", "9.", 1))
    assert numbers(pf.compare(out=tmp_path / "c", resume=True)) == numbers(first)


def test_one_failure_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_one = module.fit_one

    def fit(entry: Any, *args: Any) -> Any:
        if entry.name == "vae":
            raise TrainingFailed("it diverged.")
        return fit_one(entry, *args)

    monkeypatch.setattr(module, "fit_one", fit)
    report = pf.compare(["gmm", "vae"], DATA, **QUICK)
    assert [row.name for row in report.models] == ["gmm"]
    assert any("vae, seed 0, failed: it diverged." in w for w in report.warnings)
    with pytest.raises(PushforwardError, match="every model failed"):
        pf.compare(["vae"], DATA, **QUICK)


def test_runs_of_one_model_are_its_trainings(tmp_path: Path) -> None:
    for seed in (0, 1):
        pf.fit("vae", DATA, steps=5, seed=seed, out=tmp_path / f"vae-{seed}", progress=False)
    pf.fit("gmm", DATA, out=tmp_path / "gmm", progress=False)
    report = pf.compare([tmp_path / n for n in ("vae-0", "vae-1", "gmm")], **QUICK)
    assert {row.name: row.values["columns"].seeds for row in report.models} == {"vae": 2, "gmm": 1}
    assert len(report.models[0].runs) == 2


def test_runs_of_other_data_are_refused(tmp_path: Path) -> None:
    pf.fit("gmm", DATA, out=tmp_path / "ring", progress=False)
    pf.fit("gmm", "ring:n=700", out=tmp_path / "more", progress=False)
    pf.fit("gmm", "digits", out=tmp_path / "digits", progress=False)
    with pytest.raises(InputError, match="hashes differ"):
        pf.compare([tmp_path / "ring", tmp_path / "more"], **QUICK)
    pf.fit("gmm", pf.load(DATA, split_seed=3), out=tmp_path / "split", progress=False)
    with pytest.raises(InputError, match="held out other rows"):
        pf.compare([tmp_path / "ring", tmp_path / "split"], **QUICK)
    with pytest.raises(InputError, match="different spaces"):
        pf.compare([tmp_path / "ring", tmp_path / "digits"], **QUICK)
    with pytest.raises(InputError, match="cannot be mixed"):
        pf.compare([tmp_path / "ring", "gmm"], DATA)


def test_folders_are_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="not the folder of a comparison"):
            pf.compare(["gmm"], DATA, out=folder, overwrite=overwrite, **QUICK)
    pf.compare(["gmm"], DATA, out=tmp_path / "d", **QUICK)
    with pytest.raises(InputError, match=r"exists already.*--resume"):
        pf.compare(["gmm"], DATA, out=tmp_path / "d", **QUICK)
    pf.compare(["gmm"], DATA, out=tmp_path / "d", overwrite=True, **QUICK)
    with pytest.raises(InputError, match="which comparison"):
        pf.compare(resume=True, out=tmp_path / "nothing")
    assert (folder / "mine.txt").read_text() == "keep"


def test_a_budget_caps_the_recipe_or_is_used_up() -> None:
    from pushforward.training import run_fit

    short = {"training": {"steps": 3, "threads": 1}}
    capped = run_fit("vae", DATA, budget=5, cap=True, settings=short, log=lambda text: None)
    assert capped.steps == 3
    whole = run_fit("vae", DATA, budget=2, settings=short, log=lambda text: None)
    assert whole.steps > 20


def test_parameters_match() -> None:
    data = pf.load(DATA)
    found = entries(["gmm", "vae", "real-nvp", "ddpm"], data, "params")
    sizes = {}
    for entry in found:
        settings = {k: v for k, v in entry.settings.items() if k != "training"}
        sizes[entry.name] = sum(p.numel() for p in build(entry.model, data.space, overrides=settings).parameters())
    trained = [size for name, size in sizes.items() if name != "gmm"]
    assert sizes["gmm"] == 0 and max(trained) < 1.6 * min(trained)
    assert all(entry.notes for entry in found)


def test_terms_that_make_no_sense() -> None:
    data = pf.load(DATA)
    with pytest.raises(InputError, match="match is 'parms'"):
        entries(["gmm"], data, "parms")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="named twice"):
        entries(["gmm", "gmm"], data, "none")
    with pytest.raises(InputError, match="fewer than two"):
        entries(["gmm", "kde"], data, "params")
    with pytest.raises(InputError, match="unknown model 'gm'"):
        pf.compare(["gm"], DATA)
    with pytest.raises(InputError, match="needs a budget"):
        pf.compare(["gmm"], DATA, match="time", budget=None)
    with pytest.raises(InputError, match="which data"):
        pf.compare(["gmm"])


def test_small_data_hold_more_out() -> None:
    assert len(load_for_comparison("digits").test) == 539
    assert len(load_for_comparison("ring").test) == 2000
    assert len(load_for_comparison(("digits", {"test": 0.1})).test) == 180


def test_the_set_of_models_suits_the_data() -> None:
    assert "kde" in sensible(pf.Real((2,))) and "kde" not in sensible(pf.Pixels(3, 32, 32))
    table = pf.load(pa.table({"a": np.arange(20.0), "b": ["x", "y"] * 10})).space
    assert sensible(table)[:3] == ["gmm", "real-nvp", "vae"]


def test_new_weights_are_scored_anew(tmp_path: Path) -> None:
    first = pf.compare(["vae"], DATA, settings=SHORT, out=tmp_path / "c", **QUICK)
    pf.fit("vae", DATA, steps=40, seed=7, out=tmp_path / "c" / "runs" / "vae-s0", overwrite=True, progress=False)
    assert numbers(pf.compare(out=tmp_path / "c", resume=True))["vae"] != numbers(first)["vae"]


def test_each_training_has_samples_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.score_model
    seeds: list[int] = []

    def scored(suite: Any, model: Any, *, seed: int, **more: Any) -> Any:
        seeds.append(seed)
        return real(suite, model, seed=seed, **more)

    monkeypatch.setattr(module, "score_model", scored)
    pf.compare(["gmm"], DATA, seeds=2, **QUICK)
    assert len(set(seeds)) == 2


def test_terms_are_kept(tmp_path: Path) -> None:
    pf.compare(["gmm"], DATA, out=tmp_path / "c", **QUICK)
    for changed in ({"budget": "9s"}, {"seeds": 3}, {"models": ["gmm", "kde"]}, {"n": 30}):
        with pytest.raises(InputError, match="keeps its terms"):
            pf.compare(out=tmp_path / "c", resume=True, **changed)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not the data"):
        pf.compare(data="ring:n=900", out=tmp_path / "c", resume=True)


def test_samples_that_are_not_numbers_fail_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_one = module.fit_one

    def fit(entry: Any, *args: Any) -> Any:
        fitted = fit_one(entry, *args)
        if entry.name == "kde":
            fitted.model.sample = lambda n, **options: np.nan * torch.zeros(n, 2)
        return fitted

    monkeypatch.setattr(module, "fit_one", fit)
    report = pf.compare(["kde", "gmm"], DATA, **QUICK)
    assert [row.name for row in report.models] == ["gmm"]
    assert any("kde, seed 0, could not be scored" in w and "nan" in w for w in report.warnings)


def test_settings_of_training_hold_for_several_fits_at_a_time(tmp_path: Path) -> None:
    report = pf.compare(["vae"], DATA, settings=SHORT, jobs=2, out=tmp_path / "c", **QUICK)
    cost = report.models[0].cost
    assert cost is not None and cost.train_steps == 5 and cost.train_seconds is not None
    (tmp_path / "c" / "report.json").unlink()
    again = pf.compare(out=tmp_path / "c", resume=True)
    assert again.models[0].cost is not None and again.models[0].cost.train_seconds == cost.train_seconds
    assert again.settings["time"] == "processor seconds"


def test_models_that_cannot_take_the_data_are_left_out_unless_named(tmp_path: Path) -> None:
    data = pf.load(np.random.default_rng(0).integers(0, 5, (300, 8)), space="tokens")
    assert [entry.name for entry in entries(sensible(data.space), data, "none", skip=True)] == ["vae"]
    with pytest.raises(InputError, match="gmm cannot model"):
        entries(["gmm"], data, "none")


def test_own_samples_have_their_own_conditions() -> None:
    """Two classes 40 apart: under the wrong class a sample would be impossible."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 600)
    x = 40.0 * y[:, None] + generator.standard_normal((600, 2))
    report = pf.compare(["gmm"], pf.load((x, y)), **QUICK)
    assert report.pictures is not None
    held_out, own = report.pictures.held_out["gmm"], report.pictures.own["gmm"]
    assert abs(held_out.mean() - own.mean()) < 2
