"""Where every row lies on each headline metric, against the band that real data stay in."""

from __future__ import annotations

import math

from ..results import Floor, MetricInfo, Report, Row, Value
from .numbers import measured, number
from .scales import Scale, fitted
from .svg import Drawing
from .text import direction, escape, figure, tag, width

_WIDTH, _LINE, _TOP = 340.0, 19.0, 6.0
_NAMES = 128.0


def headline(report: Report) -> list[MetricInfo]:
    """The metrics that are shown first: the headline ones, or all when none is marked."""
    return [m for m in report.metrics if m.headline] or list(report.metrics)


def chart(report: Report) -> str:
    """A strip a metric; "" when nothing was measured."""
    strips = [_strip(report, metric) for metric in headline(report)]
    return tag("div", "".join(strips), cls="row") if any(strips) else ""


def scale_of(values: list[Value], floor: Floor | None, start: float, end: float, perfect: float | None = None) -> Scale:
    """The scale of a strip: all values and the floor are on it, whiskers as far as they do not squeeze those."""
    points = [v.value for v in values if math.isfinite(v.value)]
    unit = 0.0
    if floor is not None:
        points += [p for p in (floor.low, floor.high, floor.mean) if math.isfinite(p)]
        unit = max(0.0, floor.high - floor.low) if math.isfinite(floor.high - floor.low) else 0.0
    if not points:
        return fitted(points, start, end)
    low, reach = min(points), max(points) - min(points)
    # What is not positive has no place on a log scale, and must not keep the others from one.
    bent = low > 0 and max(points) > 30 * low
    more = [
        p for v in values for p in (v.low, v.high) if p is not None and math.isfinite(p) and abs(p - v.value) <= reach
    ]
    if perfect is not None and low - 0.3 * reach <= perfect <= max(points):
        more.append(perfect)
    points += [p for p in more if p > 0 or not bent]
    return fitted(points, start, end, unit=unit)


def _strip(report: Report, metric: MetricInfo) -> str:
    rows = [row for row in report.rows if metric.key in row.values or metric.key in row.missing]
    floor = report.floor.get(metric.key)
    values = [row.values[metric.key] for row in rows if metric.key in row.values]
    if not values and floor is None:
        return ""
    names = min(_NAMES, max((width(row.name) for row in rows), default=0.0) + 4.0)
    left, right = names + 12.0, _WIDTH - 14.0
    bottom = _TOP + _LINE * max(1, len(rows)) + 4.0
    scale = scale_of(values, floor, left, right, metric.perfect)
    says = [f"{row.name} {number(row.values[metric.key].value)}" for row in rows if metric.key in row.values]
    first = "no floor" if floor is None else f"floor {number(floor.low)} to {number(floor.high)}"
    drawing = Drawing(_WIDTH, bottom + 34.0, f"{metric.label}: {first}; {'; '.join(says)}.")
    if floor is not None:
        a, b = scale(floor.low), scale(floor.high)
        drawing.box(min(a, b - 1), _TOP - 4, max(b, a + 1), bottom, "band")
    name = direction(metric) + (f"; {scale.words}" if scale.words else "")
    drawing.x_axis(scale, bottom, ticks=5, top=_TOP - 4, name=name)
    if floor is not None and math.isfinite(floor.mean):
        drawing.line(scale(floor.mean), _TOP - 4, scale(floor.mean), bottom, "middle")
    for k, row in enumerate(rows):
        _line(drawing, row, metric.key, scale, _TOP + _LINE * (k + 0.5), names)
    words = "no floor"
    if floor is not None:
        shown = measured(floor.mean, floor.low, floor.high)
        words = f"floor {shown.value} {shown.interval if shown.half else f'({shown.interval})'}"
    caption = f'<b class="name">{escape(metric.label)}</b> <small>{escape(words)}</small>'
    return figure(drawing.done(), _WIDTH, caption, above=True, cls="panel strip")


def _line(drawing: Drawing, row: Row, key: str, scale: Scale, y: float, names: float) -> None:
    quiet = " quiet" if row.kind == "calibration" else ""
    drawing.text(names, y + 4, row.name, f"label{quiet}", at="end", room=names, tail=6)
    value = row.values.get(key)
    if value is None or math.isnan(value.value):
        drawing.text(scale.start + 4, y + 4, "not measured" if value is None else "undefined", "note")
        return
    outside = value.outside is True
    cls = ("hollow" if quiet else "solid") + (" bad" if outside else "")
    if math.isinf(value.value):
        x = scale.end - 6 if value.value > 0 else scale.start + 6
        drawing.dot(x, y, cls, "right" if value.value > 0 else "left")
        drawing.text(x - 8 if value.value > 0 else x + 8, y + 4, number(value.value), "note",
                     at="end" if value.value > 0 else "start")  # fmt: skip
        return
    x = scale(value.value)
    if value.low is not None and value.high is not None and not (math.isnan(value.low) or math.isnan(value.high)):
        drawing.line(scale(value.low), y, scale(value.high), y, "whisker" + (" bad" if outside else ""))
    drawing.dot(x, y, cls, "diamond" if outside else "circle")
