"""What a distance is returned as: its value, how it was found, and how far it may be off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .distributions import Array, as_points

Kind = Literal["exact", "quadrature", "estimate"]


@dataclass(frozen=True, eq=False)
class Divergence:
    """A distance or divergence between two distributions; `float(...)` gives its value.

    Attributes:
        value: in nats where it is an entropy, in the unit of the points where it is a transport distance. May be inf.
        kind: "exact" (a closed form, a finite sum or a linear program, to rounding), "quadrature", or "estimate".
        method: in a few words.
        error: 0 when exact; the change at the last halving of the step for quadrature; a standard error for estimates.
    """

    value: float
    kind: Kind = "exact"
    method: str = ""
    error: float = 0.0

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        error = {"exact": "", "quadrature": f", error about {self.error:.1g}", "estimate": f" +- {self.error:.2g}"}
        return f"{self.value:.6g} ({self.method}{error[self.kind]})"


@dataclass(frozen=True, eq=False)
class Event:
    r"""The event :math:`A = \{x : p(x) > q(x)\}`, which no other beats: :math:`P(A) - Q(A) = TV(P, Q)`.

    Attributes:
        p, q: its probabilities P(A) and Q(A).
        words: "x in (-inf, 0.5)", "3 of 8 points", ...
        member: whether points (n, d) are in A.
        points: (k, d) the points of A, when it is a finite set.
        intervals: (low, high) pairs, when it is a union of intervals of the line.
    """

    p: float
    q: float
    words: str
    member: Callable[[Array], Any] = field(repr=False)
    dimension: int = 1
    points: Array | None = field(default=None, repr=False)
    intervals: tuple[tuple[float, float], ...] | None = None

    def contains(self, x: Any) -> Any:
        """(n,) booleans for points (n, d)."""
        return self.member(as_points(x, self.dimension))

    def __str__(self) -> str:
        return f"{self.words}: P(A) = {self.p:.6g}, Q(A) = {self.q:.6g}"


@dataclass(frozen=True, eq=False)
class TotalVariation(Divergence):
    """A total variation distance, and an event that attains it."""

    event: Event = field(kw_only=True)
