"""Settings are data: pydantic models, never class paths.

A family keeps its `Settings` beside its code; a recipe fills them in; `--set a.b=c`, the saved run and every error
message go through the same objects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import InputError, did_you_mean

S = TypeVar("S", bound=BaseModel)


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OptimizerSettings(Settings):
    """An optimizer, its learning-rate schedule and its gradient clipping."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    betas: tuple[float, float] = Field((0.9, 0.999), description="Adam's; ints are taken as floats")
    eps: float = Field(1e-8, gt=0)
    momentum: float = Field(0.0, ge=0, description="SGD's and RMSProp's")
    weight_decay: float = Field(0.0, ge=0)
    warmup: int = Field(0, ge=0, description="rounds of linear warm-up")
    schedule: Literal["constant", "cosine", "linear"] = Field("constant", description="after the warm-up, to zero")
    clip: float | None = Field(None, gt=0, description="largest gradient norm of the player")


class NetworkSettings(Settings):
    """One knob, `size`, and every number it decides, each overridable (None: decided by size)."""

    size: Literal["s", "m", "l"] = "s"
    width: int | None = Field(None, gt=0, description="units of a hidden layer, or channels at full resolution")
    depth: int | None = Field(None, gt=0, description="residual blocks (per resolution, for images)")
    dropout: float = Field(0.0, ge=0, lt=1)


class TableSettings(Settings):
    """How the columns of a table become real numbers."""

    transform: Literal["quantile", "standardize"] = Field(
        "quantile", description="of columns of numbers; standardize keeps their shape for the model to learn"
    )
    categories: Literal["interval", "argmax"] = Field(
        "interval", description="dequantization: an interval of one number for each value, or a number for each"
    )
    argmax_limit: int = Field(64, ge=2, description="categories with more values are intervals even with argmax")
    gap: float = Field(
        0.0, ge=0, lt=1, description="share of the interval of a value that is left empty, to keep values apart"
    )
    fill: Literal["factors", "normal"] = Field(
        "factors", description="numbers of missing cells: as the rest of the row suggests, or any"
    )
    dependencies: bool = Field(True, description="look up columns that are functions of another one")


class ModelSettings(Settings):
    """Base of a family's settings: what every family lets users choose."""

    table: TableSettings = TableSettings()


class TrainingSettings(Settings):
    """How a fit runs. None of it changes what the model is."""

    steps: int = Field(5000, gt=0, description="rounds of the stages that leave it to the user")
    batch_size: int = Field(128, gt=0, description="examples of one global batch (over all ranks)")
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["32", "bf16"] = "32"
    threads: int | Literal["auto"] = Field("auto", description="CPU threads; auto measures once at the start")
    compile: bool = Field(False, description="torch.compile the players that allow it")
    half_life: float = Field(10_000.0, ge=0, description="of the average of weights, in samples; 0: no average")
    half_life_ramp: float = Field(0.1, gt=0, description="and at most this fraction of the samples seen so far")
    select: Literal["best", "last"] = Field("best", description="best held-out value, where the family has one")
    validations: int = Field(20, ge=1, description="held-out evaluations over the run")
    validation_size: int = Field(1024, gt=0, description="held-out examples of each")
    checkpoint_minutes: float = Field(5.0, gt=0)
    keep_checkpoints: int = Field(2, ge=1)
    grids: int = Field(5, ge=0, description="sample pictures over the run")
    tensorboard: bool = Field(False, description="also write TensorBoard logs (needs the tensorboard extra)")
    bad_steps: int = Field(5, ge=1, description="non-finite steps in a row before stopping")


def validate(cls: type[S], values: Mapping[str, Any], where: str = "settings") -> S:
    """`cls(**values)`, with every problem named by its dotted path and the known names listed.

    Raises:
        InputError: for the first unknown key or bad value.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(p) for p in first["loc"]]
        dotted = ".".join(path)
        if first["type"] == "extra_forbidden":
            known = [".".join([*path[:-1], name]) for name in known_options(cls, path[:-1])]
            raise InputError(f"{where}: unknown option {dotted!r}.", did_you_mean(dotted, known)) from None
        raise InputError(f"{where}: {dotted} = {first.get('input')!r}: {first['msg']}.") from None


def known_options(cls: type[BaseModel], path: Iterable[str] = ()) -> list[str]:
    """Names of the options of `cls`, or of its nested settings at `path`."""
    for name in path:
        inner = cls.model_fields[name].annotation if name in cls.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        cls = inner
    return list(cls.model_fields)


def options_table(cls: type[BaseModel], defaults: BaseModel | None = None, prefix: str = "") -> list[dict[str, Any]]:
    """Every option, nested ones dotted: name, type, default, description."""
    rows: list[dict[str, Any]] = []
    for name, field in cls.model_fields.items():
        inner = field.annotation
        value = getattr(defaults, name) if defaults is not None else field.get_default(call_default_factory=True)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            rows += options_table(inner, value, f"{prefix}{name}.")
            continue
        type_name = inner.__name__ if isinstance(inner, type) else str(inner).replace("typing.", "")
        rows.append(
            {
                "name": prefix + name,
                "type": type_name,
                "default": value,
                "description": field.description or "",
            }
        )
    return rows


def parse_overrides(items: Iterable[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` to `{"a": {"b": 1}, "c": "x"}`. Values are YAML scalars or lists.

    Raises:
        InputError: an item without "=", or a name given twice with different depth.
    """
    tree: dict[str, Any] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator or not name.strip():
            raise InputError(f"--set {item!r} is not of the form name=value.", "Example: --set network.size=m")
        node = tree
        *parents, leaf = name.strip().split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(f"--set {item!r}: {parent!r} already has a value.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
            with contextlib.suppress(ValueError):
                value = float(value)
        node[leaf] = value
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on it, mappings merged at every depth."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out
