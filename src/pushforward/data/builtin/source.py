"""Built-in sources: made from a seed, the same on every machine, nothing downloaded.

A name may carry options: `ring:std=0.01,n=50000`. Row i depends on the seed and on i only, so a longer set begins with
the shorter one. Distributions on the plane come with their density (`log_density`) and differential entropy
(`entropy`), so that a model's likelihood can be compared with the best that there is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError, did_you_mean
from ...noise import Noise
from ...spaces import Pixels, Real, Space
from ..options import Options
from ..source import Rows, Source
from .densities import Curves, Density, Mixture, Squares

Made = tuple[np.ndarray, Space, dict[str, np.ndarray], str]
"""Rows, their space, the columns that may be conditions, and what it is, in words."""

_PLANE = Real((2,), names=("x", "y"))


def _noise(n: int, seed: int) -> Noise:
    return Noise.of(seed, 42, index=torch.arange(n))


def _unit(noise: Noise) -> Tensor:
    """The next uniform number of each row, (n,) float64."""
    return noise.uniform(1, dtype=torch.float64)[:, 0]


def _mixture(centres: Tensor, std: float, n: int, seed: int, what: str) -> Made:
    """n independent draws of an equal mixture of isotropic Gaussians (k, 2); row i depends on (seed, i) only."""
    noise = _noise(n, seed)
    mode = (_unit(noise) * len(centres)).long()
    x = centres[mode] + std * noise.normal(2, dtype=torch.float64)
    return x.float().numpy(), _PLANE, {"mode": mode.numpy()}, what


def _circle(modes: int, radius: float = 1.0) -> Tensor:
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


def _square_grid() -> Tensor:
    line = torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)
    return torch.cartesian_prod(line, line)


def ring(modes: int = 8, std: float = 0.05, n: int = 20_000, seed: int = 0) -> Made:
    r"""`modes` Gaussians at angles :math:`2\pi k / K` of the unit circle; the papers' narrow one has std 0.01."""
    return _mixture(_circle(modes), std, n, seed, f"{modes} Gaussians of std {std:g} on a circle of radius 1")


def grid(std: float = 0.05, n: int = 20_000, seed: int = 0) -> Made:
    """25 Gaussians at {-4, -2, 0, 2, 4} squared."""
    return _mixture(_square_grid(), std, n, seed, f"25 Gaussians of std {std:g} on a 5x5 grid")


_EIGHT_RADIUS, _EIGHT_STD = 4 / math.sqrt(2), 0.5 / math.sqrt(2)


def eight_gaussians(n: int = 20_000, seed: int = 0) -> Made:
    r"""Eight Gaussians of std :math:`0.5 / \sqrt 2` on a circle of radius :math:`4 / \sqrt 2`.

    As in FFJORD (Grathwohl et al. 2019, arXiv:1810.01367, toy data; its code divides by 1.414).
    """
    what = f"8 Gaussians of std {_EIGHT_STD:.4f} on a circle of radius {_EIGHT_RADIUS:.4f}"
    return _mixture(_circle(8, _EIGHT_RADIUS), _EIGHT_STD, n, seed, what)


def checkerboard(n: int = 20_000, seed: int = 0) -> Made:
    """Uniform on eight squares of side 2 in -4..4, as in FFJORD (Grathwohl et al. 2019, arXiv:1810.01367, toy data)."""
    noise = _noise(n, seed)
    square = (8 * _unit(noise)).long()
    column, pair = square // 2, square % 2
    corner = torch.stack([column - 2, 2 * pair - 2 + column % 2], 1).double()
    x = (2 * (corner + noise.uniform(2, dtype=torch.float64))).float()
    edge = torch.nextafter((2 * corner + 2).float(), torch.tensor(-math.inf))
    columns = {"square": square.numpy()}
    return torch.minimum(x, edge).numpy(), _PLANE, columns, "uniform on 8 of the 16 squares of a board from -4 to 4"


def _upper_moon(t: Tensor) -> Tensor:
    return torch.stack([t.cos(), t.sin()], dim=-1)


def _lower_moon(t: Tensor) -> Tensor:
    return torch.stack([1 - t.cos(), 0.5 - t.sin()], dim=-1)


def moons(noise: float = 0.1, n: int = 20_000, seed: int = 0) -> Made:
    """Two interleaving half circles, as scikit-learn's `make_moons`, with independent uniform angles."""
    draws = _noise(n, seed)
    moon = (_unit(draws) >= 0.5).long()
    angle = math.pi * _unit(draws)
    x = torch.where(moon[:, None] == 0, _upper_moon(angle), _lower_moon(angle))
    x = x + noise * draws.normal(2, dtype=torch.float64)
    return x.float().numpy(), _PLANE, {"moon": moon.numpy()}, f"two half circles with noise {noise:g}"


