"""Columns: their kinds, cells to numbers and back, and tables that survive every file unchanged."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushforward.data import write_samples
from pushforward.data.data import open_source
from pushforward.data.options import Options
from pushforward.data.tables.cells import decode_column, encode_column, to_arrow, type_of
from pushforward.data.tables.columns import Detected, detect, encode, grid
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
    ["a", "Ünï", "日本", "007", "12", "1.5", "-5", "1e5", "inf", "nan", "NA", "None", "", "?", "-", "10%", " x", "'",
     "yes", "no", "true", "low", "high", "18-24", "2020-01-31", 'say "hi"', "a,b", "a;b", "a\tb", "line\nbreak", "#"]
)  # fmt: skip
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
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
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


# ------------------------------------------------------------------------------------------ kinds

N = 40
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=N)


@pytest.mark.parametrize(
    ("cells", "kind", "more"),
    [
        (NORMAL, "continuous", {"step": None, "low": NORMAL.min(), "high": NORMAL.max()}),
        (np.round(RNG.lognormal(size=400), 1), "continuous", {"step": 0.1}),
        (RNG.integers(0, 30, 400) / 4, "continuous", {"step": 0.25}),
        (np.where(RNG.random(400) < 0.9, 0, RNG.normal(size=400)), "continuous", {"step": None}),  # a spike, no grid
        (np.round(RNG.normal(size=400), 6), "continuous", {"step": None}),  # digits, but no repeats
        (RNG.integers(0, 50, N), "integer", {"step": 1.0, "stored": "int64"}),
        (RNG.integers(0, 50, N).astype(float), "integer", {"step": 1.0, "stored": "double"}),
        (pa.array([2, 5, None, 9], pa.int8()), "integer", {"missing": True, "stored": "int8"}),
        ([1.5, float("nan"), None, 2.5], "continuous", {"missing": True}),
        ([0, 1, 1, None], "boolean", {"categories": ("0", "1"), "missing": True}),
        ([0.0, 1.0, 1.0], "boolean", {"categories": ("0", "1"), "stored": "double"}),
        ([True, False, None], "boolean", {"categories": ("false", "true"), "stored": "bool"}),
        (["Yes", "No", "Yes"], "boolean", {"categories": ("No", "Yes")}),
        (["t", "f", None], "boolean", {"categories": ("f", "t"), "missing": True}),
        (["m", "f", "m"], "category", {"categories": ("f", "m")}),
        (["low", "high", "medium"], "ordinal", {"categories": ("low", "medium", "high")}),
        (["65+", "18-24", "25-34"], "ordinal", {"categories": ("18-24", "25-34", "65+")}),
        (["b10", "b9", "a", None], "category", {"categories": ("a", "b9", "b10"), "missing": True}),
        (["007", "10", "010"], "category", {"categories": ("007", "010", "10")}),
        (["x", "x", "x"], "constant", {"categories": ("x",)}),
        ([7, 7, 7], "constant", {"categories": ("7",), "stored": "int64"}),
        ([None, None, None], "constant", {"categories": (), "missing": True}),
        ([float("nan")] * 3, "constant", {"categories": (), "missing": True, "stored": "double"}),
        (pa.array([1, 5, 3], pa.date32()), "datetime", {"low": 86400, "high": 5 * 86400, "step": 86400}),
        (pa.array([0, 3600, 7200]).cast(pa.timestamp("s")), "datetime", {"high": 7200, "step": 3600}),
        (pa.array([0, 1, 5]).cast(pa.timestamp("ms")), "datetime", {"high": 0.005, "step": None}),
        (["2020-01-31", None, "2021-05-05"], "datetime", {"format": "%Y-%m-%d", "step": 86400, "missing": True}),
        (["31.01.2020 10:30", "01.02.2020 11:45"], "datetime", {"format": "%d.%m.%Y %H:%M", "step": 60}),
        (list(range(1990, 2030)), "integer", {}),  # years, not identifiers
        (pa.array([5, 3, 9]).cast(pa.duration("s")), "integer", {"stored": "duration[s]"}),
        (pd.Categorical(["b", "a", "b"]), "category", {"categories": ("a", "b")}),
        (pd.Categorical(["b", "a", "b"], ["c", "b", "a"], ordered=True), "ordinal", {"categories": ("c", "b", "a")}),
        (pd.Categorical([3, 1, 3, 10]), "category", {"categories": ("1", "3", "10")}),
    ],
)
def test_kinds(cells: Any, kind: str, more: dict[str, Any]) -> None:
    column = found(pa.array(cells))
    assert column.kind == kind
    assert {name: getattr(column, name) for name in more} == more


@pytest.mark.parametrize(
    ("cells", "name", "kind"),
    [
        (list(range(100, 130)), "n", "identifier"),
        (RNG.permutation(30), "n", "identifier"),
        (list(range(19)), "n", None),  # so few, chance makes
        (RNG.choice(10**6, 30, replace=False), "customer_id", "identifier"),
        (RNG.choice(10**6, 30, replace=False), "price", None),
        (np.arange(30.0), "x", None),
        ([f"A{i:03}" for i in range(30)], "code", "identifier"),
        ([f"A{i % 9:03}" for i in range(30)], "code", None),
        ([f"some words of a remark that nobody else wrote {i}" for i in range(30)], "remark", "text"),
        ([2**60 + i for i in range(30)], "hash", "identifier"),
        ([2**60 + i % 3 for i in range(30)], "hash", None),
    ],
)
def test_what_is_left_out(cells: Any, name: str, kind: str | None) -> None:
    detected = detect(pa.table({name: pa.array(cells)}), {}, "f")
    assert [d.kind for d in detected.dropped] == ([] if kind is None else [kind])
    assert any(f"--columns {name}=category" in note for note in detected.notes) == (kind is not None)
    kept = detect(pa.table({name: pa.array(cells)}), {name: "category"}, "f").columns
    assert kept[0].kind == "category" and len(kept[0].categories) == len(set(cells))


OVERRIDES: list[tuple[Any, str, dict[str, Any]]] = [
    ([1, 2, 5], "continuous", {"step": None, "high": 5.0}),
    (["1", "2,5", "3"], "continuous", {"high": 3.0, "stored": "string"}),
    ([1, 2, 10], "category", {"categories": ("1", "2", "10"), "stored": "int64"}),
    ([1, 2, 10], "ordinal", {"categories": ("1", "2", "10")}),
    (["c", "a", "b"], "ordinal", {"categories": ("a", "b", "c")}),
    (["m", "f", "m"], "boolean", {"categories": ("f", "m")}),
    ([20200131, 20201231, 20200229], "datetime", {"format": "%Y%m%d", "step": 86400, "stored": "int64"}),
    (["1.5", "x", None], "category", {"categories": ("1.5", "x"), "missing": True}),
    ([True, False, True], "category", {"categories": ("false", "true")}),
    ([0.5, 1.5, 0.5], "category", {"categories": ("0.5", "1.5"), "stored": "double"}),
    ([0.5, 1.5, 0.5], "drop", {}),
    ([0.5, 1.5, 0.5], "identifier", {}),
    ([0.5, 1.5, 0.5], "text", {}),
]


@pytest.mark.parametrize(("cells", "kind", "more"), OVERRIDES)
def test_what_the_user_says_goes(cells: Any, kind: str, more: dict[str, Any]) -> None:
    detected = detect(pa.table({"c": pa.array(cells)}), {"c": kind}, "f")
    if not more:
        assert not detected.columns and detected.dropped[0].name == "c"
        return
    column = detected.columns[0]
    assert column.kind == kind and {name: getattr(column, name) for name in more} == more
    x = encode(pa.table({"c": pa.array(cells)}), detected.space, "f")
    back = to_arrow(x, detected.space)["c"]
    assert back.type == pa.array(cells).type
    if kind != "continuous":
        assert back.to_pylist() == list(cells)


def test_every_row_counts(tmp_path: Path) -> None:
    """Ranges, categories and missing cells come from all rows; a cell at the very end is seen."""
    n = 50_000
    cells: Callable[[Any, Any], list[Any]] = lambda usual, last: [usual] * (n - 2) + [last, usual]  # noqa: E731
    table = pa.table({"x": RNG.random(n), "c": cells("a", "rare"), "k": cells(1, 99), "m": cells("a", None)})
    x, c, k, m = detect(table, {}, "f").columns
    assert c.categories == ("a", "rare") and k.high == 99 and m.missing and not x.missing


def test_the_same_whatever_the_order_of_rows() -> None:
    table = pa.table({"c": RNG.choice(["x10", "x9", "é", "Z"], 200), "n": np.round(RNG.normal(size=200), 1)})
    shuffled = table.take(pa.array(RNG.permutation(200)))
    assert detect(table, {}, "f").columns == detect(shuffled, {}, "f").columns


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(10**6), 10**6), min_size=12, max_size=60), st.sampled_from([2, 4, 5, 10, 20, 100, 1000]))
def test_the_grid_holds_every_value_exactly(whole: list[int], inverse: int) -> None:
    values = np.array([*whole, *whole]) / inverse
    distinct, counts = np.unique(values, return_counts=True)
    step = grid(distinct, counts)
    if step is None:
        assert (counts.sum() - counts.max()) < 10 or (distinct == np.rint(distinct)).all() or len(distinct) == 1
        return
    k = round(1 / step)
    assert step == 1 / k and inverse % k == 0 and (np.round(distinct * k) / k == distinct).all()


def test_cells_of_samples_are_brought_onto_the_grid() -> None:
    table = pa.table(
        {"price": [0.1, 0.3, 0.2, 0.3] * 10, "n": [1, 2, 3, 4] * 10, "d": ["2020-01-01", "2020-01-03"] * 20}
    )
    space = detect(table, {}, "f").space
    x = np.array([[0.30000001, 2.4, space.columns[2].low + 86400 + 3600], [0.1 + 0.2, -3.0, np.inf * 0]])
    x[1, 2] = space.columns[2].low - 86400
    back = to_arrow(x, space).to_pylist()
    assert back == [{"price": 0.3, "n": 2, "d": "2020-01-02"}, {"price": 0.3, "n": -3, "d": "2019-12-31"}]


@pytest.mark.parametrize("kind", [kind for _, kind in CELLS.values()] + [pa.dictionary(pa.int8(), pa.int64(), True)])
def test_types_are_named_and_found_again(kind: pa.DataType) -> None:
    assert type_of(str(kind)) == kind


def test_small_integer_types_never_overflow() -> None:
    space = detect(
        pa.table({"u": pa.array([1, 250, 3], pa.uint8()), "i": pa.array([-5, 100, 3], pa.int8())}), {}, "f"
    ).space
    back = to_arrow(np.array([[300.0, 300.0], [-20.0, -300.0]]), space)
    assert back.to_pydict() == {"u": [255, 0], "i": [127, -128]}


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_numbers_on_a_grid_are_the_decimals_that_they_are(kind: pa.DataType) -> None:
    generator = np.random.default_rng(0)
    exact = generator.integers(-40, 41, 500) / 10
    cells = pa.array(exact).cast(kind, safe=False)
    column = detect(pa.table({"x": cells}), {}, "f").columns[0]
    assert (column.step, column.low, column.high) == (0.1, -4, 4)
    x = encode_column(pa.chunked_array([cells]), column, "f")
    assert np.array_equal(x, exact) and decode_column(x, column).equals(cells)
    assert encode_column(pa.chunked_array([pa.array([0.1 + 0.2, 1e6])]), column, "f").tolist() == [0.3, 1e6]


@pytest.mark.parametrize(
    ("data", "new", "message"),
    [
        (
            [17, 40, 23],
            [40, None, 40.2],
            r"column 'c', data row 3: 40\.2 is off the grid: .* whole numbers in the data",
        ),
        ([17, 40, 23], [1e15 + 0.5], "data row 1: 1000000000000000.5 is off the grid"),
        ([0.25, 0.5, 0.75] * 20, [0.25, 0.3], r"data row 2: 0\.3 is off the grid: .* multiples of 0\.25"),
        ([0.01, 0.02, 0.5] * 20, [0.255], r"data row 1: 0\.255 is off the grid"),
        ([0.01, 0.02, 0.5] * 20, [1e308], "data row 1: 1e.308 is off the grid"),
    ],
)
def test_a_cell_off_the_grid_is_refused(data: list, new: list, message: str) -> None:
    column = replace(found(data), missing=True)
    with pytest.raises(InputError, match=message):
        encode_column(pa.chunked_array([pa.array(new)]), column, "f")
