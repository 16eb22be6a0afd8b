r"""`shapes`: sprites drawn from factors that are known, so that what a model found can be compared with what is there.

A picture is one shape on black. Its factors are independent and uniform:

===============  ==================================================================================================
`shape`          square, ellipse, heart, triangle, star
`colour`         red, orange, yellow, green, blue, purple, white (grey pictures: always white, and no such column)
`scale`          0.12 to 0.28: radius of the circle around the shape, as a share of the picture's side
`orientation`    degrees counter-clockwise, 0 to the shape's period: 90 for squares, 180 for ellipses, 360 for hearts,
                 120 for triangles, 72 for stars; orientation / period is what is uniform and independent
`x`, `y`         0.3 to 0.7: the centre, as a share of the side from the left and from the top
===============  ==================================================================================================

so a shape is never cut off, and each picture has one description. (In the spirit of dSprites, Matthey et al. 2017,
which turns squares and ellipses by up to 360 degrees: there, different factors give the same picture.)

Edges are anti-aliased: a pixel's share on the inner side of an edge goes from 0 to 1 with its signed distance, over one
pixel. Where edges with shares a and b meet, the pixel gets a b, which is exact for a right angle, and for a sharp one
its mean with a + b - 1, which is exact for a strip. Only additions, products, roots and comparisons are used, and row i
depends on (seed, i) only.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...noise import Noise
from ...spaces import Pixels, Space

SHAPES = ("square", "ellipse", "heart", "triangle", "star")
PERIODS = (90.0, 180.0, 360.0, 120.0, 72.0)
"""Degrees after which each shape looks the same."""
COLOURS = {
    "red": (230, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (250, 225, 50),
    "green": (50, 190, 70),
    "blue": (50, 90, 235),
    "purple": (160, 60, 205),
    "white": (255, 255, 255),
}
SCALE, PLACE = (0.12, 0.28), (0.3, 0.7)
_LARGEST = 1 << 32
_BLOCK = 1 << 17
"""Pixels drawn together: small enough for the processor's cache."""


def sprites(size: int, colour: bool, n: int, seed: int) -> tuple[np.ndarray, Space, dict[str, np.ndarray], str]:
    """n pictures (n, 3 or 1, size, size) uint8, their space, the factors and a caption as columns, and what they are.

    Raises:
        InputError: pictures of more than 4 GiB.
    """
    channels = 3 if colour else 1
    if n * channels * size**2 > _LARGEST:
        raise InputError(
            f"{n:,} shapes of {size}x{size} pixels need {n * channels * size**2 / 2**30:.1f} GiB.",
            "Choose a smaller n.",
        )
    u = Noise.of(seed, 44, index=torch.arange(n)).uniform(6, dtype=torch.float64)
    kind, paint = (u[:, 0] * len(SHAPES)).long(), (u[:, 1] * len(COLOURS)).long()
    scale = SCALE[0] + (SCALE[1] - SCALE[0]) * u[:, 2]
    orientation = torch.tensor(PERIODS, dtype=torch.float64)[kind] * u[:, 3]
    x, y = (PLACE[0] + (PLACE[1] - PLACE[0]) * u[:, 4:]).unbind(1)
    colours = torch.tensor(list(COLOURS.values()))[paint] if colour else torch.full((n, 1), 255)
    pictures = draw(kind, colours, scale, orientation, x, y, size)
    columns = {"shape": np.array(SHAPES)[kind.numpy()]}
    if colour:
        columns["colour"] = np.array(list(COLOURS))[paint.numpy()]
    columns |= {"scale": scale.numpy(), "orientation": orientation.numpy(), "x": x.numpy(), "y": y.numpy()}
    columns["caption"] = np.array(captions(columns))
    what = f"{'colour' if colour else 'grey'} sprites of {size}x{size} pixels with their factors and captions"
    return pictures, Pixels(channels, size, size), columns, what


def captions(columns: dict[str, np.ndarray]) -> list[str]:
    """One English sentence a picture: "a small red heart at the upper left, turned 40 degrees"."""
    sizes = np.array(["small", "medium", "large"])[_third(columns["scale"], SCALE)]
    across, down = _third(columns["x"], PLACE), _third(columns["y"], PLACE)
    places = np.array([
        ["at the upper left", "at the top", "at the upper right"],
        ["at the left", "in the centre", "at the right"],
        ["at the lower left", "at the bottom", "at the lower right"],
    ])[down, across]  # fmt: skip
    periods = np.array(PERIODS)[[SHAPES.index(name) for name in columns["shape"]]]
    turned = np.rint(columns["orientation"] / 10) * 10
    turned = np.where(turned >= periods, 0, turned).astype(int)
    words = [*columns["colour"]] if "colour" in columns else [""] * len(sizes)
    return [
        f"a {size} {word + ' ' if word else ''}{shape} {place}, {f'turned {angle} degrees' if angle else 'not turned'}"
        for size, word, shape, place, angle in zip(sizes, words, columns["shape"], places, turned)
    ]


