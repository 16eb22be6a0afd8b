r"""Rows of mixed tables as vectors in which no column outweighs the others.

* A number x becomes the normal score :math:`\Phi^{-1}(u)` of its mid-rank among the training values,
  :math:`u = (\#\{x_i < x\} + \tfrac12 \#\{x_i = x\} + \tfrac12) / (n + 1)`: N(0, 1) for a column without ties, whatever
  its unit and its tails, and never infinite. So are dates, and the positions of ordinals.
* A category of K values becomes the vertices of a regular simplex in K - 1 dimensions with edges :math:`\sqrt 2`: the
  distances of one-hot vectors without their redundant dimension. A mismatch has squared distance 2, the mean squared
  difference of two normal scores.
* A missing cell becomes 0, the mean of either, and columns with missing cells have one more dimension that is 1 there.

Rare values are merged where a column has too many of them; `about` names it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...data import Data
from ...errors import InputError
from ...spaces import Column, Table
from .maps import Map, digest, some_rows

FEWEST, MOST = 3, 64
"""Values that a category keeps apart at least and at most, merged ones counted as one."""

_ROWS = 100_000
_CAPS = (MOST, 48, 32, 24, 16, 12, 8, 6, 4, FEWEST)

Encode = Callable[[Tensor], Tensor]
"""A column of cells (k,), NaN where missing, to (k, dimensions) float64."""


def encoded(data: Data, n: int | None = None, without: int | None = None) -> Map:
    """The map of a table, fitted on up to 100,000 training rows.

    Args:
        n: samples that will be compared: rare values are merged until there are n/10 dimensions, if that can be.
        without: a column to leave out, by its position.

    Raises:
        InputError: the data are not a table, or all columns are constant.
    """
    space = data.space
    if not isinstance(space, Table):
        raise InputError(
            f"features 'encoded' are of tables, and the data are {space.describe()}.",
            "Vectors have standardized, pictures pca64 and random, sequences of tokens ngrams.",
        )
    rows = some_rows(data.train, _ROWS).double()
    counts = {
        j: np.bincount(known(rows[:, j]).long().numpy(), minlength=len(c.categories))
        for j, c in enumerate(space.columns)
        if _is_category(c) and j != without
    }
    used = [j for j in range(len(space.columns)) if j != without]
    others = sum(_is_number(space.columns[j]) + space.columns[j].missing for j in used)
    cap = MOST
    for cap in _CAPS:
        total = others + sum(_kept(len(c), cap) - 1 for c in counts.values())
        if n is None or total <= n // 10:
            break
    encoders: list[tuple[int, Encode]] = []
    merged: list[str] = []
    dimension = 0
    for j in used:
        column = space.columns[j]
        if j in counts:
            size = _kept(len(counts[j]), cap) - 1
            if size:
                encoders.append((j, category(counts[j], cap)))
            if len(counts[j]) > cap:
                merged.append(f"{column.name}: {len(counts[j]) - cap + 1} rare values of {len(counts[j])} merged")
            dimension += size
        elif _is_number(column):
            encoders.append((j, normal_score(known(rows[:, j]), column.step)))
            dimension += 1
        if column.missing:
            encoders.append((j, lambda v: v.isnan().double()[:, None]))
            dimension += 1
    if dimension == 0:
        raise InputError("all columns of the table are constant: they have no features.", "Give columns that vary.")

    def apply(x: Tensor) -> Tensor:
        return torch.cat([encode(x[:, j]) for j, encode in encoders], 1)

    about = "numbers as normal scores of their training ranks, categories as vertices at equal distances"
    left = "" if without is None else f", without the column {space.columns[without].name!r}"
    about += left + (f" ({'; '.join(merged)})" if merged else "")
    return Map(dimension, about, digest("encoded/1", space.to_json(), cap, without, rows), apply)


def normal_score(values: Tensor, step: float | None) -> Encode:
    """Cells by their mid-ranks among training `values` (n,), missing ones 0; on a grid, nearly equal is equal."""
    ordered = values.sort().values
    n, slack = len(ordered), 1e-3 * (step or 0.0)  # 3 * 0.1 is not 0.3

    def encode(v: Tensor) -> Tensor:
        v = v.contiguous()
        below = torch.searchsorted(ordered, v - slack)
        until = torch.searchsorted(ordered, v + slack, right=True)
        u = (0.5 * (below + until).double() + 0.5) / (n + 1)
        return torch.special.ndtri(u).masked_fill(v.isnan(), 0.0)[:, None]

    return encode


def category(counts: np.ndarray, cap: int = MOST) -> Encode:
    """Positions 0..K-1 as vertices of a simplex; of more than `cap` values, the rarest in training share the last."""
    k = _kept(len(counts), cap)
    order = np.argsort(-counts, kind="stable")
    slot = np.empty(len(counts), dtype=np.int64)
    slot[order] = np.minimum(np.arange(len(counts)), k - 1)
    if k == len(counts):
        slot = np.arange(k)
    place, vertices = torch.from_numpy(slot), torch.cat([simplex(k), torch.zeros(1, k - 1, dtype=torch.float64)])

    def encode(v: Tensor) -> Tensor:
        missing = v.isnan()
        at = place[v.masked_fill(missing, 0.0).long()].masked_fill(missing, k)
        return vertices[at]

    return encode


def simplex(k: int) -> Tensor:
    r"""k points (k, k-1) around 0 at mutual distance :math:`\sqrt 2`: one-hot vectors by Helmert's contrasts."""
    contrasts = torch.zeros(k - 1, k, dtype=torch.float64)
    for i in range(1, k):
        contrasts[i - 1, :i] = (i * (i + 1)) ** -0.5
        contrasts[i - 1, i] = -((i / (i + 1)) ** 0.5)
    return contrasts.T.contiguous()


def known(values: Tensor) -> Tensor:
    """The cells that are not missing."""
    return values[~values.isnan()]


def _kept(values: int, cap: int) -> int:
    return max(1, min(values, cap))


def _is_category(column: Column) -> bool:
    return not column.is_number and column.kind != "ordinal"


def _is_number(column: Column) -> bool:
    return column.is_number or column.kind == "ordinal"
