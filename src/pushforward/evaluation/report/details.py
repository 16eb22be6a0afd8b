"""Settings, versions and the like as lists of names and values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .numbers import number
from .text import escape, tag

_LONG = 60


def listed(values: Mapping[str, Any]) -> str:
    """Names and values, nested ones in lists of their own; "" when there are none."""
    items = "".join(tag("dt", escape(_name(key))) + tag("dd", _value(value)) for key, value in values.items())
    return tag("dl", items) if items else ""


def _name(key: Any) -> str:
    return str(key).replace("_", " ")


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return listed(value) or "none"
    if isinstance(value, float):
        return escape(number(value, 6))
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if any(isinstance(v, Mapping | list | tuple) for v in value):
            return tag("ul", "".join(tag("li", _value(v)) for v in value))
        return ", ".join(_value(v) for v in value) or "none"
    if isinstance(value, str):
        return escape(value) if len(value) < _LONG or " " in value else tag("code", escape(value))
    return escape(_number_or_text(value))


def _number_or_text(value: Any) -> str:
    """NumPy's and torch's numbers as numbers, anything else as it writes itself."""
    item = getattr(value, "item", None)
    try:
        plain = float(item()) if item is not None else math.nan
    except (TypeError, ValueError, RuntimeError):
        return str(value)
    return number(plain, 6) if item is not None else str(value)
