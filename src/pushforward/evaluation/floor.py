r"""The floor of a metric: where it lies for real data that no model has touched.

No finite set of samples is at a distance of zero from another, not even two sets of real data; so every number has a
floor, and it depends on n. It is measured: sets of n training rows take the place of samples, each compared with the
same held-out rows as the models are. Given those rows, a perfect sampler's value and these replicates have one
distribution, so that the interval

.. math:: \bar m \pm t_{B-1}\, s \sqrt{1/K + 1/B}

of B replicates is a prediction interval for the mean over K sample sets of a perfect sampler. Distances are positive
and skewed, much like scaled chi-squares: for them it is taken of the cube root, which is close to normal (Wilson and
Hilferty 1931). Over M metrics the levels are divided by M (Bonferroni), so that a
perfect sampler leaves one interval or another with a probability of at most `level`.

Sets of n drawn from the same N training rows overlap, which makes their values too alike by the factor 1 - n/N of
sampling without replacement; the variance is divided by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .results import Floor, Value

FAMILY_LEVEL = 0.01
"""How often a perfect sampler may leave the interval of one metric or another."""


def floor_of(
    values: Sequence[float],
    n: int,
    *,
    tests: int,
    sets: int = 1,
    overlap: float = 0.0,
    positive: bool = False,
    share: bool = False,
    level: float = FAMILY_LEVEL,
) -> Floor:
    """The floor of a metric from its values on B sets of real rows, B at least 2.

    Args:
        n: rows of a set. tests: metrics that are judged together. sets: K, over which a model's value is averaged.
        overlap: n/N, the share of the available rows that one set takes.
        positive: the metric is a distance above 0, so its cube root is used.
        share: the metric is a share of n rows, so the angle arcsin(sqrt(p)) is used, whose spread is that of n
            independent rows, 1 / (2 sqrt(n)), at least.
        level: of all tests together, two-sided.
    """
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    y = np.cbrt(x) if positive else np.arcsin(np.sqrt(x)) if share else x
    std = float(y.std(ddof=1)) / math.sqrt(max(1.0 - overlap, 0.05))
    if share:
        std = max(std, 0.5 / math.sqrt(n))
    reach = float(t.ppf(1 - level / (2 * tests), len(x) - 1)) * std * math.sqrt(1 / sets + 1 / len(x))
    middle = float(y.mean())
    low, high = middle - reach, middle + reach
    if positive:
        low, high = max(low, 0.0) ** 3, high**3
    elif share:
        low, high = math.sin(max(low, 0.0)) ** 2, math.sin(min(high, math.pi / 2)) ** 2
    return Floor(float(x.mean()), low, high, float(x.std(ddof=1)), n, len(x))


def known_floor(mean: float, std: float, n: int, *, tests: int, sets: int = 1, level: float = FAMILY_LEVEL) -> Floor:
    """The floor of a statistic whose distribution for perfect samples is known: normal, `std` for one set.

    The sets share their held-out rows, so that averaging K of them leaves half of the variance at least.
    """
    from scipy.stats import norm

    reach = float(norm.ppf(1 - level / (2 * tests))) * std * math.sqrt((1 + 1 / sets) / 2)
    return Floor(mean, mean - reach, mean + reach, std, n, 0)


def is_outside(value: float, floor: Floor, better: str) -> bool:
    """Whether a value leaves the floor's interval on the bad side (on either, of a metric that should equal it)."""
    if math.isnan(value):
        return True
    above, below = value > floor.high, value < floor.low
    return {"lower": above, "higher": below}.get(better, above or below)


def combine(by_seed: Sequence[Sequence[float]], n: int, p_value: float | None = None) -> Value:
    r"""The value of a metric from every sample set of every training, with its 95% interval.

    One training: :math:`\bar v \pm t_{K-1} s / \sqrt K` over its K disjoint sample sets. Several: the same over the
    means of the trainings, which holds both kinds of spread.
    """
    from scipy.stats import t

    means = np.array([np.mean(values) for values in by_seed], dtype=np.float64)
    spread = means if len(means) > 1 else np.asarray(by_seed[0], dtype=np.float64)
    value = float(means.mean())
    low = high = None
    if len(spread) > 1 and np.isfinite(spread).all():
        reach = float(t.ppf(0.975, len(spread) - 1) * spread.std(ddof=1) / math.sqrt(len(spread)))
        low, high = value - reach, value + reach
    each = tuple(float(v) for values in by_seed for v in values)
    return Value(value, n, low, high, len(by_seed[0]), len(by_seed), each, None, p_value)
