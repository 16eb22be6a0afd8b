"""New data for a trained model: matched by name, converted or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pushforward.data import load, read_like, write_samples
from pushforward.errors import InputError
from pushforward.spaces import Classes, Pixels, Real, Table

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": np.arange(6.0), "b": np.arange(6.0) ** 2, "c": -np.arange(6.0)})
ABC = Real((3,), names=("a", "b", "c"), double=True)


def test_columns_are_matched_by_name_in_any_order() -> None:
    x, condition = read_like(FRAME[["c", "a", "b"]], ABC)
    assert condition is None and torch.equal(x, torch.tensor(FRAME.to_numpy()))


def test_missing_and_extra_columns_are_both_named() -> None:
    with pytest.raises(InputError, match=r"lacks 'b' and has 'd'.*a, b, c"):
        read_like(FRAME.rename(columns={"b": "d"}), ABC)
    with pytest.raises(InputError, match="has 'd', which the model does not know"):
        read_like(FRAME.assign(d=1.0), ABC)
    with pytest.raises(InputError, match="lacks 'a', 'c'"):
        read_like(FRAME[["b"]], ABC)


def test_without_names_the_position_counts(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("1,2,3\n4,5,6\n")
    expected = torch.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=torch.float64)
    assert torch.equal(read_like(tmp_path / "h.csv", ABC)[0], expected)
    assert torch.equal(read_like(FRAME, Real((3,)))[0], torch.tensor(FRAME.to_numpy(), dtype=torch.float32))
    assert torch.equal(read_like(expected.numpy(), ABC)[0], expected)
    with pytest.raises(InputError, match="3 columns, the model has 2"):
        read_like(tmp_path / "h.csv", Real((2,), names=("u", "v")))


MIXED = pd.DataFrame(
    {
        "n": [1, 2, 5, 7] * 3,
        "x": [0.5, None, -3.25, 8.1] * 3,
        "c": ["red", "blue", "green", "red"] * 3,
        "zip": ["007", "10", "0010", "10"] * 3,
        "ok": ["no", "yes", "yes", "no"] * 3,
        "day": ["31.12.2020", "01.02.2021", "01.02.2021", "05.06.2022"] * 3,
        "when": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-04", "2021-01-01"] * 3),
    }
)


def mixed() -> Table:
    space = load(MIXED).space
    assert isinstance(space, Table)
    return space


def test_tables_are_read_by_the_models_columns(tmp_path: Path) -> None:
    space = mixed()
    expected, _ = read_like(MIXED, space)
    assert expected.shape == (12, 7) and expected.dtype == torch.float64
    new = MIXED[::-1][["zip", "when", "c", "x", "day", "n", "ok"]].assign(id=range(12), note="unknown to the model")
    new.to_csv(tmp_path / "t.csv", index=False)
    new.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.tsv").write_text(new.to_csv(index=False, sep="\t", decimal=","))
    for source in (new, tmp_path / "t.csv", tmp_path / "t.parquet", tmp_path / "t.tsv"):
        x, _ = read_like(source, space)
        assert torch.equal(x.flip(0).nan_to_num(-1), expected.nan_to_num(-1)), source
    one = MIXED[:1].assign(zip="10", n=1000, x=-1e9)  # numbers out of the range are allowed
    x, _ = read_like(one, space)
    assert x[0, :2].tolist() == [1000, -1e9] and x[0, 3] == space.columns[3].categories.index("10")


def test_what_is_written_in_another_way_is_the_same(tmp_path: Path) -> None:
    space = load(
        pd.DataFrame({"ok": ["No", "Yes", "Yes"], "k": [1.0, 2.0, 1.5], "x": [1, 2, 3]}), columns="k=category"
    ).space
    for ok in (["No", "Yes", "Yes"], ["no", "yes", "yes"], ["false", "true", "TRUE"], [False, True, True], [0, 1, 1]):
        new = pd.DataFrame({"ok": ok, "k": ["1", "2.0", "1.50"], "x": ["1", "2", "3"]})
        new.to_csv(tmp_path / "t.csv", index=False)
        for source in (new, tmp_path / "t.csv"):
            assert read_like(source, space)[0].tolist() == [[0, 0, 1], [1, 2, 2], [1, 1, 3]]


def with_cell(column: str, value: object) -> pd.DataFrame:
    return MIXED.astype({column: object}).assign(**{column: [*MIXED[column][:4], value, *MIXED[column][5:]]})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (with_cell("c", "rde"), r"column 'c', data row 5: 'rde' is not one of its 3 known values. Did you mean red"),
        (with_cell("zip", "7"), r"column 'zip', data row 5: '7' is not one of its 3 known values"),
        (with_cell("ok", "maybe"), r"column 'ok', data row 5: 'maybe'.*no, yes"),
        (with_cell("n", "many"), r"column 'n', data row 5: 'many' is not a number"),
        (with_cell("n", np.inf), r"column 'n', data row 5: the value is inf"),
        (with_cell("n", None), r"column 'n', data row 5: the value is missing .1 of 12 rows.*no cell of this column"),
        (with_cell("c", None), r"column 'c', data row 5: the value is missing"),
        (with_cell("day", "2020-13-01"), r"column 'day', data row 5: '2020-13-01' is not a date.*such as 31.12.2024"),
        (MIXED.rename(columns={"zip": "zpi"}), r"lacks 'zip'.*n, x, c, zip, ok, day, when. Did you mean zpi"),
        (MIXED.drop(columns=["x", "c"]), r"lacks 'x', 'c'"),
    ],
)
def test_cells_that_the_model_does_not_know(source: pd.DataFrame, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_like(source.astype({"n": "string"}), mixed())  # a frame of text and numbers in one column is none
    source.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(InputError, match=r"new\.csv.*" + message):
        read_like(tmp_path / "new.csv", mixed())


def test_blanks_are_allowed_on_request() -> None:
    gaps = with_cell("n", None)
    x, _ = read_like(gaps, mixed(), blanks=True)
    assert torch.isnan(x[:, 0]).nonzero()[:, 0].tolist() == [4]


def test_a_class_beside_a_table_is_found_by_its_labels() -> None:
    data = load(MIXED, condition="c")
    new = MIXED.assign(id=[f"u{i}" for i in range(12)])
    x, c = read_like(new, data.space, data.condition_space)
    assert isinstance(data.condition_space, Classes) and c is not None and x.shape == (12, 6)
    assert [data.condition_space.names[i] for i in c] == MIXED["c"].tolist()
    with pytest.raises(InputError, match=r"which column is it.*id, group"):
        read_like(new.drop(columns="c").assign(group=1), data.space, data.condition_space)


def test_one_row_is_enough_here() -> None:
    assert read_like(FRAME[:1], ABC)[0].shape == (1, 3)


def test_class_names_are_the_models_own() -> None:
    classes = Classes(3, ("ant", "bee", "cat"))
    data = FRAME.assign(kind=["cat", "ant", "cat", "cat", "ant", "ant"])  # no bee here
    for condition in (None, True, "kind"):
        x, c = read_like(data, ABC, classes, condition=condition)
        assert c is not None and c.tolist() == [2, 0, 2, 2, 0, 0] and x.shape == (6, 3)
    with pytest.raises(InputError, match=r"unknown label 'bea'.*Did you mean bee"):
        read_like(data.replace("ant", "bea"), ABC, classes)
    with pytest.raises(InputError, match="which column is it"):
        read_like(FRAME, ABC, classes)
    with pytest.raises(InputError, match="Did you mean kind"):
        read_like(data, ABC, classes, condition="kimd")
    with pytest.raises(InputError, match="'kind', which the model does not know"):
        read_like(data, ABC)  # an unconditional model
    assert read_like(data, ABC, condition="kind")[1] is None  # unless it is said what the column is


def test_integer_classes_are_matched_by_value_not_by_rank() -> None:
    classes = Classes(3, ("2", "5", "10"))
    _, c = read_like((np.zeros((4, 2), np.float32), np.array([10, 2, 10, 5])), Real((2,)), classes)
    assert c is not None and c.tolist() == [2, 0, 2, 1]
    assert read_like((np.zeros((2, 2)), np.array([5.0, 2.0])), Real((2,)), classes)[1].tolist() == [1, 0]  # type: ignore[union-attr]


def test_vector_conditions_in_the_models_order() -> None:
    space = Real((2,), names=("v", "u"), double=True)
    data = FRAME.assign(u=np.arange(6) * 10.0, v=np.arange(6) * 100.0)
    for condition in (None, "u,v"):
        _, c = read_like(data, ABC, space, condition=condition)
        assert c is not None and torch.equal(c[:, 0], 10 * c[:, 1]) and c.dtype == torch.float64
    with pytest.raises(InputError, match="has 1 numbers, the model's has 2"):
        read_like(data.drop(columns="u"), ABC, space, condition="v")


def test_pictures_are_scaled_and_coloured_as_in_training(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(np.full((20, 30), 50 * i, np.uint8)).save(tmp_path / f"{i}.png")
    x, _ = read_like(tmp_path, Pixels(3, 8, 8))
    assert x.shape == (3, 3, 8, 8) and x.dtype == torch.uint8 and x[:, 0, 0, 0].tolist() == [0, 50, 100]
    one, _ = read_like(tmp_path / "2.png", Pixels(3, 8, 8))
    assert torch.equal(one[0], x[2])
    with pytest.raises(InputError, match="pictures, the model has 2 real numbers"):
        read_like(tmp_path, Real((2,)))


def test_arrays_of_pictures_must_have_the_models_size() -> None:
    x = RNG.integers(0, 256, (4, 6, 6)).astype(np.uint8)
    assert torch.equal(read_like(x, Pixels(1, 6, 6))[0][:, 0], torch.tensor(x))
    assert torch.equal(read_like(x, Pixels(3, 6, 6))[0][:, 2], torch.tensor(x))  # grey made colour
    with pytest.raises(InputError, match="6x6 pixels, the model's have 8x8"):
        read_like(x, Pixels(1, 8, 8))
    with pytest.raises(InputError, match="pixel values are integers 0 to 16"):
        read_like(x, Pixels(1, 6, 6, levels=17))
    with pytest.raises(InputError, match=r"shape \(1, 6, 6\)"):
        read_like(x, Real((36,)))


def test_built_ins_give_their_test_part() -> None:
    data = load("digits", condition="label")
    x, c = read_like("digits", data.space, data.condition_space)
    assert torch.equal(x, data.test.x) and torch.equal(c, data.test.condition)  # type: ignore[arg-type]
    assert torch.equal(read_like("digits", data.space, preference="validation")[0], data.validation.x)
    with pytest.raises(InputError, match="2 real numbers"):
        read_like("ring", data.space)


def test_preference_picks_the_part_that_load_makes(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", RNG.normal(size=(40, 2)))
    data = load(tmp_path / "x.npy")
    assert torch.equal(read_like(tmp_path / "x.npy", data.space, preference="test")[0], data.test.x)
    assert len(read_like(tmp_path / "x.npy", data.space)[0]) == 40
    with pytest.raises(InputError, match="preference"):
        read_like(tmp_path / "x.npy", data.space, preference="tset")  # type: ignore[arg-type]


def test_written_pictures_of_few_levels_come_back_exactly(tmp_path: Path) -> None:
    data = load("digits", condition="label")
    x, c = data.test.all()
    write_samples(f"{tmp_path}/out/", x, data.space, condition=c, condition_space=data.condition_space)
    back, labels = read_like(tmp_path / "out", data.space, data.condition_space)
    order = torch.argsort(c, stable=True)  # sub-folders are read class by class
    assert torch.equal(back, x[order]) and torch.equal(labels, c[order])  # type: ignore[arg-type]


@pytest.mark.parametrize("space", ["table", "vector"])
def test_new_files_are_read_with_the_options_of_the_models_own(space: str, tmp_path: Path) -> None:
    numbers = [f"{i}.{654 + i % 9}" for i in range(1, 41)]  # thousands, which alone would be decimals
    words = ["ä", "ö", "ü", "ö"] * 10
    path = tmp_path / "d.csv"
    path.write_bytes(("x;y;w\n" + "\n".join(f"{a};{a};{w}" for a, w in zip(numbers, words))).encode("cp850"))
    options = {"decimal": ",", "separator": ";", "encoding": "cp850"}
    if space == "table":
        data = load(path, **options)  # type: ignore[arg-type]
        expected = [float(a.replace(".", "")) for a in numbers]
        x, _ = read_like(path, data.space, options=data.options)
        assert x[:, 0].tolist() == expected
        again, _ = read_like(write_samples(tmp_path / "s.csv", x, data.space), data.space, options=data.options)
        assert torch.equal(again, x)  # commas, points and UTF-8, as the model writes
        again, _ = read_like(pd.DataFrame({"x": expected, "y": expected, "w": words}), data.space, options=data.options)
        assert torch.equal(again, x)
        with pytest.raises(InputError, match="lacks 'w'"):
            bad = tmp_path / "bad.csv"
            bad.write_text("x;y\n1.234;2\n")
            read_like(bad, data.space, options=data.options)
    else:
        wanted = Real((2,), names=("x", "y"))
        path.write_text("x;y\n8.654;1\n1.000;2\n")
        assert read_like(path, wanted, options={"decimal": ","})[0].tolist() == [[8654, 1], [1000, 2]]
        path.write_text("x,y\n8.654,1\n1.000,2\n")  # the mark separates: there is none in these numbers
        assert read_like(path, wanted, options={"decimal": ","})[0].tolist() == [[pytest.approx(8.654), 1], [1, 2]]
        path.write_text('x,y\n"8,654",1\n"1,000",2\n')
        assert read_like(path, wanted, options={"decimal": ","})[0].tolist() == [[pytest.approx(8.654), 1], [1, 2]]
