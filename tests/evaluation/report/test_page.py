from __future__ import annotations

import base64
import functools
import hashlib
import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from pushforward.evaluation.likelihood.ledger import Likelihood
from pushforward.evaluation.report import html, notebook_html
from pushforward.evaluation.report.floors import headline
from pushforward.evaluation.report.style import CSS, SCRIPT
from pushforward.evaluation.results import Report, Row, Value

from .examples import ALL, EVIL
from .reading import Node, read

NAMES = sorted(ALL)


@functools.cache
def made(name: str) -> tuple[Report, str]:
    report = ALL[name]()
    return report, html(report)


@functools.cache
def tree(name: str) -> Node:
    return read(made(name)[1])


def spoken(text: str) -> float:
    """A number as it is written in the page."""
    text = text.strip().lstrip("≥≈≳? ").replace(",", "").replace("−", "-").replace("∞", "inf")
    return math.nan if text == "undefined" else float(text)


# ------------------------------------------------------------------------------------------------------- the form


@pytest.mark.parametrize("name", NAMES)
def test_tags_are_balanced_ids_unique_and_links_lead_somewhere(name: str) -> None:
    page = tree(name)
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link.attributes["href"].startswith("#") and link.attributes["href"][1:] in ids
    for row in page.all("tr"):  # every line of a table is as wide as its head
        assert row.children
    for table in page.all("table"):
        widths = set()
        for row in table.all("tr"):
            cells = [c for c in row.children if isinstance(c, Node)]
            widths.add(sum(int(c.attributes.get("colspan", 1)) for c in cells))
        assert len(widths) == 1, table.attributes


