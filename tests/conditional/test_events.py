"""What `--given` says: clauses, their cells, and errors that name column, value and what is allowed."""

from __future__ import annotations

import math

import pytest
import torch

from pushforward.conditional.events import Event
from pushforward.errors import InputError
from pushforward.spaces import Column, Table

TABLE = Table(
    (
        Column("age", "integer", low=17, high=90, step=1.0, stored="int64"),
        Column("sex", "category", ("Female", "Male"), stored="string"),
        Column("country", "category", ("Cuba", "Peru", "Washington, DC"), missing=True, stored="string"),
        Column("income", "category", ("<=50K", ">50K"), stored="string"),
        Column("score", "continuous", low=-1.5, high=3.5, missing=True),
        Column("when", "datetime", low=0.0, high=8.64e8, step=86400.0, stored="date32[day]"),
        Column("told", "datetime", low=0.0, high=8.64e8, step=86400.0, stored="string", format="%d.%m.%Y"),
        Column("a,b <c", "boolean", ("no", "yes"), stored="string"),
        Column("size", "ordinal", ("S", "M", "L"), stored="string"),
        Column("price", "continuous", low=0.0, high=9.99, step=0.01),
        Column("state", "category", ("known", "missing"), stored="string"),
    )
)


def cells(text: str | list[str]) -> dict[str, object]:
    event = Event.parse(text, TABLE)
    return {TABLE.names[j]: "missing" if c.missing else c.intervals for j, c in event.cells.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age>60", {"age": ((61, 90),)}),
        ("age >= 60", {"age": ((60, 90),)}),
        ("age<17.5", {"age": ((17, 17),)}),
        ("age≤20,age≥18", {"age": ((18, 20),)}),
        ("age=40", {"age": ((40, 40),)}),
        ("age!=17", {"age": ((18, 90),)}),
        ("age!=40", {"age": ((17, 39), (41, 90))}),
        ("age in (40|20)", {"age": ((20, 20), (40, 40))}),
        ("sex=Female,age<20", {"sex": ((0, 0),), "age": ((17, 19),)}),
        ("country in (Peru, Cuba)", {"country": ((0, 0), (1, 1))}),
        ("country=Washington, DC", {"country": ((2, 2),)}),
        ('country="Washington, DC",age<20', {"country": ((2, 2),), "age": ((17, 19),)}),
        ("country in ('Washington, DC'|Peru)", {"country": ((1, 1), (2, 2))}),
        ("income!=<=50K", {"income": ((1, 1),)}),
        ("income=<=50K", {"income": ((0, 0),)}),
        ("score=missing", {"score": "missing"}),
        ("score!=missing", {"score": None}),
        ("score=known,score>1", {"score": ((math.nextafter(1, 2), 3.5),)}),
        ("score<=0", {"score": ((-1.5, 0),)}),
        ("when>=1980-01-31", {"when": ((3682 * 86400.0, 8.64e8),)}),
        ("when=1970-01-01", {"when": ((0, 0),)}),
        ("told=31.01.1980", {"told": ((3682 * 86400.0,) * 2,)}),
        ("told<1970-01-03", {"told": ((0, 86400.0),)}),
        ("a,b <c=TRUE", {"a,b <c": ((1, 1),)}),
        ("size>S", {"size": ((1, 1), (2, 2))}),
        ("price=0.3", {"price": ((0.3, 0.3),)}),
        ("price>0.3,price<0.33", {"price": ((0.31, 0.32),)}),
        ("state=missing", {"state": ((1, 1),)}),  # no cell is missing there: it is the word
        ("state='known'", {"state": ((0, 0),)}),
    ],
)
def test_clauses(text: str, expected: dict[str, object]) -> None:
    assert cells(text) == expected


