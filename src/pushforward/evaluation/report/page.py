"""The report as one HTML page, section by section."""

from __future__ import annotations

from ..results import Report
from . import cards, curves, floors, leaderboard, ledger, samples
from .details import listed
from .style import CSS, SCRIPT, policy
from .text import effort, escape, tag

_PRIVACY = (
    "This is no privacy claim. Samples that pass these tests may still reveal training examples, and no test of "
    "samples alone can show that they do not."
)


def html(report: Report) -> str:
    """A self-contained page: nothing is loaded from anywhere, and everything can be read without its script.

    Args:
        report: with or without pictures; whatever is missing is said to be, or its section is left out.
    """
    sections = [
        ("leaderboard", "Leaderboard", _leaderboard(report)),
        ("floors", "How far from perfect", _floors(report)),
        ("samples", "Samples", _samples(report)),
        ("likelihoods", "Likelihoods", _likelihoods(report)),
        ("losses", "Training", _losses(report)),
        ("metrics", "All metrics", _metrics(report)),
        ("memorization", "Memorization", _memorization(report)),
        ("made", "How this was made", _made(report)),
    ]
    kept = [section for section in sections if section[2]]
    links = "".join(tag("li", tag("a", title, href=f"#{key}")) for key, title, _ in kept)
    body = (
        tag("header", tag("h1", escape(report.title)) + _summary(report))
        + tag("nav", tag("ul", links), aria_label="Sections")
        + tag("main", "".join(tag("section", tag("h2", title) + text, id=key) for key, title, text in kept))
    )
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy())}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(report.title)}</title><style>{CSS}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}<script>{SCRIPT}</script></body></html>\n'


def _summary(report: Report) -> str:
    parts = []
    if report.verdict:
        parts.append(tag("ol", "".join(tag("li", escape(s)) for s in report.verdict), cls="verdict"))
    else:
        parts.append(tag("p", "No verdict: nothing was compared."))
    if report.warnings:
        items = "".join(tag("li", f"<b>⚠ Note:</b> {escape(w)}") for w in report.warnings)
        parts.append(tag("ul", items, cls="warnings"))
    if report.data:
        parts.append(tag("h2", "Data") + listed(report.data))
    return "".join(parts)


def _leaderboard(report: Report) -> str:
    if not report.rows:
        return tag("p", "No model was evaluated.")
    values = [v for row in report.models for v in row.values.values()]
    words = (
        "Each value is a mean over sets of samples and trainings, with its 95% interval where there are several. "
        "<b>✗ outside</b>: worse than real rows in the place of samples, beyond the floor's interval. "
        "<b>✓ inside</b>: no difference from real data is shown at this n. "
    )
    if any(row.kind == "calibration" for row in report.rows):
        words += (
            "Grey rows are calibrations, not models: what copies, independent columns, a Gaussian or noise would get. "
        )
    words += (
        "Likelihoods: no sign is exact, ≥ a lower bound (the truth is at least this), ≈ an estimate, ≳ an estimate of "
        "a lower bound; a bound that is lower than an exact value does not show a worse model."
    )
    stands = effort(values)
    size = tag("p", f"Of each model: {escape(stands)}.", cls="note") if values else ""
    notes = "".join(
        tag("li", f'<b class="name">{escape(row.name)}</b>: {escape(" ".join(row.notes))}')
        for row in report.rows
        if row.notes
    )
    first = report.main_metric
    if first is not None and len(report.models) > 1:
        size += tag("p", f"Models are in the order of {escape(first.label)}.", cls="note")
    table = leaderboard.leaderboard(report, cards.anchors(report))
    return (
        tag("p", words, cls="note") + size + table
        + leaderboard.reasons(report) + (tag("ul", notes, cls="notes") if notes else "")
    )  # fmt: skip


def _floors(report: Report) -> str:
    strips = floors.chart(report)
    if not strips:
        return ""
    words = (
        "Green band: where real rows lie in the place of samples, so where a perfect sampler stays. Filled marks are "
        "models, hollow ones calibrations; a diamond is outside the band on the bad side, a circle is not. Lines are "
        "95% intervals."
    )
    return tag("p", words, cls="note") + strips


def _samples(report: Report) -> str:
    found, pairs = samples.section(report), samples.nearest(report)
    if pairs:
        words = (
            "The first samples of each model, and right beside (or below) each the training example nearest to it. A "
            "sample that equals its neighbour is a copy."
        )
        pairs = tag("h3", "Nearest training examples") + tag("p", words, cls="note") + pairs
    return found + pairs


def _likelihoods(report: Report) -> str:
    table = ledger.ledger(report)
    pairs = ledger.differences(report)
    plots = curves.calibration(report)
    if pairs:
        words = (
            "On the same held-out rows: ● a difference is claimed where the 95% interval excludes 0, also after Holm's "
            "correction over all pairs, and no bound stands in the way; ○ otherwise no difference is shown, which is "
            "not the same as none."
        )
        pairs = tag("h3", "Differences") + tag("p", words, cls="note") + pairs
    if plots:
        words = (
            "If a model is right, held-out rows are as likely under it as its own samples, and the curve follows the "
            "diagonal within the green band (95%, two-sample Kolmogorov-Smirnov). Above it, held-out rows are less "
            "likely: the model is too narrow, misses part of the data, or knows its training rows too well. Below it, "
            "its samples are less likely than real rows: it is too wide."
        )
        plots = tag("h3", "Density calibration") + tag("p", words, cls="note") + plots
    return table + pairs + plots


def _losses(report: Report) -> str:
    plots = curves.losses(report)
    words = "Losses of the first training of each model. Different models' losses are different quantities."
    return tag("p", words, cls="note") + plots if plots else ""


def _metrics(report: Report) -> str:
    found = ""
    for key, words, metrics in cards.groups(report):
        if key != "memorization":
            found += tag("h3", escape(words)) + cards.cards(report, metrics)
    return found


def _memorization(report: Report) -> str:
    metrics = [m for m in report.metrics if m.group == "memorization"]
    words = "Each statistic is beside its floor: the same statistic of real rows in the place of samples, "
    words += "none of them among those that copies are sought among. "
    more = cards.cards(report, metrics) if metrics else tag("p", "Nothing of this was measured.")
    return tag("p", (words if metrics else "") + tag("b", _PRIVACY)) + more


def _made(report: Report) -> str:
    runs = {row.name: row.runs for row in report.rows if row.runs}
    parts = [("Settings", report.settings), ("Environment", report.environment), ("Runs", runs)]
    return "".join(tag("h3", title) + listed(values) for title, values in parts if values)
