"""Sprites against an independent drawing of the same factors, and the factors against their definitions."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Outline

from pushforward.data import load
from pushforward.data.builtin.source import shapes
from pushforward.data.builtin.sprites import COLOURS, PERIODS, PLACE, SCALE, SHAPES, captions, draw
from pushforward.errors import InputError


def polygon(corners: int, first: float, inner: float | None = None) -> np.ndarray:
    """Corners of a regular polygon or star of radius 1, counter-clockwise from `first` degrees, y up."""
    count = corners * (1 if inner is None else 2)
    angle = np.radians(first + np.arange(count) * 360 / count)
    radius = np.ones(count) if inner is None else np.where(np.arange(count) % 2, inner, 1.0)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


HALF = 1 / (math.hypot(0.5, 0.75 - math.sqrt(0.125)) + math.sqrt(0.5))  # of the heart: its farthest point is at 1


def inside(shape: str, p: np.ndarray) -> np.ndarray:
    """Whether points (m, 2) of the shape's own frame (radius 1, y up, not turned) are in it."""
    u, v = p.T
    if shape == "ellipse":
        return u**2 + (2 * v) ** 2 <= 1
    if shape == "heart":
        low, r = -HALF * (math.sqrt(0.5) - 0.5) / 2, HALF * math.sqrt(0.5)
        discs = np.hypot(np.abs(u) - HALF / 2, v - low - HALF / 2) <= r
        return (np.abs(u) + np.abs(v - low) <= HALF) | discs
    corners = {"square": polygon(4, 45), "triangle": polygon(3, 90), "star": polygon(5, 90, 0.45)}[shape]
    return Outline(np.vstack([corners, corners[:1]])).contains_points(p)


def painted(shape: str, scale: float, turned: float, x: float, y: float, size: int, fine: int = 12) -> np.ndarray:
    """Shares of the pixels that are in the shape, by counting fine x fine points of each: (size, size)."""
    places = (np.arange(size * fine) + 0.5) / (size * fine)
    right, up = np.meshgrid(places - x, y - places)
    turn = np.radians(turned)
    u, v = np.cos(turn) * right + np.sin(turn) * up, -np.sin(turn) * right + np.cos(turn) * up
    hits = inside(shape, np.stack([u.ravel(), v.ravel()], 1) / scale).reshape(size, fine, size, fine)
    return hits.mean((1, 3))


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_are_the_shares_that_the_shape_covers(shape: str, size: int) -> None:
    x, space, columns, _ = shapes(size=size, colour=0, n=60, seed=3)
    assert space.shape == x.shape[1:] == (1, size, size)
    chosen = np.flatnonzero(columns["shape"] == shape)[:8]
    assert len(chosen) >= 4
    for i in chosen:
        factors = [columns[name][i] for name in ("scale", "orientation", "x", "y")]
        expected = painted(shape, *factors, size)
        got = x[i, 0] / 255
        error = np.abs(got - expected)
        assert error.max() < {"heart": 0.27, "star": 0.22}.get(shape, 0.1)  # at the notch, and at inner corners
        edge = (expected > 0) & (expected < 1)
        assert error[edge].mean() < 0.035 and error[~edge].mean() < 3e-4
        assert abs(got.sum() / expected.sum() - 1) < 0.025


@pytest.mark.parametrize("kind", range(len(SHAPES)))
def test_a_shape_repeats_after_its_period_and_not_before(kind: int) -> None:
    turned = torch.arange(0, PERIODS[kind], PERIODS[kind] / 12, dtype=torch.float64)
    n = len(turned)

    def at(angle: torch.Tensor) -> np.ndarray:
        one = torch.full((n,), 1.0, dtype=torch.float64)
        return draw(torch.full((n,), kind), torch.full((n, 1), 255), 0.28 * one, angle, 0.5 * one, 0.5 * one, 64)

    first = at(turned).astype(int)
    assert np.abs(first - at(turned + PERIODS[kind])).max() <= 1
    apart = np.abs(first[:, None] - first[None]).sum((2, 3, 4)) + 10**9 * np.eye(n, dtype=int)
    assert apart.min() > 2000


def test_colours_are_those_named_and_grey_is_the_same_drawing_in_white() -> None:
    x, space, columns, _ = shapes(n=300)
    assert space.shape == (3, 32, 32) and x.dtype == np.uint8
    flat = x.reshape(300, 3, -1)
    brightest = np.take_along_axis(flat, flat.sum(1).argmax(1)[:, None, None], 2)[..., 0]
    assert np.array_equal(brightest, np.array([COLOURS[str(name)] for name in columns["colour"]]))
    assert (x[:, :, 0] == 0).all() and (x[:, :, :, -1] == 0).all()  # nothing is cut off
    grey, _, others, _ = shapes(n=300, colour=0)
    white = columns["colour"] == "white"
    assert white.sum() > 20 and np.array_equal(grey[white, 0], x[white, 0])
    assert "colour" not in others and np.array_equal(others["orientation"], columns["orientation"])


def test_both_sizes_show_the_same_scenes() -> None:
    small, _, a, _ = shapes(n=200, colour=0)
    large, _, b, _ = shapes(size=64, n=200, colour=0)
    assert all(np.array_equal(a[name], b[name]) for name in a)
    halved = large.reshape(200, 32, 2, 32, 2).mean((2, 4))
    assert np.abs(small[:, 0] - halved).mean() < 0.3 and np.abs(small[:, 0] - halved).max() < 64


