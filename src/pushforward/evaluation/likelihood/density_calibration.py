r"""Does a model find the data as likely as its own samples?

If :math:`x \sim p` is what the model says, then :math:`\log p(x)` of held-out data and of the model's samples have one
distribution, whatever p is. Held-out values that are lower mean that the model misses or blurs something (or has
overfitted); values that are higher, that it puts mass where there is none, or that its likelihood is a poor detector
(Nalisnick et al. 2019, arXiv:1810.09136, find flows that prefer other data sets to their own). It works for bounds and
estimates as well: any function of a point has one distribution under one law. Passing proves nothing: two laws can
agree on the distribution of one number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from ...dataset import rows
from ...errors import InputError
from ...model import GenerativeModel
from ...noise import mix_seed


class DensityCalibration(NamedTuple):
    """Log-likelihoods in nats of held-out rows and of the model's own samples, and whether they differ.

    Attributes:
        held_out, own: (n,) each, float64.
        statistic: the largest distance between their distribution functions (Kolmogorov and Smirnov).
        p_value: of that distance or a larger one, if they have the same distribution.
    """

    held_out: np.ndarray
    own: np.ndarray
    statistic: float
    p_value: float


def density_calibration(
    model: GenerativeModel, x: Any, condition: Any = None, *, seed: int = 0, n: int = 2000, **options: Any
) -> DensityCalibration:
    """Log-likelihoods of held-out rows against those of as many samples, drawn under the same conditions.

    Args:
        model: fitted. x, condition: held-out rows, as in `log_prob`; evenly spaced ones of more than n.
        seed: of samples and draws. n: rows at most. options: of `model.density_options`.

    Raises:
        DensityUnavailable: the model is implicit. InputError: fewer than 2 rows, rows of another space.
    """
    from scipy.stats import ks_2samp

    x, condition = model._check_data(x, condition)
    if len(x) < 2 or n < 2:
        raise InputError(f"{min(len(x), n)} row is too few for two distributions.", "Give at least 2.")
    if len(x) > n:
        kept = torch.linspace(0, len(x) - 1, n, dtype=torch.float64).round().long().to(x.device)
        x, condition = rows(x, kept), rows(condition, kept)
    # Draws of their own for the samples: shared ones would tie the two together.
    values = model.log_prob(x, condition, seed=mix_seed(seed, 1), **options).values
    samples = model.sample(len(x), condition, seed=mix_seed(seed, 2))
    own = model.log_prob(samples, condition, seed=mix_seed(seed, 3), **options).values
    first, second = (v.detach().double().cpu().numpy() for v in (values, own))
    found = ks_2samp(first, second)
    return DensityCalibration(first, second, float(found.statistic), float(found.pvalue))
