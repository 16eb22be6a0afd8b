"""Built-in sources: made from a seed, the same on every machine, nothing downloaded.

A name may carry options: `ring:std=0.01,n=50000`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..errors import InputError, did_you_mean
from ..noise import Noise
from ..spaces import Pixels, Real, Space
from .options import Options
from .source import Rows, Source

Made = tuple[np.ndarray, Space, dict[str, np.ndarray], str]

_PLANE = Real((2,), names=("x", "y"))


def _noise(n: int, seed: int) -> Noise:
    return Noise.of(seed, 42, index=torch.arange(n))


def _mixture(centres: torch.Tensor, std: float, n: int, seed: int, what: str) -> Made:
    """n independent draws of an equal mixture of isotropic Gaussians (k, 2); row i depends on (seed, i) only."""
    noise = _noise(n, seed)
    mode = (noise.uniform(1, dtype=torch.float64)[:, 0] * len(centres)).long()
    x = centres[mode] + std * noise.normal(2, dtype=torch.float64)
    return x.float().numpy(), _PLANE, {"mode": mode.numpy()}, what


def ring(modes: int = 8, std: float = 0.05, n: int = 20_000, seed: int = 0) -> Made:
    r"""`modes` Gaussians at angles :math:`2\pi k / K` of the unit circle; the papers' narrow one has std 0.01."""
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    centres = torch.stack([angle.cos(), angle.sin()], dim=1)
    return _mixture(centres, std, n, seed, f"{modes} Gaussians of std {std:g} on a circle of radius 1")


def grid(std: float = 0.05, n: int = 20_000, seed: int = 0) -> Made:
    """25 Gaussians at {-4, -2, 0, 2, 4} squared."""
    line = torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)
    return _mixture(torch.cartesian_prod(line, line), std, n, seed, f"25 Gaussians of std {std:g} on a 5x5 grid")


def moons(noise: float = 0.1, n: int = 20_000, seed: int = 0) -> Made:
    """Two interleaving half circles, as scikit-learn's `make_moons`, with independent uniform angles."""
    draws = _noise(n, seed)
    moon = (draws.uniform(1, dtype=torch.float64)[:, 0] >= 0.5).long()
    angle = math.pi * draws.uniform(1, dtype=torch.float64)[:, 0]
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    x = torch.where(moon[:, None] == 0, upper, lower) + noise * draws.normal(2, dtype=torch.float64)
    return x.float().numpy(), _PLANE, {"moon": moon.numpy()}, f"two half circles with noise {noise:g}"


def digits() -> Made:
    """scikit-learn's 1,797 handwritten digits, 8x8 grey pictures with 17 levels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = bunch.images.astype(np.uint8)[:, None]
    return (
        x,
        Pixels(1, 8, 8, levels=17),
        {"label": bunch.target.astype(np.int64)},
        "handwritten digits of 8x8 pixels",
    )


BUILTINS: Mapping[str, tuple[Callable[..., Made], Mapping[str, Any]]] = {
    "ring": (ring, {"modes": 8, "std": 0.05, "n": 20_000, "seed": 0}),
    "grid": (grid, {"std": 0.05, "n": 20_000, "seed": 0}),
    "moons": (moons, {"noise": 0.1, "n": 20_000, "seed": 0}),
    "digits": (digits, {}),
}
"""Name to (maker, options with their defaults)."""


def is_builtin(source: str) -> bool:
    """Whether `source` is a built-in name, with options or without."""
    return source.partition(":")[0] in BUILTINS


class Builtin(Source):
    """A built-in source.

    Raises:
        InputError: an unknown option, or a value of the wrong type or range.
    """

    def __init__(self, source: str, given: Mapping[str, Any], options: Options):
        name, _, text = source.partition(":")
        super().__init__(name, name)
        options.refuse(f"built-in {name!r}", "pictures", "tables", "text", "vectors", "splits")
        maker, defaults = BUILTINS[name]
        given = {**_parse(text, name), **given}
        for key in given:
            if key not in defaults:
                raise InputError(f"built-in {name!r} has no option {key!r}.", did_you_mean(key, defaults))
        settled = {key: _typed(name, key, given.get(key, default), default) for key, default in defaults.items()}
        self.x, self.space, columns, what = maker(**settled)
        self.columns, self.obvious = columns, tuple(columns)
        self.notes = [f"built-in {name}: {len(self.x):,} rows, {what}"]

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        if like is not None and like.shape != self.space.shape:
            raise InputError(f"{self.where} has {self.space.describe()}, the model has {like.describe()}.")
        return Rows(self.x, self.space)


def _parse(text: str, name: str) -> dict[str, str]:
    options = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"built-in {name!r}: {item!r} is not of the form option=value.", "Example: ring:std=0.01")
        options[key.strip()] = value.strip()
    return options


def _typed(name: str, key: str, value: Any, default: Any) -> Any:
    """`value` in the type of the option's default, within its range."""
    least = {"n": 1, "modes": 1, "seed": 0}.get(key, 0)
    try:
        typed = float(value)
        if isinstance(default, int):
            typed = int(value) if not isinstance(value, float) or value == int(value) else None  # type: ignore[assignment]
        if isinstance(value, bool) or typed is None or not least <= typed < 1e9:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise InputError(f"built-in {name!r}: {key}={value!r}.", f"It is {kind} of at least {least}.") from None
    return typed
