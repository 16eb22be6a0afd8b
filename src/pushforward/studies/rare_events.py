r"""Events of probability 1e-6 under models whose tails have a closed form: how near `pf.probability` comes.

The parameters of the four models are set by hand, so that their samples are Gaussian (of `gmm`, a mixture) in three
dimensions.

=========  ===========================================================================================
gmm        three components with full covariances
real-nvp   couplings with constant scales and affine shifts
vae        a linear decoder of two codes, with Gaussian noise: :math:`W W^\top + \sigma^2 I`
gan        a linear generator of sixteen numbers: :math:`W W^\top`
=========  ===========================================================================================

The tail of :math:`a^\top x` is :math:`\sum_k w_k \Phi((a^\top \mu_k - c) / \sqrt{a^\top \Sigma_k a})`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .catalogue import Study, Target, trial

PROBABILITY = 1e-6
SAMPLES, SEEDS = 200_000, 20
LARGEST, ENOUGH = 0.2, 0.9
"""The largest relative error, and the share of the seeds that it must hold for: 18 of 20."""
NAMES = ("gmm", "real-nvp", "vae", "gan")
EVENTS = ("one column", "a sum", "two tails")


@dataclass(frozen=True)
class Known:
    """A model and its distribution: float64 arrays weights (K,), means (K, 3), covariances (K, 3, 3)."""

    model: Any
    weights: Any
    means: Any
    covariances: Any

    def tail(self, a: Any, c: float) -> float:
        """P(a'x > c)."""
        from scipy.stats import norm

        deviations = [math.sqrt(a @ s @ a) for s in self.covariances]
        parts = [w * norm.sf((c - a @ m) / d) for w, m, d in zip(self.weights, self.means, deviations)]
        return float(sum(parts))

    def threshold(self, a: Any, p: float) -> float:
        """The c of which that is p."""
        from scipy.optimize import brentq

        return float(brentq(lambda c: math.log(max(self.tail(a, c), 1e-300) / p), -100.0, 100.0, xtol=1e-12))


def known_model(name: str) -> Known:
    """One of `NAMES`, the same at every call.

    Raises:
        ValueError: another name.
    """
    import torch

    with torch.random.fork_rng(devices=[]):  # halves of couplings are drawn
        torch.manual_seed(7)
        return _built(name)


def _built(name: str) -> Known:
    import numpy as np
    import torch
    from torch import nn

    from ..registry import build
    from ..spaces import Real

    space, random = Real((3,), double=name == "gmm"), np.random.default_rng(7)
    mean = np.array([0.5, -1.0, 2.0])

    def linear(inputs: int) -> Any:
        layer = nn.Linear(inputs, 3)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(random.normal(size=(3, inputs))))
            layer.bias.copy_(torch.from_numpy(mean))
        return layer

    if name == "gmm":
        return _mixture(build(name, space), random)
    if name == "real-nvp":
        return _flow(build(name, space, overrides={"layers": 4}), random)
    if name == "vae":
        decoder = linear(2)
        settings = {"latent": 2, "scale": "fixed", "initial_scale": 0.5}
        model = build(name, space, overrides=settings, networks={"decoder": decoder})
        return _gaussian(model, mean, decoder.weight, 0.25)
    if name == "gan":
        generator = linear(16)
        return _gaussian(build(name, space, networks={"generator": generator}), mean, generator.weight, 0.0)
    raise ValueError(name)


def _gaussian(model: Any, mean: Any, weight: Any, variance: float) -> Known:
    import numpy as np

    w = weight.detach().double().numpy()
    covariance = w @ w.T + variance * np.eye(3)
    return Known(model.eval(), np.ones(1), mean[None], covariance[None])


def _mixture(model: Any, random: Any) -> Known:
    import numpy as np
    import torch

    weights = np.array([0.6, 0.3, 0.1])
    means = random.normal(size=(3, 3))
    factors = np.tril(random.normal(size=(3, 3, 3)) * 0.5) + np.eye(3)
    core = model.core
    core.log_weights = torch.from_numpy(np.log(weights))[None]
    core.means = torch.from_numpy(means)[None]
    core.factor = torch.from_numpy(factors)[None]
    return Known(model.eval(), weights, means, factors @ factors.transpose(0, 2, 1))


