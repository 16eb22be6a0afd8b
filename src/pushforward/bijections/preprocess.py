r"""From the user's data to the real numbers that most families model, with the log-determinant of the change.

Each preprocessing states what it does to a likelihood:

* exact: a bijection (`Standardize`). :math:`\log p(x) = \log p(z) + \log|\det|`.
* lower: uniform dequantization (`Dequantize`). With :math:`u \sim U[0,1)^D`,
  :math:`\log P(x) \ge \mathbb{E}_u \log p(x + u)` (Theis, van den Oord, Bethge 2016, arXiv:1511.01844, eq. 2-3).
* None: not invertible as a density (`Rescale` puts integers on points of the line); for models without one.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..dataset import Dataset
from ..likelihood import Bound
from ..model import Resizable
from ..noise import Noise
from ..spaces import Interval, Pixels, Real, Space, Table


class Preprocess(Resizable):
    """Data space to codomain. `forward` takes the noise that it may need; None asks for its centre.

    Attributes:
        space: the user's data. codomain: what the model sees.
        bound: what it does to a likelihood: "exact", "lower", or None when no density survives.
        stochastic: whether `forward` draws.
        fitted: whether `fit` has something to learn.
        dequantization: in words, what a stochastic one draws.
    """

    dequantization: str = ""
    stochastic: bool = False
    fitted: bool = False

    def __init__(self, space: Space, codomain: Space):
        super().__init__()
        self.space, self.codomain = space, codomain

    @property
    def bound(self) -> Bound | None:
        """What it does to a likelihood: "exact", "lower", or None when no density survives."""
        return "exact"

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Statistics go to another device, but stay in their own precision: a time in seconds needs its digits."""
        return super()._apply(lambda t: t.to(fn(t).device), recurse)

    def fit(self, data: Dataset) -> None:
        """Learn statistics from training data only."""

    def forward(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        """x (n, *space.shape) to z (n, *codomain.shape) and log |det dz/dx| (n,) in float64."""
        raise NotImplementedError

    def inverse(self, z: Tensor) -> Tensor:
        """z to x, in the data's own type and range."""
        raise NotImplementedError


class Standardize(Preprocess):
    r""":math:`z = (x - \mu) / \sigma`, per column of vectors and per channel of images.

    Statistics and arithmetic are float64: a column such as a time stamp of 1.6e9 keeps its digits. A constant
    column gets :math:`\sigma = 1`.
    """

    fitted = True
    mean: Tensor
    scale: Tensor

    def __init__(self, space: Real):
        super().__init__(space, Real(space.shape))
        shape = space.shape if len(space.shape) <= 1 else (space.shape[0], *[1] * (len(space.shape) - 1))
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(shape, dtype=torch.float64))

    @torch.no_grad()
    def fit(self, data: Dataset) -> None:
        dims = [0, *range(2, 1 + len(self.space.shape))]
        chunks = torch.arange(len(data), device=data.device).split(65_536)

        def mean_of(fn: object) -> Tensor:
            total = torch.zeros_like(self.mean.flatten())
            for i in chunks:
                x = data.gather(i, Noise.of(0, 96, index=i))[0].to(self.mean.device, torch.float64)
                total += fn(x).mean(dims).flatten() * (len(i) / len(data))  # type: ignore[operator]
            return total.view_as(self.mean)

        mean = mean_of(lambda x: x)
        deviation = mean_of(lambda x: (x - mean).square()).sqrt()
        self.mean.copy_(mean)
        # Rounding leaves a constant column with a tiny deviation instead of zero.
        self.scale.copy_(torch.where(deviation > 1e-10 * (1e-30 + mean.abs()), deviation, 1.0))

    def forward(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        z = ((x.double() - self.mean) / self.scale).to(self.codomain.dtype)
        repeats = math.prod(self.space.shape) // max(1, self.scale.numel())
        return z, (-self.scale.log().sum() * repeats).expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return (z.double() * self.scale + self.mean).to(self.space.dtype)


class Unchanged(Preprocess):
    """The data as they are, where only the condition needs preprocessing."""

    def __init__(self, space: Space):
        super().__init__(space, space)

    def forward(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        return x, torch.zeros(len(x), dtype=torch.float64, device=x.device)

    def inverse(self, z: Tensor) -> Tensor:
        return z


class Dequantize(Preprocess):
    r"""Pixels to reals: :math:`y = (x + u) / L \in (0, 1)`, then an affine map to [-1, 1] or a logit.

    With `onto="logit"`: :math:`z = \operatorname{logit}(\lambda + (1 - 2\lambda) y)` (Dinh et al. 2017, sec. 4.1),
    :math:`\lambda = 0.05` by default.
    """

    bound = "lower"
    stochastic = True
    dequantization = "uniform noise in [0, 1) added to each level"

    def __init__(self, space: Pixels, onto: Literal["symmetric", "logit"] = "symmetric", squeeze: float = 0.05):
        super().__init__(space, Real(space.shape))
        self.onto, self.squeeze = onto, squeeze

    def forward(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        u = 0.5 if noise is None else noise.uniform(*self.space.shape).to(x.device)
        y = (x.to(torch.float32) + u) / self.space.levels  # type: ignore[attr-defined]
        constant = -self.space.dimensions * math.log(self.space.levels)  # type: ignore[attr-defined]
        if self.onto == "symmetric":
            total = constant + self.space.dimensions * math.log(2.0)
            return y * 2 - 1, torch.full((len(x),), total, dtype=torch.float64, device=x.device)
        y = self.squeeze + (1 - 2 * self.squeeze) * y
        z = torch.logit(y)
        # d logit(y)/dy = 1 / (y (1 - y)) = exp(softplus(z) + softplus(-z))
        log_det = (F.softplus(z) + F.softplus(-z)).double().flatten(1).sum(1)
        return z, log_det + constant + self.space.dimensions * math.log(1 - 2 * self.squeeze)

    def inverse(self, z: Tensor) -> Tensor:
        if self.onto == "symmetric":
            y = (z + 1) / 2
        else:
            y = (torch.sigmoid(z) - self.squeeze) / (1 - 2 * self.squeeze)
        levels = self.space.levels  # type: ignore[attr-defined]
        return (y * levels).floor().clamp(0, levels - 1).to(self.space.dtype)


class Rescale(Preprocess):
    """Pixels to [-1, 1] without noise, and back by rounding. For models without a density (a GAN)."""

    bound = None

    def __init__(self, space: Pixels):
        super().__init__(space, Interval(space.shape))

    def forward(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        top = self.space.levels - 1  # type: ignore[attr-defined]
        return x.to(torch.float32) * (2.0 / top) - 1, torch.zeros(len(x), dtype=torch.float64, device=x.device)

    def inverse(self, z: Tensor) -> Tensor:
        top = self.space.levels - 1  # type: ignore[attr-defined]
        return ((z + 1) * (top / 2)).round().clamp(0, top).to(self.space.dtype)


def default_preprocess(space: Space, supports: tuple[type[Space], ...], settings: Any = None) -> Preprocess | None:
    """Standardize reals, dequantize pixels, carry tables to normals; None where the family models the space itself.

    `settings`: the family's, for its `table`.
    """
    if isinstance(space, Real) and Real in supports:
        return Standardize(space)
    if isinstance(space, supports):
        return None
    if isinstance(space, Pixels) and Real in supports:
        return Dequantize(space)
    if isinstance(space, Table) and Real in supports:
        from .table import TablePreprocess

        return TablePreprocess(space, getattr(settings, "table", None))
    return None
