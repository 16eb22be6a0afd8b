"""The line for torch: by driver and compute capability, as the builds require them."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from pushforward.cli import doctor


def gpu(driver: str, capability: str) -> dict[str, str]:
    return {"name": "GPU", "driver": driver, "compute_capability": capability}


@pytest.mark.parametrize(
    ("gpus", "system", "index"),
    [
        ([], "Linux", "/cpu"),
        ([], "Darwin", None),
        ([gpu("580.65.06", "9.0")], "Linux", "/cu130"),
        ([gpu("610.10", "12.0")], "Windows", "/cu130"),
        ([gpu("550.54", "8.9")], "Linux", "/cu126"),  # CUDA 13 builds need driver 580
        ([gpu("580.65.06", "6.1")], "Linux", "/cu126"),  # and compute capability 7.5
        ([gpu("580.65.06", "9.0"), gpu("580.65.06", "7.0")], "Linux", "/cu126"),  # the oldest GPU decides
        ([gpu("470.10", "7.5")], "Linux", "/cpu"),
        ([gpu("550.54", "12.0")], "Linux", "/cpu"),  # Blackwell has no CUDA 12.6 build
        ([gpu("[N/A]", "[N/A]")], "Linux", "/cpu"),
    ],
)
def test_torch_line(gpus: list[dict[str, str]], system: str, index: str | None) -> None:
    line = doctor.torch_line(gpus, system=system)
    if index is None:
        assert line == "pip install torch"
    else:
        assert line.split("  #")[0] == f"pip install torch --index-url https://download.pytorch.org/whl{index}"


def test_gpus_are_read_from_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: list[str], **options: Any) -> Any:
        return subprocess.CompletedProcess(words, 0, "NVIDIA H200, 580.65.06, 9.0\nNVIDIA H200, 580.65.06, 9.0\n", "")

    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.run", run)
    assert doctor.nvidia_gpus() == [gpu("580.65.06", "9.0") | {"name": "NVIDIA H200"}] * 2


def test_a_broken_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: list[str], **options: Any) -> Any:
        raise subprocess.CalledProcessError(9, words)

    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.run", run)
    assert doctor.nvidia_gpus() == []
