"""Samples to files and back: same numbers, names and labels; nothing half-written; nothing of the user's lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pushforward.data import load, read_like, to_table, write, write_samples
from pushforward.data.inspection.histograms import histogram_page
from pushforward.data.inspection.oddities import profiles
from pushforward.errors import InputError
from pushforward.spaces import Classes, Pixels, Real, Space, Table

G = torch.Generator().manual_seed(0)
CLASSES = Classes(3, ("a,b", 'say "hi"', "ü/.."))
LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("double", [False, True])
def test_vectors_come_back_to_the_bit_with_names_and_labels(suffix: str, double: bool, tmp_path: Path) -> None:
    space = Real((2,), names=("x,1", "y"), double=double)
    x = (torch.randn(6, 2, generator=G, dtype=torch.float64) * 1e-7).to(space.dtype)
    path = write_samples(tmp_path / f"s{suffix}", x, space, condition=LABELS, condition_space=CLASSES)
    back, labels = read_like(path, space, CLASSES)
    assert torch.equal(back, x) and torch.equal(labels, LABELS)  # type: ignore[arg-type]
    vector = Real((2,), names=("u", "v"))
    c = torch.randn(6, 2, generator=G)
    path = write_samples(path, x, space, condition=c, condition_space=vector)
    back, again = read_like(path, space, vector)
    assert torch.equal(back, x) and torch.equal(again, c)  # type: ignore[arg-type]


def test_text_of_single_precision_is_short(tmp_path: Path) -> None:
    write_samples(tmp_path / "s.csv", torch.tensor([[0.1], [1 / 3]]), Real((1,)))
    assert (tmp_path / "s.csv").read_text() == "x1\n0.1\n0.33333334\n"


def test_parquet_keeps_types(tmp_path: Path) -> None:
    write_samples(tmp_path / "s.parquet", torch.zeros(6, 1), Real((1,)), condition=LABELS, condition_space=CLASSES)
    schema = pq.read_schema(tmp_path / "s.parquet")
    assert {f.name: str(f.type) for f in schema} == {"x1": "float", "label": "string"}


@pytest.mark.parametrize(
    "space", [Pixels(3, 4, 5), Pixels(1, 4, 5, levels=17), Real((4,)), Real((1, 4, 5), double=True)]
)
def test_npz_loads_again_as_the_same_samples(space: Space, tmp_path: Path) -> None:
    x = (torch.rand(6, *space.shape, generator=G) * 16).to(space.dtype)
    path = write_samples(tmp_path / "s.npz", x, space, condition=LABELS, condition_space=CLASSES)
    back, labels = read_like(path, space, CLASSES)
    assert torch.equal(back, x) and back.dtype == x.dtype and torch.equal(labels, LABELS)  # type: ignore[arg-type]
    assert load(path, condition="label").condition_space == CLASSES
    path = write_samples(tmp_path / "s.npy", x, space)
    assert np.array_equal(np.load(path), x.numpy())


def test_a_folder_has_one_file_a_picture_by_class(tmp_path: Path) -> None:
    space = Pixels(3, 4, 5)
    x = (torch.rand(6, 3, 4, 5, generator=G) * 255).to(torch.uint8)
    root = write_samples(f"{tmp_path}/new/out/", x, space, condition=LABELS, condition_space=CLASSES)
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
    # Names are made safe: no separators, no way up, and no two classes in one folder.
    assert [f.split("/")[1] for f in sorted(files, key=lambda f: f[-9:])] == [f"{i:05d}.png" for i in range(6)]
    assert {f.split("/")[0] for f in files} == {"a,b", "say _hi_", "ü_"}
    for f in files:
        i = int(f[-9:-4])
        assert np.array_equal(np.asarray(Image.open(root / f)), x[i].permute(1, 2, 0).numpy())
    plain = write_samples(f"{tmp_path}/plain/", x, space)
    assert torch.equal(read_like(plain, space)[0], x)
    assert {p.name for p in tmp_path.iterdir()} == {"new", "plain"}


def test_class_folders_never_collide() -> None:
    labels = {"label": np.array(["a/b", "a:b", "a_b", "..", "", "a/b"])}
    folders = write._class_folders(labels, 6)
    assert len(set(folders)) == 5 and folders[0] == folders[5]
    assert all(f not in ("", ".", "..") and "/" not in f for f in folders)


def test_an_existing_folder_is_refused_and_foreign_files_are_never_removed(tmp_path: Path) -> None:
    space = Pixels(1, 4, 4)
    x = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
    write_samples(f"{tmp_path}/o/", x, space)
    with pytest.raises(InputError, match="not empty"):
        write_samples(f"{tmp_path}/o/", x, space)
    write_samples(f"{tmp_path}/o/", x[:3], space, overwrite=True)
    assert len(list((tmp_path / "o").iterdir())) == 3
    (tmp_path / "o" / "thesis.doc").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.doc"):
        write_samples(f"{tmp_path}/o/", x, space, overwrite=True)
    assert (tmp_path / "o" / "thesis.doc").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    write_samples(tmp_path / "empty", x, space)  # an existing empty folder, without the slash
    assert len(list((tmp_path / "empty").iterdir())) == 8


@pytest.mark.parametrize("name", ["s.npz", "s.csv", "s.parquet", "s.png", "s.npy"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"old")

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_samples(tmp_path / name, torch.zeros(5, 2), Real((2,)))
    assert (tmp_path / name).read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == [name]
    monkeypatch.undo()
    write_samples(tmp_path / name, torch.zeros(5, 2), Real((2,)))
    assert (tmp_path / name).read_bytes() != b"old" and [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("path", "samples", "space", "message"),
    [
        ("s.jpg", torch.zeros(3, 2), Real((2,)), r"Allowed: \.png, \.csv"),
        ("s", torch.zeros(3, 2), Real((2,)), "no extension"),
        ("s.csv", torch.zeros(3, 1, 4, 4, dtype=torch.uint8), Pixels(1, 4, 4), r"pictures do not fit.*\.npz"),
        ("s/", torch.zeros(3, 2), Real((2,)), r"Write \.csv"),
        ("s.csv", torch.zeros(3, 4), Real((2,)), r"shape \(3, 4\)"),
        ("s.csv", torch.zeros(0, 2), Real((2,)), r"shape \(0, 2\)"),
        ("file/s.csv", torch.zeros(3, 2), Real((2,)), "cannot write"),
        ("folder.csv", torch.zeros(3, 2), Real((2,)), "is a folder"),
    ],
)
def test_what_cannot_be_written(path: str, samples: torch.Tensor, space: Space, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=message):
        write_samples(f"{tmp_path}/{path}", samples, space)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder.csv"}


def test_conditions_must_match(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="6 samples, but conditions"):
        write_samples(tmp_path / "s.csv", torch.zeros(6, 2), Real((2,)), condition=LABELS[:2], condition_space=CLASSES)
    write_samples(tmp_path / "s.csv", torch.zeros(6, 2), Real((2,)), condition=torch.tensor(1), condition_space=CLASSES)
    assert read_like(tmp_path / "s.csv", Real((2,)), CLASSES)[1].tolist() == [1] * 6  # type: ignore[union-attr]


def test_a_class_is_written_under_the_name_of_its_column(tmp_path: Path) -> None:
    """So that what was sampled can be scored: `log-prob` looks for the column that the data had."""
    path = tmp_path / "out.csv"
    write_samples(
        path,
        torch.zeros(2, 2),
        Real((2,), ("a", "b")),
        condition=torch.tensor([1, 0]),
        condition_space=Classes(2, ("cat", "dog")),
        condition_name="kind",
    )
    assert path.read_text().splitlines()[0].replace('"', "") == "a,b,kind"
    assert path.read_text().splitlines()[1].endswith("dog")


# ------------------------------------------------------------------------------------------ tables

FRAME = pd.DataFrame(
    {
        "x": [0.5, None, -3.25, 8.125] * 5,
        "n": pd.array([1, 2, None, 4] * 5, "Int64"),
        "kind, a": ["a,b", 'say "hi"', "line\nbreak", None] * 5,
        "zip": ["007", "12", "NA", ""] * 5,
        "ok": [True, False, True, None] * 5,
        "when": pd.to_datetime(["2020-01-01 12:30", "2021-06-01 00:00", None, "2022-01-01 00:00"] * 5),
        "day": ["31.12.2020", "01.02.2021", "03.02.2021", "05.06.2022"] * 5,
        "one": ["same"] * 20,
        "float": [1.0, 2.0, 5.0, 9.0] * 5,
    }
)


def rows_and_space() -> tuple[torch.Tensor, Table]:
    space = load(FRAME).space
    assert isinstance(space, Table)
    return read_like(FRAME, space)[0], space


def test_a_table_as_csv_is_what_people_read(tmp_path: Path) -> None:
    x, space = rows_and_space()
    write_samples(tmp_path / "t.csv", x[:4], space)
    assert (tmp_path / "t.csv").read_text() == (
        'x,n,"kind, a",zip,ok,when,day,one,float\n'
        '0.5,1,"a,b","007",true,2020-01-01 12:30:00,31.12.2020,same,1.0\n'
        ',2,"say ""hi""","12",false,2021-06-01 00:00:00,01.02.2021,same,2.0\n'
        '-3.25,,"line\nbreak","NA",true,,03.02.2021,same,5.0\n'
        '8.125,4,,"",,2022-01-01 00:00:00,05.06.2022,same,9.0\n'
    )
    frame = pd.read_csv(tmp_path / "t.csv", dtype={"zip": str}, keep_default_na=False, na_values={"x": [""]})
    assert frame["zip"].tolist() == ["007", "12", "NA", ""] and frame["kind, a"].tolist()[2] == "line\nbreak"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_comes_back_with_its_condition(suffix: str, tmp_path: Path) -> None:
    x, space = rows_and_space()
    labels = torch.arange(20) % 3
    path = write_samples(
        tmp_path / f"t{suffix}", x, space, condition=labels, condition_space=CLASSES, condition_name="y"
    )
    back, c = read_like(path, space, CLASSES, condition="y")
    assert torch.equal(back.nan_to_num(-1), x.nan_to_num(-1)) and torch.equal(c, labels)  # type: ignore[arg-type]
    whole = Classes(3, ("2", "5", "10"))  # classes of whole numbers are written as such
    path = write_samples(path, x, space, condition=labels, condition_space=whole, condition_name="y")
    _, c = read_like(path, space, whole, condition="y")
    assert torch.equal(c, labels) and load(path, condition="y").condition_space == whole  # type: ignore[arg-type]


