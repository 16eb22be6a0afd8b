r"""The Inception score: are predicted classes certain for each sample, and different over the samples?

.. math:: \exp E_x\, KL\bigl(p(y \mid x) \,\|\, p(y)\bigr), \qquad p(y) = E_x\, p(y \mid x)

(Salimans et al. 2016, arXiv:1606.03498, section 4), from 1 to the number of classes. It never looks at real data, so a
sampler with one fixed picture a class has the best score there is; and the name belongs to the Inception network's
probabilities only.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ...errors import InputError
from .inputs import rows


def inception_score(probabilities: Any, splits: int = 10) -> tuple[float, float]:
    """Mean and sample standard deviation over `splits` parts of the score of probabilities (n, classes).

    Part i holds the rows i, i + splits, ...: samples that come sorted by class are in every part. With one split the
    deviation is NaN.

    Raises:
        InputError: rows that are no probabilities summing to one; not from 1 to n splits; values that are not finite.
    """
    p = rows(probabilities, "probabilities")
    low, total = p.min(1).values, p.sum(1)
    bad = (low < 0) | ((total - 1).abs() > 1e-4)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        what = f"the sum is {float(total[row]):.6g}" if low[row] >= 0 else f"there is a {float(low[row]):.3g}"
        raise InputError(f"probabilities, row {row}: {what}.", "Each row holds probabilities that sum to one.")
    if not 1 <= splits <= len(p):
        raise InputError(f"splits is {splits}.", f"From 1 to {len(p)}, the number of rows.")
    scores = []
    for i in range(splits):
        part = p[i::splits]
        divergence = torch.xlogy(part, part) - torch.xlogy(part, part.mean(0))
        scores.append(math.exp(float(divergence.sum(1).mean())))
    values = torch.tensor(scores, dtype=torch.float64)
    return float(values.mean()), float(values.std()) if splits > 1 else math.nan
