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

from pushforward.data import load, to_table
from pushforward.data.data import open_source
from pushforward.data.options import Options
from pushforward.errors import InputError
from pushforward.spaces import Classes, Real, Table


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
        ("a,b,\n1,2.5,\n3,-4e2,\n5,6,\n", ("a", "b")),
        ("a,b\n1,2.5\n3,-4e2\n5,6\n   \n\n  ", ("a", "b")),
        ("a,b\r1,2.5\r3,-4e2\r5,6\r", ("a", "b")),
        ("a|b\n1|2.5\n3|-4e2\n5|6\n", ("a", "b")),
        ("2019,2020\n1,2.5\n3,-4e2\n5,6\n", ("2019", "2020")),
        ('"1","2"\n1,2.5\n3,-4e2\n5,6\n', ("1", "2")),
        ("2020-01-01,b\n1,2.5\n3,-4e2\n5,6\n", ("2020-01-01", "b")),
    ],
)
def test_headers_comments_and_separators(text: str, names: tuple[str, ...], tmp_path: Path) -> None:
    x, space, _ = rows_of(write(tmp_path / "t.csv", text))
    assert space.names == names and [c.kind for c in space.columns] == ["integer", "continuous"]
    assert np.array_equal(x, [[1, 2.5], [3, -400], [5, 6]])


class Stream:
    """A frame of another library: all that it speaks is Arrow's C stream."""

    columns = ()

    def __init__(self, table: pa.Table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def test_tsv_and_parquet_and_frames_give_the_same_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5, 1e300], "b": [1, 2, 3], "c": ["x", "y", None]})
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    table = pa.table(frame)
    views = table.set_column(2, "c", pa.array(["x", "y", None], pa.string_view()))  # what polars sends
    large = table.set_column(2, "c", pa.array(["x", "y", None], pa.large_string()))
    for source in (tmp_path / "t.tsv", tmp_path / "t.parquet", frame, table, Stream(views), Stream(large)):
        x, space, _ = rows_of(source)
        assert [(c.name, c.kind, c.categories) for c in space.columns] == [
            ("a", "continuous", ()),
            ("b", "integer", ()),
            ("c", "category", ("x", "y")),
        ]
        assert np.array_equal(x, [[1.5, 1, 0], [2.5, 2, 1], [1e300, 3, np.nan]], equal_nan=True)
    shuffled = frame.sample(frac=1, random_state=0)  # an index that is not 0, 1, 2 is no column
    shuffled.to_parquet(tmp_path / "s.parquet")
    for source in (shuffled, shuffled.set_index("b"), tmp_path / "s.parquet"):
        _, space, _ = rows_of(source)
        assert set(space.names) <= {"a", "b", "c"}
    assert np.array_equal(rows_of(frame["a"])[0][:, 0], frame["a"])


def test_arrow_types_that_other_libraries_send() -> None:
    """Views of text, also in dictionaries, as polars writes them; runs; a column of lists only when left out."""
    codes = pa.array([0, 1, None, 0], pa.uint32())
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int32()), pa.array(["a", "b"]))
    table = pa.table(
        {
            "category": pa.DictionaryArray.from_arrays(codes, pa.array(["b", "a"], pa.string_view())),
            "runs": runs,
            "lists": pa.array([[1], [2], [3], [4]]),
            "zero": pa.array([0.0, -0.0, 1.0, None]),
        }
    )
    x, space, _ = rows_of(Stream(table.drop_columns(["lists"])))
    assert [c.categories for c in space.columns] == [("a", "b"), ("a", "b"), ("0", "1")]
    assert np.array_equal(x, [[1, 0, 0], [0, 0, 0], [np.nan, 1, 1], [1, 1, np.nan]], equal_nan=True)
    assert to_table(x, space)["category"].type == pa.dictionary(pa.uint32(), pa.string())
    with pytest.raises(InputError, match=r"the table: column 'lists' is nested.*lists=drop"):
        load(table)
    assert load(table, columns="lists=drop").space.names == ("category", "runs", "zero")


def test_a_frame_that_mixes_text_and_numbers_in_a_column() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "n": [1, "many", 3]})
    with pytest.raises(InputError, match=r"the table: column 'n', data row 2: 'many' \(str\).*data row 1: 1 \(int\)"):
        load(frame)


