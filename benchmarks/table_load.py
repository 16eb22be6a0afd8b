"""A CSV of 1,000,000 rows and 20 mixed columns: from the file to three parts in memory, and the peak of memory."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from common import arguments, report


def make(path: Path, rows: int) -> None:
    """5 continuous, 4 integer, 1 rounded, 6 category (one of 2,000 values), 2 dates, 1 boolean, 1 identifier columns;
    a fifth of two columns is missing."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"id": np.arange(rows) + 1_000_000}
    for i in range(5):
        columns[f"x{i}"] = rng.normal(size=rows) * 10**i
    for i in range(4):
        columns[f"n{i}"] = rng.integers(0, 10 ** (i + 1), rows)
    columns["price"] = np.round(rng.lognormal(3, 1, rows), 2)
    for i, k in enumerate((2, 5, 12, 40, 200, 2000)):
        names = np.array([f"value {j}" for j in range(k)])
        columns[f"c{i}"] = pa.array(names).take(pa.array(rng.integers(0, k, rows)))
    seconds = rng.integers(1_500_000_000, 1_700_000_000, rows)
    columns["day"] = pa.array(seconds // 86400, pa.int64()).cast(pa.int32()).cast(pa.date32())
    columns["moment"] = pa.array(seconds).cast(pa.timestamp("s")).cast(pa.string())
    columns["flag"] = pa.array(["no", "yes"]).take(pa.array(rng.integers(0, 2, rows)))
    for name in ("x1", "c2"):
        columns[name] = pc.if_else(pa.array(rng.random(rows) < 0.2), None, pa.array(columns[name]))
    pacsv.write_csv(pa.table(columns), path, pacsv.WriteOptions(quoting_style="needed"))


def load(path: str, pipe: Any) -> None:
    """In a process of its own, so that the peak of memory is its own."""
    import pushforward as pf
    import pushforward.data.tables.source

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, cpu = time.perf_counter(), time.process_time()
    data = pf.load(path)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((seconds, cpu, peak / 2**20, (peak - before) / 2**20, data.space.describe(), len(data.train)))


def main() -> None:
    args = arguments(rows={"type": int, "default": 1_000_000})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        make(path, args.rows)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=load, args=(str(path), theirs))
        process.start()
        seconds, cpu, peak, more, described, train = ours.recv()
        process.join()
        size = path.stat().st_size / 2**20
    rows = {
        "rows": args.rows,
        "columns": 20,
        "file, MiB": size,
        "load (read, detect, encode, split, hash), s": seconds,
        "of which processor time, s": cpu,
        "peak memory of the process, GiB": peak,
        "of which above the imports, GiB": more,
        "space": described,
        "training rows": train,
    }
    report("table_load", rows, args.write)


if __name__ == "__main__":
    main()
