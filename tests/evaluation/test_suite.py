"""The suite on a ring whose truth is known: perfect samplers pass, planted faults do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import pushforward as pf
from pushforward.data.builtin.source import ring
from pushforward.errors import InputError
from pushforward.evaluation.suite import Suite

QUICK = ["frechet:standardized", "coverage", "modes", "columns", "copies"]


def fresh(n: int, seed: int) -> Tensor:
    return torch.from_numpy(ring(n=n, seed=seed)[0])


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite(pf.load("ring:n=5000"), n=500, sets=1, features=["standardized"], metrics=QUICK)


def flags(suite: Suite, x: Tensor) -> set[str]:
    scores, missing = suite.score(x)
    assert not missing
    return {key for key, value in suite.values([scores]).items() if value.outside}


def test_a_perfect_sampler_is_left_alone(suite: Suite) -> None:
    assert not any(flags(suite, fresh(500, seed)) for seed in range(1, 9))


def test_a_dropped_mode_is_caught(suite: Suite) -> None:
    x = fresh(2000, 1)
    kept = x[torch.cdist(x, torch.tensor([[1.0, 0.0]]))[:, 0] > 0.4][:500]
    assert {"modes", "recall"} <= flags(suite, kept)


def test_training_rows_are_caught(suite: Suite) -> None:
    found = flags(suite, suite.data.train.all()[0][:500])
    assert "copies" in found and not found & {"coverage", "modes", "columns", "frechet:standardized"}
    mixed = torch.cat([suite.data.train.all()[0][:25], fresh(475, 3)])
    assert "copies" in flags(suite, mixed)  # 5%


def test_noise_is_caught(suite: Suite) -> None:
    generator = torch.Generator().manual_seed(0)
    mixed = torch.cat([fresh(400, 5), torch.rand(100, 2, generator=generator) * 2 - 1])
    assert {"coverage", "high-quality", "precision"} & flags(suite, mixed)


def test_the_order_of_samples_does_not_matter(suite: Suite) -> None:
    x = fresh(500, 7)
    turned, straight = suite.score(x.flip(0))[0], suite.score(x)[0]
    for key, values in straight.items():
        assert turned[key] == pytest.approx(values, rel=1e-9, abs=1e-12), key


def test_every_set_is_judged_by_itself() -> None:
    made = Suite(pf.load("ring:n=5000"), n=200, sets=2, features=["standardized"], metrics=["columns"])
    assert made.disjoint and len(made.real) == 2
    x = fresh(400, 9)
    scores, _ = made.score(x)
    alone = [made.score(x[k * 200 : (k + 1) * 200], sets=1)[0] for k in range(2)]
    assert scores["columns"][0] == alone[0]["columns"][0]
    assert not torch.equal(made.real[0].x, made.real[1].x)  # so the second set meets other rows than alone


def test_what_samples_might_copy_is_apart_from_what_floors_are_drawn_from(suite: Suite) -> None:
    pool, near = ({tuple(row) for row in part.x.tolist()} for part in (suite.pool, suite.near))
    assert not pool & near
    assert len(suite.near) + len(suite.pool) == len(suite.whole) == len(suite.data.train)


def test_the_floor_of_copies_is_zero_and_of_modes_is_all(suite: Suite) -> None:
    floors = suite.floors()
    assert floors["copies"].mean == 0 and floors["modes"].mean == 8
    assert floors["copies"].high < 0.02 and floors["modes"].low == pytest.approx(8)


def test_held_out_rows_alone_decide_nothing_about_features() -> None:
    """Statistics of features come from training rows: other held-out rows, the same map."""
    a, b = pf.load("ring:n=3000"), pf.load("ring:n=3000")
    b.test.x = b.test.x + 5
    maps = [Suite(d, n=100, features=["standardized"], metrics=["columns"]).maps["standardized"].hash for d in (a, b)]
    assert maps[0] == maps[1]


def test_bad_requests() -> None:
    data = pf.load("ring:n=300")
    with pytest.raises(InputError, match=r"unknown metric 'coverge'.*coverage"):
        Suite(data, metrics=["coverge"])
    with pytest.raises(InputError, match="no features 'standardised'"):
        Suite(data, features=["standardised"])
    with pytest.raises(InputError, match="too few"):
        Suite(pf.load("ring:n=60"))
    with pytest.raises(InputError, match="n is 5"):
        Suite(data, n=5)
    made = Suite(data, n=1000, metrics=["columns"], features=["standardized"])
    assert made.n == 30 and any("1,000" in w for w in made.warnings)
    with pytest.raises(InputError, match="10 samples for 5 sets of 30"):
        made.score(np.zeros((10, 2)))
    with pytest.raises(InputError, match="shape"):
        made.score(np.zeros((150, 3)))
    with pytest.raises(InputError, match=r"row 3.*nan"):
        x = np.zeros((150, 2))
        x[3, 1] = np.nan
        made.score(x)
