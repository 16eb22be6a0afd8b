r"""Kernel density estimation: the Parzen window (Rosenblatt 1956; Parzen 1962).

.. math:: p(x) = \frac{1}{n} \sum_{i=1}^{n} K_h(x - x_i), \qquad K_h(u) = h^{-d} K(u / h)

with a Gaussian, an Epanechnikov (:math:`K \propto 1 - |u|^2` on the unit ball) or a tophat kernel (uniform on the
unit ball). The bandwidth h maximizes the leave-one-out likelihood (Habbema, Hermans, van den Broek 1974; Duin 1976)

.. math:: \sum_i \log \frac{1}{n - 1} \sum_{j \ne i} K_h(x_i - x_j).

Exact copies of a point are left out with it: with them, repeated rows would pull h to zero. With a class, the sums
run over the points of that class. With a vector condition c they are weighted by a Gaussian kernel
:math:`w_i(c) \propto \exp(-|c - c_i|^2 / 2 g^2)` (Rosenblatt 1969), and both h and g are cross-validated.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
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
from ...spaces import Classes, Space

Kernel = Literal["gaussian", "epanechnikov", "tophat"]

# A kernel of bandwidth 1 has standard deviation 1 per axis (Gaussian) or 1 / sqrt(d + this). It is also how many
# extra coordinates a uniform point on a sphere has whose first d follow the kernel (`_kernel_draw`).
_EXTRA = {"epanechnikov": 4, "tophat": 2}
# Pairs (query, point) at a time: 4 MiB in float64, which the caches of a core nearly hold.
_PAIRS = 2**19


class KDESettings(ModelSettings):
    """Options of `kde`."""

    kernel: Kernel = "gaussian"
    bandwidth: float | Literal["cross-validation", "scott", "silverman"] = Field(
        "cross-validation", description="a number is in standardized units (pixels: on [-1, 1])"
    )
    condition_bandwidth: float | Literal["cross-validation"] = Field(
        "cross-validation", description="of a vector condition, in standardized units"
    )
    max_points: int | None = Field(10_000, ge=2, description="kernels: a uniform subsample above; None: all rows")
    queries: int = Field(1_000, ge=2, description="points that cross-validation averages over")


class KDE(Resizable, GenerativeModel):
    """A kernel at every training point. Unfitted, it is one kernel of bandwidth 1 at the origin.

    Buffers: `points` (m, d); `bandwidth`, 0-dim; `labels` (m,) classes, or (m, k) vector conditions;
    `condition_bandwidth`, 0-dim.
    """

    Settings = KDESettings
    points: Tensor
    bandwidth: Tensor
    labels: Tensor
    condition_bandwidth: Tensor

    def __init__(
        self,
        settings: KDESettings,
        space: Space,
        condition_space: Space | None = None,
        networks: dict[str, nn.Module] | None = None,
    ):
        super().__init__(space, condition_space)
        if networks:
            raise InputError(f"kde has no networks, but {sorted(networks)} were given.", "Leave them out.")
        for name in ("bandwidth", "condition_bandwidth"):
            value = getattr(settings, name)
            if isinstance(value, float) and not 0 < value < math.inf:
                raise InputError(f"kde: {name} is {value}.", "It must be a positive number.")
        self.settings = settings
        self.d = math.prod(space.shape)
        self.by_class = isinstance(condition_space, Classes)
        shape = () if condition_space is None or self.by_class else (condition_space.dimensions,)
        self.register_buffer("points", torch.zeros(1, self.d, dtype=space.dtype))
        self.register_buffer("bandwidth", torch.ones((), dtype=torch.float64))
        self.register_buffer("labels", torch.zeros(1, *shape, dtype=torch.int64 if self.by_class else torch.float32))
        self.register_buffer("condition_bandwidth", torch.ones((), dtype=torch.float64))

    # ------------------------------------------------------------------------------------------- fitting

    @torch.no_grad()
    def start(self, data: Dataset | None, noise: Noise) -> None:
        """Keep the points (or `max_points` of them) and choose the bandwidths.

        Raises:
            InputError: fewer than two points, or nothing but copies of one point, when a bandwidth is to be chosen.
        """
        if data is None:
            raise InputError("kde is fitted to data, and there are none.", "Give a dataset.")
        order = noise.at(1000).uniform(1, dtype=torch.float64)[:, 0].argsort()[: self.settings.max_points]
        parts = [data.gather(i.to(data.device), noise[i]) for i in order.split(4096)]
        self.points = torch.cat([p[0].flatten(1) for p in parts]).to(self.points.device, self.space.dtype)
        condition = join([p[1] for p in parts])
        if condition is not None:
            flat = condition if self.by_class else condition.flatten(1)
            self.labels = flat.to(self.labels.device, self.labels.dtype)
        else:
            self.labels = self.labels.new_zeros(len(self.points))
        self._choose_bandwidths()

    def _choose_bandwidths(self) -> None:
        asked, asked_condition = self.settings.bandwidth, self.settings.condition_bandwidth
        if isinstance(asked, float):
            self.bandwidth.fill_(asked)
        else:
            rule = asked if asked == "silverman" else "scott"
            self.bandwidth.fill_(self._rule(self.points, rule, self.settings.kernel))
        vector = self.condition_space is not None and not self.by_class
        if vector:
            start = (
                self._rule(self.labels, "scott", "gaussian") if isinstance(asked_condition, str) else asked_condition
            )
            self.condition_bandwidth.fill_(start)
        free = [self.bandwidth] if asked == "cross-validation" else []
        free += [self.condition_bandwidth] if vector and isinstance(asked_condition, str) else []
        # The optimal bandwidths of a pair depend on each other: two rounds, one after the other.
        for _ in range(len(free)):
            for target in free:
                self._cross_validate(target)

    def _rule(self, x: Tensor, rule: str, kernel: Kernel) -> float:
        """Scott's or Silverman's rule for the mean deviation per axis, for a kernel of that deviation."""
        n, d = x.shape
        spread = float(x.double().var(0).mean().sqrt()) if n > 1 else 0.0
        if spread == 0.0:
            raise InputError(f"kde: all {n} points are the same.", "Set the bandwidth to a number.")
        factor = (n if rule == "scott" else n * (d + 2) / 4) ** (-1 / (d + 4))
        return spread * factor * math.sqrt(d + _EXTRA[kernel] if kernel in _EXTRA else 1)

    def _cross_validate(self, target: Tensor) -> None:
        """Maximize the leave-one-out likelihood over log `target`: a grid, then a golden-section search."""
        rule, count = float(target), min(len(self.points), self.settings.queries)
        points = self.points.double()
        points = points - points.mean(0)
        step = max(1, _PAIRS // len(points))
        rows = torch.arange(count, device=points.device).split(step)
        # All squared distances once, (queries, points); copies of a query (and itself) are left out.
        table = torch.cat([_squared_distances(points[i], points) for i in rows])
        left_out = table <= 1e-14 * points.square().sum(1).max()
        if self.by_class:
            left_out |= self.labels[:count, None] != self.labels[None]
        table.masked_fill_(left_out, math.inf)
        nearest = table.min(1).values
        kept = nearest.isfinite()  # a point without any other in its class says nothing
        if not bool(kept.any()):
            raise InputError("kde: there are no two different points.", "Set the bandwidth to a number.")
        table, nearest = table[kept], nearest[kept]
        log_count = (~left_out[kept]).sum(1).log()
        between = None
        if self.condition_space is not None and not self.by_class:
            labels = self.labels.double()
            between = _squared_distances(labels[:count][kept], labels).masked_fill_(left_out[kept], math.inf)
            between = (between - between.min(1, keepdim=True).values).float()
        # float32 is twice as fast, and exact enough once what all kernels of a query share is taken out.
        offset = nearest if self.settings.kernel == "gaussian" else torch.zeros_like(nearest)
        table = (table - offset[:, None]).float()
        rows = torch.arange(len(table), device=points.device).split(step)

        def objective(log_h: float) -> float:
            """Mean leave-one-out log-likelihood of the queries."""
            target.fill_(math.exp(log_h))
            total = 0.0
            for i in rows:
                logits = _log_kernel(table[i], self.bandwidth.float(), self.d, self.settings.kernel)
                weights = log_count[i]
                if between is not None:
                    closeness = between[i] / float(-2 * self.condition_bandwidth.square())
                    logits, weights = logits + closeness, closeness.logsumexp(1)
                shared = 0.5 * offset[i] / self.bandwidth.square()
                total += float((logits.logsumexp(1) - weights - shared).sum())
            return total / len(table) if math.isfinite(total) else -math.inf

        low, high = 1e-3 * rule, 10.0 * rule
        if target is self.bandwidth and self.settings.kernel in _EXTRA:
            # A point farther than h from all others has likelihood zero: below this h the objective is -inf.
            low = float(nearest.max().sqrt()) * (1 + 1e-6)
            high = max(high, 4 * low)
        best, at_edge = _maximize(objective, math.log(low), math.log(high))
        target.fill_(math.exp(best))
        if at_edge and target is self.bandwidth and self.settings.kernel == "gaussian":
            warnings.warn(
                f"kde: the bandwidth stopped at its lower bound {math.exp(best):.3g}: "
                "the data are (nearly) repeated points. Likelihoods describe the repetition.",
                stacklevel=2,
            )

    # ----------------------------------------------------------------------------------- the distribution

    def _log_weights(self, condition: Tensor | None, rows: Tensor) -> Tensor:
        """Log-weights of the kernels, normalized, (1 or len(rows), m). A class never seen weighs all alike."""
        m = len(self.points)
        if condition is None:
            return torch.full((1, m), -math.log(m), dtype=torch.float64, device=self.points.device)
        c = condition[rows]
        if self.by_class:
            same = c[:, None] == self.labels[None]
            same = same | ~same.any(1, keepdim=True)
            logits = torch.zeros(same.shape, dtype=torch.float64, device=c.device).masked_fill(~same, -math.inf)
        else:
            squared = _squared_distances(c.double().flatten(1), self.labels.double())
            logits = -0.5 * squared / self.condition_bandwidth.double().square()
        return logits.log_softmax(1)

    def _chunks(self, n: int) -> tuple[Tensor, ...]:
        return torch.arange(n, device=self.points.device).split(max(1, _PAIRS // len(self.points)))

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        points = self.points.double()
        centre = points.mean(0)
        points, flat = points - centre, x.double().flatten(1) - centre
        values = []
        for rows in self._chunks(len(flat)):
            squared = _squared_distances(flat[rows], points)
            logits = _log_kernel(squared, self.bandwidth.double(), self.d, self.settings.kernel)
            values.append(torch.logsumexp(logits + self._log_weights(condition, rows), 1))
        return LogProb(torch.cat(values))

    def density_method(self, **options: Any) -> str:
        return f"mean of {len(self.points):,} kernels"

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Any:
        """A training point, chosen by its weight, plus a draw of the kernel."""
        u = noise.uniform(1, dtype=torch.float64)
        step = _kernel_draw(noise, self.d, self.settings.kernel) * self.bandwidth.double()
        if condition is None:
            chosen = (u[:, 0] * len(self.points)).long()
        else:
            parts = []
            for rows in self._chunks(len(u)):
                ends = self._log_weights(condition, rows).exp().cumsum(1)
                parts.append(torch.searchsorted(ends, u[rows] * ends[:, -1:], right=True)[:, 0])
            chosen = torch.cat(parts)
        x = self.points.double()[chosen.clamp_max(len(self.points) - 1)] + step
        return x.view(len(x), *self.space.shape).to(self.space.dtype)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2, (n, m), by one matrix product; centre the data first, or digits cancel."""
    return (x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.T).clamp_min(0)


