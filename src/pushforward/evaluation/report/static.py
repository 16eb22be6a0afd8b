"""The report as one figure, for papers and slides: the verdict, and where every row lies against the floor."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from ...data.inspection.letters import drawable, families, fitted
from ..results import MetricInfo, Report
from .floors import headline, scale_of
from .text import direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 12
_COLUMNS = 3
_MARK, _BAD, _BAND, _QUIET = "#1c5fa8", "#b23c00", "#cfe6d4", "#58616c"


def figure(report: Report) -> Figure:
    """A matplotlib figure of at most twelve headline metrics, three a line; `.savefig` writes it.

    The band is the floor's interval; filled marks are models, hollow ones calibrations; diamonds leave the floor.
    """
    from matplotlib.figure import Figure

    metrics = [m for m in headline(report) if any(m.key in row.values for row in report.rows)][:_MOST]
    rows = [row.name for row in report.rows]
    columns = max(1, min(_COLUMNS, len(metrics)))
    lines = max(1, math.ceil(len(metrics) / columns))
    wide = 4.3 * columns + 0.4
    verdict = [line for s in report.verdict for line in textwrap.wrap(drawable(s), int(15 * wide))][:8]
    head = 0.55 + 0.2 * len(verdict)
    tall = head + lines * (0.95 + 0.2 * max(1, len(rows)))
    made = Figure(figsize=(wide, tall), dpi=120, layout="constrained")
    layout: Any = made.get_layout_engine()
    layout.set(rect=(0, 0, 1, 1 - head / tall), h_pad=0.07)
    style: dict[str, Any] = {"family": families(), "parse_math": False, "va": "top"}
    made.text(
        0.15 / wide, 1 - 0.12 / tall, fitted(report.title, 72 * wide - 20, 12, True), weight="bold", size=12, **style
    )
    made.text(0.15 / wide, 1 - 0.42 / tall, "\n".join(verdict), size=9, linespacing=1.35, **style)
    axes = made.subplots(lines, columns, squeeze=False).ravel()
    for k, axis in enumerate(axes):
        if k < len(metrics):
            _strip(axis, report, metrics[k], names=k % columns == 0)
        else:
            axis.set_visible(False)
    return made


def _strip(axis: Axes, report: Report, metric: MetricInfo, names: bool) -> None:
    floor = report.floor.get(metric.key)
    values = [row.values[metric.key] for row in report.rows if metric.key in row.values]
    scale = scale_of(values, floor, 0.0, 1.0, metric.perfect)
    axis.set_xlim(0, 1)
    axis.set_ylim(len(report.rows) - 0.5, -0.5)
    if floor is not None:
        axis.axvspan(scale(floor.low), scale(floor.high), color=_BAND, zorder=0)
    for k, row in enumerate(report.rows):
        value = row.values.get(metric.key)
        if value is None or math.isnan(value.value):
            says = "not measured" if value is None else "undefined"
            axis.text(0.02, k, says, size=7, color=_QUIET, va="center")
            continue
        colour = _BAD if value.outside else _MARK
        if value.low is not None and value.high is not None and not math.isnan(value.low + value.high):
            axis.plot([scale(value.low), scale(value.high)], [k, k], color=colour, linewidth=1.6)
        marker = ">" if value.value == math.inf else "<" if value.value == -math.inf else "D" if value.outside else "o"
        inside = colour if row.kind == "model" else "white"
        axis.plot([scale(value.value)], [k], marker, color=colour, markerfacecolor=inside, markersize=5, clip_on=False)
    ticks = scale.ticks(4)
    axis.set_xticks([scale(v) for v, _ in ticks], [says for _, says in ticks], size=7)
    labels = [fitted(row.name, 90, 8) for row in report.rows] if names else [""] * len(report.rows)
    axis.set_yticks(range(len(report.rows)), labels, size=8)
    for text in axis.get_yticklabels():
        text.set(family=families(), parse_math=False)
    axis.spines[["top", "right"]].set_visible(False)
    title = fitted(metric.label, 200, 9, True)
    axis.set_title(title, size=9, weight="bold", family=families(), parse_math=False)
    axis.set_xlabel(direction(metric) + (f"; {scale.words}" if scale.words else ""), size=7, color=_QUIET)
