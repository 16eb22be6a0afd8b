"""Two gloo ranks give what one gives, and resume to the bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from .cases import Case, couples_batch, scale
from .ranks import SHARED, mutants, tensors, trained_names
from .resume import difference, play


def disagreement(case: Case, results: list[dict[str, Any]]) -> float:
    """The largest difference between the two ranks' parameters and averages, over the size of a parameter."""
    a, b = (r["whole"] for r in results)
    names = [f"/{part}/{name}" for name in trained_names(case) for part in ("model", "final", "average")]
    shared = [n for n in names if n in a]
    assert set(shared) == {n for n in names if n in b}
    return max((far(a[n], b[n]) for n in shared), default=0.0)


def far(a: Tensor, b: Tensor) -> float:
    if a.numel() == 0:
        return 0.0
    a, b = a.double(), b.double()
    if not torch.equal(a.isfinite(), b.isfinite()):
        return math.inf
    a, b = a[a.isfinite()], b[b.isfinite()]  # missing cells and padding are in the same places
    return float((a - b).abs().max()) / max(1.0, float(a.abs().max())) if len(a) else 0.0


@pytest.mark.parametrize("case", SHARED, ids=str)
def test_ranks_hold_the_same_parameters(case: Case, two_ranks: list[dict[str, Any]]) -> None:
    for rank in two_ranks:
        assert rank[case.name]["error"] is None, rank[case.name]["error"]
    assert disagreement(case, [r[case.name] for r in two_ranks]) == 0.0


@pytest.mark.parametrize("case", SHARED, ids=str)
def test_resume_is_exact_on_each_rank(case: Case, two_ranks: list[dict[str, Any]]) -> None:
    for rank, results in enumerate(two_ranks):
        whole = _own(results[case.name]["whole"])
        for k, resumed in results[case.name]["resumed"].items():
            problem = difference(whole, _own(resumed))
            assert problem is None, f"rank {rank}, resumed after {k} rounds: {problem}"


def _own(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the sums of the log line in progress, which rank 0 alone writes."""
    return {name: value for name, value in state.items() if not name.startswith("/sums")}


@pytest.mark.parametrize("case", [c for c in SHARED if not couples_batch(c.build())], ids=str)
def test_two_ranks_give_the_result_of_one(case: Case, two_ranks: list[dict[str, Any]], tmp_path: Path) -> None:
    one, two = tensors(play(case, tmp_path)), two_ranks[0][case.name]["whole"]
    assert one.keys() == two.keys()
    for name in one:
        if name.startswith(("/final", "/model", "/average")):
            assert far(one[name], two[name]) <= 1e-5, name
    if one["/sample"].is_floating_point():
        assert far(one["/sample"], two["/sample"]) <= 1e-4 * max(1.0, scale(one["/sample"]))
    else:
        assert torch.equal(one["/sample"], two["/sample"])


def test_some_cases_promise_the_result_of_one_rank() -> None:
    assert sum(not couples_batch(c.build()) for c in SHARED) >= 6


@pytest.mark.parametrize("name, case", [(name, case) for name, case, _ in mutants()], ids=lambda v: str(v))
def test_mutants_leave_ranks_different(name: str, case: Case, two_ranks: list[dict[str, Any]]) -> None:
    """A loss called past the wrapper, and an ActNorm started after wrapping."""
    assert disagreement(case, [r[name] for r in two_ranks]) > 1e-4
