r"""The variational autoencoder (Kingma and Welling 2014, arXiv:1312.6114).

.. math::

    \log p(x \mid c) \ge \mathbb{E}_{z \sim q(z \mid x, c)} \log p(x \mid z, c) - D_{KL}(q(z \mid x, c) \| N(0, I)),

with a Gaussian q (diagonal or full covariance) and a decoder likelihood that suits the data: pixels and tokens keep
their own values, so the bound is one on log-probabilities, without dequantization.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import ModelSettings, NetworkSettings, OptimizerSettings
from ...errors import InputError
from ...game import Batch, Player
from ...likelihood import LogProb
from ...model import Autoencoder, Code
from ...nn import ConditionEmbedding
from ...nn import decoder as build_decoder
from ...nn import encoder as build_encoder
from ...noise import Noise
from ...spaces import Pixels, Real, Space, Tokens
from .likelihoods import LikelihoodName, ScaleMode, build_likelihood, choose
from .posteriors import GaussianPosterior, PosteriorName, standard_normal_log_prob


class VAESettings(ModelSettings):
    """Settings of a VAE."""

    latent: int | None = Field(
        None,
        gt=0,
        description="dimensions of the code; none: an eighth of the data's, within 8 to 32, and never more than those",
    )
    posterior: PosteriorName = Field("diagonal", description="covariance of q(z|x)")
    likelihood: Literal["auto"] | LikelihoodName = Field(
        "auto",
        description="p(x|z); auto: bernoulli for pixels of 2 levels, discretized-logistic for more, categorical for "
        "tokens, gaussian for reals",
    )
    scale: ScaleMode = Field(
        "per-dimension",
        description="of gaussian and discretized-logistic: fixed, learned (one, or one a channel), or per-dimension, "
        "predicted from z",
    )
    initial_scale: float | None = Field(
        None,
        gt=0,
        description="at the start, or for ever when fixed; none: 0.1 for reals, 0.25 for pixels in [-1, 1]",
    )
    minimum_scale: float = Field(1e-3, gt=0, description="lower bound of a scale that is not fixed")
    kl_warmup: float = Field(0.0, ge=0, le=1, description="fraction of the run in which the KL's weight grows to 1")
    condition_features: int = Field(64, gt=0, description="size of the condition's embedding")
    network: NetworkSettings = NetworkSettings()
    optimizer: OptimizerSettings = OptimizerSettings()


class VAE(Autoencoder):
    """A variational autoencoder with prior N(0, I), which does not depend on the condition.

    Args:
        settings: see `VAESettings`.
        space: `Real`, `Pixels` or `Tokens`.
        condition_space: a class or a vector, given to encoder and decoder; or None.
        networks: your own modules. "encoder": (x, [embedding]) -> (n, `GaussianPosterior.outputs`), where x is real
            data as it is, pixels in [-1, 1], or tokens embedded and flattened. "decoder": (z, [embedding]) ->
            (n, outputs * shape[0], *shape[1:]), see `likelihoods`. The embedding is passed to conditional models only.

    Raises:
        InputError: a likelihood that does not suit the space; at the first use, a network with another output shape.
    """

    Settings = VAESettings
    supports = (Real, Pixels, Tokens)
    roles = ("encoder", "decoder")
    options: Mapping[str, Any] = {"decode": "draw"}
    density_options: Mapping[str, Any] = {"k": 1, "draws": 1}

    def __init__(
        self,
        settings: VAESettings,
        space: Space,
        condition_space: Space | None = None,
        networks: Mapping[str, nn.Module] | None = None,
    ):
        latent = settings.latent or min(space.dimensions, max(8, min(32, space.dimensions // 8)))
        super().__init__(space, condition_space, Real((latent,)))
        self.settings, self.latent = settings, latent
        networks = networks or {}
        name = choose(space) if settings.likelihood == "auto" else settings.likelihood
        self.likelihood = build_likelihood(name, space, settings.scale, settings.initial_scale, settings.minimum_scale)
        self.embedding = ConditionEmbedding(condition_space, settings.condition_features) if condition_space else None
        features = settings.condition_features if condition_space else 0
        shape = space.shape
        self.token_embedding: nn.Embedding | None = None
        if isinstance(space, Tokens):  # one-hot tokens times a matrix: a few numbers each, side by side
            self.token_embedding = nn.Embedding(space.vocabulary, min(space.vocabulary, 32))
            shape = (space.length * self.token_embedding.embedding_dim,)
        code_numbers = GaussianPosterior.outputs(settings.posterior, latent)
        decoded = (self.likelihood.outputs * space.shape[0], *space.shape[1:])
        self.encoder = networks.get("encoder") or build_encoder(shape, code_numbers, settings.network, features)
        self.decoder = networks.get("decoder") or build_decoder(latent, decoded, settings.network, features)

    # ------------------------------------------------------------------------------ the two networks

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def _embed(self, condition: Any, n: int) -> Tensor | None:
        return None if self.embedding is None else self.embedding(condition, n)

    def _network_input(self, x: Tensor) -> Tensor:
        if isinstance(self.space, Pixels):
            return x.to(self.dtype) * (2 / max(1, self.space.levels - 1)) - 1
        if self.token_embedding is not None:
            return self.token_embedding(x).flatten(1)
        return x

    def approximate_posterior(self, x: Tensor, condition: Any = None) -> GaussianPosterior:
        """q(z | x, c)."""
        return self._posterior(x, self._embed(condition, len(x)))

    def _posterior(self, x: Tensor, embedding: Tensor | None) -> GaussianPosterior:
        y = self._network_input(x)
        numbers = self.encoder(y) if embedding is None else self.encoder(y, embedding)
        wanted = (len(x), GaussianPosterior.outputs(self.settings.posterior, self.latent))
        if tuple(numbers.shape) != wanted:
            raise InputError(f"the encoder gives shape {tuple(numbers.shape)}.", f"It must give {wanted}.")
        return GaussianPosterior.of(_at_least_float32(numbers), self.latent)

    def _decode(self, z: Tensor, embedding: Tensor | None) -> Tensor:
        """The likelihood's numbers (n, outputs, *shape)."""
        output = self.decoder(z) if embedding is None else self.decoder(z, embedding)
        shape = self.space.shape
        wanted = (len(z), self.likelihood.outputs * shape[0], *shape[1:])
        if tuple(output.shape) != wanted:
            raise InputError(f"the decoder gives shape {tuple(output.shape)}.", f"It must give {wanted}.")
        return _at_least_float32(output).view(len(z), self.likelihood.outputs, *shape)

    def _terms(self, x: Tensor, condition: Any, noise: Noise) -> tuple[Tensor, Tensor]:
        """log p(x | z) at one draw of z, and the KL divergence in closed form; each (n,), nats."""
        embedding = self._embed(condition, len(x))
        q = self._posterior(x, embedding)
        z, _ = q.draw(noise.normal(self.latent, dtype=q.mean.dtype))
        return self.likelihood.log_prob(x, self._decode(z, embedding)), q.kl()

    # ------------------------------------------------------------------------------ training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Negative ELBO in nats per example, by terms; the KL's weight grows over `kl_warmup`.

        "_elbo" and "_kl" are reported without that weight.
        """
        log_likelihood, kl = (t.mean() for t in self._terms(batch.x, batch.condition, batch.noise))
        warmup = self.settings.kl_warmup
        weighted = kl if warmup == 0 else kl * (batch.progress.to(kl) / warmup).clamp_max(1.0)
        elbo = (log_likelihood - kl).detach()
        return {"reconstruction": -log_likelihood, "kl": weighted, "_kl": kl.detach(), "_elbo": elbo}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The negative ELBO, whatever the KL's weight in training."""
        log_likelihood, kl = (t.mean() for t in self._terms(batch.x, batch.condition, batch.noise))
        return {"negative_elbo": kl - log_likelihood, "_reconstruction": -log_likelihood, "_kl": kl}

    def players(self) -> Sequence[Player]:
        parts = (self.encoder, self.decoder, self.likelihood, self.embedding, self.token_embedding)
        return [Player("vae", [m for m in parts if m is not None], self.loss, self.settings.optimizer)]

    # ------------------------------------------------------------------------------ likelihood

    def density(self, x: Tensor, condition: Any, noise: Noise, k: int = 1, draws: int = 1, **options: Any) -> LogProb:
        r"""A lower bound on log p(x | c).

        Args:
            k: 1 is the ELBO, with its KL in closed form. Larger is the importance-weighted bound
                :math:`\log \frac1k \sum_{i \le k} p(x, z_i) / q(z_i \mid x)` (Burda et al. 2016, arXiv:1509.00519,
                eq. 8), which rises to log p(x) with k.
            draws: independent estimates of the bound that are averaged.

        The standard error is that of the mean of `draws` estimates; for one importance-weighted estimate it is the
        delta method's, from the spread of the k weights; for one ELBO draw there is none.
        """
        for name, value in (("k", k), ("draws", draws)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} is {value!r}.", "It must be a whole number of at least 1.")
        terms: dict[str, Tensor] = {}
        error: Tensor | None = None
        if k == 1:
            pairs = [self._terms(x, condition, noise) for _ in range(draws)]
            reconstruction, kl = (torch.stack(t) for t in zip(*pairs))
            values = reconstruction - kl
            terms = {"reconstruction": reconstruction.mean(0), "kl": -kl.mean(0)}
        else:
            weights = [self.log_weights(x, condition, noise, k) for _ in range(draws)]
            values = torch.stack([w.logsumexp(0) - math.log(k) for w in weights])
            # Var(log mean w) ~ Var(w) / (k E[w]^2), by the normalized weights.
            share = weights[0].detach().softmax(0).square().sum(0)
            error = ((share - 1 / k).clamp_min(0) * (k / (k - 1))).sqrt()
        if draws > 1:
            error = values.detach().std(0) / math.sqrt(draws)
        return LogProb(values.mean(0), "lower", error, k * draws, terms=terms)

    def density_method(self, k: int = 1, **options: Any) -> str:
        return "evidence lower bound (ELBO)" if k == 1 else f"importance-weighted bound, k = {k}"

    def log_weights(self, x: Tensor, condition: Any, noise: Noise, k: int) -> Tensor:
        """log p(x | z_i) + log p(z_i) - log q(z_i | x) of k draws, (k, n). Each is one sampled ELBO."""
        n, d = len(x), self.latent
        embedding = self._embed(condition, n)
        q = self._posterior(x, embedding)
        # Drawn one by one and decoded in groups, so that memory is bounded and the numbers do not depend on it.
        numbers = n * self.space.dimensions * self.likelihood.outputs
        group = max(1, self.chunk_numbers // numbers)
        parts = []
        for first in range(0, k, group):
            g = min(group, k - first)
            z, log_q = q.draw(torch.stack([noise.normal(d, dtype=q.mean.dtype) for _ in range(g)]))
            repeated = None if embedding is None else embedding.repeat(g, 1)
            output = self._decode(z.flatten(0, 1), repeated)
            log_likelihood = self.likelihood.log_prob(x.repeat(g, *[1] * (x.ndim - 1)), output).view(g, n)
            parts.append(log_likelihood + standard_normal_log_prob(z) - log_q)
        return torch.cat(parts)

    def _chunk(self, batch_size: int | None, n: int) -> int:
        chunk = super()._chunk(batch_size, n)
        return chunk if batch_size is not None else max(1, chunk // self.likelihood.outputs)

    # ------------------------------------------------------------------------------ samples and codes

    def draw(self, noise: Noise, condition: Any = None, decode: str = "draw", **options: Any) -> Tensor:
        """z ~ N(0, I), then x.

        Args:
            decode: "draw" is a sample of the model p(x), the one that `log_prob` measures, with the likelihood's
                own noise; "mean" is the centre of p(x | z), smoother and easier on the eye.
        """
        if decode not in ("draw", "mean"):
            raise InputError(f"decode is {decode!r}.", "Known: draw, mean.")
        z = noise.normal(self.latent, dtype=self.dtype)
        return self.generate(z, condition, noise if decode == "draw" else None)

    def generate(self, z: Tensor, condition: Any, noise: Noise | None) -> Tensor:
        """The centre of p(x | z, c), or with noise a draw from it."""
        output = self._decode(z.to(self.dtype), self._embed(condition, len(z)))
        return self.likelihood.mean(output) if noise is None else self.likelihood.draw(output, noise)

    def infer(self, x: Tensor, condition: Any, noise: Noise | None) -> Tensor:
        """The mean of q(z | x, c), or with noise a draw from it."""
        q = self.approximate_posterior(x, condition)
        return q.mean if noise is None else q.draw(noise.normal(self.latent, dtype=q.mean.dtype))[0]

    def posterior(self, x: Any, condition: Any, noise: Noise) -> Code:
        q = self.approximate_posterior(x, condition)
        z, log_q = q.draw(noise.normal(self.latent, dtype=q.mean.dtype))
        return Code(z, log_q, z)

    def log_likelihood(self, x: Any, code: Code, condition: Any = None) -> Tensor:
        return self.likelihood.log_prob(x, self._decode(code.features, self._embed(condition, len(x))))

    def log_prior(self, z: Tensor, condition: Any = None) -> Tensor:
        return standard_normal_log_prob(z)


def _at_least_float32(x: Tensor) -> Tensor:
    """Half-precision network outputs enter sums over many dimensions: those are taken in float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


MODEL = VAE
