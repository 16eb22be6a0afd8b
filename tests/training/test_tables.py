"""Any table: loaded, fitted for a few steps, sampled, written, loaded again. Nothing crashes, no type changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import pushforward as pf
from pushforward.data import write_samples
from pushforward.errors import InputError
from pushforward.spaces import Column, Table

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


def test_data_written_as_samples_reloads_as_the_same_columns(tmp_path: Path) -> None:
    """200 rows of the data itself, through its space and a CSV file, without the types that a file of text has not."""
    generator = np.random.default_rng(0)
    n, days = 200, np.arange(200) % 150 * 86400
    table = pa.table(
        {
            "income": pa.array([None if u < 0.1 else u * 1e4 for u in generator.random(n)]),
            "weight": pa.array(generator.normal(size=n), pa.float32()),
            "price": pa.array(generator.integers(1, 60, n) / 10, pa.float32()),
            "cents": pa.array(generator.integers(1, 60, n) / 100),
            "children": pa.array([None if u < 0.1 else int(8 * u) for u in generator.random(n)], pa.int32()),
            "year": pa.array(generator.integers(1950, 2020, n)),
            "city": pa.array(generator.choice(["Lima", "Oslo", "São Paulo, SP"], n)),
            "zip": pa.array(generator.choice(["007", "0010", "12"], n)),
            "level": pa.array(generator.choice(["low", "medium", "high"], n)),
            "ok": pa.array(generator.random(n) < 0.5),
            "answer": pa.array(generator.choice(["yes", "no"], n)),
            "when": pa.array(days + generator.integers(0, 86400, n), pa.timestamp("s")),
            "day": pa.array(days, pa.timestamp("s")).cast(pa.date32()),
            "written": pa.array(days, pa.timestamp("s")).cast(pa.date32()),
            "always": pa.array(["x"] * n),
        }
    )
    written = pc.strftime(table["written"], "%d.%m.%Y")
    table = table.set_column(table.column_names.index("written"), "written", written)
    space = pf.load(table).space
    assert isinstance(space, Table)
    x = pf.data.read_like(table, space)[0]  # type: ignore[attr-defined]
    again = pf.load(write_samples(tmp_path / "samples.csv", x, space)).space
    assert isinstance(again, Table)

    def what(column: Column) -> tuple:
        ends = np.float32([column.low, column.high]).tolist()  # of float32 they are written with its own digits
        return column.name, column.kind, column.categories, column.step, column.missing, *ends

    assert [what(c) for c in again.columns] == [what(c) for c in space.columns]
    kinds = "continuous continuous continuous continuous integer integer category category ordinal boolean boolean"
    assert [c.kind for c in again.columns] == [*kinds.split(), "datetime", "datetime", "datetime", "constant"]


def test_samples_written_as_text_reload_as_the_same_columns(tmp_path: Path) -> None:
    """Of a column that the samples still show: all of its values, and missing cells where it has any."""
    generator = np.random.default_rng(1)
    n = 400
    table = pa.table(
        {
            "x": pa.array(generator.normal(size=n)),
            "price": pa.array(generator.integers(1, 60, n) / 10, pa.float32()),
            "age": pa.array(generator.integers(17, 90, n)),
            "gap": pa.array([None if u < 0.3 else int(20 * u) for u in generator.random(n)]),
            "city": pa.array(generator.choice(["Lima", "Oslo", "Zürich"], n)),
            "level": pa.array(generator.choice(["low", "medium", "high"], n)),
            "ok": pa.array(generator.random(n) < 0.5),
            "day": pa.array(generator.integers(0, 300, n).astype(np.int32), pa.date32()),
            "rare": pa.array(["a"] * (n - 1) + ["b"]),
        }
    )
    data = pf.load(table)
    assert isinstance(data.space, Table)
    drawn = pf.fit("gmm", data, settings={"training": {"threads": 1}}, progress=False).sample(400, seed=0)
    again = pf.load(write_samples(tmp_path / "samples.csv", drawn, data.space)).space
    assert isinstance(again, Table) and again.names == data.space.names
    shown = 0
    for j, (old, new) in enumerate(zip(data.space.columns, again.columns)):
        cells = drawn[:, j][~drawn[:, j].isnan()]
        if old.categories and len(cells.unique()) < len(old.categories):
            assert new.kind == "constant" or set(new.categories) < set(old.categories)  # nothing was made up
            continue
        shown += 1
        assert (new.kind, new.categories, new.step) == (old.kind, old.categories, old.step), old.name
        assert new.missing == bool(drawn[:, j].isnan().any())
    assert shown >= 8  # all but perhaps the rare one
