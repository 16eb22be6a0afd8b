"""`runs list`, `show` and `rm`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from .conftest import Cli


def test_list_and_show(cli: Cli, plane_run: Path, tmp_path: Path) -> None:
    assert cli("runs", "list", "--json").json == []
    assert "pushforward fit" in cli("runs", "list").out
    shutil.copytree(plane_run, "runs/ring-vae")
    shutil.copytree(plane_run, "runs/old")
    config = Path("runs/old/config.yaml")
    config.write_text(config.read_text().replace("format: 1", "format: 0"))
    rows = {Path(row["run"]).name: row for row in cli("runs", "list", "--json").json}
    assert rows["ring-vae"]["model"] == "vae" and rows["ring-vae"]["steps"] == 20
    # A run of another version is told apart, and hides nothing.
    assert rows["old"]["state"] == "unreadable" and "format" in rows["old"]["problem"]
    assert "ring-vae" in cli("runs", "list").out
    other = cli("runs", "show", "runs/old")
    assert other.code == 2 and "format" in other.err
    shown = cli("runs", "show", "runs/ring-vae", "--json").json
    assert shown["config"]["settings"]["network"]["width"] == 16
    assert shown["data"]["hash"] and "model/model.safetensors" in shown["files"]
    text = cli("runs", "show", "runs/ring-vae").out
    assert shown["data"]["hash"][:16] in text and "vae" in text


def test_remove_asks(cli: Cli, plane_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(plane_run, "runs/a")
    shutil.copytree(plane_run, "runs/b")
    assert cli("runs", "rm", "runs/a").code == 2  # nobody to ask
    assert cli("runs", "rm", "runs/a", "--json").code == 2
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda text: False)
    assert cli("runs", "rm", "runs/a").code == 1 and Path("runs/a").is_dir()
    assert cli("runs", "rm", "runs/a", "runs/missing", "--yes").code == 2 and Path("runs/a").is_dir()
    assert cli("runs", "rm", "runs/a", "--yes", "--json").json == {"removed": ["runs/a"]}
    assert not Path("runs/a").exists() and Path("runs/b").is_dir()


def test_what_is_not_a_model_is_never_opened(cli: Cli, plane_run: Path) -> None:
    import pickle

    for name, content in (("pickle", pickle.dumps({"a": 1})), ("zip", b"PK\x03\x04" + bytes(60))):
        shutil.copytree(plane_run, f"runs/{name}")
        Path(f"runs/{name}/model/model.safetensors").write_bytes(content)
        result = cli("sample", f"runs/{name}", "-n", 1)
        assert result.code == 2 and "Traceback" not in result.err and len(result.err.splitlines()) == 1
