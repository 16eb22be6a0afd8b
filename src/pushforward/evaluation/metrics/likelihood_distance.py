r"""Feature likelihood divergence: how badly a mixture of Gaussians around the samples predicts held-out examples.

Each sample x_j is the centre of a Gaussian whose width is its own,

.. math:: \hat p(y) = \frac1m \sum_j N(y; x_j, \sigma_j^2 I), \qquad
   \hat\sigma = \arg\max_\sigma \sum_{i \in \text{train}} \log \hat p(t_i),

and held-out examples are scored by it (Jiralerspong et al. 2023, arXiv:2302.04440, sec. 3). A sample that copies a
training example takes a width near 0, which is worth much for that example and nothing for held-out ones: so this
number sees copying, beside fidelity and coverage. It compares samples in a feature space; it is no likelihood of the
model that made them, and is never to be read as one.

The widths are found by expectation maximization (each is the root mean square distance of the training examples that
the sample is responsible for), which raises the likelihood at every step and has no learning rate. The authors use 50
steps of Adam and a further component at the mean of the training data while fitting; there is none here.

Nothing here is a statement about privacy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import InputError
from .distances import exact
from .inputs import blocks, pair, rows

NARROWEST = 0.01
"""The least width, in those of a training example's distance to its nearest other (their median)."""
_KEPT = 1 << 25
"""Squared distances that are kept between steps (256 MiB); more are computed again at each."""
_TINY = 1e-280


@dataclass(frozen=True, eq=False)
class FeatureLikelihood:
    """A mixture around samples, and what it is worth.

    Attributes:
        train_nll, test_nll: mean negative log-likelihood in nats per feature, of the features as they are given.
        value: 100 (test_nll - baseline), lower is better. With a baseline of real rows, 0 is a perfect sampler.
        gap: 100 (train_nll - test_nll): the further below 0, the better the samples know the training examples than
            other data. A perfect sampler is below 0, too, since the widths were fitted to the training examples.
        widths: (m,), of each sample, in standardized features. steps: of the fit.
    """

    train_nll: float
    test_nll: float
    value: float
    gap: float
    widths: Tensor
    steps: int


def feature_likelihood_distance(
    samples: Tensor,
    train: Tensor,
    test: Tensor,
    *,
    baseline: float = 0.0,
    tolerance: float = 1e-4,
    steps: int = 100,
    chunk: int | None = None,
) -> FeatureLikelihood:
    """FLD and the generalization gap of samples (m, d), for training (n, d) and held-out (k, d) features.

    Features are standardized by the training examples; the likelihoods count that, so that they are of the features
    as given. A few thousand rows of each are enough, and the cost of a step is their product.

    The floor is the same number with held-out rows (others than `test`) in the place of samples: see `real_baseline`.

    Args:
        baseline: the test_nll that counts as 0. tolerance: nats per feature below which a step is the last.
        chunk: training rows at a time; by default what fits 1 MiB.

    Raises:
        InputError: no rows, fewer than two training examples, different columns, or values that are not finite.
    """
    t = rows(train, "train", at_least=2)
    x, y = pair(samples, test, ("samples", "test"))
    pair(x, t, ("samples", "train"))
    x, y = x.to(t.device), y.to(t.device)
    mean, scale = t.mean(0), t.std(0)
    scale = torch.where(scale > 1e-12 * (1 + mean.abs()), scale, 1.0)  # a constant feature stays as it is
    x, y, t = ((z - mean) / scale for z in (x, y, t))
    variance, fitted_steps = fit_widths(x, t, tolerance=tolerance, steps=steps, chunk=chunk)
    units = float(scale.log().mean())
    train_nll, test_nll = (units - float(log_density(z, x, variance, chunk=chunk).mean()) / x.shape[1] for z in (t, y))
    value, gap = 100 * (test_nll - baseline), 100 * (train_nll - test_nll)
    return FeatureLikelihood(train_nll, test_nll, value, gap, variance.sqrt(), fitted_steps)


