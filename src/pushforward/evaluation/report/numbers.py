"""Numbers in words: as many digits as mean something, and never a number for what is none.

NaN is "undefined", None an em dash, infinity its sign.
"""

from __future__ import annotations

import math
from numbers import Integral
from typing import NamedTuple

NONE = "—"


def exact(value: float | int) -> str:
    """All digits of a number, as programs read them."""
    return repr(int(value)) if isinstance(value, Integral) else repr(float(value))


def number(value: float | int | None, digits: int = 4) -> str:
    """A number in text: 0.1234, 12,345, 1.2e−7."""
    if value is None:
        return NONE
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", "−")
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        return _power(value, digits - 1)
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    shown = f"{value:,.{decimals}f}"
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown).replace("-", "−")


def _power(value: float, digits: int, keep: bool = False) -> str:
    """1.2e−7: with a power of ten, without zeros at the end unless they are kept."""
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    if not keep and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(power)}".replace("-", "−")


class Shown(NamedTuple):
    """A value and its interval with the same decimals. `half`: of a symmetric interval, else ""."""

    value: str
    low: str
    high: str
    half: str = ""

    @property
    def interval(self) -> str:
        """ "± 0.045", "0.100 to 0.190", or "" without one."""
        if "undefined" in (self.low, self.high):
            return "interval undefined"
        return f"± {self.half}" if self.half else f"{self.low} to {self.high}" if self.low else ""


def measured(value: float | None, low: float | None = None, high: float | None = None) -> Shown:
    """A value with its interval, all to the second digit of half its width."""
    if value is None or low is None or high is None:
        return Shown(number(value), "", "")
    ends = (value, low, high)
    if not all(math.isfinite(v) for v in ends):
        return Shown(*(number(v) for v in ends))
    below, above = value - low, high - value
    half = max(abs(below), abs(above))
    if half == 0:
        return Shown(number(value), number(low), number(high), "0")
    largest = max(abs(v) for v in ends)
    decimals = 1 - math.floor(math.log10(half))
    if largest >= 1e7 or decimals > 7:
        digits = 2 + math.floor(math.log10(largest)) - math.floor(math.log10(half))
        digits = max(2, min(12, digits))
        plain, width = [_power(v, digits, keep=True) for v in ends], _power(half, 2, keep=True)
    else:
        decimals = max(0, decimals)
        plain, width = [f"{v:,.{decimals}f}".replace("-", "−") for v in ends], f"{half:,.{decimals}f}"
    # A perfect value has no sign, and "−0.00" would be one.
    plain = [v[1:] if v.startswith("−") and not v.strip("−0.,") else v for v in plain]
    even = below >= 0 and above >= 0 and abs(above - below) <= 0.05 * half
    return Shown(plain[0], plain[1], plain[2], width if even else "")


def probability(p: float | None) -> str:
    """A p-value: two digits, "below 0.0001" for smaller ones."""
    if p is None or math.isnan(p):
        return number(p)
    return "below 0.0001" if 0 <= p < 1e-4 else number(float(p), 2)


def percent(share: float) -> str:
    """A share: 0.3%, 12%, never 0% of something or 100% of less than everything."""
    if not math.isfinite(share):
        return number(share)
    if 0 < share < 0.001:
        return "below 0.1%"
    if 0.999 < share < 1:
        return "above 99.9%"
    return f"{share:.1%}" if share < 0.0995 or 0.9 < share < 1 else f"{share:.0%}"


def seconds(value: float | None) -> str:
    """A duration: 0.12 s, 34 s, 2.1 min, 3.3 h."""
    if value is None or not math.isfinite(value):
        return number(value)
    if value < 100:
        return f"{number(float(value), 2)} s"
    return f"{number(value / 60, 2)} min" if value < 6000 else f"{number(value / 3600, 2)} h"


def count(value: float | int | None) -> str:
    """A large whole number in few letters: 950, 12.3 k, 1.2 M."""
    if value is None or not math.isfinite(value):
        return number(value)
    for unit, word in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= unit:
            return f"{value / (1e3 if word == 'k' else unit):.3g} {word}"
    return f"{value:,.0f}"


def size(value: float | int | None) -> str:
    """Bytes: 512 MB, 1.2 GB (powers of 1,000)."""
    if value is None or not math.isfinite(value):
        return number(value)
    for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= unit:
            return f"{value / unit:.3g} {word}"
    return f"{value:.0f} B"
