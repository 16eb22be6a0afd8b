"""Columns of text: yes and no, known orders, ranges, codes, free text; and the order that categories are listed in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .numerals import is_number

MOST_CATEGORIES = 10_000
"""Text with more distinct values than this is left out of the model."""

MANY_CATEGORIES = 50
"""From here on the number of values is said."""

_BOOLEANS = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"), ("off", "on"))

# The levels of a scale, low to high; words of one level are separated by |.
_SCALES = (
    "very low|lowest, low, medium|moderate|mid|average|middle|normal, high, very high|highest, extreme",
    "none|no, minimal, mild|slight, moderate, severe, critical|very severe|extreme",
    "xxs, xs, s, m, l, xl, xxl|2xl, xxxl|3xl",
    "tiny, very small|extra small, small, medium, large|big, very large|extra large|huge",
    "never, rarely|seldom, sometimes|occasionally, often|frequently, usually, always",
    "strongly disagree, disagree, neutral|neither|neither agree nor disagree, agree, strongly agree",
    "very dissatisfied, dissatisfied, neutral, satisfied, very satisfied",
    "very unlikely, unlikely, neutral, likely, very likely",
    "very bad|terrible|very poor, bad|poor, fair|average|ok|okay, good, very good, excellent",
    "fair, good, very good, premium, ideal",
    "beginner|novice, elementary, intermediate, advanced, expert",
    "junior, mid|middle, senior, lead",
    "freshman, sophomore, junior, senior",
    "primary, secondary, tertiary",
    "first, second, third, fourth, fifth, sixth",
    "very slow, slow, medium, fast, very fast",
    "freezing, cold, cool, mild, warm, hot",
    "bronze, silver, gold, platinum, diamond",
    "baby|infant, child, teen|teenager, adult, senior|elderly",
    "monday, tuesday, wednesday, thursday, friday, saturday, sunday",
    "mon, tue, wed, thu, fri, sat, sun",
    "january, february, march, april, may, june, july, august, september, october, november, december",
    "jan, feb, mar, apr, may, jun, jul, aug, sep|sept, oct, nov, dec",
    "q1, q2, q3, q4",
)
_NUMBER = r"[$€£]?\d{1,3}(?:,\d{3})+(?:\.\d+)?[kKmM]?|[$€£]?\d+(?:\.\d+)?[kKmM]?"
_RANGE = re.compile(rf"({_NUMBER})\s*(?:-|–|to|\.\.)\s*({_NUMBER})(?:\s*[a-z]+)?")
_BELOW = re.compile(rf"(?:<=?|≤|under|below|less than|up to)\s*({_NUMBER})(?:\s*[a-z]+)?")
_ABOVE = re.compile(rf"(?:>=?|≥|over|above|more than|at least)\s*({_NUMBER})(?:\s*[a-z]+)?|({_NUMBER})\s*\+")
_UUID = r"^[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"
_ID_NAME = re.compile(
    r"(?:id|ids|idx|index|uuid|guid|key|row|rowid|unnamed.*|.*[_ .-](?:id|idx|index|key|uuid|guid|no|nr|number))",
    re.IGNORECASE,
)


def in_order(texts: Sequence[str]) -> tuple[str, ...]:
    """Distinct texts sorted, numbers by their value: 2 before 10, a2 before a10."""
    if all(is_number(t) and t.strip().lower().lstrip("+-") not in ("nan",) for t in texts):
        return tuple(sorted(texts, key=lambda t: (float(t), t)))
    return tuple(sorted(texts, key=lambda t: (_natural(t), t)))


def _natural(text: str) -> list[str | int]:
    parts: list[str | int] = list(re.split(r"([0-9]{1,18})", text))
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts


def boolean(texts: Sequence[str]) -> tuple[str, str] | None:
    """Two texts as (false, true), when they are words for it."""
    if len(texts) == 2:
        for pair in _BOOLEANS:
            if {t.lower() for t in texts} == set(pair):
                first, second = sorted(texts, key=lambda t: pair.index(t.lower()))
                return first, second
    return None


def known_order(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Three texts or more from low to high, when they are levels of a known scale or ranges of numbers; else None."""
    if not 3 <= len(texts) <= 100:
        return None
    plain = {t: re.sub(r"[\s_-]+", " ", t.strip().lower()) for t in texts}
    for scale in _SCALES:
        levels = {word: i for i, level in enumerate(scale.split(", ")) for word in level.split("|")}
        if all(p in levels for p in plain.values()) and len({levels[p] for p in plain.values()}) == len(texts):
            return tuple(sorted(texts, key=lambda t: levels[plain[t]]))
    return _ranges(texts)


def _ranges(texts: Sequence[str]) -> tuple[str, ...] | None:
    """18-24, 25-34, 65+ from low to high, when no two overlap."""
    found: list[tuple[float, float, str]] = []
    closed = 0
    for text in texts:
        t = text.strip().lower()
        if (m := _RANGE.fullmatch(t)) and _value(m[1]) <= _value(m[2]):
            closed += 1
            found.append((_value(m[1]), _value(m[2]), text))
        elif m := _BELOW.fullmatch(t):
            found.append((-np.inf, _value(m[1]), text))
        elif m := _ABOVE.fullmatch(t):
            found.append((_value(m[1] or m[2]), np.inf, text))
        else:
            return None
    found.sort()
    apart = all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    return tuple(text for _, _, text in found) if closed and apart else None


def _value(text: str) -> float:
    text = text.strip("$€£").replace(",", "")
    unit = {"k": 1e3, "m": 1e6}.get(text[-1].lower(), 1.0)
    return float(text.rstrip("kKmM")) * unit


def is_id_name(name: str) -> bool:
    """Whether a column is called as identifiers are: id, customer_id, customerId, Unnamed: 0."""
    return bool(_ID_NAME.fullmatch(name.strip()) or re.fullmatch(r".*[a-z]I[dD]", name))


def are_codes(texts: pa.Array) -> bool:
    """Whether distinct texts look like codes: no spaces, digits in most."""
    sample = texts[:1000].to_pylist()
    plain = sum(" " not in t.strip() for t in sample)
    return bool(plain > 0.8 * len(sample) and sum(any(c.isdigit() for c in t) for t in sample) > 0.8 * len(sample))


def unmodelled(texts: pa.Array, rows: int, name: str) -> tuple[str, str] | None:
    """(identifier or text, why) for distinct texts (k,) of `rows` cells that a model learns nothing from; else None."""
    k = len(texts)
    if k < 3:
        return None
    lengths = pc.utf8_length(texts).to_numpy()
    sample = texts[:1000].to_pylist()
    words = float(np.mean([t.count(" ") + 1 for t in sample]))
    if 2 * k > rows and pc.all(pc.match_substring_regex(texts, _UUID)).as_py():
        return "identifier", "universally unique identifiers"
    if 2 * k > rows and rows >= 5 and (lengths.mean() > 60 or words >= 6):
        return "text", f"free text of {lengths.mean():.0f} characters"
    kind = "identifier" if are_codes(texts) or is_id_name(name) else "text"
    if k > 0.9 * rows and rows >= 20:
        return kind, "every row has its own" if k == rows else f"{k:,} different values in {rows:,} rows"
    if k > MOST_CATEGORIES:
        return kind, f"{k:,} different values"
    return None
