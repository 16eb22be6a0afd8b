"""What is estimated from a model, typed: values with standard errors, intervals and how they were found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Z = 1.959963984540054
"""Of a two-sided 95% interval."""


@dataclass(frozen=True)
class Estimate:
    """One number that a model implies.

    Attributes:
        value: the estimate. standard_error: of its Monte Carlo error alone; what the model got wrong is not in it.
        low, high: 95% interval. relative_error: standard error over the absolute value (infinite for 0).
        n: samples that the model drew for it, in all.
        effective_sample_size: independent samples that it rests on (of the event, for rare ones).
        method: "monte carlo", "multilevel splitting", or "importance sampling after multilevel splitting".
        notes: how it went, in plain words. text: what was asked.
    """

    value: float
    standard_error: float
    low: float
    high: float
    relative_error: float
    n: int
    effective_sample_size: float
    method: str = "monte carlo"
    notes: tuple[str, ...] = ()
    text: str = ""

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        name = f"{self.text}: " if self.text else ""
        return f"{name}{self.value:.5g} ± {self.standard_error:.2g} (95%: {self.low:.5g} to {self.high:.5g})"


@dataclass(frozen=True)
class Moments:
    """Means, standard deviations and dependence of the numbers of a sample.

    Attributes:
        names: of the numbers, (d,). mean, std: (d,). covariance, correlation: (d, d); correlations with a number that
            does not vary are NaN. Each has its standard errors in an array of the same shape.
        n: samples drawn. notes: what was left out.
        counts: (d, d) samples in which both numbers are there (on the diagonal: in which the number is).
    """

    names: tuple[str, ...]
    mean: np.ndarray
    mean_error: np.ndarray
    std: np.ndarray
    std_error: np.ndarray
    covariance: np.ndarray
    covariance_error: np.ndarray
    correlation: np.ndarray
    correlation_error: np.ndarray
    n: int
    counts: np.ndarray
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """JSON-able: arrays as lists."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()}

    def __repr__(self) -> str:
        shown = [
            f"  {name}: mean {m:.4g} ± {e:.1g}, std {s:.4g} ± {f:.1g}"
            for name, m, e, s, f in zip(self.names[:12], self.mean, self.mean_error, self.std, self.std_error)
        ]
        more = [f"  ... and {len(self.names) - 12} more"] if len(self.names) > 12 else []
        return "\n".join([f"Moments(n={self.n:,})", *shown, *more])


def of_mean(value: float, error: float, n: int, count: int, notes: Sequence[str], text: str) -> Estimate:
    """An average of `count` values out of n samples."""
    return Estimate(
        value, error, value - Z * error, value + Z * error, _relative(value, error), n, float(count),
        notes=tuple(notes), text=text,
    )  # fmt: skip


def of_hits(hits: int, count: int, n: int, notes: Sequence[str], text: str) -> Estimate:
    r"""A share, with the interval of Wilson (1927), which stays in [0, 1] and is not empty for no hits at all.

    .. math:: \frac{\hat p + z^2 / 2 m \pm z \sqrt{\hat p (1 - \hat p) / m + z^2 / 4 m^2}}{1 + z^2 / m}
    """
    p = hits / count
    error = math.sqrt(p * (1 - p) / count)
    middle = (p + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z * math.sqrt(p * (1 - p) / count + Z**2 / (4 * count**2)) / (1 + Z**2 / count)
    low, high = (0.0 if hits == 0 else middle - half), (1.0 if hits == count else middle + half)
    return Estimate(p, error, low, high, _relative(p, error), n, float(count), notes=tuple(notes), text=text)


def of_rare(
    value: float, relative: float, n: int, effective: float, method: str, notes: Sequence[str], text: str
) -> Estimate:
    """A small probability, whose logarithm is nearly normal: the interval is a factor either way."""
    factor = math.exp(Z * relative)
    return Estimate(
        value, value * relative, value / factor, min(1.0, value * factor), relative, n, effective, method, tuple(notes),
        text,
    )  # fmt: skip


def _relative(value: float, error: float) -> float:
    return error / abs(value) if value else math.inf
