r"""Mixtures of Gaussians over numbers: what `gmm` and `kde` are, and what stands in for other models' samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..families.classic.gmm import GMM
from ..families.classic.kde import KDE
from ..model import ConditionTable, GenerativeModel
from ..spaces import Classes

_LOG_2PI = math.log(2 * math.pi)
_ROWS = 2**22
"""Numbers that are worked on at a time."""


@dataclass(frozen=True)
class Mixture:
    r""":math:`\sum_k w_k N(z; \mu_k, \Sigma_k)` over D numbers, float64 on the CPU.

    Attributes:
        log_weights: (K,), normalized. means: (K, D).
        factor: lower Cholesky factors (K, D, D), or standard deviations (K, D) of independent numbers.
        leading: how many of the numbers, the first ones, are a condition and not the model's own.
        classes: (K,) the class that a component belongs to, where the mixture is over all classes.
    """

    log_weights: Tensor
    means: Tensor
    factor: Tensor
    leading: int = 0
    classes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.log_weights)

    @property
    def dimensions(self) -> int:
        return self.means.shape[1]

    @property
    def is_diagonal(self) -> bool:
        return self.factor.ndim == 2

    def covariances(self) -> Tensor:
        """(K, D, D)."""
        return torch.diag_embed(self.factor.square()) if self.is_diagonal else self.factor @ self.factor.mT

    def joint(self, z: Tensor) -> Tensor:
        """log w_k N(z; mu_k, Sigma_k) of z (n, D), (n, K)."""
        if self.is_diagonal:
            inverse = 1 / self.factor
            constant = self.factor.log().sum(1) + 0.5 * self.dimensions * _LOG_2PI
            # |(z - m) / s|^2 by one matrix product each; means near the origin lose no digits that count.
            squares = z.square() @ inverse.square().T - 2 * z @ (self.means * inverse.square()).T
            squares = squares + (self.means * inverse).square().sum(1)
            return self.log_weights - 0.5 * squares.clamp_min(0.0) - constant
        found = []
        for log_weight, mean, factor in zip(self.log_weights, self.means, self.factor):
            white = torch.linalg.solve_triangular(factor, (z - mean).T, upper=False)
            constant = factor.diagonal().log().sum() + 0.5 * self.dimensions * _LOG_2PI
            found.append(log_weight - 0.5 * white.square().sum(0) - constant)
        return torch.stack(found, 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log-density of z (n, D), (n,)."""
        parts = z.double().split(max(1, _ROWS // len(self)))
        return torch.cat([self.joint(part).logsumexp(1) for part in parts])


def is_mixture(core: GenerativeModel) -> bool:
    """Whether the model is a mixture of Gaussians by itself."""
    return isinstance(core, GMM) or (isinstance(core, KDE) and core.settings.kernel == "gaussian")


def mixture_of(core: GenerativeModel, label: int | None = None, conditions: ConditionTable | None = None) -> Mixture:
    """The mixture that a `gmm` or a `kde` is; with a vector condition, that of (condition, numbers).

    Args:
        label: of a model of classes, the class; None is the mixture over all of them.
        conditions: then, how frequent they are.
    """
    if isinstance(core.condition_space, Classes) and label is None:
        assert conditions is not None
        shares = dict(zip(conditions.values.tolist(), conditions.weights.tolist()))
        kept = [k for k, share in shares.items() if share > 0]
        parts = [mixture_of(core, k) for k in kept]
        return Mixture(
            torch.cat([p.log_weights + math.log(shares[k]) for k, p in zip(kept, parts)]),
            torch.cat([p.means for p in parts]),
            torch.cat([p.factor for p in parts]),
            classes=torch.cat([torch.full((len(p),), k) for k, p in zip(kept, parts)]),
        )
    return _of_gmm(core, label or 0) if isinstance(core, GMM) else _of_kde(core, label)


def _of_gmm(core: GMM, mixture: int) -> Mixture:
    log_weights = core.log_weights[mixture].cpu().double()
    used = log_weights > -math.inf
    means = core.means[mixture].cpu().double()
    factor = core.factor[mixture].cpu().double()
    size = factor.shape[1:] if factor.ndim == 3 else (means.shape[1],)
    factor = factor.expand(len(means), *size)
    return Mixture(log_weights[used].log_softmax(0), means[used], factor[used].contiguous(), core.c)


def _of_kde(core: Any, label: int | None) -> Mixture:
    points = core.points.cpu().double()
    deviations = core.bandwidth.cpu().double().expand_as(points)
    leading = 0
    if label is not None:
        same = core.labels.cpu() == label
        points = points[same] if bool(same.any()) else points
        deviations = deviations[: len(points)]
    elif core.condition_space is not None:
        labels = core.labels.cpu().double().flatten(1)
        leading = labels.shape[1]
        points = torch.cat([labels, points], 1)
        deviations = torch.cat([core.condition_bandwidth.cpu().double().expand_as(labels), deviations], 1)
    weights = torch.full((len(points),), -math.log(len(points)), dtype=torch.float64)
    return Mixture(weights, points, deviations.contiguous(), leading)


def fit_mixture(z: Tensor, leading: int = 0, components: int = 8, seed: int = 0) -> Mixture:
    """A mixture fitted to rows z (n, D), with a wide component (a tenth of the weight) that reaches beyond them.

    The wide one keeps importance weights bounded where the rows' distribution has heavier tails (Hesterberg 1995,
    "Weighted average importance sampling and defensive mixture distributions").
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    z = z.cpu().double()
    d = z.shape[1]
    components = max(1, min(components, len(z) // (4 * (d + 1))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = GaussianMixture(
            components, covariance_type="full", reg_covar=1e-4, max_iter=40, tol=1e-3, random_state=seed
        ).fit(z.numpy())
    wide = torch.cov(z.T).view(d, d) * 4 + 1e-2 * torch.eye(d, dtype=torch.float64)
    covariances = torch.cat([torch.from_numpy(found.covariances_), wide[None]])
    weights = torch.cat([torch.from_numpy(found.weights_) * 0.9, torch.tensor([0.1], dtype=torch.float64)])
    means = torch.cat([torch.from_numpy(found.means_), z.mean(0, keepdim=True)])
    return Mixture(weights.log(), means, torch.linalg.cholesky(covariances), leading)
