"""What the contract suite runs on: every probe, and every recipe on every kind of data and condition."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from pushforward import registry
from pushforward.config import TrainingSettings
from pushforward.dataset import Dataset, Unpaired
from pushforward.model import GenerativeModel
from pushforward.spaces import Classes, Column, Pixels, Real, Space, Sphere, Table, Tokens
from pushforward.training import Engine

from . import probes, probes_discrete


@dataclass(frozen=True, eq=False)
class Case:
    """A model and the data that it is fitted to, both new at each call and always the same."""

    name: str
    make: Callable[[], GenerativeModel]
    data: Callable[[], Dataset | None]
    held_out: Callable[[], Dataset | None] = lambda: None
    steps: int = 6
    training: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | None = None

    def build(self) -> GenerativeModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.make()

    def settings(self, **changes: Any) -> TrainingSettings:
        base = {"steps": self.steps, "batch_size": 16, "threads": 1, "half_life": 40, "validations": 3}
        return TrainingSettings(**{**base, **self.training, **changes})

    def __repr__(self) -> str:
        return self.name


@functools.lru_cache(None)
def fitted(case: Case) -> GenerativeModel:
    """The case's model after a few rounds. Shared: copy it before changing it."""
    model, data = case.build(), case.data()
    if data is not None:
        model.remember_conditions(data)
    Engine(model, data, case.settings(), validation=case.held_out()).play()
    return model.eval()


def couples_batch(model: GenerativeModel) -> bool:
    """Whether results may depend on how a batch is shared: declared by a player, or dropout (drawn by each rank)."""
    dropout = any(isinstance(m, nn.Dropout) and m.p > 0 for m in model.modules())
    return dropout or any(player.couples_batch for stage in model.stages() for player in stage.players())


# ---------------------------------------------------------------------------------- data


def _normal(n: int, *shape: int, seed: int) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def vectors(n: int, d: int, seed: int = 0) -> Tensor:
    """Two clusters, far from standard: shifted by 30, scaled by 5."""
    cluster = torch.arange(n)[:, None] % 2
    mix = torch.eye(d) + 0.3 * torch.ones(d, d).tril(-1)
    return 30 + 5 * (_normal(n, d, seed=seed) @ mix.T + 3 * cluster)


def images(n: int, channels: int, seed: int = 0) -> Tensor:
    """Smooth blobs: uint8 (n, channels, 8, 8)."""
    g = torch.Generator().manual_seed(seed)
    centre = 1 + 5 * torch.rand(n, channels, 2, 1, 1, generator=g)
    grid = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"))
    distance = (grid - centre).square().sum(2)
    noise = 12 * torch.rand(n, channels, 8, 8, generator=g)
    return (240 * torch.exp(-distance / 6) + noise).clamp(0, 255).to(torch.uint8)


def cosines(n: int, seed: int) -> Tensor:
    x = _normal(n, 3, seed=seed) + torch.tensor([2.0, 0.0, 0.0])
    return x / x.norm(dim=1, keepdim=True)


def _real(n: int, d: int, seed: int = 0) -> Dataset:
    return Dataset(vectors(n, d, seed) / 5 - 6, space=Real((d,)))


def _regression(n: int, seed: int) -> Dataset:
    c = _normal(n, 3, seed=seed)
    y = 4 + 2 * c[:, :2] + 0.5 * _normal(n, 2, seed=seed + 1)
    return Dataset(y, c, space=Real((2,)), condition_space=Real((3,)))


def _tokens(n: int, seed: int = 0) -> Dataset:
    first = torch.randint(0, 4, (n, 1), generator=torch.Generator().manual_seed(seed))
    return Dataset((first + torch.arange(5)) % 4, space=Tokens(5, 4))


PROBES = [
    Case(
        "unpaired-pool",
        probes.CycleGAN,
        lambda: Unpaired(_real(50, 2), Dataset(_normal(31, 2, seed=9), space=Real((2,)))),
        steps=9,
    ),
    Case(
        "growing",
        probes.Progressive,
        lambda: Dataset(images(40, 1).float() / 128 - 1, space=Real((1, 8, 8))),
        steps=5,
    ),
    Case("joint-latent", probes.JointLatent, lambda: _real(50, 3)),
    Case("cached-codes", probes_discrete.Quantized, lambda: _real(50, 4), lambda: _real(20, 4, 5), steps=7),
    Case("em", probes_discrete.Expectation, lambda: _real(50, 2)),
    Case("no-data", probes.Variational, lambda: None),
    Case("tokens", probes_discrete.DiscreteFlow, lambda: _tokens(50)),
    Case("sphere", probes_discrete.SphereFlow, lambda: Dataset(cosines(50, 0), space=Sphere(2))),
    Case("free-codes", lambda: probes_discrete.FreeCodes(50), lambda: _real(50, 3), steps=8),
    Case("data-dependent-start", probes.ConditionalFlow, lambda: _regression(50, 0), lambda: _regression(20, 7)),
]

# ---------------------------------------------------------------------------------- recipes

