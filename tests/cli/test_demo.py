"""`demo`: pictures and a report, even when one model fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pushforward.cli import demo
from pushforward.errors import TrainingFailed
from pushforward.evaluation import compare

from .conftest import Cli

MODELS = ("vae", "gan")


def test_a_report_and_pictures(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MODELS", MODELS)
    result = cli("demo", "--quick", "--json")
    assert result.code == 0, result.err
    rows = {row["model"]: row for row in result.json["models"]}
    assert rows["vae"]["likelihood"]["kind"] == "lower bound" and rows["gan"]["likelihood"]["kind"] == "unavailable"
    assert rows["vae"]["likelihood"]["n"] == demo.QUICK.points
    assert all(row["cost"]["seconds_per_1000"] > 0 for row in rows.values())
    assert {p.name for p in Path("demo").glob("*.png")} == {"ring.png", *(f"ring-{m}.png" for m in MODELS)}
    assert Path(result.json["report"]).read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert result.json["verdict"] and result.json["next"].startswith("pushforward compare")


def test_one_failure_does_not_hide_the_others(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    fit_one = compare.fit_one

    def fit(entry: Any, *args: Any) -> Any:
        if entry.name == "gan":
            raise TrainingFailed("it diverged.", "Lower the rate.")
        return fit_one(entry, *args)

    monkeypatch.setattr(demo, "MODELS", MODELS)
    monkeypatch.setattr(compare, "fit_one", fit)
    result = cli("demo", "--quick")
    assert result.code == 1 and "Traceback" not in result.err
    assert "gan, seed 0, failed: it diverged." in result.out
    assert "pushforward compare" in result.out.splitlines()[-1]
    assert "vae" in Path("demo/digits/report.html").read_text(encoding="utf-8")


def test_the_demo_has_every_first_model() -> None:
    from pushforward.registry import recipe_names

    assert set(demo.MODELS) <= set(recipe_names())
