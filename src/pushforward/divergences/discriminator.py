r"""The game of a GAN at its optimum: the best discriminator, and what the generator is left to minimize.

.. math:: \min_G \max_D \; E_{x \sim P} \log D(x) + E_{x \sim Q} \log(1 - D(x)), \qquad P = p_{train}, Q = p_g
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from ..errors import InputError
from .distributions import Array, Discrete, Distribution, Samples, aligned, as_pair, as_points
from .entropies import jensen_shannon
from .ratio import integrate, log_ratio

FLAT = 750.0
"""log sigmoid is 0 to the last bit beyond this."""


@dataclass(frozen=True, eq=False)
class Discriminator:
    """D(x) = p(x) / (p(x) + q(x)). Call it at points (n, d). `log_ratio` is its logit, log p - log q."""

    dimension: int
    log_ratio: Callable[[Array], Array] = field(repr=False)

    def __call__(self, x: Any) -> Array:
        """(n,) in [0, 1]."""
        return cast(Array, np.exp(-np.logaddexp(0.0, -self.log_ratio(as_points(x, self.dimension)))))


@dataclass(frozen=True)
class GanValue:
    r"""C(G) in its three forms, and from the Jensen-Shannon divergence; equal up to `error`.

    Attributes:
        maximum: the largest value over D, found by a search at every point that uses no formula for D.
        optimum: :math:`E_P \log D^*(x) + E_Q \log(1 - D^*(x))` with the discriminator p / (p + q).
        ratios: :math:`E_P \log \frac{p}{p + q} + E_Q \log \frac{q}{p + q}`.
        divergence: :math:`2 JS(P, Q) - \log 4`.
        error: of quadrature, 0 for sums.
    """

    maximum: float
    optimum: float
    ratios: float
    divergence: float
    error: float = 0.0

    def __float__(self) -> float:
        return self.divergence


def optimal_discriminator(p: Any, q: Any) -> Discriminator:
    r""":math:`D^*(x) = \frac{p(x)}{p(x) + q(x)}`, the maximizer of the value of the game for a fixed generator.

    Where neither has mass every D is optimal; 1/2 is given. For points against a density D is 1 at the points and 0
    elsewhere (or the reverse).

    Raises:
        InputError: for samples: p / (p + q) of what they came from is not known (train a classifier to estimate it).

    Source: Goodfellow et al. 2014, arXiv:1406.2661, proposition 1.
    """
    p, q = as_pair(p, q)
    _refuse_samples(p, q, "the optimal discriminator")
    return Discriminator(p.dimension, lambda x: _log_ratio(p, q, x))


def gan_objective(p: Any, q: Any, discriminator: Callable[[Array], Any]) -> float:
    r""":math:`V(D) = E_{x \sim P} \log D(x) + E_{x \sim Q} \log(1 - D(x))` for any D from (n, d) to [0, 1].

    Minus infinity where D is sure and wrong. Densities in one and two dimensions are integrated by quadrature.

    Raises:
        InputError: if D leaves [0, 1], and for the pairs that `kl` refuses.

    Source: Goodfellow et al. 2014, eq. 1.
    """
    p, q = as_pair(p, q)

    def judged(x: Array) -> Array:
        d = np.asarray(discriminator(x), dtype=np.float64).reshape(-1)
        if len(d) != len(x) or not ((d >= 0) & (d <= 1)).all():
            raise InputError("the discriminator must give one number in [0, 1] for each of n points.", "Add a sigmoid.")
        return d

    def under_p(x: Array, r: Array) -> Any:
        if isinstance(discriminator, Discriminator):  # from its logit: D itself rounds to 1 in the tails
            return -np.logaddexp(0.0, -discriminator.log_ratio(x))
        with np.errstate(divide="ignore"):
            return np.log(judged(x))

    def under_q(x: Array, r: Array) -> Any:
        if isinstance(discriminator, Discriminator):
            return -np.logaddexp(0.0, discriminator.log_ratio(x))
        with np.errstate(divide="ignore"):
            return np.log1p(-judged(x))

    return integrate(p, q, under_p, under_q, "the value of the game", of_ratio=False).value


def gan_value(p: Any, q: Any) -> GanValue:
    r"""C(G) = max over D of the value of the game, in the three forms and as :math:`2 JS(P, Q) - \log 4`.

    Between -log 4 (p_g = p_train) and 0 (they share no mass).

    Raises:
        InputError: for the pairs that `jensen_shannon` refuses.

    Source: Goodfellow et al. 2014, eq. 4 to 6 and theorem 1.
    """
    p, q = as_pair(p, q)
    # Each form is written as it stands; softplus is log(1 + e^x).
    maximum = integrate(
        p, q, lambda x, r: -np.logaddexp(0.0, -_search(r)), lambda x, r: -np.logaddexp(0.0, _search(r)), "C(G)"
    )

    def best(r: Array) -> Array:
        return cast(Array, np.exp(-np.logaddexp(0.0, -r)))

    def log(x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return cast(Array, np.log(x))

    optimum = integrate(p, q, lambda x, r: log(best(r)), lambda x, r: np.log1p(-np.minimum(best(r), _BELOW_1)), "C(G)")
    ratios = integrate(p, q, lambda x, r: -np.logaddexp(0.0, -r), lambda x, r: -np.logaddexp(0.0, r), "C(G)")
    js = jensen_shannon(p, q)
    error = max(maximum.error, optimum.error, ratios.error, 2 * js.error)
    return GanValue(maximum.value, optimum.value, ratios.value, 2 * js.value - math.log(4), error)


_BELOW_1 = float(np.nextafter(1.0, 0.0))
"""Under Q, D* may round to 1 only where Q has no mass to speak of; log(1 - D) must stay finite there."""


def _search(r: Array) -> Array:
    """The logit t of the D that maximizes a log D + b log(1 - D), a : b = e^r : 1, by bisection on its derivative.

    The derivative in t, a (1 - D) - b D, falls from a to -b: no formula for its root is used.
    """
    a, b = np.exp(-np.logaddexp(0.0, -r)), np.exp(-np.logaddexp(0.0, r))
    low, high = np.full_like(r, -FLAT), np.full_like(r, FLAT)
    for _ in range(64):
        t = 0.5 * (low + high)
        rises = a * np.exp(-np.logaddexp(0.0, t)) > b * np.exp(-np.logaddexp(0.0, -t))
        low, high = np.where(rises, t, low), np.where(rises, high, t)
    return 0.5 * (low + high)


def _log_ratio(p: Distribution, q: Distribution, x: Array) -> Array:
    if isinstance(p, Discrete) and isinstance(q, Discrete):
        a, b = (_probability(d, x) for d in (p, q))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((a == 0) & (b == 0), 0.0, np.log(a) - np.log(b))
    if isinstance(p, Discrete):
        return np.where(_probability(p, x) > 0, np.inf, -np.inf)
    if isinstance(q, Discrete):
        return np.where(_probability(q, x) > 0, -np.inf, np.inf)
    assert not isinstance(p, Samples) and not isinstance(q, Samples)
    return log_ratio(p, q, x)


def _probability(p: Discrete, x: Array) -> Array:
    """(n,) the mass of p at each row of x."""
    if len(x) == 0:
        return np.zeros(0)
    rows, inverse = np.unique(x, axis=0, return_inverse=True)
    points, mass, _ = aligned(p, Samples(rows))
    at = np.unique(np.concatenate([points, rows]), axis=0, return_inverse=True)[1].reshape(-1)[len(points) :]
    return mass[at][inverse.reshape(-1)]


def _refuse_samples(p: Distribution, q: Distribution, name: str) -> None:
    if isinstance(p, Samples) or isinstance(q, Samples):
        raise InputError(
            f"{name} is not a function of samples.", "Train a classifier between them: its probability estimates D*."
        )
