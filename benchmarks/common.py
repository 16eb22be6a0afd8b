"""Shared by the benchmarks: interleaved timing, and a record of what was measured."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def interleaved(jobs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median seconds of each job, the jobs taking turns so that a drifting machine slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            begun = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in times.items()}


def report(name: str, rows: dict[str, Any], write: bool) -> None:
    """Print the numbers, and record them with the environment."""
    from pushforward.training.environment import environment

    for key, value in rows.items():
        print(f"{key:48s} {value:.4g}" if isinstance(value, float) else f"{key:48s} {value}")
    if write:
        here = environment()
        here.pop("command")
        folder = ROOT / "results" / "benchmarks"
        folder.mkdir(parents=True, exist_ok=True)
        document = {"benchmark": name, "date": time.strftime("%Y-%m-%d", time.gmtime()), "results": rows, **here}
        (folder / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def arguments(**extra: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="record in results/benchmarks/")
    for name, options in extra.items():
        parser.add_argument(name if options.pop("positional", False) else f"--{name}", **options)
    return parser.parse_args()
