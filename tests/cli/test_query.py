"""`pushforward query`: numbers with errors, on the screen and as JSON; refusals in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli
from .people import people, people_run


@pytest.fixture(scope="module")
def mixture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return people_run(tmp_path_factory.mktemp("people"), "gmm", "--set", "components=2", "--set", "covariance=full")


def test_expectations_and_probabilities(cli: Cli, mixture_run: Path) -> None:
    words = (
        "--expect",
        "age",
        "--expect",
        "score*10 - age",
        "--probability",
        'sex == "Female" and age > 40',
        "-n",
        20000,
    )
    result = cli("query", mixture_run, *words, "--json")
    assert result.code == 0, result.err
    age, product, event = result.json["estimates"]
    truth = people(100_000, 5)
    assert age["value"] == pytest.approx(truth.age.mean(), abs=1.5) and age["low"] < age["value"] < age["high"]
    assert product["effective_sample_size"] < 20_000 and "missing" in product["notes"][0]
    share = ((truth.sex == "Female") & (truth.age > 40)).mean()
    assert event["value"] == pytest.approx(share, abs=0.06) and event["method"] == "monte carlo"
    assert [e["quantity"] for e in result.json["estimates"]] == ["expectation", "expectation", "probability"]
    shown = cli("query", mixture_run, *words)
    assert f"E[age] = {age['value']:.5g} ± " in shown.out and "P[sex == " in shown.out and "seed 0" in shown.out
    assert "effective sample size" in shown.out and "are left out" in shown.out


def test_without_a_question_the_moments(cli: Cli, mixture_run: Path) -> None:
    shown = cli("query", mixture_run, "-n", 2000)
    assert shown.code == 0 and "height" in shown.out and "left out: sex, city" in shown.out
    found = cli("query", mixture_run, "-n", 2000, "--json").json["moments"]
    names = found["names"]
    assert names == ["age", "height", "joined", "score"] and found["n"] == 2000
    assert found["mean"][1] == pytest.approx(people(10_000).height.mean(), abs=1.5)
    assert found["correlation"][0][3] > 0.6


def test_rare_events_and_dates(cli: Cli, mixture_run: Path) -> None:
    asked = "score > 6.5 and age < 50"
    result = cli("query", mixture_run, "--probability", asked, "--expect", "joined", "-n", 60000, "--json")
    joined, event = result.json["estimates"]
    counted = cli("query", mixture_run, "--probability", asked, "-n", 400000, "--rare", "never", "--json")
    truth = counted.json["estimates"][0]
    error = (event["standard_error"] ** 2 + truth["standard_error"] ** 2) ** 0.5
    assert abs(event["value"] - truth["value"]) < 5 * error
    assert joined["notes"][0].startswith("in seconds since 1970-01-01: 202")


def test_vectors_of_every_kind_of_run(cli: Cli, plane_run: Path, implicit_run: Path) -> None:
    for run in (plane_run, implicit_run):
        result = cli("query", run, "--expect", "x1*x2", "--probability", "x > 0 or y > 0", "-n", 3000, "--json")
        assert result.code == 0, result.err
        assert 0 < result.json["estimates"][1]["value"] <= 1


def test_pictures_and_conditions(cli: Cli, digits_run: Path) -> None:
    words = ("--expect", "mean", "--probability", "pixel[3,4] > 8", "-n", 400, "--json")
    one = cli("query", digits_run, *words, "--condition", "1").json["estimates"]
    other = cli("query", digits_run, *words, "--condition", "label=0").json["estimates"]
    assert one[0]["value"] > 0 and one[0]["value"] != other[0]["value"] and 0 <= one[1]["value"] <= 1
    bright = cli("query", digits_run, *words, "--condition", "1", "--set", "decode=mean").json["estimates"]
    assert bright[0]["value"] != one[0]["value"]


def test_refused_before_anything_is_drawn(cli: Cli, mixture_run: Path, plane_run: Path, digits_run: Path) -> None:
    for words, says in (
        ([mixture_run, "--expect", "agee"], "Did you mean age?"),
        ([mixture_run, "--expect", "sex"], "sex is no number"),
        ([mixture_run, "--probability", "age"], "a number, not a condition"),
        ([mixture_run, "--probability", "sex"], "Compare it: =="),
        ([mixture_run, "--probability", "sex == Female"], 'write it in quotes, "Female"'),
        ([mixture_run, "--probability", "sex == 'Femal'"], "Did you mean Female?"),
        ([plane_run, "--expect", "x1.__class__"], "character 3: '.' is not understood"),
        ([plane_run, "--expect", "x1", "--probability", "__import__('os')"], "unknown function"),
        ([plane_run, "--probability", "x1 > 0", "--rare", "perhaps"], "Known: auto, always, never"),
        ([plane_run, "--expect", "x1", "--set", "decod=mean"], "Did you mean decode?"),
        ([plane_run, "--expect", "x1", "--condition", "3"], "unconditional"),
        ([digits_run, "--expect", "pixel[9,9]"], "is outside"),
        ([digits_run, "--expect", "label"], "--condition label=VALUE"),
    ):
        result = cli("query", *words)
        assert result.code == 2 and says in result.err and not result.out, (words, result.err)
