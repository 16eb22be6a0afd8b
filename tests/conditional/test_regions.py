"""Regions of base numbers are the events of rows, exactly."""

from __future__ import annotations

import math

import pytest
import torch

from pushforward.conditional.events import Event
from pushforward.conditional.regions import region
from pushforward.errors import InputError

from .tables import mixed, mixed_model, uniform_noise

EVENTS = [
    "age>60",
    "age<=17",
    "age in (20|40),city!=Peru",
    "city in (Laos|Cuba)",
    "gain=0",
    "gain>0",
    "gain<=20,member=yes",
    "score>5,score<6",
    "level=3",
    "grade=low",
    "grade!=low,age<40",
    "grade in (high|middle),level>4",
    "level<6",
]
WITH_MISSING = [
    "city=missing",
    "score=known,age<30",
    "grade=missing",
    "level=missing,grade=high",
    "grade=high,level=known",
]


@pytest.mark.parametrize("categories", ["interval", "argmax"])
@pytest.mark.parametrize("missing", [True, False])
def test_a_row_is_in_the_event_where_its_numbers_are_in_the_region(missing: bool, categories: str) -> None:
    pre = mixed_model("real-nvp", missing, categories).preprocess_data
    assert [mixed().names[j] for j in pre.derived()] == ["grade"]
    generator = torch.Generator().manual_seed(0)
    z = 1.5 * torch.randn(20_000, pre.layout.size, generator=generator, dtype=torch.float64)
    x = pre.inverse(z)
    for text in EVENTS + WITH_MISSING * missing:
        event = Event.parse(text, pre.space)
        held = event.holds(x)
        assert held.double().mean() > 1e-3
        torch.testing.assert_close(region(pre, [event.cells]).distance(z) == 0, held, msg=text)


def test_a_column_that_follows_from_another_is_in_several_boxes() -> None:
    pre = mixed_model("real-nvp").preprocess_data
    boxes = len(region(pre, [Event.parse("grade=low", pre.space).cells]))
    # The level says so; it is missing; it is the one that was never seen.
    assert boxes == 3
    assert len(region(pre, [Event.parse("grade=low,level=known", pre.space).cells])) == 2
    assert len(region(pre, [Event.parse("grade=low,level=1", pre.space).cells])) == 1
    assert len(region(pre, [Event.parse("grade=low,level=5", pre.space).cells])) == 0


def test_several_numbers_of_a_density_are_refused() -> None:
    pre = mixed_model("real-nvp").preprocess_data
    assert len(region(pre, [Event.parse("gain=0", pre.space).cells])) == 1  # a spike
    with pytest.raises(InputError, match="score has a density"):
        region(pre, [Event.parse("score in (1|2)", pre.space).cells])


def test_points_are_where_the_transform_puts_them() -> None:
    pre = mixed_model("real-nvp", False).preprocess_data
    found = region(pre, [Event.parse(f"score={v}", pre.space).cells for v in (-1.5, 2.0)])
    at = pre.layout.intervals.index((5, False))
    assert found.point[:, at].all() and found.point.sum() == 2
    z = torch.zeros(2, pre.layout.size, dtype=torch.float64)
    z[:, at] = found.low[:, at, 0]
    torch.testing.assert_close(pre.inverse(z)[:, 5], torch.tensor([-1.5, 2.0], dtype=torch.float64))


def test_winners_of_races_have_their_probability() -> None:
    pre = mixed_model("real-nvp", False, "argmax").preprocess_data
    event = Event.parse("city in (Laos|Cuba)", pre.space)
    found = region(pre, [event.cells])
    assert found.is_raced
    raced = found.raced(4_000, uniform_noise(1))
    # Under N(0, I) the weight of a draw times its density is f, the same for all: (log f - log q) + log N.
    at = raced.point[0].nonzero()[:, 0]
    log_n = -0.5 * (raced.low[:, at, 0].square() + math.log(2 * math.pi)).sum(1)
    total = (raced.log_weight + log_n).exp().sum()
    frequency = pre.log_frequency[:4].exp()
    assert total == pytest.approx(float(frequency[0] + frequency[2]), rel=1e-9)
    z = torch.zeros(4_000, pre.layout.size, dtype=torch.float64)
    z[:, at] = raced.low[:, at, 0]
    city = pre.inverse(z)[:, 1]
    share = float((city == 2).double().mean())
    expected = float(frequency[2] / (frequency[0] + frequency[2]))
    assert set(city.tolist()) == {0.0, 2.0}
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4_000))


def test_boxes_of_rows() -> None:
    pre = mixed_model("real-nvp").preprocess_data
    asked = [Event.parse(text, pre.space).cells for text in ("age>60", "grade=low", "score=1")]
    found = region(pre, asked)
    assert found.owner.tolist() == [0, 1, 1, 1, 2]
    some = found.of_rows(torch.tensor([2, 1]))
    assert some.owner.tolist() == [0, 1, 1, 1]
    led = some.led_by(torch.arange(8.0).view(4, 2))
    assert led.point[:, :2].all() and led.low[1, :2, 0].tolist() == [2, 3]