def test_frames_of_pandas_keep_their_types() -> None:
    frame = pd.DataFrame(
        {
            "size": pd.Categorical(["S", "L", "M", None] * 5, ["S", "M", "L"], ordered=True),
            "kind": pd.Categorical(["b", "a", "b", "b"] * 5),
            "count": pd.array([1, 2, None, 4] * 5, "Int64"),
            "when": pd.to_datetime(["2020-01-01", "2021-06-01", None, "2022-01-01"] * 5),
            "flag": pd.array([True, None, False, True] * 5, "boolean"),
            "object": [True, None, False, True] * 5,
            "gaps": [1.0, np.nan, 3.0, 4.0] * 5,
        }
    )
    x, space, _ = rows_of(frame)
    assert {c.name: c.kind for c in space.columns} == {
        "size": "ordinal",
        "kind": "category",
        "count": "integer",
        "when": "datetime",
        "flag": "boolean",
        "object": "boolean",
        "gaps": "integer",
    }
    assert space.columns[0].categories == ("S", "M", "L")
    back = to_table(x, space).to_pandas()
    for name in ("size", "kind", "when"):
        assert back[name].dtype == frame[name].dtype and back[name].equals(frame[name]), name
    assert back["count"].tolist()[:2] == [1, 2] and back["gaps"].equals(frame["gaps"])
    assert [None if v is pd.NA else v for v in frame["flag"]] == back["flag"].tolist() == back["object"].tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=3, max_size=20))
