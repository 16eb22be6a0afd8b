r"""Which differences between two models' likelihoods may be claimed: paired intervals, Holm's correction, and words.

Both models score the same n points, and each may have been trained several times. With :math:`d_i` the difference at
point i, averaged over trainings, and :math:`\bar a_s` the mean of training s,

.. math::

    \widehat{\mathrm{Var}}(\bar d) = \frac{\operatorname{var}_i(d_i)}{n}
    + \frac{\operatorname{var}_s(\bar a_s)}{S_a} + \frac{\operatorname{var}_s(\bar b_s)}{S_b}

(points and trainings are crossed random effects; how they interact is counted twice, on the safe side). Pairing takes
out what makes a point hard for both. Degrees of freedom are Satterthwaite's (1946). Monte Carlo errors are already in
the scatter over points, since the draws of each are its own; the variance is never below what they state. A solver's
error is no scatter: it widens the interval on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """A paired difference of means, a - b, in nats.

    Attributes:
        low, high: 95% interval. p_value: two-sided, of no difference, not adjusted.
        standard_error, degrees: of Student's t. systematic: what widens the interval on both sides.
    """

    mean: float
    low: float
    high: float
    p_value: float
    standard_error: float
    degrees: float
    systematic: float = 0.0


def paired(a: np.ndarray, b: np.ndarray, *, systematic: float = 0.0, monte_carlo: float = 0.0) -> Paired:
    """The difference of two models' means over the same points.

    Args:
        a, b: (S_a, n) and (S_b, n) finite values, one row a training.
        systematic: nats by which the difference of the means may be off in one direction (a solver's error).
        monte_carlo: standard error of the difference of the means by the draws of the estimates.

    Raises:
        ValueError: different points. One point alone gives an infinite interval.
    """
    from scipy.stats import t as student

    a, b = np.atleast_2d(np.asarray(a, np.float64)), np.atleast_2d(np.asarray(b, np.float64))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} points against {b.shape[1]}: only the same points can be paired")
    each = a.mean(0) - b.mean(0)
    mean, n = float(each.mean()), len(each)
    if n < 2:
        return Paired(mean, -math.inf, math.inf, 1.0, math.inf, 0.0, systematic)
    parts = [(max(_variance(each) / n, monte_carlo**2), n - 1)]
    parts += [(_variance(x.mean(1)) / len(x), len(x) - 1) for x in (a, b) if len(x) > 1]
    variance = sum(v for v, _ in parts)
    error = math.sqrt(variance)
    beyond = max(abs(mean) - systematic, 0.0)
    # Differences that are all the same are known: what is left is rounding.
    if error <= 1e-12 * max(1.0, abs(mean)):
        return Paired(mean, mean - systematic, mean + systematic, 0.0 if beyond > 1e-9 else 1.0, 0.0, n - 1, systematic)
    degrees = variance**2 / sum(v**2 / k for v, k in parts)
    half = float(student.ppf(0.5 + LEVEL / 2, degrees)) * error + systematic
    p = 2 * float(student.sf(beyond / error, degrees))
    return Paired(mean, mean - half, mean + half, p, error, degrees, systematic)


def standard_error(values: np.ndarray) -> float | None:
    """Of the mean of values (S, n): over points, and over trainings where there are several; None for one point."""
    trainings, n = values.shape
    if n < 2:
        return None
    between = _variance(values.mean(1)) / trainings if trainings > 1 else 0.0
    return math.sqrt(_variance(values.mean(0)) / n + between)


def holm(p_values: Sequence[float]) -> np.ndarray:
    r"""Adjusted p-values that bound the chance of any false claim among m (Holm 1979).

    :math:`\tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) p_{(j)})` for :math:`p_{(1)} \le \dots \le p_{(m)}`.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted


def conclude(
    names: tuple[str, str], bounds: tuple[bool, bool], found: Paired, adjusted: float, pairs: int
) -> tuple[bool, str]:
    """Whether a difference a - b shows that one model is better, and the sentence for it.

    A lower bound above another model's value shows that its model is better; below it, or beside another bound, it
    shows nothing.

    Args:
        names: of a and b. bounds: whether the value of each is a lower bound.
        found: the difference. adjusted: its p-value after Holm's correction over `pairs` pairs.
    """
    apart = found.low > 0 or found.high < 0
    if not apart or adjusted >= 1 - LEVEL:
        marked = [f"{name}'s bound" if bound else name for name, bound in zip(names, bounds)]
        interval = f"{marked[0]} minus {marked[1]}: {_nats(found.mean, found.low, found.high)}"
        if apart:
            interval += f"; p = {adjusted:.2g} after Holm's correction over {pairs} pairs"
        return False, f"no difference shown between {marked[0]} and {marked[1]} ({interval})"
    up = 0 if found.mean > 0 else 1
    upper, lower = names[up], names[1 - up]
    low, high = (found.low, found.high) if up == 0 else (-found.high, -found.low)
    by = _nats(abs(found.mean), low, high)
    if bounds[up] and bounds[1 - up]:
        return False, (
            f"{upper}'s bound is above {lower}'s by {by}; no claim about the models: both are lower bounds, and either "
            "likelihood may be higher"
        )
    if bounds[1 - up]:
        return False, (
            f"{upper} is above {lower}'s bound by {by}; no claim: {lower}'s is a lower bound, and its likelihood may "
            "be higher"
        )
    if bounds[up]:
        return True, f"{upper}'s log-likelihood is above {lower}'s by at least {by}: its lower bound is already higher"
    return True, f"{upper}'s log-likelihood is above {lower}'s by {by}"


def _variance(x: np.ndarray) -> float:
    return float(np.var(x, ddof=1))


def _nats(mean: float, low: float, high: float) -> str:
    """ "3.1 nats (2.7 to 3.5)", with the decimals that the interval's width and its nearer end call for."""
    sizes = [(high - low) / 2, *(abs(v) for v in (low, high) if low * high > 0)]
    needed = [-math.floor(math.log10(s)) for s in sizes if 0 < s < math.inf]
    decimals = min(6, max([1, *needed]))
    return f"{mean:.{decimals}f} nats ({low:.{decimals}f} to {high:.{decimals}f})"
