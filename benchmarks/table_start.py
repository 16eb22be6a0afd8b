"""A CSV of 1,000,000 rows and 20 mixed columns: `inspect`, and `fit` from the command to its first training step."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import arguments, report
from table_load import make

COMMAND = [sys.executable, "-m", "pushforward"]


def first_step(path: Path, out: Path) -> tuple[float, float]:
    """Seconds to the first step that the log shows, and to the end of the command (one step, and the model saved)."""
    begun, first = time.perf_counter(), None
    options = ["--model", "real-nvp", "--steps", "1", "--threads", "1", "--out", str(out)]
    with subprocess.Popen([*COMMAND, "fit", str(path), *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("fit 1/") and first is None:
                first = time.perf_counter() - begun
    if process.returncode or first is None:
        raise SystemExit(f"fit ended with {process.returncode}")
    return first, time.perf_counter() - begun


def main() -> None:
    args = arguments(rows={"type": int, "default": 1_000_000})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        make(path, args.rows)
        begun = time.perf_counter()
        subprocess.run([*COMMAND, "inspect", str(path), "--out", f"{folder}/page.png"], check=True, capture_output=True)
        inspected = time.perf_counter() - begun
        first, end = first_step(path, Path(folder) / "run")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        results = {
            "rows": args.rows,
            "columns": 20,
            "file, MiB": path.stat().st_size / 2**20,
            "inspect, whole command, s": inspected,
            "fit, from the command to the first step, s": first,
            "fit, whole command of one step, s": end,
            "peak memory of either, GiB": peak,
        }
    report("table_start", results, args.write)


if __name__ == "__main__":
    main()
