"""Census income with a fifth of its cells removed at random: the same models, the same judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .adult import MODELS, NEEDS, VALUES, measure, reference
from .catalogue import Study

SHARE, SEED = 0.2, 0


def prepare(path: Path) -> Any:
    """The table with cells removed, each with probability 0.2, by a fixed seed."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.csv

    table = pyarrow.csv.read_csv(path)
    generator = np.random.default_rng(SEED)
    columns = {}
    for name in table.column_names:
        gone = generator.random(table.num_rows) < SHARE
        columns[name] = pa.compute.if_else(pa.array(gone), None, table.column(name))
    return pa.table(columns)


STUDY = Study(
    name="adult-missing",
    title="The same with a fifth of the cells missing",
    data="",
    needs=NEEDS,
    models=MODELS,
    values=VALUES,
    measure=measure,
    reference=reference,
    seeds=1,
    load={"test": 0.3, "validation": 0.05},
    prepare=prepare,
)
