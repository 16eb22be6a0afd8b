r"""Modes of a known mixture: how many are found, how wide they are, and how much of the samples each one gets.

The usual numbers for the ring and the grid of Gaussians (Srivastava et al. 2017, VEEGAN, arXiv:1705.07761, sec. 5.1;
Lin et al. 2018, PacGAN, arXiv:1712.04086, sec. 4.1): a sample is of high quality within three standard deviations of
a mode, and a mode is found when a high-quality sample is nearest to it. These two alone reward a sampler whose modes
have shrunk (99.3% of high quality is more than a perfect sampler has), and the KL of the modes' masses means nothing
without n. So each mode has a width here, and every number stands beside that of a perfect sampler at the same n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import InputError
from ...noise import mix_seed

if TYPE_CHECKING:
    from ...data.data import Data

_BLOCK = 1 << 22
"""Values of a temporary array."""
_DRAWS = 1 << 18
"""Of a perfect sampler, for the widths of modes that overlap: 0.3% for each of eight modes."""


@dataclass(frozen=True)
class ModeCount:
    """`found` of `modes` modes, and the share of samples that are of high quality."""

    found: int
    modes: int
    high_quality: float


def count_modes(samples: Tensor, centres: Tensor, std: float, *, radius: float = 3.0) -> ModeCount:
    r"""Modes found by samples (n, d), for modes at `centres` (k, d) of isotropic standard deviation `std`.

    A perfect sampler's share of high quality is :math:`P(\chi^2_d \le r^2)`; see `perfect_share`.
    """
    distances = torch.cdist(samples.double(), centres.double())
    nearest, mode = distances.min(dim=1)
    good = nearest <= radius * std
    return ModeCount(len(mode[good].unique()), len(centres), float(good.double().mean()))


def perfect_share(dimensions: int = 2, radius: float = 3.0) -> float:
    r"""What a perfect sampler of well-separated modes reaches: :math:`P(\chi^2_d \le r^2)`, 98.9% in the plane."""
    half, point = torch.tensor(dimensions / 2, dtype=torch.float64), torch.tensor(radius**2 / 2, dtype=torch.float64)
    return float(torch.special.gammainc(half, point))


def truncated_std(dimensions: int = 2, radius: float = 3.0) -> float:
    r"""Standard deviation of each coordinate of a standard normal vector that is kept within `radius` of its mean.

    .. math:: \frac1d E[\chi^2_d \mid \chi^2_d \le r^2] = \frac{P(\chi^2_{d+2} \le r^2)}{P(\chi^2_d \le r^2)}

    is its square: 0.975 in the plane at r = 3. Without it, a perfect sampler would look 2.5% too narrow.
    """
    return math.sqrt(perfect_share(dimensions + 2, radius) / perfect_share(dimensions, radius))


def ring_centres(modes: int = 8) -> Tensor:
    r"""Centres (k, 2) of the built-in `ring`, at angles :math:`2\pi k / K` of the unit circle."""
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


# --------------------------------------------------------------------------------------------------- the mixture


@dataclass(frozen=True, eq=False)
class Modes:
    """A mixture of Gaussians that is known. Build it with `Modes.of`, which checks it.

    Attributes:
        centres: (k, d). weights: (k,), above 0, of sum 1.
        std: (k,), of each mode; the root mean square over its directions where there are covariances.
        factors: (k, d, d), lower Cholesky factors of the covariances; None for isotropic modes.
    """

    centres: Tensor
    std: Tensor
    weights: Tensor
    factors: Tensor | None = None

    @staticmethod
    def of(
        centres: Tensor,
        std: float | Sequence[float] | Tensor | None = None,
        *,
        covariances: Tensor | None = None,
        weights: Sequence[float] | Tensor | None = None,
    ) -> Modes:
        """Modes at `centres` (k, d), with one `std` or one each (k,), or with full `covariances` (k, d, d).

        `weights` (k,) are brought to a sum of 1; equal ones by default.

        Raises:
            InputError: shapes that do not fit, a std or weight that is not above 0, a covariance that is not positive
                definite, or not exactly one of `std` and `covariances`.
        """
        c = torch.as_tensor(centres, dtype=torch.float64)
        if c.ndim != 2 or 0 in c.shape or not bool(c.isfinite().all()):
            raise InputError(f"centres of modes have shape {tuple(c.shape)}.", "They are finite, (modes, dimensions).")
        if (std is None) == (covariances is None):
            raise InputError("modes need either std or covariances.", "Give one of the two.")
        k, d = c.shape
        w = torch.full((k,), 1.0 / k, dtype=torch.float64)
        if weights is not None:
            w = _positive("weights", weights, k)
            w = w / w.sum()
        if covariances is None:
            return Modes(c, _positive("std", std, k), w)
        s = torch.as_tensor(covariances, dtype=torch.float64)
        if s.shape != (k, d, d):
            raise InputError(f"covariances of {k} modes in {d} dimensions have shape {tuple(s.shape)}.")
        factors, failed = torch.linalg.cholesky_ex(s)
        if bool(failed.any()) or not bool(torch.isfinite(factors).all()):
            raise InputError(f"the covariance of mode {int(failed.argmax())} is not positive definite.")
        return Modes(c, (s.diagonal(dim1=1, dim2=2).mean(1)).sqrt(), w, factors)

    def draw(self, n: int, seed: int) -> Tensor:
        """n independent draws (n, d), float64, of the mixture."""
        generator = torch.Generator().manual_seed(mix_seed(seed, n))
        mode = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.centres.shape[1], generator=generator, dtype=torch.float64)
        if self.factors is None:
            return self.centres[mode] + self.std[mode, None] * z
        return self.centres[mode] + torch.einsum("nij,nj->ni", self.factors[mode], z)

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""The nearest mode (n,) of points (n, d), and the points in its units (n, d): :math:`L_k^{-1}(x - c_k)`.

        Nearest in the modes' own units, which is the Mahalanobis distance; the usual distance for modes of one std.
        """
        k, d = self.centres.shape
        modes, units = [], []
        for block in x.split(max(1, _BLOCK // max(k, d))):
            if self.factors is None:
                scaled = torch.cdist(block, self.centres, compute_mode="donot_use_mm_for_euclid_dist") / self.std
                mode = scaled.argmin(1)
                z = (block - self.centres[mode]) / self.std[mode, None]
            else:
                scaled = torch.stack([self._units(block, j).norm(dim=1) for j in range(k)], 1)
                mode = scaled.argmin(1)
                z = torch.empty_like(block)
                for j in range(k):
                    z[mode == j] = self._units(block[mode == j], j)
            modes.append(mode)
            units.append(z)
        return torch.cat(modes), torch.cat(units)

    def _units(self, x: Tensor, mode: int) -> Tensor:
        assert self.factors is not None
        return torch.linalg.solve_triangular(self.factors[mode], (x - self.centres[mode]).T, upper=False).T

    def separated(self, radius: float) -> bool:
        """Whether the modes' balls (ellipsoids) of this radius are so far apart that no other mode reaches into one.

        There are two standard deviations of the widest mode, in its widest direction, between any two.
        """
        widest = self.std if self.factors is None else torch.linalg.svdvals(self.factors)[:, 0]
        return len(self.centres) == 1 or float(torch.pdist(self.centres).min()) >= 2 * (radius + 1) * float(
            widest.max()
        )


def _positive(name: str, values: Any, k: int) -> Tensor:
    x = torch.as_tensor(values, dtype=torch.float64)
    if x.shape not in ((), (k,)) or not bool(((x > 0) & x.isfinite()).all()):
        raise InputError(f"{name} of {k} modes: {values!r}.", f"One number above 0, or {k}.")
    return x.expand(k).clone()


def known_modes(data: Data) -> Modes | None:
    """The modes of a built-in source (`ring`, `grid`, `8gaussians`, with its options); None for any other data.

    Without width (`ring:std=0`) there is nothing to count in, so that it is None, too.
    """
    from ...data.builtin.densities import Mixture
    from ...data.builtin.source import BUILTINS, _density, is_builtin

    if not is_builtin(data.source):
        return None
    known = BUILTINS[data.source.partition(":")[0]][1]
    density = _density(data.source, {key: value for key, value in data.options.items() if key in known})
    return Modes.of(density.centres, density.std) if isinstance(density, Mixture) else None


# ------------------------------------------------------------------------------------------------------ coverage


@dataclass(frozen=True, eq=False)
class ModeCoverage:
    r"""What samples do to the modes.

    Attributes:
        found: modes with enough high-quality samples nearest to them. modes: how many there are.
        high_quality: share of samples within the radius of their nearest mode.
        std_ratio: (k,), the width of each mode: the standard deviation of its high-quality samples about their own
            mean, over that of a perfect sampler whose samples are cut off at the same radius, so that a perfect
            sampler has 1. NaN for a mode with fewer than two.
        mass: (k,), the share of samples whose nearest mode it is.
        kl: :math:`\sum_k \hat m_k \log(\hat m_k / w_k)` in nats, of the masses from the true weights. Not 0 for a
            perfect sampler: about (k - 1) / 2n.
        worst_std_ratio: the ratio furthest from 1, by its logarithm. mean_std_ratio: over the modes that have one.
            Both NaN if none has.
    """

    found: int
    modes: int
    high_quality: float
    std_ratio: Tensor
    mass: Tensor
    kl: float
    worst_std_ratio: float
    mean_std_ratio: float


def mode_coverage(
    samples: Tensor, modes: Modes, *, radius: float = 3.0, at_least: int = 1, quality_only: bool = False
) -> ModeCoverage:
    """Modes found by samples (n, d), their widths and masses.

    Args:
        radius: in standard deviations, within which a sample is of high quality.
        at_least: high-quality samples that a mode needs to be found; 1 in VEEGAN and PacGAN.
        quality_only: masses count samples of high quality only, as in PacGAN, instead of all. Without any, kl is
            the largest that there is, log(1 / min weight).

    Raises:
        InputError: no samples, of another dimension, or not finite; a radius within which a perfect sampler has
            nothing either.
    """
    return _coverage(_points(samples, modes), modes, radius, at_least, quality_only, _expected_std(modes, radius))


def _points(samples: Tensor, modes: Modes) -> Tensor:
    x = torch.as_tensor(samples).double()
    if x.ndim != 2 or x.shape[1] != modes.centres.shape[1] or len(x) == 0:
        raise InputError(f"samples of shape {tuple(x.shape)} for modes in {modes.centres.shape[1]} dimensions.")
    if bad := int((~x.isfinite()).any(1).sum()):
        raise InputError(f"{bad:,} of {len(x):,} samples are not finite.")
    return x


def _coverage(
    x: Tensor, modes: Modes, radius: float, at_least: int, quality_only: bool, expected: Tensor
) -> ModeCoverage:
    k = len(modes.centres)
    mode, z = modes.nearest(x)
    good = z.norm(dim=1) <= radius
    hits = torch.bincount(mode[good], minlength=k)
    ratio = _widths(z[good], mode[good], k) / expected
    counts = (hits if quality_only else torch.bincount(mode, minlength=k)).double()
    mass = counts / counts.sum().clamp(min=1)
    kl = float(torch.special.xlogy(mass, mass / modes.weights).sum())
    if not bool(counts.any()):
        kl = -math.log(float(modes.weights.min()))
    has = ratio[~ratio.isnan()]
    return ModeCoverage(
        found=int((hits >= at_least).sum()),
        modes=k,
        high_quality=float(good.double().mean()),
        std_ratio=ratio,
        mass=mass,
        kl=kl,
        worst_std_ratio=float(has[has.log().abs().argmax()]) if len(has) else math.nan,
        mean_std_ratio=float(has.mean()) if len(has) else math.nan,
    )


def _widths(z: Tensor, mode: Tensor, k: int) -> Tensor:
    """Standard deviations (k,) of points in their mode's units, about their mean and over all directions."""
    count = torch.bincount(mode, minlength=k).double()
    mean = z.new_zeros(k, z.shape[1]).index_add_(0, mode, z) / count[:, None]
    squares = z.new_zeros(k).index_add_(0, mode, (z - mean[mode]).square().mean(1))
    return torch.where(count > 1, squares / (count - 1), math.nan).sqrt()


def _expected_std(modes: Modes, radius: float) -> Tensor:
    """The widths (k,) of a perfect sampler: in closed form, or from many draws where modes overlap."""
    k, d = modes.centres.shape
    if not radius > 0 or perfect_share(d, radius) < 1e-3:
        far = math.ceil(math.sqrt(d) + 2)
        raise InputError(
            f"radius={radius:g}: in {d} dimensions next to no sample of a Gaussian is so near to its mean.",
            f"About 99% are within {far} standard deviations.",
        )
    if modes.separated(radius):
        return torch.full((k,), truncated_std(d, radius), dtype=torch.float64)
    mode, z = modes.nearest(modes.draw(_DRAWS, seed=0))
    good = z.norm(dim=1) <= radius
    return _widths(z[good], mode[good], k)


# ----------------------------------------------------------------------------------------------- a perfect sampler


@dataclass(frozen=True)
class Perfect:
    """A number of a perfect sampler: its mean, its central 95% interval, and each replicate's value."""

    mean: float
    low: float
    high: float
    each: tuple[float, ...]


def perfect_modes(
    modes: Modes,
    n: int,
    *,
    seed: int = 0,
    replicates: int = 200,
    radius: float = 3.0,
    at_least: int = 1,
    quality_only: bool = False,
) -> dict[str, Perfect]:
    """What `replicates` perfect samplers of n samples reach: `found`, `high_quality`, `kl`, `worst_std_ratio`,
    `mean_std_ratio`, by name.

    Raises:
        InputError: as `mode_coverage`; fewer than one sample or two replicates.
    """
    if n < 1 or replicates < 2:
        raise InputError(f"n={n}, replicates={replicates}.", "At least one sample and two replicates.")
    expected = _expected_std(modes, radius)
    names = ("found", "high_quality", "kl", "worst_std_ratio", "mean_std_ratio")
    rows = []
    for replicate in range(replicates):
        x = modes.draw(n, mix_seed(seed, 1, replicate))
        found = _coverage(x, modes, radius, at_least, quality_only, expected)
        rows.append([float(getattr(found, name)) for name in names])
    values = torch.tensor(rows, dtype=torch.float64)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    out = {}
    for name, column in zip(names, values.T):
        low, high = torch.nanquantile(column, ends).tolist()
        out[name] = Perfect(float(column.nanmean()), low, high, tuple(column.tolist()))
    return out
