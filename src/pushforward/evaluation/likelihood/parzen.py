r"""Parzen-window log-likelihoods of samples, as in the papers of 2011 to 2015. On request only, and never a ranking.

.. math:: \log \hat p(x) = \log \frac1n \sum_{i=1}^{n} \mathcal{N}(x; s_i, \sigma^2 I)

of held-out points x, with n samples :math:`s_i` and :math:`\sigma` chosen on validation points (Breuleux, Bengio,
Vincent 2011, "Quickly generating representative samples from an RBM-derived process"; Goodfellow et al. 2014,
arXiv:1406.2661, Table 1: 10,000 samples, ten :math:`\sigma` from 0.1 to 1, pixels in [0, 1]).

It is not the model's likelihood, and says little about quality (Theis, van den Oord, Bethge 2016, arXiv:1511.01844,
sec. 4.2): in many dimensions no affordable number of samples comes near it, blurry prototypes beat real data, and the
value grows with the number of samples. Under the 2014 protocol 10,000 real training images of MNIST score 242.8 nats,
give or take 3 by which of them are taken: more than that paper's models, and far less than cluster centres. So the
same number of real training examples, under the same protocol, always stands beside a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError

WARNING = (
    "A Parzen-window estimate is not the model's likelihood and must not rank models (Theis et al. 2016): it rises "
    "with the number of samples, and blurry prototypes score above real data. Read it beside the ceiling of real "
    "examples."
)
_PAIRS = 1 << 23
"""Distances held at a time, in float64: 64 MB."""


@dataclass(frozen=True)
class Parzen:
    """A Parzen-window log-likelihood, in nats per held-out example, beside that of real training examples.

    Attributes:
        value, standard_error: mean over the held-out points, and its error over them. sigma: of the kernel.
        ceiling, ceiling_standard_error, ceiling_sigma: of as many real training examples in place of the samples.
        n: samples, and real examples. held_out: points scored.
        warning: what the number is not, and whether a sigma stopped at an end of its grid.
    """

    value: float
    standard_error: float
    sigma: float
    ceiling: float
    ceiling_standard_error: float
    ceiling_sigma: float
    n: int
    held_out: int
    warning: str = WARNING

    def __str__(self) -> str:
        return (
            f"Parzen window, sigma {self.sigma:.3g}: {self.value:.1f} +- {self.standard_error:.1f} nats; {self.n:,} "
            f"real training examples: {self.ceiling:.1f} +- {self.ceiling_standard_error:.1f}. {self.warning}"
        )


def parzen(
    samples: Any, held_out: Any, validation: Any, *, real: Any = None, sigmas: Sequence[float] | None = None
) -> Parzen:
    """The Parzen-window log-likelihood of held-out points under samples, beside its ceiling.

    Args:
        samples: (n, ...) of the model, in [0, 1].
        held_out: (m, ...) points to score. validation: others, on which sigma is chosen.
        real: at least n real training examples, disjoint from both; evenly spaced rows of them give the ceiling.
        sigmas: to choose from; None: ten from 0.1 to 1, evenly spaced in the logarithm.

    Raises:
        InputError: no real examples, or fewer than samples; values outside [0, 1]; different shapes; a bad sigma.
    """
    if real is None:
        raise InputError(
            "a Parzen-window estimate means nothing without its ceiling.",
            "Give real=..., as many real training examples as there are samples.",
        )
    names = ("samples", "held_out", "validation", "real")
    points = {name: _points(v, name) for name, v in zip(names, (samples, held_out, validation, real))}
    n, width = points["samples"].shape
    for name, x in points.items():
        if x.shape[1] != width:
            raise InputError(f"{name} have {x.shape[1]} numbers each, samples {width}.", "Give the same kind of data.")
    if len(points["real"]) < n:
        raise InputError(
            f"{len(points['real']):,} real examples for {n:,} samples.",
            "The ceiling needs as many: draw fewer samples.",
        )
    grid = np.logspace(-1, 0, 10) if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    if grid.ndim != 1 or not len(grid) or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise InputError(f"sigmas are {sigmas!r}.", "Give positive numbers.")
    kept = torch.from_numpy(np.linspace(0, len(points["real"]) - 1, n).round().astype(np.int64))
    warning = WARNING
    found: list[tuple[float, float, float]] = []
    for name, centres in (("samples", points["samples"]), ("real examples", points["real"][kept])):
        sigma = float(grid[int(log_densities(points["validation"], centres, grid).mean(0).argmax())])
        values = log_densities(points["held_out"], centres, [sigma])[:, 0]
        error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        found.append((float(values.mean()), error, sigma))
        if len(grid) > 1 and sigma in (grid.min(), grid.max()):
            warning += f" The best sigma of the {name} is at an end of the grid ({sigma:.3g})."
    return Parzen(*found[0], *found[1], n, len(points["held_out"]), warning)


def log_densities(x: Tensor, centres: Tensor, sigmas: Sequence[float] | np.ndarray) -> np.ndarray:
    """log of the mean of N(x; s_i, sigma^2 I), (m, len(sigmas)), in float64; x (m, d), centres (n, d)."""
    n, d = centres.shape
    shift = centres.mean(0)
    centres, squares = centres - shift, (centres - shift).square().sum(1)
    parts = []
    for rows in (x - shift).split(max(1, _PAIRS // n)):
        distances = torch.addmm(squares, rows, centres.T, alpha=-2.0).add_(rows.square().sum(1)[:, None]).clamp_min_(0)
        parts.append(torch.stack([torch.logsumexp(distances * (-0.5 / s**2), 1) for s in sigmas], 1))
    sizes = torch.tensor([math.log(n) + 0.5 * d * math.log(2 * math.pi * s**2) for s in sigmas], dtype=torch.float64)
    return (torch.cat(parts) - sizes).numpy()


def _points(x: Any, name: str) -> Tensor:
    tensor = x.detach().cpu() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    if tensor.ndim < 2 or len(tensor) == 0:
        raise InputError(f"{name} have shape {tuple(tensor.shape)}.", "Give at least one row of numbers.")
    flat = tensor.to(torch.float64).flatten(1)
    low, high = flat.min().item(), flat.max().item()
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"{name} lie between {low:g} and {high:g}.",
            "The protocol is for values in [0, 1]: divide pixels by their highest level.",
        )
    return flat
