r"""Exact densities and entropies of distributions on the plane, in float64.

Mixtures of Gaussians and uniform squares have closed forms. A noisy curve, :math:`x = c(t) + b\,u + \sigma z` with
:math:`t \sim p(t)` on an interval, :math:`u` uniform on the unit square and :math:`z` standard normal, has

.. math:: p(x) = \int p(t) \prod_{i=1,2} k(x_i - c_i(t))\,dt,
   \qquad k(d) = \frac{1}{b}\Big[\Phi\Big(\frac{d}{\sigma}\Big) - \Phi\Big(\frac{d - b}{\sigma}\Big)\Big]

(a Gaussian when :math:`b = 0`), computed by Gauss-Legendre quadrature. Entropies are integrals over the plane by the
trapezoidal rule, which converges exponentially for such smooth functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

_BLOCK = 1 << 22
"""Values of a temporary array."""
_NODES = 16
"""Of each panel of the quadrature; a panel is as long as four standard deviations of the noise."""
_REACH = 9.0
"""Standard deviations after which a Gaussian is nothing: e^-40."""
_LINES = 2048
"""Of a grid, along one axis, at most."""


class Density:
    """A distribution on the plane whose density is known."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-densities (n,) in nats of points (n, 2)."""
        raise NotImplementedError

    def entropy(self) -> float | None:
        """Differential entropy in nats; None when it cannot be computed to 1e-6."""
        raise NotImplementedError


