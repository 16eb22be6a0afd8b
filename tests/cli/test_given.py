"""`sample --given` and `log-prob --explain`: rows as asked, said how; refusals in one sentence."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from .conftest import Cli
from .people import people, people_run


@pytest.fixture(scope="module")
def mixture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return people_run(tmp_path_factory.mktemp("people"), "gmm", "--set", "components=2", "--set", "covariance=full")


@pytest.fixture(scope="module")
def implicit_run_of_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people-gan")
    return people_run(folder, "gan", "--steps", 60, "--set", "network.width=16", "--set", "training.grids=0")


def test_rows_are_as_asked(cli: Cli, mixture_run: Path) -> None:
    asked = 'sex=Female,age>45,city in (Lima|"Rome, Italy"),joined<2021-06-01,score=known'
    result = cli("sample", mixture_run, "-n", 200, "--given", asked, "--seed", 1, "--out", "a.csv", "--json")
    rows = pd.read_csv("a.csv")
    assert len(rows) == 200 and set(rows.sex) == {"Female"} and rows.age.min() > 45
    assert set(rows.city) == {"Lima", "Rome, Italy"} and rows.joined.max() < "2021-06-01" and rows.score.notna().all()
    said = result.json["given"]
    assert said["event"] == asked and said["method"] == "exact" and 100 < said["effective_sample_size"] <= 200
    truth = people(100_000, 3)
    truth = truth[(truth.sex == "Female") & (truth.age > 45) & (truth.city != "Oslo") & (truth.joined < "2021-06-01")]
    assert said["probability"] == pytest.approx(0.8 * len(truth) / 100_000, rel=0.5)
    assert list(rows.columns) == list(people(1).columns)
    assert rows.score.mean() == pytest.approx(rows.age.mean() / 10, abs=0.3)  # columns still depend on each other


def test_several_options_and_the_words_on_the_screen(cli: Cli, mixture_run: Path) -> None:
    words = ("--given", "age>60", "--given", "score=missing", "--seed", 1)
    result = cli("sample", mixture_run, "-n", 5, *words, "--out", "a.csv")
    assert result.code == 0 and "given age>60,score=missing" in result.out
    assert "probability under the model: 0.0" in result.out and "method: exact, effective sample size" in result.out
    assert pd.read_csv("a.csv").score.isna().all()
    again = cli("sample", mixture_run, "-n", 5, *words, "--out", "b.csv")
    assert again.code == 0 and Path("a.csv").read_text() == Path("b.csv").read_text()


def test_a_number_of_a_density(cli: Cli, mixture_run: Path) -> None:
    words = ("sample", mixture_run, "-n", 20, "--given", "score=4", "--seed", 1)
    assert cli(*words, "--out", "a.csv").code == 0
    slow = cli(*words, "--out", "b.csv", "--method", "rejection", "--json")
    for name in ("a.csv", "b.csv"):
        rows = pd.read_csv(name)
        assert (rows.score == 4).all() and rows.age.between(20, 65).all()
    assert slow.json["given"]["tolerance"]["score"] > 0 and "set to it" in " ".join(slow.json["given"]["notes"])


def test_an_implicit_model(cli: Cli, implicit_run_of_people: Path) -> None:
    for method in ("auto", "mcmc"):
        result = cli(
            "sample", implicit_run_of_people, "-n", 10, "--given", "sex=Male", "--method", method, "--out", "a.csv",
            "--overwrite", "--json",
        )  # fmt: skip
        assert result.code == 0 and set(pd.read_csv("a.csv").sex) == {"Male"}
        assert result.json["given"]["method"] == {"auto": "rejection", "mcmc": "mcmc"}[method]


def test_refused(cli: Cli, mixture_run: Path, plane_run: Path, digits_run: Path) -> None:
    for words, says in (
        ([mixture_run, "--given", "agee>3"], "Did you mean age?"),
        ([mixture_run, "--given", "sex=Femal"], "Did you mean Female?"),
        ([mixture_run, "--given", "age>95"], "18 to"),
        ([mixture_run, "--given", "age>60,age<30"], "contradict"),
        ([mixture_run, "--given", "city=missing"], "no cell of city was missing"),
        ([mixture_run, "--given", "joined>soon"], "not a date"),
        ([mixture_run, "--given", "age>30", "--method", "mcm"], "Did you mean mcmc?"),
        ([mixture_run, "--method", "mcmc"], "Add --given"),
        ([plane_run, "--given", "x>0"], "for tables"),
        ([digits_run, "--given", "label=3"], "for tables"),
    ):
        result = cli("sample", *words, "--out", "no.csv")
        assert result.code == 2 and says in result.err and not Path("no.csv").exists(), (words, result.err)


def test_the_condition_is_no_column(cli: Cli, tmp_path: Path) -> None:
    people(200).to_csv("people.csv", index=False)
    made = cli("fit", "people.csv", "--model", "gmm", "--condition", "city", "--set", "components=1", "--out", "run")
    assert made.code == 0, made.err
    refused = cli("sample", "run", "-n", 3, "--given", "city=Oslo", "--out", "a.csv")
    assert refused.code == 2 and "--condition city=VALUE" in refused.err
    assert cli("sample", "run", "-n", 30, "--given", "age>50", "--condition", "Oslo", "--out", "a.csv").code == 0
    rows = pd.read_csv("a.csv")
    assert set(rows.city) == {"Oslo"} and rows.age.min() > 50
    assert cli("sample", "run", "-n", 50, "--given", "age>50", "--out", "b.csv", "--seed", 1).code == 0
    assert len(set(pd.read_csv("b.csv").city)) > 1


def test_explained_rows(cli: Cli, mixture_run: Path) -> None:
    rows = people(30, seed=5)
    rows.loc[0, "score"] = 9.0
    rows.loc[0, "age"] = 20
    rows.loc[1, "height"] = 230.0
    rows.to_csv("new.csv", index=False)
    result = cli("log-prob", mixture_run, "new.csv", "--explain", "--out", "e.csv")
    assert result.code == 0 and "unlikely because of" in result.out
    assert len([line for line in result.out.splitlines() if " height=230 (" in line]) == 1
    kept = pd.read_csv("e.csv")
    reasons = kept[[f"explain_{name}" for name in rows.columns]]
    assert reasons.loc[1].idxmax() == "explain_height" and reasons.loc[0].idxmax() in ("explain_score", "explain_age")
    assert kept.percentile.between(0, 100).all() and kept.percentile[1] == 0
    document = cli("log-prob", mixture_run, "new.csv", "--explain", "--json").json
    assert document["examples"][1]["explain_height"] == pytest.approx(reasons.loc[1, "explain_height"])
    assert document["explained"]["method"] == "importance"
    plain = cli("log-prob", mixture_run, "new.csv", "--json").json
    assert "explain_age" not in plain["examples"][0] and "explained" not in plain
    assert [r["log_prob"] for r in plain["examples"]] == [r["log_prob"] for r in document["examples"]]


def test_only_tables_with_a_likelihood_are_explained(cli: Cli, implicit_run_of_people: Path, plane_run: Path) -> None:
    people(5).to_csv("new.csv", index=False)
    implicit = cli("log-prob", implicit_run_of_people, "new.csv", "--explain")
    assert implicit.code == 2 and "no likelihood" in implicit.err
    vectors = cli("log-prob", plane_run, "ring:n=30", "--explain")
    assert vectors.code == 2 and "tables" in vectors.err
