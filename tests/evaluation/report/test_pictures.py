from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
import pytest
from PIL import Image

from pushforward.data.tables import dates
from pushforward.evaluation.report import columns, curves, heatmaps, html, marginals, samples
from pushforward.evaluation.report.columns import BEYOND, MISSING, Bins, Field
from pushforward.evaluation.report.png import Shades, colours, grid, heat, shrunk
from pushforward.evaluation.results import Pictures
from pushforward.spaces import Interval, Pixels, Real, Table, Tokens

from .examples import ALL, COLUMNS, digits, rows_of
from .reading import Node, read


def opened(address: str) -> Image.Image:
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


# ------------------------------------------------------------------------------------------------------ images


def test_a_grid_holds_every_pixel_and_clear_gaps() -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        x = rng.integers(0, 256, (5, 4, 6, channels), dtype=np.uint8)
        address, width, height = grid(x, 3)
        sheet = np.asarray(opened(address))
        assert sheet.shape == (height, width, channels + 1) == (2 * 5 - 1, 3 * 7 - 1, channels + 1)
        for i in range(5):
            top, left = 5 * (i // 3), 7 * (i % 3)
            assert (sheet[top : top + 4, left : left + 6, :channels] == x[i]).all()
            assert (sheet[top : top + 4, left : left + 6, channels] == 255).all()
        assert sheet[..., channels].sum() == 255 * 5 * 4 * 6  # all else is clear


def test_pairs_stand_together() -> None:
    x = np.full((4, 8, 8, 1), 200, np.uint8)
    sheet = np.asarray(opened(grid(x, 4, every=2)[0]))[..., 1]
    assert [int(v) for v in np.flatnonzero(sheet[0] == 0)] == [8, 17, 18, 19, 28]


def test_all_images_have_one_scale_of_grey() -> None:
    space = Real((1, 2, 2))
    data = np.array([[[[0.0, 1.0], [2.0, 4.0]]]])
    shades = Shades(space, data)
    assert shades(data).ravel().tolist() == [0, 64, 128, 255]
    assert shades(np.full((1, 1, 2, 2), 2.0)).ravel().tolist() == [128] * 4  # not spread over its own range
    assert shades(np.array([[[[-9.0, 9.0], [math.nan, math.inf]]]])).ravel().tolist() == [0, 255, 0, 255]
    assert Shades(Pixels(1, 2, 2, 16), data)(np.full((1, 1, 2, 2), 15)).max() == 255
    assert Shades(Interval((1, 2, 2)), np.zeros((0, 1, 2, 2)))(np.zeros((1, 1, 2, 2))).shape == (1, 2, 2, 1)


def test_large_images_are_means_of_blocks_and_say_so() -> None:
    x = np.arange(2 * 6 * 4 * 3, dtype=np.uint8).reshape(2, 6, 4, 3)
    assert (shrunk(x, 2)[1, 2, 1] == x[1, 4:6, 2:4].reshape(4, 3).astype(float).mean(0).round()).all()
    report = digits()
    big = np.random.default_rng(0).integers(0, 256, (8, 3, 400, 400), dtype=np.uint8)
    report.pictures = Pictures(Pixels(3, 400, 400), big, {row.name: big for row in report.rows})
    page = html(report)
    assert len(page) < 5_000_000 and "Shown at 1/" in page


def test_figures_are_data_and_every_model_and_pixels_are_whole() -> None:
    report = digits()
    assert report.pictures is not None
    figures = read(samples.section(report)).all("figure")
    assert [f.all("b")[0].text for f in figures] == ["data", *report.pictures.samples]
    for figure, images in zip(figures, [report.pictures.data, *report.pictures.samples.values()]):
        image = figure.all("img")[0]
        sheet = opened(image.attributes["src"])
        assert int(image.attributes["width"]) % sheet.width == 0 and int(image.attributes["height"]) % sheet.height == 0
        assert (np.asarray(sheet)[:28, :28, 0] == images[0, 0]).all()
        assert (np.asarray(sheet)[-28:, -28:, 0] == images[63, 0]).all()


# -------------------------------------------------------------------------------------------------- heat maps


def test_colours_are_those_of_viridis() -> None:
    from matplotlib import colormaps

    wanted = colormaps["viridis"](np.arange(256))[:, :3] * 255
    assert np.abs(colours().astype(float) - wanted).max() < 6
    lightness = colours() @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness[::3]) > 0).all()