class Mixture(Density):
    """Gaussians of equal weight and one isotropic standard deviation.

    Args:
        centres: (k, 2). std: above 0. alike: how many of the first centres stand for all, by symmetry.
    """

    def __init__(self, centres: Tensor, std: float, alike: int | None = None):
        self.centres, self.std, self.alike = centres.double(), std, alike

    def log_prob(self, x: Tensor) -> Tensor:
        """The exact log density of points (n, 2): (n,) float64."""
        constant = math.log(2 * math.pi * self.std**2 * len(self.centres))
        parts = []
        for block in x.double().split(max(1, _BLOCK // len(self.centres))):
            squares = (block[:, None] - self.centres).square().sum(-1)
            parts.append(torch.logsumexp(-squares / (2 * self.std**2), 1) - constant)
        return torch.cat(parts)

    def entropy(self) -> float:
        """By the trapezoidal rule around each centre; the error is below 1e-9."""
        step = 0.15
        line = torch.arange(-_REACH, _REACH + step / 2, step, dtype=torch.float64)
        z = torch.cartesian_prod(line, line)
        weight = torch.exp(-z.square().sum(1) / 2) * (step**2 / (2 * math.pi))
        centres = self.centres[: self.alike]
        return float(-sum(weight @ self.log_prob(c + self.std * z) for c in centres) / len(centres))


class Squares(Density):
    """Uniform on squares of a side: those of integer corners (i, j) * side with i + j even, within -limit..limit."""

    def __init__(self, side: float, limit: float):
        self.side, self.limit = side, limit
        self.area = (2 * limit) ** 2 / 2

    def log_prob(self, x: Tensor) -> Tensor:
        """The exact log density of points (n, 2): (n,) float64."""
        x = x.double()
        cell = torch.floor(x / self.side)
        inside = ((x >= -self.limit) & (x < self.limit)).all(1) & (cell.sum(1) % 2 == 0)
        return torch.full_like(x[:, 0], -math.inf).masked_fill(inside, -math.log(self.area))

    def entropy(self) -> float:
        """The logarithm of the area, exactly."""
        return math.log(self.area)


def _even(curve: Callable[[Tensor], Tensor], low: float, high: float, length: float) -> Tensor:
    """Values of t from low to high between which the curve is about `length` long."""
    t = torch.linspace(low, high, 20_001, dtype=torch.float64)
    along = torch.cat([torch.zeros(1), curve(t).diff(dim=0).norm(dim=1).cumsum(0)])
    count = max(4, math.ceil(float(along[-1]) / length))
    return torch.from_numpy(np.interp(np.linspace(0, float(along[-1]), count + 1), along.numpy(), t.numpy()))


class Curves(Density):
    """Noisy curves of equal weight.

    Log-densities are exact to 1e-6 nats within ten standard deviations of a curve.

    Args:
        curves: functions from t (m,) to points (m, 2). low, high: the range of t. weight: its density, (m,) to (m,).
        std: of the noise, above 0.
        boxes: (lowest corner, side) of the uniform square added to each curve; side 0 for none.
        panel: length of a quadrature panel in standard deviations.
    """

    def __init__(
        self,
        curves: Sequence[Callable[[Tensor], Tensor]],
        low: float,
        high: float,
        weight: Callable[[Tensor], Tensor],
        std: float,
        boxes: Sequence[tuple[float, float]] | None = None,
        panel: float = 4.0,
    ):
        nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(_NODES))
        edges = _even(curves[0], low, high, panel * std)
        half = (edges[1:] - edges[:-1]) / 2
        t = ((edges[1:] + edges[:-1]) / 2)[:, None] + half[:, None] * nodes
        one = (half[:, None] * weights * weight(t)).flatten() / len(curves)
        boxes = boxes or [(0.0, 0.0)] * len(curves)
        self.std, self.side = std, boxes[0][1]
        points = [curve(t.flatten()) + corner + self.side / 2 for curve, (corner, _) in zip(curves, boxes)]
        self.points, self.weights = torch.cat(points), one.repeat(len(curves))

    def _kernel(self, d: Tensor) -> Tensor:
        """k at distances d from the middle of the noise."""
        if not self.side:
            return torch.exp(-(d.square()) / (2 * self.std**2)) / (self.std * math.sqrt(2 * math.pi))
        scale = self.std * math.sqrt(2.0)
        d = d.abs()  # both terms are then tails, and their difference keeps its digits
        return (torch.erfc((d - self.side / 2) / scale) - torch.erfc((d + self.side / 2) / scale)) / (2 * self.side)

    def _log_kernel(self, d: Tensor) -> Tensor:
        """Its logarithm, also where it is too small for a number."""
        if not self.side:
            return -d.square() / (2 * self.std**2) - math.log(self.std * math.sqrt(2 * math.pi))
        scale = self.std * math.sqrt(2.0)
        near, far = (d.abs() - self.side / 2) / scale, (d.abs() + self.side / 2) / scale
        tail = torch.special.erfcx(near) - torch.exp(near.square() - far.square()) * torch.special.erfcx(far)
        log_tail = tail.log() - near.square() - math.log(2 * self.side)
        return torch.where(near > 1, log_tail, self._kernel(d).log())

    def log_prob(self, x: Tensor) -> Tensor:
        """The exact log density of points (n, 2): (n,) float64."""
        parts = []
        for block in x.double().split(max(1, _BLOCK // len(self.points))):
            d = block[:, None] - self.points
            density = (self._kernel(d[..., 0]) * self._kernel(d[..., 1])) @ self.weights
            values = density.log()
            far = density < 1e-280
            if bool(far.any()):
                d = d[far]
                logs = self._log_kernel(d[..., 0]) + self._log_kernel(d[..., 1]) + self.weights.log()
                values[far] = torch.logsumexp(logs, 1)
            parts.append(values)
        return torch.cat(parts)

    def entropy(self) -> float | None:
        """On a grid of a quarter standard deviation, to 1e-8; None for noise so narrow that this needs 2,048 lines."""
        step = self.std / 4
        margin = _REACH * self.std + self.side / 2
        low, high = self.points.min(0).values - margin, self.points.max(0).values + margin
        if float((high - low).max()) / step > _LINES:
            return None
        lines = [torch.arange(float(a), float(b), step, dtype=torch.float64) for a, b in zip(low, high)]
        density = torch.zeros(len(lines[0]), len(lines[1]), dtype=torch.float64)
        for points, weights in zip(self.points.split(_LINES), self.weights.split(_LINES)):
            across, down = (self._kernel(line[:, None] - points[:, i]) for i, line in enumerate(lines))
            density += (across * weights) @ down.T  # the kernel is a product
        return float(-torch.xlogy(density, density).sum() * step**2)
