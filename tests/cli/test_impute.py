"""`impute`: blanks are filled and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import Cli
from .people import people, people_run, with_blanks


@pytest.fixture(scope="module")
def mixture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return people_run(tmp_path_factory.mktemp("people"), "gmm", "--set", "components=2", "--set", "covariance=full")


def new_rows() -> pd.DataFrame:
    """Columns in another order, and one that the model does not know."""
    rows = people(120, seed=7)
    rows["note"] = [f"note {i}" if i % 3 else None for i in range(120)]
    return with_blanks(rows, ["age", "sex", "city", "height", "joined", "score"])[[*rows.columns[::-1]]]


def test_only_blanks_change(cli: Cli, mixture_run: Path) -> None:
    given = new_rows()
    given.to_csv("new.csv", index=False)
    result = cli("impute", mixture_run, "new.csv", "--out", "filled.csv", "--seed", 1, "--json")
    assert result.code == 0, result.err
    read = {"dtype": str, "keep_default_na": False}
    before, after = pd.read_csv("new.csv", **read), pd.read_csv("filled.csv", **read)
    assert list(after.columns) == list(before.columns) and len(after) == 120
    blank = before == ""
    known = [name for name in before.columns if name != "note"]
    assert (after[known] != "").all().all()
    as_numbers = after.where(~blank), before.where(~blank)
    for name in before.columns:
        a, b = (one[name].dropna() for one in as_numbers)
        if name == "score":  # as many digits as it takes: the same numbers
            a, b = a.astype(float), b.astype(float)
        assert (a == b).all(), name
    assert (after.note == before.note).all()  # not the model's: as it was, blanks too
    document = result.json
    assert document["cells_filled"] == int(blank[known].sum().sum()) == sum(document["columns"].values())
    assert document["rows_filled"] == int(blank[known].any(axis=1).sum()) and document["method"] == "exact"
    typed = pd.read_csv("filled.csv")
    assert typed.age.dtype == np.int64 and set(typed.sex) == {"Female", "Male"}
    assert pd.to_datetime(typed.joined, format="%Y-%m-%d").notna().all()
    tall = typed[given.height.isna()].groupby("sex").height.mean()  # what is filled depends on what is there
    assert tall.Male - tall.Female > 6


def test_several_draws(cli: Cli, mixture_run: Path) -> None:
    new_rows().to_csv("new.csv", index=False)
    result = cli("impute", mixture_run, "new.csv", "--out", "filled.parquet", "--draws", 3, "--seed", 1)
    assert result.code == 0 and "3 times" in result.out and "method: exact" in result.out
    table = pd.read_parquet("filled.parquet")
    assert list(table.columns[:2]) == ["draw", "row"] and len(table) == 360
    assert table.draw.tolist() == [1] * 120 + [2] * 120 + [3] * 120 and table.row[:120].tolist() == list(range(1, 121))
    parts = [part.drop(columns=["draw", "row"]).reset_index(drop=True) for _, part in table.groupby("draw")]
    assert not parts[0].equals(parts[1])
    blank = new_rows().height.isna().to_numpy()
    assert (parts[0].height[~blank] == parts[1].height[~blank]).all()
    assert (parts[0].height[blank] != parts[1].height[blank]).mean() > 0.9
    again = cli("impute", mixture_run, "new.csv", "--out", "again.parquet", "--draws", 3, "--seed", 1)
    assert again.code == 0 and pd.read_parquet("again.parquet").equals(table)


def test_types_of_parquet_stay(cli: Cli, mixture_run: Path) -> None:
    frame = new_rows()
    table = pa.table(
        {
            "age": pa.array(frame.age.tolist(), pa.int16()),
            "sex": pa.array(frame.sex.tolist()).dictionary_encode(),
            "city": pa.nulls(120),  # all blank
            "height": pa.array(frame.height.tolist(), pa.float32()),
            "joined": pa.array(frame.joined.tolist()).cast(pa.date32()),
            "score": pa.array(frame.score.tolist(), pa.float64()),
        }
    )
    pq.write_table(table, "new.parquet")
    assert cli("impute", mixture_run, "new.parquet", "--out", "filled.parquet", "--seed", 1).code == 0
    filled = pq.read_table("filled.parquet")
    for field in table.schema:
        expected = pa.string() if field.name == "city" else field.type
        assert filled.schema.field(field.name).type == expected, field
        assert filled.column(field.name).null_count == 0
    kept = frame.age.notna().to_numpy()
    assert (filled.column("age").to_numpy()[kept] == frame.age[kept].to_numpy().astype(int)).all()


def test_a_whole_table_is_as_it_was(cli: Cli, mixture_run: Path) -> None:
    people(20).to_csv("new.csv", index=False)
    result = cli("impute", mixture_run, "new.csv", "--out", "same.csv")
    assert result.code == 0 and "no cell was missing" in result.out
    assert pd.read_csv("same.csv").equals(people(20))


def test_refused(cli: Cli, mixture_run: Path, plane_run: Path) -> None:
    new_rows().to_csv("new.csv", index=False)
    people(5).drop(columns="age").to_csv("lacks.csv", index=False)
    people(5).replace("Oslo", "Bergen").replace("Lima", "Bergen").to_csv("unknown.csv", index=False)
    Path("there.csv").write_text("mine")
    for words, says in (
        ([mixture_run, "new.csv", "--out", "a.txt"], ".csv, .parquet"),
        ([mixture_run, "new.csv", "--out", "there.csv"], "--overwrite"),
        ([mixture_run, "lacks.csv", "--out", "a.csv"], "lacks 'age'"),
        ([mixture_run, "unknown.csv", "--out", "a.csv"], "'Bergen' is not one of"),
        ([mixture_run, "nothing.csv", "--out", "a.csv"], "nothing.csv"),
        ([mixture_run, "new.csv", "--out", "a.csv", "--method", "best"], "approximate"),
        ([plane_run, "new.csv", "--out", "a.csv"], "tables"),
    ):
        result = cli("impute", *words)
        assert result.code == 2 and says in result.err and not Path("a.csv").exists(), (words, result.err)
    assert Path("there.csv").read_text() == "mine"


def test_rows_of_a_conditional_model(cli: Cli, tmp_path: Path) -> None:
    people(300).to_csv("people.csv", index=False)
    made = cli("fit", "people.csv", "--model", "gmm", "--condition", "sex", "--set", "components=1", "--out", "run")
    assert made.code == 0, made.err
    rows = people(60, seed=8).assign(height=None)
    rows.to_csv("new.csv", index=False)
    assert cli("impute", "run", "new.csv", "--out", "filled.csv", "--seed", 1).code == 0
    filled = pd.read_csv("filled.csv")
    means = filled.groupby("sex").height.mean()
    assert means.Male - means.Female > 8 and (filled.sex == rows.sex).all()
