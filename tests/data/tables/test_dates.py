"""Dates: the same seconds as Python's own parser, and the same text again."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.conditional import values
from pushforward.data.tables import dates
from pushforward.data.tables.cells import decode_column, encode_column
from pushforward.data.tables.cells import texts as written
from pushforward.data.tables.columns import detect
from pushforward.errors import InputError

MOMENTS = st.datetimes(datetime(1700, 1, 1), datetime(2240, 1, 1))
EPOCH = datetime(1970, 1, 1)

# Ours, and Python's where it has another name (or none: then a function writes it).
FORMATS = [
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y",
    "%d-%b-%Y",
    "%B %d, %Y",
    "%d %B %Y",
    "%Y-%m-%dT%H:%M:%SZ",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y-%m",
]


def seconds(moment: datetime) -> float:
    return (moment - EPOCH) / timedelta(seconds=1)


@settings(max_examples=60, deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=30), st.sampled_from(FORMATS))
def test_text_agrees_with_python_and_comes_back(moments: list[datetime], format: str) -> None:
    texts = [m.strftime(format) for m in moments]
    expected = [seconds(datetime.strptime(t, format)) for t in texts]
    values = dates.parse(pa.array(texts), format)
    assert values.tolist() == expected
    assert dates.write(values, np.isnan(values), format).to_pylist() == texts
    found = dates.find(pa.array(texts))
    assert found is not None
    if not found[1]:  # neither days nor months could be first
        again = dates.parse(pa.array(texts), found[0])
        assert again.tolist() == expected and dates.write(again, np.isnan(again), found[0]).to_pylist() == texts


@settings(max_examples=60, deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=30), st.integers(-720, 720))
def test_iso_texts_of_python_with_zones_and_fractions(moments: list[datetime], minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    texts = [m.replace(tzinfo=zone).isoformat(" ") for m in moments]
    found = dates.find(pa.array(texts))
    assert found is not None
    values = dates.parse(pa.array(texts), found[0])
    assert values.tolist() == pytest.approx([seconds(m) - 60 * minutes for m in moments], abs=5e-7, rel=0)
    again = dates.write(values, np.isnan(values), found[0]).to_pylist()
    if "%.f" in found[0]:  # as many digits as there are, without the zeros after them
        texts = [re.sub(r"(\.\d*?)0+(?=[+-])", r"\1", text) for text in texts]
    assert again == texts  # to the microsecond, in their zone


@pytest.mark.parametrize(
    ("texts", "format"),
    [
        (["2020-1-5", "2020-11-12"], "%Y-%-m-%-d"),
        (["1/2/2020", "12/25/2020"], "%-m/%-d/%Y"),
        (["25/12/2020", "01/02/2020"], "%d/%m/%Y"),
        (["5.1.20", "31.12.21"], "%-d.%-m.%y"),
        (["10:30", "9:05"], "%-H:%M"),
        (["10:30:00", "23:59:59"], "%H:%M:%S"),
        (["2020-01-01 10:00:00.5", "2020-01-01 10:00:00"], "%Y-%m-%d %H:%M:%S%.f"),
        (["2020-01-01 10:00:00.500", "2020-01-01 10:00:01.000"], "%Y-%m-%d %H:%M:%S.%3f"),
        (["1 Jan 2020", "31 Dec 2020"], "%-d %b %Y"),
        (["May 2020", "Jun 2021"], "%b %Y"),
        (["2020-01-01 3:05 PM", "2020-01-02 12:00 AM"], "%Y-%m-%d %-I:%M %p"),
        (["2020-02-30", "2020-01-01"], None),
        (["2020-13-01"], None),
        (["2020-01-01 25:00"], None),
        (["12345678", "20200101"], None),
        (["18-24", "25-34"], None),
        (["1.2.3", "1.2.4"], None),
        (["low", "high"], None),
        (["2020-01-01", "unknown"], None),
        ([], None),
    ],
)
def test_formats_that_are_found(texts: list[str], format: str | None) -> None:
    found = dates.find(pa.array(texts, pa.string()))
    assert (None if found is None else found[0]) == format
    if format is not None:
        values = dates.parse(pa.array(texts), format)
        assert dates.write(values, np.isnan(values), format).to_pylist() == texts


def test_days_and_months_that_could_be_either() -> None:
    for texts, format in ((["01/02/2020"], "%m/%d/%Y"), (["01.02.2020"], "%d.%m.%Y"), (["01-02-2020"], "%d-%m-%Y")):
        found = dates.find(pa.array(texts))
        assert found is not None and found[0] == format and "first would fit too" in found[1]


def test_the_cell_that_is_no_date() -> None:
    cells = pa.chunked_array([["2020-01-01", None, "2020-01-02"], ["yesterday"]])
    with pytest.raises(InputError, match=r"f: column 'when', data row 4: 'yesterday'.*2024-12-31"):
        dates.strictly(cells, "%Y-%m-%d", "when", "f")
    values = dates.strictly(cells.slice(0, 3), "%Y-%m-%d", "when", "f")
    assert np.array_equal(values, [1577836800, np.nan, 1577923200], equal_nan=True)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_arrows_moments_come_back_exactly(unit: str) -> None:
    per = dates.PER_SECOND[unit]
    rng = np.random.default_rng(0)
    counts = rng.integers(-(2**31) * per, 2**33 * per, 1000) if unit != "ns" else rng.integers(0, 2**33, 1000) * 1000
    for kind in (pa.timestamp(unit), pa.timestamp(unit, "Asia/Tokyo")):
        cells = pa.chunked_array([pa.array([*counts.tolist(), None]).cast(kind)])
        values = dates.seconds(cells)
        assert dates.from_seconds(values, np.isnan(values), kind).equals(cells.chunk(0))
        assert not dates.is_finer_than_microseconds(cells)
    assert dates.is_finer_than_microseconds(pa.chunked_array([pa.array([1, 1000]).cast(pa.timestamp("ns"))]))


def test_days_and_times_of_day() -> None:
    for kind, texts in ((pa.date32(), ["1900-02-28", "2024-02-29"]), (pa.date64(), ["1969-12-31", None])):
        cells = pa.chunked_array([pa.array(texts).cast(kind)])
        values = dates.seconds(cells)
        assert dates.from_seconds(values, np.isnan(values), kind).equals(cells.chunk(0))
    noon = np.array([43200.0, 90000.0, -5.0])  # a sample beyond the day stays in it
    made = dates.from_seconds(noon, np.isnan(noon), pa.time64("us")).to_pylist()
    assert [str(t)[:8] for t in made] == ["12:00:00", "23:59:59", "00:00:00"]


def test_steps() -> None:
    day = 86400.0
    assert dates.step(np.array([day, 5 * day])) == day
    assert dates.step(np.array([day, 3600.0])) == 3600
    assert dates.step(np.array([day, 61.0])) == 1
    assert dates.step(np.array([day, 0.5])) is None


@pytest.mark.parametrize(
    "zone", ["Europe/Paris", "Asia/Beirut", "America/Havana", "Atlantic/Azores", "Asia/Kolkata", "UTC", "+05:30"]
)
def test_days_of_a_zone_keep_their_grid(zone: str) -> None:
    """As pandas has them, over the changes of the clock, also those at midnight."""
    days = pd.date_range("2019-01-01", periods=900, freq="D")
    local = days.tz_localize(zone, ambiguous=np.ones(900, bool), nonexistent="shift_forward")
    cells = pa.array(local).cast(pa.timestamp("us", zone))
    column = detect(pa.table({"t": cells, "x": np.arange(900) * 0.37}), {}, "f").columns[0]
    assert column.step == 86400 and column.low == days[0].timestamp() and column.high == days[-1].timestamp()
    x = encode_column(pa.chunked_array([cells]), column, "f")
    assert x.tolist() == [d.timestamp() for d in days]
    assert decode_column(np.append(x, np.nan), column).equals(pa.concat_arrays([cells, pa.nulls(1, cells.type)]))
    # in other writings: other zones, text with and without one, days
    utc = pa.chunked_array([cells.cast(pa.timestamp("us", "UTC"))])
    for other in (
        utc,
        written(utc),
        pa.chunked_array([pa.array(days.date)]),
        pa.chunked_array([pa.array(days.strftime("%Y-%m-%d"))]),
    ):
        assert np.array_equal(encode_column(other, column, "f"), x), other.type
    for value in x[:3]:  # as the user writes one in a condition, and as it is shown
        shown = values.written(column, value)
        assert values.read(shown, column, "given") == value == values.read(shown[:10], column, "given")
    noon = pa.chunked_array([pa.array([days[3] + pd.Timedelta("12h")])])
    with pytest.raises(InputError, match=r"column 't', data row 1: 2019-01-04 12:00:00 is off the grid: .* whole days"):
        encode_column(noon, column, "f")


def test_moments_of_a_zone_stay_moments() -> None:
    """The hour that comes twice in autumn is two hours."""
    hours = pd.date_range("2024-10-26", periods=60, freq="h", tz="Europe/Paris")
    cells = pa.array(hours).cast(pa.timestamp("s", "Europe/Paris"))
    column = detect(pa.table({"t": cells}), {}, "f").columns[0]
    x = encode_column(pa.chunked_array([cells]), column, "f")
    assert column.step == 3600 and (np.diff(x) == 3600).all() and decode_column(x, column).equals(cells)
    midnights = pa.array(pd.date_range("2024-06-01", periods=9, freq="D", tz="UTC").tz_convert("Europe/Paris"))
    assert detect(pa.table({"t": midnights}), {}, "f").columns[0].step == 3600


def test_an_unknown_zone_is_said() -> None:
    with pytest.raises(InputError, match="unknown time zone 'Mars/Base'"):
        dates.local_days(np.array([0.0]), "Mars/Base")
