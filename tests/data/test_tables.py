"""Tables: headers, comments, types, frames of other libraries, and errors with row and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.data import load
from pushforward.data.arrays import as_rows
from pushforward.data.data import open_source
from pushforward.data.options import Options
from pushforward.errors import InputError
from pushforward.spaces import Classes, Real


def rows_of(source: Any, chosen: tuple[str, ...] = ()) -> tuple[np.ndarray, Any, list[str]]:
    """The rows in their own order."""
    opened = open_source(source, Options(), {})
    found = opened.read(chosen)
    return found.x, found.space, opened.notes


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1,2.5\n3,-4e2\n5,6\n", ("a", "b")),
        ("1,2.5\n3,-4e2\n5,6\n", ("column_1", "column_2")),
        ("# a comment, with commas\n#\n\na,b\n1,2.5\n3,-4e2\n5,6", ("a", "b")),
        ("# first\n1,2.5\n3,-4e2\n5,6\n", ("column_1", "column_2")),
        ("a,b\r\n1,2.5\r\n3,-4e2\r\n5,6\r\n", ("a", "b")),
        ("\ufeffa,b\n1,2.5\n3,-4e2\n5,6\n", ("a", "b")),
        ('"a","b"\n1,"2.5"\n3,-4e2\n5,6\n', ("a", "b")),
        ("a;b\n1;2.5\n3;-4e2\n5;6\n", ("a", "b")),
        ("a,\n1,2.5\n3,-4e2\n5,6\n", ("a", "column_2")),
    ],
)
def test_headers_comments_and_separators(text: str, names: tuple[str, ...], tmp_path: Path) -> None:
    x, space, _ = rows_of(write(tmp_path / "t.csv", text))
    assert space == Real((2,), names=names, double=True)
    assert np.array_equal(x, [[1, 2.5], [3, -400], [5, 6]])


def test_tsv_and_parquet_and_frames_give_the_same_rows(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = pd.DataFrame({"a": [1.5, 2.5, 1e300], "b": [1, 2, 3]})
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    sources = [tmp_path / "t.tsv", tmp_path / "t.parquet", frame, polars.from_pandas(frame), pa.table(frame)]
    for source in sources:
        x, space, _ = rows_of(source)
        assert space == Real((2,), names=("a", "b"), double=True)
        assert np.array_equal(x, frame.to_numpy())
    shuffled = frame.sample(frac=1, random_state=0)  # an index that is not 0, 1, 2 is no column
    shuffled.to_parquet(tmp_path / "s.parquet")
    for source in (shuffled, shuffled.set_index("b"), tmp_path / "s.parquet"):
        _, space, _ = rows_of(source)
        assert set(space.names) <= {"a", "b"}
    assert np.array_equal(rows_of(frame["a"])[0][:, 0], frame["a"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=3, max_size=20))
def test_numbers_survive_a_csv_file_to_the_bit(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write(path, "a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in values))
    assert np.array_equal(rows_of(path)[0], np.array(values))


def test_real_world_header_of_numbers_and_text_is_a_row(tmp_path: Path) -> None:
    iris = "5.1,3.5,setosa\n4.9,3.0,setosa\n7.0,3.2,versicolor\n6.3,3.3,versicolor\n"
    data = load(write(tmp_path / "iris.csv", iris), condition=True)
    assert len(data.train) + len(data.validation) + len(data.test) == 4
    assert data.condition_space == Classes(2, ("setosa", "versicolor"))
    assert data.space == Real((2,), names=("column_1", "column_2"), double=True)


TABLE = "x,y,k,name,flag,age\n" + "".join(
    f"{i / 7},{i * i},{i % 3},{'abc'[i % 3]},{'true' if i % 2 else 'false'},{i}\n" for i in range(60)
)


@pytest.mark.parametrize(
    ("condition", "space"),
    [
        ("name", Classes(3, ("a", "b", "c"))),
        ("flag", Classes(2, ("false", "true"))),
    ],
)
def test_one_text_column_must_be_the_condition(condition: str, space: Any, tmp_path: Path) -> None:
    other = {"name": "flag", "flag": "name"}[condition]
    frame = pd.read_csv(write(tmp_path / "t.csv", TABLE)).drop(columns=other)
    data = load(frame, condition=condition)
    assert data.condition_space == space
    assert data.space.names == ("x", "y", "k", "age")
    x, labels = data.train.all()
    for row, label in zip(x.tolist(), labels.tolist()):
        assert space.names[label] == str(frame[condition][int(row[3])]).lower()


def test_numeric_conditions(tmp_path: Path) -> None:
    frame = pd.read_csv(write(tmp_path / "t.csv", TABLE)).drop(columns=["name", "flag"])
    assert load(frame, condition="k").condition_space == Classes(3, ("0", "1", "2"))
    assert load(frame, condition="age").condition_space == Real((1,), names=("age",), double=True)
    both = load(frame, condition="y, x")
    assert both.condition_space == Real((2,), names=("y", "x"), double=True)
    assert both.space.names == ("k", "age")
    x, c = both.train.all()
    assert torch.equal(c[:, 0], x[:, 1] ** 2) and torch.allclose(c[:, 1], x[:, 1] / 7)


def test_class_names_of_integers_are_in_numeric_order() -> None:
    frame = pd.DataFrame({"x": np.arange(30.0), "k": np.tile([10, 2, -1], 10)})
    data = load(frame, condition="k")
    assert data.condition_space == Classes(3, ("-1", "2", "10"))
    x, c = data.train.all()
    assert torch.equal(c, torch.tensor([2, 1, 0])[(x[:, 0] % 3).long()])


BAD_FILES = [
    ("a,b\n1,2\n3,oops\n5,6\n7,8\n", "column 'b', data row 2: 'oops' is not a number"),
    ("a,b\n1,2\n3,\n5,6\n", "column 'b', data row 2: the value is missing"),
    ("a,b\n1,2\n3,NaN\n5,6\n", "column 'b', data row 2: the value is missing"),
    ("a,b\n1,2\n3,inf\n5,6\n", "column 'b', data row 2: the value is inf"),
    ("a,b\n1,2\n3\n5,6\n", "line 3: 1 cells instead of 2"),
    ("# note\na,b\n1,2\n3,4,5\n5,6\n", "line 4: 3 cells instead of 2"),
    ("a,a\n1,2\n3,4\n5,6\n", "names 'a' 2 times"),
    ("", "is empty"),
    ("# only a comment\n", "is empty"),
    ("a,b\n", "no rows"),
    ("a,b\n1,2\n", "1 row"),
    ("a,b\nx,1\ny,2\nz,3\n", "column 'a' is not numeric: it holds 'x' in data row 1.*condition='a'"),
    ("a,b,c\nx,1,u\ny,2,v\nz,3,w\n", "2 columns are not numeric: a, c"),
    ("a,b\n2020-01-01,1\n2020-01-02,2\n2020-01-03,2\n", "column 'a' is not numeric: it holds '2020-01-01"),
    ("a,b\n,1\n,2\n,3\n", "column 'a' is empty"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_bad_files_name_row_and_column(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(write(tmp_path / "bad.csv", text))
    assert "bad.csv" in str(caught.value)


def test_ragged_line_number_far_into_a_file(tmp_path: Path) -> None:
    """Blocks of a megabyte must not restart the count."""
    lines = ["a,b"] + [f"{i},{'1' * 20}" for i in range(100_000)]
    lines[90_000] = "1,2,3"
    with pytest.raises(InputError, match="line 90001: 3 cells"):
        load(write(tmp_path / "t.csv", "\n".join(lines)))


def test_a_late_text_cell_is_found(tmp_path: Path) -> None:
    lines = ["a"] + [str(i) for i in range(200_000)]
    lines[150_000] = "x"
    with pytest.raises(InputError, match=r"column 'a', data row 150000: 'x' is not a number"):
        load(write(tmp_path / "t.csv", "\n".join(lines)))


def test_other_encodings_and_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("a,b\n1,2\né,3\n".encode("latin-1"))
    (tmp_path / "b.csv").write_bytes("a,b\n1,2\n".encode("utf-16"))
    (tmp_path / "c.parquet").write_bytes(b"PAR1 not really")
    for name, message in (("a.csv", "line 3.*UTF-8"), ("b.csv", "UTF-8"), ("c.parquet", "damaged")):
        with pytest.raises(InputError, match=message):
            load(tmp_path / name)


def test_nested_parquet_and_repeated_columns_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0, 2, 3], "v": [[1], [2], [3]]}), tmp_path / "n.parquet")
    with pytest.raises(InputError, match="'v' is nested"):
        load(tmp_path / "n.parquet")
    with pytest.raises(InputError, match="2 columns are named 'a'"):
        load(pa.Table.from_arrays([pa.array([1, 2, 3])] * 2, names=["a", "a"]))


def test_conditions_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE)
    with pytest.raises(InputError, match="Did you mean name"):
        load(path, condition="nmae")
    with pytest.raises(InputError, match=r"exactly one candidate.*2 \(name, flag\)"):
        load(path, condition=True)
    with pytest.raises(InputError, match="'flag' is not numeric"):
        load(path, condition="name")
    with pytest.raises(InputError, match="must all be numbers"):
        load(path, condition="name,x")
    with pytest.raises(InputError, match="column twice"):
        load(path, condition="x,x")
    frame = pd.DataFrame({"x": np.arange(30.0), "id": [f"u{i}" for i in range(30)], "one": ["a"] * 30})
    with pytest.raises(InputError, match="30 distinct values"):
        load(frame[["x", "id"]], condition="id")
    with pytest.raises(InputError, match="always 'a'"):
        load(frame[["x", "one"]], condition="one")
    with pytest.raises(InputError, match="no columns left"):
        load(frame[["x"]], condition="x")
    frame.loc[4, "one"] = None
    with pytest.raises(InputError, match="column 'one', data row 5: the value is missing"):
        load(frame[["x", "one"]], condition="one")
    with pytest.raises(InputError, match="image_size= is for pictures"):
        load(frame[["x"]], image_size=3)


def test_decimals_large_integers_and_booleans(tmp_path: Path) -> None:
    from decimal import Decimal

    table = pa.table({"d": [Decimal("1.25"), Decimal("2.5"), Decimal("3")], "u": pa.array([1, 2, 2**63], pa.uint64())})
    x, _, _ = rows_of(table)
    assert np.array_equal(x, [[1.25, 1], [2.5, 2], [3, 2.0**63]])
    assert as_rows(x, "x")[1] == Real((2,), double=True)
