"""The verdict in words: what the numbers allow to be said, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence

from .results import Floor, MetricInfo, Report, Row, Value


def verdict(report: Report) -> list[str]:
    """Sentences about a report, the most important first; every one of them follows from its intervals."""
    sentences = []
    if (main := report.main_metric) is not None:
        sentences += closest(report.models, main, report.floor.get(main.key))
        sentences += ahead(report, main)
    sentences += indistinguishable(report)
    sentences += coverage(report)
    sentences += modes(report)
    sentences += memorization(report)
    sentences += likelihoods(report)
    if len(report.models) > 1 and all(_seeds(row) == 1 for row in report.models):
        sentences.append("Each model was trained once: another seed may change the order.")
    return sentences


def closest(rows: Sequence[Row], info: MetricInfo, floor: Floor | None) -> list[str]:
    """Which model is closest to the data by one metric, and which cannot be told from it."""
    ranked = sorted((row for row in rows if info.key in row.values), key=lambda row: row.values[info.key].value)
    if len(ranked) < 2:
        return [f"{row.name}: {_shown(info, row.values[info.key], floor)}." for row in ranked]
    best, value = ranked[0], ranked[0].values[info.key]
    ties = [row.name for row in ranked[1:] if not apart(value, row.values[info.key])]
    what = _shown(info, value, floor)
    if ties:
        lead = f"By {info.label}, {best.name} comes out closest to the data ({what})"
        return [f"{lead}; no difference from it is shown for {_and(ties)}."]
    second = ranked[1]
    other = _number(second.values[info.key].value)
    return [f"{best.name} is closest to the data: {what}, against {other} of {second.name}."]


def ahead(report: Report, main: MetricInfo) -> list[str]:
    """Where the metric that models are ranked by shows no difference from the best, what others show."""
    ranked = sorted((r for r in report.models if main.key in r.values), key=lambda r: r.values[main.key].value)
    group = [r for r in ranked if not apart(ranked[0].values[main.key], r.values[main.key])]
    said = []
    for info in report.metrics:
        if not info.headline or info.key == main.key or info.better == "floor" or len(group) < 2:
            continue
        sign = -1.0 if info.better == "higher" else 1.0
        rows = sorted((r for r in group if info.key in r.values), key=lambda r: sign * r.values[info.key].value)
        behind = [r.name for r in rows[1:] if apart(rows[0].values[info.key], r.values[info.key])]
        if behind:
            said.append(f"by {info.label} {rows[0].name} is ahead of {_and(behind)}")
    return [f"Among these, {'; '.join(said)}."] if said else []


def apart(a: Value, b: Value) -> bool:
    """Whether two values' 95% intervals do not touch; without intervals nothing is shown."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.high < b.low or b.high < a.low


FEW = 3
"""Metrics that a sentence names."""


def indistinguishable(report: Report) -> list[str]:
    """Models none of whose metrics leaves the floor, and the metrics by which others are told where they are few."""
    labels = {info.key: info.label for info in report.metrics}
    same, different = [], {}
    for row in report.models:
        judged = {key: v for key, v in row.values.items() if v.outside is not None and key in labels}
        if judged:
            told = [labels[key] for key, v in judged.items() if v.outside]
            if told:
                different[row.name] = told
            else:
                same.append(row.name)
    n = report.settings.get("n")
    at = f" with {n:,} samples at a time" if isinstance(n, int) else ""
    out = []
    if same:
        verb = "cannot be told from the data by any metric here"
        out.append(f"{_and(same)} {verb}{at}.")
    if different and len(different) == len(report.models) > 1:
        out.append(f"Every model can be told from the data{at}: some metric leaves the interval of a perfect sampler.")
    if len(report.models) == 1:
        for name, told in different.items():
            rest = len(told) - FEW
            more = f" and {rest} metric{'s' if rest > 1 else ''} more"
            shown = _and(told) if rest < 1 else ", ".join(told[:FEW]) + more
            out.append(f"{name} can be told from the data{at} by {shown}.")
        return out
    by = [f"{name} by {_and(told)} alone" for name, told in different.items() if len(told) <= FEW]
    if by:
        out.append(f"Of {len(report.metrics)} metrics, few tell these from the data: {'; '.join(by)}.")
    return out


def coverage(report: Report) -> list[str]:
    """Models that leave out part of the data."""
    floor = report.floor.get("coverage")
    low = [
        (row.values["coverage"].value, row.name)
        for row in report.models
        if "coverage" in row.values and row.values["coverage"].outside
    ]
    if floor is None or not low:
        return []
    parts = [f"{name} covers {value:.0%}" for value, name in sorted(low)]
    return [f"{_and(parts)} of the data's support, where other real data cover {floor.mean:.0%}."]


def modes(report: Report) -> list[str]:
    """Models that miss modes of a known mixture."""
    found = [(row, row.values["modes"]) for row in report.models if "modes" in row.values]
    info = next((info for info in report.metrics if info.key == "modes"), None)
    if info is None or info.perfect is None:
        return []
    missed = [f"{row.name} finds {value.value:.3g}" for row, value in found if value.outside]
    return [f"{_and(missed)} of {info.perfect:.0f} modes."] if missed else []


def memorization(report: Report) -> list[str]:
    """Models whose samples are nearer to the training data than new data are."""
    out = []
    copies = [
        f"{row.values['copies'].value:.1%} of the samples of {row.name}"
        for row in report.models
        if "copies" in row.values and row.values["copies"].outside
    ]
    if copies:
        out.append(f"{_and(copies)} are exact copies of training examples, more than held-out data have.")
    # C_T and authenticity alone are no sign: samples that are too narrow are near training examples as well.
    near = [
        row.name
        for row in report.models
        if any(k in row.values and row.values[k].outside for k in ("near-copies", "fld-gap"))
    ]
    if near:
        out.append(
            f"{_possessive(near)} samples lie closer to training examples than new data do: a sign of memorizing."
        )
    return out


def likelihoods(report: Report) -> list[str]:
    """What the ledger shows, and what its kinds forbid to be said."""
    out = [d.words for d in report.differences if d.claimed][:3]
    bounds = [r.name for r in report.models if r.likelihood is not None and "lower bound" in r.likelihood.kind]
    none = [r.name for r in report.models if r.likelihood is not None and r.likelihood.kind == "unavailable"]
    if bounds:
        verb = "likelihood is" if len(bounds) == 1 else "likelihoods are"
        out.append(f"{_possessive(bounds)} {verb} only bounded from below: the true one may be higher.")
    if none:
        out.append(f"{_and(none)} {'has' if len(none) == 1 else 'have'} no likelihood.")
    return [s if s.endswith(".") else f"{s}." for s in out]


def _seeds(row: Row) -> int:
    return max((value.seeds for value in row.values.values()), default=1)


def _shown(info: MetricInfo, value: Value, floor: Floor | None) -> str:
    interval = "" if value.low is None else f" ({_number(value.low)} to {_number(value.high)})"
    perfect = "" if floor is None else f"; real data get {_number(floor.mean)}"
    return f"{info.label} {_number(value.value)}{interval}{perfect}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _possessive(words: Sequence[str]) -> str:
    return _and([f"{word}'" if word.endswith("s") else f"{word}'s" for word in words])
