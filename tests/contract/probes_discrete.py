"""Further probes: tokens, cached codes, closed-form updates, the sphere, a code for each training example."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pushforward.config import OptimizerSettings
from pushforward.dataset import Dataset
from pushforward.game import Batch, Player, Stage
from pushforward.likelihood import LogProb
from pushforward.model import Autoencoder, Code, GenerativeModel
from pushforward.noise import Noise
from pushforward.spaces import Real, Sphere, Tokens

from .probes import ADAM, log_normal, mlp


class Quantized(Autoencoder):
    """A vector-quantized autoencoder (with BatchNorm and dropout), then an autoregressive prior on its cached codes."""

    length, codes, size = 3, 6, 2

    def __init__(self, d: int = 4, width: int = 12):
        super().__init__(Real((d,)), None, Tokens(self.length, self.codes))
        self.encoder = nn.Sequential(
            nn.Linear(d, width),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(width, self.length * self.size),
        )
        self.decoder = mlp(self.length * self.size, d)
        self.book = nn.Parameter(torch.randn(self.codes, self.size))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.embedding = nn.Embedding(self.codes + 1, width)
        self.recurrent, self.head = nn.GRU(width, width, batch_first=True), nn.Linear(width, self.codes)

    def posterior(self, x: Any, condition: Any, noise: Noise | None) -> Code:
        e = self.encoder(x).view(len(x), self.length, self.size)
        z = (e[:, :, None] - self.book).square().sum(-1).argmin(-1)
        q = self.book[z]
        losses = {"codebook": (q - e.detach()).square().mean(), "commitment": (e - q.detach()).square().mean() / 4}
        return Code(z, x.new_zeros(len(x)), e + (q - e).detach(), losses)

    def log_likelihood(self, x: Any, code: Code, condition: Any = None) -> Tensor:
        z = (x - self.decoder(code.features.flatten(1))) * torch.exp(-self.log_scale)
        return log_normal(z) - x.shape[1] * self.log_scale

    def prior_logits(self, z: Tensor) -> Tensor:
        """Logits of every token given the ones before it, (n, length, codes); `z` (n, length)."""
        return self.head(self.recurrent(self.embedding(F.pad(z[:, :-1] + 1, (1, 0))))[0])

    def prior_log_prob(self, z: Tensor) -> Tensor:
        return -F.cross_entropy(self.prior_logits(z).transpose(1, 2), z, reduction="none").sum(1)

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        code = self.posterior(x, None, noise)
        return LogProb(self.log_likelihood(x, code) + self.prior_log_prob(code.z), "lower")

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.posterior(x, None, noise).z

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Tensor:
        mean = self.decoder(self.book[z].flatten(1))
        return mean if noise is None else mean + self.log_scale.exp() * noise.normal(*self.space.shape)

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        z = torch.zeros(len(noise), self.length, dtype=torch.int64)
        for i in range(self.length):
            z[:, i] = noise.categorical(self.prior_logits(z)[:, i])
        return self.generate(z, None, noise)

    def autoencoder_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        code = self.posterior(batch.x, None, batch.noise)
        return {"reconstruction": -self.log_likelihood(batch.x, code).mean(), **code.losses}

    def prior_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"nll": -self.prior_log_prob(batch.x).mean()}

    def _start(self, data: Dataset | None, noise: Noise) -> None:
        assert data is not None
        with torch.no_grad():
            e = self.encoder(data.all()[0]).view(-1, self.size)
            self.book.copy_(e[noise.uniform(1)[:, 0].argsort()[: self.codes]])

    def _encoded(self, data: Dataset) -> Dataset:
        codes = data.map(lambda x, c, noise: (self.infer(x, c, None), None), Tokens(self.length, self.codes))
        return codes.cached(32)  # type: ignore[attr-defined]

    def stages(self) -> Sequence[Stage]:
        first = [self.encoder, self.decoder, self.book, self.log_scale]
        second = [self.embedding, self.recurrent, self.head]
        return [
            Stage(
                "autoencoder",
                lambda: [Player("autoencoder", first, self.autoencoder_loss, ADAM, couples_batch=True)],
                8,
                start=self._start,
                validate=self.autoencoder_loss,
            ),
            Stage(
                "prior",
                lambda: [Player("prior", second, self.prior_loss, ADAM)],
                None,
                data=self._encoded,
                validate=self.prior_loss,
            ),
        ]


class Expectation(GenerativeModel):
    """Expectation-maximization for a mixture of diagonal Gaussians: a player without an optimizer, on all the data."""

    log_weights: Tensor
    means: Tensor
    variances: Tensor

    def __init__(self, d: int = 2, k: int = 3):
        super().__init__(Real((d,)), None, Real((k,)))
        self.k = k
        self.register_buffer("log_weights", torch.full((k,), -math.log(k)))
        self.register_buffer("means", torch.zeros(k, d))
        self.register_buffer("variances", torch.ones(k, d))

    def start(self, data: Dataset | None, noise: Noise) -> None:
        assert data is not None
        self.means.copy_(data.all()[0][noise.uniform(1)[:, 0].argsort()[: self.k]])

    def joint(self, x: Tensor) -> Tensor:
        squares = (x[:, None] - self.means).square() / self.variances + (2 * math.pi * self.variances).log()
        return self.log_weights - 0.5 * squares.sum(-1)

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        return LogProb(self.joint(x).logsumexp(1))

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.joint(x).softmax(1)

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        k = noise.categorical(self.log_weights.expand(len(noise), -1))
        return self.means[k] + self.variances[k].sqrt() * noise.normal(*self.space.shape, dtype=self.means.dtype)

    def em(self, batch: Batch) -> Mapping[str, Tensor]:
        joint = self.joint(batch.x)
        r = joint.softmax(1)
        total = r.sum(0)
        self.log_weights.copy_((total / total.sum()).log())
        self.means.copy_(r.T @ batch.x / total[:, None])
        self.variances.copy_((r.T @ batch.x.square() / total[:, None] - self.means.square()).clamp_min(1e-4))
        return {"nll": -joint.logsumexp(1).mean()}

    def stages(self) -> Sequence[Stage]:
        return [Stage("em", lambda: [Player("em", [], self.em, None)], None, start=self.start, batch_size=-1)]


class DiscreteFlow(GenerativeModel):
    """Discrete flow matching on tokens with a masked source."""

    options: Mapping[str, Any] = {"steps": 5}

    def __init__(self, length: int = 5, vocabulary: int = 4):
        super().__init__(Tokens(length, vocabulary))
        self.length, self.mask = length, vocabulary
        self.embedding, self.net = nn.Embedding(vocabulary + 1, 4), mlp(4 * length + 1, length * vocabulary)

    def logits(self, x: Tensor, t: Tensor) -> Tensor:
        h = torch.cat([self.embedding(x).flatten(1), t.to(self.embedding.weight)], 1)
        return self.net(h).view(len(x), self.length, self.mask)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        t = batch.noise.uniform(1)
        hidden = batch.noise.uniform(self.length) >= t
        logits = self.logits(torch.where(hidden, self.mask, batch.x), t)
        entropy = F.cross_entropy(logits.transpose(1, 2), batch.x, reduction="none")
        return {"cross_entropy": (entropy * hidden).sum(1).mean()}

    def draw(self, noise: Noise, condition: Any = None, steps: int = 5, **options: Any) -> Tensor:
        x = torch.full((len(noise), self.length), self.mask)
        for i in range(steps):
            proposal = noise.categorical(self.logits(x, torch.full((len(x), 1), i / steps)))
            jump = noise.uniform(self.length) < 1 / (steps - i)
            x = torch.where((x == self.mask) & jump, proposal, x)
        return x

    def players(self) -> Sequence[Player]:
        return [Player("tokens", [self.embedding, self.net], self.loss, ADAM)]


class SphereFlow(GenerativeModel):
    """Flow matching along great circles; the batch becomes (base, data) pairs before the wrapper."""

    options: Mapping[str, Any] = {"steps": 5}

    def __init__(self, d: int = 2):
        super().__init__(Sphere(d))
        self.net = mlp(d + 2, d + 1)

    @staticmethod
    def exp(x: Tensor, v: Tensor) -> Tensor:
        r = v.norm(dim=1, keepdim=True).clamp_min(1e-9)
        return F.normalize(torch.cos(r) * x + torch.sin(r) / r * v, dim=1)

    @staticmethod
    def log(x: Tensor, y: Tensor) -> Tensor:
        cosine = (x * y).sum(1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6)
        return torch.acos(cosine) * F.normalize(y - cosine * x, dim=1)

    def base(self, noise: Noise) -> Tensor:
        return F.normalize(noise.normal(*self.space.shape, dtype=next(self.parameters()).dtype), dim=1)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        v = self.net(torch.cat([x, t.to(x)], 1))
        return v - (v * x).sum(1, keepdim=True) * x

    def pair(self, batch: Batch) -> Batch:
        return batch.replace(x=(self.base(batch.noise), batch.x))

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        x0, x1 = batch.x
        t = 0.99 * batch.noise.uniform(1)
        x = self.exp(x0, t * self.log(x0, x1))
        return {"velocity": (self.velocity(x, t) - self.log(x, x1) / (1 - t)).square().sum(1).mean()}

    def draw(self, noise: Noise, condition: Any = None, steps: int = 5, **options: Any) -> Tensor:
        x = self.base(noise)
        for i in range(steps):
            x = self.exp(x, self.velocity(x, torch.full((len(x), 1), i / steps)) / steps)
        return x

    def players(self) -> Sequence[Player]:
        return [Player("field", [self.net], self.loss, ADAM, prepare=self.pair)]


class FreeCodes(GenerativeModel):
    """A code for each training example (a nonlinear factorization), sparse by a soft threshold after each update.

    The codes have a player of their own: plain gradient steps leave the rows alone that a batch does not hold,
    where a moving average of gradients would go on moving them.
    """

    def __init__(self, n: int, d: int = 3, k: int = 2, threshold: float = 1e-3):
        super().__init__(Real((d,)), None, Real((k,)))
        self.codes, self.decoder, self.threshold = nn.Embedding(n, k), mlp(k, d), threshold

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"squared": (batch.x - self.decoder(self.codes(batch.index))).square().sum(1).mean()}

    def shrink(self) -> None:
        """Of the rows of the batch: those that have a gradient, on whichever rank they were."""
        weight = self.codes.weight
        assert weight.grad is not None
        seen = weight.grad.abs().sum(1, keepdim=True) > 0
        weight.copy_(torch.where(seen, F.softshrink(weight, self.threshold), weight))

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.decoder(z)

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        row = (noise.uniform(1, dtype=torch.float64)[:, 0] * self.codes.num_embeddings).long()
        return self.decoder(self.codes(row))

    def players(self) -> Sequence[Player]:
        slow = OptimizerSettings(name="sgd", learning_rate=0.5)
        return [
            Player("decoder", [self.decoder], self.loss, ADAM),
            Player("codes", [self.codes], self.loss, slow, same_batch=True, after=self.shrink),
        ]

    def averaged(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.named_parameters() if not n.startswith("codes"))