@pytest.mark.parametrize("name", NAMES)
def test_drawings_are_well_formed_and_have_no_impossible_place(name: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", made(name)[1], re.DOTALL)
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img" and root.get("aria-label")
        width, height = float(root.get("width", "nan")), float(root.get("height", "nan"))
        assert 0 < width < 500 and 0 < height < 500
        for node in root.iter():
            for key in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
                if (value := node.get(key)) is not None:
                    edge = height if "y" in key or key == "height" else width
                    assert -1 <= float(value) <= edge + 1, (key, value, ElementTree.tostring(node))
            for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", node.get("d", "")):
                assert -2 <= float(x) <= width + 2 and -2 <= float(y) <= height + 2
    assert "NaN" not in "".join(drawings) and "nan" not in re.sub(r"<title>.*?</title>|>[^<]*<", "", "".join(drawings))


@pytest.mark.parametrize("name", NAMES)
def test_text_of_drawings_stays_inside_and_apart(name: str) -> None:
    """By the widths of DejaVu Sans, which is wider than what most readers have."""
    from pushforward.data.inspection.letters import drawable, width

    for drawing in re.findall(r"<svg.*?</svg>", made(name)[1], re.DOTALL):
        root = ElementTree.fromstring(drawing)
        taken: list[tuple[float, float, float, str]] = []
        for node in root.iter("text"):
            says = node.text or "".join(child.tail or "" for child in node)
            long = width(drawable(says), 11.0)
            if "transform" in node.attrib:
                if "-90" in node.get("transform", ""):
                    assert long < float(root.get("height", "0")) + 2, says
                continue
            x, y = float(node.get("x", "0")), float(node.get("y", "0"))
            start = {"start": x, "middle": x - long / 2, "end": x - long}[node.get("text-anchor", "start")]
            assert start > -4 and start + long < float(root.get("width", "0")) + 4, (says, start, long)
            for a, b, height, other in taken:
                assert abs(height - y) >= 9 or start >= b - 1 or start + long <= a + 1, (says, other)
            taken.append((start, start + long, y, says))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_loaded_from_anywhere(name: str) -> None:
    page, text = tree(name), made(name)[1]
    for node in page.walk():
        assert node.tag not in {"link", "iframe", "object", "embed", "base", "form", "audio", "video", "source"}
        for key, value in node.attributes.items():
            assert not key.startswith("on"), (node.tag, key)
            if key in {"src", "href", "srcset", "action", "poster", "data", "background", "xlink:href", "formaction"}:
                assert re.fullmatch(r"#[\w-]+|data:image/png;base64,[A-Za-z0-9+/=]+", value), (
                    node.tag,
                    key,
                    value[:50],
                )
            assert "url(" not in value or key in {"title", "aria-label", "alt", "data-row"}
    assert "url(" not in CSS and "@import" not in CSS and "fetch" not in SCRIPT and "http" not in CSS + SCRIPT
    policy = page.all("meta", http_equiv="Content-Security-Policy")[0].attributes["content"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    scripts, styles = page.all("script"), page.all("style")
    assert len(scripts) == 1 and len(styles) == 1 and not scripts[0].attributes
    digest = base64.b64encode(hashlib.sha256(str(scripts[0].children[0]).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert text.index("Content-Security-Policy") < text.index("<style>")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_can_be_written_and_no_number_is_none(name: str) -> None:
    text = made(name)[1]
    assert text.encode("utf-8").decode("utf-8") == text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    words = " ".join(re.sub(r"\s+", " ", tree(name).text).split())
    assert not re.search(r"\b(nan|NaN|inf|Infinity|None|np\.float\d*)\b", words)
    for node in tree(name).all("data"):
        assert math.isfinite(float(node.attributes["value"]))


def test_markup_in_names_stays_text() -> None:
    page = tree("hostile")
    assert EVIL[:40] in page.all("h1")[0].text
    assert not page.all("img")
    assert all("evil" not in v for node in page.walk() for k, v in node.attributes.items() if k in ("src", "href"))
    assert len(page.all("script")) == 1
    for name in NAMES:
        note = read(notebook_html(made(name)[0]))
        assert not note.all("script") and not note.all("img") and not note.all("svg")


def test_pages_stay_small() -> None:
    assert len(made("colours")[1].encode()) < 5_000_000  # ten models, four calibrations, pictures that no PNG shrinks
    assert len(made("digits")[1].encode()) < 1_500_000
    assert len(made("table")[1].encode()) < 1_000_000


def test_pictures_have_words() -> None:
    for name in NAMES:
        for image in tree(name).all("img"):
            assert image.attributes["alt"]
            assert int(image.attributes["width"]) > 0 and int(image.attributes["height"]) > 0


def test_colours_can_be_read() -> None:
    """WCAG 2.1: a contrast of 4.5 for text, 3 for marks, in light, dark and print."""

    def light(colour: str) -> float:
        colour = colour if len(colour) == 6 else "".join(2 * c for c in colour)
        parts = [int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a: str, b: str) -> float:
        low, high = sorted((light(a), light(b)))
        return (high + 0.05) / (low + 0.05)

    schemes = [dict(re.findall(r"--(\w+):#(\w+)", block)) for block in re.findall(r":root\{[^}]*\}", CSS)]
    assert len(schemes) == 3
    for scheme in schemes:
        for ground in ("back", "card", "band"):
            assert contrast(scheme["text"], scheme[ground]) > 7
        for ground in ("back", "card"):
            for ink in ("quiet", "mark", "bad", "middle"):
                assert contrast(scheme[ink], scheme[ground]) > 4.5, (ink, ground, scheme[ink])
        for ink in ("mark", "bad", "middle"):
            assert contrast(scheme[ink], scheme["band"]) > 3


# ------------------------------------------------------------------------------------------------- the leaderboard


def cells_of(table: Node) -> dict[str, list[Node]]:
    found = {}
    for row in table.all("tr"):
        if "data-row" in row.attributes:
            assert row.attributes["data-row"] not in found
            found[row.attributes["data-row"]] = [c for c in row.children if isinstance(c, Node)]
    return found


def columns_of(table: Node) -> dict[str, int]:
    return {head.attributes.get("data-key", ""): k for k, head in enumerate(table.all("thead")[0].all("th"))}


def check_value(cell: Node, value: Value) -> None:
    shown = next(n for n in cell.walk() if "number" in n.attributes.get("class", "").split())
    text = next(c for c in shown.children if isinstance(c, str))
    if math.isfinite(value.value):
        assert float(shown.attributes["value"]) == value.value
    else:
        assert "value" not in shown.attributes
        assert math.isnan(spoken(text)) if math.isnan(value.value) else spoken(text) == value.value
        return
    spread = abs(value.value) * 1e-2
    if value.low is not None and value.high is not None and math.isfinite(value.low + value.high):
        assert float(shown.attributes["data-low"]) == value.low
        assert float(shown.attributes["data-high"]) == value.high
        spread = max(spread * 0, 0.051 * max(value.value - value.low, value.high - value.value))
        interval = shown.all("small")[0].text
        if interval.startswith("±"):
            half = spoken(interval[1:])
            assert half == pytest.approx((value.high - value.low) / 2, rel=0.06, abs=1e-12)
        else:
            low, high = (spoken(part) for part in interval.split(" to "))
            assert low == pytest.approx(value.low, abs=spread) and high == pytest.approx(value.high, abs=spread)
    assert spoken(text) == pytest.approx(value.value, abs=spread)
    marks = [n.text for n in cell.all("small", cls="mark")]
    assert marks == {None: [], True: ["✗ outside"], False: ["✓ inside"]}[value.outside]


@pytest.mark.parametrize("name", [n for n in NAMES if n != "empty"])
@pytest.mark.parametrize("short", [False, True])
def test_the_leaderboard_holds_every_value_at_its_place(name: str, short: bool) -> None:
    report, _ = made(name)
    page = read(notebook_html(report)) if short else tree(name)
    table = page.all("table", id="leaderboard-table")[0]
    rows, columns = cells_of(table), columns_of(table)
    kinds = {b.attributes["class"]: [r.attributes["data-row"] for r in b.all("tr")] for b in table.all("tbody")}
    safe = [re.sub("[\x00\x1b\u202e\ud800]", "\ufffd", row.name) for row in report.rows]
    order = [r["name"] for r in report.table if r["kind"] == "model"]
    if name != "extreme":  # where infinite and undefined values tie
        assert kinds["models"] == [re.sub("[\x00\x1b\u202e\ud800]", "\ufffd", n) for n in order]
    assert sorted(kinds["models"]) == sorted(safe[: len(report.models)])
    assert kinds.get("calibrations", []) == safe[len(report.models) :]
    for metric in headline(report):
        place = columns[metric.key]
        for row, shown in zip(report.rows, safe):
            cell = rows[shown][place]
            if metric.key in row.values:
                check_value(cell, row.values[metric.key])
            else:
                assert cell.text == "not measured"
        if floor := report.floor.get(metric.key):
            found = rows["floor"][place].all("data")[0].attributes
            ends = [float(found[k]) for k in ("value", "data-low", "data-high")]
            assert ends == [floor.mean, floor.low, floor.high]
    costs = {"parameters", "train_seconds", "seconds_per_1000", "evaluations", "peak_memory"}
    for key in costs:
        values = [None if row.cost is None else getattr(row.cost, key) for row in report.rows]
        if f"cost:{key}" not in columns:
            assert all(v is None for v in values)
            continue
        for shown, value in zip(safe, values):
            found_data = rows[shown][columns[f"cost:{key}"]].all("data")
            if value is not None and math.isfinite(value):
                assert float(found_data[0].attributes["value"]) == value
            else:
                assert not found_data


def test_bounds_are_marked_and_sorted_apart() -> None:
    report, _ = made("digits")
    table = tree("digits").all("table", id="leaderboard-table")[0]
    rows, place = cells_of(table), columns_of(table)["likelihood"]
    signs = {"exact": "", "lower bound": "≥", "estimate": "≈", "unavailable": ""}
    ranks: dict[str, int] = {}
    for row in report.models:
        cell, likelihood = rows[row.name][place], row.likelihood
        assert likelihood is not None
        ranks[likelihood.kind] = int(cell.attributes["data-rank"])
        if likelihood.mean is None:
            assert cell.text == "none" and "data-sort" not in cell.attributes
            continue
        assert float(cell.attributes["data-sort"]) == likelihood.mean
        assert cell.all("small", cls="kind")[0].text == likelihood.kind
        number = cell.all("data")[0]
        assert float(number.attributes["value"]) == likelihood.mean
        sign = signs[likelihood.kind]
        assert number.text.startswith(sign) and (sign or number.text[0] in "−0123456789")
        assert likelihood.standard_error is not None  # the leaderboard's intervals are all of 95%
        half = spoken(number.all("small")[0].text.lstrip("± "))
        assert half == pytest.approx(1.96 * likelihood.standard_error, rel=0.051)
        if likelihood.bits_per_dimension is not None:
            assert cell.all("data")[1].text.startswith({"≥": "≤"}.get(sign, sign))  # a bound from above on bits
    assert ranks["exact"] < ranks["estimate"] < ranks["lower bound"] < ranks["unavailable"]


def test_an_unknown_kind_of_likelihood_is_not_taken_for_exact() -> None:
    report = Report("t", {}, [], {}, [Row("m", likelihood=Likelihood("a guess", "", -1.0))])
    cell = cells_of(read(html(report)).all("table", id="leaderboard-table")[0])["m"][-1]
    assert "a guess" in cell.text and int(cell.attributes["data-rank"]) > 0


# ----------------------------------------------------------------------------------------------- the other tables


@pytest.mark.parametrize("name", ["digits", "table", "single", "extreme", "missing"])
def test_cards_hold_every_metric_with_all_that_stands_behind_it(name: str) -> None:
    report, _ = made(name)
    cards = {card.attributes["id"]: card for card in tree(name).all("article", cls="card")}
    assert len(cards) == len(report.metrics)
    for k, metric in enumerate(report.metrics, 1):
        card = cards[f"metric-{k}"]
        assert metric.label in card.all("h4")[0].text and metric.meaning in card.text and metric.features in card.text
        if floor := report.floor.get(metric.key):
            words = card.all("p", cls="floor-words")[0]
            exact = {n.attributes["data-field"]: float(n.attributes["value"]) for n in words.all("data")}
            assert exact == {"mean": floor.mean, "low": floor.low, "high": floor.high, "std": floor.std}
            source = f"{floor.replicates} replicates" if floor.replicates else "by its distribution"
            assert f"({source} at n = {floor.n:,}" in words.text
        rows = cells_of(card)
        for row in report.rows:
            if metric.key not in row.values and metric.key not in row.missing:
                assert row.name not in rows
                continue
            line = Node("tr", {}, list(rows[row.name]))
            if metric.key in row.missing and metric.key not in row.values:
                assert f"not measured: {row.missing[metric.key]}" in line.text
                continue
            value = row.values[metric.key]
            exact = {n.attributes["data-field"]: float(n.attributes["value"]) for n in line.all("data")}
            wanted = {k: getattr(value, k) for k in ("value", "low", "high", "p_value")}
            assert exact == {k: v for k, v in wanted.items() if v is not None and math.isfinite(v)}
            others = {
                (v.n, v.sets, v.seeds)
                for r in report.rows
                for key, v in r.values.items()
                if key == metric.key and r.kind == row.kind
            }
            if len(others) > 1:
                assert line.text.endswith(f"{value.n:,} × {value.sets} × {value.seeds}")
            elif card.all("caption"):
                says = card.all("caption")[0].text
                sets = f"n = {value.n:,} samples a set, {value.sets} disjoint set{'s' if value.sets > 1 else ''}"
                if row.kind == "model":
                    assert f"Models: {sets} a seed, {value.seeds} training seed" in says
                else:
                    assert f"Calibrations: {sets}." in says


def test_the_ledger_and_the_differences_hold_every_number() -> None:
    report, _ = made("digits")
    rows = cells_of(tree("digits").all("table", id="ledger-table")[0])
    for row in report.models:
        likelihood, line = row.likelihood, Node("tr", {}, list(rows[row.name]))
        assert likelihood is not None
        exact = {n.attributes["data-field"]: float(n.attributes["value"]) for n in line.all("data")}
        fields = ("mean", "standard_error", "bits_per_dimension", "draws", "monte_carlo_error", "solver_error")
        assert exact == {k: v for k in fields if (v := getattr(likelihood, k)) is not None}
        assert likelihood.reason in line.text
        if likelihood.mean is not None:
            sign = {"lower bound": "≥ ", "estimate": "≈ "}.get(likelihood.kind, "−")
            assert line.all("data", data_field="mean")[0].text.startswith(sign)
            assert line.all("td")[0].text == likelihood.kind
    lines = tree("digits").all("table", id="differences-table")[0].all("tbody")[0].all("tr")
    assert len(lines) == len(report.differences)
    for line, d in zip(lines, report.differences):
        exact = {n.attributes["data-field"]: float(n.attributes["value"]) for n in line.all("data")}
        assert exact == {"mean": d.mean, "low": d.low, "high": d.high, "p_value": d.p_value}
        assert line.text.endswith(f"{'● claimed' if d.claimed else '○ not claimed'}: {d.words}")
        assert line.all("th")[0].text == f"{d.a} minus {d.b}"


def test_likelihoods_in_different_units_are_said_to_be() -> None:
    report = ALL["digits"]()
    warned = "so not to be compared across these groups: gmm, real-nvp, ddpm, vae, flow-matching; kde."
    assert "not to be compared" not in html(report)
    report.rows[1].likelihood = Likelihood("exact", "", -3.0, 0.1, 1000, unit="nats per row", measure="Lebesgue")
    assert warned in html(report)
    kde = report.rows[0].likelihood
    assert kde is not None
    report.rows[1].likelihood = replace(kde, support="another", infinite=3)
    assert warned in html(report) and "3 rows have probability 0" in html(report)


def test_memorization_makes_no_privacy_claim() -> None:
    for name in NAMES:
        sections = tree(name).all("section", id="memorization")
        assert len(sections) == 1 and "This is no privacy claim." in sections[0].text
    cards = tree("digits").all("section", id="memorization")[0].all("article", cls="card")
    assert len(cards) == 2  # C_T and authenticity, which are nowhere else


def test_how_it_was_made_is_there() -> None:
    text = tree("digits").all("section", id="made")[0].text
    for word in (
        "pushforward compare digits --budget 1m --seeds 3 --out comparison",
        "2.13.0",
        "runs/gmm-0",
        "threads",
    ):
        assert word in text
    assert "9f86d081884c7d659a2feaa0c55ad015" in tree("digits").all("header")[0].text
