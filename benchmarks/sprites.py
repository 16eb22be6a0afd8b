"""Sprites drawn a second, on one core, captions and factors included."""

from __future__ import annotations

import time
from typing import Any

import torch
from common import arguments, interleaved, report

from pushforward.data.builtin.source import shapes


def main() -> None:
    args = arguments(n={"type": int, "default": 20_000}, repeats={"type": int, "default": 5})
    torch.set_num_threads(1)
    jobs = {
        f"{size}x{size} in {'colour' if colour else 'grey'}, pictures/s": lambda size=size, colour=colour: shapes(
            size=size, colour=colour, n=args.n
        )
        for size in (32, 64)
        for colour in (1, 0)
    }
    times = interleaved(jobs, args.repeats)  # type: ignore[arg-type]
    rows: dict[str, Any] = {name: args.n / seconds for name, seconds in times.items()}
    for name, job in jobs.items():  # what other programs on the machine do not change
        begun = time.process_time()
        job()
        rows[name.replace("pictures/s", "pictures/processor s")] = args.n / (time.process_time() - begun)
    report("sprites", rows, args.write)


if __name__ == "__main__":
    main()
