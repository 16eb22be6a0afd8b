"""`demo`: a table and pictures, even when one model fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushforward.cli import demo

from .conftest import Cli

MODELS = ("vae", "gan")


def test_a_table_and_pictures(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MODELS", MODELS)
    result = cli("demo", "--quick", "--json")
    assert result.code == 0, result.err
    rows = {row["model"]: row for row in result.json["models"]}
    assert rows["vae"]["kind"] == "lower bound" and rows["gan"]["kind"] == "no density"
    assert rows["vae"]["scored"] == demo.QUICK.scored
    assert rows["vae"]["bits_per_dimension"] == pytest.approx(-rows["vae"]["nats"] / 64 / 0.6931471805599453, rel=1e-5)
    assert all(row["samples_per_second"] > 0 for row in rows.values())
    expected = {"digits.png", "ring.png", *(f"{data}-{m}.png" for data in ("digits", "ring") for m in MODELS)}
    assert {p.name for p in Path("demo").glob("*.png")} == expected
    assert result.json["next"].startswith("pushforward fit")


def test_one_failure_does_not_hide_the_others(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MODELS", ("no-such-model", "vae"))
    result = cli("demo", "--quick")
    assert result.code == 1 and "Traceback" not in result.err
    assert "unknown model" in result.out and "lower bound" in result.out
    assert "pushforward fit" in result.out.splitlines()[-1]
    assert Path("demo/digits-vae.png").is_file()


def test_the_demo_has_every_first_model() -> None:
    from pushforward.registry import recipe_names

    assert set(demo.MODELS) <= set(recipe_names())
