"""Arrays as pictures inside a page: PNG in data URIs, a colour scale, grids of images."""

from __future__ import annotations

import base64
import io
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ...spaces import Pixels, Space

if TYPE_CHECKING:
    from PIL import Image

_ANCHORS = (
    "440154 481769 472a7a 433d84 3d4e8a 355e8d 2e6d8e 297b8e 23898e 1f978b 21a585 2eb37c 46c06f 65cb5e 89d548 b0dd2f "
    "d8e219 fde725"
)
"""Of viridis, evenly spaced: lightness rises evenly, also for colour-blind readers and in grey print."""


@lru_cache(1)
def colours() -> np.ndarray:
    """(256, 3) uint8: the colour scale of all heat maps, dark for little."""
    anchors = np.array([[int(a[i : i + 2], 16) for i in (0, 2, 4)] for a in _ANCHORS.split()], dtype=np.float64)
    places = np.linspace(0, len(anchors) - 1, 256)
    made = np.stack([np.interp(places, np.arange(len(anchors)), anchors[:, c]) for c in range(3)], axis=1)
    rounded: np.ndarray = made.round().astype(np.uint8)
    return rounded


def uri(image: Image.Image) -> str:
    """A picture as the address of itself."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def heat(levels: np.ndarray) -> str:
    """Levels (columns, rows) in [0, 1], the first row at the bottom, as a picture in `colours`."""
    from PIL import Image

    index = np.clip(np.nan_to_num(levels, nan=0.0, posinf=1.0, neginf=0.0) * 255, 0, 255).round().astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(index.T[::-1]))
    image.putpalette(colours().tobytes(), "RGB")
    return uri(image)


class Shades:
    """How images (n, channels, height, width) become grey or colour: one scale for all rows of a report.

    Levels of pixels are spread over 0..255; real numbers from the smallest to the largest of the data.
    """

    def __init__(self, space: Space, reference: np.ndarray):
        if isinstance(space, Pixels):
            self.low, self.high = 0.0, float(space.levels - 1)
        else:
            finite = reference[np.isfinite(reference)]
            self.low, self.high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        if self.high <= self.low:
            self.high = self.low + 1.0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(n, height, width, 1 or 3) uint8; of other channel counts the first; what is no number is the darkest."""
        x = np.asarray(images, dtype=np.float64)
        x = x[:, :3] if x.shape[1] in (3, 4) else x[:, :1]
        share = np.nan_to_num((x - self.low) / (self.high - self.low), nan=0.0, posinf=1.0, neginf=0.0)
        spread: np.ndarray = (np.clip(share, 0, 1) * 255).round().astype(np.uint8)
        return spread.transpose(0, 2, 3, 1)


def shrunk(pictures: np.ndarray, factor: int) -> np.ndarray:
    """Pictures (n, h, w, c) with the means of factor x factor pixels as pixels; a rest at the edges is dropped."""
    if factor == 1:
        return pictures
    n, h, w, c = pictures.shape
    h, w = h // factor, w // factor
    blocks = pictures[:, : h * factor, : w * factor].reshape(n, h, factor, w, factor, c)
    means: np.ndarray = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
    return means


def grid(pictures: np.ndarray, columns: int, every: int = 0) -> tuple[str, int, int]:
    """Pictures (n, h, w, 1 or 3) in lines of `columns`, one clear pixel apart: the address, width and height.

    Args:
        every: a wider gap after as many columns, and between lines then.
    """
    from PIL import Image

    n, h, w, c = pictures.shape
    lines = math.ceil(n / columns)
    wider = max(2, w // 8) if every else 0
    lefts = [k * (w + 1) + (k // every * wider if every else 0) for k in range(columns)]
    tops = [k * (h + 1 + wider) for k in range(lines)]
    sheet = np.zeros((tops[-1] + h, lefts[-1] + w, c + 1), np.uint8)
    for i in range(n):
        top, left = tops[i // columns], lefts[i % columns]
        sheet[top : top + h, left : left + w, :c] = pictures[i]
        sheet[top : top + h, left : left + w, c] = 255
    return uri(Image.fromarray(sheet)), sheet.shape[1], sheet.shape[0]
