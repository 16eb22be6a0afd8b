"""The leaderboard: the floor, models and calibrations by the metrics that are shown first, and what each costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..likelihood.ledger import Likelihood
from ..results import Cost, MetricInfo, Report, Row
from . import numbers
from .floors import headline
from .numbers import NONE, Shown, exact, measured, number
from .text import data, direction, escape, kind_of, mark, short, tag

_Column = tuple[str, str, Callable[[Cost], float | int | None], Callable[[float | None], str]]

_COSTS: tuple[_Column, ...] = (
    ("parameters", "Parameters", lambda c: c.parameters, numbers.count),
    ("train_seconds", "Training time", lambda c: c.train_seconds, numbers.seconds),
    ("seconds_per_1000", "Time for 1,000 samples", lambda c: c.seconds_per_1000, numbers.seconds),
    ("evaluations", "Network evaluations a sample", lambda c: c.evaluations, number),
    ("peak_memory", "Peak memory", lambda c: c.peak_memory, numbers.size),
)
"""Keys, names, and how each is found and written."""


def leaderboard(report: Report, anchors: dict[str, str] | None = None) -> str:
    """The floor, the models, the calibrations, by headline metrics, likelihood and costs.

    Args:
        anchors: of each metric's explanation in the page, by its key.
    """
    metrics = headline(report)
    likelihoods = any(row.likelihood is not None for row in report.rows)
    costs = [c for c in _COSTS if any(row.cost is not None and c[2](row.cost) is not None for row in report.rows)]
    head = tag("th", "", scope="col", cls="corner")
    for metric in metrics:
        label = short(metric.label, 40).replace("[", "[<wbr>").replace("(", "(<wbr>").replace(",", ",<wbr>")
        if anchors and metric.key in anchors:
            label = tag("a", label, href=f"#{anchors[metric.key]}")
        head += tag("th", f"{label} <small>{direction(metric)}</small>", scope="col", data_key=metric.key, cls="name")
    if likelihoods:
        words = "Log-likelihood <small>nats per example; higher is better</small>"
        head += tag("th", words, scope="col", data_key="likelihood")
    for key, label, _, _ in costs:
        head += tag("th", label, scope="col", data_key=f"cost:{key}")

    def body(rows: Sequence[Row]) -> str:
        return "".join(_row(row, metrics, likelihoods, costs) for row in rows)

    floor = ""
    if report.floor:
        empty = tag("td", "", cls="empty") * (likelihoods + len(costs))
        cells = "".join(_floor_cell(report, metric) for metric in metrics)
        name = tag("th", "real data <small>floor: real rows in the place of samples</small>", scope="row", cls="name")
        floor = tag("tbody", tag("tr", name + cells + empty, data_row="floor"), cls="floor")
    models = ranked(report)
    others = [row for row in report.rows if row.kind != "model"]
    columns = 1 + len(metrics) + likelihoods + len(costs)
    inner = (
        tag("thead", tag("tr", head))
        + floor
        + tag("tbody", body(models), cls="models")
        + (tag("tbody", body(others), cls="calibrations") if others else "")
    )
    return tag(
        "div",
        tag("table", inner, cls="wide sortable", style=f"--columns:{columns}", id="leaderboard-table"),
        cls="scroll",
        tabindex="0",
    )


def ranked(report: Report) -> list[Row]:
    """The models, the best by the main metric first, as in `Report.table`; likelihoods rank nothing here."""
    first = report.main_metric

    def place(row: Row) -> float:
        value = row.values.get(first.key) if first else None
        if first is None or value is None or math.isnan(value.value):
            return math.inf
        return -value.value if first.better == "higher" else value.value

    return sorted(report.models, key=place)


def _floor_cell(report: Report, metric: MetricInfo) -> str:
    floor = report.floor.get(metric.key)
    if floor is None:
        return tag("td", NONE, cls="empty")
    shown = measured(floor.mean, floor.low, floor.high)
    words = f"{shown.value} <small>{shown.low} to {shown.high}</small>"
    return tag("td", data(floor.mean, words, floor.low, floor.high))


def _two_lines(shown: Shown, sign: str = "") -> str:
    """A value, and its interval below it."""
    return escape(sign + shown.value) + (f" <small>{escape(shown.interval)}</small>" if shown.interval else "")


def _row(row: Row, metrics: Sequence[MetricInfo], likelihoods: bool, costs: Sequence[_Column]) -> str:
    about = f" <small>{escape(row.about)}</small>" if row.about else ""
    cells = tag("th", short(row.name) + about, scope="row", cls="name")
    for metric in metrics:
        value = row.values.get(metric.key)
        if value is None:
            reason = row.missing.get(metric.key, "")
            cells += tag("td", tag("span", "not measured", title=reason or None), cls="empty")
            continue
        shown = _two_lines(measured(value.value, value.low, value.high))
        content = data(value.value, shown, value.low, value.high) + mark(value)
        sort = None if math.isnan(value.value) else exact(value.value)
        cells += tag("td", content, cls="outside" if value.outside else None, data_sort=sort)
    if likelihoods:
        cells += likelihood_cell(row.likelihood)
    for _, _, get, show in costs:
        cost = None if row.cost is None else get(row.cost)
        sort = None if cost is None or not math.isfinite(cost) else exact(cost)
        cells += tag("td", data(cost, show(cost)), data_sort=sort)
    return tag("tr", cells, data_row=row.name)


def _reach(likelihood: Likelihood) -> float:
    """Standard errors in half of a 95% interval: of few trainings, more than of many points."""
    from scipy.stats import t

    return 1.96 if likelihood.seeds == 1 else float(t.ppf(0.975, likelihood.seeds - 1))


def likelihood_cell(likelihood: Likelihood | None) -> str:
    """Mean, 95% interval and kind; bounds and estimates carry their sign and word, and sort after exact values."""
    if likelihood is None:
        return tag("td", "not measured", cls="empty")
    sign, word, rank = kind_of(likelihood)
    if likelihood.mean is None:
        return tag("td", tag("span", "none", title=likelihood.reason or None), cls="empty", data_rank=rank)
    mean, error = likelihood.mean, likelihood.standard_error
    ends = (None, None) if error is None else (mean - _reach(likelihood) * error, mean + _reach(likelihood) * error)
    shown = data(mean, _two_lines(measured(mean, *ends), sign))
    bits, per_dimension = "", likelihood.bits_per_dimension
    if per_dimension is not None:
        flipped = {"≥ ": "≤ ", "≳ ": "≲ "}.get(sign, sign)  # more nats are fewer bits
        bits = " " + tag("small", data(per_dimension, f"{flipped}{number(per_dimension)} bits/dim"))
    content = f'{shown} <small class="kind">{escape(word)}</small>{bits}'
    return tag("td", content, data_sort=None if math.isnan(mean) else exact(mean), data_rank=rank)


def reasons(report: Report) -> str:
    """What is missing from the leaderboard and why, the same reasons together."""
    absent: dict[tuple[str, str], list[str]] = {}
    for metric in headline(report):
        for row in report.rows:
            if metric.key not in row.values and (reason := row.missing.get(metric.key)):
                absent.setdefault((metric.label, reason), []).append(row.name)
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (label, reason), names in absent.items():
        together.setdefault((reason, tuple(names)), []).append(label)
    items = ""
    for (reason, owners), labels in together.items():
        who = "every row" if len(owners) == len(report.rows) > 1 else ", ".join(owners)
        items += tag("li", f"{escape(', '.join(labels))} of {escape(who)}: {escape(reason)}")
    return tag("ul", items, cls="reasons note") if items else ""