def _log_kernel(squared: Tensor, h: Tensor, d: int, kernel: Kernel) -> Tensor:
    """log K_h at squared distances, normalized over R^d; -inf outside a compact kernel."""
    s = squared / h.square()
    if kernel == "gaussian":
        return -0.5 * s - d * h.log() - 0.5 * d * math.log(2 * math.pi)
    log_ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
    inside = s < 1
    shape = torch.zeros_like(s)
    if kernel == "epanechnikov":  # the integral of 1 - r^2 over the unit ball is 2 / (d + 2) of its volume
        shape = torch.log1p(-torch.where(inside, s, 0.0)) + math.log((d + 2) / 2)
    return torch.where(inside, shape - log_ball - d * h.log(), -math.inf)


def _kernel_draw(noise: Noise, d: int, kernel: Kernel) -> Tensor:
    """Draws of K, (n, d).

    The first d coordinates of a uniform point on the unit sphere of R^m have density proportional to
    (1 - r^2)^((m - d) / 2 - 1): uniform on the ball for m = d + 2, Epanechnikov's for m = d + 4.
    """
    if kernel == "gaussian":
        return noise.normal(d, dtype=torch.float64)
    z = noise.normal(d + _EXTRA[kernel], dtype=torch.float64)
    return (z / z.norm(dim=1, keepdim=True))[:, :d]


def _maximize(fn: Callable[[float], float], low: float, high: float, grid: int = 17) -> tuple[float, bool]:
    """(argmax of fn on [low, high], whether it is the lower end): the best of a grid, refined to 0.01."""
    points = [low + (high - low) * i / (grid - 1) for i in range(grid)]
    values = [fn(p) for p in points]
    i = max(range(grid), key=values.__getitem__)
    a, b = points[max(i - 1, 0)], points[min(i + 1, grid - 1)]
    ratio = (math.sqrt(5) - 1) / 2
    c, e = b - ratio * (b - a), a + ratio * (b - a)
    at_c, at_e = fn(c), fn(e)
    while b - a > 1e-2:
        if at_c > at_e:
            b, e, at_e = e, c, at_c
            c = b - ratio * (b - a)
            at_c = fn(c)
        else:
            a, c, at_c = c, e, at_e
            e = a + ratio * (b - a)
            at_e = fn(e)
    middle = (a + b) / 2
    if i == 0 and values[0] >= fn(middle):
        return low, True
    return middle, False


MODEL = KDE
