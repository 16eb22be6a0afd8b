"""Columns of text: orders, codes, and what is left out."""

from __future__ import annotations

import random
import uuid

import pyarrow as pa
import pytest

from pushforward.data.tables import words


@pytest.mark.parametrize(
    "order",
    [
        ("low", "medium", "high"),
        ("Very Low", "Low", "High"),
        ("never", "rarely", "often", "always"),
        ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
        ("XS", "S", "L", "XXL"),
        ("Mon", "Tue", "Sun"),
        ("Jan", "Mar", "Dec"),
        ("Fair", "Good", "Very Good", "Premium", "Ideal"),
        ("18-24", "25-34", "65+"),
        ("<18", "18-24", "25-34", "> 65"),
        ("under $10k", "$10k - $20k", "$20k - $50k", "over $50k"),
        ("0-999", "1,000-1,999", "2,000+"),
        ("1-5 years", "6-10 years", "more than 10 years"),
    ],
)
def test_known_orders_are_found_whatever_the_order_of_rows(order: tuple[str, ...]) -> None:
    shuffled = list(order)
    for seed in range(3):
        random.Random(seed).shuffle(shuffled)
        assert words.known_order(shuffled) == order


@pytest.mark.parametrize(
    "texts",
    [
        ("low", "high"),
        ("red", "low", "high"),
        ("mid", "medium", "low"),
        ("10-20", "15-25", "30-40"),
        ("20-10", "30-20", "5-1"),
        ("<=50K", ">50K", "x"),
        ("a", "b", "c"),
        ("1", "2", "3"),
    ],
)
def test_what_has_no_known_order(texts: tuple[str, ...]) -> None:
    assert words.known_order(texts) is None


def test_categories_are_listed_as_people_count() -> None:
    assert words.in_order(["10", "9", "-1", "2.5"]) == ("-1", "2.5", "9", "10")
    assert words.in_order(["room 10", "room 9", "Room 1", "room"]) == ("Room 1", "room", "room 9", "room 10")
    assert words.in_order(["", "b", "a"]) == ("", "a", "b")
    assert words.in_order(["v1.10", "v1.9"]) == ("v1.9", "v1.10")


def test_yes_and_no() -> None:
    assert words.boolean(["yes", "no"]) == ("no", "yes")
    assert words.boolean(["TRUE", "False"]) == ("False", "TRUE")
    assert words.boolean(["T", "F"]) == ("F", "T")
    assert words.boolean(["yes", "false"]) is None and words.boolean(["m", "f"]) is None
    assert words.boolean(["yes"]) is None


@pytest.mark.parametrize(
    ("texts", "rows", "name", "kind"),
    [
        ([str(uuid.UUID(int=i * 7919 << 64)) for i in range(5)], 5, "x", "identifier"),
        ([f"A{i:05d}" for i in range(30)], 30, "x", "identifier"),
        ([f"A{i:05d}" for i in range(30)], 90, "x", None),
        ([f"A{i:05d}" for i in range(10)], 10, "x", None),
        ([f"Name Surname{chr(65 + i)}" for i in range(26)], 26, "x", "text"),
        ([f"name{chr(65 + i)}" for i in range(26)], 26, "user_id", "identifier"),
        ([f"a whole sentence of many words, number {i}" for i in range(10)], 12, "x", "text"),
        ([f"a whole sentence of many words, number {i}" for i in range(10)], 100, "x", None),
        ([f"k{i}" for i in range(10_001)], 100_000, "x", "identifier"),
        ([f"k{i}" for i in range(9_999)], 100_000, "x", None),
        (["red", "green", "blue"], 3, "x", None),
    ],
)
def test_identifiers_and_free_text(texts: list[str], rows: int, name: str, kind: str | None) -> None:
    found = words.unmodelled(pa.array(texts), rows, name)
    assert (found and found[0]) == kind


def test_names_of_identifiers() -> None:
    for name in ("id", "ID", "customer_id", "customerId", "Unnamed: 0", "row", "order no", "uuid"):
        assert words.is_id_name(name), name
    for name in ("paid", "humid", "kids", "ideal", "valid", "age", "width"):
        assert not words.is_id_name(name), name