def real_baseline(train: Tensor, test: Tensor, n: int, *, seed: int = 0) -> FeatureLikelihood:
    """The floor: n training rows as samples, the widths fitted to n others; its `test_nll` is the paper's constant.

    Args:
        train: at least 2n rows (N, d). n: samples of each model that is compared with it. seed: of the rows taken.

    Raises:
        InputError: fewer than 2n training examples.
    """
    t = rows(train, "train")
    if n < 2 or len(t) < 2 * n:
        raise InputError(f"a baseline at n={n:,} of {len(t):,} training examples.", "It takes 2n of them, n above 1.")
    order = torch.randperm(len(t), generator=torch.Generator().manual_seed(seed)).to(t.device)
    return feature_likelihood_distance(t[order[:n]], t[order[n : 2 * n]], test)


def fit_widths(
    samples: Tensor, train: Tensor, *, tolerance: float = 1e-4, steps: int = 100, chunk: int | None = None
) -> tuple[Tensor, int]:
    r"""Variances (m,) of samples (m, d) that maximise the likelihood of training rows (n, d); and the steps taken.

    .. math:: r_{ij} = \frac{N(t_i; x_j, \sigma_j^2)}{\sum_k N(t_i; x_k, \sigma_k^2)}, \qquad
       \sigma_j^2 \leftarrow \frac{\sum_i r_{ij} |t_i - x_j|^2}{d \sum_i r_{ij}}

    from the width that is best for the nearest training row alone. A sample that nothing needs keeps its width.
    """
    d = samples.shape[1]
    least = _least_variance(train)
    kept = list(_squares(train, samples, chunk)) if len(train) * len(samples) <= _KEPT else None
    nearest = torch.full_like(samples[:, 0], math.inf)
    for block in kept or _squares(train, samples, chunk):
        nearest = torch.minimum(nearest, block.min(0).values)
    variance = (nearest / d).clamp(min=least)
    before = -math.inf
    for step in range(1, steps + 1):
        total, weight = 0.0, torch.zeros_like(variance)
        squares = torch.zeros_like(variance)
        for block in kept or _squares(train, samples, chunk):
            share = _log_kernels(block, variance, d)
            highest = share.amax(1, keepdim=True)
            share.sub_(highest).exp_()
            whole = share.sum(1)
            total += float(highest.sum() + whole.log().sum())
            weight += whole.reciprocal() @ share
            squares += whole.reciprocal() @ share.mul_(block)
        likelihood = total / (len(train) * d)
        if likelihood - before < tolerance:
            return variance, step
        before = likelihood
        variance = torch.where(weight > _TINY, squares / (d * weight.clamp(min=_TINY)), variance).clamp(min=least)
    return variance, steps


def _least_variance(train: Tensor) -> float:
    """Below any that data call for, above 0: so that copies have a likelihood at all."""
    from .neighbours import nearest

    own = nearest(train, train, exclude_self=True)[0][:, 0]
    apart = own[own > 0]
    typical = float(apart.median()) if len(apart) else 1.0
    return (NARROWEST * typical) ** 2 / train.shape[1]


def log_density(x: Tensor, samples: Tensor, variance: Tensor, *, chunk: int | None = None) -> Tensor:
    """Log-densities (n,) in nats of points (n, d) under the mixture of samples (m, d) with variances (m,)."""
    m, d = samples.shape
    constant = math.log(m) + d / 2 * math.log(2 * math.pi)
    parts = [_log_kernels(block, variance, d).logsumexp(1) - constant for block in _squares(x, samples, chunk)]
    return torch.cat(parts)


def _squares(x: Tensor, samples: Tensor, chunk: int | None) -> Iterator[Tensor]:
    # Blocks of a megabyte stay in a cache.
    return (exact(x[s], samples).square_() for s in blocks(len(x), 32 * len(samples), chunk))


def _log_kernels(squares: Tensor, variance: Tensor, d: int) -> Tensor:
    return torch.mul(squares, -0.5 / variance).sub_(d / 2 * variance.log())
