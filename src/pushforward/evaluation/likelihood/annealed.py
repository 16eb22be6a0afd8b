r"""Annealed importance sampling of an autoencoder's likelihood (Neal 2001; Wu et al. 2017, arXiv:1611.04273).

.. math:: \log p(x) = \log \int p(x \mid z)\, p(z)\, dz

is approached through the distributions :math:`f_t \propto r(z)^{1 - \beta_t}\, (p(x \mid z)\, p(z))^{\beta_t}`, from a
Gaussian r that can be drawn (:math:`\beta_0 = 0`) to the posterior (:math:`\beta_T = 1`). A chain starts at r, is
weighted by

.. math:: \log w = \sum_{t=1}^{T} (\beta_t - \beta_{t-1}) \left[ \log p(x, z_{t-1}) - \log r(z_{t-1}) \right],

and moves at each temperature by Hamiltonian Monte Carlo, which leaves :math:`f_t` as it is. Then
:math:`\mathbb{E}\, w = p(x)`, so the mean of the logarithm of C chains' mean weight is a lower bound, which rises to
log p(x) as steps or chains are added. With one step it is the importance-weighted bound of C draws from r. What the
encoder believes is used to start near the answer and to scale the moves; it need not be right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ...dataset import rows
from ...errors import InputError, Unsupported
from ...families.adapted import Adapted
from ...likelihood import LogProb
from ...model import Autoencoder, Code, GenerativeModel, evaluating
from ...noise import Noise
from ...spaces import Real

Start = Literal["encoder", "prior"]

_DRAWS = 64
"""Draws of the encoder's posterior that r is fitted to."""
_PILOT = 2
"""Chains of the pilot that sets the moves' sizes."""
_ACCEPTANCE = 0.7
"""Share of moves to be accepted (Beskos et al. 2013: 0.65 is the best in many dimensions, more in few)."""


@dataclass(frozen=True)
class Annealed:
    """An annealed likelihood and how well the chains did.

    Attributes:
        log_prob: a lower bound in expectation; its standard error is the delta method's, from the chains' weights
            (None of one chain).
        effective: (n,) effective number of chains, 1 to C: :math:`(\\sum w)^2 / \\sum w^2`. Near 1, one chain alone
            carries the value, and its standard error says little: take more steps.
        acceptance: (n,) share of moves accepted. method: in words.
    """

    log_prob: LogProb
    effective: Tensor
    acceptance: Tensor
    method: str


