"""Samplers that nobody would use, to read numbers by: what copying, independence, a Gaussian and noise get."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import PushforwardError
from ..spaces import Pixels, Space, Sphere, Table, Tokens, Torus

GAUSSIAN_ROWS = 5_000
"""Training rows that the Gaussian is fitted to, at most."""

ABOUT = {
    "copycat": "training examples again, drawn with replacement",
    "independent": "every number from its own distribution, none depending on another",
    "gaussian": "one Gaussian with the training data's mean and full covariance",
    "noise": "uniform over the range of the data",
}


def calibrations(data: Any, train: Tensor, n: int, seed: int = 0) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Names of `ABOUT` and functions that draw n rows (n, *shape); each may raise PushforwardError where it has no
    meaning for the space.
    """
    space = data.space
    yield "copycat", lambda: train[torch.from_numpy(_generator(seed, 0).integers(0, len(train), n))]
    yield "independent", lambda: _independent(space, train, n, seed)
    yield "gaussian", lambda: _gaussian(data, train, n, seed)
    yield "noise", lambda: _noise(space, train, n, seed)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, 7, stream])


def _independent(space: Space, train: Tensor, n: int, seed: int) -> Tensor:
    if isinstance(space, Sphere):
        raise PushforwardError("the coordinates of a point on a sphere depend on each other.")
    flat = train.reshape(len(train), -1)
    rows = _generator(seed, 1).integers(0, len(flat), (n, flat.shape[1]))
    return torch.take_along_dim(flat, torch.from_numpy(rows), dim=0).reshape(n, *train.shape[1:])


def _gaussian(data: Any, train: Tensor, n: int, seed: int) -> Tensor:
    """By the mixture of one component, so that tables, pixels and vectors come back in their own units."""
    from ..registry import build

    if not isinstance(data.space, (Table, Pixels)) and data.space.kind != "real":
        raise PushforwardError(f"{data.space.describe()} have no Gaussian.")
    model = build("gmm", data.space, overrides={"components": 1, "covariance": "full"})
    rows = torch.from_numpy(_generator(seed, 2).permutation(len(train))[:GAUSSIAN_ROWS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, about a fit that is only here to compare with
        model.initialize(train[rows])
    drawn: Tensor = model.sample(n, seed=seed)
    return drawn


def _noise(space: Space, train: Tensor, n: int, seed: int) -> Tensor:
    generator = _generator(seed, 3)
    if isinstance(space, Pixels):
        return torch.from_numpy(generator.integers(0, space.levels, (n, *space.shape))).to(space.dtype)
    if isinstance(space, Tokens):
        return torch.from_numpy(generator.integers(0, space.vocabulary, (n, *space.shape)))
    if isinstance(space, Sphere):
        x = torch.from_numpy(generator.standard_normal((n, *space.shape)))
        return (x / x.norm(dim=1, keepdim=True)).to(train.dtype)
    if isinstance(space, Torus):
        return torch.from_numpy(generator.uniform(-np.pi, np.pi, (n, *space.shape)))
    if isinstance(space, Table):
        return _table_noise(space, n, generator)
    low, high = train.amin(0).double().numpy(), train.amax(0).double().numpy()
    return torch.from_numpy(generator.uniform(low, high, (n, *space.shape))).to(train.dtype)


def _table_noise(space: Table, n: int, generator: np.random.Generator) -> Tensor:
    columns = []
    for column in space.columns:
        if not column.is_number:
            columns.append(generator.integers(0, max(1, len(column.categories)), n).astype(np.float64))
            continue
        x = generator.uniform(column.low, column.high, n)
        columns.append(x if column.step is None else np.round(x / column.step) * column.step)
    return torch.from_numpy(np.stack(columns, 1))
