"""The sheet shows what training sees: the same pixels, augmented, under their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pushforward.data import load
from pushforward.data.inspection.preview import preview_sheet
from pushforward.data.pictures import GAP
from pushforward.errors import InputError

G = torch.Generator().manual_seed(0)


def pictures(n: int, *shape: int) -> np.ndarray:
    return torch.randint(0, 256, (n, *shape), generator=G, dtype=torch.uint8).numpy()


def tiles(path: Path, height: int, width: int) -> np.ndarray:
    """The pictures of a sheet, (n, height, width, 3), each found by the flat gaps around it and reduced again."""
    sheet = np.asarray(Image.open(path))
    gap = (sheet == GAP).all(-1)
    rows, columns = (np.flatnonzero(np.diff(np.r_[1, gap.all(axis).astype(int), 1])) for axis in (1, 0))
    out = []
    for top, bottom in rows.reshape(-1, 2):
        for left, right in columns.reshape(-1, 2):
            scale = (right - left) // width
            if bottom - top == scale * height and not gap[top:bottom, left:right].all():
                tile = sheet[top:bottom, left:right]
                assert np.array_equal(tile, tile[::scale, ::scale].repeat(scale, 0).repeat(scale, 1))
                out.append(tile[::scale, ::scale])
    return np.stack(out)


@pytest.mark.parametrize("shape", [(3, 6, 6), (3, 8, 5), (1, 40, 60), (3, 90, 90)])
def test_pixels_are_those_of_the_training_part_enlarged(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    data = load(pictures(30, *shape))
    path = preview_sheet(data, tmp_path / "new" / "sheet.png", n=12)
    expected = data.train.all(limit=12)[0].expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(tiles(path, *shape[1:]), expected)
    assert [p.name for p in path.parent.iterdir()] == ["sheet.png"]


def test_augmentation_is_shown(tmp_path: Path) -> None:
    values = pictures(40, 3, 6, 6)
    plain, data = load(values), load(values, flip=True)
    shown = tiles(preview_sheet(data, tmp_path / "a.png", 32), 6, 6)
    original = plain.train.all()[0].permute(0, 2, 3, 1).numpy()
    same = np.array([np.array_equal(a, b) for a, b in zip(shown, original)])
    assert 6 <= same.sum() <= 26 and np.array_equal(shown[~same], original[~same][:, :, ::-1])


def test_classes_are_written_below_and_shortened_to_fit(tmp_path: Path) -> None:
    values = pictures(40, 1, 8, 8)
    names = np.array(["i", "a class with a very long name indeed"])[np.arange(40) % 2]
    bare = Image.open(preview_sheet(load(values), tmp_path / "bare.png", 16))
    sheet = np.asarray(Image.open(preview_sheet(load((values, names)), tmp_path / "named.png", 16)))
    assert sheet.shape[0] > bare.height
    column = sheet[:, : sheet.shape[1] // 4]
    ink = (column < 60).all(-1) & (column == column[..., :1]).all(-1)
    strips = [s for s in np.split(ink, np.flatnonzero(np.diff((column == GAP).all((1, 2)).astype(int))) + 1) if s.any()]
    assert len(strips) >= 4 and not ink[:, :3].any()  # words stay inside their column


def test_levels_are_spread_and_alpha_is_put_on_white(tmp_path: Path) -> None:
    data = load("digits")
    shown = tiles(preview_sheet(data, tmp_path / "d.png", 9), 8, 8)
    expected = data.train.all(limit=9)[0][:, 0].double().numpy() * 255 / 16
    assert np.abs(shown[..., 0] - expected).max() <= 0.5
    values = pictures(12, 4, 6, 6)
    values[:, 3] = 0
    assert (tiles(preview_sheet(load(values), tmp_path / "t.png", 4), 6, 6) == 255).all()


def test_what_is_not_pictures_or_no_png_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ring has 2 real numbers"):
        preview_sheet(load("ring:n=50"), tmp_path / "a.png")
    with pytest.raises(InputError, match=r"\.png"):
        preview_sheet(load("digits"), tmp_path / "a.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        preview_sheet(load("digits"), tmp_path / "file" / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
