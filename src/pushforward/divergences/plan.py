"""A transport plan: how much earth goes from where to where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import PushforwardError
from .distributions import Array

MARGINALS = 1e-9
"""How far the sums of a plan may be from the weights it moves."""


@dataclass(frozen=True)
class Move:
    """`mass` carried from `start` to `end` over `distance`; `work` is mass times distance."""

    mass: float
    start: tuple[float, ...]
    end: tuple[float, ...]
    distance: float

    @property
    def work(self) -> float:
        """Effort: mass times distance."""
        return self.mass * self.distance

    def __str__(self) -> str:
        def text(x: tuple[float, ...]) -> str:
            return f"{x[0]:g}" if len(x) == 1 else "(" + ", ".join(f"{v:g}" for v in x) + ")"

        return f"{self.mass:.4g} from {text(self.start)} to {text(self.end)}, a distance of {self.distance:.4g}"


@dataclass(frozen=True, eq=False)
class Plan:
    r"""A coupling of P and Q: :math:`\sum_y \gamma(x, y) = P(x)` moves out, :math:`\sum_x \gamma(x, y) = Q(y)` in.

    Held as its entries: an optimal plan between n and m points has n + m - 1 of them at most.

    Attributes:
        source (n, d), target (m, d): the points. source_weights (n,), target_weights (m,): their masses.
        rows, columns, mass: (k,) each: mass[i] goes from source[rows[i]] to target[columns[i]].

    Raises:
        PushforwardError: if a mass is negative or a sum is off by more than 1e-9.
    """

    source: Array = field(repr=False)
    target: Array = field(repr=False)
    source_weights: Array = field(repr=False)
    target_weights: Array = field(repr=False)
    rows: npt.NDArray[np.integer] = field(repr=False)
    columns: npt.NDArray[np.integer] = field(repr=False)
    mass: Array = field(repr=False)

    def __post_init__(self) -> None:
        if self.mass.size and self.mass.min() < 0:
            raise PushforwardError(f"a transport plan carries a negative mass: {self.mass.min():g}.")
        for side, found, wanted in zip(
            ("out of p", "into q"), self.marginals, (self.source_weights, self.target_weights)
        ):
            off = float(np.abs(found - wanted).max())
            if off > MARGINALS:
                raise PushforwardError(f"the mass that a transport plan moves {side} is off by {off:.2g}.")

    @property
    def marginals(self) -> tuple[Array, Array]:
        """Mass out of each source point (n,), and into each target point (m,)."""
        out = np.bincount(self.rows, self.mass, minlength=len(self.source))
        into = np.bincount(self.columns, self.mass, minlength=len(self.target))
        return np.asarray(out, np.float64), np.asarray(into, np.float64)

    @property
    def distances(self) -> Array:
        """(k,) Euclidean length of each entry's way."""
        return np.asarray(np.linalg.norm(self.source[self.rows] - self.target[self.columns], axis=1))

    @property
    def cost(self) -> float:
        r""":math:`\sum_{x,y} \|x - y\| \gamma(x, y)`."""
        return float(self.mass @ self.distances)

    @property
    def matrix(self) -> Array:
        """(n, m): row x, column y."""
        out = np.zeros((len(self.source), len(self.target)))
        np.add.at(out, (self.rows, self.columns), self.mass)
        return out

    def moves(self, k: int = 10) -> list[Move]:
        """The k moves of the largest work (mass times distance), largest first. What stays where it is is no move."""
        distances = self.distances
        work = self.mass * distances
        order = np.argsort(-work, kind="stable")[:k]
        return [
            Move(
                float(self.mass[i]),
                tuple(self.source[self.rows[i]].tolist()),
                tuple(self.target[self.columns[i]].tolist()),
                float(distances[i]),
            )
            for i in order
            if work[i] > 0
        ]

    def plot(self, path: str | Path) -> Path:
        """Write the picture of the plan (png, pdf, svg): the two piles, the ways between them, and the matrix.

        Raises:
            InputError: if it cannot be written, or the plan has too many points for a picture.
        """
        from .pictures import draw_plan, write

        return write(draw_plan(self), path)

    def __str__(self) -> str:
        return (
            f"{len(self.mass)} entries between {len(self.source)} and {len(self.target)} points, cost {self.cost:.6g}"
        )
