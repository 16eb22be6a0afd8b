"""Loading, gathering and fitting a full-size image set (MNIST, CIFAR-10): seconds, peak host memory, data rate."""

from __future__ import annotations

import hashlib
import resource
import time
from pathlib import Path

import torch
from common import arguments, report

import pushforward as pf
from pushforward.dataset import batch_rows
from pushforward.noise import BatchNoise


def main() -> None:
    args = arguments(file={"positional": True}, steps={"type": int, "default": 20})
    torch.set_num_threads(1)
    digest = hashlib.sha256(Path(args.file).read_bytes()).hexdigest()
    begun = time.perf_counter()
    data = pf.load(args.file)
    loading = time.perf_counter() - begun
    begun = time.perf_counter()
    for draw in range(200):
        index = batch_rows(len(data.train), 128, draw, 0)
        data.train.gather(index, BatchNoise(0, 0, 128, 128))
    gather = (time.perf_counter() - begun) / 200
    begun = time.perf_counter()
    settings = {"training": {"threads": 1, "validations": 1, "validation_size": 128}}
    pf.fit("ddpm", data, steps=args.steps, progress=False, settings=settings)
    step = (time.perf_counter() - begun) / args.steps
    rows = {
        "file": Path(args.file).name,
        "sha256": digest,
        "images": len(data.train) + len(data.validation) + len(data.test),
        "seconds to load": loading,
        "ms to gather a batch of 128": 1e3 * gather,
        "ms of a ddpm step of 128": 1e3 * step,
        "gathering, share of a step, %": 100 * gather / step,
        "peak memory, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    report(f"full_size_{Path(args.file).stem}", rows, args.write)


if __name__ == "__main__":
    main()
