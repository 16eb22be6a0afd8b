"""One picture file: from bytes that are not trusted to (c, h, w) uint8.

Four formats only, a limit on pixels, truncated files refused (Pillow's default, never changed here).

A picture of another shape is made to fit in one of three ways. `crop` scales it to cover the size and keeps its
centre. `letterbox` scales it to lie inside, and fills each bar with the mean colour of the edge that it touches: a
white ground stays white, and no bar adds a contour that the picture does not have. `stretch` changes its proportions.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ...spaces import Pixels

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MAX_PIXELS = 1 << 26
"""Larger pictures (67 million pixels) are refused: a file of kilobytes can unpack to gigabytes."""
_ROTATED = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
"""Where a file may say that the camera was held upright."""
_HEAD = 1 << 12
"""Bytes that hold the header of most pictures."""
_AT_ONCE = 1 << 24
"""Smaller files are read in one go: Pillow's own small reads cost more than decoding a small picture."""


class TooLarge(Exception):
    """A picture of more than MAX_PIXELS."""


@dataclass(frozen=True)
class Plan:
    """What every picture becomes; `fit` is crop, letterbox or stretch."""

    height: int
    width: int
    channels: int
    fit: str = "crop"

    @property
    def space(self) -> Pixels:
        """The space of pictures made so."""
        return Pixels(self.channels, self.height, self.width)


def _open(data: Any) -> Image.Image:
    if data is None:
        raise ValueError("there is no picture")
    picture = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=FORMATS)
    if picture.width * picture.height > MAX_PIXELS:
        raise TooLarge(f"{picture.width}x{picture.height}")
    return picture


def probe(data: Any) -> tuple[int, int, bool]:
    """(height, width, grey) from the header, as they will be after the camera's rotation."""
    if isinstance(data, (str, os.PathLike)):
        with open(data, "rb", buffering=0) as file:
            head = file.read(_HEAD)
    else:
        head = (data or b"")[:_HEAD]
    found = _header(head)
    if found is not None:
        if found[0] * found[1] > MAX_PIXELS:
            raise TooLarge(f"{found[1]}x{found[0]}")
        return found
    with _open(data) as picture:
        width, height = picture.size
        # A PNG would have to be decoded for what comes after its pixels.
        known = picture.format in ("JPEG", "WEBP") or "exif" in picture.info
        if known and picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):
            width, height = height, width
        return height, width, picture.mode in ("1", "L", "LA", "La") or picture.mode.startswith("I")


def _header(head: bytes) -> tuple[int, int, bool] | None:
    """What `probe` gives for the plainest PNG and JPEG files, several times faster; None leaves it to Pillow."""
    if len(head) < 26 or any(word in head for word in (b"eXIf", b"exif", b"Exif", b"Orientation")):
        return None
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR":
        width, height, colour = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"), head[25]
        return (height, width, colour in (0, 4)) if width and height and colour in (0, 2, 3, 4, 6) else None
    at = 2 if head[:2] == b"\xff\xd8" else len(head)
    while at + 10 <= len(head) and head[at] == 0xFF:
        kind, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # the start of a frame
            height, width = int.from_bytes(head[at + 5 : at + 7], "big"), int.from_bytes(head[at + 7 : at + 9], "big")
            return (height, width, head[at + 9] == 1) if height and width and head[at + 9] in (1, 3, 4) else None
        at += 2 + length
    return None


def decode(data: Any, plan: Plan) -> tuple[np.ndarray, tuple[str, ...]]:
    """One picture as (c, h, w) uint8, and what had to be changed in it.

    The camera's rotation is applied, transparency put on white, 16 bits reduced to 8, then the picture is made to
    fit the plan's size (bicubic, anti-aliased).
    """
    changes = []
    if isinstance(data, (str, os.PathLike)) and os.stat(data).st_size <= _AT_ONCE:
        with open(data, "rb", buffering=0) as file:
            data = file.read()
    with _open(data) as opened:
        picture: Image.Image = opened
        side = 2 * max(plan.height, plan.width)
        if picture.format == "JPEG" and min(picture.size) >= 2 * side:
            picture.draft(None, (side, side))  # a large photograph is decoded at a fraction of its size
        tile = getattr(picture, "tile", None)
        if picture.format == "PNG" and tile and ";16" in str(tile[0][3]):
            changes.append("16-bit")
        if picture.mode == "CMYK":
            changes.append("CMYK")
        picture.load()
        if _ROTATED.intersection(picture.info):
            ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode.startswith("I"):  # 16-bit grey; Pillow would clip it at 255
            values = np.asarray(picture).astype(np.int64).clip(0, 65535)
            picture = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
        if picture.has_transparency_data:
            layers = picture.convert("RGBA")
            if np.asarray(layers.getchannel("A")).min() < 255:
                changes.append("transparency")
            white = Image.new("RGBA", layers.size, (255, 255, 255, 255))
            picture = Image.alpha_composite(white, layers)
        return _fit(picture, plan), tuple(changes)


def _fit(picture: Image.Image, plan: Plan) -> np.ndarray:
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[plan.channels]
    if picture.mode != mode:
        picture = picture.convert(mode)
    size = (plan.width, plan.height)
    if picture.size == size:
        values = np.asarray(picture)
    elif plan.fit == "stretch":
        values = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    elif plan.fit == "letterbox":
        values = _letterbox(picture, plan)
    else:
        values = np.asarray(ImageOps.fit(picture, size, Image.Resampling.BICUBIC))
    return values[None] if plan.channels == 1 else values.transpose(2, 0, 1)


def _letterbox(picture: Image.Image, plan: Plan) -> np.ndarray:
    """The whole picture in the middle; each bar in the mean colour of the edge that it touches."""
    scale = min(plan.width / picture.width, plan.height / picture.height)
    width, height = (max(1, round(scale * side)) for side in picture.size)
    inner = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    top, left = (plan.height - height) // 2, (plan.width - width) // 2
    out = np.empty((plan.height, plan.width, *inner.shape[2:]), np.uint8)
    out[top : top + height, left : left + width] = inner
    for bar, edge in (
        (out[:top], inner[0]),
        (out[top + height :], inner[-1]),
        (out[:, :left], inner[:, 0]),
        (out[:, left + width :], inner[:, -1]),
    ):
        if bar.size:
            bar[:] = np.rint(edge.mean(axis=0))
    return out


def convert(values: np.ndarray, plan: Plan) -> np.ndarray:
    """(c, h, w) uint8 to the plan's size and channels, as a file with these pixels would be."""
    picture = Image.fromarray(np.ascontiguousarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0)))
    if picture.mode == "RGBA" and plan.channels != 4:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture)
    return _fit(picture, plan)
