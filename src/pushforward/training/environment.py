"""What a run was made with: recorded beside every result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

PACKAGES = (
    "torch",
    "numpy",
    "accelerate",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "pyarrow",
    "Pillow",
    "matplotlib",
)


def versions() -> dict[str, str | None]:
    """Versions of Python, pushforward and what it stands on, read without importing them."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("pushforward", *PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def environment() -> dict[str, Any]:
    """Versions, platform, processors, threads and devices. Imports torch."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "mps": torch.backends.mps.is_available(),
        "command": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
    }
