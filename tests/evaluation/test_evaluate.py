"""`evaluate`: numbers of models whose truth is known, and reports that survive writing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import torch

import pushforward as pf
from pushforward.errors import InputError
from pushforward.evaluation.calibration import calibrations
from pushforward.evaluation.evaluate import history
from pushforward.evaluation.measure import counted

QUICK = ["columns", "copies", "frechet:standardized"]


@pytest.fixture(scope="module")
def gaussian() -> pf.Data:
    """3,000 points of a Gaussian with correlation 0.8."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((3000, 2)) @ np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]]).T
    return pf.load(x)


@pytest.fixture(scope="module")
def report(gaussian: pf.Data, tmp_path_factory: pytest.TempPathFactory) -> pf.Report:
    model = pf.fit("gmm", gaussian, settings={"components": 1, "covariance": "full"}, progress=False)
    folder = tmp_path_factory.mktemp("report")
    return pf.evaluate(model, gaussian, n=150, sets=2, features=["standardized"], metrics=QUICK, out=folder)


def test_the_likelihood_of_a_gaussian_is_its_negative_entropy(report: pf.Report) -> None:
    found = report.rows[0].likelihood
    assert found is not None and found.kind == "exact" and found.mean is not None and found.standard_error is not None
    entropy = 1 + math.log(2 * math.pi) + 0.5 * math.log(1 - 0.8**2)
    assert abs(found.mean + entropy) < 4 * found.standard_error + 0.02


def test_a_perfect_model_is_inside_every_floor_and_calibrations_are_not(report: pf.Report) -> None:
    rows = {row.name: row for row in report.rows}
    assert set(rows) == {"gmm", "copycat", "independent", "gaussian", "noise"}
    assert not any(v.outside for v in rows["gmm"].values.values())
    assert not any(v.outside for v in rows["gaussian"].values.values())  # here the Gaussian is the truth
    assert rows["independent"].values["pairs"].outside and not rows["independent"].values["columns"].outside
    assert rows["copycat"].values["copies"].outside and not rows["copycat"].values["pairs"].outside
    assert rows["noise"].values["frechet:standardized"].outside


def test_the_json_holds_every_number(report: pf.Report) -> None:
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    row = document["rows"][0]
    for key, value in report.rows[0].values.items():
        assert row["values"][key]["value"] == value.value and row["values"][key]["n"] == 150
    assert document["floor"].keys() == report.floor.keys()
    assert document["data"]["hash"] and document["environment"]["versions"]["torch"]


def test_table_frame_and_representation(report: pf.Report) -> None:
    assert report.table[0]["name"] == "floor (real data)" and report.table[1]["kind"] == "model"
    frame = report.to_pandas()
    assert frame.loc["gmm", "columns"] == report.rows[0].values["columns"].value
    assert report.verdict[0] in repr(report)


def test_the_same_seed_gives_the_same_numbers(gaussian: pf.Data) -> None:
    x = gaussian.train.all()[0][:300] + 0.01
    a, b = (pf.evaluate(x, gaussian, n=150, sets=2, features=["standardized"], metrics=QUICK) for _ in range(2))
    assert {k: v.each for k, v in a.rows[0].values.items()} == {k: v.each for k, v in b.rows[0].values.items()}
    assert a.floor == b.floor


def test_a_run_is_evaluated_on_its_own_data(tmp_path: Path) -> None:
    pf.fit("vae", "ring:n=600", steps=5, out=tmp_path / "run", progress=False)
    found = pf.evaluate(tmp_path / "run", n=40, sets=2, points=20, features=["standardized"], metrics=["modes"])
    row = found.rows[0]
    assert row.cost is not None and row.cost.train_steps == 5 and row.cost.evaluations is not None
    assert row.likelihood is not None and row.likelihood.kind == "lower bound" and row.likelihood.n == 20
    assert row.runs == [str(tmp_path / "run")]
    assert found.pictures is not None and "held-out" in found.pictures.histories["vae"][1]
    assert found.floor["modes"].mean > 7


