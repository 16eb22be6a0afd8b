r"""The Vendi score: how many different examples a sample amounts to, without any reference data.

.. math:: VS_q(x) = \exp H_q(\lambda_1, \ldots, \lambda_n)

where :math:`\lambda` are the eigenvalues of :math:`K / n` for a kernel with :math:`k(x, x) = 1`, and :math:`H_q` is
Renyi's entropy of order q, Shannon's at q = 1 (Friedman and Dieng 2022, arXiv:2210.02410, definition 3.1; orders:
Pasarkar and Dieng 2023, arXiv:2310.12952). n equal rows score 1, n rows that are unlike each other score n.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from ...errors import InputError, did_you_mean
from .distances import centre
from .inputs import blocks, rows
from .kernels import gaussian_kernel, median_bandwidth

LIMIT = 5000
"""Rows whose n x n eigenvalues are computed."""


def vendi_score(
    x: Any, bandwidth: float | None = None, *, kernel: Literal["rbf", "cosine"] = "rbf", q: float = 1.0
) -> float:
    r"""The Vendi score of rows x (n, d), in [1, n].

    Args:
        bandwidth: h of the kernel :math:`\exp(-|x - y|^2 / (2 h^2))`. By default `median_bandwidth` of x itself, which
            makes the score blind to scale: to compare samplers, give all of them the real data's.
        kernel: "rbf" (Gaussian), or "cosine" (:math:`\langle x, y \rangle / (|x| |y|)`).
        q: order of the entropy. Lower ones weigh rare kinds more, 2 counts pairs (and takes any n), infinity only the
            commonest kind.

    Raises:
        InputError: more than 5,000 rows where the eigenvalues of an n x n matrix are needed (the Gaussian kernel at
            q other than 2, the cosine of more than 5,000 columns), q not above 0, an unknown kernel, a row of zeros
            with the cosine, values that are not finite.
    """
    a = rows(x, "x")
    if not q > 0:
        raise InputError(f"q is {q}.", "A number above 0; 1 is Shannon's entropy.")
    if kernel == "cosine":
        norm = a.norm(dim=1, keepdim=True)
        if bool((norm == 0).any()):
            raise InputError(f"x, row {int((norm[:, 0] == 0).nonzero()[0])}: all zeros.", "A cosine needs a direction.")
        a = a / norm
        # K = A A' and A' A have the same eigenvalues but for zeros.
        small = a.T @ a if a.shape[1] < len(a) else a @ a.T
        _few(len(small))
        return _hill(torch.linalg.eigvalsh(small / len(a)), q)
    if kernel != "rbf":
        raise InputError(f"kernel is {kernel!r}.", did_you_mean(str(kernel), ("rbf", "cosine")))
    gaussian = gaussian_kernel(median_bandwidth(a, a) if bandwidth is None else bandwidth)
    a = a - centre(a, a)
    if q == 2:  # the sum of squared eigenvalues is that of the squared entries
        total = sum(float((gaussian(a[s], a) ** 2).sum()) for s in blocks(len(a), len(a)))
        return len(a) ** 2 / total
    _few(len(a))
    matrix = gaussian(a, a)
    matrix.fill_diagonal_(1.0)
    return _hill(torch.linalg.eigvalsh((matrix + matrix.T) / (2 * len(a))), q)


def _few(n: int) -> None:
    if n > LIMIT:
        raise InputError(
            f"x has {n:,} rows: the eigenvalues of up to {LIMIT:,} are computed.", "Take fewer rows, or q=2."
        )


def _hill(values: Tensor, q: float) -> float:
    """exp of the entropy of order q of eigenvalues that sum to one, those below zero being rounding."""
    values = values.clamp_min(0)
    if q == 1:
        return math.exp(-float(torch.xlogy(values, values).sum()))
    if math.isinf(q):
        return 1 / float(values.max())
    return float((values**q).sum()) ** (1 / (1 - q))
