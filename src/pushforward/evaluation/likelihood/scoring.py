"""The likelihood of held-out points under one model: its kind, its errors, and what a nat of it is a nat of."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DensityUnavailable, InputError, PushforwardError, Unsupported
from .significance import standard_error

if TYPE_CHECKING:
    from torch import Tensor

    from ...likelihood import LogProb
    from ...model import GenerativeModel


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of held-out points under one model.

    Attributes:
        kind: "exact", "lower bound", "estimate", "estimate of a lower bound", or "unavailable".
        reason: why it is unavailable, and what to use instead; "" otherwise.
        mean: nats per example; -inf where some points get no probability at all.
        standard_error: of that mean, over the points (and the training seeds); None if the mean is infinite.
        n: points. draws: Monte Carlo draws of each value. monte_carlo_error, solver_error: of the mean, in nats.
        bits_per_dimension: of pixels and other discrete data. unit, measure: what a nat is a nat of.
        dequantization: how whole numbers were made continuous, with its draws; "" if they were not.
        method: how it was computed ("change of variables", "ELBO", "probability-flow ODE, 100 Heun steps").
        infinite: points with probability 0 (in any training). seeds: trainings.
        given: the condition that the points come with; "" for an unconditional model.
        points, support: hashes of the points (with their conditions), and of space and base measure: only likelihoods
            that share both are compared.
    """

    kind: str
    reason: str = ""
    mean: float | None = None
    standard_error: float | None = None
    n: int = 0
    draws: int | None = None
    monte_carlo_error: float | None = None
    solver_error: float | None = None
    bits_per_dimension: float | None = None
    unit: str = ""
    measure: str = ""
    dequantization: str = ""
    method: str = ""
    infinite: int = 0
    seeds: int = 1
    given: str = ""
    points: str = ""
    support: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether the truth may be higher."""
        return "lower bound" in self.kind


def likelihood_of(
    model: GenerativeModel,
    x: Any,
    condition: Any = None,
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    ais: bool | Mapping[str, Any] = False,
) -> tuple[Likelihood, Tensor | None]:
    """The likelihood of points under one model, and the nats of each, (n,) float64; None where it is unavailable.

    Args:
        model: fitted. x: (n, *space.shape) held-out points, or a `Dataset`. condition: one for all or n of them.
        seed: of the draws of bounds and estimates: point i's depend on (seed, i) only.
        options: of the model's `density_options`: more draws, a tighter bound, a finer solver.
        ais: True, or options of `annealed.annealed_log_prob`: its bound instead of the model's own, where the
            model is an autoencoder.

    Raises:
        InputError: points that are not of the model's space, unknown options.
    """
    x, condition = model._check_data(x, condition)
    row, values = score([model], x, condition, seed, options or {}, ais)
    if values is None:
        return row, None
    import torch

    return row, torch.from_numpy(values[0])


def score(
    models: Sequence[GenerativeModel],
    x: Any,
    condition: Any,
    seed: int,
    options: Mapping[str, Any],
    ais: bool | Mapping[str, Any],
) -> tuple[Likelihood, np.ndarray | None]:
    """The likelihood of points that were checked under the trainings of one model, and its values (trainings, n)."""
    first = models[0]
    base = Likelihood(
        "unavailable",
        n=len(x),
        seeds=len(models),
        given="" if condition is None else first.condition_space.describe(),  # type: ignore[union-attr]
        points=_digest(x, condition),
        support=_support(first),
        measure=first.measure,
    )
    if any(_support(m) != base.support for m in models):
        return replace(base, reason="its trainings model different spaces, or against different base measures"), None
    found: list[LogProb] = []
    method = ""
    for model in models:
        try:
            log_prob, method = _log_prob(model, x, condition, seed, options, ais)
        except DensityUnavailable as error:
            return replace(base, reason=str(error)), None
        except InputError:
            raise
        except PushforwardError as error:  # a solver that gave up
            return replace(base, reason=str(error)), None
        found.append(log_prob)
    values = np.stack([f.values.detach().double().cpu().numpy() for f in found])
    for bad, what in ((np.isnan(values), "not a number"), (np.isposinf(values), "infinite")):
        if bad.any():
            points = int(bad.any(0).sum())
            reason = f"the log-likelihood is {what} at {points:,} of {len(x):,} points"
            return replace(base, reason=f"{reason}: the model diverged, or the data have repeated values."), None
    infinite = int(np.isneginf(values).any(0).sum())
    mean = float(values.mean()) if not infinite else -math.inf
    draws = int(first_draws) if (first_draws := found[0].draws) else None
    bits = -mean / (first.space.dimensions * math.log(2)) if base.measure == "counting" else None
    row = replace(
        base,
        kind=found[0].kind,
        mean=mean,
        standard_error=None if infinite else standard_error(values),
        draws=draws,
        monte_carlo_error=_over_trainings([_root_mean(f.standard_error) for f in found]),
        solver_error=_over_trainings([_mean(f.solver_error) for f in found]),
        bits_per_dimension=bits,
        unit=found[0].unit,
        dequantization=_dequantization(first, options),
        method=method,
        infinite=infinite,
    )
    return row, values


def _log_prob(
    model: GenerativeModel,
    x: Any,
    condition: Any,
    seed: int,
    options: Mapping[str, Any],
    ais: bool | Mapping[str, Any],
) -> tuple[LogProb, str]:
    if ais is not False:
        from .annealed import annealed_log_prob

        try:
            better = annealed_log_prob(model, x, condition, seed=seed, **({} if ais is True else ais))
        except Unsupported:  # nothing to anneal: the model's own likelihood
            pass
        else:
            return better.log_prob, better.method
    found = model.log_prob(x, condition, seed=seed, **options)
    return found, model.density_method(**{**model.density_options, **options})


def _dequantization(model: GenerativeModel, options: Mapping[str, Any]) -> str:
    if not model.dequantization:
        return ""
    k = options.get("dequantization_draws", 1)
    return f"{model.dequantization}; {k} draw{'s' if k > 1 else ''} a point"


def _root_mean(error: Tensor | None) -> float | None:
    """The standard error of a mean, from independent ones (n,)."""
    return None if error is None else float(error.double().square().sum().sqrt()) / len(error)


def _mean(error: Tensor | None) -> float | None:
    return None if error is None else float(error.double().mean())


def _over_trainings(errors: Sequence[float | None]) -> float | None:
    """Of a mean over trainings that share their draws: no smaller than of one."""
    known = [e for e in errors if e is not None]
    return sum(known) / len(known) if known else None


def _digest(x: Any, condition: Any) -> str:
    digest = hashlib.sha256()
    for values in (x, condition):
        if values is not None:
            array = np.ascontiguousarray(values.detach().cpu().double().numpy())
            digest.update(f"{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def _support(model: GenerativeModel) -> str:
    """Of the space, whatever its precision and its columns' names, and the base measure with all its spikes."""
    space = {k: v for k, v in model.space.to_json().items() if k not in ("double", "names")}
    return hashlib.sha256(f"{json.dumps(space, sort_keys=True, default=str)}{model.support}".encode()).hexdigest()[:16]
