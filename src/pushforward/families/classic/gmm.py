r"""Gaussian mixtures.

.. math:: p(x) = \sum_{k=1}^{K} w_k \, \mathcal{N}(x; \mu_k, \Sigma_k)

fitted by expectation-maximization (Dempster, Laird, Rubin 1977) with scikit-learn, in float64. Without a number
of components, the Bayesian information criterion (Schwarz 1978) chooses it:
:math:`\mathrm{BIC} = P \log n - 2 \sum_i \log p(x_i)` for P free parameters, the lower the better. BIC assumes
regular models, so it does not see those in which a component holds too few rows for its covariance.

Conditions: one mixture a class; for a vector c, a mixture of the joint (x, c), conditioned exactly,

.. math:: p(x \mid c) = \sum_k w_k(c) \, \mathcal{N}\!\left(x;\ \mu_k^x + G_k (c - \mu_k^c),\
    \Sigma_k^{xx} - G_k \Sigma_k^{cx}\right), \quad G_k = \Sigma_k^{xc} (\Sigma_k^{cc})^{-1}, \quad
    w_k(c) \propto w_k \, \mathcal{N}(c; \mu_k^c, \Sigma_k^{cc})

(Bishop 2006, eq. 2.81, 2.82 and sec. 9.2). With the joint ordered (c, x) and :math:`\Sigma = L L^\top`, these
are blocks of L: :math:`G = L_{xc} L_{cc}^{-1}`, and the conditional covariance is :math:`L_{xx} L_{xx}^\top`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import ModelSettings
from ...dataset import Dataset, join
from ...errors import InputError
from ...likelihood import LogProb
from ...model import GenerativeModel, Resizable
from ...noise import Noise
from ...spaces import Classes, Real, Space

Covariance = Literal["full", "tied", "diagonal", "spherical"]

# By default EM sees at most this many numbers, and the search for the components a quarter of them: minutes on one
# core for images of 28x28. Full covariances take d^2 operations a row and component, so they end at 128 numbers.
_NUMBERS = 2**23
_FULL_DIMENSIONS = 128
_GRID = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200)


class GMMSettings(ModelSettings):
    """Options of `gmm`."""

    components: int | None = Field(None, ge=1, description="of each mixture; None: chosen by BIC")
    max_components: int = Field(64, ge=1, description="the most that BIC may choose")
    covariance: Literal["auto", "full", "tied", "diagonal", "spherical"] = Field(
        "auto", description="auto: full or diagonal by BIC, and diagonal above 128 numbers an example"
    )
    regularization: float = Field(
        1e-6,
        gt=0,
        description="added to every variance, in standardized units (pixels: on [-1, 1])",
    )
    restarts: int = Field(2, ge=1, description="EM runs from different k-means starts; the likeliest is kept")
    max_iterations: int = Field(100, ge=1, description="EM steps of one run")
    tolerance: float = Field(1e-3, gt=0, description="EM stops when a step gains fewer nats per example")
    max_rows: int | None = Field(
        None, ge=2, description="rows that EM sees, drawn uniformly; None: as many as 2^23 numbers"
    )
    search_rows: int | None = Field(
        None, ge=2, description="rows that the search for the components sees; None: as many as 2^21 numbers"
    )


class GMM(Resizable, GenerativeModel):
    """A mixture of Gaussians over real vectors or (flattened) real images. Unfitted, it is N(0, I).

    Buffers, with C mixtures (one a class), K components and D numbers (a vector condition, then x):
        log_weights: (C, K), -inf for the components that a class does not use.
        means: (C, K, D).
        factor: standard deviations (C, K, D) or (C, K, 1), or lower Cholesky factors (C, K, D, D); when tied
            (C, 1, D, D).

    Attributes:
        bic_table: rows {mixture, covariance, components, bic} of the last fit's search; not saved.
    """

    Settings = GMMSettings
    supports = (Real,)
    log_weights: Tensor
    means: Tensor
    factor: Tensor

    def __init__(
        self,
        settings: GMMSettings,
        space: Space,
        condition_space: Space | None = None,
        networks: dict[str, nn.Module] | None = None,
    ):
        super().__init__(space, condition_space)
        if networks:
            raise InputError(f"gmm has no networks, but {sorted(networks)} were given.", "Leave them out.")
        self.settings = settings
        self.d = math.prod(space.shape)
        self.classes, self.c = 1, 0
        if isinstance(condition_space, Classes):
            self.classes = condition_space.count
        elif condition_space is not None:
            self.c = condition_space.dimensions
        total = self.c + self.d
        self.register_buffer("log_weights", torch.zeros(self.classes, 1, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(self.classes, 1, total, dtype=torch.float64))
        self.register_buffer("factor", torch.ones(self.classes, 1, total, dtype=torch.float64))
        self.bic_table: list[dict[str, Any]] = []

    @property
    def code_space(self) -> Space | None:
        """Responsibilities of the K components, which are known once the model is fitted or loaded."""
        return Real((self.log_weights.shape[1],))

    @code_space.setter
    def code_space(self, value: Space | None) -> None:
        """Decided by the fit; what the base class sets is dropped."""

    # ------------------------------------------------------------------------------------------- fitting

    @torch.no_grad()
    def start(self, data: Dataset | None, noise: Noise) -> None:
        """Fit every mixture. A class with fewer than two rows gets the mixture of all rows, with a warning.

        Raises:
            InputError: fewer than two rows, or fewer rows than `components`.
        """
        if data is None:
            raise InputError("gmm is fitted to data, and there are none.", "Give a dataset.")
        rows, condition = self._rows(data, noise)
        seed = int(noise.at(1001)[:1].uniform(1, dtype=torch.float64)[0, 0] * 2**31)
        groups: list[Tensor] = [rows]
        if isinstance(self.condition_space, Classes):
            groups = [rows[condition == k] for k in range(self.classes)]
            empty = [k for k, g in enumerate(groups) if len(g) < 2]
            if empty:
                warnings.warn(
                    f"gmm: classes {empty} have fewer than two rows; they use the mixture of all rows.",
                    stacklevel=2,
                )
            groups = [rows if k in empty else g for k, g in enumerate(groups)]
        smallest = min(len(g) for g in groups)
        if smallest < max(2, self.settings.components or 1):
            raise InputError(
                f"gmm: a mixture of {self.settings.components or 1} components was asked of {smallest} rows.",
                "It takes at least two rows, and as many as components.",
            )
        self._store(self._search(groups, seed), self.log_weights.device)

    def _rows(self, data: Dataset, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """A uniform subsample (m, D) in random order, led by a vector condition, and the classes (m,)."""
        limit = self.settings.max_rows or max(2, _NUMBERS // (self.c + self.d))
        order = noise.at(1000).uniform(1, dtype=torch.float64)[:, 0].argsort()[:limit]
        parts = [data.gather(i.to(data.device), noise[i]) for i in order.split(4096)]
        x = torch.cat([p[0].detach().cpu().double().flatten(1) for p in parts])
        condition = join([p[1] for p in parts])
        if self.c:
            x = torch.cat([condition.cpu().double().flatten(1), x], 1)
        return x, condition.cpu() if isinstance(self.condition_space, Classes) else None

    def _search(self, groups: list[Tensor], seed: int) -> list[Any]:
        """A fitted scikit-learn mixture for every group, all of the covariance type with the least total BIC."""
        asked = self.settings.covariance
        kinds: tuple[Covariance, ...] = (asked,) if asked != "auto" else ("diagonal", "full")
        if asked == "auto" and self.c + self.d > _FULL_DIMENSIONS:
            kinds = ("diagonal",)
        self.bic_table = []
        best: tuple[float, list[Any]] | None = None
        for kind in kinds:
            found = [self._choose(g.numpy(), kind, i, seed) for i, g in enumerate(groups)]
            total = sum(bic for _, bic in found)
            if best is None or total < best[0]:
                best = total, [m for m, _ in found]
        assert best is not None
        return [
            m if hasattr(m, "weights_") else self._em(g.numpy(), m.n_components, m.covariance_type, seed)
            for m, g in zip(best[1], groups)
        ]

    def _choose(self, rows: Any, kind: Covariance, mixture: int, seed: int) -> tuple[Any, float]:
        """(mixture, BIC): still unfitted, with the chosen number, where the search saw a part of the rows."""
        fixed = self.settings.components
        decided = fixed is not None and kind == self.settings.covariance
        limit = self.settings.search_rows or max(2, _NUMBERS // 4 // rows.shape[1])
        part = rows if decided else rows[:limit]
        grid = [k for k in _GRID if k <= min(self.settings.max_components, len(part) // 2)] or [1]
        best: tuple[Any, float] | None = None
        worse = 0
        for k in [fixed] if fixed is not None else grid:
            model = self._em(part, min(k, len(part)), kind, seed)
            bic = float(model.bic(part)) if _regular(model, len(part)) else math.inf
            self.bic_table.append({"mixture": mixture, "covariance": kind, "components": k, "bic": bic})
            worse = 0 if best is None or bic < best[1] else worse + 1
            if worse == 0:
                best = model, bic
            elif worse == 3:  # BIC is noisy in k: one bad start is no reason to stop
                break
        assert best is not None
        if best[1] == math.inf and kind == self.settings.covariance:
            warnings.warn(
                f"gmm: {len(rows)} rows of {self.c + self.d} numbers are too few for {kind} covariances: "
                "likelihoods of new data will be poor. Choose covariance=diagonal or fewer components.",
                stacklevel=2,
            )
        if len(part) < len(rows):
            return self._unfitted(fixed or best[0].n_components, kind, seed), best[1]
        return best

    def _unfitted(self, components: int, kind: str, seed: int) -> Any:
        from sklearn.mixture import GaussianMixture

        names = {"diagonal": "diag"}
        return GaussianMixture(
            components,
            covariance_type=names.get(kind, kind),
            reg_covar=self.settings.regularization,
            n_init=self.settings.restarts if components > 1 else 1,
            max_iter=self.settings.max_iterations,
            tol=self.settings.tolerance,
            random_state=seed,
        )

    def _em(self, rows: Any, components: int, kind: str, seed: int) -> Any:
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            # Stopping after max_iterations is a choice, and repeated rows make k-means report fewer clusters.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self._unfitted(components, kind, seed).fit(rows)

    def _store(self, fits: list[Any], device: torch.device) -> None:
        """Stack the mixtures of all classes; unused components get log-weight -inf and a unit factor."""
        total, most = self.c + self.d, max(m.n_components for m in fits)
        weights = torch.full((len(fits), most), -math.inf, dtype=torch.float64)
        means = torch.zeros(len(fits), most, total, dtype=torch.float64)
        factors = []
        for i, m in enumerate(fits):
            k = m.n_components
            weights[i, :k] = torch.from_numpy(m.weights_).log()
            means[i, :k] = torch.from_numpy(m.means_)
            covariance = torch.from_numpy(m.covariances_)
            if m.covariance_type in ("full", "tied"):
                factor = torch.linalg.cholesky(covariance.view(-1, total, total))
                unused = torch.eye(total, dtype=torch.float64).expand(most - k, total, total)
            else:
                factor = covariance.view(k, -1).sqrt()
                unused = torch.ones(most - k, factor.shape[1], dtype=torch.float64)
            factors.append(factor if m.covariance_type == "tied" else torch.cat([factor, unused]))
        self.log_weights, self.means = weights.to(device), means.to(device)
        self.factor = torch.stack(factors).to(device)

    # ----------------------------------------------------------------------------------- the distribution

    def _components(self, i: int) -> list[tuple[Tensor, Tensor]]:
        """(mean (D,), factor) of every component of mixture i."""
        means, factors = self.means[i].double(), self.factor[i].double()
        return list(zip(means, factors.expand(len(means), *factors.shape[1:])))

    def _joint(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """log p(k, x | c), (n, K), of x (n, d)."""
        out = torch.empty(len(x), self.log_weights.shape[1], dtype=torch.float64, device=x.device)
        log_weights = self._log_weights(condition, len(x))
        for i, rows in self._mixtures(condition, len(x)):
            parts = []
            for mean, factor in self._components(i):
                centre, scale = self._given(mean, factor, condition, rows)
                parts.append(_log_normal(x[rows], centre, scale))
            out = out.index_put((rows,), torch.stack(parts, 1))
        return out + log_weights

    def _log_weights(self, condition: Tensor | None, n: int) -> Tensor:
        """log p(k | c), (n, K)."""
        if condition is None:
            return self.log_weights.double().expand(n, -1)
        if not self.c:
            return self.log_weights.double()[condition]
        flat = condition.double().flatten(1)
        parts = [_log_normal(flat, m[: self.c], _leading(f, self.c)) for m, f in self._components(0)]
        return (torch.stack(parts, 1) + self.log_weights[0]).log_softmax(1)

    def _given(self, mean: Tensor, factor: Tensor, condition: Tensor | None, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (m, d) or (d,) and factor of x given the condition, within one component."""
        c = self.c
        if not c:
            return mean, factor
        if factor.ndim == 1:  # x and c are independent within a component
            return mean[c:], factor if len(factor) == 1 else factor[c:]
        assert condition is not None
        difference = condition[rows].double().flatten(1) - mean[:c]
        white = torch.linalg.solve_triangular(factor[:c, :c], difference.T, upper=False).T
        return mean[c:] + white @ factor[c:, :c].T, factor[c:, c:]

    def _mixtures(self, condition: Tensor | None, n: int) -> list[tuple[int, Tensor]]:
        """(mixture, rows that it is responsible for), for the mixtures with rows."""
        if not isinstance(self.condition_space, Classes):
            return [(0, torch.arange(n, device=self.means.device))]
        assert condition is not None
        return [(int(k), (condition == k).nonzero()[:, 0]) for k in condition.unique()]

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        return LogProb(torch.logsumexp(self._joint(x.double().flatten(1), condition), 1))

    def density_method(self, **options: Any) -> str:
        return "sum over the components"

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Any:
        """Responsibilities p(k | x, c), (n, K); with noise, a draw of k as a one-hot vector."""
        logits = self._joint(x.double().flatten(1), condition)
        if noise is None:
            return logits.softmax(1).to(self.space.dtype)
        return torch.nn.functional.one_hot(noise.categorical(logits), logits.shape[1]).to(self.space.dtype)

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Any:
        r"""The mean :math:`\sum_k z_k \, \mathbb{E}[x \mid k, c]`; with noise, a draw of k ~ z and then of x.

        Raises:
            InputError: weights that are negative or all zero.
        """
        z = z.double()
        if bool(((z < 0).any(1) | (z.sum(1) <= 0)).any()):
            raise InputError("codes of gmm are weights of its components.", "Give values of at least 0, not all 0.")
        z = z / z.sum(1, keepdim=True)
        if noise is not None:
            return self._emit(noise.categorical(z.log()), condition, noise)
        out = torch.zeros(len(z), self.d, dtype=torch.float64, device=z.device)
        for i, rows in self._mixtures(condition, len(z)):
            for k, (mean, factor) in enumerate(self._components(i)):
                out[rows] += z[rows, k, None] * self._given(mean, factor, condition, rows)[0]
        return self._shaped(out)

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Any:
        return self._emit(noise.categorical(self._log_weights(condition, len(noise))), condition, noise)

    def _emit(self, component: Tensor, condition: Tensor | None, noise: Noise) -> Tensor:
        """x (n, *shape) of components (n,): mu + L epsilon."""
        epsilon = noise.normal(self.d, dtype=torch.float64)
        out = torch.empty_like(epsilon)
        for i, rows in self._mixtures(condition, len(component)):
            for k, (mean, factor) in enumerate(self._components(i)):
                mine = rows[component[rows] == k]
                if len(mine) == 0:
                    continue
                centre, scale = self._given(mean, factor, condition, mine)
                step = epsilon[mine] * scale if scale.ndim == 1 else epsilon[mine] @ scale.T
                out[mine] = centre + step
        return self._shaped(out)

    def _shaped(self, x: Tensor) -> Tensor:
        return x.view(len(x), *self.space.shape).to(self.space.dtype)


def _regular(model: Any, n: int) -> bool:
    """Whether every component holds enough of the n rows for its covariance not to be (nearly) singular."""
    d = model.means_.shape[1]
    held = model.weights_ * n
    if model.covariance_type == "full":
        return bool(held.min() > d + 1)
    if model.covariance_type == "tied":
        return bool(n > d + model.n_components)
    return bool(held.min() >= 4)


def _leading(factor: Tensor, count: int) -> Tensor:
    """The factor of the marginal of the first `count` numbers."""
    return factor[:count, :count] if factor.ndim == 2 else factor[:count]


def _log_normal(x: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """log N(x; mean, L L^T) of x (n, d), with L a Cholesky factor (d, d) or deviations (d,) or (1,)."""
    d = x.shape[1]
    difference = x - mean
    if factor.ndim == 1:
        white = difference / factor
        log_det = factor.log().expand(d).sum()
    else:
        white = torch.linalg.solve_triangular(factor, difference.T, upper=False).T
        log_det = factor.diagonal().log().sum()
    return -0.5 * white.square().sum(1) - log_det - 0.5 * d * math.log(2 * math.pi)


MODEL = GMM
