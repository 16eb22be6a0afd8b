"""Random distributions on finite supports."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pushforward.divergences import Discrete

mass = st.one_of(st.just(0.0), st.floats(1e-6, 1.0))


@st.composite
def probabilities(draw: st.DrawFn, k: int) -> np.ndarray:
    """(k,) probabilities, some of them 0."""
    weights = np.array(draw(st.lists(mass, min_size=k, max_size=k).filter(lambda w: sum(w) > 0)))
    return weights / weights.sum()


@st.composite
def same_support(draw: st.DrawFn, count: int = 2) -> list[np.ndarray]:
    """`count` lists of probabilities on one support."""
    k = draw(st.integers(1, 7))
    return [draw(probabilities(k)) for _ in range(count)]


@st.composite
def clouds(draw: st.DrawFn, count: int = 2, dimension: int | None = None) -> list[Discrete]:
    """`count` distributions on small, unequal and overlapping supports in 1 to 3 dimensions."""
    d = dimension or draw(st.integers(1, 3))
    found = []
    for _ in range(count):
        k = draw(st.integers(1, 6))
        coordinates = st.lists(st.integers(-4, 4), min_size=k * d, max_size=k * d)
        found.append(Discrete(np.array(draw(coordinates)).reshape(k, d) / 2, draw(probabilities(k))))
    return found
