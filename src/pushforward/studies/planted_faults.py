"""A perfect sampler with one fault at a time: which metric sees which fault, and how often a perfect one is accused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .catalogue import Study

NEEDS = "a folder with adult.csv (UCI Adult with a header) and mnist.npz; those that are missing are left out"


def experiment(seeds: int, data_file: Path | None, log: Callable[[str], None]) -> dict[str, Any]:
    """See `faults`, which needs torch: studies are listed without it."""
    from .faults import experiment as run

    return run(seeds, data_file, log)


STUDY = Study(
    name="planted-faults",
    title="A perfect sampler with one fault at a time: is it caught, and is the perfect one left alone?",
    data="",
    needs=NEEDS,
    models=(),
    values={
        "caught": "share of samplers of which at least one metric leaves its floor's interval",
        "metrics": "how many metrics do",
    },
    measure=lambda model, data, entry, seed: {},
    seeds=50,
    experiment=experiment,
)
