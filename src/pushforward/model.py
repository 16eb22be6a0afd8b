r"""The contract: what every generative model answers, and what a family must provide.

A `GenerativeModel` is a distribution :math:`p(x \mid c)` over a `Space`, the pushforward of a simple base
distribution. Users call `sample`, `log_prob`, `encode`, `decode`; these are written once, here (seeding, conditions,
chunks, evaluation mode, refusal of unknown options), and families override none of them. A family writes

========================  ==========================================================================================
`draw(noise, c)`          samples from noise (required)
`density(x, c, noise)`    a `LogProb`, differentiable; leave it out for an implicit model
`infer(x, c, noise)`      data to code; `noise` None asks for the mean (or the exact) code
`generate(z, c, noise)`   code to data; `noise` None asks for the mean
`players()`               who trains what (`game.Player`), or `stages()` for more than one game
`start(data, noise)`      data-dependent initialization, once
`validate(batch)`         a held-out loss, where the family has one
========================  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from .config import Settings
from .dataset import Dataset, count, join, rows
from .errors import DensityUnavailable, InputError, Unsupported, did_you_mean
from .game import Batch, Player, Stage
from .likelihood import LogProb
from .noise import Noise
from .spaces import Classes, Real, Space


class Resizable(nn.Module):
    """A module whose buffers get their size by fitting (training points, mixture components): load resizes them."""

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        for name, buffer in self._buffers.items():
            saved = state_dict.get(prefix + name)
            if saved is not None and buffer is not None and buffer.shape != saved.shape:
                self._buffers[name] = torch.empty(saved.shape, dtype=buffer.dtype, device=buffer.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


class ConditionTable(Resizable):
    """The training conditions, as a conditional model remembers them: what `sample(n)` draws conditions from."""

    limit: ClassVar[int] = 4096
    values: Tensor
    weights: Tensor

    def __init__(self, space: Space):
        super().__init__()
        self.space = space
        empty = torch.zeros((0, *space.shape), dtype=space.dtype)
        self.register_buffer("values", empty)
        self.register_buffer("weights", torch.zeros(0, dtype=torch.float64))

    @torch.no_grad()
    def remember(self, condition: Any, noise: Noise) -> None:
        """Class frequencies, or up to 4096 rows of any other condition, chosen uniformly by `noise`."""
        if isinstance(self.space, Classes):
            values = torch.arange(self.space.count)
            weights = torch.bincount(condition.cpu(), minlength=self.space.count).double()
        else:
            values = condition
            if len(values) > self.limit:
                values = values[noise.uniform(1)[:, 0].argsort()[: self.limit].to(values.device)]
            weights = torch.ones(len(values), dtype=torch.float64)
        self.values = values.to(self.values.device, self.space.dtype)
        self.weights = (weights / weights.sum()).to(self.weights.device)

    def draw(self, noise: Noise) -> Tensor:
        if len(self.weights) == 0:
            raise InputError(
                "this conditional model has not seen data: its training frequencies are unknown.",
                "Give condition=..., or fit the model first.",
            )
        ends = self.weights.cumsum(0)
        u = noise.uniform(1, dtype=torch.float64)[:, 0] * ends[-1]
        return self.values[torch.searchsorted(ends, u).clamp_max(len(ends) - 1)]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and the model's threads inside; each submodule's own mode is restored after."""
    training = [m for m in model.modules() if m.training]
    before = torch.get_num_threads()
    wanted = getattr(model, "threads", None) or before
    if wanted != before:
        torch.set_num_threads(wanted)
    model.eval()
    try:
        yield
    finally:
        if wanted != before:
            torch.set_num_threads(before)
        for module in training:
            module.training = True


