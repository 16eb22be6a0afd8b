"""Columns: their kinds, cells to numbers and back, and tables that survive every file unchanged."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushforward.data import load, write_samples
from pushforward.data.cells import to_arrow, type_of
from pushforward.data.columns import Detected, detect, encode, grid
from pushforward.data.data import open_source
from pushforward.data.options import Options
from pushforward.errors import InputError
from pushforward.spaces import Column, Table


def found(cells: Any, kind: str | None = None, name: str = "c") -> Column:
    """The one column that is detected, beside one that is certainly modelled."""
    table = pa.table({name: cells})
    columns = detect(table, {} if kind is None else {name: kind}, "f").columns
    assert len(columns) == 1
    return columns[0]


# ------------------------------------------------------------------------------------------ round trips

UNICODE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
WORDS = st.sampled_from(
    ["a", "b", "Ünï", "007", "12", "1.5", "NA", "", "?", " x", "yes", "no", "true", "low", "high", "18-24", "-", "nan"]
    + ["2020-01-31", 'say "hi"', "a,b", "a;b", "line\nbreak", "#", "None", "inf", "10%", "日本", "a\tb", "'"]
)
DATES = st.dates(min_value=pd.Timestamp("1700-01-01").date(), max_value=pd.Timestamp("2200-01-01").date())
MOMENTS = st.datetimes(
    min_value=pd.Timestamp("1900-01-01").to_pydatetime(), max_value=pd.Timestamp("2100-01-01").to_pydatetime()
)
CELLS: dict[str, tuple[st.SearchStrategy, pa.DataType]] = {
    "float": (st.floats(allow_nan=False, allow_infinity=False), pa.float64()),
    "rounded": (st.integers(-300, 300).map(lambda i: i / 4), pa.float64()),
    "single": (st.floats(width=32, allow_nan=False, allow_infinity=False), pa.float32()),
    "infinite": (st.floats(allow_nan=False), pa.float64()),
    "int": (st.integers(-1000, 1000), pa.int64()),
    "long": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "unsigned": (st.integers(0, 200), pa.uint8()),
    "flag": (st.integers(0, 1), pa.int32()),
    "bool": (st.booleans(), pa.bool_()),
    "decimal": (st.decimals(-999, 999, places=2), pa.decimal128(7, 2)),
    "word": (WORDS, pa.string()),
    "text": (UNICODE, pa.large_string()),
    "category": (WORDS, pa.dictionary(pa.int32(), pa.string())),
    "date": (DATES, pa.date32()),
    "moment": (MOMENTS, pa.timestamp("us")),
    "second": (MOMENTS.map(lambda t: t.replace(microsecond=0)), pa.timestamp("s", "Europe/Berlin")),
    "day": (DATES.map(lambda d: d.strftime("%d/%m/%Y")), pa.string()),
    "time": (st.times(), pa.time64("us")),
    "duration": (st.integers(-1000, 1000), pa.duration("ms")),
    "empty": (st.none(), pa.null()),
}


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(CELLS)) -> pa.Table:
    n = draw(st.integers(3, 60))
    names = draw(
        st.lists(st.one_of(st.sampled_from(string.ascii_letters), UNICODE), min_size=1, max_size=4, unique=True)
    )
    columns = {}
    for name in names:
        cells, kind = CELLS[draw(st.sampled_from(kinds))]
        few = draw(st.lists(cells, min_size=1, max_size=draw(st.sampled_from([1, 2, 5, 60]))))
        if draw(st.booleans()):
            few = [*few, None]
        values = draw(st.lists(st.sampled_from(few), min_size=n, max_size=n))
        columns[name] = pa.array(values, kind)
    columns["fixed"] = pa.array([f"v{i % 3}" for i in range(n)])
    return pa.table(columns)


def rows(source: Any) -> tuple[np.ndarray, Table, Detected]:
    opened = open_source(source, Options(), {})
    read = opened.read()
    return read.x, read.space, opened.found  # type: ignore[attr-defined, return-value]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(((a == b) | (np.isnan(a) & np.isnan(b))).all())


def values(column: Column) -> list[Any]:
    """The categories; of numbers (0.00 and 0 are the same) their values."""
    try:
        return [repr(float(c)) for c in column.categories]
    except ValueError:
        return list(column.categories)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(tables())
def test_tables_survive_arrow_parquet_and_csv(tmp_path: Path, table: pa.Table) -> None:
    try:
        x, space, _ = rows(table)
    except InputError as error:
        assert "f:" not in str(error)
        return
    back = to_arrow(x, space)
    kept = table.select(list(space.names))
    for name in space.names:  # the user's own cells, to the type
        left, right = kept.column(name), back.column(name)
        if pa.types.is_dictionary(left.type):
            assert right.type == left.type
            left, right = left.cast(left.type.value_type), right.cast(left.type.value_type)
        assert right.equals(left), name
    for suffix in (".parquet", ".csv"):
        path = write_samples(tmp_path / f"t{suffix}", x, space)
        again, space_again, _ = rows(path)
        assert space_again.names == space.names
        for a, b in zip(space.columns, space_again.columns):
            assert a.kind == b.kind and a.missing == b.missing, (suffix, a, b)
            assert values(a) == values(b), (suffix, a, b)
        for j, column in enumerate(space.columns):
            single = column.stored == "float" and suffix == ".csv"  # of which the shortest text is written
            assert same(*(v[:, j].astype(np.float32 if single else np.float64) for v in (x, again))), (suffix, column)