def test_parquet_and_to_table_keep_the_users_types(tmp_path: Path) -> None:
    x, space = rows_and_space()
    write_samples(tmp_path / "t.parquet", x, space)
    original = pa.table(FRAME)
    for table in (pq.read_table(tmp_path / "t.parquet"), to_table(x, space)):
        assert table.schema.types == original.schema.types and table.equals(original.replace_schema_metadata())

    class Model:
        pass

    model = Model()
    model.space = space  # type: ignore[attr-defined]
    assert to_table(x, model).equals(to_table(x, space))
    plain = to_table(torch.zeros(2, 2), Real((2,), names=("u", "v")))
    assert plain.column_names == ["u", "v"] and plain.schema.types == [pa.float32()] * 2
    for wrong in ((torch.zeros(2, 3), Real((2,))), (torch.zeros(1, 1, 2, 2), Pixels(1, 2, 2)), (x, object())):
        with pytest.raises(InputError, match="no rows of a table"):
            to_table(*wrong)


def test_npz_of_a_table_has_an_array_a_column(tmp_path: Path) -> None:
    x, space = rows_and_space()
    write_samples(tmp_path / "t.npz", x, space)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as arrays:
        assert set(arrays.files) == set(space.names)
        assert arrays["kind, a"].dtype.kind == "U" and arrays["kind, a"][3] == ""
        assert arrays["when"].dtype.kind == "M" and np.isnat(arrays["when"][2])
        assert np.array_equal(arrays["n"], FRAME["n"].to_numpy(float, na_value=np.nan), equal_nan=True)
        assert np.array_equal(arrays["x"], FRAME["x"], equal_nan=True)