MIXED = Table(
    (
        Column("height", "continuous", low=100.0, high=250.0),
        Column("children", "integer", low=0.0, high=9.0, step=1.0, missing=True, stored="int64"),
        Column("city", "category", ("Lima", "Oslo", "Rome", "Zürich"), missing=True, stored="string"),
        Column("smoker", "boolean", ("no", "yes"), stored="string"),
        Column("planet", "constant", ("earth",), stored="string"),
    )
)


def tables(n: int, seed: int = 0) -> Tensor:
    """Rows of `MIXED`: columns that depend on each other, and a fifth of the cells missing where they may be."""
    g = torch.Generator().manual_seed(seed)
    u = torch.rand(n, 6, generator=g, dtype=torch.float64)
    city = (4 * u[:, 0]).floor()
    height = 150 + 10 * city + 8 * torch.randn(n, generator=g, dtype=torch.float64)
    children = (5 * u[:, 1] * u[:, 2]).floor() + city
    x = torch.stack([height, children, city, (u[:, 3] < 0.2 + 0.2 * city).double(), torch.zeros(n)], 1)
    x[:, 1:3] = torch.where(u[:, 4:6] < 0.2, torch.nan, x[:, 1:3])
    return x


KINDS: dict[str, Space] = {
    "table": MIXED,
    "vector": Real((2,)),
    "number": Real((1,)),
    "grey": Pixels(1, 8, 8),
    "colour": Pixels(3, 8, 8),
}
CONDITIONS: dict[str, Space | None] = {"": None, "class": Classes(3, ("a", "b", "c")), "features": Real((2,))}

# Settings that cost time, made small wherever a family has one of this name.
SMALL: dict[str, Any] = {
    "network.width": 8,
    "network.depth": 1,
    "discriminator_network.width": 8,
    "discriminator_network.depth": 1,
    "latent": 3,
    "condition_features": 8,
    "components": 3,
    "restarts": 1,
    "layers": 2,
    "scales": 1,
    "timesteps": 6,
    "code_steps": 6,
}
# The same for options of sampling and of likelihoods.
QUICK: dict[str, Any] = {"steps": 4, "bound_steps": 3, "code_steps": 4, "probes": 1}


def quick(model: GenerativeModel) -> GenerativeModel:
    """The model with defaults of `QUICK`."""
    for each in {model, getattr(model, "core", model)}:
        each.options = {k: QUICK.get(k, v) for k, v in each.options.items()}
        each.density_options = {k: QUICK.get(k, v) for k, v in each.density_options.items()}
    return model


def small(settings: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """The overrides of `SMALL` that these settings have."""
    out: dict[str, Any] = {}
    for name, entry in settings.model_fields.items():
        inner = entry.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if nested := small(inner, f"{prefix}{name}."):
                out[name] = nested
        elif f"{prefix}{name}" in SMALL:
            out[name] = SMALL[f"{prefix}{name}"]
    return out


def recipe_data(kind: str, condition: str, n: int = 48, seed: int = 0) -> Dataset:
    space, given = KINDS[kind], CONDITIONS[condition]
    if isinstance(space, Table):
        x = tables(n, seed)
    else:
        x = images(n, space.shape[0], seed) if isinstance(space, Pixels) else vectors(n, space.shape[0], seed)
    c: Tensor | None = None
    if isinstance(given, Classes):
        c = torch.tensor([0, 1, 2, 1, 1, 2])[torch.arange(n) % 6]
    elif given is not None:
        c = (
            10
            + x.float().nan_to_num(0.0).flatten(1).mean(1, keepdim=True) * torch.tensor([1.0, -0.1])
            + _normal(n, 2, seed=seed + 3)
        )
    return Dataset(x, c, space=space, condition_space=given)


@functools.lru_cache(None)
def recipe_case(name: str, kind: str, condition: str) -> Case:
    def make() -> GenerativeModel:
        overrides = small(registry.model_class(name).Settings)
        return quick(registry.build(name, KINDS[kind], CONDITIONS[condition], overrides))

    label = f"{name}-{kind}" + (f"-{condition}" if condition else "")
    return Case(
        label,
        make,
        lambda: recipe_data(kind, condition),
        lambda: recipe_data(kind, condition, 24, 5),
        steps=4,
        training={"batch_size": 12},
        recipe=name,
    )


RECIPES = [recipe_case(name, kind, c) for name in registry.recipe_names() for kind in KINDS for c in CONDITIONS]

# Where training itself is at stake, each recipe once on vectors, on tables and on images is enough.
TRAINED = [
    recipe_case(name, kind, condition)
    for kind, condition in (("vector", ""), ("table", ""), ("colour", "class"))
    for name in registry.recipe_names()
]


def scale(x: Any) -> float:
    """The spread of data, for tolerances."""
    return max(1e-6, float(x.double().std())) if x.is_floating_point() else 1.0


def boundaries(case: Case) -> list[int]:
    """Rounds to stop after: the first, each end of a stage and the middle of the next, the last but one."""
    totals = [case.steps if s.rounds is None else s.rounds for s in case.build().stages()]
    ends = [sum(totals[: i + 1]) for i in range(len(totals))]
    stops = {1, ends[-1] - 1, *ends[:-1], *(a + math.ceil((b - a) / 2) for a, b in itertools.pairwise(ends))}
    return sorted(k for k in stops if 0 < k < ends[-1])
