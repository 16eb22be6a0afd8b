"""Scales of axes: where a value lies between two places, and the round values to label.

Three kinds. `linear`; `log`, for positive values that differ by more than a factor of 30; `symlog`, for values of both
signs (or 0) that differ as much: x -> asinh(x / s), linear within s of 0 and logarithmic beyond.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_WIDE = 30.0
_TURN = 2 * math.pi


@dataclass(frozen=True)
class Scale:
    """From values in [low, high] to places between start and end.

    Attributes:
        kind: "linear", "log" or "symlog". threshold: s of symlog.
    """

    kind: str
    low: float
    high: float
    start: float
    end: float
    threshold: float = 1.0

    def _bend(self, value: float) -> float:
        if self.kind == "log":
            return math.log(max(value, 1e-300))
        return math.asinh(value / self.threshold) if self.kind == "symlog" else value

    def __call__(self, value: float) -> float:
        """The place of a value; values beyond the ends (also infinite ones) lie on them."""
        value = min(max(value, self.low), self.high)
        low, high = self._bend(self.low), self._bend(self.high)
        return self.start + (self.end - self.start) * (self._bend(value) - low) / (high - low)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Round values inside, with their labels."""
        if self.kind == "log":
            values = _log_ticks(self.low, self.high, most)
        elif self.kind == "symlog":
            values = _symlog_ticks(self.low, self.high, self.threshold, most)
        else:
            return linear_ticks(self.low, self.high, most)
        return [(v, label(v)) for v in values]

    @property
    def words(self) -> str:
        """For the name of an axis."""
        return {"log": "log scale", "symlog": "log scale, linear near 0"}.get(self.kind, "")


def fitted(values: Iterable[float], start: float, end: float, *, unit: float = 0.0, margin: float = 0.06) -> Scale:
    """The scale that shows all finite values: logarithmic where they are positive and differ by orders.

    Args:
        unit: a size that should be seen, like the width of a floor; it sets the linear part of `symlog`.
        margin: at both ends, as a share of the length.
    """
    kept = sorted(v for v in values if math.isfinite(v))
    if not kept:
        return Scale("linear", 0.0, 1.0, start, end)
    low, high = max(kept[0], -1e300), min(kept[-1], 1e300)
    if low == high:
        half = abs(low) * 0.5 or 0.5
        return Scale("linear", low - half, high + half, start, end)
    if low > 0 and high > _WIDE * low:
        low = max(low, 1e-280)
        stretch = math.exp(min(margin * (math.log(high) - math.log(low)), 10.0))
        return Scale("log", low / stretch, high * stretch, start, end)
    sizes = [abs(v) for v in kept if v != 0]
    threshold = max(unit, 1e-6 * max(sizes))
    if unit > 0 and low <= 0 and max(sizes) > 2 * _WIDE * threshold:
        flat = Scale("symlog", low, high, 0.0, 1.0, threshold)
        a, b = flat._bend(low), flat._bend(high)
        grow = margin * (b - a)
        return Scale("symlog", threshold * math.sinh(a - grow), threshold * math.sinh(b + grow), start, end, threshold)
    grow = margin * (high - low)
    return Scale("linear", low - grow, high + grow, start, end)


def step_of(span: float, most: int) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten of which at most `most` fit into a span."""
    if not (span > 0 and math.isfinite(span)):
        return 1.0
    rough = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough * (1 - 1e-9))


def linear_ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Multiples of a round step, all with as many decimals as the step needs."""
    step = step_of(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [k * step for k in range(first, min(last, first + 50) + 1)]
    largest = max((abs(v) for v in values), default=0.0)
    if largest >= 1e5 or (largest and largest < 1e-3):
        return [(v, label(v)) for v in values]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1
    return [(v, f"{v:,.{decimals}f}".replace("-", "−") if v else "0") for v in values]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten; where fewer than three are inside also 2 and 5 times those, or 3 times."""
    a, b = math.log10(low), math.log10(high)
    decades = range(math.ceil(a - 1e-9), math.floor(b + 1e-9) + 1)
    if len(decades) >= 3:
        every = math.ceil(len(decades) / most)
        return [10.0**k for k in decades if k % every == 0]
    around = range(math.floor(a), math.ceil(b) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [m * 10.0**k for k in around for m in steps if low <= m * 10.0**k <= high]
        if len(values) <= most + 1:
            break
    return values if len(values) > 1 else [v for v, _ in linear_ticks(low, high, most) if v > 0]


def _symlog_ticks(low: float, high: float, threshold: float, most: int) -> list[float]:
    first = math.ceil(math.log10(threshold))
    sides: list[float] = []
    for sign, end in ((-1.0, -low), (1.0, high)):
        if end > threshold:
            decades = range(first, math.floor(math.log10(end)) + 1)
            every = max(1, math.ceil(len(decades) / max(1, most // (2 if low < -threshold else 1))))
            sides += [sign * 10.0**k for k in reversed(decades) if (decades[-1] - k) % every == 0]
    return sorted(v for v in (*sides, 0.0) if low <= v <= high)


def label(value: float) -> str:
    """A number of an axis in few letters: 0.25, 1,200, 25k, 1.5M, 3e−7."""
    if value == 0:
        return "0"
    size = abs(value)
    text = f"{value:.4g}"
    if size >= 1e15 or size < 1e-3:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"{mantissa}e{int(exponent)}"
    else:
        for unit, word in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
            if size >= unit:
                text = f"{value / (1e3 if word == 'k' else unit):.4g}{word}"
                break
        else:
            text = f"{value:,.0f}" if size >= 1000 and value == round(value) else text
    return text.replace("-", "−")
