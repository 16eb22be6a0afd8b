"""Every metric by itself: what it means, its floor, and every row's value with all that stands behind it."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import GROUPS, Floor, MetricInfo, Report, Row
from .numbers import NONE, measured, number, probability
from .text import data, direction, effort, escape, mark, short, tag

OTHER = "other"
_KINDS = ("model", "calibration")


def anchors(report: Report) -> dict[str, str]:
    """Where in the page each metric is explained, by its key."""
    return {metric.key: f"metric-{k}" for k, metric in enumerate(report.metrics, 1)}


def groups(report: Report) -> list[tuple[str, str, list[MetricInfo]]]:
    """Keys, questions and metrics of the groups that occur, unknown groups last."""
    found = [(key, words, [m for m in report.metrics if m.group == key]) for key, words in GROUPS.items()]
    found.append((OTHER, "Other metrics", [m for m in report.metrics if m.group not in GROUPS]))
    return [group for group in found if group[2]]


def cards(report: Report, metrics: Sequence[MetricInfo]) -> str:
    """A card a metric, side by side where there is room."""
    places = anchors(report)
    return tag("div", "".join(_card(report, metric, places[metric.key]) for metric in metrics), cls="cards")


def _card(report: Report, metric: MetricInfo, anchor: str) -> str:
    facts = [direction(metric)]
    if metric.perfect is not None:
        facts.append(f"perfect: {number(float(metric.perfect))}")
    parts = [
        tag("h4", f"{escape(metric.label)} <small>{'; '.join(facts)}</small>", cls="name"),
        tag("p", escape(metric.meaning)) if metric.meaning else "",
        tag("p", f"Features: {escape(metric.features)}", cls="note") if metric.features else "",
        _floor_words(report.floor.get(metric.key)),
        _values(report, metric),
    ]
    return tag("article", "".join(parts), cls="card", id=anchor)


def _floor_words(floor: Floor | None) -> str:
    if floor is None:
        return tag("p", "No floor: real data were not held against real data.", cls="note")
    shown = measured(floor.mean, floor.low, floor.high)
    source = f"{floor.replicates:,} {'replicate' if floor.replicates == 1 else 'replicates'}"
    words = (
        f"Floor: {data(floor.mean, shown.value, data_field='mean')}, a perfect sampler stays within "
        f"{data(floor.low, shown.low, data_field='low')} to {data(floor.high, shown.high, data_field='high')} "
        f"({source if floor.replicates else 'by its distribution'} at n = {floor.n:,}, "
        f"standard deviation {data(floor.std, number(floor.std, 2), data_field='std')})."
    )
    return tag("p", words, cls="note floor-words")


def _values(report: Report, metric: MetricInfo) -> str:
    rows = [row for row in report.rows if metric.key in row.values or metric.key in row.missing]
    if not rows:
        return tag("p", "Not measured.", cls="note")
    values = [row.values[metric.key] for row in rows if metric.key in row.values]
    kinds = [[row.values[metric.key] for row in rows if row.kind == k and metric.key in row.values] for k in _KINDS]
    same = all(len({(v.n, v.sets, v.seeds) for v in found}) <= 1 for found in kinds)
    tests = any(v.p_value is not None for v in values)
    head = tag("th", "", scope="col") + tag("th", "value", scope="col") + tag("th", "95% interval", scope="col")
    head += tag("th", "p-value", scope="col") if tests else ""
    head += "" if same else tag("th", "n × sets × seeds", scope="col")
    wide = 2 + tests + (not same)
    lines = "".join(_line(row, metric.key, tests, same, wide) for row in rows)
    models, others = effort(kinds[0]), effort(kinds[1], seeds=False)
    says = f"Models: {models}. " if models else ""
    says += f"Calibrations: {others}." if others else ""
    caption = tag("caption", escape(says.strip())) if says and same else ""
    return tag("div", tag("table", caption + tag("thead", tag("tr", head)) + tag("tbody", lines)), cls="scroll")


def _line(row: Row, key: str, tests: bool, same: bool, wide: int) -> str:
    name = tag("th", short(row.name), scope="row", cls="name")
    cls = "quiet" if row.kind == "calibration" else None
    value = row.values.get(key)
    if value is None:
        reason = f"not measured: {row.missing.get(key) or 'no reason was given'}"
        return tag("tr", name + tag("td", escape(reason), colspan=wide, cls="long empty"), cls=cls, data_row=row.name)
    shown = measured(value.value, value.low, value.high)
    cells = tag("td", data(value.value, shown.value, data_field="value") + mark(value))
    if value.low is None or value.high is None:
        cells += tag("td", tag("span", NONE, title="one set of samples has no interval"))
    else:
        low, high = data(value.low, shown.low, data_field="low"), data(value.high, shown.high, data_field="high")
        cells += tag("td", f"{low} to {high}")
    if tests:
        cells += tag("td", data(value.p_value, probability(value.p_value), data_field="p_value"))
    if not same:
        cells += tag("td", f"{value.n:,} × {value.sets:,} × {value.seeds:,}")
    return tag("tr", name + cells, cls=cls, data_row=row.name)
