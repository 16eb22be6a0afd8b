"""The likelihood ledger: what each model's likelihood is worth, and which differences may be claimed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of held-out points under one model.

    Attributes:
        kind: "exact", "lower bound", "estimate", "estimate of a lower bound", or "unavailable".
        reason: why it is unavailable, and what to use instead; "" otherwise.
        mean: nats per example. standard_error: of that mean, over the points (and the training seeds).
        n: points. draws: Monte Carlo draws of each value. monte_carlo_error, solver_error: of the mean, in nats.
        bits_per_dimension: of pixels and other discrete data. unit, measure: what a nat is a nat of.
        dequantization: how whole numbers were made continuous, with its draws; "" if they were not.
        method: how it was computed ("change of variables", "ELBO", "probability-flow ODE, 100 Heun steps").
    """

    kind: str
    reason: str = ""
    mean: float | None = None
    standard_error: float | None = None
    n: int = 0
    draws: int | None = None
    monte_carlo_error: float | None = None
    solver_error: float | None = None
    bits_per_dimension: float | None = None
    unit: str = ""
    measure: str = ""
    dequantization: str = ""
    method: str = ""


@dataclass(frozen=True)
class Difference:
    """Two models' likelihoods on the same points: `mean` nats in favour of `a`.

    Attributes:
        low, high: 95% interval. p_value: adjusted by Holm over all pairs. claimed: whether the interval excludes 0 and
            the adjusted p-value is below 5%.
        words: in a sentence, with the marks that bounds need; "no difference shown" when nothing is claimed.
    """

    a: str
    b: str
    mean: float
    low: float
    high: float
    p_value: float
    claimed: bool
    words: str