_ROLL = (1.5 * math.pi, 4.5 * math.pi)


def _roll(t: Tensor) -> Tensor:
    return t[..., None] * torch.stack([t.cos(), t.sin()], dim=-1) / 5


def swiss_roll(noise: float = 0.2, n: int = 20_000, seed: int = 0) -> Made:
    r"""The spiral :math:`(t \cos t, t \sin t) / 5`, :math:`t \sim U(1.5 \pi, 4.5 \pi)`, and Gaussian noise.

    scikit-learn's `make_swiss_roll` without its depth, divided by 5, as in FFJORD (Grathwohl et al. 2019,
    arXiv:1810.01367, toy data), whose noise of 1 becomes 0.2.
    """
    draws = _noise(n, seed)
    t = _ROLL[0] + (_ROLL[1] - _ROLL[0]) * _unit(draws)
    x = _roll(t) + noise * draws.normal(2, dtype=torch.float64)
    return x.float().numpy(), _PLANE, {"angle": t.float().numpy()}, f"one rolled-up curve with noise {noise:g}"


_TURNS = 3 * math.pi
_JITTER = 0.5 / 3


def _arm(t: Tensor) -> Tensor:
    return t[..., None] * torch.stack([-t.cos(), t.sin()], dim=-1) / 3


def spirals(noise: float = 0.1, n: int = 20_000, seed: int = 0) -> Made:
    r"""Two arms :math:`\pm (-t \cos t, t \sin t) / 3`, denser outwards (:math:`t = 3 \pi \sqrt u`), and noise.

    As "2spirals" of FFJORD (Grathwohl et al. 2019, arXiv:1810.01367, toy data): before the sign is drawn a uniform
    number of [0, 1/6] is added to each coordinate, then Gaussian noise to both.
    """
    draws = _noise(n, seed)
    arm = (_unit(draws) >= 0.5).long()
    t = _TURNS * _unit(draws).sqrt()
    x = (1 - 2 * arm)[:, None] * (_arm(t) + _JITTER * draws.uniform(2, dtype=torch.float64))
    x = x + noise * draws.normal(2, dtype=torch.float64)
    return x.float().numpy(), _PLANE, {"arm": arm.numpy()}, f"two spiral arms with noise {noise:g}"


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


def shapes(size: int = 32, colour: int = 1, n: int = 20_000, seed: int = 0) -> Made:
    """Sprites of known factors: see `sprites.sprites`."""
    from .sprites import sprites

    return sprites(size, bool(colour), n, seed)


_ROWS = {"n": 20_000, "seed": 0}

BUILTINS: Mapping[str, tuple[Callable[..., Made], Mapping[str, Any]]] = {
    "ring": (ring, {"modes": 8, "std": 0.05, **_ROWS}),
    "grid": (grid, {"std": 0.05, **_ROWS}),
    "moons": (moons, {"noise": 0.1, **_ROWS}),
    "checkerboard": (checkerboard, _ROWS),
    "swiss-roll": (swiss_roll, {"noise": 0.2, **_ROWS}),
    "8gaussians": (eight_gaussians, _ROWS),
    "spirals": (spirals, {"noise": 0.1, **_ROWS}),
    "digits": (digits, {}),
    "shapes": (shapes, {"size": 32, "colour": 1, **_ROWS}),
}
"""Name to (maker, options with their defaults)."""

_LEAST = {"n": 1, "modes": 1}
_CHOICES = {"size": (32, 64), "colour": (0, 1)}


def is_builtin(source: str) -> bool:
    """Whether `source` is a built-in name, with options or without."""
    return source.partition(":")[0] in BUILTINS


# ------------------------------------------------------------------------------------- densities and entropies


def log_density(source: str, x: Tensor, **options: Any) -> Tensor | None:
    """Exact log-densities (n,) in nats, float64, of points (n, 2) under a built-in source; None if it has no density.

    Mixtures and squares are closed forms; curves are quadrature, to 1e-6 within ten standard deviations of the curve.

    >>> log_density("checkerboard", torch.tensor([[0.5, 0.5], [0.5, 2.5]])).tolist()
    [-3.4657359027997265, -inf]

    Raises:
        InputError: an unknown source or option.
    """
    density = _density(source, options)
    return None if density is None else density.log_prob(torch.as_tensor(x))


