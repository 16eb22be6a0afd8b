"""The page of the documentation: its examples give what it says, and its figures are there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import pushforward as pf

PAGE = Path(__file__).parent.parent.parent / "docs" / "divergences.md"


def test_the_examples_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```pycon\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, {}, "divergences.md", str(PAGE), 0)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 20 and result.failed == 0
    assert (tmp_path / "earth.png").stat().st_size > 10_000


def test_the_example_of_the_package() -> None:
    assert doctest.testmod(pf.divergences) == doctest.TestResults(0, 2)


def test_every_public_name_is_explained() -> None:
    for name in pf.divergences.__all__:
        assert getattr(pf.divergences, name).__doc__, name