def test_numbers_survive_a_csv_file_to_the_bit(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    write(path, "a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in values))
    kinds = {"a": "continuous", "b": "continuous"}
    x = open_source(path, Options.of(columns=kinds), {}).columns
    assert np.array_equal(np.stack([np.asarray(x[n], float) for n in "ab"], 1), np.array(values))


def test_real_world_header_of_numbers_and_text_is_a_row(tmp_path: Path) -> None:
    iris = "5.1,3.5,setosa\n4.9,3.0,setosa\n7.0,3.2,versicolor\n6.3,3.3,versicolor\n"
    data = load(write(tmp_path / "iris.csv", iris), condition=True)
    assert len(data.train) + len(data.validation) + len(data.test) == 4
    assert data.condition_space == Classes(2, ("setosa", "versicolor"))
    assert data.space.names == ("column_1", "column_2")


TABLE = "x,y,k,name,flag,age\n" + "".join(
    f"{i / 7},{i * i},{i % 3},{'abc'[i % 3]},{'true' if i % 2 else 'false'},{3 * i}\n" for i in range(60)
)


@pytest.mark.parametrize(
    ("condition", "space"),
    [
        ("name", Classes(3, ("a", "b", "c"))),
        ("flag", Classes(2, ("false", "true"))),
    ],
)
def test_a_column_of_text_is_a_class_when_it_is_the_condition(condition: str, space: Any, tmp_path: Path) -> None:
    other = {"name": "flag", "flag": "name"}[condition]
    path = write(tmp_path / "t.csv", TABLE)
    for frame in (pd.read_csv(path), path):
        data = load(frame, condition=condition)
        assert data.condition_space == space
        assert data.space.names == tuple(
            n for n in ("x", "y", "k", "name", "flag", "age") if n in ("x", "y", "k", other, "age")
        )
        x, labels = data.train.all()
        frame = pd.read_csv(path)
        for row, label in zip(x.tolist(), labels.tolist()):
            assert space.names[label] == str(frame[condition][int(row[4]) // 3]).lower()


def test_numeric_conditions(tmp_path: Path) -> None:
    frame = pd.read_csv(write(tmp_path / "t.csv", TABLE)).drop(columns=["name", "flag"])
    assert load(frame, condition="k").condition_space == Classes(3, ("0", "1", "2"))
    assert load(frame, condition="age").condition_space == Real((1,), names=("age",), double=True)
    both = load(frame, condition="y, x")
    assert both.condition_space == Real((2,), names=("y", "x"), double=True)
    assert both.space.names == ("k", "age") and isinstance(both.space, Table)
    x, c = both.train.all()
    assert torch.equal(c[:, 0], (x[:, 1] / 3) ** 2) and torch.allclose(c[:, 1], x[:, 1] / 21)


def test_class_names_of_integers_are_in_numeric_order() -> None:
    frame = pd.DataFrame({"x": np.arange(30.0), "k": np.tile([10, 2, -1], 10)})
    data = load(frame, condition="k")
    assert data.condition_space == Classes(3, ("-1", "2", "10"))
    x, c = data.train.all()
    assert torch.equal(c, torch.tensor([2, 1, 0])[(x[:, 0] % 3).long()])


BAD_FILES: list[tuple[str | bytes, dict[str, Any], str]] = [
    ("a,b\n1,2\n3,oops\n5,6\n7,8\n", {}, "column 'b', data row 2: 'oops' is not a number.*columns b=category"),
    ("a,b\n1,2\n3,inf\n5,6\n", {}, "column 'b', data row 2: the value is inf"),
    ("a,b\n1,2\n3,-Infinity\n5,6\n", {}, "column 'b', data row 2: the value is -inf"),
    ("a,b\n1,2\n3,\n5,6\n", {"missing": False}, r"column 'b', data row 2: the value is missing \(1 of 3 rows\)"),
    ("a,b\n1,2\n3\n5,6\n", {}, "line 3: 1 cell instead of 2: '3'"),
    ("# note\na,b\n1,2\n3,4,5\n5,6\n", {}, "line 4: 3 cells instead of 2"),
    ("a,b\n1,2\n\n\n3,4,5\n5,6\n", {}, "line 5: 3 cells instead of 2"),
    ("a;b\n1;2\n3;4;5\n", {}, "line 3: 3 cells instead of 2"),
    ("a,a\n1,2\n3,4\n5,6\n", {}, "names 'a' 2 times"),
    ("a, a\n1,2\n3,4\n5,6\n", {}, "names 'a' 2 times"),
    ("", {}, "is empty"),
    ("\n \n", {}, "is empty"),
    ("# only a comment\n", {}, "is empty"),
    ("a,b\n", {}, "no rows"),
    ("a,b\n1,2\n", {}, "1 row to train on"),
    ("a,b\n1,2\n1,2\n1,2\n", {}, "every column is constant, such as 'a', data rows 1 to 3"),
    ("a,b\n,2\n,2\n,2\n", {}, "every column is constant"),
    ("a,b\n1,5%\n3,7%\n5,9%\n", {}, "column 'b', data row 1: '5%' is a number with '%'.*b=category"),
    ("a,b\n1,x\n3,y\n5,$ 9\n7,8\n9,€3\n2,4\n", {"columns": {"b": "integer"}}, "column 'b', data row 1: 'x'"),
    ("a\n1\n2\n3\n", {"columns": {"c": "integer"}}, "has no column 'c'. Known: a"),
    ("a,b\n1,x\n2,y\n3,x\n", {"columns": {"b": "continuous"}}, "column 'b', data row 1: 'x' is not a number"),
    ("a,b\n1,1.5\n2,2\n3,x\n", {"columns": {"b": "integer"}}, "column 'b', data row 3: 'x' is not a number"),
    ("a,b\n1,2\n2,2.5\n3,3\n", {"columns": {"b": "integer"}}, "column 'b', data row 2: 2.5 is not a whole number"),
    ("a,b\n1,2\n2,7\n3,3\n", {"columns": {"b": "boolean"}}, "column 'b', data row 3: '3'.*boolean has two values"),
    ("a,b\n1,2\n2,7\n3,2\n", {"columns": {"b": "constant"}}, "column 'b', data row 2: '7'.*A constant has one value"),
    (
        "a,b\n1,2020-01-01\n2,x\n3,2020-01-03\n",
        {"columns": {"b": "datetime"}},
        "column 'b', data row 2: 'x' is not a date",
    ),
    ("a,b\n1,u\n2,v\n3,u\n", {"columns": {"b": "datetime"}}, "column 'b', data row 1: 'u' is no date"),
    (
        "a,b\n1,123456789012345678\n2,3\n3,4\n",
        {"columns": {"b": "integer"}},
        "column 'b', data row 1: 123456789012345678 has more digits",
    ),
    ("a,b\n1,ü\n2,v\n".encode("latin-1"), {"encoding": "utf-8"}, "line 2: byte 0xfc is not utf-8"),
    ("a,b\n1,2\n2,3\n", {"encoding": "utf-16"}, "line 1: as utf-16 it has no lines"),
    ("a,b\n1,2\n2,3\n", {"encoding": "utf-7x"}, "unknown encoding 'utf-7x'.*Did you mean"),
    ("a,b\n1,2\n2,3\n", {"encoding": "base64"}, "'base64' is not an encoding of text"),
    (b"a,b\nx\xc3\xbc,1\ny\xff,2\nz,3\n", {}, "line 3: byte 0xff is not UTF-8"),
    (b"PK\x03\x04\x14\0\0\0", {}, "ZIP archive"),
    (b"a,b\n\0\0\0\0,1\nx,2\n" + bytes(range(256)), {}, "not text"),
    (
        "a\n" + "".join(f"{i}\n" for i in range(30)),
        {},
        "no columns left to model: a .every row has its own number, 0 to 29",
    ),
    ("a,b\n1,2\n3,4\n5,6\n", {"split_by": "c"}, "has no column 'c'. Known: a, b"),
    ("a,b\n1,2\n3,4\n5,2\n", {"split_by": "b"}, "column 'b' has 2 different groups"),
    (
        "a,b\n1,x\n3,\n5,y\n",
        {"split_by": "b"},
        "column 'b', data row 2: the value is missing, and rows are split by it",
    ),
    ("a,b\n1,x\n3,z\n5,y\n", {"split_time": "b"}, "column 'b' holds 'x', which is neither a date nor a number"),
    ("a,b\n1,x\n3,z\n5,y\n", {"split_time": "a", "split_by": "b"}, "Give one of them"),
]


@pytest.mark.parametrize(("text", "options", "message"), BAD_FILES)
def test_bad_files_give_one_error_with_row_and_column(
    text: str | bytes, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as caught:
        load(path, **options)
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


GERMAN = "Größe;Wert;Tag\nklein;1.234,5;31.12.2020\ngroß;2,25;30.11.2021\nmittel;3;01.01.2022\n"


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("utf-32", "UTF-32"),
        ("latin-1", "read as Windows-1252"),
        ("cp1252", "read as Windows-1252"),
    ],
)
def test_encodings_and_decimal_commas(encoding: str, note: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(GERMAN.encode(encoding))
    for options in ({}, {"encoding": encoding}, {"separator": ";", "decimal": ","}):
        opened = open_source(path, Options.of(**options), {})
        found = opened.read()
        assert found.space.names == ("Größe", "Wert", "Tag")
        assert (
            found.space.columns[0].categories == ("klein", "mittel", "groß")
            or found.space.columns[0].kind == "category"
        )
        assert found.x[:, 1].tolist() == [1234.5, 2.25, 3]
        assert found.x[:, 2].tolist() == [
            pd.Timestamp(t).timestamp() for t in ("2020-12-31", "2021-11-30", "2022-01-01")
        ]
        assert any(note in n for n in opened.notes) or "encoding" in options


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('x,y\n"1,234",a\n"2,345,678",b\n12,a\n', [1234, 2345678, 12]),
        ("x;y\n1 234;a\n2 345 678;b\n12;a\n", [1234, 2345678, 12]),
        ("x;y\n1.234;a\n2,5;b\n12;a\n", [1234, 2.5, 12]),
        ("x;y\n1,234;a\n2,5;b\n12;a\n", [1.234, 2.5, 12]),
        ("x;y\n1.234;a\n2.5;b\n12;a\n", [1.234, 2.5, 12]),
        ("x|y\n+5|a\n-7|b\n .5 |a\n", [5, -7, 0.5]),
        ("x, y\n1, a\n?, b\n12, a\n", [1, np.nan, 12]),
        ("x,y\n1,a\n-,b\n12,a\nunknown,a\n3,b\n7,b\n", [1, np.nan, 12, np.nan, 3, 7]),
        ("x,y\n1,a\nN/A,b\nnull,a\nNA,b\n4.5,a\n", [1, np.nan, np.nan, np.nan, 4.5]),
    ],
)
def test_numbers_in_the_writings_of_people(text: str, values: list[float], tmp_path: Path) -> None:
    x, space, _ = rows_of(write(tmp_path / "t.csv", text))
    assert np.array_equal(x[:, 0], values, equal_nan=True) and space.columns[1].categories == ("a", "b")


def test_what_quotes_say(tmp_path: Path) -> None:
    """In a file that quotes some cells, a quoted number is text, a quoted NA a word, and "" an empty text."""
    path = write(tmp_path / "t.csv", 'code,n,w\n"1",1,"NA"\n"2",2,NA\n"1",3,""\n"3",4,\n')
    x, space, _ = rows_of(path)
    assert space.columns[0].categories == ("1", "2", "3") and space.columns[0].kind == "category"
    assert space.columns[2].categories == ("", "NA") and space.columns[2].missing
    assert np.array_equal(x[:, 2], [1, np.nan, 0, np.nan], equal_nan=True)
    path = write(tmp_path / "t.csv", '"code","w"\n"1","NA"\n"2","b"\n"3",""\n')  # quotes everywhere say nothing
    x, space, _ = rows_of(path)
    assert space.columns[0].kind == "integer" and space.columns[1].categories == ("b",)


def test_damaged_parquet(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="damaged"):
        load(tmp_path / "c.parquet")


def test_nested_parquet_and_repeated_columns_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0, 2, 3], "v": [[1], [2], [3]]}), tmp_path / "n.parquet")
    with pytest.raises(InputError, match=r"n\.parquet: column 'v' is nested.*columns v=drop"):
        load(tmp_path / "n.parquet")
    assert load(tmp_path / "n.parquet", columns="v=drop").space.names == ("a",)
    with pytest.raises(InputError, match="'b' is binary"):
        load(pa.table({"a": [1.0, 2, 3], "b": [b"1", b"2", b"3"]}))
    with pytest.raises(InputError, match="2 columns are named 'a'"):
        load(pa.Table.from_arrays([pa.array([1, 2, 3])] * 2, names=["a", "a"]))


