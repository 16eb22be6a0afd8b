"""Small tables and models whose conditional distributions are known."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pushforward.dataset import Dataset
from pushforward.families.adapted import Adapted
from pushforward.noise import Noise
from pushforward.registry import build
from pushforward.spaces import Column, Space, Table

COVARIANCE = np.array([[1.0, 1.4, 0.9], [1.4, 4.0, 2.0], [0.9, 2.0, 9.0]])
MEAN = np.array([0.0, 5.0, -10.0])
GAUSSIAN = Table(tuple(Column(name, "continuous", low=-1e3, high=1e3) for name in "abc"))
CITIES = ("Cuba", "Fiji", "Laos", "Peru")
GRADES = ("high", "low", "middle")


def gaussian_rows(n: int = 2_000, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, n))


def fitted(
    name: str, x: Tensor, space: Space, condition: Any = None, condition_space: Any = None, **options: Any
) -> Adapted:
    """A model of rows, started as a fit starts it: closed forms are done, networks as they are built."""
    model = build(name, space, condition_space, options)
    data = Dataset(x, condition, space=space, condition_space=condition_space)
    model.remember_conditions(data)
    model.initialize(x, condition)
    assert isinstance(model, Adapted)
    return model.eval()


@functools.lru_cache(None)
def gaussian_model() -> Adapted:
    """One Gaussian over three dependent columns, without any curve."""
    return fitted("gmm", gaussian_rows(), GAUSSIAN, components=1, covariance="full", table={"transform": "standardize"})


def moments(model: Adapted) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of `gaussian_model`'s rows, by its own parameters."""
    core, pre = model.core, model.preprocess_data
    corners = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double()
    x = pre.inverse(corners)
    origin, scale = x[0], (x[1:] - x[0]).diagonal()
    factor = scale[:, None] * core.factor[0, 0]
    return (origin + scale * core.means[0, 0]).numpy(), (factor @ factor.T).numpy()


def conditional(
    mean: np.ndarray, covariance: np.ndarray, known: list[int], values: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the other columns."""
    rest = [j for j in range(len(mean)) if j not in known]
    gain = covariance[np.ix_(rest, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    return (
        mean[rest] + gain @ (np.asarray(values) - mean[known]),
        covariance[np.ix_(rest, rest)] - gain @ covariance[np.ix_(known, rest)],
    )


def mixed(missing: bool = True) -> Table:
    return Table(
        (
            Column("age", "integer", low=17, high=90, step=1.0, missing=missing, stored="int64"),
            Column("city", "category", CITIES, missing=missing, stored="string"),
            Column("level", "integer", low=1, high=6, step=1.0, missing=missing, stored="int64"),
            Column("grade", "category", GRADES, missing=missing, stored="string"),
            Column("gain", "continuous", low=0.0, high=1e5),
            Column("score", "continuous", low=-50.0, high=50.0, missing=missing),
            Column("member", "boolean", ("no", "yes"), stored="string"),
        )
    )


def mixed_rows(n: int = 2_000, missing: bool = True, seed: int = 0) -> Tensor:
    """Dependent columns; `grade` is a function of `level`, whose value 6 never comes."""
    random = np.random.default_rng(seed)
    age = random.normal(40, 13, n).round().clip(17, 90)
    level = (age / 16 + random.normal(0, 1, n)).round().clip(1, 5)
    grade = np.array([np.nan, 1, 1, 2, 2, 0])[level.astype(int)]
    city = np.where(random.random(n) < 0.7, 3, random.choice(4, n, p=[0.4, 0.1, 0.2, 0.3]))
    gain = np.where(random.random(n) < 0.8, 0.0, np.exp(random.normal(3 + age / 40, 1)))
    score = random.normal(age / 10 - city, 1)
    member = random.random(n) < 0.2 + 0.1 * city
    x = np.stack([age, city, level, grade, gain, score, member], axis=1)
    if missing:
        holes = random.random(x.shape) < 0.2
        holes[:, [4, 6]] = False
        x[holes] = np.nan
    return torch.from_numpy(x)


@functools.lru_cache(None)
def mixed_model(name: str = "gmm", missing: bool = True, categories: str = "interval") -> Adapted:
    options: dict[str, Any] = {"table": {"categories": categories}}
    if name == "gmm":
        options |= {"components": 3, "covariance": "full"}
    if name == "kde":
        options |= {"bandwidth": 0.4}
    return fitted(name, mixed_rows(missing=missing), mixed(missing), **options)


def uniform_noise(n: int, seed: int = 0) -> Noise:
    return Noise.of(seed, index=torch.arange(n))
