"""Pictures: decoded as Pillow would, safely, mixed kinds made one, large sets kept on disk."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageFile

from pushforward.data import load
from pushforward.data.data import open_source
from pushforward.data.images.decode import MAX_PIXELS, Plan, decode
from pushforward.data.options import Options
from pushforward.errors import InputError
from pushforward.spaces import Classes, Pixels

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def save(path: Path, values: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)
    return path


def encoded(values: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, form, **options)
    return buffer.getvalue()


def rows_of(source: Any, **options: Any) -> tuple[np.ndarray, Pixels, list[str]]:
    opened = open_source(source, Options(**options), {})
    found = opened.read()
    return found.x, found.space, opened.notes  # type: ignore[return-value]


def folder(root: Path, n: int = 12, shape: tuple[int, ...] = (6, 5, 3)) -> list[np.ndarray]:
    values = [pixels(*shape) for _ in range(n)]
    for i, v in enumerate(values):
        save(root / f"{i:03d}.png", v)
    return values


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    values = folder(tmp_path / "a")
    x, space, notes = rows_of(tmp_path / "a")
    assert space == Pixels(3, 6, 5) and x.dtype == np.uint8
    assert np.array_equal(x, np.stack(values).transpose(0, 3, 1, 2))
    assert notes == ["12 pictures: colour images of 6x5 pixels, 256 levels"]
    data = load(str(tmp_path / "a") + "/")
    assert data.name == "a" and data.source.endswith("/")
    assert data.hash == load(tmp_path / "a").hash == load(np.stack(values)).hash


def test_class_sub_folders_are_labels_on_request(tmp_path: Path) -> None:
    for c, name in enumerate(("cat", "dog", "eel")):
        for i in range(8):
            save(tmp_path / name / "deeper" / f"{i}.png", np.full((4, 4), 10 * c + i, np.uint8))
    assert load(tmp_path).condition_space is None
    for condition in ("label", True):
        data = load(tmp_path, condition=condition)
        assert data.condition_space == Classes(3, ("cat", "dog", "eel"))
        for part in (data.train, data.validation, data.test):
            x, c = part.all()
            assert torch.equal(x[:, 0, 0, 0].long() // 10, c)
    with pytest.raises(InputError, match=r"no column 'species'.*Known: label"):
        load(tmp_path, condition="species")
    save(tmp_path / "loose.png", pixels(4, 4))  # not all are in a class now
    with pytest.raises(InputError, match="no labels"):
        load(tmp_path, condition="label")


def test_train_and_test_folders_are_parts_not_classes(tmp_path: Path) -> None:
    for part, base in (("train", 0), ("test", 100)):
        for c in "ab":
            for i in range(6):
                save(tmp_path / part / c / f"{i}.png", np.full((4, 4), base + i, np.uint8))
    data = load(tmp_path, condition="label")
    assert data.condition_space == Classes(2, ("a", "b"))
    assert (len(data.train), len(data.validation), len(data.test)) == (11, 1, 12)
    assert data.test.x.min() >= 100 > data.train.x.max()


def test_grey_stays_one_channel_and_mixed_becomes_colour(tmp_path: Path) -> None:
    grey, colour = pixels(5, 5), pixels(5, 5, 3)
    save(tmp_path / "g" / "0.png", grey)
    save(tmp_path / "g" / "1.png", grey > 128)
    save(tmp_path / "m" / "0.png", grey)
    save(tmp_path / "m" / "1.png", colour)
    x, space, _ = rows_of(tmp_path / "g")
    assert space == Pixels(1, 5, 5)
    assert np.array_equal(x[0, 0], grey) and np.array_equal(x[1, 0], 255 * (grey > 128))
    x, space, notes = rows_of(tmp_path / "m")
    assert space == Pixels(3, 5, 5) and any("1 in colour, 1 grey: all made colour" in n for n in notes)
    assert np.array_equal(x[0], np.stack([grey] * 3)) and np.array_equal(x[1], colour.transpose(2, 0, 1))
    x, space, _ = rows_of(tmp_path / "m", grey=True)
    assert space == Pixels(1, 5, 5)
    luma = colour @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(x[1, 0] - luma).max() <= 1 and np.array_equal(x[0, 0], grey)


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    values = pixels(6, 6, 4)
    for i in range(2):
        save(tmp_path / f"{i}.png", values)
    x, _, notes = rows_of(tmp_path)
    alpha = values[..., 3:] / 255
    expected = values[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(x[0].transpose(1, 2, 0) - expected).max() <= 1
    assert any("with transparency: put on white" in n for n in notes)
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=1)
    got, _ = decode(buffer.getvalue(), Plan(2, 2, 3))
    assert got.transpose(1, 2, 0).tolist() == [[[255, 0, 0], [255] * 3], [[255] * 3, [255, 0, 0]]]


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.array([[0, 128, 257], [32768, 65000, 65535]], np.uint16)
    got, changes = decode(encoded(values), Plan(2, 3, 1))
    assert np.array_equal(got[0], np.floor(values.astype(float) / 257 + 0.5)) and changes == ("16-bit",)


def test_the_cameras_rotation_is_applied(tmp_path: Path) -> None:
    values = np.zeros((16, 32, 3), np.uint8)
    values[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # hold it 90 degrees clockwise to see it upright
    for i in range(3):
        save(tmp_path / f"{i}.jpg", values, exif=exif, quality=95)
    x, space, _ = rows_of(tmp_path)
    assert space == Pixels(3, 32, 16)
    assert x[0, :, :12].min() > 200 and x[0, :, 20:].max() < 50


def test_mixed_sizes_are_scaled_to_cover_and_cropped_at_the_centre(tmp_path: Path) -> None:
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200  # its central square
    save(tmp_path / "0.png", wide)
    for i in range(1, 4):
        save(tmp_path / f"{i}.png", np.full((8, 8, 3), i, np.uint8))
    x, space, notes = rows_of(tmp_path)
    assert space == Pixels(3, 8, 8) and any("2 sizes" in n and "8x8" in n for n in notes)
    assert np.abs(x[0, :, :, 1:-1].astype(int) - 200).max() <= 12  # but for the edges' resampling
    assert all((x[i] == i).all() for i in range(1, 4))
    assert rows_of(tmp_path, image_size=(4, 6))[1] == Pixels(3, 4, 6)
    assert load(tmp_path, image_size=5).space == Pixels(3, 5, 5)


def test_without_a_common_size_the_median_is_taken(tmp_path: Path) -> None:
    for i in range(5):
        save(tmp_path / f"{i}.png", pixels(10 + i, 30, 3))
    assert rows_of(tmp_path)[1] == Pixels(3, 12, 12)


def test_photographs_are_made_small_and_it_is_said(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"{i}.jpg", np.full((900, 1200, 3), 40 * i, np.uint8))
    x, space, notes = rows_of(tmp_path)
    assert space == Pixels(3, 64, 64) and any("64x64" in n and "image_size=" in n for n in notes)
    assert np.abs(x.reshape(3, -1).astype(int) - [[0], [40], [80]]).max() <= 2


def test_bad_files_are_named_and_skipped_up_to_one_percent(tmp_path: Path) -> None:
    values = folder(tmp_path, n=200)
    whole = (tmp_path / "003.png").read_bytes()
    (tmp_path / "003.png").write_bytes(b"this is text")
    (tmp_path / "100.png").write_bytes(whole[: len(whole) // 2])
    x, _, notes = rows_of(tmp_path)
    kept = [i for i in range(200) if i not in (3, 100)]
    assert np.array_equal(x, np.stack(values)[kept].transpose(0, 3, 1, 2))
    assert any("2 pictures skipped" in n and "003.png" in n and "100.png" in n for n in notes)
    (tmp_path / "150.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"3 of 200 pictures cannot be read.*003\.png"):
        rows_of(tmp_path)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_labels_stay_with_their_pictures_when_some_are_skipped(tmp_path: Path) -> None:
    rows = [{"bytes": encoded(np.full((3, 3), i, np.uint8)), "path": None} for i in range(200)]
    rows[50] = {"bytes": b"broken", "path": None}
    pq.write_table(pa.table({"image": rows, "label": [i % 7 for i in range(200)]}), tmp_path / "s.parquet")
    data = load(tmp_path / "s.parquet", condition="label")
    assert sum(len(p) for p in (data.train, data.validation, data.test)) == 199
    for part in (data.train, data.validation, data.test):
        x, c = part.all()
        assert torch.equal(x[:, 0, 0, 0].long() % 7, c)


def test_parquet_columns_of_pictures(tmp_path: Path) -> None:
    values = [pixels(4, 4, 3) for _ in range(30)]
    table = {"image": [{"bytes": encoded(v), "path": "x.png"} for v in values], "label": [i % 2 for i in range(30)]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet", row_group_size=7)
    pq.write_table(pa.table({"photo": [encoded(v) for v in values], "kind": list("ab") * 15}), tmp_path / "b.parquet")
    for name, condition in (("a", "label"), ("b", "kind")):
        x, space, _ = rows_of(tmp_path / f"{name}.parquet")
        assert np.array_equal(x, np.stack(values).transpose(0, 3, 1, 2)) and space == Pixels(3, 4, 4)
        assert load(tmp_path / f"{name}.parquet", condition=condition).condition_space.count == 2  # type: ignore[union-attr]
    with pytest.raises(InputError, match="Did you mean label"):
        load(tmp_path / "a.parquet", condition="labels_")


def test_a_path_inside_a_parquet_file_is_never_opened(tmp_path: Path) -> None:
    secret = save(tmp_path / "secret.png", pixels(4, 4))
    pq.write_table(pa.table({"image": [{"bytes": None, "path": str(secret)}] * 12}, schema=pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))])), tmp_path / "p.parquet")  # fmt: skip
    with pytest.raises(InputError, match="there is no picture"):
        load(tmp_path / "p.parquet")


def test_symbolic_links_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    folder(tmp_path / "mine", n=4)
    folder(tmp_path / "other", n=3)
    os.symlink(tmp_path / "other", tmp_path / "mine" / "linked")
    os.symlink(tmp_path / "other" / "000.png", tmp_path / "mine" / "link.png")
    os.symlink(tmp_path / "mine", tmp_path / "mine" / "loop")
    x, _, notes = rows_of(tmp_path / "mine")
    assert len(x) == 4 and any("3 symbolic links" in n for n in notes)
    os.symlink(tmp_path / "mine", tmp_path / "alias")  # the folder itself may be one
    assert len(rows_of(tmp_path / "alias")[0]) == 4


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that unpacks to width x height grey pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8200, 9600, 14_000, 60_000])  # ours, Pillow's warning, Pillow's error, far above
def test_decompression_bombs_stop_with_their_name(side: int, tmp_path: Path) -> None:
    assert side * side > MAX_PIXELS
    folder(tmp_path, n=200)
    (tmp_path / "bomb.png").write_bytes(bomb(side, side))
    with pytest.raises(InputError, match=r"bomb\.png is a picture.*above the limit"):
        load(tmp_path)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PPM", "ICO"])
def test_other_formats_under_an_allowed_name_are_refused(form: str, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(encoded(pixels(16, 16, 3), form))
    with pytest.raises(InputError, match="not a PNG, JPEG, WebP or BMP"):
        load(tmp_path)


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP"])
def test_lossless_formats_keep_every_pixel(form: str) -> None:
    values = pixels(9, 7, 3)
    options = {"lossless": True} if form == "WEBP" else {}
    got, changes = decode(encoded(values, form, **options), Plan(9, 7, 3))
    assert np.array_equal(got, values.transpose(2, 0, 1)) and changes == ()


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is empty"):
        load(tmp_path)
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("text")
    (tmp_path / ".hidden.png").write_bytes(encoded(pixels(3, 3)))
    with pytest.raises(InputError, match=r"only 3 \.txt"):
        load(tmp_path)
    folder(tmp_path, n=4)
    assert any("other files ignored: 3 .txt" in n for n in rows_of(tmp_path)[2])


def test_large_sets_live_in_a_cache_that_knows_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pushforward.data.images import source as images

    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "cache"))
    folder(tmp_path / "p", n=150)
    (tmp_path / "p" / "007.png").write_bytes(b"broken")
    small = load(tmp_path / "p")
    large = load(tmp_path / "p", memory_budget=1000)
    assert large.hash == small.hash and large.split == small.split
    assert any("007.png" in n for n in large.notes)
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(large, name).all()[0], getattr(small, name).all()[0])
    files = {p.suffix for p in (tmp_path / "cache").iterdir()}
    assert files == {".npy", ".json"}  # nothing temporary is left

    def never(*_: Any) -> Any:
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(images, "decode", never)
        again = load(tmp_path / "p", memory_budget=1000)
    assert again.hash == large.hash and again.notes == large.notes
    save(tmp_path / "p" / "000.png", pixels(6, 5, 3))  # a changed file is decoded again
    assert load(tmp_path / "p", memory_budget=1000).hash == load(tmp_path / "p").hash != small.hash


def test_an_interrupted_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pushforward.data.images import source as images

    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "cache"))
    folder(tmp_path / "p", n=60)
    real, calls = images.decode, []

    def dies(data: Any, plan: Any) -> Any:
        calls.append(data)
        if len(calls) > 30:
            raise KeyboardInterrupt
        return real(data, plan)

    monkeypatch.setattr(images, "decode", dies)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path / "p", memory_budget=1000)
    monkeypatch.setattr(images, "decode", real)
    assert not list((tmp_path / "cache").iterdir())
    assert load(tmp_path / "p", memory_budget=1000).hash == load(tmp_path / "p").hash


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "file"))
    folder(tmp_path / "p")
    with pytest.raises(InputError, match="PUSHFORWARD_CACHE"):
        load(tmp_path / "p", memory_budget=100)


# --------------------------------------------------------------------------------------------- labels in a CSV


def labelled(root: Path, text: str | bytes) -> Path:
    """A folder of a/0.png, a/1.png, b/2.png, ... with grey levels 0, 1, 2, ..., and a CSV file beside it."""
    for i in range(12):
        save(root / "p" / "aabb"[i % 4] / f"{i}.png", np.full((4, 4), i, np.uint8))
    path = root / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


NAMES = ["aabb"[i % 4] + f"/{i}" for i in range(12)]


@pytest.mark.parametrize("spell", ["a/7.png", "./a/7.png", "a/7", "7.png", "7", "a\\7.png"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_labels_of_a_csv_stay_with_their_pictures_in_any_order(tmp_path: Path, spell: str, separator: str) -> None:
    def spelt(name: str) -> str:
        folder, bare = name.split("/")
        return spell.replace("a", folder, 1).replace("7", bare) if "a" in spell else spell.replace("7", bare)

    rows = [(spelt(n), n.split("/")[1]) for n in NAMES]
    order = RNG.permutation(12)
    lines = [f"{rows[i][0]}{separator}kind{int(rows[i][1]) % 3}{separator}{rows[i][1]}" for i in order]
    path = labelled(tmp_path, "\ufeff" + "\n".join([separator.join(("File", "kind", "level")), *lines]))
    data = load(tmp_path / "p", labels=str(path), condition="kind")
    assert data.condition_space == Classes(3, ("kind0", "kind1", "kind2"))
    assert data.options == {"condition": "kind", "labels": str(path)}
    for part in (data.train, data.validation, data.test):
        x, c = part.all()
        assert torch.equal(x[:, 0, 0, 0].long() % 3, c)
    number = load(tmp_path / "p", labels=str(path), condition="level").train.all()
    assert torch.equal(number[0][:, 0, 0, 0].long(), number[1].long())
    with pytest.raises(InputError, match=r"exactly one candidate.*2 \(kind, level\)"):
        load(tmp_path / "p", labels=str(path), condition=True)


def test_the_names_need_no_first_place_and_sub_folders_stay_a_condition(tmp_path: Path) -> None:
    path = labelled(tmp_path, "id,image,size\n" + "\n".join(f"{90 + i},{n},{i / 8}" for i, n in enumerate(NAMES)))
    path.rename(tmp_path / "p" / "labels.csv")  # inside the folder: found there, and not "another file"
    x, c = load(tmp_path / "p", labels="labels.csv", condition="size").train.all()
    assert torch.allclose(x[:, 0, 0, 0].double() / 8, c[:, 0].double())
    data = load(tmp_path / "p", labels="labels.csv", condition="label")
    assert data.condition_space == Classes(2, ("a", "b")) and not any("ignored" in n for n in data.notes)
    assert any("can be the condition: id, size" in n for n in data.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[:-1], r"labels\.csv: 1 of 12 pictures have no row: b/11\.png"),
        (lambda r: [*r[:4], "a/99.png,x", *r[4:]], r"data row 5, column 'file': there is no picture 'a/99\.png' in"),
        (lambda r: [*r, "a/0.pgn,x"], r"data row 13.*no picture 'a/0\.pgn'.*Did you mean a/0\.png"),
        (lambda r: [*r, r[3]], r"data row 13.*'b/3' is the same picture as in data row 4: b/3\.png"),
        (lambda r: [r[0], r[1] + ",more", *r[2:]], r"data row 2: 3 cells where the first row has 2"),
        (lambda r: [], "has no rows of labels"),
        (lambda r: [r[0], r[1].split(",")[0] + ",", *r[2:]], r"data row 2, column 'kind': the cell is empty"),
    ],
)
def test_wrong_labels_are_named_with_their_row(tmp_path: Path, change: Any, message: str) -> None:
    rows = [f"{n},k{i % 2}" for i, n in enumerate(NAMES)]
    path = labelled(tmp_path, "\n".join(["file,kind", *change(rows)]))
    with pytest.raises(InputError, match=message):
        load(tmp_path / "p", labels=str(path), condition="kind")


def test_label_files_that_are_none(tmp_path: Path) -> None:
    path = labelled(tmp_path, "\n".join(f"{n},k" for n in NAMES))
    for text, message in (
        (path.read_bytes(), "the first row has the picture 'a/0'"),
        (b"file\na/0\n", "has one column, 'file'"),
        (b"file,kind,kind\na/0,1,2\n", "'kind' is used twice"),
        (b"file,kind\na/0,k\na/1,caf\xe9\n", "data row 2: not UTF-8"),
        (b"", "no rows of labels"),
    ):
        path.write_bytes(text)
        with pytest.raises(InputError, match=message):
            load(tmp_path / "p", labels=str(path))
    with pytest.raises(InputError, match=r"none\.csv' cannot be read"):
        load(tmp_path / "p", labels=str(tmp_path / "none.csv"))
    save(tmp_path / "p" / "b" / "0.png", pixels(4, 4))
    path.write_text("file,kind\n0,k\n")
    with pytest.raises(InputError, match=r"'0' is the name of 2 pictures: a/0\.png, b/0\.png"):
        load(tmp_path / "p", labels=str(path))


def test_labels_without_images(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,kind\na,b\n")
    with pytest.raises(InputError, match=r"has no pictures \(only 1 \.csv\)"):
        load(tmp_path, labels=str(tmp_path / "labels.csv"))
    np.savez(tmp_path / "l.npz", labels=np.arange(9))
    with pytest.raises(InputError, match=r"l\.npz: labels \(labels\) without images"):
        load(tmp_path / "l.npz")
    for source in (pixels(9, 4, 4), "digits"):
        with pytest.raises(InputError, match="labels= is for"):
            load(source, labels=str(tmp_path / "labels.csv"))
    pq.write_table(pa.table({"image": [encoded(pixels(4, 4))] * 9}), tmp_path / "i.parquet")
    with pytest.raises(InputError, match="labels= is for folders"):
        load(tmp_path / "i.parquet", labels=str(tmp_path / "labels.csv"))


# ------------------------------------------------------------------------------------------------- sprite sheets


def test_a_sprite_sheet_is_refused_with_advice(tmp_path: Path) -> None:
    sheet = save(tmp_path / "s" / "sheet.png", pixels(64, 128, 3))
    with pytest.raises(InputError, match=r"has one picture of 128x64 pixels, sheet\.png.*-crop 32x32"):
        load(tmp_path / "s")
    with pytest.raises(InputError, match=r"sheet\.png is one picture of 128x64 pixels.*-crop.*folder"):
        load(sheet)
    sheet.write_bytes(bomb(14_000, 14_000))
    with pytest.raises(InputError, match=r"sheet\.png: that is one example.*-crop"):
        load(tmp_path / "s")


# ------------------------------------------------------------------------------------------------------- fit


def test_the_way_to_fit_is_remembered_and_asked_of_new_pictures(tmp_path: Path) -> None:
    from pushforward.data import read_like

    values = [pixels(8, 24, 3) for _ in range(6)]
    for i, v in enumerate(values):
        save(tmp_path / "p" / f"{i}.png", v)
    seen = set()
    for fit, words in (("crop", "cropped"), ("letterbox", "bars"), ("stretch", "stretched")):
        data = load(tmp_path / "p", image_size=8, fit=fit)
        assert any(words in n and "to 8x8" in n for n in data.notes)
        assert data.options == {"image_size": [8, 8]} | ({} if fit == "crop" else {"fit": fit})
        everything = {bytes(v) for part in (data.train, data.validation, data.test) for v in part.all()[0].numpy()}
        new, _ = read_like(tmp_path / "p", data.space, fit=fit)
        assert {bytes(v) for v in new.numpy()} == everything
        arrays = load(np.stack(values), image_size=8, fit=fit)
        assert arrays.hash == data.hash
        one, _ = read_like(tmp_path / "p" / "3.png", data.space, fit=fit)
        assert bytes(one[0].numpy()) in everything
        seen.add(data.hash)
    assert len(seen) == 3


def test_the_cache_knows_how_pictures_were_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHFORWARD_CACHE", str(tmp_path / "cache"))
    for i in range(10):
        save(tmp_path / "p" / f"{i}.png", pixels(6, 18, 3))
    for fit in ("crop", "stretch", "letterbox"):
        options = {"image_size": 6, "fit": fit}
        assert load(tmp_path / "p", **options, memory_budget=100).hash == load(tmp_path / "p", **options).hash


def test_arrays_with_alpha_can_be_resized() -> None:
    data = load(pixels(10, 8, 8, 4), image_size=4)
    assert data.space == Pixels(4, 4, 4)


def test_commands_read_new_pictures_as_the_run_did(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from pushforward.cli.common import read_data
    from pushforward.data import read_like

    for i in range(6):
        save(tmp_path / "p" / f"{i}.png", pixels(8, 24, 3))
    (tmp_path / "l.csv").write_text("file,kind\n" + "\n".join(f"{i},k{i % 2}" for i in range(6)))
    options = {"image_size": 8, "fit": "stretch", "labels": str(tmp_path / "l.csv"), "condition": "kind"}
    data = load(tmp_path / "p", **options)
    run: Any = SimpleNamespace(document={"data": {"source": str(tmp_path / "p"), "options": data.options}})
    model: Any = SimpleNamespace(space=data.space, condition_space=data.condition_space)
    x, c = read_data(run, model, str(tmp_path / "p"), None)
    assert torch.equal(x, read_like(tmp_path / "p", data.space, fit="stretch")[0]) and c.tolist() == [0, 1] * 3
