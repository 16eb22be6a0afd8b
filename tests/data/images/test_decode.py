"""One picture file: every mode and rotation to the pixels that it shows, and the three ways to fit a size."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pushforward.data import load
from pushforward.data.images import decode as decode_module
from pushforward.data.images.decode import Plan, convert, decode, probe

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def encoded(picture: Image.Image | np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, (h, w, c) of 1 (grey), 2 (and alpha), 3 or 4 channels, by the specification."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, channels = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    ends = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + ends


def shown(data: bytes, channels: int = 3) -> np.ndarray:
    """The picture at its own size, (h, w, c)."""
    height, width, _ = probe(data)
    return decode(data, Plan(height, width, channels))[0].transpose(1, 2, 0)


# ---------------------------------------------------------------------------------------------------- modes


def test_one_bit_and_palette_pictures_are_exact() -> None:
    bits = RNG.random((7, 9)) < 0.5
    data = encoded(Image.fromarray(bits))
    assert probe(data) == (7, 9, True) and Image.open(io.BytesIO(data)).mode == "1"
    assert np.array_equal(shown(data, 1)[..., 0], 255 * bits)
    colours, index = pixels(16, 3), RNG.integers(0, 16, (6, 5)).astype(np.uint8)
    picture = Image.fromarray(index).convert("P")
    picture.putpalette(colours.flatten().tolist())
    for form in ("PNG", "BMP"):
        data = encoded(picture, form)
        assert probe(data) == (6, 5, False)
        assert np.array_equal(shown(data), colours[index])


def test_grey_with_alpha_is_put_on_white() -> None:
    values = pixels(8, 8, 2)
    data = encoded(Image.fromarray(values, "LA"))
    assert probe(data)[2]
    alpha = values[..., 1] / 255
    expected = values[..., 0] * alpha + 255 * (1 - alpha)
    for channels in (1, 3):
        got, changes = decode(data, Plan(8, 8, channels))
        assert np.abs(got - expected).max() <= 1 and changes == ("transparency",)
    opaque = np.stack([values[..., 0], np.full((8, 8), 255, np.uint8)], -1)
    got, changes = decode(encoded(Image.fromarray(opaque, "LA")), Plan(8, 8, 1))
    assert np.array_equal(got[0], values[..., 0]) and changes == ()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_keep_their_upper_eight(channels: int) -> None:
    values = RNG.integers(0, 65536, (5, 6, channels))
    values[0, 0] = 65535
    values[1, 1] = 0
    got, changes = decode(png16(values), Plan(5, 6, 1 if channels < 3 else 3))
    scaled = values / 257
    if channels in (2, 4):
        alpha = scaled[..., -1:] / 255
        scaled = scaled[..., :-1] * alpha + 255 * (1 - alpha)
    assert "16-bit" in changes
    assert np.abs(got.transpose(1, 2, 0) - scaled).max() <= (1 if channels < 4 and channels != 2 else 2)
    if channels == 1:  # rounded, not cut
        assert np.array_equal(got[0], np.floor(values[..., 0] / 257 + 0.5))


def test_cmyk_photographs_become_the_colours_they_print() -> None:
    ink = np.zeros((32, 32, 4), np.uint8)
    ink[:16, :16, 0], ink[:16, 16:, 1], ink[16:, :16, 3] = 255, 255, 128  # cyan, magenta, half black, paper
    data = encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=100)
    got, changes = decode(data, Plan(32, 32, 3))
    assert changes == ("CMYK",) and not probe(data)[2]
    expected = {(8, 8): (0, 255, 255), (8, 24): (255, 0, 255), (24, 8): (127, 127, 127), (24, 24): (255, 255, 255)}
    for (row, column), colour in expected.items():
        assert np.abs(got[:, row, column] - np.array(colour)).max() <= 4


# ------------------------------------------------------------------------------------------------- rotation

UPRIGHT = {  # what undoes each orientation of the EXIF standard (tag 0x0112), on (h, w, c)
    1: lambda v: v,
    2: lambda v: v[:, ::-1],
    3: lambda v: v[::-1, ::-1],
    4: lambda v: v[::-1],
    5: lambda v: v.transpose(1, 0, 2),
    6: lambda v: np.rot90(v, -1),
    7: lambda v: v[::-1, ::-1].transpose(1, 0, 2),
    8: lambda v: np.rot90(v, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_every_orientation_of_the_camera(orientation: int, form: str, tmp_path: Path) -> None:
    values = pixels(6, 10, 3) if form != "JPEG" else pixels(3, 5, 3).repeat(16, 0).repeat(16, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[form]
    data = encoded(values, form, exif=exif, **options)
    expected = UPRIGHT[orientation](values)
    assert probe(data)[:2] == expected.shape[:2]
    assert np.abs(shown(data).astype(int) - expected).max() <= (6 if form == "JPEG" else 0)
    for i in range(4):
        (tmp_path / f"{i}.{form.lower()}").write_bytes(data)
    space = load(tmp_path).space
    assert space.shape[1:] == expected.shape[:2]


# ------------------------------------------------------------------------------------------------------ fit


def test_stretching_changes_the_proportions() -> None:
    wide = np.zeros((8, 32, 3), np.uint8)
    wide[:, 16:] = 200
    got, _ = decode(encoded(wide), Plan(8, 8, 3, "stretch"))
    assert got[:, :, :3].max() <= 2 and got[:, :, 5:].min() >= 198  # still half and half


@pytest.mark.parametrize(("height", "width"), [(16, 32), (32, 16), (30, 31), (5, 400)])
def test_letterboxes_hold_the_whole_picture_and_bars_of_its_edges(height: int, width: int) -> None:
    values = np.full((height, width, 3), 90, np.uint8)
    values[0], values[-1], values[:, 0], values[:, -1] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)
    got = decode(encoded(values), Plan(16, 16, 3, "letterbox"))[0].transpose(1, 2, 0)
    scale = 16 / max(height, width)
    h, w = max(1, round(scale * height)), max(1, round(scale * width))
    top, left = (16 - h) // 2, (16 - w) // 2
    inner = np.asarray(Image.fromarray(values).resize((w, h), Image.Resampling.BICUBIC))
    assert np.array_equal(got[top : top + h, left : left + w], inner)
    for bar, edge in (
        (got[:top], inner[0]),
        (got[top + h :], inner[-1]),
        (got[:, :left], inner[:, 0]),
        (got[:, left + w :], inner[:, -1]),
    ):
        assert np.abs(bar - edge.mean(0)).max(initial=0) <= 0.5


def test_a_letterbox_of_a_white_ground_is_white_in_grey_too() -> None:
    values = np.full((10, 30), 255, np.uint8)
    values[3:7, 5:25] = 0
    got, _ = decode(encoded(values), Plan(12, 12, 1, "letterbox"))
    assert (got[0, :4] == 255).all() and (got[0, 8:] == 255).all() and got.min() < 100


@pytest.mark.parametrize("fit", ["crop", "letterbox", "stretch"])
def test_arrays_are_fitted_as_files_are(fit: str) -> None:
    values = pixels(7, 12, 3)
    plan = Plan(5, 5, 3, fit)
    assert np.array_equal(convert(values.transpose(2, 0, 1), plan), decode(encoded(values), plan)[0])
    same = Plan(7, 12, 3, fit)
    assert np.array_equal(convert(values.transpose(2, 0, 1), same), values.transpose(2, 0, 1))
    four = convert(pixels(4, 7, 12), Plan(5, 5, 4, fit))
    assert four.shape == (4, 5, 5)


def test_long_headers_are_read_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 30_000  # a description longer than what is read at first
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(pixels(8, 24, 3), "JPEG", exif=exif))
    assert probe(path) == probe(str(path)) == probe(path.read_bytes()) == (24, 8, False)


def test_short_cuts_of_headers_say_what_pillow_says() -> None:
    pictures = [Image.fromarray(pixels(9, 7, 3)), Image.fromarray(pixels(5, 8)), Image.fromarray(pixels(6, 6, 4))]
    pictures += [
        Image.fromarray(pixels(4, 9)).convert("P"),
        Image.fromarray(pixels(4, 9, 2), "LA"),
        Image.new("1", (3, 8)),
    ]
    files = [encoded(p) for p in pictures] + [png16(RNG.integers(0, 65536, (3, 4, c))) for c in (1, 2, 3, 4)]
    for p in (*pictures[:2], Image.fromarray(pixels(8, 8, 4), "CMYK")):
        files += [encoded(p, "JPEG"), encoded(p, "JPEG", progressive=True), encoded(p, "JPEG", comment=b"c" * 300)]
    for data in files:
        assert decode_module._header(data[:4096]) == probe(data)
        with Image.open(io.BytesIO(data)) as opened:
            grey = opened.mode in ("1", "L", "LA") or opened.mode.startswith("I")
            grey |= "LA;16B" in str(opened.tile)  # which Pillow opens as colour
            assert probe(data) == (opened.height, opened.width, grey)
    for damaged in (b"", b"\x89PNG", files[0][:20], files[-1][:30], b"\xff\xd8\xff" + bytes(50), b"\xff" * 40):
        assert decode_module._header(damaged) is None


def test_a_rotation_in_xmp_counts_too() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(pixels(16, 48, 3), "JPEG", xmp=xmp)
    height, width, _ = probe(data)
    assert (height, width) == (48, 16) and decode(data, Plan(48, 16, 3))[0].std() > 20
