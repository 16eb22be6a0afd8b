r"""One number at a time to a standard normal: the randomized probability integral transform, for many columns at once.

A column's distribution is a mixture of atoms (spikes: the 92% zeros of a column, each value of a column with few) and
of a density,

.. math:: F(x) = \sum_a w_a \, 1[a \le x] + w_c \, \Phi(s(x)),

with s a monotone rational-quadratic spline through quantiles (Gregory and Delbourgo 1982; Durkan et al. 2019,
arXiv:1906.04032, eq. 4-8), linear outside. A number that has probability (an atom, or any value of a rounded column)
owns an interval [F(x-), F(x+)] of the unit line; :math:`z = \Phi^{-1}(u)` with u uniform in that interval (a point,
where F is continuous). If x follows F, then z is N(0, 1) exactly, and

.. math:: \log f(x) = \log p(z) - \log \mathcal{N}(z; 0, 1) + \log f(x)

holds with a standard normal p without any gap: what a model has to learn is only how columns depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..model import Resizable

MOST_ATOMS = 256
"""Rounded columns with at most this many values are atoms throughout; others where a value has a share of 1/512."""
_EDGE = 2.0**-52
_FAR = 1e300


@dataclass(frozen=True)
class Marginal:
    """One column's distribution, as NumPy float64: what `fit_marginal` finds and `Marginals` stacks.

    Attributes:
        atoms, weights: values (A,) in order and their probabilities. rest: w_c, the density's share.
        x, z, slope: knots of the spline s (m,) and its derivative there.
        step: the grid that values lie on, or None.
    """

    atoms: np.ndarray
    weights: np.ndarray
    rest: float
    x: np.ndarray
    z: np.ndarray
    slope: np.ndarray
    step: float | None


def categorical_marginal(counts: np.ndarray) -> Marginal:
    """Positions 0..K-1 in an order, with smoothed frequencies: (counts + 1/2) / (n + K/2)."""
    k = len(counts)
    weights = (counts + 0.5) / (counts.sum() + 0.5 * k)
    knots = np.array([-1.0, 1.0])
    return Marginal(np.arange(k, dtype=float), weights, 0.0, knots, knots, np.ones(2), 1.0)


def fit_marginal(values: np.ndarray, step: float | None, transform: str = "quantile") -> Marginal:
    """The distribution of a column of numbers (n,) without missing cells.

    Atoms: every value of a rounded column with few of them; otherwise values with a share of 1% (1/512 if rounded).
    One more imaginary row belongs to the density, so that no number has probability 0.

    Args:
        step: the grid that values lie on, None for a density. transform: of the density, "quantile" or "standardize".
    """
    values = np.sort(values.astype(np.float64))
    n = len(values)
    distinct, counts = np.unique(values, return_counts=True)
    if step is not None and len(distinct) <= MOST_ATOMS:
        spikes = np.ones(len(distinct), dtype=bool)
    else:
        least = max(5.0, n / (512 if step is not None else 100))
        spikes = counts >= least
    atoms, weights = distinct[spikes], counts[spikes] / (n + 1.0)
    free = values if not spikes.any() else values[~np.isin(values, atoms)]
    rest = (len(free) + 1.0) / (n + 1.0) if spikes.any() else 1.0
    x, z, slope = _spline(free, values, step, transform)
    return Marginal(atoms, weights, rest, x, z, slope, step)


def _spline(
    free: np.ndarray, values: np.ndarray, step: float | None, transform: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Knots and slopes of s: linear when standardized or when there is little to go by."""
    source = free if len(free) >= 10 else values
    width = step or 0.0
    # In units of the largest value, whose square may be out of range.
    unit = max(float(np.abs(source).max()), 1e-300) if len(source) else 1.0
    mean, deviation = ((source / unit).mean() * unit, (source / unit).std() * unit) if len(source) else (0.0, 1.0)
    spread = math.hypot(deviation, width / math.sqrt(12.0))
    if not spread > 1e-12 * (1e-30 + abs(mean)):
        spread = width or 1.0
    linear = (np.array([mean - spread, mean + spread]), np.array([-1.0, 1.0]), np.full(2, 1.0 / spread))
    n = len(source)
    knots = min(48, n // 25)
    if transform == "standardize" or len(free) < 10 or knots < 4:
        return linear
    # Levels equally far apart in z, the outermost with about five rows beyond them.
    end = float(torch.special.ndtri(torch.tensor(min(0.4, 5.0 / n), dtype=torch.float64)))
    z = np.linspace(end, -end, knots)
    levels = torch.special.ndtr(torch.from_numpy(z)).numpy()
    # A rounded value stands for its whole cell.
    x = np.quantile(source, levels)
    if width:
        below = np.searchsorted(source, x - 0.5 * width) / n
        above = np.searchsorted(source, x + 0.5 * width) / n
        inside = np.clip((levels - below) / np.maximum(above - below, 1e-12), 0.0, 1.0)
        x = np.round(x / width) * width + (inside - 0.5) * width
    keep = np.concatenate([[True], np.diff(x) > 1e-9 * spread])
    x, z = x[keep], z[keep]
    if len(x) < 4:
        return linear
    secant = np.diff(z) / np.diff(x)
    inner = np.sqrt(secant[:-1] * secant[1:])
    curved = x, z, np.concatenate([secant[:1], inner, secant[-1:]])
    # The Bayesian information criterion: what is Gaussian stays so, instead of learning its sampling error.
    some = source[:: max(1, n // 20_000)]
    gain = n * (_mean_log_density(curved, some) - _mean_log_density(linear, some))
    return curved if gain > 0.5 * len(x) * math.log(n) else linear


def _mean_log_density(spline: tuple[np.ndarray, np.ndarray, np.ndarray], values: np.ndarray) -> float:
    one = Marginals()
    one.set([Marginal(np.zeros(0), np.zeros(0), 1.0, *spline, None)])
    return float(one.interval(torch.from_numpy(values[None].copy()))[2].mean())


class Marginals(Resizable):
    """The distributions of C columns as padded buffers, and the transform of all of them at once.

    Columns are the first axis inside (`torch.searchsorted` searches each row of a matrix by itself).
    """

    atoms: Tensor
    cumulative: Tensor
    rest: Tensor
    x: Tensor
    z: Tensor
    slope: Tensor
    step: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("atoms", "cumulative", "rest", "x", "z", "slope", "step"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def set(self, columns: Sequence[Marginal]) -> None:
        """Take these C distributions."""
        device = self.rest.device
        most = max([1, *(len(c.atoms) for c in columns)])
        knots = max([2, *(len(c.x) for c in columns)])

        def stack(rows: list[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(rows)).to(device) if rows else torch.zeros(0, device=device).double()

        def padded(v: np.ndarray, size: int, value: float) -> np.ndarray:
            return np.concatenate([v, np.full(size - len(v), value)])

        self.atoms = stack([padded(c.atoms, most, math.inf) for c in columns])
        # W_0 = 0, W_1, ..., W_A: the weight of the first i atoms.
        self.cumulative = stack(
            [padded(np.concatenate([[0.0], np.cumsum(c.weights)]), most + 1, float(c.weights.sum())) for c in columns]
        )
        self.rest = stack([np.array(c.rest) for c in columns])
        # Knots beyond the last lie on the line that continues the spline.
        grow = [np.arange(1, knots - len(c.x) + 1) for c in columns]
        self.x = stack([np.concatenate([c.x, c.x[-1] + g / c.slope[-1]]) for c, g in zip(columns, grow)])
        self.z = stack([np.concatenate([c.z, c.z[-1] + g]) for c, g in zip(columns, grow)])
        self.slope = stack([padded(c.slope, knots, float(c.slope[-1])) for c in columns])
        self.step = stack([np.array(0.0 if c.step is None else c.step) for c in columns])

    def __len__(self) -> int:
        return len(self.rest)

    # ------------------------------------------------------------------------------ the spline

    def _bins(self, edges: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Index of the bin of values (C, n), inside the knots or at their ends, and where they are beyond them."""
        at = torch.searchsorted(edges, values.contiguous(), right=True) - 1
        return at.clamp(0, edges.shape[1] - 2), at < 0, at >= edges.shape[1] - 1

    def _parts(self, at: Tensor) -> tuple[Tensor, ...]:
        x0, z0, d0 = (v.gather(1, at) for v in (self.x, self.z, self.slope))
        x1, z1, d1 = (v.gather(1, at + 1) for v in (self.x, self.z, self.slope))
        return x0, x1 - x0, z0, z1 - z0, d0, d1

    def spline(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s(x) and log s'(x) of x (C, n)."""
        at, below, above = self._bins(self.x, x)
        x0, width, z0, height, d0, d1 = self._parts(at)
        mean = height / width
        t = ((x - x0) / width).clamp(0.0, 1.0)
        rest = t * (1 - t)
        # Slopes in units of the bin's: their squares stay in range in any unit of x.
        d0, d1 = d0 / mean, d1 / mean
        bottom = 1 + (d1 + d0 - 2) * rest
        inside = z0 + height * (t * t + d0 * rest) / bottom
        bend = (d1 * t * t + 2 * rest + d0 * (1 - t).square()) / bottom.square()
        low, high = self.x[:, :1], self.x[:, -1:]
        left, right = self.slope[:, :1], self.slope[:, -1:]
        s = torch.where(below, self.z[:, :1] + left * (x - low), inside)
        s = torch.where(above, self.z[:, -1:] + right * (x - high), s)
        return s, torch.where(below, left.log(), torch.where(above, right.log(), mean.log() + bend.log()))

    def inverse_spline(self, s: Tensor) -> Tensor:
        """The x (C, n) with s(x) = s."""
        at, below, above = self._bins(self.z, s)
        x0, width, z0, height, d0, d1 = self._parts(at)
        mean = height / width
        up = ((s - z0) / height).clamp_min(0.0)
        d0, d1 = d0 / mean, d1 / mean
        curve = d1 + d0 - 2
        a = 1 - d0 + up * curve
        b = d0 - up * curve
        c = -up
        root = (b.square() - 4 * a * c).clamp_min(0.0).sqrt()
        t = (2 * c / (-b - root)).clamp(0.0, 1.0)
        x = x0 + width * t
        x = torch.where(below, self.x[:, :1] + (s - self.z[:, :1]) / self.slope[:, :1], x)
        return torch.where(above, self.x[:, -1:] + (s - self.z[:, -1:]) / self.slope[:, -1:], x)

    # ------------------------------------------------------------------------------ the transform

    def interval(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Of numbers x (C, n): F(x-), F(x+), log f(x), s(x) where a column has a density alone (else NaN), atom or not.

        For a rounded column F is taken at the edges of the cell, so that log f is the log-probability of the value.
        """
        half = 0.5 * self.step[:, None]
        # 3 * 0.1 is not 0.3: a rounded value is the atom that is next to it.
        slack = 1e-3 * self.step[:, None]
        first = torch.searchsorted(self.atoms, (x - slack).contiguous())
        last = torch.searchsorted(self.atoms, (x + slack).contiguous(), right=True)
        before, until = self.cumulative.gather(1, first), self.cumulative.gather(1, last)
        s_low, log_slope = self.spline(x - half)
        s_high = torch.where(half > 0, self.spline(x + half)[0], s_low)
        rest = self.rest[:, None]
        low = before + rest * torch.special.ndtr(s_low)
        high = until + rest * torch.special.ndtr(s_high)
        # The mass of a cell far in the upper tail is a difference of two ones: take it from the other side.
        upper = s_low > 0
        cell = torch.where(
            upper,
            torch.special.ndtr(-s_low) - torch.special.ndtr(-s_high),
            torch.special.ndtr(s_high) - torch.special.ndtr(s_low),
        )
        mass = (until - before) + rest * cell.clamp_min(0.0)
        density = rest.log() - 0.5 * s_low.square() - 0.5 * math.log(2 * math.pi) + log_slope
        atom = until > before
        log_f = torch.where(atom | (half > 0), mass.clamp_min(1e-300).log(), density)
        pure = (half == 0) & (self.cumulative[:, -1:] == 0)
        return low, high, log_f, torch.where(pure, s_low, torch.nan), atom

    def forward(self, x: Tensor, v: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
        r"""z (n, C) of numbers x (n, C) with uniforms v (n, C), and :math:`\log \mathcal{N}(z) - \log q(z \mid x)`.

        That is log f(x) where the `gap` (C,) is 0. It is the share of an atom's interval that is left empty, half at
        either end: a model of z then need not be exact at borders, and the bound is tight once it has learned them.
        """
        low, high, log_f, direct, atom = self.interval(x.T)
        inner = torch.where(atom, 1.0 - gap[:, None], 1.0)
        log_f = log_f + inner.log()
        u = (low + (0.5 + (v.T - 0.5) * inner) * (high - low)).clamp(_EDGE, 1 - _EDGE)
        z = torch.where(direct.isnan(), torch.special.ndtri(u), direct)
        return z.T, log_f.T

    def inverse(self, z: Tensor) -> Tensor:
        """The numbers x (n, C) of z (n, C): on their grids, without a look at the range."""
        s = z.T.contiguous()
        u = torch.special.ndtr(s)
        half = 0.5 * self.step[:, None]
        rest = self.rest[:, None]
        edge = self.atoms.clamp(-_FAR, _FAR)
        low = self.cumulative[:, :-1] + rest * torch.special.ndtr(self.spline(edge - half)[0])
        high = self.cumulative[:, 1:] + rest * torch.special.ndtr(self.spline(edge + half)[0])
        padding = self.atoms.isinf()
        low, high = low.masked_fill(padding, 2.0), high.masked_fill(padding, 2.0)
        past = torch.searchsorted(high, u)
        at = past.clamp_max(self.atoms.shape[1] - 1)
        is_atom = (past < self.atoms.shape[1]) & (u >= low.gather(1, at))
        free = (u - self.cumulative.gather(1, past)) / rest.clamp_min(1e-300)
        pure = self.cumulative[:, -1:] == 0
        s = torch.where(pure, s, torch.special.ndtri(free.clamp(_EDGE, 1 - _EDGE)))
        x = self.inverse_spline(s)
        x = torch.where(half > 0, (x / (2 * half)).round() * (2 * half), x)
        # A column of atoms alone (categories) has no density to fall into: the nearest atom.
        bare = rest == 0
        return torch.where(is_atom | bare, self.atoms.gather(1, at), x).T
