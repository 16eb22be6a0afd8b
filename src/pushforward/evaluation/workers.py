"""Several fits at a time, each in a process of its own, with the processor time that each took."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ..errors import InputError, PushforwardError
from .contest import Entry


def fit_all(
    found: Sequence[Entry],
    data: Any,
    plan: Mapping[str, Any],
    folder: Path,
    jobs: int,
    device: Any,
    log: Callable[[str], None],
) -> None:
    """Every fit of a comparison that is not finished, `jobs` at a time, one thread each.

    A fit that fails is left as it is: opened again one by one, it says why.

    Raises:
        InputError: the data are in memory, where other processes cannot read them.
    """
    from ..data.data import ARRAY
    from .compare import run_folder

    if data.source == ARRAY:
        raise InputError("data in memory cannot be shared with other processes.", "Save it to a file, or use jobs=1.")
    work = [(entry, run_folder(folder, entry.name, s), s) for entry in found for s in range(int(plan["seeds"]))]
    # Spawned: a forked process would share the locks of torch's threads.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {
            pool.submit(_fit, entry, data.source, data.options, dict(plan), where, s, device): where.name
            for entry, where, s in work
        }
        for future in as_completed(futures):
            log(f"{futures[future]}: {future.result()}")


def _fit(
    entry: Entry, source: str, options: Mapping[str, Any], plan: Mapping[str, Any], where: Path, seed: int, device: Any
) -> str:
    """In another process: one fit, one thread; its processor time replaces the clock's in its status."""
    import torch

    from ..data import load
    from ..training.files import read_json, write_json
    from .compare import fit_one

    torch.set_num_threads(1)
    one = Entry(entry.name, entry.model, {**entry.settings, "training": {"threads": 1}}, entry.notes)
    data = load(source, **options)
    begun = time.process_time()
    try:
        fit_one(one, data, plan, where, seed, device, lambda text: None)
    except PushforwardError as error:
        return f"failed: {error}"
    seconds = time.process_time() - begun
    status = read_json(where / "status.json")
    write_json(where / "status.json", {**status, "seconds": round(seconds, 2), "seconds_are": "processor"})
    return f"done, {seconds:.0f} s of the processor"
