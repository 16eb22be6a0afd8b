"""`pushforward doctor`: what is installed and what the machine has. Nothing is written."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from typing import Any

import typer

from .output import Output, table

INDEX = "https://download.pytorch.org/whl"


def doctor(context: typer.Context) -> None:
    """Show versions, devices and threads.

    Also the line that installs torch for this machine. Writes nothing.
    """
    output: Output = context.obj
    document = examine()
    output.result(document, lambda: _show(document))


def examine() -> dict[str, Any]:
    """Everything `doctor` shows, JSON-able. torch may be missing or broken: then it is a problem in the list."""
    from importlib import metadata

    problems: list[str] = []
    found: dict[str, Any] = {
        "pushforward": _version(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "usable_processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {},
        "threads": None,
        "devices": {},
    }
    for line in metadata.requires("pushforward") or [] if _installed("pushforward") else []:
        name = line.split(";")[0].split(">")[0].split("=")[0].split("[")[0].strip()
        if "extra ==" not in line:
            found["packages"][name] = _installed(name)
            if found["packages"][name] is None:
                problems.append(f"{name} is not installed")
    gpus = nvidia_gpus()
    found["torch_line"] = torch_line(gpus, shutil.which("rocm-smi") is not None)
    try:
        import torch

        found["packages"]["torch"] = torch.__version__
        found["threads"] = torch.get_num_threads()
        cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        found["devices"] = {"cpu": True, "cuda": cuda, "mps": bool(torch.backends.mps.is_available())}
        if gpus and not cuda:
            problems.append(f"there is a GPU ({gpus[0]['name']}) that this torch cannot use: see the line for torch")
    except Exception as error:  # a broken installation raises anything
        problems.append(f"torch cannot be imported: {error}")
    found["gpus"] = gpus
    found["problems"] = problems
    return found


def nvidia_gpus() -> list[dict[str, str]]:
    """Name, driver and compute capability of the NVIDIA GPUs that the driver knows, whether torch does or not."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        text = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]
    return [dict(zip(("name", "driver", "compute_capability"), row)) for row in rows if len(row) == 3]


def torch_line(gpus: list[dict[str, str]], rocm: bool = False, system: str | None = None) -> str:
    """The pip line that installs torch for these GPUs.

    CUDA 13.0 builds need driver 580 and compute capability 7.5 (Turing); CUDA 12.6 builds driver 525 (CUDA 12's
    minor version compatibility) and 5.0.
    """
    system = system or platform.system()
    if system == "Darwin":
        return "pip install torch"
    if gpus:
        driver = min(_number(g["driver"].split(".")[0]) for g in gpus)
        capability = min(_number(g["compute_capability"]) for g in gpus)
        if driver >= 580 and capability >= 7.5:
            return f"pip install torch --index-url {INDEX}/cu130"
        if driver >= 525 and 5.0 <= capability < 10:
            return f"pip install torch --index-url {INDEX}/cu126"
        return f"pip install torch --index-url {INDEX}/cpu  # the GPU needs a newer NVIDIA driver (580)"
    if rocm:
        return "pip install torch --index-url <the ROCm index shown at https://pytorch.org/get-started/locally/>"
    return f"pip install torch --index-url {INDEX}/cpu"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return 0.0


def _version() -> str:
    from .. import __version__

    return __version__


def _installed(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _show(found: dict[str, Any]) -> None:
    rows = [
        ("pushforward", found["pushforward"]),
        ("Python", f"{found['python']} ({found['executable']})"),
        ("platform", found["platform"]),
        ("processors", f"{found['usable_processors']} usable of {found['processors']}"),
        ("torch threads", str(found["threads"])),
    ]
    devices = found["devices"]
    rows += [("GPU", f"{g['name']}, driver {g['driver']}") for g in found["gpus"]]
    rows.append(("devices", ", ".join(["cpu", *devices.get("cuda", []), *(["mps"] if devices.get("mps") else [])])))
    rows += [(name, str(version)) for name, version in found["packages"].items()]
    table(("", ""), rows)
    print(f"torch for this machine: {found['torch_line']}")
    for problem in found["problems"]:
        print(f"problem: {problem}")
    if not found["problems"]:
        print("No problems found.")
