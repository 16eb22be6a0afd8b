"""One typed answer to "how likely is this?" for every family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

Bound = Literal["exact", "lower"]


@dataclass
class LogProb:
    r"""Log-likelihoods of n examples, in nats, with what is known about their error.

    Attributes:
        values: (n,) nats per example, against the base measure named in `unit`.
        bound: "exact", or "lower" when the truth is at least this large (in expectation over `draws`).
        standard_error: (n,) Monte Carlo standard error of `values`, or None when nothing was drawn.
        draws: how many random draws an estimate averages, or None.
        solver_error: (n,) estimated discretization error of a numerical solver, or None.
        unit: what one nat is a nat of, e.g. "nats per example (density over 2 real numbers)".
        dimensions: numbers per example, for `bits_per_dimension`.
        terms: the parts that add up to `values` (reconstruction, kl, log_det, ...), each (n,).
    """

    values: Tensor
    bound: Bound = "exact"
    standard_error: Tensor | None = None
    draws: int | None = None
    solver_error: Tensor | None = None
    unit: str = "nats per example"
    dimensions: int | None = None
    terms: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """ "exact", "lower bound", "estimate", or "estimate of a lower bound".

        A one-sample bound (an ELBO) is called a lower bound: it holds in expectation. A bound whose *value* is
        itself approximated (a random trace, an ODE solver) is an estimate of a lower bound.
        """
        estimated = self.solver_error is not None or (self.standard_error is not None and self.bound == "exact")
        if self.bound == "lower":
            return "estimate of a lower bound" if estimated else "lower bound"
        return "estimate" if estimated else "exact"

    def __len__(self) -> int:
        return len(self.values)

    def mean(self) -> float:
        """Mean nats per example."""
        return float(self.values.double().mean())

    def bits_per_dimension(self) -> Tensor:
        r""":math:`-\log p(x) / (D \ln 2)`, (n,): lower is better. Meaningful for discrete data."""
        if not self.dimensions:
            raise ValueError("bits per dimension need the number of dimensions")
        return -self.values / (self.dimensions * math.log(2.0))

    @staticmethod
    def cat(parts: Sequence[LogProb]) -> LogProb:
        """Join chunks of one evaluation."""
        first = parts[0]

        def join(name: str) -> Tensor | None:
            return None if getattr(first, name) is None else torch.cat([getattr(p, name) for p in parts])

        return LogProb(
            torch.cat([p.values for p in parts]),
            first.bound,
            join("standard_error"),
            first.draws,
            join("solver_error"),
            first.unit,
            first.dimensions,
            {k: torch.cat([p.terms[k] for p in parts]) for k in first.terms},
        )

    def __repr__(self) -> str:
        return f"LogProb(n={len(self)}, mean={self.mean():.4f} {self.unit}, {self.kind})"