def _third(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return np.clip((3 * (values - low) / (high - low)).astype(int), 0, 2)


# --------------------------------------------------------------------------------------------------- drawing


def draw(
    kind: Tensor, colours: Tensor, scale: Tensor, orientation: Tensor, x: Tensor, y: Tensor, size: int
) -> np.ndarray:
    """Sprites (n, c, size, size) uint8 on black, all arguments (n,) but `colours` (n, c) of 0..255."""
    out = np.zeros((len(kind), colours.shape[1], size, size), np.uint8)
    radius = (scale * size).float()
    angle = torch.deg2rad(orientation)
    cos, sin = (angle.cos() / radius).float(), (angle.sin() / radius).float()
    # Only a window around each shape is drawn: of whole vectors of the processor, and a pixel wider than any shape.
    wide = min(size, 8 * math.ceil((2 * float(radius.max()) + 3) / 8))
    left, top = (((c * size).float() - wide / 2).floor().clamp_(0, size - wide) for c in (x, y))
    centres = torch.arange(wide, dtype=torch.float32) + 0.5
    right, up = (
        (left[:, None] + centres) - (x * size).float()[:, None],
        (y * size).float()[:, None] - (top[:, None] + centres),
    )
    corners = torch.stack([top, left], 1).long()
    tint = colours.numpy().astype(np.uint16)[:, :, None, None] + np.uint16(1)  # 255 * (c + 1) >> 8 is c
    for shape, outline in enumerate(_OUTLINES):
        for rows in torch.nonzero(kind == shape)[:, 0].split(max(1, _BLOCK // wide**2)):
            c, s, dx, dy = cos[rows, None], sin[rows, None], right[rows], up[rows]
            u = (c * dx)[:, None, :] + (s * dy)[:, :, None]
            v = (-s * dx)[:, None, :] + (c * dy)[:, :, None]
            share = outline(u, v, -radius[rows, None, None])
            cover = share.mul_(255).add_(0.5).numpy().astype(np.uint16)
            block = np.empty((len(rows), out.shape[1], wide, wide), np.uint8)
            for channel, tints in enumerate(tint[rows.numpy()].swapaxes(0, 1)):
                np.right_shift(cover * tints, 8, out=block[:, channel], casting="unsafe")
            for row, (i, j), drawn in zip(rows.tolist(), corners[rows].tolist(), block):
                out[row, :, i : i + wide, j : j + wide] = drawn
    return out


# Shares (m, h, w) of pixels at (u, v), upright in the unit circle; `slope` is minus the pixels of that circle's radius.


def _ramp(distance: Tensor, slope: Tensor) -> Tensor:
    """The share of a pixel on the inner side of an edge at this signed distance; in place."""
    return distance.mul_(slope).add_(0.5).clamp_(0, 1)


def _sharp(a: Tensor, b: Tensor) -> Tensor:
    """The share inside two edges that meet at less than a right angle."""
    return (a + b).sub_(1).clamp_(min=0).add_(a.mul_(b)).mul_(0.5)


def _square(u: Tensor, v: Tensor, slope: Tensor) -> Tensor:
    half = math.sqrt(0.5)
    return _ramp(u.abs_().sub_(half), slope).mul_(_ramp(v.abs_().sub_(half), slope))


def _ellipse(u: Tensor, v: Tensor, slope: Tensor) -> Tensor:
    """Half-axes 1 and 1/2: with f^2 = u^2 + 4 v^2, (f - 1) / |grad f| is the distance to first order."""
    u, v = u.square_(), v.square_()
    f = (u + 4 * v).sqrt_().add_(1e-6)
    steepness = u.add_(v.mul_(16)).sqrt_().add_(1e-6)
    return _ramp((f - 1).mul_(f).div_(steepness), slope)


_H = 1 / (math.hypot(0.5, 0.75 - math.sqrt(0.125)) + math.sqrt(0.5))
"""Half the diagonal of the heart's square."""


def _heart(u: Tensor, v: Tensor, slope: Tensor) -> Tensor:
    """A square on its tip, and a disc on the middle of each of its upper sides."""
    u, v = u.abs_(), v.add_(_H * (math.sqrt(0.5) - 0.5) / 2)
    height, half = v.abs().sub_(_H).mul_(math.sqrt(0.5)), u * math.sqrt(0.5)
    square = _ramp(height + half, slope).mul_(_ramp(height.sub_(half), slope))
    discs = u.sub_(_H / 2).square_().add_(v.sub_(_H / 2).square_()).sqrt_().sub_(_H * math.sqrt(0.5))
    return torch.maximum(square, _ramp(discs, slope), out=square)


def _triangle(u: Tensor, v: Tensor, slope: Tensor) -> Tensor:
    """Pointing up."""
    u.mul_(math.sqrt(0.75))
    height = (v * 0.5).sub_(0.5)
    top = _sharp(_ramp(height + u, slope), _ramp(height.sub_(u), slope))
    return _sharp(top, _ramp(v.neg_().sub_(0.5), slope))


_INNER = 0.45
"""Radius of a star's inner corners."""
_COS, _SIN = math.cos(math.pi / 5), math.sin(math.pi / 5)
_EDGE = math.hypot(_INNER * _SIN, 1 - _INNER * _COS)


def _star(u: Tensor, v: Tensor, slope: Tensor) -> Tensor:
    """Five tips, one up: folded onto that one by reflections."""
    u = u.abs_()
    for side in (1.0, -1.0):
        over = (u * (side * _COS)).sub_(v * _SIN).clamp_(min=0).mul_(2)
        u.sub_(over * (side * _COS))
        v.add_(over.mul_(_SIN))
    u = u.abs_().mul_((1 - _INNER * _COS) / _EDGE)
    v = v.sub_(1).mul_(_INNER * _SIN / _EDGE)
    return _sharp(_ramp(u + v, slope), _ramp(v.sub_(u), slope))


_OUTLINES: tuple[Callable[[Tensor, Tensor, Tensor], Tensor], ...] = (_square, _ellipse, _heart, _triangle, _star)
