r"""The floor of a metric: where it lies for real rows in the place of samples.

No finite set of samples is at a distance of zero from another, not even two sets of real data; so every number has a
floor, and it depends on n. It is measured: B sets of n training rows take the place of samples, each compared with the
same held-out rows as the models are. With g a transform that makes values nearly normal, the interval is

.. math:: g^{-1}\left(\bar g \pm t_{B-1}\, s \sqrt{\frac1K + f + \frac{1 - f}{B}}\right)

for the mean of g over the K sample sets of a perfect sampler. The B sets come from one pool of N rows, f = n/N: they
share rows, so that their spread is too small by the factor 1 - f of sampling without replacement (s is divided by its
root), and their mean is no better known than from the N rows of the pool, which the term f says.

g is the cube root for distances, which are skewed much like scaled chi-squares (Wilson and Hilferty 1931);
:math:`\arcsin \sqrt{p}` for shares of rows; else nothing. Over M metrics the level is divided by M (Bonferroni), so
that a perfect sampler leaves one interval or another with a probability of about `level` at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from .results import Floor, Value

FAMILY_LEVEL = 0.01
"""How often a perfect sampler may leave the interval of one metric or another."""

Scale = Literal["positive", "share", "plain"]
"""How a metric is distributed: a distance above 0, a share of the rows, anything else."""


def transformed(x: Sequence[float] | np.ndarray, scale: Scale) -> np.ndarray:
    """g(x)."""
    values = np.asarray(x, dtype=np.float64)
    if scale == "positive":
        return np.cbrt(values)
    return np.arcsin(np.sqrt(values.clip(0, 1))) if scale == "share" else values


def back(y: float, scale: Scale) -> float:
    """Its inverse, where y is beyond the range the nearest value."""
    if scale == "positive":
        return max(y, 0.0) ** 3
    return math.sin(min(max(y, 0.0), math.pi / 2)) ** 2 if scale == "share" else y


def floor_of(
    values: Sequence[float],
    n: int,
    *,
    tests: int,
    sets: int = 1,
    pool: int | None = None,
    scale: Scale = "plain",
    level: float = FAMILY_LEVEL,
) -> Floor:
    """The floor of a metric from its values on B sets of real rows, B at least 2.

    Args:
        n: rows of a set. tests: metrics that are judged together. sets: K, over which a model's value is averaged.
        pool: N, the rows that the sets were drawn from; None: each set was fresh.
        scale: of g. A share of n rows has the spread of n independent rows, 1 / (2 sqrt(n)), at least.
        level: of all tests together, two-sided.
    """
    from scipy.stats import t

    y = transformed(values, scale)
    share = 0.0 if pool is None else min(n / pool, 1.0)
    std = float(y.std(ddof=1)) / math.sqrt(max(1.0 - share, 0.05))
    if scale == "share":
        std = max(std, 0.5 / math.sqrt(n))
    count = len(y)
    reach = float(t.ppf(1 - level / (2 * tests), count - 1)) * std
    reach *= math.sqrt(1 / sets + share + (1 - share) / count)
    middle, raw = float(y.mean()), np.asarray(values, dtype=np.float64)
    low, high = back(middle - reach, scale), back(middle + reach, scale)
    return Floor(float(raw.mean()), low, high, float(raw.std(ddof=1)), n, count)


def known_floor(mean: float, std: float, n: int, *, tests: int, sets: int = 1, level: float = FAMILY_LEVEL) -> Floor:
    """The floor of a statistic whose distribution for perfect samples is known: normal, `std` for one set.

    The sets share their held-out rows, so that averaging K of them leaves half of the variance at least.
    """
    from scipy.stats import norm

    reach = float(norm.ppf(1 - level / (2 * tests))) * std * shared(sets)
    return Floor(mean, mean - reach, mean + reach, std, n, 0)


def shared(sets: int) -> float:
    """The standard deviation of a mean over sets that share their held-out rows, over that of one."""
    return math.sqrt((1 + 1 / sets) / 2)


def is_outside(each: Sequence[float], floor: Floor, better: str, scale: Scale = "plain") -> bool:
    """Whether the sets' values leave the floor's interval on the bad side (on either, of a metric that should equal
    it): their mean is taken of g, as the floor's is.
    """
    value = back(float(transformed(each, scale).mean()), scale)
    if math.isnan(value):
        return True
    above, below = value > floor.high, value < floor.low
    return {"lower": above, "higher": below}.get(better, above or below)


def combine(by_seed: Sequence[Sequence[float]], n: int) -> Value:
    r"""The value of a metric from every sample set of every training, with its 95% interval.

    One training: :math:`\bar v \pm t_{K-1} s / \sqrt K` over its K disjoint sample sets, if there are three. Several:
    the same over the means of the trainings, which holds both kinds of spread.
    """
    from scipy.stats import t

    means = np.array([np.mean(values) for values in by_seed], dtype=np.float64)
    spread = means if len(means) > 1 else np.asarray(by_seed[0], dtype=np.float64)
    value = float(means.mean())
    low = high = None
    enough = len(means) > 1 or len(spread) > 2  # two sets can agree by chance, and would seem to be certain
    if enough and np.isfinite(spread).all():
        reach = float(t.ppf(0.975, len(spread) - 1) * spread.std(ddof=1) / math.sqrt(len(spread)))
        low, high = value - reach, value + reach
    each = tuple(float(v) for values in by_seed for v in values)
    return Value(value, n, low, high, len(by_seed[0]), len(by_seed), each)


def within(value: Value, low: float | None, high: float | None) -> Value:
    """The value with its interval cut to the range that the metric can have."""
    if value.low is None or value.high is None:
        return value
    cut = value.low if low is None else max(value.low, low), value.high if high is None else min(value.high, high)
    return replace(value, low=cut[0], high=cut[1])
