r"""Principal components of training rows: :math:`f(x) = V_k^T (x - \bar x)`, in float64."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...data import Data
from ...errors import InputError
from ...noise import Noise
from ...spaces import Interval, Pixels, Space
from .maps import Map, block_of, digest, is_picture, row_limit, training_rows
from .tables import encoded
from .text import frequencies
from .vectors import standardized

SIDE = 64
"""Pictures with a longer side are averaged down to it."""

_DENSE = 1024
_RANK = 1e-10
"""Directions with a smaller share of the largest variance are not there: a hundred thousandth of its deviation."""


def flat(data: Data, n: int | None = None) -> Map:
    """The vectors that networks and principal components work on: of pictures their values, else the base features.

    Pixels are divided by their highest level, so that they lie in [0, 1]; pictures above 64 pixels a side are
    averaged over areas.
    """
    space = data.space
    if is_picture(space):
        shape = (space.shape[0], *shrunk(space.shape[1], space.shape[2]))
        size = "" if shape == space.shape else f" averaged to {shape[1]}x{shape[2]}"
        unit = f"pixels / {space.levels - 1}" if isinstance(space, Pixels) else "values of pictures"
        return Map(
            int(np.prod(shape)),
            unit + size,
            digest("pictures/1", space.to_json(), shape),
            lambda x: shrink(values(space, x, torch.float64)).flatten(1),
            block_of(space.dimensions),
        )
    if space.kind == "table":
        return encoded(data, n)
    if space.kind == "tokens":
        return frequencies(data)
    return standardized(data)[1]


def pca(data: Data, base: Map, wanted: int) -> Map:
    """The first `wanted` principal components of up to 10,000 training rows through `base`.

    Fewer when the rows have fewer dimensions or a lower rank. Signs are such that the largest entry of each component
    is positive.

    Raises:
        InputError: all training rows are the same.
    """
    rows = training_rows(data, row_limit(base.dimension))
    x = torch.cat([base.apply(part).double() for part in rows.split(base.block)])
    if bool((x == x[0]).all()):
        raise InputError("all training rows are the same: they have no principal components.", "Give data that vary.")
    mean = x.mean(0)
    components = principal(x - mean, wanted)
    k = len(components)
    about = f"the first {k} principal component{'s' * (k > 1)} of {base.about}, by {len(rows):,} training rows"
    return Map(
        k,
        about,
        digest("pca/1", base.hash, k, rows),
        lambda v: (base.apply(v).double() - mean) @ components.T,
        base.block,
    )


def principal(x: Tensor, wanted: int) -> Tensor:
    """Leading eigenvectors (k, d) of x^T x for centred rows (n, d), k at most `wanted` and at most the rank.

    The smaller of x^T x and x x^T is decomposed: densely, or by Lanczos iterations to machine precision when it is
    large and few are wanted (ARPACK; Lehoucq, Sorensen, Yang 1998).
    """
    n, d = x.shape
    unit = float(x.abs().max())
    if unit == 0:
        return x[:0]
    x = x / unit
    gram = x @ x.T if n < d else x.T @ x
    p = len(gram)
    k = min(wanted, p)
    if p <= _DENSE or 4 * k > p:
        values, vectors = torch.linalg.eigh(gram)
        values, vectors = values.flip(0)[:k], vectors.flip(1)[:, :k]
    else:
        from scipy.sparse.linalg import eigsh

        start = Noise.of(0, 94, index=torch.arange(p)).normal(1, dtype=torch.float64)[:, 0]
        found, basis = eigsh(gram.numpy(), k=k, v0=start.numpy(), tol=0)
        order = np.argsort(-found)
        values, vectors = torch.from_numpy(found[order].copy()), torch.from_numpy(basis[:, order].copy())
    rank = int((values > _RANK * values[0]).sum())
    vectors = vectors[:, :rank]
    if n < d:
        # x^T u has length sqrt(lambda); the last ones lose digits, which orthogonalizing gives back.
        vectors = torch.linalg.qr(x.T @ vectors / values[:rank].sqrt())[0]
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return (vectors * torch.where(largest < 0, -1.0, 1.0)).T.contiguous()


# ------------------------------------------------------------------------------------------------- pictures


def values(space: Space, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Pictures as numbers: pixels in [0, 1], the interval [-1, 1] as [0, 1], other real numbers as they are."""
    x = x.to(dtype)
    if isinstance(space, Pixels):
        return x / (space.levels - 1)
    return (x + 1) / 2 if isinstance(space, Interval) else x


def shrunk(height: int, width: int) -> tuple[int, int]:
    """The size that pictures are averaged to: their own up to 64 pixels a side."""
    longest = max(height, width)
    if longest <= SIDE:
        return height, width
    return max(1, round(height * SIDE / longest)), max(1, round(width * SIDE / longest))


def shrink(x: Tensor) -> Tensor:
    """Pictures (n, c, h, w) averaged over areas to at most 64 pixels a side."""
    size = shrunk(x.shape[2], x.shape[3])
    return x if size == tuple(x.shape[2:]) else torch.nn.functional.adaptive_avg_pool2d(x, size)
