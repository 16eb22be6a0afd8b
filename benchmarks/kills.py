"""SIGKILL a fit at random moments, resume it each time, and compare with a fit that was never disturbed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import arguments, report

import pushforward as pf
from pushforward.training.checkpoint import Checkpoints

PROGRAM = """
import torch, pushforward as pf
torch.set_num_threads(1)
pf.fit({model!r}, "digits", steps={steps}, out={out!r}, seed=1, resume={resume}, progress=False,
       settings={{"network": {{"width": 8, "depth": 1}},
                 "training": {{"threads": 1, "batch_size": 16, "grids": 0, "checkpoint_minutes": 1e-6}}}})
"""


def start(model: str, out: Path, steps: int, resume: bool) -> subprocess.Popen[bytes]:
    text = PROGRAM.format(model=model, out=str(out), steps=None if resume else steps, resume=resume)
    return subprocess.Popen([sys.executable, "-c", text])


def main() -> None:
    args = arguments(kills={"type": int, "default": 20}, model={"default": "vae"}, steps={"type": int, "default": 1500})
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        assert start(args.model, whole, args.steps, False).wait() == 0
        kills = lost = finished = 0
        resume = False
        while kills < args.kills:
            child = start(args.model, killed, args.steps, resume)
            before = Checkpoints(killed / "checkpoints").names()
            while child.poll() is None and Checkpoints(killed / "checkpoints").names()[:1] == before[:1]:
                time.sleep(0.01)  # it has started to write checkpoints of its own
            time.sleep(random.random() * 0.5)
            if child.poll() is not None:
                finished += 1
                break
            child.send_signal(signal.SIGKILL)
            child.wait()
            kills += 1
            lost += Checkpoints(killed / "checkpoints").load() is None
            resume = True
        assert start(args.model, killed, args.steps, True).wait() == 0
        a, b = (pf.open_run(p).model.state_dict() for p in (whole, killed))
        same = all(torch.equal(a[k], b[k]) for k in a)
    rows = {"model": args.model, "kills": kills, "times no good checkpoint was left": lost, "final weights equal": same}
    report("kills", rows, args.write)


if __name__ == "__main__":
    main()
