"""What looks odd in a table as a whole: few rows, copies of rows and columns, cells missing together, order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tables.dependence import row_keys
from .oddity import Oddity, Profile, listed, rows, share

Rules = Callable[[np.ndarray], Sequence[Any]]
"""Finds columns that are functions of others: `bijections.dependencies.find_dependencies`."""

MOST_GROUPS = 50
_PAIRS = 20_000
_COPY = 0.999
_TIME_NAME = re.compile(r"(?:.*[_ .-])?(?:date|time|timestamp|datetime|year|month|day|hour|step|t)", re.IGNORECASE)


def few_rows(n: int, profiles: Sequence[Profile]) -> list[Oddity]:
    """Too few rows for the columns, and what to expect."""
    free = sum(
        (1 if p.column.is_number else max(0, len(p.column.categories) - 1)) + (0 < p.missing < 1) for p in profiles
    )
    size = f"{rows(n)} for {len(profiles)} column{'' if len(profiles) == 1 else 's'}"
    if n < 100:
        what = f"{size} are very few."
        advice = (
            "Take gmm or kde. Expect samples close to the rows themselves, and a held-out score that another split "
            "would change: it comes from a handful of rows."
        )
        return [Oddity("few-rows", "", what, advice, "warning")]
    if n < 10 * free:
        what = f"{size} are few: their values have {free:,} degrees of freedom."
        advice = "Expect single columns to be right and how they go together to be rough; small models (gmm) do best."
        return [Oddity("few-rows", "", what, advice)]
    return []


def copied_rows(x: np.ndarray, profiles: Sequence[Profile]) -> list[Oddity]:
    """Rows that repeat an earlier one, in a table where chance makes none: one with a column of many values."""
    n = len(x)
    finest = min(profiles, key=lambda p: p.agreement)
    if not finest.column.is_number or finest.agreement >= 1e-3:
        return []
    # Of the pairs of rows that agree in the finest column, how many agree in the others by chance?
    others = float(np.prod([p.agreement for p in profiles if p is not finest]))
    expected = 0.5 * n * (n - 1) * finest.agreement * others
    keys = np.sort(row_keys(x))
    copies = int(np.count_nonzero(keys[1:] == keys[:-1]))
    if copies == 0 or copies <= expected + 4 * np.sqrt(expected * (1 - others)):
        return []
    spoils = copies >= 0.01 * n and finest.column.step is None
    what = f"{rows(copies)} ({share(copies / n)}) repeat{'s' if copies == 1 else ''} an earlier row, cell by cell."
    advice = "Unless they are separate observations, remove them: a test row that was trained on tests nothing."
    return [Oddity("copied-rows", "", what, advice, "warning" if spoils else "note")]


# ------------------------------------------------------------------------------------------------ columns


def copied_columns(x: np.ndarray, some: np.ndarray, profiles: Sequence[Profile], rules: Rules | None) -> list[Oddity]:
    """Columns that equal another, rise or fall with it, or are a function of it.

    Args:
        x: (n, columns) all rows. some: (m, columns) of them.
    """
    found, paired = _monotone(x, some, profiles)
    for rule in rules(some) if rules is not None else ():
        pair = (min(rule.child, rule.parent), max(rule.child, rule.parent))
        if pair in paired or not _holds(x, rule):
            continue
        child, parent = profiles[rule.child].column.name, profiles[rule.parent].column.name
        told = rule.values[~np.isnan(rule.values)]
        if len(np.unique(told)) == len(told):
            what = f"is {parent} under other names: each of its {len(told):,} values has one of {parent}."
        else:
            what = f"is decided by {parent}: each of its {len(told):,} values goes with one value here."
        advice = f"Samples keep the rule. If {child} is what you predict, {parent} gives it away."
        found.append(Oddity("function", child, what, advice, other=parent))
    return found


def _monotone(
    x: np.ndarray, some: np.ndarray, profiles: Sequence[Profile]
) -> tuple[list[Oddity], set[tuple[int, int]]]:
    """Pairs of columns with ordered values whose rank correlation is 1 or nearly so; each later one is said once."""
    ordered = [p for p in profiles if p.column.kind not in ("category", "constant") and len(p.values) > 2]
    found: list[Oddity] = []
    paired: set[tuple[int, int]] = set()
    if len(ordered) < 2 or len(some) < 20:
        return found, paired
    known = ~np.isnan(some[:, [p.j for p in ordered]])
    ranks = np.stack([centred_ranks(some[:, p.j]) for p in ordered], 1)
    mask = known.astype(np.float64)
    scale = np.square(ranks).T @ mask
    r = (ranks.T @ ranks) / np.sqrt(np.maximum(scale * scale.T, 1e-300))
    both = mask.T @ mask
    said: set[int] = set()
    for a, b in zip(*np.nonzero(np.triu((abs(r) > _COPY) & (both >= 20), 1))):
        first, second = ordered[a], ordered[b]
        paired.add((min(first.j, second.j), max(first.j, second.j)))
        if b in said:
            continue
        said.add(int(b))
        u, v = x[:, first.j], x[:, second.j]
        compared = ~np.isnan(u) & ~np.isnan(v)
        equal = float((u == v)[compared].mean())
        name, other = second.column.name, first.column.name
        if equal == 1:
            what = f"equals {other} in every row."
        elif equal > 0.9:
            what = f"equals {other} in {share(equal)} of the rows."
        else:
            what = f"{'rises' if r[a, b] > 0 else 'falls'} with {other} (rank correlation {_written(r[a, b])})."
        advice = f"One of them is enough: {second.leave_out}. If one is what you predict, the other gives it away."
        found.append(Oddity("copy", name, what, advice, "warning", other))
    return found, paired


def _written(r: float) -> str:
    return (
        f"{r:.4f}" if abs(r) < 0.99995 else f"{r:.0f}" if abs(r) > 1 - 1e-12 else f"{'-' if r < 0 else ''}over 0.9999"
    )


def _holds(x: np.ndarray, rule: Any) -> bool:
    """Whether a rule found in some rows holds in all of them."""
    parent, child = x[:, rule.parent], x[:, rule.child]
    at = np.searchsorted(rule.keys, parent).clip(0, len(rule.keys) - 1)
    told = rule.values[at]
    compared = (rule.keys[at] == parent) & ~np.isnan(child) & ~np.isnan(told)
    return bool((told == child)[compared].all())


def centred_ranks(x: np.ndarray) -> np.ndarray:
    """Ranks of x (n,), equal ones sharing theirs, minus their mean; 0 where x is missing."""
    known = ~np.isnan(x)
    out = np.zeros(len(x))
    if known.any():
        _, at, counts = np.unique(x[known], return_inverse=True, return_counts=True)
        ranks = (counts.cumsum() - 0.5 * (counts + 1))[at]
        out[known] = ranks - ranks.mean()
    return out


# ------------------------------------------------------------------------------------------------ missing cells


def missing_cells(some: np.ndarray, profiles: Sequence[Profile]) -> list[Oddity]:
    """Columns whose cells are missing together, or more often where another column has certain values."""
    holes = [p for p in profiles if 0.005 <= p.missing <= 0.995]
    n = min(len(some), max(2000, 40_000_000 // max(1, len(holes) * len(profiles))))
    if not holes or n < 100:
        return []
    some = some[:n]
    mask = np.isnan(some[:, [p.j for p in holes]])
    found, told = _together(mask, holes)
    best: dict[int, tuple[float, str]] = {}
    for p in profiles:
        groups = _groups(some[:, p.j], p)
        if groups is None:
            continue
        codes, names = groups
        sizes = np.bincount(codes + 1, minlength=len(names) + 1)[1:]
        inside = codes >= 0
        for h, hole in enumerate(holes):
            if hole.j == p.j or h in told:
                continue
            held = np.bincount(codes[inside], weights=mask[inside, h], minlength=len(names))
            large = np.flatnonzero(sizes >= 30)
            if len(large) < 2:
                continue
            rates = held[large] / sizes[large]
            low, high = rates.argmin(), rates.argmax()
            difference = rates[high] - rates[low]
            overall = held[large].sum() / sizes[large].sum()
            error = np.sqrt(overall * (1 - overall) * (1 / sizes[large[low]] + 1 / sizes[large[high]]))
            strong = difference >= 0.15 or (difference >= 0.03 and rates[high] >= 3 * rates[low])
            if strong and difference > 6 * error and difference > best.get(h, (0.0, ""))[0]:
                what = (
                    f"cells are missing in {share(rates[high])} of the rows where {p.column.name} is "
                    f"{names[large[high]]}, and in {share(rates[low])} where it is {names[large[low]]}."
                )
                best[h] = (float(difference), what)
    advice = "Nothing to do: what is missing is modelled with the rest. Filling cells with a mean would hide it."
    return found + [Oddity("missing", holes[h].column.name, what, advice) for h, (_, what) in sorted(best.items())]


def _together(mask: np.ndarray, holes: Sequence[Profile]) -> tuple[list[Oddity], set[int]]:
    """Groups of columns that are missing in the same rows; and the places of all but the first of each."""
    m = mask.astype(np.float64)
    both, alone = m.T @ m, m.sum(0)
    same = both / np.maximum(alone[:, None] + alone[None] - both, 1) > 0.95
    # Independent columns that are mostly missing agree by chance.
    chance = (alone[:, None] / len(m)) * (alone[None] / len(m))
    same &= both / len(m) > 1.2 * chance
    found: list[Oddity] = []
    told: set[int] = set()
    for h, hole in enumerate(holes):
        others = [k for k in np.flatnonzero(same[h]).tolist() if k > h and k not in told]
        if h in told or not others:
            continue
        told.update(others)
        names = listed([holes[k].column.name for k in others], 5)
        what = f"its cells and those of {names} are missing in the same rows ({share(hole.missing)})."
        found.append(Oddity("missing", hole.column.name, what, "Nothing to do: samples have them missing together."))
    return found, told


def _groups(x: np.ndarray, p: Profile) -> tuple[np.ndarray, list[str]] | None:
    """Groups of rows by a column: codes (n,), -1 for none, and what to call them."""
    codes = np.full(len(x), -1)
    known = ~np.isnan(x)
    if len(p.values) < 2:
        return None
    if len(p.values) <= 8 or not p.column.is_number:
        if len(p.values) > MOST_GROUPS:
            return None
        codes[known] = np.searchsorted(p.values, x[known]).clip(0, len(p.values) - 1)
        return codes, [p.shown(v) for v in p.values]
    edges = np.unique(np.quantile(x[known], [0.25, 0.5, 0.75])) if known.any() else np.zeros(0)
    if len(edges) < 2:
        return None
    codes[known] = np.searchsorted(edges, x[known], side="left")
    shown = [p.shown(e) for e in edges]
    between = [f"above {a} to {b}" for a, b in itertools.pairwise(shown)]
    return codes, [f"at most {shown[0]}", *between, f"above {shown[-1]}"]


# ------------------------------------------------------------------------------------------------ order


def order(x: np.ndarray, profiles: Sequence[Profile], rng: np.random.Generator) -> list[Oddity]:
    """Rows in the order of a column, in blocks of one, or like their neighbours: rows that may hang together."""
    n = len(x)
    if n < 50:
        return []
    first = np.arange(n - 1) if n <= _PAIRS else np.sort(rng.choice(n - 1, _PAIRS, replace=False))
    a, b = x[first], x[first + 1]
    alike = [(p, r) for p in profiles if (r := _likeness(a[:, p.j], b[:, p.j], p)) > 0.2]
    alike.sort(key=lambda pair: -pair[1])
    if not alike:
        return []
    sorted_by = [p for p, _ in alike if p.column.is_number and _is_sorted(x[:, p.j], a[:, p.j], b[:, p.j])]
    times = [p for p in sorted_by if p.column.kind == "datetime" or _TIME_NAME.fullmatch(p.column.name.strip())]
    others = [(p, r) for p, r in alike if p not in sorted_by]
    neighbours = listed([f"{p.column.name} ({r:.2f})" for p, r in others]) if others else ""
    if times:
        name = times[0].column.name
        what = f"rows are in the order of {name}."
        if neighbours:
            what = f"rows are in the order of {name}, and neighbours are alike (correlation): {neighbours}."
        advice = (
            f"If rows follow each other in time, test on the latest: --split-time {name}. Samples are single rows, "
            "without a before and after."
        )
        return [Oddity("order", name, what, advice, "warning")]
    if sorted_by:
        name = sorted_by[0].column.name
        what = f"rows are sorted by {name}."
        advice = f"Nothing to do: they are shuffled. If they follow each other in time, --split-time {name}."
        return [Oddity("order", name, what, advice)]
    top, r = alike[0]
    if not top.column.is_number and r > 0.95:
        what = f"rows come in blocks of {top.column.name}."
        advice = (
            f"Nothing to do if each row is an observation of its own: they are shuffled. If a block is one, keep it "
            f"together: --split-by {top.column.name}."
        )
        return [Oddity("order", top.column.name, what, advice)]
    what = f"rows are like those next to them (correlation): {neighbours}."
    advice = (
        "If they follow each other in time or come in groups, a shuffled test is too easy: give the column that says "
        "so to --split-time or --split-by."
    )
    return [Oddity("order", "", what, advice, "warning")]


def _likeness(a: np.ndarray, b: np.ndarray, p: Profile) -> float:
    """How alike cells a (m,) and those below them are: a rank correlation, or of categories agreement above chance.

    0 where chance can explain it.
    """
    known = ~np.isnan(a) & ~np.isnan(b)
    m = int(known.sum())
    if m < 30 or len(p.values) < 2:
        return 0.0
    if p.column.kind in ("category", "boolean"):
        chance = float(np.square(p.counts / p.known).sum())
        r = (float((a == b)[known].mean()) - chance) / max(1e-9, 1 - chance)
        error = np.sqrt(chance / max(1e-9, 1 - chance) / m)
    else:
        u, v = centred_ranks(a[known]), centred_ranks(b[known])
        r = float(u @ v / max(1e-300, np.sqrt((u @ u) * (v @ v))))
        error = 1 / np.sqrt(m)
    return r if r > 8 * error else 0.0


def _is_sorted(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the known cells of x (n,) only rise, or only fall, in ten different values or more."""
    for sign in (1, -1):
        if np.nanmin(sign * (b - a), initial=0.0) < 0:
            continue
        change = sign * np.diff(x[~np.isnan(x)])
        return bool((change >= 0).all() and np.count_nonzero(change) >= 9)
    return False
