"""Every registered model keeps the contract on every kind of data and condition that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pushforward import registry
from pushforward.spaces import Space
from pushforward.training.run import load_model, save

from . import suite
from .cases import CONDITIONS, KINDS, RECIPES, TRAINED, Case, boundaries, fitted, quick
from .resume import check_resume

CHECKS = [
    suite.check_samples,
    suite.check_log_prob,
    suite.check_own_samples_are_likely,
    suite.check_codes,
    suite.check_refusals,
    suite.check_double,
    suite.check_batches,
]


def test_the_suite_covers_every_recipe() -> None:
    assert len(RECIPES) == len(registry.recipe_names()) * len(KINDS) * len(CONDITIONS)
    assert {c.recipe for c in RECIPES} == {c.recipe for c in TRAINED} == set(registry.recipe_names())


@pytest.mark.parametrize("case", RECIPES, ids=str)
def test_contract(case: Case) -> None:
    for check in CHECKS:
        check(case)


@pytest.mark.parametrize("case", RECIPES, ids=str)
def test_rows_are_independent(case: Case) -> None:
    suite.check_rows_are_independent(fitted(case))


@pytest.mark.parametrize("case", RECIPES, ids=str)
def test_ownership(case: Case) -> None:
    suite.check_ownership(case.build())


@pytest.mark.parametrize("case", TRAINED, ids=str)
def test_gradients(case: Case) -> None:
    suite.check_gradients(case)


@pytest.mark.parametrize("case", [c for c in RECIPES if c.name.endswith(("-class", "-features"))], ids=str)
def test_condition_frequencies(case: Case) -> None:
    suite.check_condition_frequencies(case)


@pytest.mark.parametrize("case", RECIPES, ids=str)
def test_saved_model_is_the_same(case: Case, tmp_path: Path) -> None:
    model = fitted(case)
    suite.check_copies(case)
    loaded = quick(load_model(save(model, tmp_path / "model")))
    assert loaded.space == model.space and loaded.condition_space == model.condition_space
    assert Space.from_json(model.space.to_json()) == model.space
    assert suite.same(loaded.sample(5, seed=2), model.sample(5, seed=2))
    x, c = suite.examples(case)
    scores = suite.likelihood(model, x, c)
    if scores is not None:
        assert torch.equal(loaded.log_prob(x, c).values, scores.values)


@pytest.mark.parametrize("case", TRAINED, ids=str)
def test_resume_is_exact(case: Case, tmp_path: Path) -> None:
    if all(s.rounds == 0 for s in case.build().stages()):
        pytest.skip("fitted in closed form: there are no rounds to resume")
    check_resume(case, tmp_path, boundaries(case))
