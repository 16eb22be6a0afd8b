r"""Events of probability 1e-6 under models whose tails have a closed form: how near `pf.probability` comes.

The parameters of the four models are set by hand, so that their samples are Gaussian (of `gmm`, a mixture) in three
dimensions; the fits that every study begins with are of one step, and not used.

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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .catalogue import Entry, Study, Target

PROBABILITY = 1e-6
SAMPLES, SEEDS = 200_000, 20
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

        def forward(self, x: Any, embedding: Any = None) -> Any:
            return torch.cat([self.scale.to(x.dtype).expand(len(x), -1), self.shift(x)], 1)

    torch_state = torch.random.get_rng_state()
    torch.manual_seed(7)
    for layer in model.core.bijection.modules():
        if isinstance(layer, AffineCoupling):
            layer.conditioner = Affine()
    torch.random.set_rng_state(torch_state)
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


def measure(model: Any, data: Any, entry: Entry, seed: int) -> Mapping[str, float]:
    from ..quantities import probability

    known = known_model(entry.model)
    text, truth = event(known, entry.label.partition(": ")[2])
    found = [probability(known.model, text, SAMPLES, seed=seed * SEEDS + k) for k in range(SEEDS)]
    errors = [e.value / truth - 1 for e in found]
    return {
        "within": sum(abs(error) <= 0.2 for error in errors),
        "worst": max(abs(error) for error in errors),
        "spread": math.sqrt(sum(error**2 for error in errors) / len(errors)),
        "stated": sum(e.relative_error for e in found) / len(found),
        "covered": sum(e.low <= truth <= e.high for e in found),
        "draws": max(e.n for e in found),
        "by_importance": sum(e.method.startswith("importance") for e in found),
        **{f"estimate_{k}": e.value for k, e in enumerate(found)},
    }


_STEP: dict[str, Any] = {"steps": 1, "settings": {"training": {"grids": 0}}}

STUDY = Study(
    name="rare-events",
    title=f"Estimates of events of probability 1e-6 from {SAMPLES:,} samples, against closed forms",
    data="ring:n=200",
    models=tuple(
        Entry(name, {} if name == "gmm" else _STEP, label=f"{name}: {kind}", targets=(Target("within", at_least=18),))
        for name in NAMES
        for kind in EVENTS
    ),
    values={
        "within": f"of {SEEDS} seeds of the estimate, how many are within 20% of the truth",
        "worst": "the largest relative error of them",
        "spread": "root mean square of their relative errors",
        "stated": "mean of the relative standard errors that they state",
        "covered": f"of {SEEDS} intervals at 95%, how many hold the truth",
        "draws": "samples that the model drew for one estimate, at most",
        "by_importance": "estimates by importance sampling about what splitting found; the rest are by splitting alone",
    },
    measure=measure,
    seeds=1,
)  # fmt: skip
