"""Small models of families that do not exist yet, each bending the contract in another way.

Untrained quality does not matter here: a probe is there to show that its kind of model can be said in the contract,
and that the engine plays, resumes and shares it among ranks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pushforward.bijections.base import Bijection, Chain
from pushforward.config import OptimizerSettings
from pushforward.dataset import Dataset
from pushforward.game import Batch, Player, Stage
from pushforward.likelihood import LogProb
from pushforward.model import Autoencoder, Code, GenerativeModel
from pushforward.noise import Noise
from pushforward.spaces import Real

ADAM = OptimizerSettings(learning_rate=1e-2)


def mlp(inputs: int, outputs: int, width: int = 16) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, outputs))


def log_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I) of rows (n,)."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)


class ActNorm(Bijection):
    """An affine map that standardizes the rows it is started on."""

    def __init__(self, d: int):
        super().__init__()
        self.loc, self.log_scale = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(d))

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x - self.loc) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(x))

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * torch.exp(self.log_scale) + self.loc, self.log_scale.sum().expand(len(z))

    @torch.no_grad()
    def start(self, x: Tensor, condition: Tensor | None = None) -> None:
        self.loc.copy_(x.mean(0))
        self.log_scale.copy_(x.std(0).clamp_min(1e-6).log())


class Coupling(Bijection):
    """An affine coupling; every other one acts on the reversed vector."""

    def __init__(self, d: int, c: int, flip: bool):
        super().__init__()
        self.half, self.flip = d // 2, flip
        self.net = mlp(self.half + c, 2 * (d - self.half))

    def _parts(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = x.flip(1) if self.flip else x
        a, b = x[:, : self.half], x[:, self.half :]
        scale, shift = self.net(a if condition is None else torch.cat([a, condition], 1)).chunk(2, 1)
        return a, b, torch.tanh(scale), shift

    def forward_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b, scale, shift = self._parts(x, condition)
        z = torch.cat([a, b * scale.exp() + shift], 1)
        return z.flip(1) if self.flip else z, scale.sum(1)

    def inverse_and_log_det(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b, scale, shift = self._parts(z, condition)
        x = torch.cat([a, (b - shift) * torch.exp(-scale)], 1)
        return x.flip(1) if self.flip else x, -scale.sum(1)


def flow_layers(d: int, c: int = 0) -> Chain:
    return Chain([ActNorm(d), Coupling(d, c, False), Coupling(d, c, True)])


class ConditionalFlow(GenerativeModel):
    """p(y | x) by a flow with a data-dependent start, and a held-out loss."""

    def __init__(self, d: int = 2, c: int = 3):
        super().__init__(Real((d,)), Real((c,)), Real((d,)))
        self.layers = flow_layers(d, c)

    def start(self, data: Dataset | None, noise: Noise) -> None:
        assert data is not None
        rows = torch.arange(min(64, len(data)))
        self.layers.start(*data.gather(rows, noise[rows]))

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        z = noise.normal(*self.space.shape, dtype=self.layers.layers[0].loc.dtype)  # type: ignore[arg-type]
        return self.generate(z, condition, None)

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        z, log_det = self.layers.forward_and_log_det(x, condition)
        return LogProb(log_normal(z) + log_det)

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.layers.forward_and_log_det(x, condition)[0]

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.layers.inverse_and_log_det(z, condition)[0]

    def nll(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"nll": -self.density(batch.x, batch.condition, batch.noise).values.mean()}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        return self.nll(batch)

    def players(self) -> Sequence[Player]:
        clipped = OptimizerSettings(learning_rate=1e-2, clip=1.0, warmup=3, schedule="cosine")
        return [Player("flow", [self.layers], self.nll, clipped)]


class Variational(GenerativeModel):
    """No data: a flow fitted to an unnormalized log-density by the reverse KL divergence."""

    def __init__(self) -> None:
        super().__init__(Real((2,)), code_space=Real((2,)))
        self.layers = flow_layers(2)

    def target(self, x: Tensor) -> Tensor:
        return -0.5 * (x[:, 0] / 2).square() - 0.5 * (x[:, 1] - 0.5 * x[:, 0].square()).square()

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        return self.generate(noise.normal(2, dtype=next(self.parameters()).dtype), None, None)

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        z, log_det = self.layers.forward_and_log_det(x)
        return LogProb(log_normal(z) + log_det)

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.layers.forward_and_log_det(x)[0]

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.layers.inverse_and_log_det(z)[0]

    def reverse_kl(self, batch: Batch) -> Mapping[str, Tensor]:
        z = batch.noise.normal(2)
        x, log_det = self.layers.inverse_and_log_det(z)
        return {"reverse_kl": (log_normal(z) - log_det - self.target(x)).mean()}

    def players(self) -> Sequence[Player]:
        return [Player("q", [self.layers], self.reverse_kl, ADAM)]


class Pool(nn.Module):
    """Past images that a critic sees in place of new ones, half of the time. Its buffers belong to a rank."""

    images: Tensor
    count: Tensor

    def __init__(self, size: int, d: int):
        super().__init__()
        self.register_buffer("images", torch.zeros(size, d))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        u, size = noise.uniform(2), len(self.images)
        filling = self.count < size
        slot = torch.where(filling, (self.count + torch.arange(len(x))) % size, (u[:, 0] * size).long())
        swap = filling | (u[:, 1] < 0.5)
        out = torch.where((swap & ~filling)[:, None], self.images[slot], x)
        self.images[slot[swap]] = x[swap]
        self.count += len(x)
        return out


class CycleGAN(GenerativeModel):
    """Unpaired translation: p(b | a). Two players with two networks each, and a pool of past images for each critic."""

    def __init__(self, d: int = 2):
        super().__init__(Real((d,)), Real((d,)))
        self.to_b, self.to_a = mlp(d, d), mlp(d, d)
        self.critic_b, self.critic_a = mlp(d, 1), mlp(d, 1)
        self.pool_b, self.pool_a = Pool(20, d), Pool(20, d)

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        return self.to_b(condition)

    def generator_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        fake_b, fake_a = self.to_b(batch.condition), self.to_a(batch.x)
        adversarial = (self.critic_b(fake_b) - 1).square().mean() + (self.critic_a(fake_a) - 1).square().mean()
        cycle = (self.to_a(fake_b) - batch.condition).abs().mean() + (self.to_b(fake_a) - batch.x).abs().mean()
        return {"adversarial": adversarial, "cycle": 10 * cycle}

    def critic_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        with torch.no_grad():
            fake_b, fake_a = self.to_b(batch.condition), self.to_a(batch.x)
        fake_b, fake_a = self.pool_b(fake_b, batch.noise), self.pool_a(fake_a, batch.noise)
        pairs = ((self.critic_b, batch.x, fake_b), (self.critic_a, batch.condition, fake_a))
        losses = [(critic(real) - 1).square().mean() + critic(fake).square().mean() for critic, real, fake in pairs]
        return {"b": losses[0], "a": losses[1]}

    def players(self) -> Sequence[Player]:
        critics = [self.critic_b, self.critic_a, self.pool_b, self.pool_a]
        return [
            Player("generators", [self.to_b, self.to_a], self.generator_loss, ADAM),
            Player("critics", critics, self.critic_loss, ADAM, same_batch=True, couples_batch=True),
        ]

    def averaged(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.named_parameters() if n.startswith("to_"))


class Progressive(GenerativeModel):
    """A growing GAN: all levels exist from the start, a stage activates one more and fades it in."""

    sizes = (2, 4, 8)

    def __init__(self, width: int = 6):
        super().__init__(Real((1, 8, 8)))
        levels = range(len(self.sizes))
        self.width, self.level = width, len(self.sizes) - 1
        self.first, self.last = nn.Linear(4, width * 4), nn.Linear(width * 4, 1)
        self.up = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in levels)
        self.down = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in levels)
        self.to_image = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in levels)
        self.from_image = nn.ModuleList(nn.Conv2d(1, width, 1) for _ in levels)

    def images(self, noise: Noise, fade: Tensor | None = None) -> Tensor:
        """Images of the active level's size; `fade` in [0, 1] blends in its newest block."""
        h = F.silu(self.first(noise.normal(4, dtype=self.first.weight.dtype))).view(-1, self.width, 2, 2)
        before = h
        for level in range(self.level + 1):
            before, h = h, F.silu(self.up[level](F.interpolate(h, scale_factor=2) if level else h))
        x = self.to_image[self.level](h)
        if fade is not None and self.level:
            x = torch.lerp(F.interpolate(self.to_image[self.level - 1](before), scale_factor=2), x, fade)
        return x

    def criticize(self, x: Tensor, fade: Tensor) -> Tensor:
        h = F.silu(self.from_image[self.level](x))
        for level in range(self.level, -1, -1):
            h = F.silu(self.down[level](h))
            if level:
                h = F.avg_pool2d(h, 2)
                if level == self.level:
                    h = torch.lerp(F.silu(self.from_image[level - 1](F.avg_pool2d(x, 2))), h, fade)
        return self.last(h.flatten(1))

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        return F.interpolate(self.images(noise), size=8)

    def critic_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        fade = (2 * batch.progress).clamp_max(1)
        with torch.no_grad():
            fake = self.images(batch.noise, fade)
        real, fake = F.softplus(-self.criticize(batch.x, fade)), F.softplus(self.criticize(fake, fade))
        return {"critic": (real + fake).mean()}

    def generator_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        fade = (2 * batch.progress).clamp_max(1)
        return {"generator": F.softplus(-self.criticize(self.images(batch.noise, fade), fade)).mean()}

    def _enter(self, level: int) -> None:
        self.level = level

    def _players(self, level: int) -> Sequence[Player]:
        blocks, images = slice(0, level + 1), slice(max(0, level - 1), level + 1)
        critic = [*self.from_image[images], *self.down[blocks], self.last]
        generator = [self.first, *self.up[blocks], *self.to_image[images]]
        first = OptimizerSettings(learning_rate=1e-2, betas=(0.0, 0.99))
        return [
            Player("critic", critic, self.critic_loss, first, turns=2),
            Player("generator", generator, self.generator_loss, first),
        ]

    def _shrunk(self, data: Dataset, size: int) -> Dataset:
        return data.map(lambda x, c, noise: (F.adaptive_avg_pool2d(x, size), c), Real((1, size, size)))

    def stages(self) -> Sequence[Stage]:
        return [
            Stage(
                f"{size} pixels",
                lambda level=level: self._players(level),
                4 if level + 1 < len(self.sizes) else None,
                data=lambda data, size=size: self._shrunk(data, size),
                enter=lambda level=level: self._enter(level),
                batch_size=(16, 8, 4)[level],
                continues=level > 0,
            )
            for level, size in enumerate(self.sizes)
        ]

    def averaged(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((n, p) for n, p in self.named_parameters() if n.startswith(("first", "up", "to_image")))


class JointLatent(Autoencoder):
    """A VAE whose prior is a flow, trained together by one player."""

    def __init__(self, d: int = 3, k: int = 2):
        super().__init__(Real((d,)), None, Real((k,)))
        self.encoder, self.decoder, self.prior = mlp(d, 2 * k), mlp(k, d), flow_layers(k)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def posterior(self, x: Any, condition: Any, noise: Noise) -> Code:
        mean, log_scale = self.encoder(x).chunk(2, 1)
        u = noise.normal(mean.shape[1], dtype=mean.dtype)
        z = mean + log_scale.exp() * u
        return Code(z, log_normal(u) - log_scale.sum(1), z)

    def log_likelihood(self, x: Any, code: Code, condition: Any = None) -> Tensor:
        z = (x - self.decoder(code.features)) * torch.exp(-self.log_scale)
        return log_normal(z) - x.shape[1] * self.log_scale

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        code = self.posterior(x, None, noise)
        z, log_det = self.prior.forward_and_log_det(code.z)
        prior = log_normal(z) + log_det
        return LogProb(self.log_likelihood(x, code) + prior - code.log_q, "lower", draws=1)

    def start(self, data: Dataset | None, noise: Noise) -> None:
        assert data is not None
        x, _ = data.all()
        with torch.no_grad():
            self.prior.start(self.posterior(x, None, noise).z)

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Tensor:
        return self.encoder(x).chunk(2, 1)[0] if noise is None else self.posterior(x, None, noise).z

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Tensor:
        mean = self.decoder(z)
        return mean if noise is None else mean + self.log_scale.exp() * noise.normal(*self.space.shape, dtype=z.dtype)

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Tensor:
        z = noise.normal(*self.code_space.shape, dtype=self.log_scale.dtype)  # type: ignore[union-attr]
        return self.generate(self.prior.inverse_and_log_det(z)[0], None, noise)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"bound": -self.density(batch.x, None, batch.noise).values.mean()}

    def players(self) -> Sequence[Player]:
        return [Player("joint", [self.encoder, self.decoder, self.prior, self.log_scale], self.loss, ADAM)]
