"""The verdict in words: what the numbers allow to be said, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .results import Floor, MetricInfo, Report, Row, Value


def verdict(report: Report) -> list[str]:
    """Sentences about a report, the most important first; every one of them follows from its intervals."""
    sentences = []
    if (main := main_metric(report)) is not None:
        sentences += closest(report.models, main, report.floor.get(main.key))
    sentences += indistinguishable(report)
    sentences += coverage(report)
    sentences += modes(report)
    sentences += memorization(report)
    sentences += likelihoods(report)
    if len(report.models) > 1 and all(_seeds(row) == 1 for row in report.models):
        sentences.append("Each model was trained once: another seed may change the order.")
    return sentences


def main_metric(report: Report) -> MetricInfo | None:
    """What models are ranked by: the classifier two-sample test, unless it calls everything different; then the first
    Fréchet distance.
    """
    by_key = {info.key: info for info in report.metrics}
    frechet = next((info for info in report.metrics if info.key.startswith("frechet:")), None)
    c2st = by_key.get("c2st")
    if c2st is not None:
        values = [row.values["c2st"].value for row in report.models if "c2st" in row.values]
        if values and min(values) < SATURATED:
            return c2st
    return frechet or c2st


SATURATED = 0.97
"""An area under the curve above which a classifier tells everything, and tells models no longer apart."""


def closest(rows: Sequence[Row], info: MetricInfo, floor: Floor | None) -> list[str]:
    """Which model is closest to the data by one metric, and which cannot be told from it."""
    ranked = sorted((row for row in rows if info.key in row.values), key=lambda row: row.values[info.key].value)
    if len(ranked) < 2:
        return [f"{row.name}: {_shown(info, row.values[info.key], floor)}." for row in ranked]
    best, value = ranked[0], ranked[0].values[info.key]
    ties = [row.name for row in ranked[1:] if not apart(value, row.values[info.key])]
    what = _shown(info, value, floor)
    if ties:
        names = _and([best.name, *ties])
        return [f"{names} are closest to the data; no difference shown between them ({best.name}: {what})."]
    second = ranked[1]
    other = _number(second.values[info.key].value)
    return [f"{best.name} is closest to the data: {what}, against {other} of {second.name}."]


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
    missed = [f"{row.name} finds {value.value:.3g}" for row, value in found if value.value < info.perfect]
    return [f"{_and(missed)} of {info.perfect:.0f} modes."] if missed else []


def memorization(report: Report) -> list[str]:
    """Models whose samples are nearer to the training data than new data are."""
    out = []
    copies = [
        f"{row.values['copies'].value:.1%} of {row.name}'s samples"
        for row in report.models
        if "copies" in row.values and row.values["copies"].outside
    ]
    if copies:
        out.append(f"{_and(copies)} are exact copies of training examples, more than held-out data have.")
    near = []
    for row in report.models:
        signs: list[str] = [k for k in ("authenticity", "fld-gap") if k in row.values and row.values[k].outside]
        ct = row.values.get("data-copying")
        if ct is not None and ct.outside and ct.value < 0:
            signs.append("data-copying")
        if signs:
            near.append(row.name)
    if near:
        verb = "lies" if len(near) == 1 else "lie"
        out.append(f"{_and(near)} {verb} nearer to its training examples than new data do: a sign of memorizing.")
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
    return _and([f"{word}'s" for word in words])


def summary(values: Mapping[str, Value]) -> dict[str, float]:
    """Values by key, without their intervals."""
    return {key: value.value for key, value in values.items()}
