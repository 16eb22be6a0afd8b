"""Expectations against closed forms, their intervals over seeds, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pushforward.errors import InputError
from pushforward.quantities import expectation
from pushforward.studies.rare_events import known_model

from ..conditional.tables import gaussian_model, mixed_model
from ..conditional.tables import moments as closed_form


def test_a_product_has_its_closed_form_and_interval() -> None:
    mean, covariance = closed_form(gaussian_model())
    truth = covariance[0, 1] + mean[0] * mean[1]
    found = [expectation(gaussian_model(), "a*b", 1_000, seed=s) for s in range(200)]
    assert 0.95 - 3.3 * 0.0154 < np.mean([e.low <= truth <= e.high for e in found]) <= 1.0
    values = np.array([e.value for e in found])
    assert values.std() == pytest.approx(np.mean([e.standard_error for e in found]), rel=0.15)
    assert abs(values.mean() - truth) < 5 * values.std() / 200**0.5


def test_functions_and_expressions_agree() -> None:
    known = known_model("real-nvp")
    by_text = expectation(known.model, "x1**2 + abs(x3)", 5_000, seed=3)
    by_function = expectation(known.model, lambda x: x[:, 0].double() ** 2 + x[:, 2].double().abs(), 5_000, seed=3)
    assert by_text.value == pytest.approx(by_function.value, rel=1e-12)
    assert by_text.standard_error == pytest.approx(by_function.standard_error, rel=1e-12)
    assert by_text.effective_sample_size == 5_000 == by_text.n and by_text.method == "monte carlo"
    assert float(by_text) == by_text.value and by_text.relative_error == by_text.standard_error / by_text.value
    as_array = expectation(known.model, lambda x: x[:, 0].numpy(), 2_000, seed=3)
    assert as_array.value == pytest.approx(expectation(known.model, "x1", 2_000, seed=3).value, rel=1e-6)
    indicator = expectation(known.model, "x1 > 0", 20_000)
    assert indicator.value == pytest.approx(known.tail(np.array([1.0, 0, 0]), 0.0), abs=5 * indicator.standard_error)


def test_missing_cells_are_left_out_and_counted() -> None:
    model = mixed_model("gmm")
    found = expectation(model, "score", 4_000)
    share = 1 - found.effective_sample_size / found.n
    assert 0.15 < share < 0.25 and "score is missing" in found.notes[0]
    by_function = expectation(model, lambda x: x[:, 5], 4_000)
    assert by_function.value == pytest.approx(found.value) and "left out" in by_function.notes[0]
    # Whether it is missing is itself a number of every row.
    assert expectation(model, "missing(score)", 4_000).value == pytest.approx(share, abs=1e-12)
    assert expectation(model, "missing(score)", 4_000).notes == ()


def test_heavy_tails_are_told() -> None:
    # exp(2 x1): the variance of exp(2 x) is finite, but few samples show it.
    found = expectation(known_model("vae").model, "exp(3*x1)", 2_000)
    assert any("tails are heavy" in note for note in found.notes)
    assert expectation(known_model("vae").model, "x1", 2_000).notes == ()


def test_refused() -> None:
    model = known_model("gmm").model
    for f, says in (
        ("log(x1)", "log\\(x1\\) is nan"),
        ("1/(x1 - x1)", "is inf for 100 of 100"),
        ("x9", "unknown column"),
        (lambda x: x, "gives shape"),
        (lambda x: "a", "gives"),
        (lambda x: torch.full((len(x),), math.nan), "is nan"),
    ):
        with pytest.raises(InputError, match=says):
            expectation(model, f, 100)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="seed"):
        expectation(model, "x1", 100, seed=-1)
