"""The ledger of likelihoods, and the differences that may be claimed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..likelihood.ledger import Likelihood
from ..results import Report, Row
from .numbers import NONE, measured, number, probability
from .text import data, escape, kind_of, short, tag


def _measure(x: Likelihood) -> str:
    return "; ".join(part for part in (x.unit, x.measure and f"measure: {x.measure}") if part)


_WORDS: tuple[tuple[str, Callable[[Likelihood], str]], ...] = (
    ("Held-out rows", lambda x: number(x.n) if x.n else ""),
    ("Given", lambda x: x.given),
    ("A nat is a nat of", _measure),
    ("Dequantization", lambda x: x.dequantization),
    ("How", lambda x: x.method),
)
"""Columns of words, that become a sentence where all rows say the same."""

_NUMBERS: tuple[tuple[str, str, int], ...] = (
    ("Bits per dimension", "bits_per_dimension", 4),
    ("Draws", "draws", 4),
    ("Monte Carlo error", "monte_carlo_error", 2),
    ("Solver error", "solver_error", 2),
)


def ledger(report: Report) -> str:
    """What each model's likelihood is worth; "" where no row has an entry."""
    rows = [(row, row.likelihood) for row in report.rows if row.likelihood is not None]
    if not rows:
        return ""
    available = [x for _, x in rows if x.mean is not None]
    same = {name: {get(x) for x in available} for name, get in _WORDS}
    shared = [f"{name}: {next(iter(s))}" for name, s in same.items() if len(s) == 1 and len(rows) > 1 and any(s)]
    words = [(name, get) for name, get in _WORDS if len(same[name]) > 1 or (len(rows) == 1 and any(same[name]))]
    numbers = [c for c in _NUMBERS if any(getattr(x, c[1]) is not None for x in available)]
    names = ["Model", "Kind", "Mean, nats per example", "Standard error", *(c[0] for c in numbers)]
    head = "".join(tag("th", name, scope="col") for name in [*names, *(name for name, _ in words)])
    wide = len(names) + len(words)
    lines = []
    for row, x in rows:
        sign, kind, _ = kind_of(x)
        cells = tag("th", short(row.name), scope="row", cls="name") + tag("td", escape(kind))
        if x.mean is None:
            reason = escape(x.reason) or NONE
            lines.append(tag("tr", cells + tag("td", reason, colspan=wide - 2, cls="long empty"), data_row=row.name))
            continue
        error = x.standard_error
        shown = measured(x.mean, *((None, None) if error is None else (x.mean - error, x.mean + error)))
        zero = f" <small>{x.infinite:,} {'rows have' if x.infinite > 1 else 'row has'} probability 0</small>"
        cells += tag("td", data(x.mean, sign + shown.value, data_field="mean") + (zero if x.infinite else ""))
        cells += tag("td", data(error, number(error, 2), data_field="standard_error"))
        for _, field, digits in numbers:
            value = getattr(x, field)
            cells += tag("td", data(value, number(value, digits), data_field=field))
        cells += "".join(tag("td", escape(get(x)) or NONE, cls="words") for _, get in words)
        lines.append(tag("tr", cells, data_row=row.name))
    inner = tag("thead", tag("tr", head)) + tag("tbody", "".join(lines))
    table = tag("table", inner, cls="wide", style=f"--columns:{wide + 3}", id="ledger-table")
    notes = tag("p", f"{escape('. '.join(shared))}.", cls="note") if shared else ""
    return notes + tag("div", table, cls="scroll", tabindex="0") + _apart(rows)


def _apart(rows: Sequence[tuple[Row, Likelihood]]) -> str:
    """A warning where likelihoods have different units or base measures, or are of other rows."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for row, x in rows:
        if x.mean is not None:
            kinds.setdefault((x.unit, x.measure, x.support, x.points, x.given), []).append(row.name)
    if len(kinds) < 2:
        return ""
    groups = "; ".join(", ".join(names) for names in kinds.values())
    words = "Of other rows, units or base measures, so not to be compared across these groups"
    return tag("p", f"⚠ {words}: {escape(groups)}.", cls="warning")


def differences(report: Report) -> str:
    """Pairs of models on the same rows; "" where there are none."""
    if not report.differences:
        return ""
    columns = ("Pair", "Difference, nats per example", "95% interval", "p, adjusted (Holm)", "What may be said")
    lines = []
    for d in report.differences:
        sign, word = ("●", "claimed") if d.claimed else ("○", "not claimed")
        shown = measured(d.mean, d.low, d.high)
        pair = f'{short(d.a)} <span class="empty">minus</span> {short(d.b)}'
        interval = f"{data(d.low, shown.low, data_field='low')} to {data(d.high, shown.high, data_field='high')}"
        cells = (
            tag("th", pair, scope="row", cls="name")
            + tag("td", data(d.mean, shown.value, data_field="mean"))
            + tag("td", interval if not math.isnan(d.low + d.high) else "undefined")
            + tag("td", data(d.p_value, probability(d.p_value), data_field="p_value"))
            + tag("td", f"{sign} <b>{word}</b>: {escape(d.words)}", cls="long")
        )
        lines.append(tag("tr", cells))
    head = tag("thead", tag("tr", "".join(tag("th", name, scope="col") for name in columns)))
    table = tag("table", head + tag("tbody", "".join(lines)), id="differences-table")
    return tag("div", table, cls="scroll", tabindex="0")
