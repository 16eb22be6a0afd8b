"""The short form for notebooks: the verdict and the leaderboard, in the notebook's own colours."""

from __future__ import annotations

from ..results import Report
from .leaderboard import leaderboard
from .text import escape, tag

_CSS = """
.pushforward-report table{border-collapse:collapse;font-size:.9em}
.pushforward-report th,.pushforward-report td{text-align:left;vertical-align:top;padding:.25em .6em}
.pushforward-report small{display:block;font-size:.85em;font-weight:normal;opacity:.8}
.pushforward-report .number{white-space:nowrap}
.pushforward-report .mark{font-weight:bold}
.pushforward-report tbody.calibrations{opacity:.7}
.pushforward-report .scroll{overflow-x:auto}
"""


def notebook_html(report: Report) -> str:
    """What `_repr_html_` shows: title, verdict, warnings and the leaderboard, no script and no pictures."""
    verdict = "".join(tag("li", escape(sentence)) for sentence in report.verdict)
    warnings = "".join(tag("li", f"⚠ {escape(sentence)}") for sentence in report.warnings)
    parts = [
        f"<style>{_CSS}</style>",
        tag("p", tag("b", escape(report.title))),
        tag("ol", verdict) if verdict else "",
        tag("ul", warnings) if warnings else "",
        leaderboard(report) if report.rows else "",
    ]
    return tag("div", "".join(parts), cls="pushforward-report")