def test_factors_are_uniform_and_independent() -> None:
    _, _, columns, _ = shapes(n=6000, seed=1)
    n = len(columns["shape"])
    periods = np.array(PERIODS)[[SHAPES.index(s) for s in columns["shape"]]]
    assert ((columns["orientation"] >= 0) & (columns["orientation"] < periods)).all()
    place = {name: (columns[name] - PLACE[0]) / (PLACE[1] - PLACE[0]) for name in "xy"}
    unit = {
        "shape": np.array([SHAPES.index(s) for s in columns["shape"]]) / len(SHAPES),
        "colour": np.array([list(COLOURS).index(c) for c in columns["colour"]]) / len(COLOURS),
        "scale": (columns["scale"] - SCALE[0]) / (SCALE[1] - SCALE[0]),
        "phase": columns["orientation"] / periods,
        **place,
    }
    bins = {"shape": len(SHAPES), "colour": len(COLOURS)}
    codes = {name: (values * bins.get(name, 6) + 1e-9).astype(int) for name, values in unit.items()}
    for name, code in codes.items():
        k = bins.get(name, 6)
        counts = np.bincount(code, minlength=k)
        assert len(counts) == k and ((counts - n / k) ** 2 / (n / k)).sum() < k + 6 * math.sqrt(2 * k)
        for other, second in codes.items():
            if other > name:
                joint = np.bincount(code * bins.get(other, 6) + second)
                expected = n / (k * bins.get(other, 6))
                freedom = len(joint) - 1
                assert ((joint - expected) ** 2 / expected).sum() < freedom + 6 * math.sqrt(2 * freedom)


def test_captions_say_what_is_there() -> None:
    _, _, columns, _ = shapes(n=2000, seed=5)
    pattern = re.compile(
        r"a (small|medium|large) (\w+) (\w+) (?:at|in) the (upper left|top|upper right|left|centre|right|lower left|"
        r"bottom|lower right), (?:not turned|turned (\d+) degrees)"
    )
    for i, caption in enumerate(columns["caption"]):
        size, colour, shape, place, turned = pattern.fullmatch(caption).groups()  # type: ignore[union-attr]
        assert (colour, shape) == (columns["colour"][i], columns["shape"][i])
        third = 3 * (columns["scale"][i] - SCALE[0]) / (SCALE[1] - SCALE[0])
        assert size == ("small", "medium", "large")[int(third)]
        x, y = columns["x"][i], columns["y"][i]
        assert ("left" in place) == (x < PLACE[0] + 0.4 / 3) and ("right" in place) == (x > PLACE[1] - 0.4 / 3)
        upper, lower = "upper" in place or place == "top", "lower" in place or place == "bottom"
        assert upper == (y < PLACE[0] + 0.4 / 3) and lower == (y > PLACE[1] - 0.4 / 3)
        period = PERIODS[SHAPES.index(shape)]
        off = (int(turned or 0) - columns["orientation"][i]) % period
        assert min(off, period - off) <= 5.001
    one = {"shape": np.array(["heart"]), "colour": np.array(["red"]), "scale": np.array([0.13]),
           "orientation": np.array([38.0]), "x": np.array([0.31]), "y": np.array([0.31])}  # fmt: skip
    assert captions(one) == ["a small red heart at the upper left, turned 40 degrees"]
    del one["colour"]
    assert captions(one) == ["a small heart at the upper left, turned 40 degrees"]


def test_rows_depend_on_the_seed_and_their_index_only() -> None:
    for options in ({}, {"size": 64}, {"colour": 0}):
        long, short, other = shapes(n=700, **options), shapes(n=90, **options), shapes(n=90, seed=1, **options)
        assert np.array_equal(long[0][:90], short[0])
        assert all(np.array_equal(long[2][name][:90], short[2][name]) for name in short[2])
        assert not (other[0] == short[0]).all((1, 2, 3)).any()


def test_factors_are_conditions_by_name() -> None:
    data = load("shapes:n=400", condition="shape")
    assert data.condition_space is not None and data.condition_space.names == tuple(sorted(SHAPES))  # type: ignore[attr-defined]
    assert load("shapes:n=400,colour=0", condition="scale,x,y").condition_space.shape == (3,)  # type: ignore[union-attr]
    with pytest.raises(InputError, match="Known: caption, colour, orientation, scale, shape, x, y"):
        load("shapes:n=400", condition="size")
    with pytest.raises(InputError, match="no column 'colour'"):
        load("shapes:n=400,colour=0", condition="colour")
    assert load("shapes", n=50, colour=False, size=64).space.shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("shapes:size=48", {}, r"size='48'. It is 32 or 64"),
        ("shapes:colour=2", {}, r"colour='2'. It is 0 or 1"),
        ("shapes:color=1", {}, "Did you mean colour"),
        ("shapes:size=32.5", {}, "It is 32 or 64"),
        ("shapes:n=2000000,size=64", {}, r"need 22\.9 GiB.*smaller n"),
        ("shapes", {"image_size": 64}, "image_size= is for pictures of your own.*shapes:size=64"),
        ("shapes", {"grey": True}, r"colour=0"),
    ],
)
def test_bad_options_are_one_clear_error(source: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source, **options)
