"""Which judges a kind of data has. A new metric: a function in `metrics/`, its judge in a module here, a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...spaces import Pixels, Real, Space, Table
from ..features import Features
from .copying import copies_judge, memorization_judge
from .distance import (
    c2st_judge,
    c2st_network_judge,
    exact_judge,
    frechet_judge,
    kernel_judge,
    likelihood_distance_judge,
    mmd_judge,
    sliced_judge,
)
from .support import classes_judge, columns_judge, inception_judge, modes_judges, neighbours_judge, vendi_judge
from .trial import Judge


def judges_for(data: Any, maps: Mapping[str, Features]) -> list[Judge]:
    """The judges of a kind of data: `maps` are its feature spaces, the first being the main one."""
    space: Space = data.space
    found: list[Judge] = []
    main = next(iter(maps))
    found.append(c2st_judge(space, main, maps[main]))
    if isinstance(space, Pixels):
        found.append(c2st_network_judge())
    for name, features in maps.items():
        found.append(frechet_judge(name, features))
        if isinstance(space, Pixels):
            found.append(kernel_judge(name, features))
    found.append(neighbours_judge(main, maps[main]))
    found.append(sliced_judge(main, maps[main]))
    found.append(mmd_judge(main, maps[main]))
    found.append(exact_judge(main, maps[main]))
    found.append(vendi_judge(main, maps[main]))
    for name, features in maps.items():
        if features.probabilities is not None:
            found.append(classes_judge(name, features))
            if features.id == "inception":
                found.append(inception_judge(name, features))
    found += modes_judges(data)
    if isinstance(space, (Table, Real)) and len(space.shape) == 1:
        found.append(columns_judge(space))
    found.append(copies_judge())
    found.append(memorization_judge(main, maps[main]))
    found.append(likelihood_distance_judge(main, maps[main]))
    return found
