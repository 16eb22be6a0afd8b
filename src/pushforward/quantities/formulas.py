r"""Expressions over samples as trees: their values, and how far a sample is from making one true.

A condition made of comparisons with `and`, `or` and `not` has a distance: that of a comparison :math:`a < b` is
:math:`\max(0, a - b)` in units of the standard deviation of a - b, that of `and` the sum over its parts, that of `or`
the least; `not` is moved inwards. It is 0 exactly where the condition holds.

Missing cells: a comparison with one is false (and its negation true), arithmetic with one is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .names import Named, Names

_FAR = 1e6
_NEAREST = 1e-12


@dataclass(frozen=True)
class Node:
    """A number, or a condition, of every sample."""

    @property
    def is_condition(self) -> bool:
        return False

    def value(self, cells: Tensor) -> Tensor:
        """Of cells (n, names): (n,) float64, or bool of a condition."""
        raise NotImplementedError

    def number(self, cells: Tensor) -> Tensor:
        """`value` with true as 1 and false as 0."""
        return self.value(cells).double()

    def parts(self) -> Sequence[Node]:
        return ()


@dataclass(frozen=True)
class Condition(Node):
    @property
    def is_condition(self) -> bool:
        return True

    def distance(self, cells: Tensor, scales: Sequence[float], negated: bool = False) -> Tensor:
        """(n,) float64, 0 exactly where it is true (false, when negated). scales: by comparison."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Node):
    of: float

    def value(self, cells: Tensor) -> Tensor:
        return torch.full((len(cells),), self.of, dtype=torch.float64)


@dataclass(frozen=True)
class Cell(Node):
    """The number at a position of the cells."""

    position: int
    name: Named

    def value(self, cells: Tensor) -> Tensor:
        return cells[:, self.position]


@dataclass(frozen=True)
class Sum(Node):
    """Terms with their signs."""

    terms: tuple[tuple[int, Node], ...]

    def value(self, cells: Tensor) -> Tensor:
        total = torch.zeros(len(cells), dtype=torch.float64)
        for sign, term in self.terms:
            total = total + sign * term.number(cells)
        return total

    def parts(self) -> Sequence[Node]:
        return [term for _, term in self.terms]


@dataclass(frozen=True)
class Product(Node):
    """Factors, and whether each is divided by."""

    factors: tuple[tuple[bool, Node], ...]

    def value(self, cells: Tensor) -> Tensor:
        total = torch.ones(len(cells), dtype=torch.float64)
        for divided, factor in self.factors:
            total = total / factor.number(cells) if divided else total * factor.number(cells)
        return total

    def parts(self) -> Sequence[Node]:
        return [factor for _, factor in self.factors]


@dataclass(frozen=True)
class Power(Node):
    base: Node
    exponent: Node

    def value(self, cells: Tensor) -> Tensor:
        base, exponent = self.base.number(cells), self.exponent.number(cells)
        # By IEEE 754, nan ** 0 and 1 ** nan are 1: a missing cell stays missing.
        return torch.where(base.isnan() | exponent.isnan(), torch.nan, torch.pow(base, exponent))

    def parts(self) -> Sequence[Node]:
        return (self.base, self.exponent)


def _least(*x: Tensor) -> Tensor:
    return torch.stack(x).amin(0)


def _most(*x: Tensor) -> Tensor:
    return torch.stack(x).amax(0)


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Tensor]]] = {
    "abs": (1, 1, torch.abs),
    "sqrt": (1, 1, torch.sqrt),
    "exp": (1, 1, torch.exp),
    "log": (1, 1, torch.log),
    "log10": (1, 1, torch.log10),
    "sin": (1, 1, torch.sin),
    "cos": (1, 1, torch.cos),
    "tan": (1, 1, torch.tan),
    "tanh": (1, 1, torch.tanh),
    "floor": (1, 1, torch.floor),
    "ceil": (1, 1, torch.ceil),
    "round": (1, 1, torch.round),
    "sign": (1, 1, torch.sign),
    "min": (2, 64, _least),
    "max": (2, 64, _most),
}
"""Functions by name: how many arguments at least and at most, and what they do."""


@dataclass(frozen=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]

    def value(self, cells: Tensor) -> Tensor:
        return FUNCTIONS[self.name][2](*(a.number(cells) for a in self.arguments))

    def parts(self) -> Sequence[Node]:
        return self.arguments