def test_bad_subjects(gaussian: pf.Data, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which data"):
        pf.evaluate(np.zeros((10, 2)))
    with pytest.raises(InputError, match="no run"):
        pf.evaluate(tmp_path / "nothing")
    other = pf.build("gmm", pf.Real((3,)))
    with pytest.raises(InputError, match="3 real numbers"):
        pf.evaluate(other, gaussian)


def test_calibrations_are_what_they_say(gaussian: pf.Data) -> None:
    train = gaussian.train.all()[0]
    drawn = {name: draw() for name, draw in calibrations(gaussian, train, 2000)}
    rows = {tuple(row) for row in train.tolist()}
    assert all(tuple(row) in rows for row in drawn["copycat"].tolist())

    def correlation(x: torch.Tensor) -> float:
        return float(torch.corrcoef(x.double().T)[0, 1])

    assert abs(correlation(drawn["independent"])) < 0.08
    assert set(drawn["independent"][:, 0].tolist()) <= set(train[:, 0].tolist())
    assert correlation(drawn["gaussian"]) == pytest.approx(0.8, abs=0.04)
    assert float(drawn["noise"].double().amax()) <= float(train.amax()) and abs(correlation(drawn["noise"])) < 0.08


@pytest.mark.parametrize("source", ["digits", "table"])
def test_calibrations_stay_in_the_space(source: str) -> None:
    if source == "table":
        row = np.arange(60)
        data = pf.load(pa.table({"a": row % 7, "b": np.where(row % 3, "x", "y"), "c": row / 60}))
    else:
        data = pf.load(source)
    for name, draw in calibrations(data, data.train.all()[0], 30):
        x = draw()
        assert len(data.space.check(x)) == 30, name


def test_network_calls_are_counted() -> None:
    one = pf.build("gan", pf.Real((2,)))
    many = pf.build("ddpm", pf.Real((2,)))
    for model in (one, many):
        model.initialize(torch.randn(50, 2))
    with counted(one) as calls:
        one.sample(3, seed=0)
    assert calls == [1]
    with counted(many) as calls:
        many.sample(3, seed=0, steps=7)
    assert calls == [7]


def test_losses_of_a_run_by_name() -> None:
    records = [
        {"step": 1, "losses": {"generator": 1.0}, "validation": None},
        {"step": 2, "losses": {"generator": 0.5, "critic": 2.0}, "validation": 0.7},
    ]
    found = history(records)
    assert found is not None
    steps, losses = found
    assert steps == [1.0, 2.0] and losses["generator"] == [1.0, 0.5]
    assert math.isnan(losses["critic"][0]) and losses["critic"][1] == 2.0 and losses["held-out"][1] == 0.7
    assert history([]) is None


def test_parzen_windows_stand_beside_real_data(gaussian: pf.Data, tmp_path: Path) -> None:
    pf.fit("gmm", "digits", out=tmp_path / "run", progress=False, settings={"components": 2})
    asked = {"n": 30, "sets": 1, "points": 5, "features": ["pca64"], "metrics": ["c2st"]}
    found = pf.evaluate(tmp_path / "run", parzen=True, **asked)
    (note,) = [note for note in found.rows[0].notes if note.startswith("Parzen window")]
    assert "30 real training examples" in note and "must not rank" in note
    model = pf.build("gmm", gaussian.space)
    with pytest.raises(InputError, match="for pictures"):
        pf.evaluate(model, gaussian, parzen=True, metrics=["columns"], features=["standardized"])


def table(path: Path, rows: int, seed: int) -> Path:
    generator = np.random.default_rng(seed)
    a = generator.standard_normal(rows)
    columns = {"a": a, "b": a + 0.3 * generator.standard_normal(rows), "c": np.where(a > 0, "x", "y")}
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path


def test_a_run_is_evaluated_on_new_rows_without_those_it_has_seen(tmp_path: Path) -> None:
    old = table(tmp_path / "old.csv", 2000, 0)
    pf.fit("gmm", old, out=tmp_path / "run", progress=False, settings={"components": 1})
    asked = {"sets": 1, "n": 30, "points": 20, "features": ["encoded"], "metrics": ["columns", "copies"]}
    found = pf.evaluate(tmp_path / "run", table(tmp_path / "new.csv", 900, 1), **asked)
    assert found.data["sizes"] == {"train": 720, "validation": 90, "test": 90}
    assert any("copies are sought among its own training rows" in w for w in found.warnings)
    # The file that it was fitted to, split otherwise: what it was fitted to is left out.
    other = pf.load(old, split_seed=5)
    again = pf.evaluate(tmp_path / "run", other, **asked)
    own = pf.load(old)
    seen = {tuple(row) for row in own.train.all()[0].tolist()}
    rows = [row for part in (other.train, other.validation, other.test) for row in part.x.tolist()]
    assert sum(again.data["sizes"].values()) == sum(tuple(row) not in seen for row in rows) == 400
    assert again.floor["copies"].mean == 0  # so none of those that are left is a training row of the run


def test_likelihoods_are_of_held_out_rows() -> None:
    """A kernel at every training row likes those far better than others: the ledger has the others."""
    generator = np.random.default_rng(0)
    data = pf.load(generator.standard_normal((900, 12)))
    model = pf.fit("kde", data, progress=False, settings={"bandwidth": 0.15})
    found = pf.evaluate(model, data, n=30, sets=1, points=90, features=["standardized"], metrics=["columns"]).rows[0]
    held_out, train = (model.log_prob(part.all()[0][:90]).mean() for part in (data.test, data.train))
    assert found.likelihood is not None and found.likelihood.mean == pytest.approx(held_out, rel=1e-6)
    assert train > held_out + 5
