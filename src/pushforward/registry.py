"""Name to recipe to model.

A recipe is a YAML file in `recipes/`: a model's name, its source, and its complete default settings. It names a
module of `families` by two plain words (`family: flows`, `module: real_nvp`), never by a class path, and that module
exposes one class as `MODEL`. Nothing else has to be edited to add a model.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field

from .config import Settings, TrainingSettings, merge, validate
from .errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from .model import GenerativeModel
    from .spaces import Space

TAXONOMY = ("exact density", "lower bound", "estimate", "implicit")


class Recipe(Settings):
    """A model's name, its source, and its complete default settings."""

    name: str
    title: str
    family: str = Field(pattern=r"^[a-z_]+$")
    module: str = Field(pattern=r"^[a-z_0-9]+$")
    likelihood: Literal["exact density", "lower bound", "estimate", "implicit"]
    summary: str = Field(description="what it is good for, one sentence")
    source: list[str] = Field(description="papers, with equation numbers where the code follows them")
    settings: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    tables: dict[str, Any] = Field(default_factory=dict, description="settings and training over these, for tables")


@dataclass(frozen=True)
class Config:
    """A resolved configuration: what `config.yaml` of a run holds."""

    model: str
    settings: Settings
    training: TrainingSettings

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "settings": self.settings.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
        }


@functools.lru_cache(None)
def recipe_names() -> tuple[str, ...]:
    """Names of all models, sorted."""
    folder = resources.files(__package__) / "recipes"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")))


