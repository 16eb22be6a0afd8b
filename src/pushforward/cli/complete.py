"""Shell completion of names and folders. Nothing heavy is imported: it runs at every press of the tab key."""

from __future__ import annotations

import os
from pathlib import Path

BUILT_IN = (
    "8gaussians", "checkerboard", "digits", "grid", "moons", "ring", "shapes", "spirals", "swiss-roll",
)  # fmt: skip
"""Names of built-in data, known here without importing it."""


def complete_model(incomplete: str) -> list[str]:
    from ..registry import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    return [name for name in BUILT_IN if name.startswith(incomplete)] + _paths(incomplete)


def complete_run(incomplete: str) -> list[str]:
    folders = {Path("runs"), Path(os.path.dirname(incomplete) or ".")}
    found = {str(p.parent) for folder in folders for p in folder.glob("*/config.yaml")}
    return sorted(name for name in found if name.startswith(incomplete))


def complete_study(incomplete: str) -> list[str]:
    from ..studies.catalogue import study_names

    return [name for name in study_names() if name.startswith(incomplete)]


def _paths(incomplete: str) -> list[str]:
    folder, start = os.path.split(incomplete)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda e: e.name)
    except OSError:
        return []
    shown = [e for e in entries if e.name.startswith(start) and (start or not e.name.startswith("."))]
    return [os.path.join(folder, e.name) + ("/" if e.is_dir() else "") for e in shown[:100]]
