"""The page of the theory is true to the code: its numbers run, its functions and tests exist, no test is left out."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

from pushforward.registry import recipe_names

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGE = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
CODE = re.compile(r"`([a-z]\w*(?:\.\w+)+)`")


def entries(letter: str) -> dict[int, str]:
    """The entries of the page by number: a paragraph that begins with **T12.** or **M3.**"""
    found = re.findall(rf"^\*\*{letter}(\d+)\.\*\*(.*?)(?=\n\n|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == len({number for number, _ in found}), "a number occurs twice"
    return {int(number): text for number, text in found}


FORMULAS, MISPRINTS = entries("T"), entries("M")


@functools.cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_"))


def resolve(path: str) -> object:
    """The object that `path` names from the package: modules as far as they go, then attributes."""
    parts = path.removeprefix("pushforward.").split(".")
    found: object = importlib.import_module("pushforward")
    for i, part in enumerate(parts):
        try:
            found = importlib.import_module(".".join(["pushforward", *parts[: i + 1]]))
        except ModuleNotFoundError:
            found = getattr(found, part)
    return found


@pytest.mark.parametrize("numbered", [FORMULAS, MISPRINTS], ids=["formulas", "misprints"])
def test_numbers_are_consecutive(numbered: dict[int, str]) -> None:
    assert list(numbered) == list(range(1, len(numbered) + 1))
    assert len(FORMULAS) > 90 and len(MISPRINTS) > 15


def test_every_number_that_is_referred_to_exists() -> None:
    for letter, numbered in (("T", FORMULAS), ("M", MISPRINTS)):
        for number in re.findall(rf"\b{letter}(\d+)\b", PAGE):
            assert int(number) in numbered, f"{letter}{number}"


@pytest.mark.parametrize("number", FORMULAS)
def test_every_formula_names_its_function_and_its_test(number: int) -> None:
    text = FORMULAS[number]
    assert re.search(r"\$[^$]+\$", text), "no formula"
    formula, code, test = "", "", ""
    for line in text.split("\\\n"):
        if line.startswith("*code*"):
            code, _, test = line.partition("*test*")
        else:
            formula += line
    assert CODE.search(code) or "to come: " in code, "no function, and no family to come"
    assert TEST.search(test), "no test"


def test_every_function_on_the_page_exists() -> None:
    named = {path for path in CODE.findall(PAGE) if not path.endswith((".py", ".md"))}
    assert len(named) > 40
    for path in sorted(named):
        try:
            resolve(path)
        except AttributeError as error:
            raise AssertionError(f"{path}: {error}") from None


def test_every_test_on_the_page_exists_and_every_test_is_on_the_page() -> None:
    named = set(TEST.findall(PAGE))
    here = {(f.name, t) for f in HERE.glob("test_*.py") if f.name != "test_page.py" for t in names_in(f.name)}
    assert named - here == set(), "named, but missing"
    assert here - named == set(), "missing on the page"


def test_families_to_come_have_not_come() -> None:
    """When one is registered, its rows must name its functions."""
    waiting = {name for names in re.findall(r"to come: ([^*\n|]+)", PAGE) for name in names.split(",")}
    assert len(waiting) > 8
    for name in waiting:
        slug = name.strip().lower().replace(" ", "-")
        assert slug not in recipe_names(), f"{name} has come: name its functions in docs/theory.md"


def test_formulas_are_closed() -> None:
    for number, text in FORMULAS.items():
        assert text.count("$") % 2 == 0, number
        for formula in re.findall(r"\$([^$]+)\$", text):
            assert formula.count("{") == formula.count("}"), (number, formula)
            assert not re.search(r"\\[,;!{}|\\]", formula), (number, "escapes that Markdown removes")