@torch.no_grad()
def annealed_log_prob(
    model: GenerativeModel,
    x: Any,
    condition: Any = None,
    *,
    steps: int = 100,
    chains: int = 8,
    leapfrog: int = 5,
    start: Start = "encoder",
    seed: int = 0,
    batch_size: int | None = None,
) -> Annealed:
    """log p(x) of an autoencoder, (n,) nats, by annealed importance sampling. Costs chains x steps x leapfrog passes.

    Args:
        model: an autoencoder with continuous codes, a density of codes and an explicit p(x given z).
        x, condition: as in `log_prob`; numbers that are dequantized get the same draw as there.
        steps: T, moves between r and the posterior, on a sigmoid schedule. chains: C, independent ones for each point.
        leapfrog: steps of one Hamiltonian move; their size is set for each point and temperature by a pilot run, so
            that the chains that count have fixed moves.
        start: r is N(0, I) ("prior", as in Wu et al.), or a diagonal Gaussian with the moments of q(z given x)
            ("encoder"), which needs far fewer steps but may miss a mode of the posterior that the encoder misses.
        seed: point i's chains depend on (seed, i) only. batch_size: points at a time; None chooses by memory.

    Raises:
        Unsupported: the model has no explicit p(x given z), or its codes are discrete.
        InputError: options out of range, points that are not of the model's space.
    """
    for name, value in (("steps", steps), ("chains", chains), ("leapfrog", leapfrog)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}.", "It must be a whole number of at least 1.")
    if start not in ("encoder", "prior"):
        raise InputError(f"start is {start!r}.", "Known: encoder, prior.")
    core = _decoder(model)
    x, condition = model._check_data(x, condition)
    n = len(x)
    # Gradients are kept for all chains of a chunk: it is as much smaller than that of a likelihood.
    size = batch_size or max(1, model._chunk(None, 16_384) // chains)
    parts = []
    with evaluating(model):
        for index in torch.arange(n, device=model.device).split(size):
            noise = Noise.of(seed, 2, index=index)
            points, given, log_det = _as_core(model, rows(x, index), rows(condition, index), noise)
            found = _annealed(core, points, given, noise, steps, chains, leapfrog, start)
            parts.append((found[0] + log_det, *found[1:]))
    values, error, effective, acceptance = (torch.cat(p) for p in zip(*parts))
    log_prob = LogProb(
        values,
        "lower",
        standard_error=error if chains > 1 else None,
        draws=chains,
        unit=f"nats per example ({model.measure} measure, {model.space.describe()})",
        dimensions=model.space.dimensions,
    )
    method = f"annealed importance sampling from the {start}, {chains} chains of {steps} steps"
    return Annealed(log_prob, effective, acceptance, method)


def _decoder(model: GenerativeModel) -> Autoencoder:
    """The core with p(x given z) and p(z). Raises Unsupported."""
    core = model.core if isinstance(model, Adapted) else model
    name = getattr(model.config, "model", type(core).__name__)
    if not isinstance(core, Autoencoder):
        raise Unsupported(
            f"{name} states no p(x given z): annealed importance sampling has nothing to integrate.",
            "A noise model such as x = G(z) + sigma N(0, I) would have to be assumed, and the number would be of that "
            "assumption. Compare samples instead.",
        )
    if not isinstance(core.code_space, Real):
        raise Unsupported(f"{name} has discrete codes, through which there is no gradient to follow.")
    return core


def _as_core(model: GenerativeModel, x: Any, condition: Any, noise: Noise) -> tuple[Any, Any, Tensor]:
    """Points and condition as the core sees them, with the log-determinant (n,)."""
    if not isinstance(model, Adapted):
        return x, condition, torch.zeros(len(x), dtype=torch.float64, device=x.device)
    z, log_det = model._data(x, noise)
    return z, model._condition(condition), log_det.double()


def _annealed(
    core: Autoencoder, x: Any, condition: Any, noise: Noise, steps: int, chains: int, leapfrog: int, start: Start
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log mean weights, their standard errors, effective chains and acceptance, (n,) each."""
    n, shape = len(x), core.code_space.shape  # type: ignore[union-attr]
    drawn = [core.posterior(x, condition, noise).z.flatten(1) for _ in range(_DRAWS if start == "encoder" else 1)]
    centre, scale = torch.zeros_like(drawn[0]), torch.ones_like(drawn[0])
    if start == "encoder":
        codes = torch.stack(drawn)
        centre, scale = codes.mean(0), codes.std(0).clamp_min(1e-6)
    log_scale = scale.log().double().sum(1)

    def log_joint(u: Tensor) -> Tensor:
        """log p(x, z) of z = centre + scale u, as a density of u; (C, n) of u (C, n, d)."""
        c = len(u)
        z = (centre + scale * u).reshape(c * n, *shape)
        repeated = torch.arange(n, device=u.device).repeat(c)
        points, given = rows(x, repeated), rows(condition, repeated)
        code = Code(z, z.new_zeros(len(z)), z)
        total = core.log_likelihood(points, code, given).double() + core.log_prior(z, given).double()
        return total.view(c, n) + log_scale

    s = torch.sigmoid(4 * (2 * torch.arange(steps + 1, dtype=torch.float64) / steps - 1))
    betas = ((s - s[0]) / (s[-1] - s[0])).tolist()
    like = drawn[0]
    _, sizes, _ = _run(log_joint, noise, betas, _PILOT, leapfrog, like, None)
    log_w, _, accepted = _run(log_joint, noise, betas, chains, leapfrog, like, sizes)
    share = log_w.softmax(0).square().sum(0)
    values = log_w.logsumexp(0) - math.log(chains)
    error = ((share - 1 / chains).clamp_min(0) * (chains / max(1, chains - 1))).sqrt()
    return values, error, 1 / share, accepted


def _run(
    log_joint: Callable[[Tensor], Tensor],
    noise: Noise,
    betas: list[float],
    chains: int,
    leapfrog: int,
    like: Tensor,
    sizes: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-weights (C, n), sizes of the moves (T, n), and the share of moves that were accepted (n,).

    With `sizes` None it is a pilot, which adapts them to its acceptance as it goes (Robbins and Monro 1951).
    """
    d = like.shape[1]

    def normal() -> Tensor:
        return noise.normal(chains, d, dtype=like.dtype).transpose(0, 1)

    def value_and_gradient(u: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            value = log_joint(u)
            (gradient,) = torch.autograd.grad(value.sum(), u)
        return value.detach(), gradient

    def base(u: Tensor) -> Tensor:
        return -0.5 * u.double().square().sum(-1) - 0.5 * d * math.log(2 * math.pi)

    def move(beta: float, state: tuple[Tensor, Tensor, Tensor], size: Tensor) -> tuple[Any, Tensor]:
        """One Hamiltonian move at a temperature, with the chance of its acceptance (C, n)."""

        def force(u: Tensor, gradient: Tensor) -> Tensor:
            return beta * gradient - (1 - beta) * u

        step = size.to(like.dtype)[:, None]
        u, joint, gradient = state
        momentum = normal()
        before = beta * joint + (1 - beta) * base(u) - 0.5 * momentum.double().square().sum(-1)
        new, new_joint, new_gradient = u, joint, gradient
        momentum = momentum + 0.5 * step * force(u, gradient)
        for k in range(leapfrog):
            new = new + step * momentum
            new_joint, new_gradient = value_and_gradient(new)
            momentum = momentum + (step if k < leapfrog - 1 else 0.5 * step) * force(new, new_gradient)
        after = beta * new_joint + (1 - beta) * base(new) - 0.5 * momentum.double().square().sum(-1)
        # A move that left the numbers is none.
        chance = torch.nan_to_num((after - before).clamp_max(0).exp(), nan=0.0)
        accept = chance > noise.uniform(chains, dtype=torch.float64).T
        kept = (
            torch.where(accept[..., None], new, u),
            torch.where(accept, new_joint, joint),
            torch.where(accept[..., None], new_gradient, gradient),
        )
        return kept, chance

    pilot = sizes is None
    u = normal()
    state: tuple[Tensor, Tensor, Tensor] = (u, *value_and_gradient(u))
    log_w = torch.zeros_like(state[1])
    log_size = torch.full((len(like),), -0.5 * math.log(leapfrog), dtype=torch.float64, device=like.device)
    recorded, shares = [], []
    # A short ladder gives the pilot too few moves to learn from: it makes several at each rung.
    moves = -(-100 // (len(betas) - 1)) if pilot else 1
    for t in range(1, len(betas)):
        log_w = log_w + (betas[t] - betas[t - 1]) * (state[1] - base(state[0]))
        if t == len(betas) - 1:
            break
        for _ in range(moves):
            state, chance = move(betas[t], state, log_size.exp() if sizes is None else sizes[t - 1])
            shares.append(chance.mean(0))
            if pilot:
                log_size = log_size + 0.15 * (chance.mean(0) - _ACCEPTANCE)
        recorded.append(log_size.exp())
    nothing = torch.ones(len(like), dtype=torch.float64, device=like.device)
    accepted = torch.stack(shares).mean(0) if shares else nothing
    return log_w, torch.stack(recorded) if recorded else nothing[None], accepted
