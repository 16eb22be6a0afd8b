r"""Denoising diffusion probabilistic models (Ho, Jain, Abbeel 2020, arXiv:2006.11239).

Data is destroyed by :math:`x_k = \sqrt{\alpha_k} x_{k-1} + \sqrt{1 - \alpha_k}\, \varepsilon`, k = 1..T, and a network
learns the noise: :math:`L_{simple} = \mathbb{E} \| \varepsilon - \varepsilon_\theta(x_k, k) \|^2 / D`. The model is
the chain

.. math:: p(x_T) = N(0, I), \quad p(x_{k-1} \mid x_k) = N(\tilde\mu(x_k, \hat x_0), \sigma_k^2 I), \quad
          \hat x_0 = (x_k - \sqrt{1 - \bar\alpha_k}\, \varepsilon_\theta) / \sqrt{\bar\alpha_k} .

Pixels are modelled as they are: scaled to [-1, 1] inside, with :math:`\hat x_0` clipped to that range, and a
discretized Gaussian as :math:`p(x_0 \mid x_1)`, so that the bound is one on log-probabilities. Real data has no range
and is never clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
from ...paths import Schedule, diffuse, kl_to_base, posterior, x0_from_epsilon
from ...solvers.ancestral import ancestral, ddim, ddim_inverse, reverse_variance
from ...spaces import Pixels, Real, Space
from ..fields import ConditionalField
from .decoders import discretized_gaussian_log_prob, gaussian_log_prob

SAMPLERS = ("ancestral", "ddim")


class DDPMSettings(ModelSettings):
    """Settings of a DDPM."""

    timesteps: int = Field(1000, ge=2, description="T, steps of the diffusion")
    # Half of Ho et al.'s linear schedule is nearly pure noise; the cosine has twice as many steps at the small noises
    # where clusters part and pixels get their levels, and learns those sooner.
    schedule: Literal["linear", "cosine"] = Field("cosine", description="how fast the data is destroyed")
    variance: Literal["auto", "fixed-small", "fixed-large"] = Field(
        "auto", description="of the reverse steps; auto: small for pixels, large for reals"
    )
    code_steps: int = Field(100, gt=0, description="DDIM steps of encode and decode, at most T")
    condition_features: int = Field(64, gt=0, description="size of the condition's embedding")
    condition_dropout: float = Field(0.1, ge=0, lt=1, description="rows trained without condition, for guidance")
    network: NetworkSettings = NetworkSettings()
    optimizer: OptimizerSettings = OptimizerSettings()


class DDPM(GenerativeModel):
    r"""A diffusion of T steps with predicted noise and fixed variances.

    Sampling options:
        sampler: "ancestral" draws each step; "ddim" (Song et al. 2021) is deterministic given :math:`x_T`.
        steps: moves from T to 0, evenly spaced; None takes all T.
        eta: noise of ddim, from 0 (none) to 1.
        guidance: s of classifier-free guidance, u + s (c - u); 1 is none.

    Options of `log_prob`:
        bound_steps: how many of the bound's T terms are drawn for each example (stratified, with importance weights;
            the standard error is given), or "all" for every term.

    The code of x is :math:`x_T`: deterministic DDIM both ways, or with a seed a draw of the diffusion (`encode`) and
    of the reverse chain (`decode`).

    Args:
        settings: see `DDPMSettings`.
        space: `Real` or `Pixels`.
        condition_space: a class or a vector, or None.
        networks: "field", your own module: field(x, t, [embedding]) gives the predicted noise, of the shape of x.
            Pixels arrive in [-1, 1]; t = 1 - k/T.
    """

    Settings = DDPMSettings
    supports = (Real, Pixels)
    roles = ("field",)
    options: Mapping[str, Any] = {"sampler": "ancestral", "steps": 250, "eta": 0.0, "guidance": 1.0}
    density_options: Mapping[str, Any] = {"bound_steps": 100}
    option_words: Mapping[str, tuple[str, ...]] = {"bound_steps": ("all",)}
    preview: Mapping[str, Any] = {"sampler": "ddim", "steps": 50}

    def __init__(
        self,
        settings: DDPMSettings,
        space: Space,
        condition_space: Space | None = None,
        networks: Mapping[str, nn.Module] | None = None,
    ):
        super().__init__(space, condition_space, Real(space.shape))
        self.settings = settings
        self.schedule = Schedule(settings.schedule, settings.timesteps)
        # A chain that is shorter than the default number of moves is used whole.
        T = settings.timesteps
        self.options = {**self.options, "steps": min(self.options["steps"], T)}
        self.preview = {**self.preview, "steps": min(self.preview["steps"], T)}
        self.bounded = isinstance(space, Pixels)
        small = self.bounded if settings.variance == "auto" else settings.variance == "fixed-small"
        self.variance = "fixed-small" if small else "fixed-large"
        self.network = ConditionalField(
            space.shape,
            settings.network,
            condition_space,
            settings.condition_features,
            settings.condition_dropout,
            (networks or {}).get("field"),
        )

    # ------------------------------------------------------------------------------ data and network

    @property
    def dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.parameters()), torch.float32)

    def _to_reals(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Pixels to [-1, 1]; reals as they are."""
        if isinstance(self.space, Pixels):
            return x.to(dtype) * (2 / (self.space.levels - 1)) - 1
        return x.to(dtype)

    def _to_data(self, x: Tensor) -> Tensor:
        if isinstance(self.space, Pixels):
            top = self.space.levels - 1
            return ((x + 1) * (top / 2)).round().clamp(0, top).to(self.space.dtype)
        return x

    def _time(self, k: Tensor | int, x: Tensor) -> Tensor:
        """t = 1 - k/T, (n,)."""
        if isinstance(k, int):
            return x.new_full((len(x),), 1 - k / self.schedule.steps)
        return 1 - k.to(x.dtype) / self.schedule.steps

    def _denoiser(
        self, condition: Any, n: int, guidance: float = 1.0, clip: bool | None = None
    ) -> Callable[[Tensor, Tensor | int], Tensor]:
        """(x (n, *shape), k) to the estimate of x_0. Clipped for bounded data only, unless told otherwise."""
        field, context = self.network.guided(condition, n, guidance)
        clip = self.bounded if clip is None else clip

        def denoise(x: Tensor, k: Tensor | int) -> Tensor:
            inputs = x.to(self.dtype)
            epsilon = field(inputs, self._time(k, inputs), *context).to(x.dtype)
            x0 = x0_from_epsilon(x, epsilon, self.schedule.at(k, x)).to(x.dtype)
            return x0.clamp(-1, 1) if clip else x0

        return denoise

    # ------------------------------------------------------------------------------ training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_simple, the mean over examples and numbers (eq. 14), at a uniform step for each example."""
        x0 = self._to_reals(batch.x, self.dtype)
        T = self.schedule.steps
        k = 1 + (batch.noise.uniform(1)[:, 0] * T).long().clamp_max(T - 1)
        epsilon = batch.noise.normal(*self.space.shape, dtype=x0.dtype)
        signal, noise = self.schedule.signal_and_noise(k, x0)
        x = signal * x0 + noise * epsilon
        context = self.network.context(batch.condition, len(x), batch.noise)
        return {"simple": (self.network(x, self._time(k, x), *context) - epsilon).square().mean()}

    def players(self) -> Sequence[Player]:
        return [Player("field", [self.network], self.loss, self.settings.optimizer)]

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        return self.loss(batch)

    # ------------------------------------------------------------------------------ sampling and codes

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        """Samples (n, *space.shape). Raises InputError for an option out of range."""
        x = noise.normal(*self.space.shape, dtype=self.dtype)
        return self._to_data(self._chain(x, condition, noise, **{**self.options, **options}))

    def _chain(
        self, x: Tensor, condition: Any, noise: Noise, sampler: str, steps: int | None, eta: float, guidance: float
    ) -> Tensor:
        if sampler not in SAMPLERS:
            raise InputError(f"unknown sampler {sampler!r}.", did_you_mean(str(sampler), SAMPLERS))
        if not 0 <= eta <= 1:
            raise InputError(f"eta is {eta}.", "It lies between 0 and 1.")
        if eta and sampler == "ancestral":
            raise InputError(f"eta={eta} is an option of sampler=ddim.", "Leave it out, or take that sampler.")
        grid = self.schedule.grid(steps)
        denoise = self._denoiser(condition, len(x), guidance)
        if sampler == "ddim":
            return ddim(denoise, x, self.schedule, grid, noise, eta)
        return ancestral(denoise, x, self.schedule, grid, noise, self.variance)

    def _code_grid(self) -> list[int]:
        return self.schedule.grid(min(self.settings.code_steps, self.schedule.steps))

    def infer(self, x: Tensor, condition: Any, noise: Noise | None) -> Tensor:
        """x_T by DDIM backwards; with noise, a draw of q(x_T | x)."""
        x0 = self._to_reals(x, self.dtype)
        if noise is not None:
            epsilon = noise.normal(*self.space.shape, dtype=x0.dtype)
            return diffuse(x0, epsilon, self.schedule.at(self.schedule.steps, x0))
        # Clipping cannot be undone, so codes do without it, here and in `generate`.
        return ddim_inverse(self._denoiser(condition, len(x), clip=False), x0, self.schedule, self._code_grid())

    def generate(self, z: Tensor, condition: Any, noise: Noise | None) -> Tensor:
        """Data of x_T = z by DDIM; with noise, a draw of the reverse chain that starts at z."""
        z = z.to(self.dtype)
        if noise is not None:
            return self._to_data(self._chain(z, condition, noise, **self.options))
        denoise = self._denoiser(condition, len(z), clip=False)
        return self._to_data(ddim(denoise, z, self.schedule, self._code_grid()))

    # ------------------------------------------------------------------------------ the bound

    def density(self, x: Tensor, condition: Any, noise: Noise, bound_steps: int | str = 100, **_: Any) -> LogProb:
        r"""The variational bound (eq. 5), a lower bound on log p(x) of the full chain of T steps.

        .. math::
            \log p(x_0) \ge \mathbb{E}_q \Big[ \underbrace{\log p(x_0 \mid x_1)}_{-L_0}
            - \sum_{k=2}^{T} \underbrace{D_{KL}(q(x_{k-1} \mid x_k, x_0) \| p(x_{k-1} \mid x_k))}_{L_{k-1}}
            - \underbrace{D_{KL}(q(x_T \mid x_0) \| p(x_T))}_{L_T} \Big]

        Terms: "reconstruction" is :math:`-L_0`, "diffusion" the sum, "prior" :math:`-L_T`, which is exact. The other
        T terms are all evaluated at one draw each (`bound_steps="all"`), or `bound_steps` of them are drawn, from one
        stratum each of a distribution that favours the large ones (small k), and weighted to stay unbiased. Standard
        errors come from differences of neighbouring draws (collapsed strata), which is on the safe side. Arithmetic
        is float64 outside the network.

        Raises:
            InputError: bound_steps is neither "all" nor a whole number of at least 2.
        """
        T, n = self.schedule.steps, len(x)
        x0 = self._to_reals(x, torch.float64)
        denoise = self._denoiser(condition, n)
        if bound_steps == "all":
            steps = torch.arange(1, T + 1, device=x0.device).expand(n, T)
            weights = x0.new_ones(n, T)
        else:
            if isinstance(bound_steps, bool) or not isinstance(bound_steps, int) or bound_steps < 2:
                raise InputError(f"bound_steps is {bound_steps!r}.", "It is a whole number of at least 2, or all.")
            steps, weights = self._draw_steps(noise.uniform(bound_steps, dtype=torch.float64))
        # The decoder's entropy is a constant that would only inflate the standard error.
        variance = -torch.expm1(self.schedule.at(1, x0)).to(x0.device)
        entropy = 0.5 * self.space.dimensions * float(torch.log(2 * math.pi * math.e * variance))
        constant = 0.0 if self.bounded else -entropy
        terms = []
        for k in steps.unbind(1):
            epsilon = noise.normal(*self.space.shape, dtype=x0.dtype)
            terms.append(self._bound_term(x, x0, k, epsilon, denoise, variance, constant))
        weighted = torch.stack(terms, 1) * weights
        first = steps == 1
        reconstruction = -(weighted * first).sum(1) + constant
        diffusion = -(weighted * ~first).sum(1)
        prior = -kl_to_base(x0, self.schedule.at(T, x0))
        pairs = weighted.shape[1] // 2
        squares = (weighted[:, 0 : 2 * pairs : 2] - weighted[:, 1 : 2 * pairs : 2]).square().sum(1)
        if weighted.shape[1] % 2:  # the last draw is alone, and weighs most: it is paired with its neighbour
            squares = squares + (weighted[:, -2] - weighted[:, -1]).square()
        error = squares.sqrt()
        return LogProb(
            prior + diffusion + reconstruction,
            "lower",
            standard_error=error,
            draws=weighted.shape[1],
            terms={"reconstruction": reconstruction, "diffusion": diffusion, "prior": prior},
        )

    def density_method(self, bound_steps: int | str = 100, **options: Any) -> str:
        T = self.schedule.steps
        terms = f"all {T} terms" if bound_steps == "all" else f"{bound_steps} terms drawn of {T}"
        return f"variational bound of the chain, {terms}"

    def _draw_steps(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """K stratified steps for each example and their weights 1 / (K p(k)), from u (n, K) in (0, 1)."""
        log = self.schedule.log_alpha_bar
        # L_{k-1} is about beta_k / (1 - alpha_bar_k) times the network's squared error; a quarter is spread evenly,
        # so that no weight is above 4 T / K.
        sizes = torch.expm1(log[1:] - log[:-1]) / torch.expm1(log[1:])
        p = 0.75 * sizes / sizes.sum() + 0.25 / len(sizes)
        K = u.shape[1]
        position = (torch.arange(K, dtype=u.dtype, device=u.device) + u) / K
        ends = p.cumsum(0).to(u.device)
        index = torch.searchsorted(ends, position * ends[-1]).clamp_max(len(p) - 1)
        return index + 1, 1 / (K * p.to(u.device)[index])

    def _bound_term(
        self,
        x: Tensor,
        x0: Tensor,
        k: Tensor,
        epsilon: Tensor,
        denoise: Callable[[Tensor, Tensor], Tensor],
        variance: Tensor,
        constant: float,
    ) -> Tensor:
        """L_{k-1} of each row at its own step k (n,): a KL of Gaussians, or for k = 1 the decoder's L_0 + constant."""
        a, earlier = self.schedule.at(k, x0), self.schedule.at(k - 1, x0)
        noisy = diffuse(x0, epsilon, a)
        estimate = denoise(noisy, k)
        true_mean, true_variance = posterior(x0, noisy, earlier, a)
        mean, _ = posterior(estimate, noisy, earlier, a)
        model_variance = reverse_variance(self.variance, earlier, a)
        decoded = (k == 1).view_as(a)
        # Where k = 1 the true variance is 0: a harmless 1 keeps NaN out of the gradients of the other branch.
        model_variance = torch.where(decoded, torch.ones_like(a), model_variance)
        ratio = torch.where(decoded, torch.ones_like(a), true_variance / model_variance)
        kl = 0.5 * ((mean - true_mean).square() / model_variance + ratio - 1 - ratio.log()).flatten(1).sum(1)
        # p(x_0 | x_1) has variance beta_1 for both choices: the small one would be 0.
        if isinstance(self.space, Pixels):
            log_p = discretized_gaussian_log_prob(x, estimate, variance, self.space.levels)
        else:
            log_p = gaussian_log_prob(x0, estimate, variance)
        return torch.where(k == 1, constant - log_p, kl)


MODEL = DDPM