def entropy(source: str, **options: Any) -> float | None:
    """Differential entropy in nats of a built-in source, exact or by quadrature to 1e-8; None if there is none.

    No model's mean log-likelihood of new rows is above its negative, but by the luck of the draw.

    >>> round(entropy("checkerboard"), 4)
    3.4657

    Raises:
        InputError: an unknown source or option.
    """
    name, settled = _settled(source, options)
    return _entropy(name, tuple(sorted((k, v) for k, v in settled.items() if k not in _ROWS)))


@functools.lru_cache(64)
def _entropy(name: str, options: tuple[tuple[str, Any], ...]) -> float | None:
    density = _density(name, dict(options))
    return None if density is None else density.entropy()


def _density(source: str, options: Mapping[str, Any]) -> Density | None:
    name, given = _settled(source, options)
    width = given.get("std", given.get("noise", 1.0))
    if width == 0 or name in ("digits", "shapes"):
        return None
    if name == "ring":
        return Mixture(_circle(given["modes"]), width, alike=1)
    if name == "8gaussians":
        return Mixture(_circle(8, _EIGHT_RADIUS), _EIGHT_STD, alike=1)
    if name == "grid":
        return Mixture(_square_grid(), width)
    if name == "checkerboard":
        return Squares(2.0, 4.0)
    if name == "moons":
        return Curves([_upper_moon, _lower_moon], 0.0, math.pi, lambda t: torch.full_like(t, 1 / math.pi), width)
    if name == "swiss-roll":
        low, high = _ROLL
        return Curves([_roll], low, high, lambda t: torch.full_like(t, 1 / (high - low)), width)
    return Curves(
        [_arm, lambda t: -_arm(t)],
        0.0,
        _TURNS,
        lambda t: 2 * t / _TURNS**2,
        width,
        boxes=[(0.0, _JITTER), (-_JITTER, _JITTER)],
    )


# ------------------------------------------------------------------------------------------------- the source


class Builtin(Source):
    """A built-in source.

    Raises:
        InputError: an unknown option, or a value of the wrong type or range.
    """

    def __init__(self, source: str, given: Mapping[str, Any], options: Options):
        name, settled = _settled(source, given)
        super().__init__(name, name)
        maker, known = BUILTINS[name]
        pictures = name in ("digits", "shapes")
        if pictures and (asked := options.asked("pictures")):
            how = "Choose size= and colour= of shapes, such as shapes:size=64,colour=0." if "size" in known else None
            raise InputError(f"built-in {name!r}: {asked}= is for pictures of your own.", how or "Leave it out.")
        options.refuse(f"built-in {name!r}", "pictures", "tables", "text", "vectors", "splits")
        self.x, self.space, columns, what = maker(**settled)
        self.columns, self.obvious = columns, tuple(columns)
        self.notes = [f"built-in {name}: {len(self.x):,} rows, {what}"]

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        """All rows; a model has to have their shape."""
        if like is not None and like.shape != self.space.shape:
            raise InputError(f"{self.where} has {self.space.describe()}, the model has {like.describe()}.")
        return Rows(self.x, self.space)


def _settled(source: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and all options of a built-in, checked."""
    name, _, text = source.partition(":")
    if name not in BUILTINS:
        raise InputError(f"there is no built-in {name!r}.", did_you_mean(name, BUILTINS))
    defaults = BUILTINS[name][1]
    given = {**_parse(text, name), **given}
    for key in given:
        if key not in defaults:
            raise InputError(f"built-in {name!r} has no option {key!r}.", did_you_mean(key, defaults))
    return name, {key: _typed(name, key, given.get(key, default), default) for key, default in defaults.items()}


def _parse(text: str, name: str) -> dict[str, str]:
    options = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"built-in {name!r}: {item!r} is not of the form option=value.", "Example: ring:std=0.01")
        options[key.strip()] = value.strip()
    return options


def _typed(name: str, key: str, value: Any, default: Any) -> Any:
    """`value` in the type of the option's default, within its range or among its choices."""
    choices = _CHOICES.get(key)
    if choices == (0, 1) and str(value).lower() in ("true", "false"):
        value = str(value).lower() == "true"
    least = _LEAST.get(key, 0)
    try:
        typed = float(value)
        if isinstance(default, int):
            typed = int(value) if not isinstance(value, float) or value == int(value) else None  # type: ignore[assignment]
        if (isinstance(value, bool) and choices != (0, 1)) or typed is None or not least <= typed < 1e9:
            raise ValueError
        if choices is not None and typed not in choices:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        kind = f"a whole number of at least {least}" if isinstance(default, int) else f"a number of at least {least}"
        allowed = " or ".join(map(str, choices)) if choices else kind
        raise InputError(f"built-in {name!r}: {key}={value!r}.", f"It is {allowed}.") from None
    return typed