class GenerativeModel(nn.Module):
    r"""A distribution :math:`p(x \mid c)` over a space that can be sampled.

    Class attributes a family sets:
        Settings: its pydantic settings, shown by `pushforward models NAME`.
        supports: the kinds of space that its code models directly. `families.adapted` brings the others.
        roles: the networks that users may bring ("encoder", "critic", ...).
        options: sampling options with their defaults; `sample(..., unknown=1)` is refused with these listed.
        density_options: the same for `log_prob`.
        preview: sampling options for the quick pictures during training.

    Instance attributes: `space`, `condition_space` (None: unconditional), `code_space` (None: no codes).
    """

    Settings: ClassVar[type[Settings]] = Settings
    supports: ClassVar[tuple[type[Space], ...]] = (Real,)
    roles: ClassVar[tuple[str, ...]] = ()
    options: Mapping[str, Any] = {}
    density_options: Mapping[str, Any] = {}
    option_words: Mapping[str, tuple[str, ...]] = {}  # words that a numeric option takes as well ("all")
    preview: Mapping[str, Any] = {}  # sampling options for quick pictures during training
    dequantization: str = ""  # how whole numbers are made continuous for a likelihood, in words

    # `sample` and `log_prob` work on at most this many numbers at a time, unless a batch_size is given.
    chunk_numbers: ClassVar[int] = 2**20

    def __init__(self, space: Space, condition_space: Space | None = None, code_space: Space | None = None):
        super().__init__()
        self.space, self.condition_space, self.code_space = space, condition_space, code_space
        self.conditions = None if condition_space is None else ConditionTable(condition_space)
        self.config: Any = None  # registry.Config of a model built from a recipe
        self.user_networks: tuple[str, ...] = ()  # roles filled by the user's own modules
        self.threads: int | None = None  # CPU threads that the fit measured, for sampling too; None: torch's

    # ------------------------------------------------------------------------------ what a family writes

    def draw(self, noise: Noise, condition: Any = None, **options: Any) -> Any:
        """Samples (n, *space.shape), one for each entry of `noise`."""
        raise NotImplementedError

    def density(self, x: Any, condition: Any, noise: Noise, **options: Any) -> LogProb:
        """Log-likelihood of x (n, *space.shape), differentiable where the family's mathematics is."""
        raise DensityUnavailable(
            f"{type(self).__name__} is implicit: it gives samples but no density.",
            "For likelihoods fit real-nvp (exact), flow-matching (estimate) or vae (lower bound).",
        )

    def density_method(self, **options: Any) -> str:
        """How `density` computes its values under these options, in a few words ("change of variables")."""
        return ", ".join(["its own density", *(f"{name} = {value}" for name, value in options.items())])

    def infer(self, x: Any, condition: Any, noise: Noise | None) -> Any:
        """Code of x; a draw from the posterior when `noise` is given, its mean (or the exact code) when None."""
        raise Unsupported(f"{type(self).__name__} has no codes, so it cannot encode.")

    def generate(self, z: Any, condition: Any, noise: Noise | None) -> Any:
        """Data of the code z; a draw when `noise` is given, the mean (or the exact image) when None."""
        raise Unsupported(f"{type(self).__name__} has no codes, so it cannot decode.")

    def players(self) -> Sequence[Player]:
        """Who trains what. Empty for closed-form models."""
        return ()

    def start(self, data: Dataset | None, noise: Noise) -> None:
        """Data-dependent initialization, once before training; the whole fit for closed-form models."""

    def stages(self) -> Sequence[Stage]:
        """The games to play, in order. Default: one, of `players`, for the user's number of steps."""
        validate = self.validate if type(self).validate is not GenerativeModel.validate else None
        rounds = None if type(self).players is not GenerativeModel.players else 0
        return [Stage("fit", self.players, rounds, start=self.start, validate=validate)]

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """A held-out loss (lower is better) that selects the best weights. Optional."""
        raise NotImplementedError

    def averaged(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that the exponential moving average covers. Default: all."""
        return self.named_parameters()

    @classmethod
    def preprocess(cls, space: Space, settings: Any) -> Any:
        """The preprocessing between `space` and what this family's code models, or None.

        Default: standardize real data; dequantize pixels and tables unless the family models them itself.
        """
        from .bijections.preprocess import default_preprocess

        return default_preprocess(space, cls.supports, settings)

    # ------------------------------------------------------------------------------ what users call

    @property
    def measure(self) -> str:
        """The base measure of the likelihoods, in words."""
        return self.space.measure

    @property
    def support(self) -> str:
        """The same, whole however long it is: models with different ones are not compared."""
        return self.measure

    @property
    def device(self) -> torch.device:
        tensor: Tensor | None = next(self.parameters(), None)
        if tensor is None:
            tensor = next(self.buffers(), None)
        return torch.device("cpu") if tensor is None else tensor.device

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: Any = None,
        *,
        seed: int | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Draw n samples in the data's own units and types, (n, *space.shape).

        Sample i depends on (seed, i) only: not on n, on `batch_size`, or on the other samples.

        Args:
            n: how many, at least 1.
            condition: one value for all, or n values: a class index or name, a vector. A conditional model
                without one draws conditions from the training frequencies.
            seed: None takes one from torch's default generator (`torch.manual_seed`).
            batch_size: samples computed at a time; None chooses by memory.
            options: this family's sampling options, see `model.options`.

        Raises:
            InputError: n < 1, an unknown option, an unknown or misplaced condition.
        """
        settled = _checked_options(options, self.options, self.option_words, "sampling")
        n = _positive(n, "number of samples")
        condition = self.check_condition(condition, n, required=False)
        seed = int(torch.randint(2**62, ())) if seed is None else int(seed)
        index = torch.arange(n, device=self.device)
        if condition is None:
            condition = self.draw_conditions(n, seed)
        noise = Noise.of(seed, index=index)
        with evaluating(self):
            parts = [
                self.draw(noise[i], rows(condition, i), **settled) for i in index.split(self._chunk(batch_size, n))
            ]
        return join(parts)

    def draw_conditions(self, n: int, seed: int) -> Any:
        """The conditions (n, ...) that `sample(n, seed=seed)` draws from the training frequencies, or None."""
        if self.conditions is None:
            return None
        return self.conditions.draw(Noise.of(seed, 1, index=torch.arange(n, device=self.device)))

    @torch.no_grad()
    def log_prob(
        self, x: Any, condition: Any = None, *, seed: int = 0, batch_size: int | None = None, **options: Any
    ) -> LogProb:
        """Log-likelihoods in nats, with their kind, unit and error; see `LogProb`.

        For gradients through a likelihood use `density`.

        Args:
            x: (n, *space.shape) data in its own units, or a `Dataset` (its conditions are used).
            condition: as in `sample`; required by a conditional model.
            seed: of the draws that an estimate or a bound makes. Row i's draws depend on (seed, i) only.
            batch_size: rows at a time; None chooses by memory.
            options: this family's options, see `model.density_options`.

        Raises:
            DensityUnavailable: the model is implicit. InputError: wrong shapes, values, options.
        """
        settled = _checked_options(options, self.density_options, self.option_words, "log_prob")
        x, condition = self._check_data(x, condition)
        n = count(x)
        index = torch.arange(n, device=self.device)
        noise = Noise.of(int(seed), 2, index=index)
        with evaluating(self):
            parts = [
                self.density(rows(x, i), rows(condition, i), noise[i], **settled)
                for i in index.split(self._chunk(batch_size, n))
            ]
        out = LogProb.cat(parts)
        out.dimensions = self.space.dimensions
        out.unit = f"nats per example ({self.measure} measure, {self.space.describe()})"
        return out

    @torch.no_grad()
    def encode(self, x: Any, condition: Any = None, *, seed: int | None = None, batch_size: int | None = None) -> Any:
        """Codes (n, *code_space.shape) of data; the mean code, or with a seed a draw from the posterior.

        Raises:
            Unsupported: the family has no codes.
        """
        x, condition = self._check_data(x, condition)
        return self._through(self.infer, x, condition, seed, 3, batch_size)

    @torch.no_grad()
    def decode(self, z: Any, condition: Any = None, *, seed: int | None = None, batch_size: int | None = None) -> Any:
        """Data (n, *space.shape) of codes; the mean, or with a seed a draw.

        Raises:
            Unsupported: the family has no codes. InputError: codes of the wrong shape.
        """
        if self.code_space is not None:
            z = self.code_space.check(_tensor(z), "codes").to(self.device)
        condition = self.check_condition(condition, count(z), required=True)
        return self._through(self.generate, z, condition, seed, 4, batch_size)

    def remember_conditions(self, data: Dataset) -> None:
        """Keep the training conditions (class frequencies, or up to 4096 rows) for `sample(n)` without one."""
        if self.conditions is not None:
            index = torch.arange(len(data))
            self.conditions.remember(data.conditions(), Noise.of(0, 97, index=index))

    def initialize(self, x: Any, condition: Any = None) -> None:
        """For your own training loop: what the engine does before the first round (statistics of the
        preprocessing, data-dependent starts, closed-form fits), for x (n, *space.shape).
        """
        x, condition = self._check_data(x, condition)
        data = Dataset(x, condition, space=self.space, condition_space=self.condition_space)
        self.remember_conditions(data)
        for stage in self.stages():
            if stage.start:
                seen = stage.data(data)
                stage.start(seen, Noise.of(0, 1, index=torch.arange(len(seen), device=self.device)))

    def batch(self, x: Any, condition: Any = None, *, seed: int | None = None) -> Batch:
        """For your own training loop: rows of data (n, *space.shape) as this model's players see them."""
        x, condition = self._check_data(x, condition)
        return Batch.of(x, condition, seed=seed)

    def check_condition(self, condition: Any, n: int, *, required: bool) -> Any:
        """`condition` as a tensor (n, *condition_space.shape) on the model's device, or None.

        Takes one value for all or n of them; classes by index or by name.
        """
        space = self.condition_space
        if space is None:
            if condition is not None:
                raise InputError(
                    "this model is unconditional, but a condition was given.",
                    "Leave it out, or fit with --condition COLUMN.",
                )
            return None
        if condition is None:
            if required:
                raise InputError(
                    f"this model is conditional on {space.describe()}.",
                    "Give condition=... (or --condition).",
                )
            return None
        if isinstance(space, Classes):
            condition = _class_indices(condition, space)
        values = _tensor(condition)
        if values.ndim == len(space.shape):
            values = values[None].expand(n, *values.shape)
        values = space.check(values, "condition")
        if len(values) != n:
            raise InputError(f"{len(values)} conditions for {n} examples.", "Give one, or one for each.")
        return values.to(self.device, space.dtype)

    # ------------------------------------------------------------------------------ shared machinery

    def _through(self, fn: Any, x: Any, condition: Any, seed: int | None, stream: int, batch_size: int | None) -> Any:
        n = count(x)
        index = torch.arange(n, device=self.device)
        noise = None if seed is None else Noise.of(int(seed), stream, index=index)
        with evaluating(self):
            return join(
                [
                    fn(rows(x, i), rows(condition, i), None if noise is None else noise[i])
                    for i in index.split(self._chunk(batch_size, n))
                ]
            )

    def _chunk(self, batch_size: int | None, n: int) -> int:
        if batch_size is not None:
            return _positive(batch_size, "batch_size")
        return max(1, min(n, 16_384, self.chunk_numbers // max(1, self.space.dimensions)))

    def _check_data(self, x: Any, condition: Any) -> tuple[Any, Any]:
        if isinstance(x, Dataset):
            x, own = x.all()
            condition = own if condition is None and self.condition_space is not None else condition
        x = self.space.check(_tensor(x)).to(self.device)
        if len(x) == 0:
            raise InputError("there are no examples.", "Give at least one row.")
        return x, self.check_condition(condition, len(x), required=True)


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    try:
        return torch.as_tensor(np.asarray(x))
    except (TypeError, ValueError):
        raise InputError(
            f"cannot read {type(x).__name__} as numbers.",
            "Give a tensor or an array; of a frame or a file: x, condition = pf.read_like(frame, model.space).",
        ) from None


def _class_indices(condition: Any, space: Classes) -> Any:
    """Names to indices; indices stay."""

    def one(value: Any) -> int:
        if isinstance(value, str):
            if value in space.names:
                return space.names.index(value)
            if not space.names and value.lstrip("-").isdigit():
                return int(value)
            raise InputError(f"unknown condition {value!r}.", did_you_mean(value, space.names))
        if not isinstance(value, (int, np.integer, Tensor)) or int(value) != value:
            raise InputError(
                f"condition {value!r} is not a class.", f"Classes are integers 0 to {space.count - 1}, or names."
            )
        return int(value)

    if isinstance(condition, str):
        return one(condition)
    if isinstance(condition, (list, tuple)):
        return torch.tensor([one(v) for v in condition])
    return condition


def _positive(value: int, name: str) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {value!r}.", "It must be a whole number of at least 1.")
    return int(value)


def _checked_options(
    given: Mapping[str, Any], known: Mapping[str, Any], words: Mapping[str, tuple[str, ...]], what: str
) -> dict[str, Any]:
    """The defaults with the given options laid on them, each of its default's type (or one of its words)."""
    settled = dict(known)
    for name, value in given.items():
        if name not in known:
            raise InputError(f"unknown {what} option {name!r}.", did_you_mean(name, known))
        default = known[name]
        if isinstance(default, (int, float)) and value not in words.get(name, ()) and value is not None:
            kind = "a whole number" if isinstance(default, int) else "a number"
            whole = isinstance(default, int) and not (isinstance(value, (int, float)) and value == int(value))
            if isinstance(value, bool) or not isinstance(value, (int, float)) or whole:
                also = "".join(f", or {word}" for word in words.get(name, ()))
                raise InputError(f"{name} is {value!r}.", f"It must be {kind}{also}.")
            value = type(default)(value)
        settled[name] = value
    return settled


@dataclass
class Code:
    """A posterior draw of an autoencoder.

    Attributes:
        z: the code as a prior models it, (n, *code_space.shape).
        log_q: (n,) log-density of the draw under the posterior; 0 for a deterministic code.
        features: the code as the decoder sees it, differentiable (straight-through for discrete codes).
        losses: extra training losses by name (codebook, commitment), 0-dim.
    """

    z: Any
    log_q: Tensor
    features: Any
    losses: Mapping[str, Tensor] = field(default_factory=dict)


class Autoencoder(GenerativeModel):
    r"""A model with codes: :math:`\log p(x) \ge \log p(x \mid z) + \log p(z) - \log q(z \mid x)`.

    A VAE, a vector-quantized autoencoder (:math:`\log q = 0`) and any learned prior are this one line.
    """

    def posterior(self, x: Any, condition: Any, noise: Noise) -> Code:
        """A draw z ~ q(z | x, c)."""
        raise NotImplementedError

    def log_likelihood(self, x: Any, code: Code, condition: Any = None) -> Tensor:
        """log p(x | z, c), (n,)."""
        raise NotImplementedError

    def log_prior(self, z: Any, condition: Any = None) -> Tensor:
        """log p(z), (n,), of continuous codes.

        Raises:
            Unsupported: the prior has no density that can be written down.
        """
        raise Unsupported(f"{type(self).__name__} states no density of its codes.")