def test_several_options_are_one_event() -> None:
    assert cells(["age>60", "age<70,sex=Male"]) == {"age": ((61, 69),), "sex": ((1, 1),)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agee>3", ["'agee'", "Did you mean age?"]),
        ("sex=Femal", ["'Femal'", "sex", "Did you mean Female?"]),
        ("sex>Female", ["sex", "no order"]),
        ("age>old", ["'old'", "not a number", "17 to 90"]),
        ("age>inf", ["'inf'", "not a number"]),
        ("age>90", ["outside", "17 to 90"]),
        ("age=200", ["outside", "17 to 90"]),
        ("age=17.5", ["whole numbers", "18"]),
        ("price=0.305", ["multiples of 0.01"]),
        ("when=1980-05-01 12:00", ["whole days"]),
        ("when>never", ["'never'", "not a date", "1970-01-01"]),
        ("size>L", ["no row", "S, M, L"]),
        ("sex=missing", ["no cell of sex was missing"]),
        ("score>missing", ["no value of score"]),
        ("score in (missing|1)", ["no value of score"]),
        ("age>60,age<50", ["age>60", "age<50", "contradict"]),
        ("score=missing,score>1", ["contradict"]),
        ("foo", ["no comparison"]),
        ("age>", ["no value"]),
        ("age in (20|30", ["parenthesis"]),
        ("age in (20|)", ["lacks a value"]),
        ("country='Peru", ["not closed"]),
        ("sex='Male' age>3", ["after sex='Male'"]),
        ("", ["empty"]),
        ("city=Lima", ["--condition city=VALUE"]),
    ],
)
def test_errors_say_what_and_what_is_allowed(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        Event.parse(text, TABLE, conditions=("city",))
    for word in words:
        assert word in str(error.value)


def test_holds_and_distance() -> None:
    x = torch.zeros(4, len(TABLE.columns), dtype=torch.float64)
    x[:, 0] = torch.tensor([61.0, 60.0, 17.0, 90.0])
    x[:, 4] = torch.tensor([math.nan, 0.25, -1.0, 3.5])
    x[:, 8] = torch.tensor([0.0, 1.0, 2.0, 2.0])
    x[:, 9] = torch.tensor([0.1 * 3, 0.31, 0.29, 0.0])  # 3 * 0.1 is not 0.3
    for text, expected in {
        "age>60": [True, False, False, True],
        "score=missing": [True, False, False, False],
        "score>0": [False, True, False, True],  # a comparison is never true of a missing cell
        "score!=0.25": [False, False, True, True],
        "size>=M": [False, True, True, True],
        "price=0.3": [True, False, False, False],
        "age>60,score>0": [False, False, False, True],
    }.items():
        event = Event.parse(text, TABLE)
        assert event.holds(x).tolist() == expected, text
        assert (event.distance(x) == 0).tolist() == expected, text
    away = Event.parse("age>60,size>=M", TABLE).distance(x)
    assert away[0] == pytest.approx(0.5) and away[2] == pytest.approx(44 / 73)


def test_the_range_is_taken_as_it_is_shown() -> None:
    low, high = -10.270912345678, 15.057512345678
    space = Table((Column("x", "continuous", low=low, high=high), TABLE.columns[0]))
    with pytest.raises(InputError, match=r"-10.2709 to 15.0575"):
        Event.parse("x>16", space)
    assert Event.parse("x=15.0576", space).cells[0].point == high
    assert Event.parse("x<=-10.271", space).cells[0].intervals == ((low, low),)


def test_rows_are_set_to_the_only_value() -> None:
    event = Event.parse("age=40,score=0.5,sex=Male,price<1", TABLE)
    x = event.impose(torch.full((2, len(TABLE.columns)), 0.25, dtype=torch.float64))
    assert x[0, [0, 1, 4, 9]].tolist() == [40, 1, 0.5, 0.25]
    assert [TABLE.names[j] for j in event.densities] == ["score"]
    wide = event.relaxed({4: 0.1})
    assert wide.cells[4].intervals == ((0.4, 0.6),) and wide.densities == []
