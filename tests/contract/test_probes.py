"""Kinds of model that do not exist yet fit the contract: each probe passes what the built-in models pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import suite
from .cases import PROBES, Case, boundaries, fitted
from .resume import check_resume

CHECKS = [
    suite.check_samples,
    suite.check_log_prob,
    suite.check_own_samples_are_likely,
    suite.check_codes,
    suite.check_refusals,
    suite.check_gradients,
    suite.check_copies,
    suite.check_double,
    suite.check_batches,
]


@pytest.mark.parametrize("case", PROBES, ids=str)
@pytest.mark.parametrize("check", CHECKS, ids=lambda f: f.__name__)
def test_contract(case: Case, check: object) -> None:
    check(case)  # type: ignore[operator]


@pytest.mark.parametrize("case", PROBES, ids=str)
def test_rows_are_independent(case: Case) -> None:
    suite.check_rows_are_independent(fitted(case))


@pytest.mark.parametrize("case", PROBES, ids=str)
def test_ownership(case: Case) -> None:
    suite.check_ownership(case.build())


@pytest.mark.parametrize("case", [c for c in PROBES if c.name in ("unpaired-pool", "data-dependent-start")], ids=str)
def test_condition_frequencies(case: Case) -> None:
    suite.check_condition_frequencies(case)


@pytest.mark.parametrize("case", PROBES, ids=str)
def test_resume_is_exact(case: Case, tmp_path: Path) -> None:
    check_resume(case, tmp_path, boundaries(case))
