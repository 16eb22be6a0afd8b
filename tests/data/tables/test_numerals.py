"""Numbers written as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.data.tables import numerals
from pushforward.errors import InputError


def read(texts: list[Any], **options: Any) -> list[Any] | None:
    found = numerals.read(pa.chunked_array([pa.array(texts, pa.string())]), "c", "f", **options)
    return None if found is None else found.cells.to_pylist()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_python_reads_the_same(values: list[float]) -> None:
    assert read([repr(v) for v in values]) == values
    assert read([f" {v!r} " for v in values]) == values
    texts = numerals.write(pa.array(values)).to_pylist()
    assert [float(t) for t in texts] == values
    assert all(not t.lstrip("-").isdigit() for t in texts)  # a float stays one


@settings(max_examples=60, deadline=None)
@given(st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1))
def test_marks_of_thousands_and_decimal_commas(values: list[Any]) -> None:
    expected = [float(v) for v in values]
    english = [f"{v:,}" for v in values]
    german = [t.translate(str.maketrans(",.", ".,")) for t in english]
    french = [t.replace(",", "\u202f").replace(".", ",") for t in english]
    assert read(english) == expected
    assert read(german, decimal=",") == expected
    assert read(french, decimal=",") == expected
    assert read([t.replace(",", "") for t in english]) == expected


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "2", None], [1, 2, None]),
        (["+1", "2"], [1, 2]),
        (["1e3", ".5", "5."], [1000.0, 0.5, 5.0]),
        (["1", "?", "2", "3"], [1, None, 2, 3]),
        (["1", "", "2", "NA"], [1, None, 2, None]),
        (["007", "1"], None),
        (["-01", "1"], None),
        (["0x1F", "1"], None),
        (["1234567890123456789012", "5.5"], None),
        (["12_000", "a"], None),
        (["a", "b"], None),
        (["NA", ""], None),
        (["0", "-0", "10"], [0, 0, 10]),
        (["0.5", "00.5"], [0.5, 0.5]),
    ],
)
def test_what_is_a_number(texts: list[Any], values: list[Any] | None) -> None:
    assert read(texts) == values


def test_on_request_codes_are_numbers() -> None:
    assert read(["007", "1"], forced=True) == [7, 1]
    with pytest.raises(InputError, match="data row 2: 'x' is not a number"):
        read(["1", "x"], forced=True)


def test_the_bad_cell_among_numbers() -> None:
    cells = pa.chunked_array([["1", "2"], ["3", None, "four", "5"], ["six"]])
    with pytest.raises(InputError, match=r"f: column 'c', data row 5: 'four' is not a number.*columns c=category"):
        numerals.read(cells, "c", "f")
    for sign in ("%", "$", "€", " EUR"):
        with pytest.raises(InputError, match=r"data row 2: .*is a number with"):
            read(["1", f"2{sign}", f"3{sign}"])


def test_millions_of_cells_are_read_by_their_distinct_texts() -> None:
    texts = pa.array(["1.234,5", "2,5", None]).take(pa.array(np.arange(300_000) % 3))
    found = numerals.read(pa.chunked_array([texts]), "c", "f", ",")
    assert found is not None and found.cells[:3].to_pylist() == [1234.5, 2.5, None] and len(found.notes) == 2
