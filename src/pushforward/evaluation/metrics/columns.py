r"""Tables column by column and pair by pair: where samples differ from real rows, and by how much.

Each error is a difference of probabilities or of rank correlations in [0, 1], and has a noise of its own at every n,
so all of them belong beside their floor.

- *A number*: the largest difference of probability over the events "missing", "at most t" and "more than t". Without
  missing cells that is the Kolmogorov-Smirnov statistic :math:`\sup_t |F(t) - G(t)|`; the share of missing cells is an
  event by itself, and the other events count over all rows.
- *A category* (and all that has named values): total variation :math:`\frac12 \sum_c |p_c - q_c|`, missing being a
  value.
- *Two numbers*: half the difference of Spearman's rank correlations, over rows where both are there. A column that does
  not vary depends on nothing: its correlations are 0.
- *Anything with a category*: total variation of the two-way table of counts; numbers are cut at the real data's
  deciles, missing cells being a part of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from ...errors import InputError
from ...spaces import Space, Table
from .inputs import pair


@dataclass(frozen=True)
class ColumnError:
    """One column's error: "KS" of numbers, "TV" of categories."""

    name: str
    measure: Literal["KS", "TV"]
    value: float


@dataclass(frozen=True)
class PairError:
    """The error of the dependence of columns a and b: "rank correlation" of numbers, "TV" with a category."""

    a: str
    b: str
    measure: Literal["rank correlation", "TV"]
    value: float


_Error = TypeVar("_Error", ColumnError, PairError)


def column_errors(real: Any, sampled: Any, space: Space | None = None) -> list[ColumnError]:
    """The error of every column of `sampled` (m, columns) against `real` (n, columns), in the columns' order.

    Args:
        space: a `Table`, whose rows have NaN where missing and positions of categories. Any other space, or none:
            vectors, whose columns are all numbers, called as the space calls them or x1, x2, ...

    Raises:
        InputError: no rows, another number of columns, infinite values (and NaN in vectors), no position of a category.
    """
    x, y, names, sizes = _columns(real, sampled, space)
    found = []
    for j, (name, size) in enumerate(zip(names, sizes)):
        if size is None:
            found.append(ColumnError(name, "KS", _kolmogorov(x[:, j], y[:, j])))
        else:
            found.append(ColumnError(name, "TV", _variation(_positions(x[:, j], size), _positions(y[:, j], size))))
    return found


def pair_errors(real: Any, sampled: Any, space: Space | None = None) -> list[PairError]:
    r"""The error of every pair of columns, in the order (1, 2), (1, 3), ...; arguments as in `column_errors`.

    The counts of a large two-way table are noisy: between equal distributions TV is about
    :math:`\sqrt{\text{cells} / (\pi n)}`.
    """
    x, y, names, sizes = _columns(real, sampled, space)
    parts = [_parts(x[:, j], y[:, j], size) for j, size in enumerate(sizes)] if any(s for s in sizes) else []
    numbers = [j for j, size in enumerate(sizes) if size is None]
    correlations = [_correlations(v, numbers) for v in (x, y)]
    place = {j: i for i, j in enumerate(numbers)}
    difference = ((correlations[0] - correlations[1]).abs() / 2).tolist()
    found = []
    for j in range(len(names)):
        for k in range(j + 1, len(names)):
            if sizes[j] is None and sizes[k] is None:
                measure, value = "rank correlation", difference[place[j]][place[k]]
            else:
                (a, b, _), (c, d, width) = parts[j], parts[k]
                measure, value = "TV", _variation(a * width + c, b * width + d)
            found.append(PairError(names[j], names[k], measure, value))  # type: ignore[arg-type]
    return found


def mean_column_error(errors: Sequence[ColumnError]) -> float:
    """The mean over columns. Raises InputError when there are none."""
    return _mean(errors, "columns")


def mean_pair_error(errors: Sequence[PairError]) -> float:
    """The mean over pairs of columns. Raises InputError when there are none."""
    return _mean(errors, "pairs of columns")


def worst(errors: Sequence[_Error]) -> _Error:
    """The column, or the pair, of the largest error; the first one of equals. Raises InputError when there are none."""
    if not errors:
        raise InputError("there are no errors to take the worst of.", "A pair needs two columns.")
    return max(errors, key=lambda e: e.value)


def _mean(errors: Sequence[ColumnError] | Sequence[PairError], what: str) -> float:
    if not errors:
        raise InputError(f"there are no {what} to take the mean over.", "A pair needs two columns.")
    return sum(e.value for e in errors) / len(errors)