@functools.lru_cache(None)
def recipe(name: str) -> Recipe:
    """The recipe of a model.

    Raises:
        InputError: unknown name, with the nearest one.
    """
    if name not in recipe_names():
        raise InputError(f"unknown model {name!r}.", did_you_mean(name, recipe_names()))
    text = (resources.files(__package__) / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    found = validate(Recipe, yaml.safe_load(text), f"recipes/{name}.yaml")
    if found.name != name:
        raise InputError(f"recipes/{name}.yaml is named {found.name!r} inside.")
    return found


def model_class(name: str) -> type[GenerativeModel]:
    """The class that implements a model. Imports torch."""
    r = recipe(name)
    module = importlib.import_module(f"{__package__}.families.{r.family}.{r.module}")
    cls: type[GenerativeModel] = module.MODEL
    return cls


def resolve(name: str, overrides: Mapping[str, Any] | None = None, space: Space | None = None) -> Config:
    """The recipe with overrides laid on it, validated.

    `overrides`: nested mapping; what is under "training" goes to the engine, everything else to the model.
    `space`: of the data, where it is known: a recipe may have other defaults for tables.

    Raises:
        InputError: unknown model or option, bad value.
    """
    r = recipe(name)
    overrides = dict(overrides or {})
    for group in ("training", "model"):
        if not isinstance(overrides.get(group) or {}, Mapping):
            raise InputError(
                f"{group} = {overrides[group]!r}: {group} is a group of options.", f"Example: {group}.NAME=..."
            )
    special = r.tables if getattr(space, "kind", None) == "table" else {}
    training = merge(merge(r.training, special.get("training", {})), overrides.pop("training", {}) or {})
    settings = merge(merge(r.settings, special.get("settings", {})), overrides.pop("model", {}) or {})
    return Config(
        name,
        validate(model_class(name).Settings, merge(settings, overrides), name),
        validate(TrainingSettings, training, "training"),
    )


def check_groups(overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of nested overrides. Raises InputError where a group of options was given a value."""
    found = dict(overrides or {})
    for group in ("training", "model"):
        if not isinstance(found.get(group) or {}, Mapping):
            raise InputError(
                f"{group} = {found[group]!r}: {group} is a group of options.", f"Write {group}.NAME=VALUE."
            )
    return found


def build(
    name: str,
    space: Space,
    condition_space: Space | None = None,
    overrides: Mapping[str, Any] | None = None,
    networks: Mapping[str, nn.Module] | None = None,
) -> GenerativeModel:
    """A new, untrained model for a space: the family's core, behind the preprocessing that the space needs.

    Args:
        name: a recipe's name.
        space: what one sample is.
        condition_space: what it is conditioned on, or None.
        overrides: settings over the recipe's, nested.
        networks: your own modules by role ("encoder", "critic", "field", ...), used instead of built ones.

    Raises:
        InputError: unknown names, bad settings, or a space that this model cannot be brought to.
    """
    return build_from(resolve(name, overrides, space), space, condition_space, networks)


def build_from(
    config: Config,
    space: Space,
    condition_space: Space | None = None,
    networks: Mapping[str, nn.Module] | None = None,
) -> GenerativeModel:
    """`build`, from a resolved configuration."""
    from .bijections.preprocess import Standardize, Unchanged
    from .families.adapted import Adapted
    from .spaces import Real

    cls = model_class(config.model)
    preprocess = cls.preprocess(space, config.settings)
    inner = space if preprocess is None else preprocess.codomain
    if not isinstance(inner, cls.supports):
        kinds = ", ".join(c.kind for c in cls.supports)
        raise InputError(f"{config.model} cannot model {space.describe()}.", f"It models: {kinds}.")
    for role in networks or {}:
        if role not in cls.roles:
            raise InputError(f"{config.model} has no network {role!r}.", did_you_mean(role, cls.roles))
    condition_preprocess = Standardize(condition_space) if isinstance(condition_space, Real) else None
    inner_condition = condition_space if condition_preprocess is None else condition_preprocess.codomain
    core = cls(config.settings, inner, inner_condition, dict(networks or {}))  # type: ignore[call-arg, arg-type]
    if preprocess is None and condition_preprocess is None:
        model = core
    else:
        model = Adapted(core, preprocess or Unchanged(space), condition_preprocess)
    model.config, model.user_networks = config, tuple(networks or ())
    return model


def models(name: str | None = None) -> list[dict[str, Any]]:
    """Every model (or one): name, title, likelihood, summary, source, and its options with types and defaults.

    Raises:
        InputError: unknown name.
    """
    from .config import options_table

    rows = []
    for each in recipe_names() if name is None else (name,):
        r, config = recipe(each), resolve(each)
        options = options_table(type(config.settings), config.settings)
        training = options_table(TrainingSettings, config.training, "training.")
        keep = ("name", "title", "likelihood", "summary", "source")
        rows.append({k: getattr(r, k) for k in keep} | {"options": options + training})
    return sorted(rows, key=lambda row: (TAXONOMY.index(row["likelihood"]), row["name"]))


def suggest(space: Space, rows: int) -> tuple[str, str]:
    """A first model for `rows` training examples of a space, and why."""
    from .data.images.augment import FEW
    from .spaces import Pixels, Real, Sphere, Table, Tokens, Torus

    if isinstance(space, Table):
        if rows < 1000:
            return "gmm", f"{rows} training rows are few: a mixture of Gaussians is exact and overfits least"
        return "flow-matching", "a table: flow matching keeps best how columns depend on each other (gmm is quicker)"
    if isinstance(space, Tokens):
        return "vae", "tokens: the model that takes them as they are"
    if isinstance(space, Sphere | Torus):
        raise InputError(
            f"no model is for {space.describe()} yet.",
            "Fit the columns as numbers: leave space= (--space) out.",
        )
    if isinstance(space, Real) and len(space.shape) == 1:
        if rows < 1000:
            return "gmm", f"{rows} training rows are few: a mixture of Gaussians is exact and overfits least"
        return "real-nvp", "columns of numbers: a normalizing flow has an exact density and trains in minutes"
    if isinstance(space, Pixels) and rows < FEW:
        return "vae", f"{rows} training pictures are few: larger models would mostly learn them by heart"
    return "flow-matching", "images: flow matching gives good samples and an estimated likelihood"


_WORD = re.compile(r"[^a-z0-9]+")


def slug(text: str) -> str:
    """A name fit for a folder: lower case, words joined by hyphens."""
    return _WORD.sub("-", text.lower()).strip("-") or "data"
