"""`pushforward inspect`: what it tells, what it writes (one page), and that its next command works."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pushforward as pf
from pushforward.cli.inspect import flags

from .conftest import Cli

ALWAYS = {
    "data", "source", "kind", "what", "sizes", "split", "condition", "labels", "notes", "oddities", "model", "why",
    "next", "page",
}  # fmt: skip


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A small table with a column of each kind and some planted oddities."""
    rng = np.random.default_rng(0)
    n = 400
    lines = ["id,age,income,city,grade,member,joined,score,same,const,comment"]
    cities = rng.choice(["Paris", "Oslo", "Roma"], n, p=[0.5, 0.3, 0.2])
    cities[:5] = "paris"
    for i in range(n):
        income = 0 if rng.random() < 0.7 else int(rng.integers(1, 90_000))
        score = f"{rng.normal():.12f}"
        comment = " ".join(rng.choice(["good", "bad", "service", "was", "the", "fine", "slow"], 14)) + f" {i}"
        cells = [
            f"u{i:05d}", int(rng.integers(18, 80)), income, cities[i], rng.choice(["low", "medium", "high"]),
            rng.choice(["yes", "no"]), np.datetime64("2020-01-01") + int(rng.integers(0, 900)),
            "" if rng.random() < 0.2 else score, score, "k", comment,
        ]  # fmt: skip
        lines.append(",".join(map(str, cells)))
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def test_a_table_is_described(cli: Cli, people: Path) -> None:
    result = cli("inspect", "people.csv")
    assert result.code == 0, result.err
    for said in (
        "a table of 400 rows; 9 columns", "320 train, 40 validation, 40 test", "What looks odd",
        "low < medium < high", "Pictures: people-inspect.png", "Model: gmm: 320 training rows are few",
        "pushforward fit people.csv --model gmm", "equals score in every row", "--columns id=category",
    ):  # fmt: skip
        assert said in result.out, said
    assert result.err == ""


def test_the_document_holds_everything(cli: Cli, people: Path) -> None:
    document = cli("inspect", "people.csv", "--json").json
    assert set(document) == ALWAYS | {"columns", "dropped", "counted_rows", "columns_not_drawn"}
    data = pf.load(people)
    assert document["sizes"] == data.describe()["sizes"] and document["notes"] == data.notes
    assert document["kind"] == "table" and document["condition"] is None and document["counted_rows"] == 400
    columns = {c["name"]: c for c in document["columns"]}
    assert {n: c["kind"] for n, c in columns.items()} == {c.name: c.kind for c in data.space.columns}
    x = np.concatenate([part.all()[0].numpy() for part in (data.train, data.validation, data.test)])
    for column, values in zip(data.space.columns, x.T):
        told = columns[column.name]
        assert told["missing"] == np.isnan(values).sum()
        assert told["missing_share"] == pytest.approx(np.isnan(values).mean())
        if column.is_number:
            assert (told["low"], told["high"]) == (np.nanmin(values), np.nanmax(values))
        else:
            position = {c: i for i, c in enumerate(column.categories)}
            assert told["most_frequent"] == {c: (values == position[c]).sum() for c in told["most_frequent"]}
            assert told["categories"] == len(column.categories)
        assert told["in_the_model"] and told["values"]
    assert columns["score"]["in_the_model"] == "a density, and for missing"
    assert columns["income"]["in_the_model"].startswith("a probability for each of ")
    assert columns["joined"]["values"].startswith("2020-01-") and columns["joined"]["values"].endswith(", days")
    assert {d["name"]: d["kind"] for d in document["dropped"]} == {"id": "identifier", "comment": "text"}
    odd = {(o["kind"], o["column"]) for o in document["oddities"]}
    planted = {
        ("spike", "income"), ("writing", "city"), ("copy", "same"), ("constant", "const"), ("text", "comment"),
        ("rare", "city"),
    }  # fmt: skip
    assert odd == planted
    assert all(set(o) == {"kind", "column", "what", "advice", "severity", "other"} for o in document["oddities"])


