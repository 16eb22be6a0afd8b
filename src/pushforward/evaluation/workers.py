"""Several fits at a time, each in a process of its own, with the processor time that each took."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import merge
from ..errors import InputError, PushforwardError
from .contest import Entry


def fit_all(
    found: Sequence[Entry],
    data: Any,
    plan: Mapping[str, Any],
    folder: Path,
    device: Any,
    log: Callable[[str], None],
) -> None:
    """Every fit of a comparison that is not finished, as many at a time as the plan's jobs, one thread each.

    A fit that fails is left as it is: opened again one by one, it says why.

    Raises:
        InputError: the data are in memory, where other processes cannot read them.
    """
    from ..data.data import ARRAY
    from .compare import run_folder

    if data.source == ARRAY:
        raise InputError("data in memory cannot be shared with other processes.", "Save it to a file, or use jobs=1.")
    work = [
        (entry, where, s)
        for entry in found
        for s in range(int(plan["seeds"]))
        if not finished(where := run_folder(folder, entry.name, s))
    ]
    # Spawned: a forked process would share the locks of torch's threads.
    with ProcessPoolExecutor(int(plan["jobs"]), mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {
            pool.submit(_fit, entry, data.source, data.options, dict(plan), where, s, device): where.name
            for entry, where, s in work
        }
        for future in as_completed(futures):
            log(f"{futures[future]}: {future.result()}")


def finished(where: Path) -> bool:
    """Whether a run folder holds a finished fit."""
    from ..training import open_run

    return (where / "config.yaml").is_file() and open_run(where).status.get("state") == "finished"


def _fit(
    entry: Entry, source: str, options: Mapping[str, Any], plan: Mapping[str, Any], where: Path, seed: int, device: Any
) -> str:
    """In another process: one fit, one thread; its processor time replaces the clock's in its status."""
    import torch

    from ..data import load
    from ..training import open_run
    from ..training.files import read_json, write_json
    from .compare import fit_one

    torch.set_num_threads(1)
    one = replace(entry, settings=merge(entry.settings, {"training": {"threads": 1}}))
    data = load(source, **options)
    # Of a fit that was stopped: what its metrics say, the processor time of that part being lost.
    before = open_run(where).metrics() if (where / "config.yaml").is_file() else []
    begun = time.process_time()
    try:
        fit_one(one, data, plan, where, seed, device, lambda text: None)
    except PushforwardError as error:
        return f"failed: {error}"
    seconds = time.process_time() - begun + (float(before[-1]["seconds"]) if before else 0.0)
    status = read_json(where / "status.json")
    write_json(where / "status.json", {**status, "seconds": round(seconds, 2), "seconds_are": "processor"})
    return f"done, {seconds:.0f} s of the processor"
