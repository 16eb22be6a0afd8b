"""Kullback-Leibler and Jensen-Shannon divergences, in nats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .distributions import Array, Gaussian, as_pair
from .ratio import integrate
from .values import Divergence


def kl(p: Any, q: Any) -> Divergence:
    r"""Kullback-Leibler divergence, in nats: not symmetric, infinite where q has no mass and p has.

    .. math:: KL(P \| Q) = \int p(x) \log \frac{p(x)}{q(x)}\, dx, \qquad 0 \log 0 = 0

    | p, q | how |
    |---|---|
    | points, points | sum over the support of p |
    | Gaussian, Gaussian | closed form, any dimension |
    | mixtures, d <= 2 | quadrature with its error |
    | points, density | infinite: they are mutually singular |
    | samples | refused; `kl_neighbours` estimates it |

    Args:
        p, q: `Discrete`, `Gaussian`, `Mixture`, or a list of probabilities.

    Raises:
        InputError: for samples, mixtures in more than two dimensions, or different dimensions.

    Source: Kullback and Leibler 1951; Gaussians: Cover and Thomas 2006, ch. 8.
    """
    p, q = as_pair(p, q)
    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        return Divergence(_gaussians(p, q), "exact", "closed form of Gaussians")
    found = integrate(p, q, lambda x, r: r, None, "KL")
    return Divergence(max(0.0, found.value), found.kind, found.method, found.error)


def jensen_shannon(p: Any, q: Any) -> Divergence:
    r"""Jensen-Shannon divergence, in nats: symmetric, between 0 and log 2; its square root is a metric.

    .. math:: JS(P, Q) = \tfrac12 KL(P \| M) + \tfrac12 KL(Q \| M), \qquad M = \tfrac12 (P + Q)

    | p, q | how |
    |---|---|
    | points, points | sum over the support |
    | densities, d <= 2; Gaussians of one covariance, any d | quadrature with its error |
    | points, density | log 2: they are mutually singular |
    | samples | refused |

    Raises:
        InputError: as `kl`.

    Source: Lin 1991, IEEE Trans. Inf. Theory 37(1); metric: Endres and Schindelin 2003.
    """
    p, q = as_pair(p, q)

    def under_p(x: Array, r: Array) -> Any:  # log(p / m) = log 2 - log(1 + e^-r)
        return 0.5 * (math.log(2) - np.logaddexp(0.0, -r))

    def under_q(x: Array, r: Array) -> Any:
        return 0.5 * (math.log(2) - np.logaddexp(0.0, r))

    found = integrate(p, q, under_p, under_q, "JS")
    return Divergence(min(max(0.0, found.value), math.log(2)), found.kind, found.method, found.error)


def _gaussians(p: Gaussian, q: Gaussian) -> float:
    """(tr(S_q^-1 S_p) + |m_p - m_q|^2 in the metric of S_q - d + log det S_q / det S_p) / 2."""
    ratio = np.linalg.solve(q.factor, p.factor)
    shift = np.linalg.solve(q.factor, p.mean - q.mean)
    logs = np.log(np.diag(p.factor)) - np.log(np.diag(q.factor))  # log of the ratio's own diagonal
    off = (ratio**2).sum() - (np.diag(ratio) ** 2).sum()
    # e^(2t) - 1 - 2t, t = log of the diagonal: exact where p is nearly q
    return float(max(0.0, 0.5 * ((np.expm1(2 * logs) - 2 * logs).sum() + off + shift @ shift)))