def _flow(model: Any, random: Any) -> Known:
    import numpy as np
    import torch
    from torch import nn

    from ..bijections import AffineCoupling

    class Affine(nn.Module):
        """A constant scale, and a shift that is affine in what passes unchanged."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.from_numpy(random.normal(size=3) * 0.3).float())
            self.shift = nn.Linear(3, 3)
            with torch.no_grad():
                self.shift.weight.copy_(torch.from_numpy(random.normal(size=(3, 3)) * 0.5))
                self.shift.bias.copy_(torch.from_numpy(random.normal(size=3) * 0.5))

        def forward(self, x: Any, embedding: Any = None) -> Any:
            return torch.cat([self.scale.to(x.dtype).expand(len(x), -1), self.shift(x)], 1)

    for layer in model.core.bijection.modules():
        if isinstance(layer, AffineCoupling):
            layer.conditioner = Affine()
    with torch.no_grad():
        corners = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double()
        x = model.core.double().generate(corners, None, None).numpy()
    model.core.float()
    factor = (x[1:] - x[0]).T
    return Known(model.eval(), np.ones(1), x[:1], (factor @ factor.T)[None])


def event(known: Known, kind: str) -> tuple[str, float]:
    """An expression, one of `EVENTS`, and its probability."""
    import numpy as np

    first, both = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0])
    if kind == "one column":
        return f"x1 > {known.threshold(first, PROBABILITY)!r}", PROBABILITY
    if kind == "a sum":
        return f"x1 + x2 + x3 > {known.threshold(both, PROBABILITY)!r}", PROBABILITY
    high, low = known.threshold(first, PROBABILITY / 2), -known.threshold(-first, PROBABILITY / 2)
    return f"x1 > {high!r} or x1 < {low!r}", PROBABILITY


def experiment(seeds: int, data_file: Path | None, log: Callable[[str], None]) -> Mapping[str, Any]:
    """Every event of every model, estimated with seeds 0, 1, ... from at most `SAMPLES` draws.

    Raises:
        InputError: a data file, for there are no data.
    """
    import hashlib

    from ..quantities import probability

    if data_file is not None:
        raise InputError("rare-events has no data: its models are set by hand.", "Leave --data out.")
    rows, parameters = [], hashlib.sha256()
    for name in NAMES:
        known = known_model(name)
        for array in (known.weights, known.means, known.covariances):
            parameters.update(array.tobytes())
        for kind in EVENTS:
            text, truth = event(known, kind)
            found = [probability(known.model, text, SAMPLES, seed=seed) for seed in range(seeds)]
            values = [
                {
                    "error": abs(e.value / truth - 1),
                    "stated": e.relative_error,
                    "covered": float(e.low <= truth <= e.high),
                    "draws": float(e.n),
                    "weighted": float(e.method.startswith("importance")),
                    "estimate": e.value,
                }
                for e in found
            ]
            row = trial(f"{name}: {kind}", values, [Target("error", at_most=LARGEST)], expression=text, truth=truth)
            row["met"] = row["targets"][0]["seeds_met"] >= ENOUGH * seeds
            row["targets"][0] |= {"target": f"error ≤ {LARGEST:g} for {ENOUGH:.0%} of the seeds", "met": row["met"]}
            within = row["targets"][0]["seeds_met"]
            worst = max(v["error"] for v in values)
            log(f"{name}, {kind}: {within} of {seeds} within {LARGEST:.0%}, at worst {worst:.2%}")
            rows.append(row)
    return {"data": {"source": "closed forms", "hash": parameters.hexdigest()}, "reference": {}, "models": rows}


STUDY = Study(
    name="rare-events",
    title=f"Estimates of events of probability 1e-6 from {SAMPLES:,} samples, against closed forms",
    data="",
    models=(),
    values={
        "error": "of the estimate, relative to the truth",
        "stated": "the relative standard error that it states",
        "covered": "share of the intervals at 95% that hold the truth",
        "draws": "samples that the model drew for it",
        "weighted": "share of the estimates by importance sampling about what splitting found; the others by it alone",
    },
    measure=lambda model, data, entry, seed: {},
    seeds=SEEDS,
    experiment=experiment,
)
