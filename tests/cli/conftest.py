"""The command line called in process, in an empty folder, and a few small runs made by it."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pushforward.cli import main

SMALL = ("--threads", "1", "--set", "network.width=16", "--set", "network.depth=1", "--set", "training.grids=0")


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; anything else there is an error."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def call(*words: object) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Result(code, out.getvalue(), err.getvalue())


Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return call


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _fit(folder: Path, *words: object) -> Path:
    with _inside(folder):
        result = call("fit", *words, "--out", folder / "run", *SMALL)
    assert result.code == 0, result.err
    return folder / "run"


@pytest.fixture(scope="session")
def plane_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vae on 2-D data. Tests that change a run copy it."""
    return _fit(tmp_path_factory.mktemp("plane"), "ring:n=400", "--model", "vae", "--steps", 20)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vae on digits, conditioned on the label."""
    return _fit(
        tmp_path_factory.mktemp("digits"), "digits", "--model", "vae", "--steps", 10, "--condition", "label"
    )  # fmt: skip


@pytest.fixture(scope="session")
def implicit_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fit(tmp_path_factory.mktemp("implicit"), "ring:n=400", "--model", "gan", "--steps", 5)
