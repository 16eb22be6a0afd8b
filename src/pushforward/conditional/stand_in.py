"""Where a model's own conditional is not to be had: its likelihood as weights, and a mixture that stands in for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import DensityUnavailable
from ..families.adapted import Adapted
from ..model import Autoencoder, GenerativeModel
from ..noise import mix_seed
from .mixture import Mixture, fit_mixture
from .replay import core_condition

SAMPLES = 5_000
"""Samples of the model that the mixture is fitted to."""

Usable = Literal["exact", "unbiased", "estimate", "none"]


def usable_likelihood(model: Adapted) -> Usable:
    """Whether log-likelihoods of a model's core can be importance weights.

    "exact"; "unbiased": the exponential of the bound is an unbiased estimate of the density, which will do (an
    autoencoder's importance-weighted bound); "estimate": exact but for a solver's error, and slow; "none": implicit, or
    a bound that says nothing about the density's ratios.
    """
    core, condition = model.core, core_condition(model, model.draw_conditions(2, 0))
    try:
        found = core.log_prob(core.sample(2, condition, seed=0), condition)
    except DensityUnavailable:
        return "none"
    if found.bound == "lower":
        return "unbiased" if isinstance(core, Autoencoder) else "none"
    return "exact" if found.solver_error is None and found.standard_error is None else "estimate"


def density_options(core: GenerativeModel, kind: Usable) -> dict[str, Any]:
    """Options of likelihoods that are weights: autoencoders draw sixteen codes a row, ODEs are solved in ten steps."""
    if kind == "unbiased" and "k" in core.density_options:
        return {"k": 16}
    if kind == "estimate" and {"steps", "solver"} <= set(core.density_options):
        return {"steps": 10}
    return {}


def weigher(core: GenerativeModel, kind: Usable) -> Callable[[Tensor, Any, int], Tensor]:
    """(numbers z (n, D), conditions as the core takes them, a seed) to the core's log-density (n,), float64."""
    options = density_options(core, kind)

    def log_prob(z: Tensor, condition: Any, seed: int) -> Tensor:
        x = z.to(core.device, core.space.dtype)
        return core.log_prob(x, condition, seed=mix_seed(seed, 55), **options).values.cpu().double()

    return log_prob


@torch.no_grad()
def stand_in(model: Adapted, condition: Any = None, *, seed: int = 0, samples: int = SAMPLES) -> Mixture:
    """A mixture fitted to samples of the model's core, given one condition (1, ...).

    Without a condition, of a model that has one: over the training conditions; of a vector, it is the mixture of
    (condition, numbers).
    """
    core = model.core
    given = core_condition(model, condition)
    if given is not None:
        given = given.expand(samples, *given.shape[1:])
    drawn = given
    if given is None and model.condition_space is not None:
        drawn = core_condition(model, model.draw_conditions(samples, seed))
    z = core.sample(samples, drawn, seed=mix_seed(seed, 56)).cpu().double()
    finite = z.isfinite().all(1)
    leading = 0
    if given is None and drawn is not None and drawn.is_floating_point():
        z = torch.cat([drawn.cpu().double().flatten(1), z], 1)
        leading = drawn.flatten(1).shape[1]
    return fit_mixture(z[finite], leading, seed=seed % 2**31)
