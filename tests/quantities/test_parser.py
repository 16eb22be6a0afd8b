"""Expressions: the values that Python gives them, refusals with their place, and no string that does anything else."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pushforward.errors import InputError
from pushforward.quantities.formulas import FUNCTIONS
from pushforward.quantities.parser import parse
from pushforward.spaces import Column, Pixels, Real, Sphere, Table, Tokens, Torus

PLANE = Real((2,))
X = torch.tensor([[1.0, 2.0], [4.0, -1.0], [-2.0, 0.5], [0.0, 0.0], [3.0, 3.0]], dtype=torch.float64)
PEOPLE = Table(
    (
        Column("age", "integer", low=17, high=90, step=1.0, missing=True, stored="int64"),
        Column("city", "category", ("Lima", "Oslo", "Rome, Italy"), missing=True, stored="string"),
        Column("hours-per-week", "continuous", low=0.0, high=99.0),
        Column("grade", "ordinal", ("low", "middle", "high"), stored="string"),
        Column("member", "boolean", ("no", "yes"), stored="string"),
        Column("joined", "datetime", low=1.5e9, high=1.7e9, step=86400.0, stored="string", format="%Y-%m-%d"),
        Column("price", "continuous", low=0.0, high=9.0, step=0.1),
    )
)
ROWS = torch.tensor(
    [
        [30, 0, 40.0, 0, 1, 1577836800, 0.1 * 3],  # 2020-01-01
        [math.nan, 1, 20.0, 2, 0, 1609459200, 0.7],  # 2021-01-01
        [61, math.nan, 50.0, 1, 1, 1640995200, 0.2],  # 2022-01-01
    ],
    dtype=torch.float64,
)


def plane(text: str) -> list[float]:
    return parse(text, PLANE).value(X).tolist()


def people(text: str) -> list[float]:
    return parse(text, PEOPLE).value(ROWS).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "x1*x2", "x1 - x2 - 1", "x1 - (x2 - 1)", "-x1**2", "2**-x2", "2**x2**2", "x1/4/2", "+x1", "--x1",
        "1e-3*x1 + .5",
        "x1 > 0", "0 <= x1 < 3", "x1 < x2 < 3 > x1", "x1 == 3", "x1 != x2", "x1 > 3 and x2 < 0", "x1 > 3 or x2 > 0",
        "not x1 > 0", "not x1 > 0 and x2 > 0", "not (x1 > 0 and x2 > 0)", "x1 > 0 or x2 > 0 and x1 > 2", "x1 in (1, 3)",
        "x1 not in (1, 3)", "abs(x1) + sqrt(4)", "exp(x1) - sin(x2)*cos(x1)", "min(x1, x2, 1) + max(x1, x2)",
        "x1*(x2 > 0)", "(x1 > 0) + (x2 > 0) == 2", "floor(x1/2) + ceil(x2/2) + round(x2)", "tanh(x1) + tan(x2)",
        "log(abs(x1) + 1)", "log10(abs(x1) + 1)",
    ],
)  # fmt: skip
def test_values_are_those_of_python(text: str) -> None:
    words = {name: getattr(math, name) for name in ("sqrt", "exp", "sin", "cos", "tan", "tanh", "log", "log10")}
    words |= {"floor": math.floor, "ceil": math.ceil, "abs": abs, "min": min, "max": max, "round": round}
    expected = [eval(text, {"__builtins__": {}}, {**words, "x1": a, "x2": b}) for a, b in X.tolist()]
    np.testing.assert_allclose(plane(text), [float(e) for e in expected], rtol=1e-12)
    assert parse(text, PLANE).is_condition == isinstance(expected[0], bool)


def test_columns_of_tables() -> None:
    assert people("`hours-per-week` / 10") == [4, 2, 5]
    assert people('city == "Lima"') == [True, False, False]
    assert people('city != "Lima"') == [False, True, False]  # a comparison is never true of a missing cell
    assert people('not city == "Lima"') == [False, True, True]
    assert people("city in ('Rome, Italy', \"Oslo\")") == [False, True, False]
    assert people("city not in ('Lima')") == [False, True, False]
    assert people('grade >= "middle"') == [False, True, True] and people('"middle" > grade') == [True, False, False]
    assert people("member and age > 20") == [True, False, True] and people("member == true") == [True, False, True]
    assert people('joined >= "2021-01-01"') == [False, True, True]
    assert people('"2020-06-01" < joined < "2021-06-01"') == [False, True, False]
    assert people("missing(age) or missing(city)") == [False, True, True] and people("known(age)") == [1, 0, 1]
    assert people("price == 0.3") == [True, False, False]  # three tenths, on the grid of tenths
    total = people("age + `hours-per-week`")
    assert total[0] == 70 and math.isnan(total[1]) and total[2] == 111
    assert math.isnan(people("age**0")[1]) and math.isnan(people("max(age, 1)")[1])


def test_other_spaces() -> None:
    pictures = torch.arange(2 * 12, dtype=torch.uint8).view(2, 1, 3, 4)
    grey = Pixels(1, 3, 4)
    assert parse("pixel[0,1,2] + pixel[2, 3]", grey).value(pictures).tolist() == [6 + 11, 18 + 23]
    assert parse("mean > 6", grey).value(pictures).tolist() == [False, True]
    assert parse("sum", grey).value(pictures).tolist() == [66, 210]
    assert parse("token[1] == 7", Tokens(3, 9)).value(torch.tensor([[0, 7, 1], [7, 0, 0]])).tolist() == [True, False]
    earth = Sphere(2, names=("lat", "lon"), west=-180.0)
    assert parse("lat", earth).value(torch.tensor([[0.0, 0, 1], [1, 0, 0]])).tolist() == [90, 0]
    wind = Torus(1, names=("wind",), period=360.0, low=0.0)
    assert parse("wind", wind).value(torch.tensor([[-math.pi / 2]])).tolist() == [pytest.approx(270)]
    named = Real((2,), names=("a b", "min"))
    assert (
        parse("`a b` + `min`", named).value(X).tolist()
        == X.sum(1).tolist()
        == parse("x1 + x2", named).value(X).tolist()
    )
    swapped = Real((2,), names=("x2", "y"))  # a name of the data comes first
    assert parse("x2", swapped).value(X).tolist() == X[:, 0].tolist() == parse("x1", swapped).value(X).tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x3 > 1", "'x3 > 1', character 1: unknown column 'x3'"),
        ("x1 + ab(x2)", "character 6: unknown function 'ab'. Did you mean abs?"),
        ("x1.real", "character 3: '.' is not understood here. There are no attributes"),
        ("__import__('os').system('ls')", "There are no attributes"),
        ("__import__('os')", "unknown function '__import__'"),
        ("().__class__", "character 3"), ("()", "character 2"), ("lambda: x1", "not understood"),
        ("[x1 for x1 in x2]", "character 1"),
        ("x1 if x2 else 1", "'if' is not expected"), ("x1 := 3", "not understood"),
        ("f'{x1}'", "'text'|unknown column"),
        ("x1**1000", "character 5: the exponent 1000 is too large"), ("9**9**9**9*x1", "too large"),
        ("x1 = 3", "Equality is written =="), ("x1 > 0 & x2 > 0", "Write and"), ("x1^2", "written **"),
        ("x1 >", "the end is not expected"), ("(x1", "character 4: ) is expected"), ("x1 x2", "'x2' is not expected"),
        ("3", "no column is named"), ("", "empty"), ("  ", "empty"), ("x1 and x2", "a condition is expected"),
        ("'a' * x1", "only compared with columns"), ("x1 == 'a'", "only compared with columns"),
        ("3x1", "follows a number"),
        ("min(x1)", "min takes 2 to 64 numbers, not 1"), ("min", "write min(...)"), ("missing", "missing(COLUMN)"),
        ("missing(x1 > 0)", "takes one column"), ("x1 > 1e999", "no number"), ("٣ * x1", "no number"),
        ("x1[0]", "x1 has no indices"), ("x1 in 3", "( is expected"), ("`x1", "not closed"), ("'x1", "not closed"),
        ("(" * 60 + "x1" + ")" * 60, "nested more than 40 deep"), ("-" * 60 + "x1", "nested"),
        ("not " * 60 + "x1 > 0", "nested"), ("x1" + "+x1" * 800, "At most 2,000"), ("\ud800", "no character"),
    ],
)  # fmt: skip
def test_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, PLANE)
    assert any(one in str(error.value) for one in says.split("|")), str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("agee > 3", "Did you mean age?"), ("hours-per-week > 3", "`hours-per-week`"), ("city > 'Lima'", "no order"),
        ("city == 'Lisa'", "Did you mean Lima?"), ("city + 1", "city is no number"), ("city", "city is no number"),
        ("joined > 3", "holds dates"), ("joined > 'soon'", "not a date"), ("label == 3", "Choose it with --condition"),
        ("grade == city", "different values"), ("grade == age", "different values"),
        ("city == age + 1", "compared with city"), ("city and age > 3", "a number stands"),
    ],
)  # fmt: skip
def test_refused_of_tables(text: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, PEOPLE, conditions=("label",))
    assert says in str(error.value) and "character" in str(error.value)


def test_pixels_outside_are_refused() -> None:
    for text in ("pixel[0,3,0]", "pixel[9]", "pixel", "pixel[0,-1,0]", "pixel[0,1.5,0]", "pixel[99999999999,0,0]"):
        with pytest.raises(InputError):
            parse(text, Pixels(1, 3, 4))


# ------------------------------------------------------------------------------------------------ any string

_PIECES = st.sampled_from(
    [
        "x1", "x2", "age", "city", "joined", "`hours-per-week`", "member", "grade", "price", "3", "0.5", "1e3", "-",
        "+", "*", "/",
        "**", "(", ")", ",", "<", ">=", "==", "!=", "and", "or", "not", "in", "missing", "'Lima'", '"2020-01-01"',
        "'", '"', "`",
        "[", "]", ".", "=", "\x00", "\n", "λ", "__class__", "import", "lambda", "eval", "²", *FUNCTIONS,
    ]
)  # fmt: skip


def _reads_or_refuses(text: str) -> None:
    for space, rows in ((PLANE, X), (PEOPLE, ROWS)):
        try:
            formula = parse(text, space)
        except InputError as error:
            assert len(str(error)) < 1_500
            continue
        value = formula.value(rows)
        assert value.shape == (len(rows),)
        if formula.is_condition:
            cells = formula.cells(rows)
            away = formula.distance_of(cells, formula.scales_of(cells))
            assert torch.equal(away == 0, value) and bool((away >= 0).all())


@settings(max_examples=400, deadline=2_000)
@given(st.lists(_PIECES, max_size=14).map(" ".join) | st.lists(_PIECES, max_size=14).map("".join))
@example("x1 > 0 and not (x2 < 1 or x1 == 2)")
@example("not age > 3 and missing(age)")
def test_any_pieces_are_read_or_refused(text: str) -> None:
    _reads_or_refuses(text)


@settings(max_examples=300, deadline=2_000)
@given(st.text(max_size=60))
@example("'" * 1_999)
@example("`" + "a" * 1_900)
@example("x1 > " + "9" * 1_900)
@example("joined > '\x00'")
@example("age > '\udcff'")
def test_any_string_is_read_or_refused(text: str) -> None:
    _reads_or_refuses(text)


def test_nothing_is_executed_and_nothing_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def caught(*args: object, **kwargs: object) -> None:
        raise AssertionError("executed")

    begun, threads = time.monotonic(), threading.active_count()
    for name in ("eval", "exec", "compile", "open"):
        monkeypatch.setattr(f"builtins.{name}", caught)
    for text in (
        "__import__('os').system('touch pwned')", "open('x')", "eval('1')", "exec('1')", "x1.__class__.__mro__[1]",
        "(lambda: 1)()", "9**9**9*x1", "x1**x2**x1**x2", "max(" + "x1," * 400 + "x1)", "*" * 1_999,
        '"' + "\\" * 1_900 + '"',
        "{x1}", "x1;x2", "x1\\\nx2", "@x1", "x1 or __import__('os')", "getattr(x1, 'a')", "print(x1)", "breakpoint()",
    ):  # fmt: skip
        try:
            parse(text, PLANE).value(X)
        except InputError:
            continue
    monkeypatch.undo()
    assert time.monotonic() - begun < 2 and threading.active_count() == threads
