"""The documentation is true: its examples run verbatim, its links resolve, its tables are up to date."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pushforward.registry import recipe_names

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("index", range(2))
def test_the_python_of_the_readme_runs(tmp_path: Path, index: int) -> None:
    code = blocks("README.md", "python")[index]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment())


def test_the_shell_of_the_readme_runs(tmp_path: Path) -> None:
    block = next(b for b in blocks("README.md", "console") if "pushforward fit" in b)
    lines = [line.split("  #")[0] for line in block.strip().splitlines()]
    assert len(lines) == 5
    for line in lines:
        subprocess.run(shlex.split(line), cwd=tmp_path, check=True, env=environment())
    assert (tmp_path / "samples.png").stat().st_size > 10_000


def test_the_python_of_the_quick_start_runs(tmp_path: Path) -> None:
    (code,) = blocks("docs/quickstart.md", "python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_model_has_a_page() -> None:
    for name in recipe_names():
        assert (ROOT / "docs" / "models" / f"{name}.md").is_file(), name


def test_the_tables_are_up_to_date() -> None:
    subprocess.run([sys.executable, str(ROOT / "docs" / "tables.py"), "--check"], check=True)


def test_every_option_that_the_pages_set_exists() -> None:
    from pushforward.config import parse_overrides
    from pushforward.registry import resolve

    for page in PAGES:
        for name, override in re.findall(
            r"--model ([a-z-]+)[^\n]*?--set ([a-z_.]+=\S+)", page.read_text(encoding="utf-8")
        ):
            assert resolve(name, parse_overrides([override])).model == name
