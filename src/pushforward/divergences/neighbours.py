"""An estimate of a KL divergence from samples alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError
from .distributions import Samples, as_pair
from .values import Divergence


def kl_neighbours(x: Any, y: Any, k: int = 5) -> Divergence:
    r"""KL of the distributions that x (n, d) and y (m, d) came from, *estimated* by distances to k-th neighbours.

    .. math:: \widehat{KL} = \frac dn \sum_i \log \frac{\nu_k(i)}{\rho_k(i)} + \log \frac{m}{n - 1}

    where rho_k(i) is the distance from x_i to its k-th neighbour among the other x, and nu_k(i) the one among y. It is
    consistent for densities, but slow in high dimensions, where it is biased (usually towards 0), and it may be
    negative. `error` is the standard error of the mean over i, which knows nothing of that bias.

    Args:
        k: neighbours; more of them lower the variance and raise the bias.

    Raises:
        InputError: with k + 1 samples or fewer, or when a sample equals its k-th neighbour: values that repeat have no
            density.

    Source: Wang, Kulkarni and Verdu 2009, IEEE Trans. Inf. Theory 55(5), eq. 14 with one k for all.
    """
    from scipy.spatial import cKDTree

    p, q = as_pair(x, y)
    if not (isinstance(p, Samples) and isinstance(q, Samples)):
        raise InputError("kl_neighbours takes samples (n, d) on both sides.", "kl takes distributions that are known.")
    n, m = len(p.points), len(q.points)
    if k < 1 or n <= k + 1 or m < k:
        raise InputError(f"{n} and {m} samples have no {k} neighbours each.", "Give more samples or a smaller k.")
    own = cKDTree(p.points).query(p.points, k=[k + 1])[0][:, 0]  # the nearest of all is the point itself
    other = cKDTree(q.points).query(p.points, k=[k])[0][:, 0]
    if min(own.min(), other.min()) <= 0:
        raise InputError(
            f"{int(((own <= 0) | (other <= 0)).sum())} samples are repeated {k} times: their values have no density.",
            "For values that repeat, compare Discrete.count(x) with Discrete.count(y).",
        )
    terms = p.dimension * (np.log(other) - np.log(own)) + math.log(m / (n - 1))
    return Divergence(float(terms.mean()), "estimate", f"{k} neighbours", float(terms.std(ddof=1) / math.sqrt(n)))