def test_conditions_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE)
    with pytest.raises(InputError, match="Did you mean name"):
        load(path, condition="nmae")
    with pytest.raises(InputError, match=r"exactly one candidate.*2 \(name, flag\)"):
        load(path, condition=True)
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


def test_decimals_and_large_integers() -> None:
    from decimal import Decimal

    table = pa.table({"d": [Decimal("1.25"), Decimal("2.41"), Decimal("3")], "u": pa.array([1, 2, 2**63], pa.uint64())})
    x, space, notes = rows_of(table)
    assert np.array_equal(x[:, 0], [1.25, 2.41, 3]) and space.names == ("d",)  # the nearest float64, not next to it
    assert any("left out: column u (identifier: whole numbers beyond 2^53)" in note for note in notes)
    with pytest.raises(InputError, match="column 'u', data row 3: 9223372036854775808 has more digits"):
        load(table, columns={"u": "integer"})
    long = pa.table({"d": [Decimal("12345678901234567.89"), Decimal("1.5"), Decimal("2.5")], "x": [1.0, 2.0, 4.0]})
    with pytest.raises(InputError, match=r"column 'd', data row 1: 12345678901234567.89 has more digits"):
        load(long, columns={"d": "continuous"})
    kept = load(table, columns={"u": "category"})
    assert kept.space.columns[1].categories == ("1", "2", str(2**63))
    every = torch.cat([part.x for part in (kept.train, kept.validation, kept.test)])
    assert set(to_table(every, kept.space)["u"].to_pylist()) == {1, 2, 2**63}


