from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pushforward.evaluation.report import figure
from pushforward.evaluation.report.floors import chart, headline, scale_of
from pushforward.evaluation.results import Floor, Value

from .examples import ALL
from .reading import read


@pytest.mark.parametrize("name", ["digits", "hostile", "long", "extreme", "single", "empty"])
def test_all_text_of_the_figure_is_inside_it(name: str) -> None:
    made = figure(ALL[name]())
    canvas = FigureCanvasAgg(made)
    canvas.draw()
    width, height = canvas.get_width_height()
    renderer = canvas.get_renderer()
    for axis in made.axes:
        if axis.get_visible():
            texts = [axis.title, axis.xaxis.label, *axis.get_xticklabels(), *axis.get_yticklabels()]
            for text in texts:
                box = text.get_window_extent(renderer)
                if text.get_text():
                    assert box.x0 > -2 and box.x1 < width + 2 and box.y0 > -2 and box.y1 < height + 2, text.get_text()
    for text in made.texts:
        box = text.get_window_extent(renderer)
        assert box.x1 < width and box.y1 < height
        for axis in made.axes:
            assert box.y0 > axis.title.get_window_extent(renderer).y1 - 1 or not axis.get_visible()


def test_marks_lie_where_the_values_are() -> None:
    report = ALL["digits"]()
    made = figure(report)
    shown = [axis for axis in made.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == [m.label for m in headline(report)]
    for axis, metric in zip(shown, headline(report)):
        values = [row.values[metric.key] for row in report.rows]
        scale = scale_of(values, report.floor[metric.key], 0.0, 1.0, metric.perfect)
        marks = [line for line in axis.lines if line.get_marker() not in ("None", "")]
        assert len(marks) == len(report.rows)
        for mark, row, value in zip(marks, report.rows, values):
            assert float(np.asarray(mark.get_xdata())[0]) == pytest.approx(scale(value.value))
            assert mark.get_marker() == ("D" if value.outside else "o")
            assert (mark.get_markerfacecolor() == "white") == (row.kind == "calibration")


def test_strips_put_every_row_by_its_value_against_the_band() -> None:
    report = ALL["digits"]()
    figures = read(chart(report)).all("figure")
    assert len(figures) == 6
    for shown, metric in zip(figures, headline(report)):
        band = shown.all("rect", cls="band")[0].attributes
        left, right = float(band["x"]), float(band["x"]) + float(band["width"])
        solid = [n for n in shown.walk() if {"solid", "hollow"} & set(n.attributes.get("class", "").split())]
        assert len(solid) == len(report.rows)
        for node, row in zip(solid, report.rows):
            value, classes = row.values[metric.key], node.attributes["class"].split()
            assert ("hollow" in classes) == (row.kind == "calibration")
            assert (node.tag == "path") == bool(value.outside)  # a diamond, not a circle
            if node.tag == "circle":
                x = float(node.attributes["cx"])
                floor = report.floor[metric.key]
                if floor.low <= value.value <= floor.high:
                    assert left - 0.2 <= x <= right + 0.2


def test_scales_of_strips() -> None:
    def values(*numbers: float) -> list[Value]:
        return [Value(v, 100) for v in numbers]

    floor = Floor(0.4, 0.3, 0.5, 0.05, 100, 20)
    assert scale_of(values(0.4, 2.0), floor, 0, 1).kind == "linear"
    assert scale_of(values(0.4, 900.0), floor, 0, 1, 0.0).kind == "log"  # a perfect 0 keeps none from a log scale
    assert scale_of(values(1e-5, 0.4), Floor(0, -1e-4, 1e-4, 5e-5, 100, 20), 0, 1).kind == "symlog"
    wide = scale_of([Value(1.0, 100, -50.0, 52.0), *values(1.2)], floor, 0, 1)
    assert wide.high < 10  # a whisker does not squeeze the rest
    assert scale_of([], None, 0, 1).kind == "linear"
