"""The page of histograms, read back from its pixels: heights are counts, and nothing leaves its panel."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pushforward.data.inspection.histograms import _BAR, _DPI, _MARGIN, _PALE, _SPIKE, compact, histogram_page
from pushforward.data.inspection.letters import drawable, fitted, is_lacking, width
from pushforward.data.inspection.oddities import Profile, profiles
from pushforward.data.tables.cells import encode
from pushforward.data.tables.columns import detect
from pushforward.errors import InputError

NAMES = [
    "Körpergröße der befragten Person in Zentimetern, am Tag der Aufnahme gemessen",
    "価格（税込）",
    "Возраст респондента на момент опроса, полных лет",
    "$cost$ of_{living}^2 \\frac{1}{2}",
    "العمر بالسنوات",
    "😀 mood",
    "tabs\tand\nlines",
    "x" * 200,
]


def seen_of(cells: dict[str, object]) -> list[Profile]:
    table = pa.table({name: c if isinstance(c, pa.Array) else pa.array(c) for name, c in cells.items()})
    found = detect(table, {}, "test")
    return profiles(encode(table, found.space, "test"), found.columns)


def drawn(seen: list[Profile], path: Path, title: str = "page", **options: int) -> np.ndarray:
    """The page as (h, w, 3) integers."""
    histogram_page(seen, path, title=title, **options)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def is_colour(page: np.ndarray, colour: str) -> np.ndarray:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    found: np.ndarray = abs(page - wanted).max(2) < 12
    return found


def runs(mask: np.ndarray) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.r_[0, mask.astype(int), 0]))
    return [slice(a, b) for a, b in edges.reshape(-1, 2)]


def test_bars_are_as_high_as_counts(tmp_path: Path) -> None:
    counts = [400, 200, 100, 50]
    page = drawn(seen_of({"x": np.repeat([1, 2, 3, 4], counts)}), tmp_path / "page.png")
    bars = is_colour(page, _BAR)
    heights = [int(bars[:, bar].sum(0).max()) for bar in runs(bars.any(0))]
    assert len(heights) == 4
    np.testing.assert_allclose(np.array(heights) / heights[0], np.array(counts) / 400, atol=0.015)


def test_bars_of_categories_are_as_long_as_shares(tmp_path: Path) -> None:
    cells = np.repeat(["a", "b", "c"], [400, 200, 40])
    page = drawn(seen_of({"x": cells}), tmp_path / "page.png")
    bars = is_colour(page, _PALE)
    # Text lies on the bars: their ends are what is measured.
    ends = [int(np.flatnonzero(bars[line].any(0)).max()) for line in runs(bars.any(1))]
    left = int(np.flatnonzero(bars.any(0)).min())
    lengths = np.array(ends) - left
    np.testing.assert_allclose(lengths / lengths[0], [1, 0.5, 0.1], atol=0.01)


def test_a_histogram_is_that_of_numpy(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=4000)
    page = drawn(seen_of({"x": x}), tmp_path / "page.png")
    bars = is_colour(page, _BAR)
    tall = bars.sum(0)
    columns = np.flatnonzero(bars.any(0))
    left, right = columns.min(), columns.max() + 1
    shape = np.histogram(x, 32)[0]
    middles = left + (np.arange(32) + 0.5) * (right - left) / 32
    heights = tall[middles.astype(int)]
    # The number of bins is the page's own; at 32 places it must follow the histogram of 32 bins.
    assert np.corrcoef(heights, shape)[0, 1] > 0.99
    assert abs(int(heights.argmax()) - int(shape.argmax())) <= 2


def test_spikes_are_marked_and_only_they(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    smooth = rng.gamma(2, 10, 2000)
    spiked = np.where(rng.random(2000) < 0.6, 0, smooth)
    # Without the first 60 lines, where the page says what the colour means.
    assert not is_colour(drawn(seen_of({"x": smooth}), tmp_path / "a.png"), _SPIKE)[60:].any()
    page = drawn(seen_of({"x": spiked}), tmp_path / "b.png")
    mark = is_colour(page, _SPIKE)
    bars = is_colour(page, _BAR)
    assert mark.sum(0).max() > bars.sum(0).max()  # upright, and taller than the rest
    assert np.flatnonzero(mark.sum(0) > 50).max() < np.flatnonzero(bars.any(0)).min() + 10  # at 0, on the left


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 20, 30, 44])
def test_nothing_leaves_its_panel(tmp_path: Path, n: int) -> None:
    """Margins and the gaps between panels are white, whatever the names and values."""
    rng = np.random.default_rng(n)
    rows = 300
    makers = [
        lambda: rng.normal(size=rows) * 10.0 ** rng.integers(-12, 12),
        lambda: np.array([*NAMES, "b", "c"])[rng.integers(0, 10, rows)].tolist(),
        lambda: np.datetime64("2001-01-01T10:00:00") + rng.integers(0, 10**8, rows).astype("m8[s]"),
        lambda: np.where(rng.random(rows) < 0.4, -123456, rng.integers(0, 10**6, rows)),
        lambda: rng.random(rows) < 0.2,
        lambda: ["a constant value that is much longer than its panel is wide, and then some more of it"] * rows,
        lambda: np.array(["0-9", "10-19", "20-29", "30-39", *[f"{i}0-{i}9" for i in range(4, 14)]])[
            rng.integers(0, 14, rows)
        ].tolist(),
        lambda: rng.lognormal(0, 4, rows),
    ]
    cells = {}
    for j in range(n):
        values = pa.array(makers[(j + n) % 8](), mask=rng.random(rows) < (0.3 if j % 3 == 0 else 0.0))
        cells[f"{NAMES[j % 8]}{j if j >= 8 else ''}"] = values
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that no font has is a warning
        page = drawn(seen_of(cells), tmp_path / "page.png", title=" ".join(NAMES))
    ink = (page < 250).any(2)
    edge = int((_MARGIN - 1) * _DPI / 72)
    for side in (ink[:edge], ink[-edge:], ink[:, :edge], ink[:, -edge:]):
        assert not side.any()
    below = ink[int(45 * _DPI / 72) :]
    columns = {1: 1, 2: 2, 3: 3, 4: 2, 9: 3, 20: 4, 30: 5, 44: 6}[n]
    gap = [r for r in runs(~below.any(0)) if r.stop - r.start >= 8]
    assert len(gap) >= columns + 1  # the two margins, and between the panels


def test_pages_are_the_same_every_time(tmp_path: Path) -> None:
    seen = seen_of({"x": np.arange(50) % 7, "y": ["a", "b"] * 25})
    drawn(seen, tmp_path / "a.png")
    drawn(seen, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_columns_beyond_the_page_are_counted(tmp_path: Path) -> None:
    seen = seen_of({f"x{j}": np.arange(30) % 7 for j in range(70)})
    assert histogram_page(seen, tmp_path / "a.png", title="a") == 10
    assert histogram_page(seen[:60], tmp_path / "b.png", title="b") == 0
    a, b = Image.open(tmp_path / "a.png"), Image.open(tmp_path / "b.png")
    assert a.size == b.size and max(a.size) < 3000
    assert histogram_page(seen, tmp_path / "c.png", title="c", most=4) == 66


def test_refusals_leave_nothing(tmp_path: Path) -> None:
    seen = seen_of({"x": np.arange(30) % 7})
    with pytest.raises(InputError, match=r"a \.png file"):
        histogram_page(seen, tmp_path / "page.jpg", title="x")
    with pytest.raises(InputError, match="no columns"):
        histogram_page([], tmp_path / "page.png", title="x")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        histogram_page(seen, tmp_path / "file" / "page.png", title="x")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80), room=st.floats(5, 200), tail=st.integers(0, 10))
def test_fitted_text_fits(text: str, room: float, tail: int) -> None:
    line = drawable(text)
    made = fitted(text, room, 8, tail=tail)
    assert not made or width(made, 8) <= room
    if width(line, 8) <= room:
        assert made == line
    elif made:
        start, _, end = made.partition("…")
        assert line.startswith(start) and (line.endswith(end) or "…" in line)


def test_letters_that_no_font_has_are_boxes() -> None:
    assert drawable("a\u0378b") == "a□b" and is_lacking("a\u0378b")
    assert drawable("Größe и λ") == "Größe и λ" and not is_lacking("□")
    assert drawable(" two\n lines ") == "two lines"


def test_numbers_are_compact() -> None:
    assert [compact(v) for v in (0, 0.25, 1200, 25_000, 1.5e6, -2e9, 3e-7, 1e20)] == [
        "0", "0.25", "1200", "25k", "1.5M", "-2G", "3e-07", "1e+20",
    ]  # fmt: skip
