"""What a feature space is: a named map from examples to vectors that distances are measured in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...errors import InputError

NOT_HASHED = "not hashed"
"""How the hash of a Python function begins: what it computes cannot be told from outside."""


@dataclass(frozen=True)
class Features:
    """A named map from examples to vectors. Fitted, if at all, on the training split.

    Attributes:
        id: short, for the brackets of a label: "pca64" makes FD[pca64]. Only "inception" may be called FID.
        dimension: of the vectors.
        about: in words, with the first digits of the hash.
        hash: SHA-256 of all that decides the values: weights, preprocessing, the training rows it was fitted on.
        transform: examples (n, *space.shape) in the data's own units to (n, dimension), float64 on the CPU. Row i
            depends on example i only, but for the rounding of sums, however many examples come with it.
        probabilities: examples to (n, classes), of a classifier; None otherwise.
    """

    id: str
    dimension: int
    about: str
    hash: str
    transform: Callable[[Any], Tensor]
    probabilities: Callable[[Any], Tensor] | None = None


def check_same(a: Features, b: Features) -> None:
    """Distances are only comparable in one feature space.

    Raises:
        InputError: the hashes differ, or one is of a Python function, which has none.
    """
    if a is b:
        return
    for one in (a, b):
        if one.hash.startswith(NOT_HASHED):
            raise InputError(
                f"the features {one.id!r} are those of a Python function, which has no hash: two uses of it cannot be "
                "shown to be the same.",
                "Compute all values that are to be compared with the same Features.",
            )
    if a.hash != b.hash:
        raise InputError(
            f"values in two different feature spaces cannot be compared: {a.id} ({a.hash[:8]}) and "
            f"{b.id} ({b.hash[:8]}).",
            "Evaluate both with the same features, fitted on the same training rows with the same n and seed.",
        )
