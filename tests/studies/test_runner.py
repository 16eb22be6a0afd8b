"""Studies: what is recorded, when a target is met, and the table made from the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pushforward.errors import InputError, PushforwardError
from pushforward.studies.catalogue import Entry, Study, Target, study, study_names
from pushforward.studies.runner import run_study, write_tables

FIT = {"steps": 2, "threads_": 1, "settings": {"network": {"width": 8}, "training": {"grids": 0}}}


def tiny(measure: Any, *targets: Target, model: str = "vae") -> Study:
    return Study(
        name="tiny", title="A tiny study", data="ring:n=200", measure=measure, seeds=2,
        models=(Entry(model, FIT, targets=targets, published={"score": 0.5}),),
        values={"score": "the seed, made up", "seconds": "of the fit"},
        reference=lambda data: {"floor": {"score": len(data.test)}}, source="nobody (2020)",
    )  # fmt: skip


def test_what_is_recorded(tmp_path: Path) -> None:
    found = tiny(lambda model, data, entry, seed: {"score": float(seed)}, Target("score", at_most=1))
    document = run_study(found, folder=tmp_path)
    assert document == json.loads((tmp_path / "tiny.json").read_text())
    from pushforward.data import load

    assert document["data"]["hash"] == load("ring:n=200").hash
    assert document["seeds"] == [0, 1] and document["reference"] == {"floor": {"score": 20}}
    assert {"versions", "threads", "processors"} <= document["environment"].keys()
    [row] = document["models"]
    assert [run["values"]["score"] for run in row["runs"]] == [0.0, 1.0]
    assert row["runs"][0]["threads"] == 1 and row["runs"][0]["values"]["seconds"] > 0
    assert row["mean"]["score"] == {"mean": 0.5, "min": 0.0, "max": 1.0}
    assert row["met"] is True
    text = (tmp_path / "README.md").read_text()
    assert "| vae | 0.5 (0 to 1) |" in text and "score ≤ 1 | yes |" in text and "| floor | 20 |" in text
    assert "nobody (2020)" in text and document["data"]["hash"][:12] in text


def test_a_target_is_met_by_every_seed_or_not_at_all(tmp_path: Path) -> None:
    found = tiny(lambda model, data, entry, seed: {"score": float(seed)}, Target("score", at_least=1))
    [row] = run_study(found, folder=tmp_path)["models"]
    assert row["met"] is False and row["targets"] == [{"target": "score ≥ 1", "met": False, "seeds_met": 1}]
    assert [Target("x", at_least=1, at_most=2).met(v) for v in (0.9, 1, 2, 2.1, None)] == [
        False, True, True, False, False,
    ]  # fmt: skip


def test_a_failed_fit_is_recorded_and_misses(tmp_path: Path) -> None:
    def fails(model: Any, data: Any, entry: Entry, seed: int) -> dict[str, float]:
        if seed == 1:
            raise PushforwardError("it broke.")
        return {"score": 1.0}

    [row] = run_study(tiny(fails, Target("score", at_least=0)), folder=tmp_path)["models"]
    assert row["runs"][1] == {"seed": 1, "error": "it broke."} and row["met"] is False
    assert "1 of 2 fits failed" in (tmp_path / "README.md").read_text()


def test_tables_are_made_from_the_files_alone(tmp_path: Path) -> None:
    run_study(tiny(lambda *_: {"score": 1.0}), seeds=1, folder=tmp_path)
    before = (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").unlink()
    write_tables(tmp_path)
    assert (tmp_path / "README.md").read_text() == before
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match=r"other\.json"):
        write_tables(tmp_path)


def test_the_studies_there_are() -> None:
    assert study_names() == ["adult", "adult-missing", "digits-quality", "planted-faults", "rare-events", "ring-modes"]
    for name in study_names():
        found = study(name)
        assert found.name == name and (found.models or found.experiment)
        targets = {t.value for entry in found.models for t in entry.targets}
        assert targets <= found.values.keys()
    with pytest.raises(InputError, match="ring-modes"):
        study("ring-mode")


def test_measures_of_the_ring_on_the_data_itself() -> None:
    import torch

    from pushforward.data import load

    found = study("ring-modes")
    data = load("ring")

    class Copycat:
        def sample(self, n: int, seed: int) -> torch.Tensor:
            return data.train.all(limit=n)[0]

    values = found.measure(Copycat(), data, found.models[0], 0)
    assert values["modes"] == 8 and values["high_quality"] == pytest.approx(0.9889, abs=0.004)
    assert found.reference is not None
    rows = found.reference(data)
    assert rows["perfect sampler (exact)"]["high_quality"] == pytest.approx(0.98889, abs=1e-5)


def test_measures_of_the_digits_on_the_data_itself() -> None:
    import torch

    from pushforward.data import load

    found = study("digits-quality")
    data = load("digits")

    class Copycat:
        def sample(self, n: int, seed: int) -> torch.Tensor:
            return data.train.all(limit=n)[0]

    values = found.measure(Copycat(), data, found.models[0], 0)
    assert values["top_probability"] > 0.95 and values["total_variation"] < 0.05
    assert found.reference is not None
    floor, marginals = found.reference(data).values()
    assert floor["top_probability"] > 0.95 > 0.5 > marginals["top_probability"]


def test_a_study_of_outside_data_asks_for_its_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a file"):
        run_study(study("adult"), folder=tmp_path)
    with pytest.raises(InputError, match="cannot find"):
        run_study(study("adult"), folder=tmp_path, data_file=tmp_path / "none.csv")
    with pytest.raises(InputError, match="makes its own data"):
        run_study(study("ring-modes"), folder=tmp_path, data_file=tmp_path / "none.csv")
    assert not list(tmp_path.iterdir())


def test_a_fifth_of_the_cells_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i},v{i % 3}\n" for i in range(2000)))
    found = study("adult-missing").prepare(path)  # type: ignore[misc]
    assert found.column_names == ["a", "b"] and found.num_rows == 2000
    for name in ("a", "b"):
        assert 0.17 < found.column(name).null_count / 2000 < 0.23
    assert sorted(found.column("b").drop_null().unique().to_pylist()) == ["v0", "v1", "v2"]
