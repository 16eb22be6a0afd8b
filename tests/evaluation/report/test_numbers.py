from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward.evaluation.report import numbers
from pushforward.evaluation.report.scales import Scale, fitted, linear_ticks
from pushforward.evaluation.report.text import data, escape, short, shortened, width

finite = st.floats(-1e300, 1e300)


def spoken(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


@given(finite)
def test_a_number_reads_back_to_four_digits(value: float) -> None:
    assert spoken(numbers.number(value)) == pytest.approx(value, rel=5.1e-3, abs=0)


@given(finite, st.floats(1e-12, 1e12), st.floats(0.5, 2.0))
def test_a_value_and_its_interval_read_back_to_two_digits_of_the_width(value: float, half: float, skew: float) -> None:
    low, high = value - half, value + half * skew
    if not (math.isfinite(low) and math.isfinite(high)) or high == low or half < 1e-6 * abs(value):
        return
    shown = numbers.measured(value, low, high)
    widest = max(value - low, high - value)
    for text, exact in zip(shown, (value, low, high)):
        assert spoken(text) == pytest.approx(exact, abs=0.0501 * widest + 1e-7 * abs(exact))
    if shown.half:
        assert spoken(shown.half) == pytest.approx(widest, rel=0.051)
        assert skew == pytest.approx(1.0, abs=0.06) or half < 1e-5 * abs(value)


def test_examples_of_numbers() -> None:
    assert numbers.number(None) == "—" and numbers.number(math.nan) == "undefined"
    assert numbers.number(-math.inf) == "−∞" and numbers.number(12345) == "12,345"
    assert numbers.number(np.int64(7)) == "7" and numbers.number(-0.5) == "−0.5" and numbers.number(-0.0) == "0"
    assert numbers.measured(0.1234, 0.1114, 0.1354)[:1] == ("0.123",)
    assert numbers.measured(0.1234, 0.1114, 0.1354).interval == "± 0.012"
    assert numbers.measured(0.5, 0.4, 0.9).interval == "0.40 to 0.90"
    assert numbers.measured(1.0, 1.0, 1.0).interval == "± 0"
    assert numbers.measured(-0.001, -1.0, 1.0).value == "0.0"  # no minus before nothing
    assert numbers.measured(1.0, math.nan, 2.0).interval == "interval undefined"
    assert numbers.measured(1.0, 0.5, math.inf).interval == "0.5 to ∞"
    assert numbers.seconds(0.0312) == "0.031 s" and numbers.seconds(75.0) == "75 s"
    assert numbers.seconds(150) == "2.5 min" and numbers.seconds(7200) == "2 h"
    assert numbers.count(1_234_567) == "1.23 M" and numbers.count(9_999) == "9,999"
    assert numbers.size(5.1e8) == "510 MB" and numbers.size(None) == "—"
    assert numbers.probability(3e-7) == "below 0.0001" and numbers.probability(0.034) == "0.034"
    assert (
        numbers.percent(1e-9) == "below 0.1%" and numbers.percent(0.0) == "0.0%" and numbers.percent(0.9999) != "100%"
    )


def test_exact_values_are_plain_numbers() -> None:
    assert data(np.float64(0.1), "x") == '<data value="0.1" class="number">x</data>'
    assert 'value="3"' in data(np.int64(3), "x")
    assert "value" not in data(math.nan, "undefined") and "low" not in data(1.0, "1", math.nan, None)


@given(st.text(max_size=80))
def test_any_text_can_be_written(text: str) -> None:
    safe = escape(text)
    safe.encode("utf-8")
    assert not set(safe) & set("<>\"'")
    assert escape(short(text)).count("<") == 0


@given(st.text(max_size=80), st.floats(20, 200), st.integers(0, 6))
def test_shortened_text_fits(text: str, room: float, tail: int) -> None:
    found = shortened(text, room, tail=tail)
    plain = " ".join(text.split())
    assert found == plain or found.endswith("…" + (plain[-tail:] if tail else ""))
    assert width(found) <= max(room, width("…" + plain[-tail:] if tail else "…")) + 1e-9


# ------------------------------------------------------------------------------------------------------- scales


@given(st.lists(finite, min_size=1, max_size=20), st.floats(0, 1e6))
def test_scales_are_monotone_and_hold_everything(values: list[float], unit: float) -> None:
    scale = fitted(values, 10.0, 310.0, unit=unit)
    places = [scale(v) for v in sorted(values)]
    assert all(10.0 - 1e-6 <= p <= 310.0 + 1e-6 for p in places)
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(places))
    for value, _ in scale.ticks():
        assert scale.low <= value <= scale.high or math.isclose(value, scale.low, abs_tol=1e-9)


def test_the_kind_of_scale_follows_the_values() -> None:
    assert fitted([1, 2, 20], 0, 1).kind == "linear"
    assert fitted([0.01, 1, 500], 0, 1).kind == "log"
    assert fitted([-0.001, 0.002, 50.0], 0, 1, unit=0.001).kind == "symlog"
    assert fitted([-0.001, 0.002, 50.0], 0, 1).kind == "linear"  # no unit that must be seen
    assert fitted([], 0, 1).kind == "linear" and fitted([math.nan, math.inf], 0, 1).kind == "linear"
    log = Scale("log", 1.0, 100.0, 0.0, 1.0)
    assert log(10.0) == pytest.approx(0.5) and log(math.inf) == 1.0 and log(-3.0) == 0.0
    sym = Scale("symlog", -10.0, 10.0, 0.0, 1.0, 0.1)
    assert sym(0.0) == pytest.approx(0.5) and sym(10.0) - sym(1.0) == pytest.approx(
        (math.asinh(100) - math.asinh(10)) / (2 * math.asinh(100))
    )


def test_ticks_are_round_and_few() -> None:
    assert [s for _, s in linear_ticks(0.0, 1.0, 5)] == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [s for _, s in linear_ticks(-5, 5, 4)] == ["−5.0", "−2.5", "0", "2.5", "5.0"]
    assert [v for v, _ in Scale("log", 0.3, 4000, 0, 1).ticks(5)] == [1, 10, 100, 1000]
    assert [v for v, _ in Scale("log", 0.2, 9.0, 0, 1).ticks(5)] == pytest.approx([0.2, 0.5, 1, 2, 5])
    assert [v for v, _ in Scale("symlog", -0.02, 300.0, 0, 1, 0.001).ticks(6)] == pytest.approx(
        [-0.01, -0.001, 0, 0.01, 1, 100]
    )
    for low, high in np.random.default_rng(0).uniform(-1e4, 1e4, (200, 2)):
        if high > low:
            found = linear_ticks(low, high, 5)
            assert 2 <= len(found) <= 7
            assert len({s for _, s in found}) == len(found)
            for value, says in found:
                assert spoken(says.replace("k", "e3")) == pytest.approx(value, abs=1e-9 * max(abs(low), abs(high)))
