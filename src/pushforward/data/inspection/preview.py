"""A sheet of what a model will see: training pictures after size, channels and augmentation, with their classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ...dataset import Dataset
from ...errors import InputError
from ...noise import Noise
from ...spaces import Classes, Pixels
from ..data import Data
from ..pictures import GAP, picture_values, to_picture
from ..write import replacing

_SMALLEST_TILE = 72
"""Pixels: room for a short word in letters of ten."""
_LETTERS = 11


def preview_sheet(data: Data, path: str | os.PathLike[str], n: int = 64) -> Path:
    """Draw the first `n` training pictures as a model will see them, and write them as one PNG.

    Pixels are enlarged by whole numbers and never smoothed; the class is written below each picture where there is
    one; augmented pictures are drawn as one visit of training would.

    Args:
        data: loaded pictures. path: a `.png`. n: at most this many pictures.

    Raises:
        InputError: the data are not pictures, another extension, a place that cannot be written.
    """
    target = Path(path).expanduser()
    if not isinstance(data.space, Pixels):
        raise InputError(f"a sheet is of pictures, and {data.name} has {data.space.describe()}.")
    if target.suffix.lower() != ".png":
        raise InputError(f"cannot write {os.fspath(path)!r} as a sheet.", "It is a .png file.")
    sheet = _sheet(data.train, max(1, n))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            sheet.save(temporary)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}.") from None
    return target


def _sheet(data: Dataset, n: int) -> Image.Image:
    index = torch.arange(min(n, len(data)), device=data.device)
    x, condition = data.gather(index, Noise.of(0, 43, index=index))
    tiles = [_on_white(to_picture(values)) for values in picture_values(x, data.space)]
    words = _words(condition, data.condition_space)
    width, height = tiles[0].size
    scale = max(1, -(-_SMALLEST_TILE // max(width, height)) if words else -(-48 // max(width, height)))
    width, height = width * scale, height * scale
    room = _LETTERS + 5 if words else 0
    square = round((len(tiles) * (height + room) / width) ** 0.5)
    near = range(max(1, square - 2), square + 3)
    columns = min(len(tiles), min(near, key=lambda c: (-len(tiles) % c, abs(c - square))))  # the fewest empty places
    lines = -(-len(tiles) // columns)
    gap = max(2, min(width, height) // 16)
    size = (columns * (width + gap) + gap, lines * (height + room + gap) + gap)
    sheet = Image.new("RGB", size, (GAP,) * 3)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_LETTERS)
    for i, tile in enumerate(tiles):
        line, column = divmod(i, columns)
        left, top = gap + column * (width + gap), gap + line * (height + room + gap)
        sheet.paste(tile.resize((width, height), Image.Resampling.NEAREST), (left, top))
        if words:
            word = _shortened(words[i], width, font)
            draw.text((left + width / 2, top + height + room / 2), word, fill=(0, 0, 0), font=font, anchor="mm")
    return sheet


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (255,) * 4), picture)
    return picture.convert("RGB")


def _words(condition: Tensor | None, space: Any) -> list[str]:
    """The class of each picture, in the user's words; nothing without classes."""
    if condition is None or not isinstance(space, Classes):
        return []
    return [space.names[int(c)] if space.names else str(int(c)) for c in condition]


def _shortened(word: str, width: int, font: Any) -> str:
    word = " ".join(word.split())
    if font.getlength(word) <= width:
        return word
    while word and font.getlength(word + "…") > width:
        word = word[:-1]
    return word + "…"
