"""Text files: windows are slices of the text, parts do not leak, the tokenizer travels with the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.data import load, read_like, write_samples
from pushforward.data.text import windows as texts
from pushforward.data.text.tokenizer import tokenizer
from pushforward.errors import InputError
from pushforward.noise import Noise
from pushforward.spaces import Space, Tokens

WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "dog\n",
    "runs,",
    "home.",
    "Ünder",
    "été",
    "—",
    "lazy",
    "and",
)


def prose(n: int = 700, seed: int = 0) -> str:
    """Numbered words, so that 16 characters occur once."""
    return " ".join(f"{i:04d}{word}" for i, word in enumerate(np.random.default_rng(seed).choice(WORDS, n)))


@pytest.fixture
def story(tmp_path: Path) -> Path:
    path = tmp_path / "story.txt"
    path.write_text(prose(), encoding="utf-8")
    return path


def strings(data: Any, space: Tokens) -> list[str]:
    chosen = tokenizer(space)
    assert chosen is not None
    return [chosen.decode(row) for row in data.all()[0].numpy()]


@pytest.mark.parametrize("options", [{}, {"tokens": "bpe", "vocabulary": 300}, {"length": 16, "test": 0.3}])
def test_windows_are_slices_and_the_split_does_not_leak(story: Path, options: dict[str, Any]) -> None:
    text = story.read_text("utf-8")
    data = load(story, **options)
    space = data.space
    assert isinstance(space, Tokens) and space.is_text and space.length == options.get("length", 64)
    parts = {name: strings(getattr(data, name), space) for name in ("train", "validation", "test")}
    # The training part is what its windows cover: the first one, and the last character or token of all others.
    train = data.train.all()[0]
    whole = tokenizer(space).decode(torch.cat([train[0], train[1:, -1]]).numpy())  # type: ignore[union-attr]
    assert text.startswith(whole)
    assert len(data.train) == len(torch.cat([train[0], train[1:, -1]])) - space.length + 1  # every place is an example
    held_out = text[len(whole) :]
    assert len(whole) / len(text) == pytest.approx(0.9 - options.get("test", 0.1), abs=0.02)
    places = {}
    for name in ("validation", "test"):
        places[name] = [held_out.index(window) for window in parts[name]]  # no held-out window is in the training text
        assert len(parts[name]) == data.split["tokens"][name] // space.length
    assert max(places["validation"]) < min(places["test"])
    assert all(window in whole for window in parts["train"])
    assert data.split["how"].startswith("contiguous") and data.split["train"] == len(data.train)


def test_held_out_windows_cover_their_part_once(story: Path) -> None:
    data = load(story, length=16)
    windows = sorted(strings(data.test, data.space), key=(text := story.read_text("utf-8")).rindex)
    start = text.rindex(windows[0])
    assert text[start : start + 16 * len(windows)] == "".join(windows)
    assert len(text) - (start + 16 * len(windows)) < 16
    assert set(strings(load(story, length=16, split_seed=5).test, data.space)) == set(windows)


def test_byte_pairs_are_learned_from_the_training_part_alone(tmp_path: Path) -> None:
    start = prose(600)
    spaces = []
    for end in ("zzzz qqqq " * 90, "jjjj wwww " * 90):
        (tmp_path / "t.txt").write_text(start + " " + end, "utf-8")
        spaces.append(load(tmp_path / "t.txt", tokens="bpe", vocabulary=290, validation=0.25, test=0.1, length=8).space)
    assert spaces[0] == spaces[1]


def test_characters_come_from_the_whole_text_and_rare_ones_are_said(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abc " * 500 + "xyz " * 60, "utf-8")
    data = load(tmp_path / "t.txt", length=5)
    assert data.space == Tokens(5, 7, characters=" abcxyz")
    assert any("the test part that the training part lacks: 'x', 'y', 'z'" in note for note in data.notes)
    assert int(data.train.all()[0].max()) <= 3 < int(data.test.all()[0].max())


def test_many_characters_are_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("".join(map(chr, range(0x4E00, 0x4E00 + 1500))) * 2, "utf-8")
    data = load(tmp_path / "t.txt", length=5)
    assert data.space.vocabulary == 1500 and any("--tokens bpe" in note for note in data.notes)  # type: ignore[attr-defined]


def test_windows_are_a_small_random_access_dataset(story: Path) -> None:
    data = load(story)
    train = data.train
    assert train.bytes < 10 * data.split["tokens"]["train"] + 1000
    index = torch.tensor([5, 0, len(train) - 1, 5])
    rows, condition = train.gather(index, Noise.of(0, 1, index=index))
    assert condition is None and rows.dtype == torch.int64 and torch.equal(rows[0], rows[3])
    assert torch.equal(rows, train.subset(index).all()[0]) and torch.equal(rows, train.to("cpu").all()[0][index])
    assert torch.equal(data.space.check(rows), rows)


def test_long_texts_begin_windows_less_often(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_WINDOWS", 100)
    data = load(story, length=4)
    assert 90 <= len(data.train) <= 100
    assert any("tokens apart" in note for note in data.notes)


def test_the_same_text_is_the_same_data_whatever_its_line_ends(story: Path, tmp_path: Path) -> None:
    plain = load(story)
    other = tmp_path / "story.md"
    other.write_bytes(b"\xef\xbb\xbf" + story.read_bytes().replace(b"\n", b"\r\n"))
    data = load(other)
    assert data.hash == plain.hash and data.space == plain.space
    assert any("byte-order mark" in n for n in data.notes) and any("carriage return" in n for n in data.notes)
    assert not any("carriage return" in n for n in plain.notes)
    other.write_bytes(story.read_text("utf-8").encode("utf-16"))
    assert load(other, encoding="utf-16").hash == plain.hash
    assert load(story, tokens="bpe").hash != plain.hash
    assert load(story, **load(story, tokens="bpe", length=9).options).hash == load(story, tokens="bpe").hash


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, "is empty"),
        (b" \n\n", {}, "is empty"),
        (b"good\nba\xffd" * 99, {}, r"line 2, byte 3: 0xff is not utf-8.*--encoding latin-1"),
        (b"ab\n\x00c" * 99, {}, r"line 2: a zero byte"),
        ("ab".encode("utf-16"), {}, "UTF-16.*--encoding utf-16"),
        (b"abc" * 99, {"encoding": "klingon"}, "'klingon' is unknown"),
        (b"abc def " * 20, {}, r"too short for windows of 64 characters.*13 characters of test.*--length 13"),
        (b"abc", {}, "none for the test part"),
        (b"abc def " * 200, {"vocabulary": 300}, "for byte-pair encoding.*tokens=bpe"),
        (b"abc def " * 200, {"tokens": "bpe", "vocabulary": 100}, r"a\.txt: vocabulary=100.*at least 257"),
        (b"abc def " * 200, {"tokens": "words"}, "Known: bpe, characters"),
        (b"abc def " * 200, {"columns": "a=drop"}, "columns= is for tables"),
        (b"abc def " * 200, {"image_size": 8}, "image_size= is for pictures"),
        (b"abc def " * 200, {"space": "sphere"}, "space= is for columns"),
        (b"abc def " * 200, {"condition": "label"}, "no labels and no columns"),
        (b"abc def " * 200, {"test": 1.5}, "between 0 and 1"),
        (b"abc def " * 200, {"split_seed": -1}, "at least 0"),
        (b"abc def " * 200, {"memory_budget": 10}, "memory budget"),
    ],
)
def test_bad_text_is_one_clear_error(content: bytes, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "a.txt", **options)


def test_a_table_named_txt_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1.5 2 3\n" * 300)
    assert any("3 numbers each: if this is a table" in note for note in load(tmp_path / "a.txt").notes)
    (tmp_path / "a.txt").write_text("1.5 apples\n" * 300)
    assert not any("table" in note for note in load(tmp_path / "a.txt").notes)


@pytest.mark.parametrize("options", [{}, {"tokens": "bpe", "vocabulary": 270}])
def test_new_text_is_cut_by_the_models_own_tokenizer(story: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    space = load(story, length=12, **options).space
    assert isinstance(space, Tokens)
    new = tmp_path / "new.txt"
    new.write_text("the fox and a dog — home over the lazy fox", "utf-8")
    rows, condition = read_like(new, space)
    assert condition is None and rows.dtype == torch.int64 and rows.shape[1] == 12
    read = tokenizer(space).decode(rows.flatten().numpy())  # type: ignore[union-attr]
    assert new.read_text("utf-8").startswith(read) and len(read) > 20
    assert torch.equal(read_like(new, Space.from_json(space.to_json()))[0], rows)
    new.write_text("short")
    with pytest.raises(InputError, match=r"new\.txt has \d+ (characters|tokens), the model's windows have 12"):
        read_like(new, space)
    with pytest.raises(InputError, match="is text, the model has sequences of 12 tokens"):
        read_like(story, Tokens(12, 70))
    with pytest.raises(InputError, match="is text, the model has 2 real numbers"):
        read_like(story, pf.Real((2,)))


def test_a_character_the_model_never_saw(story: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.txt"
    new.write_text("the fox\nran Ω" + " and ran" * 9, "utf-8")
    with pytest.raises(InputError, match=r"line 2, column 5: the character 'Ω' \(U\+03A9\).*--tokens bpe"):
        read_like(new, load(story, length=8).space)
    space = load(story, length=8, tokens="bpe").space
    assert "Ω" in tokenizer(space).decode(read_like(new, space)[0].flatten().numpy())  # type: ignore[arg-type, union-attr]


def test_parts_of_a_trained_text_can_be_asked_for(story: Path) -> None:
    data = load(story, length=10)
    ends = np.cumsum(list(data.split["tokens"].values()))
    for part, low, high in zip(("train", "validation", "test"), [0, *ends], ends):
        text = story.read_text("utf-8")[low:high]
        rows = read_like(story, data.space, preference=part)[0].numpy()  # type: ignore[arg-type]
        assert len(rows) >= (high - low) // 10 - 1
        assert all(tokenizer(data.space).decode(row) in text for row in rows)  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize("options", [{}, {"tokens": "bpe", "vocabulary": 280}])
def test_samples_are_written_as_text(story: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    data = load(story, length=16, **options)
    x = data.test.all(limit=6)[0]
    wanted = strings(data.test, data.space)[:6]
    written = write_samples(tmp_path / "s.txt", x, data.space).read_text("utf-8")
    assert written == f"\n\n{'-' * 20}\n\n".join(wanted) + "\n"
    quoted = pacsv.ParseOptions(newlines_in_values=True)
    assert (
        pacsv.read_csv(write_samples(tmp_path / "s.csv", x, data.space), parse_options=quoted)["text"].to_pylist()
        == wanted
    )
    assert pq.read_table(write_samples(tmp_path / "s.parquet", x, data.space))["text"].to_pylist() == wanted
    again = read_like(write_samples(tmp_path / "s.npz", x, data.space), data.space)[0]
    assert torch.equal(again, x)
    for name in ("s.png", "folder/"):
        with pytest.raises(InputError, match=r"Write \.txt"):
            write_samples(f"{tmp_path}/{name}", x, data.space)
    with pytest.raises(InputError, match="are no text"):
        write_samples(tmp_path / "n.txt", x, Tokens(16, 1000))


def test_a_model_of_text_is_fitted_saved_and_used(story: Path, tmp_path: Path) -> None:
    data = load(story, length=8, tokens="bpe", vocabulary=270)
    settings = {"network": {"width": 16, "depth": 1}, "latent": 2}
    pf.fit("vae", data, steps=3, out=tmp_path / "run", settings=settings, threads=1, progress=False)
    run = pf.open_run(tmp_path / "run")
    assert run.model.space == data.space
    assert run.load_data().space == data.space and run.load_data().hash == data.hash
    rows, _ = read_like(story, run.model.space)
    found = run.model.log_prob(rows[:5], seed=0)
    assert found.kind == "lower bound" and bool((found.values < 0).all())
    assert len(strings(pf.Dataset(run.model.sample(3, seed=0), space=data.space), data.space)) == 3
    assert list((tmp_path / "run" / "samples").glob("step_*.txt"))
    assert "--out samples.txt" in (tmp_path / "run" / "README.md").read_text()