def _columns(real: Any, sampled: Any, space: Space | None) -> tuple[Tensor, Tensor, tuple[str, ...], list[int | None]]:
    """Checked rows on the processor, names, and how many values each category has (None for numbers)."""
    table = isinstance(space, Table)
    x, y = (v.cpu() for v in pair(real, sampled, ("real", "sampled"), missing=table))
    if not isinstance(space, Table):
        names: tuple[str, ...] = getattr(space, "names", ())
        if len(names) != x.shape[1]:
            names = tuple(f"x{j + 1}" for j in range(x.shape[1]))
        return x, y, names, [None] * x.shape[1]
    if x.shape[1] != len(space.columns):
        raise InputError(f"real has {x.shape[1]} columns.", f"The table has {len(space.columns)}.")
    sizes: list[int | None] = [None if c.is_number else len(c.categories) for c in space.columns]
    for name, rows in (("real", x), ("sampled", y)):
        for j, size in enumerate(sizes):
            if size is None:
                continue
            v = rows[:, j]
            bad = ~v.isnan() & ((v < 0) | (v > size - 1) | (v != v.round()))
            if bool(bad.any()):
                row = int(bad.nonzero()[0])
                raise InputError(
                    f"{name}, row {row}, column {space.names[j]!r}: {float(v[row]):g} is no category.",
                    f"Allowed: positions 0 to {size - 1}, or NaN where missing.",
                )
    return x, y, space.names, sizes


def _kolmogorov(x: Tensor, y: Tensor) -> float:
    """The largest difference over "missing", "at most t" and "more than t"."""
    points = torch.cat([x, y])
    points = points[~points.isnan()].unique()
    below, missing = [], []
    for v in (x, y):
        seen = v[~v.isnan()].sort().values
        below.append(torch.searchsorted(seen, points, right=True).double() / len(v))
        missing.append(1 - len(seen) / len(v))
    at_most = below[0] - below[1]
    gap = missing[0] - missing[1]
    values = torch.cat([at_most, -gap - at_most, torch.tensor([gap], dtype=torch.float64)])
    return float(values.abs().max())


def _positions(v: Tensor, size: int) -> Tensor:
    """Categories as whole numbers, missing ones last."""
    return torch.where(v.isnan(), float(size), v).long()


def _parts(x: Tensor, y: Tensor, size: int | None) -> tuple[Tensor, Tensor, int]:
    """A column of both samples as parts of a two-way table, and how many parts there are."""
    if size is not None:
        return _positions(x, size), _positions(y, size), size + 1
    seen = x[~x.isnan()]
    steps = torch.arange(1, 10, dtype=torch.float64) / 10
    # Parts are (a, b]: a spike at the lowest value, such as zeros, is a part of its own.
    edges = seen.sort().values[(steps * (len(seen) - 1)).long()].unique() if len(seen) else seen
    a, b = (torch.where(v.isnan(), len(edges) + 1, torch.bucketize(v.nan_to_num(0.0), edges)) for v in (x, y))
    return a, b, len(edges) + 2


def _variation(a: Tensor, b: Tensor) -> float:
    """Total variation of two samples of whole numbers."""
    values, place = torch.cat([a, b]).unique(return_inverse=True)
    p = torch.bincount(place[: len(a)], minlength=len(values)).double() / len(a)
    q = torch.bincount(place[len(a) :], minlength=len(values)).double() / len(b)
    return float((p - q).abs().sum() / 2)


def _correlations(x: Tensor, numbers: list[int]) -> Tensor:
    """(k, k) Spearman's rank correlations of the columns `numbers` of x, each over the rows where both are there."""
    columns = [x[:, j] for j in numbers]
    holes = [bool(v.isnan().any()) for v in columns]
    whole = [i for i, h in enumerate(holes) if not h]
    result = torch.zeros(len(numbers), len(numbers), dtype=torch.float64)
    if whole:
        at = torch.tensor(whole)
        result[at[:, None], at] = _pearson(torch.stack([_ranks(columns[i]) for i in whole]))
    for i in range(len(numbers)):
        for k in range(i + 1, len(numbers)):
            if holes[i] or holes[k]:
                both = ~(columns[i].isnan() | columns[k].isnan())
                if int(both.sum()) > 1:
                    pair_ranks = torch.stack([_ranks(columns[i][both]), _ranks(columns[k][both])])
                    result[i, k] = result[k, i] = _pearson(pair_ranks)[0, 1]
    return result


def _ranks(v: Tensor) -> Tensor:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, place, counts = v.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2).double()[place]


def _pearson(v: Tensor) -> Tensor:
    """(k, k) correlations of the rows of v (k, n); 0 with a row that does not vary."""
    v = v - v.mean(1, keepdim=True)
    norm = v.norm(dim=1, keepdim=True)
    # Ranks that differ at all have a norm above 0.5; equal ones may have one of rounding.
    v = torch.where(norm > 1e-3, v / norm.clamp_min(1e-3), 0.0)
    return (v @ v.T).clamp(-1, 1)