def test_one_array_is_for_numbers_alone(tmp_path: Path) -> None:
    x, space = rows_and_space()
    with pytest.raises(InputError, match="one array holds numbers"):
        write_samples(tmp_path / "t.npy", x, space)
    numbers = Table(tuple(c for c in space.columns if c.name in ("x", "float")))
    write_samples(tmp_path / "t.npy", x[:, [0, 8]], numbers)
    assert np.array_equal(np.load(tmp_path / "t.npy"), x[:, [0, 8]].numpy(), equal_nan=True)


def test_the_page_of_a_mixed_table_is_that_of_inspect(tmp_path: Path) -> None:
    x, space = rows_and_space()
    write_samples(tmp_path / "t.png", x, space)
    histogram_page(profiles(x.numpy(), space.columns), tmp_path / "same.png", title=f"samples, n = {len(x):,}")
    assert (tmp_path / "t.png").read_bytes() == (tmp_path / "same.png").read_bytes()


def test_a_zero_byte_is_no_csv(tmp_path: Path) -> None:
    space = load(pd.DataFrame({"c": ["a\0b", "c", "d"] * 3, "x": range(9)})).space
    with pytest.raises(InputError, match=r"'c' holds text with a zero byte.*parquet"):
        write_samples(tmp_path / "t.csv", torch.zeros(3, 2), space)
    assert list(tmp_path.iterdir()) == []


def test_a_hundred_thousand_rows_in_seconds(tmp_path: Path) -> None:
    x, space = rows_and_space()
    many = x.repeat(10_000, 1)
    path = write_samples(tmp_path / "t.csv", many, space)
    assert torch.equal(read_like(path, space)[0].nan_to_num(-1), many.nan_to_num(-1))