def test_only_the_page_is_written_and_no_page_is_replaced(cli: Cli, people: Path, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert cli("inspect", "people.csv").code == 0
    assert files(tmp_path) - before == {"people-inspect.png"}
    first = (tmp_path / "people-inspect.png").read_bytes()
    assert cli("inspect", "people.csv", "--json").json["page"] == "people-inspect-2.png"
    assert (tmp_path / "people-inspect.png").read_bytes() == first
    assert cli("inspect", "people.csv", "--out", "pages/new.png").code == 0
    assert files(tmp_path) - before == {"people-inspect.png", "people-inspect-2.png", "pages", "pages/new.png"}
    again = cli("inspect", "people.csv", "--out", "pages/new.png")
    assert again.code == 2 and "exists already" in again.err
    assert cli("inspect", "people.csv", "--out", "pages/new.png", "--overwrite").code == 0
    wrong = cli("inspect", "people.csv", "--out", "page.pdf")
    assert wrong.code == 2 and ".png" in wrong.err
    blocked = cli("inspect", "people.csv", "--out", "people.csv/page.png")
    assert blocked.code == 2 and "cannot write" in blocked.err
    assert Image.open(tmp_path / "pages" / "new.png").size[0] > 300


def test_the_next_command_fits_what_was_inspected(cli: Cli, people: Path) -> None:
    options = ("--columns", "id=drop,age=continuous", "--condition", "member", "--split-by", "city")
    (command,) = cli("inspect", "people.csv", *options, "--json").json["next"]
    words = shlex.split(command)
    assert words[:3] == ["pushforward", "fit", "people.csv"] and set(options) <= set(words)
    plan = cli(*words[1:], "--dry-run", "--json")
    assert plan.code == 0, plan.err
    age = next(c for c in plan.json["data"]["space"]["columns"] if c["name"] == "age")
    assert age["step"] is None and plan.json["model"] == "gmm"


def test_options_become_the_words_that_give_them() -> None:
    given = {"image_size": (32, 48), "flip": True, "missing": False, "columns": "my col=drop", "shift": 2}
    expected = "--image-size 32x48 --flip --no-missing --columns 'my col=drop' --shift 2"
    assert shlex.join(flags(given)) == expected
    assert flags({"image_size": 64, "missing": True}) == ["--image-size", "64"]


def test_what_is_left_out_is_kept_by_the_flag_that_is_shown(cli: Cli, people: Path) -> None:
    dropped = {d["name"]: d for d in cli("inspect", "people.csv", "--json").json["dropped"]}
    assert dropped["id"]["example"] == "u00000"
    kept = cli("inspect", "people.csv", *shlex.split(dropped["id"]["keep"]), "--json").json
    assert "id" in {c["name"] for c in kept["columns"]} and {d["name"] for d in kept["dropped"]} == {"comment"}
    asked = cli("inspect", "people.csv", "--columns", "age=drop", "--json").json["dropped"]
    assert {"name": "age", "kind": "drop", "why": "as asked", "example": None, "keep": None} in asked


def test_a_function_is_said_to_be_looked_up(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    code = rng.integers(0, 9, 500)
    lines = [f"{'abcdefghi'[c]},{'xyz'[c // 3]},{rng.normal():.9f}" for c in code]
    (tmp_path / "t.csv").write_text("code,group,value\n" + "\n".join(lines))
    columns = {c["name"]: c for c in cli("inspect", "t.csv", "--json").json["columns"]}
    assert columns["group"]["in_the_model"] == "looked up in code"


def test_order_is_not_odd_once_rows_are_split_by_it(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    lines = [f"{np.datetime64('2020-01-01') + i},{v:.9f}" for i, v in enumerate(np.cumsum(rng.normal(size=300)))]
    (tmp_path / "t.csv").write_text("when,level\n" + "\n".join(lines))
    found = cli("inspect", "t.csv", "--json").json
    (order,) = [o for o in found["oddities"] if o["kind"] == "order"]
    assert "--split-time when" in order["advice"]
    assert not [n for n in found["notes"] if "in the order of" in n]  # once is enough
    after = cli("inspect", "t.csv", "--split-time", "when", "--json").json
    assert not [o for o in after["oddities"] if o["kind"] == "order"] and "by time" in after["split"]


def test_conditions_are_counted(cli: Cli, people: Path) -> None:
    document = cli("inspect", "people.csv", "--condition", "city", "--json").json
    data = pf.load(people, condition="city")
    labels = np.concatenate([part.conditions().numpy() for part in (data.train, data.validation, data.test)])
    names = data.condition_space.names
    assert document["condition"]["classes"] == {n: (labels == i).sum() for i, n in enumerate(names)}
    assert [o["column"] for o in document["oddities"] if o["kind"] == "classes"] == ["city"]  # paris: 5 rows
    assert "city" not in {c["name"] for c in document["columns"]}
    numbers = cli("inspect", "people.csv", "--condition", "age", "--json").json["condition"]
    assert numbers["name"] == "age" and ("ranges" in numbers or "classes" in numbers)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ragged.csv", "a,b\n1,2\n3\n4,5\n"),
        ("empty.csv", ""),
        ("one.csv", "a,b\n1,2\n"),
        ("constant.csv", "a,b\n" + "1,2\n" * 20),
        ("oops.csv", "a,b\n" + "1,2\n3,4\n5,6\n7,8\n" * 5 + "9,oops\n"),
        ("infinite.csv", "a,b\n" + "1,2\n3,4\n5,6\n7,8\n" * 5 + "9,inf\n"),
        ("twice.csv", "a,a\n1,2\n3,4\n5,6\n"),
        ("missing.csv", None),
        ("pickle.pt", "x"),
    ],
)
def test_bad_input_says_what_fit_says(cli: Cli, tmp_path: Path, name: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    before = files(tmp_path)
    inspected, fitted = cli("inspect", name), cli("fit", name, "--dry-run")
    assert inspected.code == fitted.code == 2
    assert inspected.err == fitted.err and inspected.err.startswith("Error: ") and "Traceback" not in inspected.err
    assert files(tmp_path) == before
    assert json.loads(cli("inspect", name, "--json").out)["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["inspect"], "DATA"),
        (["inspect", "rign"], "Did you mean ring"),
        (["inspect", "people.csv", "--condition", "ctiy"], "Did you mean city"),
        (["inspect", "people.csv", "--columns", "age=nonsense"], "nonsense"),
        (["inspect", "people.csv", "--image-size", "32"], "image_size"),
        (["inspect", "people.csv", "--no-missing"], "missing"),
    ],
)
def test_bad_usage(cli: Cli, people: Path, words: list[str], says: str) -> None:
    result = cli(*words)
    assert result.code == 2 and says in result.err, result.err


# ------------------------------------------------------------------------------------------------ other data


def test_pictures(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for name, count in (("cat", 30), ("dog", 10)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            picture = rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "photos" / name / f"{i}.png")
    document = cli("inspect", "photos", "--json").json
    assert document["kind"] == "pictures" and sum(document["sizes"].values()) == 40
    assert document["pictures"] == {"height": 12, "width": 16, "channels": 3, "levels": 256}
    assert document["labels"] == {"label": {"cat": 30, "dog": 10}}
    assert document["model"] == "vae" and any("learn them by heart" in note for note in document["notes"])
    assert Image.open(document["page"]).mode == "RGB"
    told = cli("inspect", "photos", "--condition", "label", "--image-size", "8", "--grey")
    assert "each 8 pixels high and 8 wide, grey" in told.out and "unequal classes: cat has 30 rows" in told.out
    assert "--image-size 8 --grey --model vae" in told.out


def test_text(cli: Cli, tmp_path: Path) -> None:
    text = "the quick brown fox jumps over the lazy dog\n" * 200
    (tmp_path / "story.txt").write_text(text)
    document = cli("inspect", "story.txt", "--length", "20", "--json").json
    facts = document["tokens"]
    assert document["kind"] == "text" and facts["tokens"] == len(text) and facts["vocabulary"] == len(set(text))
    assert facts["windows"] == [text[:20], text[20:40], text[40:60]]
    assert facts["most_frequent"] == {c: text.count(c) for c in facts["most_frequent"]}
    assert "'the quick brown fox '" in cli("inspect", "story.txt", "--length", "20").out
    pairs = cli("inspect", "story.txt", "--tokens", "bpe", "--vocabulary", "300", "--length", "8", "--json").json
    assert "".join(pairs["tokens"]["windows"]) == text[: len("".join(pairs["tokens"]["windows"]))]


def test_vectors_points_sequences_and_arrays(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    spiked = np.where(rng.random((500, 1)) < 0.4, 0, rng.normal(size=(500, 1)))
    np.save(tmp_path / "v.npy", np.concatenate([rng.normal(size=(500, 2)), spiked], 1))
    vectors = cli("inspect", "v.npy", "--json").json
    assert vectors["kind"] == "vectors" and [c["name"] for c in vectors["columns"]] == ["1", "2", "3"]
    assert [(o["kind"], o["column"], o["severity"]) for o in vectors["oddities"]] == [("spike", "3", "warning")]
    lines = [f"{rng.uniform(-60, 60):.4f},{rng.uniform(-170, 170):.4f}" for _ in range(100)]
    (tmp_path / "places.csv").write_text("lat,lon\n" + "\n".join(lines))
    places = cli("inspect", "places.csv", "--space", "sphere", "--json").json
    assert places["kind"] == "sphere" and [c["name"] for c in places["columns"]] == ["lat", "lon"]
    assert places["model"] is None and places["next"] == [] and "no model" in places["why"]
    assert "Model: none: " in cli("inspect", "places.csv", "--space", "sphere").out
    np.save(tmp_path / "s.npy", rng.integers(0, 9, (50, 12)))
    sequences = cli("inspect", "s.npy", "--space", "tokens", "--json").json
    assert sequences["kind"] == "sequences" and sequences["tokens"]["tokens"] == 600
    fields = rng.normal(size=(30, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "f.npz", x=fields, label=np.arange(30) % 2)
    arrays = cli("inspect", "f.npz", "--json").json
    assert arrays["kind"] == "arrays" and arrays["arrays"]["low"] == pytest.approx(float(fields.min()))
    assert arrays["labels"] == {"label": {"0": 15, "1": 15}}
    for document in (vectors, places, sequences, arrays):
        assert Image.open(tmp_path / document["page"]).size[0] > 100


@pytest.mark.parametrize("source", ["ring", "moons:n=300", "digits"])
def test_built_in_data(cli: Cli, source: str) -> None:
    document = cli("inspect", source, "--json").json
    assert document["oddities"] == [] and document["source"] == source
    assert document["next"] == [f"pushforward fit {source} --model {document['model']}"]
    assert Path(document["page"]).stat().st_size > 1000


def test_help_is_quick(tmp_path: Path) -> None:
    script = (
        "import sys; from pushforward.cli import main; code = main(['inspect', '--help']); "
        "heavy = {'torch', 'numpy', 'pyarrow', 'matplotlib', 'PIL'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--split-time" in done.stdout and "--condition" in done.stdout and "--json" in done.stdout