def test_identifiers_and_free_text_are_left_out_and_kept_on_request(tmp_path: Path) -> None:
    rows = "".join(f"{i + 1},u{i:03d},{i * i % 11},a sentence about row {i} and more\n" for i in range(40))
    path = write(tmp_path / "t.csv", "n,code,x,remark\n" + rows)
    data = load(path)
    assert data.space.names == ("x",)
    for name, kind in (("n", "identifier"), ("code", "identifier"), ("remark", "text")):
        assert any(f"left out: column {name} ({kind}" in note and f"{name}=category" in note for note in data.notes)
    kept = load(path, columns="n=integer,code=category,remark=drop")
    assert kept.space.names == ("n", "code", "x") and kept.options["columns"]["remark"] == "drop"
    again = load(kept.source, **kept.options)
    assert again.space == kept.space and again.hash == kept.hash != data.hash


def test_the_options_of_a_table_reach_the_space(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "zip,k,f\n" + "".join(f"{10000 + i % 7},{i % 4},{i % 5 / 2}\n" for i in range(60)))
    assert [c.kind for c in load(path).space.columns] == ["integer", "integer", "continuous"]
    data = load(path, columns={"zip": "category", "k": "ordinal", "f": "continuous"})
    zip_, k, f = data.space.columns
    assert zip_.categories == tuple(str(10000 + i) for i in range(7)) and zip_.stored == "string"
    assert k.kind == "ordinal" and k.categories == ("0", "1", "2", "3")
    assert f.step is None and load(path).space.columns[2].step == 0.5


FUZZ = st.sampled_from(["1", "2,5", "x", "", '"q"', "2020-01-01", "NA", "1e999", "-"])


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(st.sampled_from('ab01.,;|\t"\n\r#? -%\u00e9\u2028'), max_size=200).map(lambda t: t.encode()),
        st.text(st.sampled_from('a1,"\n;'), max_size=80).map(lambda t: t.encode("utf-16")),
        st.lists(st.tuples(FUZZ, FUZZ).map(",".join), min_size=1, max_size=12).map(lambda t: "\n".join(t).encode()),
    )
)
def test_any_bytes_give_a_table_or_one_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    path.write_bytes(content)
    try:
        data = load(path)
    except InputError as error:
        assert "t.csv" in str(error)
    else:
        assert len(data.train) >= 1 and not torch.isinf(data.train.x).any()
