r"""Flow matching (Lipman et al. 2023, arXiv:2210.02747) with straight conditional optimal-transport paths.

A velocity field is regressed on :math:`x_1 - x_0` along :math:`x_t = (1 - t) x_0 + t x_1`, from the base
:math:`x_0 \sim N(0, I)` at t = 0 to the data at t = 1. Its flow :math:`\dot x = v(x, t)` pushes the base to the data,
forwards to sample, backwards to encode, and

.. math:: \log p(x_1) = \log N(x_0; 0, I) - \int_0^1 \nabla \cdot v(x_t, t)\, dt .
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import ModelSettings, NetworkSettings, OptimizerSettings
from ...errors import InputError, did_you_mean
from ...game import Batch, Player
from ...likelihood import LogProb
from ...model import GenerativeModel
from ...noise import Noise
from ...paths import straight
from ...solvers.divergence import velocity_and_divergence
from ...solvers.ode import integrate, root_mean_square
from ...spaces import Real, Space
from ..fields import ConditionalField

DIVERGENCES = ("auto", "exact", "hutchinson")
# Up to here the exact divergence is as cheap as a few probes.
EXACT_DIMENSIONS = 16


class FlowMatchingSettings(ModelSettings):
    """Settings of flow matching."""

    time: Literal["uniform", "logit-normal"] = Field(
        "uniform", description="distribution of t in training; logit-normal favours the middle (Esser et al. 2024)"
    )
    condition_features: int = Field(64, gt=0, description="size of the condition's embedding")
    condition_dropout: float = Field(0.1, ge=0, lt=1, description="rows trained without condition, for guidance")
    network: NetworkSettings = NetworkSettings()
    optimizer: OptimizerSettings = OptimizerSettings()


class FlowMatching(GenerativeModel):
    """A continuous flow trained without simulation.

    Sampling options:
        solver: "euler", "midpoint", "heun", "rk4" with `steps` steps, or the adaptive "dopri5" with `atol`, `rtol`.
        guidance: s of classifier-free guidance, u + s (c - u); 1 is none.

    Options of `log_prob`: solver, steps, atol, rtol as above, and
        divergence: "exact" (a backward pass for each number of an example), "hutchinson" (`probes` random ones), or
            "auto": exact up to 16 numbers.

    Args:
        settings: see `FlowMatchingSettings`.
        space: `Real`.
        condition_space: a class or a vector, or None.
        networks: "field", your own module: field(x, t, [embedding]) gives the velocity, of the shape of x.
    """

    Settings = FlowMatchingSettings
    supports = (Real,)
    roles = ("field",)
    options: Mapping[str, Any] = {"solver": "midpoint", "steps": 50, "atol": 1e-5, "rtol": 1e-5, "guidance": 1.0}
    density_options: Mapping[str, Any] = {
        "solver": "midpoint",
        "steps": 50,
        "atol": 1e-5,
        "rtol": 1e-5,
        "divergence": "auto",
        "probes": 4,
    }
    preview: Mapping[str, Any] = {"solver": "midpoint", "steps": 10}

    def __init__(
        self,
        settings: FlowMatchingSettings,
        space: Space,
        condition_space: Space | None = None,
        networks: Mapping[str, nn.Module] | None = None,
    ):
        super().__init__(space, condition_space, Real(space.shape))
        self.settings = settings
        self.network = ConditionalField(
            space.shape,
            settings.network,
            condition_space,
            settings.condition_features,
            settings.condition_dropout,
            (networks or {}).get("field"),
        )

    @property
    def dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.parameters()), torch.float32)

    # ------------------------------------------------------------------------------ training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The conditional flow matching loss (eq. 23), the mean over examples and numbers."""
        data = batch.x.to(self.dtype)
        if self.settings.time == "uniform":
            t = batch.noise.uniform(1, dtype=data.dtype)[:, 0]
        else:
            t = torch.sigmoid(batch.noise.normal(1, dtype=data.dtype)[:, 0])
        base = batch.noise.normal(*self.space.shape, dtype=data.dtype)
        x, velocity = straight(base, data, t)
        context = self.network.context(batch.condition, len(x), batch.noise)
        return {"velocity": (self.network(x, t, *context) - velocity).square().mean()}

    def players(self) -> Sequence[Player]:
        return [Player("field", [self.network], self.loss, self.settings.optimizer)]

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        return self.loss(batch)

    # ------------------------------------------------------------------------------ sampling and codes

    def draw(self, noise: Noise, condition: Any = None, *, guidance: float = 1.0, **solver: Any) -> Tensor:
        """Samples (n, *space.shape).

        Raises:
            InputError: an unknown solver, a bad number of steps, guidance without a condition.
        """
        base = noise.normal(*self.space.shape, dtype=self.dtype)
        field, context = self.network.guided(condition, len(base), guidance)
        return integrate(field, base, 0.0, 1.0, context=context, **solver)

    def infer(self, x: Tensor, condition: Any, noise: Noise | None) -> Tensor:
        """The base point of x: the flow backwards, adaptively. Deterministic, with or without noise."""
        x = x.to(self.dtype)
        return integrate(self.network, x, 1.0, 0.0, solver="dopri5", context=self.network.context(condition, len(x)))

    def generate(self, z: Tensor, condition: Any, noise: Noise | None) -> Tensor:
        """The data of the base point z: the flow, adaptively. Deterministic, with or without noise."""
        z = z.to(self.dtype)
        return integrate(self.network, z, 0.0, 1.0, solver="dopri5", context=self.network.context(condition, len(z)))

    # ------------------------------------------------------------------------------ likelihood

    def density(
        self,
        x: Tensor,
        condition: Any,
        noise: Noise,
        *,
        divergence: str = "auto",
        probes: int = 4,
        solver: str = "midpoint",
        steps: int = 50,
        atol: float = 1e-5,
        rtol: float = 1e-5,
        **_: Any,
    ) -> LogProb:
        """log p(x), by integrating x and its density back to the base.

        Everything is solved twice: with half the steps, or ten times the tolerances. `solver_error` is the difference
        of the two, term by term in absolute value, so it is the error of the *coarser* solution. Hutchinson's probes
        are fixed along the trajectory and shared by both; several give the standard error.

        Raises:
            InputError: an unknown solver or divergence, steps < 2, probes < 1.
            PushforwardError: the adaptive solver used up its evaluations.
        """
        x = x.to(self.dtype)
        if divergence not in DIVERGENCES:
            raise InputError(f"unknown divergence {divergence!r}.", did_you_mean(str(divergence), DIVERGENCES))
        if isinstance(probes, bool) or not isinstance(probes, int) or probes < 1:
            raise InputError(f"probes is {probes!r}.", "It must be a whole number of at least 1.")
        if solver != "dopri5" and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 2):
            raise InputError(f"steps is {steps!r}.", "A likelihood takes at least 2: half of them give its error.")
        exact = divergence == "exact" or (divergence == "auto" and self.space.dimensions <= EXACT_DIMENSIONS)
        signs = None if exact else noise.signs(probes, *self.space.shape, dtype=x.dtype)
        context = self.network.context(condition, len(x))
        base, change = self._to_base(x, context, signs, solver, steps, atol, rtol)
        rough = self._to_base(x, context, signs, solver, steps // 2, 10 * atol, 10 * rtol)
        mean = change.mean(1)
        error = (base - rough[0]).abs() + (mean - rough[1].mean(1)).abs()
        count = change.shape[1]
        return LogProb(
            base + mean,
            "exact",
            standard_error=change.std(1) / math.sqrt(count) if count > 1 else None,
            draws=None if exact else count,
            solver_error=error.detach(),
            terms={"base": base, "divergence": mean},
        )

    def density_method(self, **options: Any) -> str:
        o = {**self.density_options, **options}
        adaptive = o["solver"] == "dopri5"
        steps = f"at tolerance {o['rtol']:g}" if adaptive else f"in {o['steps']} steps"
        exact = o["divergence"] == "exact" or (o["divergence"] == "auto" and self.space.dimensions <= EXACT_DIMENSIONS)
        trace = "exact divergence" if exact else f"Hutchinson's divergence with {o['probes']} probes"
        return f"probability-flow ODE by {o['solver']} {steps}, {trace}"

    def _to_base(
        self,
        x: Tensor,
        context: tuple[Tensor, ...],
        probes: Tensor | None,
        solver: str,
        steps: int,
        atol: float,
        rtol: float,
    ) -> tuple[Tensor, Tensor]:
        r"""log N(x_0; 0, I), (n,), and :math:`-\int \nabla \cdot v\, dt`, (n, P), in float64.

        The state of the solver is x and the P integrals in one row: (n, D + P).
        """
        count = 1 if probes is None else probes.shape[1]
        shape, size = self.space.shape, x.flatten(1).shape[1]

        def field(state: Tensor, t: Tensor, *rest: Tensor) -> Tensor:
            embedding, e = (rest, None) if probes is None else (rest[:-1], rest[-1])
            y = state[:, :size].view(-1, *shape)
            velocity, divergence = velocity_and_divergence(self.network, y, t, embedding, e)
            return torch.cat([velocity.flatten(1), divergence], 1)

        def norm(error: Tensor) -> Tensor:
            """x as usual, and each integral by itself: among D numbers its error would be diluted."""
            return torch.maximum(root_mean_square(error[:, :size]), error[:, size:].abs().amax(1))

        everything = context if probes is None else (*context, probes)
        state = torch.cat([x.flatten(1), x.new_zeros(len(x), count)], 1)
        # From data to base time runs backwards, so the integral comes with the sign that the density needs.
        state = integrate(
            field, state, 1.0, 0.0, solver=solver, steps=steps, atol=atol, rtol=rtol, context=everything, norm=norm
        ).double()
        base = state[:, :size]
        log_base = -0.5 * base.square().sum(1) - 0.5 * size * math.log(2 * math.pi)
        return log_base, state[:, size:]


MODEL = FlowMatching
