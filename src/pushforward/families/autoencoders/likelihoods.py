r"""Decoder likelihoods :math:`p(x \mid z)`: what the numbers that a decoder gives mean.

All values of x are independent given z. For each of them the decoder gives `outputs` numbers, so it is asked for
(n, outputs * shape[0], *shape[1:]) and a likelihood sees (n, outputs, *shape). Log-likelihoods are nats per example:
summed over the values of one example, never averaged (an average would change the weight of the KL term with the
size of the data).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ...noise import Noise
from ...spaces import Pixels, Space, Tokens

LikelihoodName = Literal["bernoulli", "gaussian", "discretized-logistic", "categorical"]
ScaleMode = Literal["fixed", "learned", "per-dimension"]

# A categorical over pixels needs one decoder channel a level: beyond this, levels are too many to enumerate.
MAX_CATEGORICAL_LEVELS = 256


class Likelihood(nn.Module):
    """A distribution of x given decoder outputs.

    Attributes:
        outputs: how many numbers the decoder gives for each value of x.
    """

    outputs: int = 1

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z) in nats, (n,), of x (n, *shape) given output (n, outputs, *shape)."""
        raise NotImplementedError

    def mean(self, output: Tensor) -> Tensor:
        """The centre of p(x | z) in the data's own values, (n, *shape)."""
        raise NotImplementedError

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        """A draw from p(x | z), (n, *shape); row i depends on output row i and noise row i only."""
        raise NotImplementedError


class Scale(nn.Module):
    r"""The logarithm of a scale (a standard deviation, a logistic scale), bounded below.

    .. math:: \log s = \log s_{\min} + \operatorname{softplus}(r - \log s_{\min}) > \log s_{\min}

    which is :math:`\log s \approx r` well above the bound. For "learned" r is a parameter, for "per-dimension" it is
    the decoder's second output plus the logarithm of `initial`; "fixed" is the constant `initial`.

    Args:
        mode: "fixed", "learned" or "per-dimension".
        initial: the scale at the start of training (and for ever, when fixed).
        minimum: :math:`s_{\min}`; not applied to a fixed scale.
        shape: of the learned parameter, broadcast against one example.
    """

    def __init__(self, mode: ScaleMode, initial: float, minimum: float, shape: tuple[int, ...] = ()):
        super().__init__()
        self.mode, self.minimum = mode, minimum
        self.constant = math.log(initial)
        if mode != "fixed" and initial <= minimum:
            raise InputError(f"the initial scale {initial:g} is not above its bound {minimum:g}.")
        if mode == "learned":
            floor = math.log(minimum)
            start = floor + math.log(math.expm1(self.constant - floor))
            self.raw = nn.Parameter(torch.full(shape, start))

    def forward(self, output: Tensor) -> Tensor:
        """log s, broadcastable to (n, *shape), of decoder output (n, outputs, *shape)."""
        if self.mode == "fixed":
            return output.new_full((), self.constant)
        floor = math.log(self.minimum)
        raw = self.raw if self.mode == "learned" else output[:, 1] + self.constant
        return floor + F.softplus(raw - floor)


class Bernoulli(Likelihood):
    r""":math:`\log p(x) = x \log p + (1-x) \log(1-p)` for x in {0, 1}, from logits."""

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        logits = output[:, 0]
        # log sigmoid(l) for x = 1 and log sigmoid(-l) for x = 0.
        return F.logsigmoid(torch.where(x > 0, logits, -logits)).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """The more likely of 0 and 1."""
        return (output[:, 0] > 0).to(torch.uint8)

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        u = noise.uniform(*output.shape[2:], dtype=output.dtype)
        return (u < torch.sigmoid(output[:, 0])).to(torch.uint8)


