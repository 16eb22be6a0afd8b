"""Guards on the repository itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_nothing_imports_or_requires_torchvision() -> None:
    forbidden = re.compile(r"^\s*(import|from)\s+(torchvision|torchaudio)", re.MULTILINE)
    for path in [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert not forbidden.search(path.read_text(encoding="utf-8")), path
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            assert not re.match(r'^\s*["\']?(torchvision|torchaudio)', line), (name, line)


def test_no_torchvision_is_loaded_by_everything_together() -> None:
    code = (
        "import sys, pkgutil, importlib, pushforward\n"
        "for m in pkgutil.walk_packages(pushforward.__path__, 'pushforward.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "assert not {'torchvision', 'torchaudio'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, pushforward; dir(pushforward); assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_resolves() -> None:
    import pushforward

    for name in pushforward.__all__:
        assert getattr(pushforward, name) is not None
    with pytest.raises(AttributeError):
        _ = pushforward.no_such_name


def test_no_pickle_is_read_anywhere() -> None:
    forbidden = re.compile(
        r"\b(pickle\.load|torch\.load|joblib\.load|allow_pickle\s*=\s*True|weights_only\s*=\s*False)"
    )
    for path in SOURCES:
        assert not forbidden.search(path.read_text(encoding="utf-8")), path


def test_arrows_go_one_way() -> None:
    """cli -> training, evaluation -> families -> paths, solvers, bijections, nn -> the contract."""
    layers = {
        "nn": {"nn"},
        "paths": {"paths"},
        "solvers": {"solvers", "paths"},
        "bijections": {"bijections", "nn"},
        "families": {"families", "bijections", "paths", "solvers", "nn"},
        "conditional": {"conditional", "families", "bijections", "data"},
        "quantities": {"quantities", "conditional", "families", "bijections", "data"},
        "data": {"data"},
        "divergences": {"divergences"},
        "training": {"training", "data"},
        "evaluation": {"evaluation", "training", "data", "families"},
    }
    folders = {p.name for p in (ROOT / "src" / "pushforward").iterdir() if p.is_dir()}
    for path in SOURCES:
        parts = path.relative_to(ROOT / "src" / "pushforward").parts
        allowed = layers.get(parts[0])
        if allowed is None or len(parts) < 2:
            continue
        text = path.read_text(encoding="utf-8")
        up = "." * len(parts)
        for used in re.findall(rf"^\s*from {re.escape(up)}([a-z_]+)", text, re.MULTILINE):
            assert used not in folders or used in allowed, f"{path}: {parts[0]} must not import {used}"
