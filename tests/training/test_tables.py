"""Any table: loaded, fitted for a few steps, sampled, written, loaded again. Nothing crashes, no type changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import pushforward as pf
from pushforward.data import write_samples
from pushforward.errors import InputError
from pushforward.spaces import Table

from ..data.tables.test_columns import tables

SMALL = {"network": {"width": 8, "depth": 1}, "training": {"threads": 1}}


@settings(
    max_examples=25,
    deadline=None,
    # No shrinking: a fit is too slow for it, and the example that failed is kept.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tables(), st.sampled_from(["real-nvp", "vae", "gan", "flow-matching"]), st.sampled_from(["interval", "argmax"]))
def test_load_fit_sample_write_load(tmp_path: Path, table: pa.Table, model: str, categories: str) -> None:
    try:
        data = pf.load(table)
    except InputError:
        return  # refused in a sentence; which ones is tested where tables are read
    space = data.space
    assert isinstance(space, Table)
    over = {**SMALL, "table": {"categories": categories}}
    fitted = pf.fit(model, data, steps=5, settings=over, progress=False)
    drawn = fitted.sample(40, seed=0)
    space.check(drawn)
    for j, column in enumerate(space.columns):
        cells = drawn[:, j][~drawn[:, j].isnan()]
        if column.is_number and len(cells):
            assert float(cells.min()) >= column.low and float(cells.max()) <= column.high
    rows = pf.to_table(drawn, space)
    for name in space.names:
        assert rows.schema.field(name).type == pa.table(table).schema.field(name).type, name
    write_samples(tmp_path / "samples.parquet", drawn, space)
    again = pf.data.read_like(tmp_path / "samples.parquet", space)[0]  # type: ignore[attr-defined]
    assert torch.equal(again.isnan(), drawn.isnan())
    assert np.allclose(again.nan_to_num(0), drawn.nan_to_num(0), rtol=1e-6)
    if model != "gan":
        found = fitted.log_prob(again)
        assert bool(torch.isfinite(found.values).all())


@pytest.mark.parametrize("model", ["gmm", "kde", "ddpm"])
def test_the_other_models_take_tables_too(model: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    n = 300
    table = pa.table(
        {
            "when": pa.array(generator.integers(0, 10**6, n) * 10**6, pa.timestamp("us")),
            "price": pa.array([None if u < 0.2 else round(u * 100, 2) for u in generator.random(n)]),
            "city": pa.array(generator.choice(["Lima", "Oslo", "Zürich"], n)),
            "ok": pa.array(generator.random(n) < 0.5),
            "always": pa.array(["x"] * n),
        }
    )
    data = pf.load(table)
    settings_ = {"training": {"threads": 1}, **({"timesteps": 10, **SMALL} if model == "ddpm" else {})}
    fitted = pf.fit(model, data, settings=settings_, progress=False, **({"steps": 5} if model == "ddpm" else {}))
    drawn = fitted.sample(200, seed=0)
    data.space.check(drawn)
    assert pf.to_table(drawn, data.space).schema.types == table.schema.types
    assert bool(torch.isfinite(fitted.log_prob(data.test).values).all())
    if model != "ddpm":  # which has seen five steps
        assert 0.08 < float(drawn[:, 1].isnan().double().mean()) < 0.35