class Gaussian(Likelihood):
    r""":math:`N(x; \mu(z), \sigma^2)`, with a fixed, one learned, or a predicted :math:`\sigma(z)` per dimension.

    A free :math:`\sigma` makes the likelihood of data that the decoder fits exactly infinite, so it is bounded below:
    :math:`\log p(x \mid z) \le -D \log(\sigma_{\min} \sqrt{2\pi})`.
    """

    def __init__(self, mode: ScaleMode = "learned", initial: float = 0.1, minimum: float = 1e-3):
        super().__init__()
        self.outputs = 2 if mode == "per-dimension" else 1
        self.scale = Scale(mode, initial, minimum)

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        mean, log_scale = output[:, 0], self.scale(output)
        z = (x - mean) * torch.exp(-log_scale)
        return (-0.5 * z.square() - log_scale - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        return output[:, 0]

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        normal = noise.normal(*output.shape[2:], dtype=output.dtype)
        return output[:, 0] + torch.exp(self.scale(output)) * normal


class DiscretizedLogistic(Likelihood):
    r"""A logistic distribution over the line, rounded to levels (Salimans et al. 2017, arXiv:1701.05517, eq. 2).

    Level x of 0..L-1 sits at :math:`y = 2x/(L-1) - 1`, its bin is :math:`y \pm h` with :math:`h = 1/(L-1)`, and the
    first and last bins take the tails, so that the levels' probabilities sum to one:

    .. math:: P(x) = \sigma(a) - \sigma(b), \quad a = (y + h - \mu)/s, \quad b = (y - h - \mu)/s .

    The difference cancels in floating point; the identity
    :math:`\sigma(a) - \sigma(b) = \sigma(a)\,\sigma(-b)\,(1 - e^{b-a})` does not: its logarithm is accurate in the
    centre and in both tails, and needs no threshold.

    Args:
        shape: of one example, (channels, height, width).
        levels: L, at least 2.
        mode: "learned" is one scale a channel; "per-dimension" is predicted by the decoder.
        initial, minimum: scales in units of y, whose range is 2.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        levels: int,
        mode: ScaleMode = "learned",
        initial: float = 0.25,
        minimum: float = 1e-3,
    ):
        super().__init__()
        self.levels = levels
        self.outputs = 2 if mode == "per-dimension" else 1
        self.scale = Scale(mode, initial, minimum, (shape[0], *[1] * (len(shape) - 1)))

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        mean, log_scale = output[:, 0], self.scale(output)
        inverse = torch.exp(-log_scale)
        half = 1 / (self.levels - 1)
        centred = x.to(mean.dtype) * (2 * half) - 1 - mean
        below_upper = F.logsigmoid((centred + half) * inverse)
        above_lower = F.logsigmoid((half - centred) * inverse)
        inside = below_upper + above_lower + torch.log(-torch.expm1(-2 * half * inverse))
        log_p = torch.where(x == 0, below_upper, torch.where(x == self.levels - 1, above_lower, inside))
        return log_p.flatten(1).sum(1)

    def _level(self, y: Tensor) -> Tensor:
        """The level whose bin holds y."""
        level = ((y + 1) * ((self.levels - 1) / 2)).round().clamp(0, self.levels - 1)
        return level.to(torch.uint8 if self.levels <= 256 else torch.int32)

    def mean(self, output: Tensor) -> Tensor:
        """The median level: the one whose bin holds the location (the mean is pulled inwards at the edges)."""
        return self._level(output[:, 0])

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        u = noise.uniform(*output.shape[2:], dtype=output.dtype)
        return self._level(output[:, 0] + torch.exp(self.scale(output)) * torch.logit(u))


class Categorical(Likelihood):
    """A free probability for each of `levels` values of every dimension (a softmax).

    Memory: the decoder gives `levels` numbers for each value of x (n * D * levels floats).

    Args:
        levels: how many values.
        ordered: pixels, whose centre is the expected level, rounded; otherwise (tokens) it is the most likely value.
    """

    def __init__(self, levels: int, ordered: bool):
        super().__init__()
        self.outputs, self.ordered = levels, ordered

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        return -F.cross_entropy(output, x.long(), reduction="none").flatten(1).sum(1)

    def _typed(self, level: Tensor) -> Tensor:
        if not self.ordered:
            return level.long()
        return level.to(torch.uint8 if self.outputs <= 256 else torch.int32)

    def mean(self, output: Tensor) -> Tensor:
        if not self.ordered:
            return self._typed(output.argmax(1))
        values = torch.arange(self.outputs, dtype=output.dtype, device=output.device)
        return self._typed(torch.einsum("nk...,k->n...", output.softmax(1), values).round())

    def draw(self, output: Tensor, noise: Noise) -> Tensor:
        # Inverse of the cumulative distribution: one uniform a value, where the Gumbel trick takes one a level.
        ends = output.softmax(1).cumsum(1)
        u = noise.uniform(*output.shape[2:], dtype=output.dtype)[:, None] * ends[:, -1:]
        return self._typed((u > ends[:, :-1]).sum(1))


def choose(space: Space) -> LikelihoodName:
    """The likelihood that suits a space: Bernoulli for pixels of two levels, a discretized logistic for more, a
    softmax for tokens, a Gaussian for reals.

    A softmax over few levels is more flexible than a logistic, and that is its trouble: it does not know that levels
    are ordered. On 8x8 digits of 17 levels its held-out bound is the lower one, and it overfits sooner.
    """
    if isinstance(space, Pixels):
        return "bernoulli" if space.levels == 2 else "discretized-logistic"
    return "categorical" if isinstance(space, Tokens) else "gaussian"


def build_likelihood(
    name: LikelihoodName,
    space: Space,
    mode: ScaleMode = "per-dimension",
    initial: float | None = None,
    minimum: float = 1e-3,
) -> Likelihood:
    """The likelihood `name` on `space`.

    Args:
        name: which one.
        space: `Real`, `Pixels` or `Tokens`.
        mode, initial, minimum: of the scale of a Gaussian or a discretized logistic; `initial` None is 0.1 for reals
            (standardized data) and 0.25 for pixels (in [-1, 1]).

    Raises:
        InputError: values that this likelihood gives no probability to, with the names of those that do.
    """
    if name == "bernoulli":
        if not (isinstance(space, Pixels) and space.levels == 2):
            raise InputError(
                f"likelihood=bernoulli cannot model {space.describe()}: on grey values between 0 and 1 the Bernoulli "
                "formula is not a likelihood (it does not sum to one).",
                f"Use likelihood={choose(space)}" + (", or binarize." if isinstance(space, Pixels) else "."),
            )
        return Bernoulli()
    if name == "gaussian":
        if isinstance(space, Pixels | Tokens):
            raise InputError(
                f"likelihood=gaussian cannot model {space.describe()}: it is a density of real numbers.",
                f"Use likelihood={choose(space)}.",
            )
        # At the standardized data's own scale of 1 the decoder would need no code, and training stays there: on eight
        # Gaussians on a ring the bound is 1.9 nats lower than from a start at 0.1.
        return Gaussian(mode, 0.1 if initial is None else initial, minimum)
    if name == "discretized-logistic":
        if not isinstance(space, Pixels):
            raise InputError(
                f"likelihood=discretized-logistic cannot model {space.describe()}: it needs ordered levels.",
                f"Use likelihood={choose(space)}.",
            )
        return DiscretizedLogistic(space.shape, space.levels, mode, 0.25 if initial is None else initial, minimum)
    if isinstance(space, Tokens):
        return Categorical(space.vocabulary, ordered=False)
    if not isinstance(space, Pixels) or space.levels > MAX_CATEGORICAL_LEVELS:
        raise InputError(
            f"likelihood=categorical cannot model {space.describe()}: it takes up to {MAX_CATEGORICAL_LEVELS} levels.",
            f"Use likelihood={choose(space)}.",
        )
    return Categorical(space.levels, ordered=True)
