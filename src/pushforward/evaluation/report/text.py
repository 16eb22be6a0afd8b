"""Words as HTML: everything from users is escaped, every number keeps its exact value beside what is shown.

A number is written `<data value="0.12345678">0.123</data>`: readers see the digits that mean something, programs find
the others.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..likelihood.ledger import Likelihood
from ..results import MetricInfo, Value
from .numbers import exact

_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)
"""What no HTML or SVG may hold, or what turns the direction of the text around it."""

MARKS = {True: ("✗", "outside"), False: ("✓", "inside")}
"""Sign and word for a value that leaves the floor's interval, and for one that does not."""

KINDS = {
    "exact": ("", "exact", 0),
    "estimate": ("≈ ", "estimate", 1),
    "lower bound": ("≥ ", "lower bound", 2),
    "estimate of a lower bound": ("≳ ", "estimate of a lower bound", 3),
    "unavailable": ("", "none", 4),
}
"""Of a likelihood: the sign before its value, its word, and its place when rows are sorted by likelihood."""


def escape(text: Any) -> str:
    """Any text as HTML or SVG text, and as the value of an attribute in quotes."""
    return html.escape(_UNSAFE.sub("\ufffd", str(text)), quote=True)


def tag(name: str, content: str = "", **attributes: Any) -> str:
    """An element around content that is HTML already. Attributes are escaped; `cls` is the class, `_` becomes `-`."""
    return f"<{name}{written(attributes)}>{content}</{name}>"


def written(attributes: Mapping[str, Any]) -> str:
    """Attributes as they stand in a tag; those that are None are left out."""
    parts = []
    for key, value in attributes.items():
        if value is not None:
            key = "class" if key == "cls" else key.replace("_", "-")
            parts.append(f' {key}="{escape(value)}"')
    return "".join(parts)


def data(
    value: float | int | None, shown: str, low: float | None = None, high: float | None = None, **more: Any
) -> str:
    """`shown` (HTML) with the exact value beside it, where that is a finite number; the ends of its interval too."""
    for key, end in (("data_low", low), ("data_high", high)):
        if end is not None and math.isfinite(end):
            more[key] = exact(end)
    if value is None or not math.isfinite(value):
        return tag("span", shown, cls="number", **more)
    return tag("data", shown, value=exact(value), cls="number", **more)


def figure(picture: str, width: float, caption: str, *, above: bool = False, cls: str = "panel") -> str:
    """A picture `width` pixels wide with its caption (HTML), which is no wider, below or above it."""
    parts = [picture, tag("figcaption", caption) if caption else ""]
    return tag("figure", "".join(reversed(parts) if above else parts), cls=cls, style=f"width:{math.ceil(width)}px")


def short(name: str, most: int = 56) -> str:
    """A name of the user's; the middle of a very long one is left out, and the whole is a tooltip."""
    if len(name) <= most:
        return escape(name)
    return tag("span", escape(f"{name[: most - 20]}…{name[-16:]}"), title=name)


def named(name: str, note: str = "") -> str:
    """A caption: a name of the user's, and a note."""
    return f'<b class="name">{short(name)}</b>' + (f" <small>{escape(note)}</small>" if note else "")


def mark(value: Value) -> str:
    """Where a value lies, by a sign and a word; nothing where there is no floor."""
    if value.outside is None:
        return ""
    sign, word = MARKS[bool(value.outside)]
    return tag("small", f"{sign} {word}", cls=f"mark {word}")


def direction(metric: MetricInfo) -> str:
    """Which way is better, in words."""
    return {"lower": "lower is better", "higher": "higher is better"}.get(metric.better, "nearest the floor is best")


def effort(values: Iterable[Value], seeds: bool = True) -> str:
    """How many samples, sets and seeds stand behind some values: "n = 2,000 samples a set, 5 disjoint sets ..."."""
    kept = list(values)

    def span(numbers: list[int], one: str, many: str) -> str:
        low, high = min(numbers), max(numbers)
        return f"{low:,} {one if low == 1 else many}" if low == high else f"{low:,} to {high:,} {many}"

    if not kept:
        return ""
    parts = [f"n = {span([v.n for v in kept], 'sample', 'samples')} a set"]
    parts.append(span([v.sets for v in kept], "disjoint set", "disjoint sets"))
    if seeds:
        parts[-1] += " a seed"
        parts.append(span([v.seeds for v in kept], "training seed", "training seeds"))
    return ", ".join(parts)


def kind_of(likelihood: Likelihood) -> tuple[str, str, int]:
    """Sign, word and rank of a likelihood (`KINDS`); one without a value is unavailable, an unknown kind stays last."""
    if likelihood.mean is None:
        return KINDS["unavailable"]
    return KINDS.get(likelihood.kind, ("? ", likelihood.kind, 3))


def shortened(text: str, room: float, size: float = 11.0, tail: int = 0) -> str:
    """Text that fits into `room` pixels, an ellipsis for what is before its last `tail` letters.

    Widths are those of a wide sans-serif font.
    """
    text = " ".join(str(text).split())
    if width(text, size) <= room:
        return text
    end = "…" + (text[-tail:] if tail else "")
    room -= width(end, size)
    kept = ""
    for letter in text:
        if (room := room - width(letter, size)) < 0:
            break
        kept += letter
    return kept.rstrip() + end


_NARROW = frozenset("iljtfrI.,:;'|!()[]/ -")
_WIDE = frozenset("ABCDEGHKNOQRSUVXYZw&")
_WIDEST = frozenset("mMW@%—…")


def width(text: str, size: float = 11.0) -> float:
    """About how wide a text is, in pixels: rather too much than too little."""
    from unicodedata import east_asian_width

    units = 0.0
    for letter in text:
        if letter in _NARROW:
            units += 0.42
        elif letter in _WIDEST:
            units += 1.0
        elif letter in _WIDE:
            units += 0.8
        elif letter < "\u0250":
            units += 0.61
        else:
            units += 1.05 if east_asian_width(letter) in "WF" else 0.8
    return units * size
