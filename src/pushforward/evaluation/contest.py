"""Who takes part in a comparison, and on what terms: names, settings that match, folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from ..config import merge
from ..errors import InputError, PushforwardError
from ..registry import build, recipe, recipe_names
from ..spaces import Pixels, Table

Match = Literal["none", "params", "time"]
MATCHES = ("none", "params", "time")

WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
WITHIN = 1.25
"""Parameters match when they differ by at most this factor."""


@dataclass
class Entry:
    """One model of a comparison: the recipe and the settings it is fitted with."""

    name: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def sensible(space: Any) -> list[str]:
    """The models that a kind of data is compared over when nobody says which: one or two of each family."""
    if isinstance(space, Table):
        wanted = ["gmm", "real-nvp", "vae", "gan", "ddpm", "flow-matching"]
    elif isinstance(space, Pixels) and space.dimensions > 1024:  # mixtures and kernels have no chance there
        wanted = ["real-nvp", "vae", "gan", "ddpm", "flow-matching"]
    else:
        wanted = ["gmm", "kde", "real-nvp", "vae", "gan", "ddpm", "flow-matching"]
    names = recipe_names()
    return [name for name in wanted if name in names]


def entries(
    models: Sequence[str],
    data: Any,
    match: Match,
    settings: Mapping[str, Any] | None = None,
    log: Callable[[str], None] = lambda text: None,
    *,
    skip: bool = False,
) -> list[Entry]:
    """The entries of a comparison, with settings that match. `skip`: leave out those that cannot model the data.

    Raises:
        InputError: an unknown model or match, a model named twice, a model that cannot be built for the data.
    """
    if match not in MATCHES:
        raise InputError(f"match is {match!r}.", f"Known: {', '.join(MATCHES)}.")
    found: list[Entry] = []
    for name in models:
        recipe(name)
        if any(entry.name == name for entry in found):
            raise InputError(f"{name} is named twice.", "Name each model once; --seeds fits it several times.")
        found.append(Entry(name, name, dict(settings or {})))
    for entry in list(found):
        try:
            _parameters(entry, data)  # refuses what cannot be built, before anything is fitted
        except InputError as error:
            if not skip:
                raise
            log(f"{entry.name} is left out: {error.what}")
            found.remove(entry)
    if not found:
        raise InputError(f"no model here can be fitted to {data.space.describe()} yet.", "See `pushforward models`.")
    if match == "params":
        _match_parameters(found, data, log)
    return found


def _parameters(entry: Entry, data: Any, width: int | None = None) -> int:
    """How many parameters the entry has, with its network at a width."""
    settings = entry.settings if width is None else merge(entry.settings, {"network": {"width": width}})
    settings = {k: v for k, v in settings.items() if k != "training"}
    with torch.random.fork_rng(devices=[]):
        model = build(entry.model, data.space, condition_space=data.condition_space, overrides=settings)
    return sum(p.numel() for p in model.parameters())


def _match_parameters(found: list[Entry], data: Any, log: Callable[[str], None]) -> None:
    """Widths such that all networks have about as many parameters as the middle one."""
    sizes = {entry.name: _parameters(entry, data) for entry in found}
    counted = sorted(size for size in sizes.values() if size > 0)
    if len(counted) < 2:
        raise InputError("fewer than two of the models have networks: there is nothing to match.", "Use match=none.")
    target = counted[len(counted) // 2]
    for entry in found:
        if sizes[entry.name] == 0:
            entry.notes.append("no network: its number of parameters is not matched")
            continue
        best, size = None, sizes[entry.name]
        for width in WIDTHS:
            try:
                there = _parameters(entry, data, width)
            except PushforwardError:
                continue
            except (ValueError, RuntimeError):  # a width that a layer cannot have
                continue
            if _ratio(there, target) < _ratio(size, target):
                best, size = width, there
        if best is not None:
            entry.settings = merge(entry.settings, {"network": {"width": best}})
        words = f"{size:,} parameters" + ("" if best is None else f" at width {best}")
        if _ratio(size, target) > WITHIN:
            words += f", the nearest to {target:,} that widths allow"
        entry.notes.append(words)
        log(f"{entry.name}: {words}")


def _ratio(a: int, b: int) -> float:
    return max(a, b) / max(1, min(a, b))
