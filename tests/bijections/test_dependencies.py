"""Columns that are functions of others are found; those that only look like it are not."""

from __future__ import annotations

import numpy as np

from pushforward.bijections.dependencies import find_dependencies
from pushforward.bijections.seriation import seriate
from pushforward.spaces import Column

RNG = np.random.default_rng(0)


def test_a_code_and_its_name_are_one() -> None:
    name = RNG.integers(0, 12, 2000).astype(float)
    code = (7 * name + 3) % 12
    group = name // 4
    x = np.stack([RNG.normal(size=2000), name, code, group, RNG.integers(0, 5, 2000)], 1)
    found = {d.child: d.parent for d in find_dependencies(x)}
    # One of the first two is looked up in the other, and the group in whichever is no child itself.
    assert found in ({1: 2, 3: 2}, {2: 1, 3: 1})
    for d in find_dependencies(x):
        table = dict(zip(d.keys, d.values))
        assert all(table[a] == b for a, b in zip(x[:, d.parent], x[:, d.child]))


def test_one_exception_is_no_rule() -> None:
    a = RNG.integers(0, 6, 3000).astype(float)
    b = (a > 2).astype(float)
    assert find_dependencies(np.stack([a, b], 1))
    b[2987] = 1 - b[2987]
    assert not find_dependencies(np.stack([a, b], 1))


def test_missing_cells_break_no_rule() -> None:
    a = RNG.integers(0, 6, 3000).astype(float)
    b = np.where(RNG.random(3000) < 0.2, np.nan, a % 2)
    a[RNG.random(3000) < 0.2] = np.nan
    (found,) = find_dependencies(np.stack([a, b], 1))
    assert (found.child, found.parent) == (1, 0)


def test_chance_is_no_rule() -> None:
    """Few repeats, or a column that hardly varies, agree by accident."""
    many = RNG.integers(0, 200, 210).astype(float)
    assert not find_dependencies(np.stack([many, RNG.integers(0, 2, 210)], 1)) or len(np.unique(many)) < 120
    rare = np.zeros(300)
    rare[5] = 1.0
    assert not find_dependencies(np.stack([RNG.integers(0, 100, 300).astype(float), rare], 1))


def test_alike_values_stand_side_by_side() -> None:
    """Categories cut from a hidden scale, named at random, come back in the order of the scale."""
    hidden = RNG.normal(size=20_000)
    level = np.digitize(hidden, np.quantile(hidden, [0.1, 0.3, 0.5, 0.7, 0.9]))
    names = RNG.permutation(6)
    numbers = [hidden + RNG.normal(size=len(hidden)) for _ in range(3)]
    x = np.stack([names[level].astype(float), *numbers], 1)
    columns = [Column("level", "category", tuple("abcdef")), *(Column(n, "continuous") for n in "xyz")]
    order = names.argsort()[seriate(x, columns, [0])[0]]
    assert list(order) in (list(range(6)), list(range(5, -1, -1)))