def test_a_heat_map_has_the_first_row_at_the_bottom() -> None:
    levels = np.zeros((3, 2))
    levels[2, 0] = 1.0  # rightmost, lowest
    levels[0, 1] = math.nan
    image = np.asarray(opened(heat(levels)).convert("RGB"))
    assert image.shape == (2, 3, 3)
    assert (image[1, 2] == colours()[255]).all() and (image[0, 0] == colours()[0]).all()


def test_densities_share_one_logarithmic_scale_and_one_range() -> None:
    """A model with half the data's rows in the same cells has the colours that log 2 below the data's are."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (2, 4000))
    half = (np.where(np.arange(4000) % 2, x, 99.0), y)  # every other point far beyond
    page = read(heatmaps.maps(Field("a"), Field("b"), (x, y), [("half", half)]))
    pictures = [np.asarray(opened(n.attributes["href"]).convert("P")) for n in page.all("image")]
    data, bar, model = pictures
    assert data.shape == model.shape
    across, up = (Bins(Field(name), v, most) for name, v, most in (("a", x, 56), ("b", y, 56)))
    assert (len(across), len(up)) == data.shape[::-1]
    area = (across.edges[1] - across.edges[0]) * (up.edges[1] - up.edges[0])  # type: ignore[index]
    densities = [columns.joint(across, up, *xy)[0] / (4000 * area) for xy in ((x, y), half)]
    scale = heatmaps.tones(densities)
    for found, density in zip((data, model), densities):
        with np.errstate(divide="ignore"):
            level = np.log(density / scale.low) / math.log(scale.high / scale.low)
        assert (found == (255 * level.clip(0, 1)).round().T[::-1]).all()
    assert set(np.unique(bar)) <= set(range(256)) and bar[0, 0] == 255 and bar[-1, 0] == 0
    notes = [f.all("small")[0].text for f in page.all("figure") if f.all("small")]
    assert notes == ["n = 4,000", "n = 4,000, 50% beyond"]


def test_the_scale_reaches_the_densest_cell_of_any_model() -> None:
    rng = np.random.default_rng(0)
    wide, narrow = rng.standard_normal((2, 3000)), 0.05 * rng.standard_normal((2, 3000))
    page = read(heatmaps.maps(Field("a"), Field("b"), (wide[0], wide[1]), [("m", (narrow[0], narrow[1]))]))
    data, _, model = (np.asarray(opened(n.attributes["href"]).convert("P")) for n in page.all("image"))
    assert model.max() == 255 and data.max() < 200


def test_cells_count_to_the_share_that_is_inside() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 3000))
    a, b = Bins(Field("a"), x), Bins(Field("b"), y)
    counts, beyond, gone = columns.joint(a, b, x, np.where(np.arange(3000) < 30, np.nan, y))
    assert gone == 30 and counts.sum() + beyond + gone == 3000
    wanted = np.histogram2d(x[30:], y[30:], [a.edges, b.edges])[0]
    assert (counts == wanted).all()
    order = rng.permutation(3000)
    assert (columns.joint(a, b, x[order], y[order])[0] == columns.joint(a, b, x, y)[0]).all()


def test_equal_areas_of_a_map_of_the_earth_are_equal_areas_of_the_sphere() -> None:
    """A uniform density has mean 1 / (4 pi) per steradian over the whole map."""
    report = ALL["earth"]()
    assert report.pictures is not None
    x = np.random.default_rng(0).standard_normal((20_000, 3))
    uniform = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    place = columns.flat(uniform, report.pictures.space)
    latitude, longitude = np.sin(np.radians(place[:, 0])), place[:, 1]
    a = Bins(Field("lon", low=-180.0, high=180.0, degrees=True), longitude, 12)
    b = Bins(Field("lat", low=-1.0, high=1.0, sine=True), latitude, 12)
    counts = columns.joint(a, b, longitude, latitude)[0]
    density = counts / (20_000 * heatmaps._cell(a) * heatmaps._cell(b))
    assert density.mean() == pytest.approx(1 / (4 * math.pi), rel=1e-9)
    assert density.std() < 3 * density.mean() / math.sqrt(20_000 / 144)


# ------------------------------------------------------------------------------------------------- marginals


def test_shares_are_those_of_numpy() -> None:
    x = np.random.default_rng(2).standard_normal(5000)
    bins = Bins(Field("a"), x)
    shown, beyond, gone = bins.shares(np.concatenate([x, [np.nan, 1e9, np.inf]]))
    assert (shown * 5003).round().tolist() == np.histogram(x, bins.edges)[0].tolist()
    assert gone == pytest.approx(1 / 5003) and shown.sum() + beyond + gone == pytest.approx(1.0)


def test_whole_numbers_have_whole_bins_and_categories_slots_by_their_share() -> None:
    x = rows_of(np.random.default_rng(3), 4000, 0.8)
    fields = columns.fields_of(Table(COLUMNS), 14)
    age = Bins(fields[0], x[:, 0])
    assert age.edges is not None and np.allclose((age.edges + 0.5) % 1, 0) and len(set(np.diff(age.edges))) == 1
    city = Bins(fields[2], x[:, 2])
    assert len(city) == 9 and city.labels[-1] == "12 others"
    shares = city.shares(x[:, 2])[0]
    assert (np.diff(shares[:-1]) <= 0).all() and shares.sum() == pytest.approx(1.0)
    assert city.labels[0] == f"city {int(np.bincount(x[:, 2].astype(int)).argmax())}"
    degree = Bins(fields[3], x[:, 3])
    assert degree.labels == COLUMNS[3].categories  # in their order
    assert Bins(fields[2], x[:, 2]).index(np.array([np.nan, 99.0])).tolist() == [MISSING, BEYOND]


def test_ticks_of_dates_are_where_the_dates_are() -> None:
    import pyarrow as pa

    for low, high in ((1.2e9, 1.6e9), (1.5e9, 1.52e9), (1.5e9, 1.5e9 + 9 * 86400), (1.5e9, 1.5e9 + 5 * 3600)):
        found = columns._date_ticks(low, high, 4)
        assert 1 <= len(found) <= 8
        for value, says in found:
            assert low <= value <= high
            full = says + {4: "-01-01", 7: "-01", 10: "", 13: ":00:00", 16: ":00"}[len(says)]
            form = "%Y-%m-%d" + (" %H:%M:%S" if len(full) > 10 else "")
            assert dates.parse(pa.chunked_array([[full]]).combine_chunks(), form)[0] == value


def test_the_broken_pair_is_drawn_first() -> None:
    rng = np.random.default_rng(4)
    fields = columns.fields_of(Table(COLUMNS), 14)
    data, model = rows_of(rng, 3000, 0.8), rows_of(rng, 3000, 0.8)
    model[:, 7] = rng.standard_normal(3000) + 2.0  # a marginal alone is no broken pair
    model[:, 9] = model[:, 8]
    assert columns.worst_pairs(data, [rows_of(rng, 3000, 0.8), model], fields) == [(8, 9)]
    order = rng.permutation(3000)
    assert columns.worst_pairs(data[order], [model[order[::-1]]], fields) == [(8, 9)]
    assert len(columns.worst_pairs(data, [rows_of(rng, 3000, 0.8)], fields)) == 1  # chance fills no page
    broken = rows_of(rng, 3000, 0.0)  # age and income, and what else age drives
    assert columns.worst_pairs(data, [broken], fields)[0] == (0, 1)


def test_total_variation_of_shares() -> None:
    bins = Bins(Field("c", ("a", "b", "c")), np.array([0.0, 0, 1, 2]))
    assert columns.apart(np.array([0.0, 0, 1, 2]), np.array([0.0, 0, 0, np.nan]), bins) == pytest.approx(0.5)


def test_filled_bars_are_the_model_and_outlines_the_data() -> None:
    report = ALL["vectors"]()
    table = read(samples.section(report)).all("table", cls="plots")[0]
    names = [row.all("th")[0].text for row in table.all("tbody")[0].all("tr")]
    assert len(names) == 12 and "x18" in names  # the shifted column is among the worst of 30
    line = table.all("tbody")[0].all("tr")[names.index("x18")]
    gmm, kde = (_tops(cell, "fill") for cell in line.all("td"))
    data, same = (_tops(cell, "outline") for cell in line.all("td"))
    assert data == same  # one scale a line
    assert abs(np.average(np.arange(40), weights=kde) - np.average(np.arange(40), weights=data)) > 4
    assert abs(np.average(np.arange(40), weights=gmm) - np.average(np.arange(40), weights=data)) < 1.5


def test_heights_are_shares_on_one_scale_and_a_collapsed_model_is_cut_off_and_says_so() -> None:
    rng = np.random.default_rng(9)
    data = rng.uniform(0, 1, (2000, 1))
    spike = np.full((2000, 1), 0.5)
    page = read(marginals.table([Field("u")], data, [("spike", spike), ("half", data[::2])]))
    first, second = page.all("tbody")[0].all("td")
    assert _tops(first, "outline") == _tops(second, "outline") and max(_tops(first, "fill")) == 61.0
    assert "up to 100%" in first.text and "up to" not in second.text
    shares = Bins(Field("u"), data[:, 0]).shares(data[::2, 0])[0]
    real = Bins(Field("u"), data[:, 0]).shares(data[:, 0])[0]
    assert _tops(second, "fill") == pytest.approx(list(61.0 * shares / (4 * real.max())), abs=0.051)


def _tops(cell: Node, cls: str) -> list[float]:
    path = next(n for n in cell.walk() if n.tag == "path" and n.attributes["class"] == cls).attributes["d"]
    points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]
    return [points[0][1] - y for _, y in points[1:-1:2]]


# ------------------------------------------------------------------------------------------------------ texts


def test_text_is_shown_as_it_is_with_its_spaces() -> None:
    text = "a  b<c>&\n\tend "
    shown = samples.visible(text)
    assert Node("p", {}, read(shown).children).text == "a··b<c>&↵\n⇥\tend·"
    assert "(5 more characters)" in samples.visible("x" * 15, 10)
    report = ALL["text"]()
    assert report.pictures is not None
    space = report.pictures.space
    assert isinstance(space, Tokens)
    figures = read(samples.section(report)).all("figure")
    for figure, rows in zip(figures, [report.pictures.data, *report.pictures.samples.values()]):
        for window, row in zip(figure.all("pre"), rows):
            plain = window.text.replace("·", " ").replace("↵\n", "\n")
            assert plain == "".join(space.characters[int(k)] for k in row)


def test_nearest_examples_stand_below_their_samples() -> None:
    report = ALL["table"]()
    assert report.pictures is not None
    found = read(samples.nearest(report)).all("table")
    a, b = report.pictures.nearest["gmm"]
    lines = found[0].all("tbody")[0].all("tr")
    assert [line.attributes["class"] for line in lines] == ["sample", "nearest"] * 4
    for k, row in enumerate(x for pair in zip(a[:4], b[:4]) for x in pair):
        cells = [c.text for c in lines[k].all("td")]
        assert float(cells[0]) == row[0]
        assert cells[2] == COLUMNS[2].categories[int(row[2])] and cells[4] == ("true" if row[4] else "false")
        assert cells[5] == str(np.datetime64(int(row[5]), "s"))[:10]
        assert (cells[1] == "missing") == math.isnan(row[1])


# ----------------------------------------------------------------------------------------------------- curves


def test_the_curve_is_that_of_the_two_sample_test() -> None:
    from scipy.stats import ks_2samp, kstwobign

    rng = np.random.default_rng(5)
    held, own = rng.standard_normal(300) - 0.3, rng.standard_normal(500)
    x, y = curves.pp(held, own)
    assert np.abs(x - y).max() == pytest.approx(ks_2samp(held, own).statistic, abs=1e-12)
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert curves.band(300, 500) == pytest.approx(kstwobign.ppf(0.95) * math.sqrt(800 / 150_000), rel=1e-4)
    assert np.allclose(*curves.pp(held, held))


def test_calibration_is_said_in_words() -> None:
    report = ALL["ring"]()
    assert report.pictures is not None
    rng = np.random.default_rng(6)
    own = rng.standard_normal(1000)
    less, more = own - 1.0, own + 1.0
    report.pictures.own = dict.fromkeys(("gmm", "kde", "vae"), own)
    report.pictures.held_out = {"gmm": rng.standard_normal(1000), "kde": less, "vae": more}
    words = [f.all("div", cls="mark")[0].text for f in read(curves.calibration(report)).all("figure")]
    assert words[0] == "✓ inside the band"
    assert "held-out rows are less likely" in words[1] and "held-out rows are more likely" in words[2]


def test_blocks_keep_the_mean() -> None:
    y = np.random.default_rng(7).standard_normal(1000)
    bx, by, size = curves.blocks(np.arange(1000.0), y)
    assert size == 7 and len(by) == 143
    counts = np.append(np.full(142, 7), 1000 - 142 * 7)
    assert (by * counts).sum() == pytest.approx(y.sum()) and bx[0] == 3.0
    same = curves.blocks(np.arange(5.0), y[:5])
    assert (same[1] == y[:5]).all() and same[2] == 1


def test_every_loss_has_a_line_of_its_own_and_its_name() -> None:
    figures = read(curves.losses(ALL["digits"]())).all("figure")
    assert len(figures) == 7
    gan = figures[-1]
    assert [s.text.strip() for s in gan.all("span")] == ["discriminator", "generator"]
    lines = [n.attributes["class"] for n in gan.all("path", cls="curve")]
    assert lines == ["curve line0", "curve line1"]
    extreme = read(curves.losses(ALL["extreme"]()))
    assert "loss is infinite at step 1" in extreme.text and "none" not in extreme.text
