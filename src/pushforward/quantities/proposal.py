"""Where to draw from for an event of standard normals: Gaussians about the places that splitting found it in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_CLUSTERS, _DIRECTIONS, _FITTED = 5, 8, 1_000
_SHARES = (0.7, 0.25, 0.05)
"""Of the fitted Gaussians, the wider ones and N(0, I)."""
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Gaussian:
    """mean (M,), orthonormal axes (M, M) in columns, and variances along them (M,)."""

    mean: Tensor
    axes: Tensor
    variances: Tensor

    def at(self, z: Tensor) -> Tensor:
        """Draws (n, M) of standard normals z (n, M)."""
        return self.mean + (z * self.variances.sqrt()) @ self.axes.T

    def log_ratio(self, states: Tensor) -> Tensor:
        """Its log density over N(0, I)'s, (n,)."""
        centred = (states - self.mean) @ self.axes
        own = (centred.square() / self.variances).sum(1) + self.variances.log().sum()
        return 0.5 * (states.square().sum(1) - own)


@dataclass(frozen=True)
class Proposal:
    """A mixture q of Gaussians over states, float64.

    Attributes:
        parts: two for each cluster of the particles: one like it, and one of at least unit variance there. N(0, I) is
            in the mixture besides. shares: of the parts, and of N(0, I).
    """

    parts: tuple[Gaussian, ...]
    shares: Tensor

    def __len__(self) -> int:
        """How many clusters."""
        return len(self.parts) // 2

    @staticmethod
    def of(states: Tensor, independent: float) -> Proposal:
        """Of states (n, M) in the event that are worth so many independent ones."""
        clusters = _clusters(states)
        parts: list[Gaussian] = []
        shares: list[float] = []
        roots = [math.sqrt(len(c)) for c in clusters]  # small clusters are drawn from more often than they are large
        for cluster, root in zip(clusters, roots):
            narrow = _shrunk(cluster, independent * len(cluster) / len(states))
            parts += [narrow, Gaussian(narrow.mean, narrow.axes, narrow.variances.clamp_min(1.0))]
            shares += [share * root / sum(roots) for share in _SHARES[:2]]
        return Proposal(tuple(parts), torch.tensor([*shares, _SHARES[2]], dtype=torch.float64))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, M)."""
        part = torch.multinomial(self.shares, n, replacement=True, generator=generator)
        z = torch.randn(n, len(self.parts[0].mean), generator=generator, dtype=torch.float64)
        for k, gaussian in enumerate(self.parts):
            mine = (part == k).nonzero()[:, 0]
            z[mine] = gaussian.at(z[mine])
        return z

    def log_weights(self, states: Tensor) -> Tensor:
        """log phi / q of states (n, M), (n,): at most -log of the share of N(0, I)."""
        ratios = [gaussian.log_ratio(states) for gaussian in self.parts]
        ratios.append(torch.zeros(len(states), dtype=torch.float64))
        return -(torch.stack(ratios, 1) + self.shares.log()).logsumexp(1)

    def weights(self, distance: Callable[[Tensor], Tensor], n: int, seed: int) -> Tensor:
        """phi / q of n draws, 0 for those outside the event, (n,)."""
        generator = torch.Generator().manual_seed(seed)
        found = []
        for begin in range(0, n, _CHUNK):
            states = self.draw(min(_CHUNK, n - begin), generator)
            inside = distance(states) == 0
            found.append(torch.where(inside, self.log_weights(states).exp(), 0.0))
        return torch.cat(found)


def _shrunk(states: Tensor, independent: float) -> Gaussian:
    """The Gaussian of states (n, M), as far as so many independent ones show that it is not N(0, I).

    Variances within the edges of Marchenko and Pastur (1967) are taken to be 1, and means within three standard errors
    to be 0: noise in many directions would cost more than it is worth. Variances below 1 are doubled, for the tails.
    """
    m = states.shape[1]
    independent = max(independent, 2.0)
    mean = states.mean(0)
    centred = states - mean
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(states))
    along = axes.T @ mean
    along = torch.where(along.abs() * math.sqrt(independent) > 3 * variances.clamp_min(0.0).sqrt(), along, 0.0)
    ratio = math.sqrt(m / independent)
    plain = (variances > 0.8 * max(0.0, 1 - ratio) ** 2) & (variances < 1.2 * (1 + ratio) ** 2)
    small = (2 * variances).clamp(1e-4, 1.0)
    return Gaussian(axes @ along, axes, torch.where(plain, 1.0, torch.where(variances < 1, small, variances)))


def _clusters(states: Tensor) -> list[Tensor]:
    """States (n, M) in groups, as many as the Bayesian information criterion sees.

    Gaussian mixtures are fitted in the few directions that differ most from N(0, 1), by their second moments. Four
    relatives are taken to be one state; a group too many costs little.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    n = len(states)
    second, axes = torch.linalg.eigh(states.T @ states / n)
    differs = second - 1 - second.clamp_min(1e-6).log()
    seen = (states @ axes[:, differs.argsort(descending=True)[:_DIRECTIONS]]).numpy()
    some = seen[:: max(1, n // _FITTED)]
    best, least = None, math.inf
    for k in range(1, _CLUSTERS + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit = GaussianMixture(k, covariance_type="full", reg_covar=1e-4, max_iter=50, random_state=0).fit(some)
        d = seen.shape[1]
        parameters = k * (d + d * (d + 1) / 2) + k - 1
        worth = len(some) / 4
        bic = parameters * math.log(worth) - 2 * worth * fit.score(some)
        if bic < least:
            best, least = fit, bic
    assert best is not None
    which = torch.from_numpy(best.predict(seen))
    groups = [states[which == k] for k in range(best.n_components)]
    return [group for group in groups if len(group) > 1]