@dataclass(frozen=True)
class Comparison(Condition):
    """left OPERATOR right, of = != < <= > >=. index: of its scale. exact: only equality counts, as of categories."""

    operator: str
    left: Node
    right: Node
    index: int
    exact: bool = False

    def value(self, cells: Tensor) -> Tensor:
        a, b = self.left.number(cells), self.right.number(cells)
        test = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[self.operator]
        return test & ~a.isnan() & ~b.isnan()

    def gap(self, cells: Tensor) -> Tensor:
        """left - right, (n,)."""
        return self.left.number(cells) - self.right.number(cells)

    def distance(self, cells: Tensor, scales: Sequence[float], negated: bool = False) -> Tensor:
        gap = self.gap(cells)
        away = torch.ones_like(gap)
        if not self.exact:
            if self.operator in ("<", "<=", ">", ">="):
                away = (gap if (self.operator[0] == "<") != negated else -gap) / scales[self.index]
            elif (self.operator == "==") != negated:
                away = gap.abs() / scales[self.index]
        away = away.nan_to_num(1.0, posinf=_FAR, neginf=0.0).clamp(_NEAREST, _FAR)
        return torch.where(self.value(cells) != negated, 0.0, away)

    def parts(self) -> Sequence[Node]:
        return (self.left, self.right)


@dataclass(frozen=True)
class Missing(Condition):
    """Whether a cell is missing."""

    cell: Node

    def value(self, cells: Tensor) -> Tensor:
        return self.cell.number(cells).isnan()

    def distance(self, cells: Tensor, scales: Sequence[float], negated: bool = False) -> Tensor:
        return (self.value(cells) == negated).double()

    def parts(self) -> Sequence[Node]:
        return (self.cell,)


@dataclass(frozen=True)
class Not(Condition):
    part: Condition

    def value(self, cells: Tensor) -> Tensor:
        return ~self.part.value(cells)

    def distance(self, cells: Tensor, scales: Sequence[float], negated: bool = False) -> Tensor:
        return self.part.distance(cells, scales, not negated)

    def parts(self) -> Sequence[Node]:
        return (self.part,)


@dataclass(frozen=True)
class Joined(Condition):
    """All of the parts, or any of them."""

    every: bool
    of: tuple[Condition, ...]

    def value(self, cells: Tensor) -> Tensor:
        found = torch.stack([part.value(cells) for part in self.of])
        return found.all(0) if self.every else found.any(0)

    def distance(self, cells: Tensor, scales: Sequence[float], negated: bool = False) -> Tensor:
        away = torch.stack([part.distance(cells, scales, negated) for part in self.of])
        return away.sum(0) if self.every != negated else away.amin(0)

    def parts(self) -> Sequence[Node]:
        return self.of


def constant(node: Node) -> float | None:
    """The value of a node that is the same for all samples (infinite where it is no number), else None."""
    todo = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, Cell):
            return None
        todo.extend(part.parts())
    value = float(node.number(torch.zeros(1, 0, dtype=torch.float64))[0])
    return math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class Formula:
    """An expression that was read.

    Attributes:
        text: as the user wrote it. names: of the space. used: the names in it, in the order of the cells.
        comparisons: in it, by their index.
    """

    text: str
    root: Node
    names: Names
    used: tuple[Named, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def is_condition(self) -> bool:
        return self.root.is_condition

    def cells(self, samples: Tensor) -> Tensor:
        """(n, used) float64 of samples (n, *shape)."""
        return self.names.read(samples, self.used)

    def value(self, samples: Tensor) -> Tensor:
        """(n,): float64, or bool of a condition."""
        return self.root.value(self.cells(samples))

    def scales_of(self, cells: Tensor) -> list[float]:
        """The unit of each comparison's distance: the standard deviation of its two sides' difference."""
        found = []
        for comparison in self.comparisons:
            gap = comparison.gap(cells)
            gap = gap[gap.isfinite()]
            spread = float(gap.std()) if len(gap) > 1 else 0.0
            found.append(spread if 0 < spread < float("inf") else 1.0)
        return found

    def distance_of(self, cells: Tensor, scales: Sequence[float]) -> Tensor:
        """How far samples with these cells are from where the condition holds, (n,), 0 exactly there."""
        assert isinstance(self.root, Condition)
        return self.root.distance(cells, scales)

    def __str__(self) -> str:
        return self.text
