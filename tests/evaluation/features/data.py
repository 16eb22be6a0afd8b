"""Small data of every kind, and the same data with other held-out rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pushforward.data import Data, load
from pushforward.dataset import Dataset
from pushforward.noise import Noise


def table(folder: Path, n: int = 400, seed: int = 0) -> Data:
    """Numbers with heavy tails and missing cells, a category of two values and one of many."""
    generator = np.random.default_rng(seed)
    lines = ["income,hours,sex,town"]
    for i in range(n):
        income = "" if generator.random() < 0.1 else f"{generator.standard_cauchy() * 1000:.2f}"
        town = int(min(39, generator.exponential(6)))
        lines.append(f"{income},{20 + i % 31},{'fm'[int(generator.integers(2))]},town{town}")
    path = folder / "people.csv"
    path.write_text("\n".join(lines))
    return load(str(path))


def text(folder: Path) -> Data:
    """Windows of a text with a small alphabet."""
    generator = np.random.default_rng(0)
    path = folder / "text.txt"
    path.write_text("".join(generator.choice(["abra ", "cada ", "bra "], p=[0.5, 0.3, 0.2]) for _ in range(800)))
    return load(str(path), length=20)


def rows_of(part: Dataset) -> torch.Tensor:
    """All rows of a part."""
    index = torch.arange(len(part))
    x: torch.Tensor = part.gather(index, Noise.of(0, index=index))[0]
    return x


def with_other_held_out(data: Data) -> Data:
    """The same training rows; the validation and test rows are copies of one training row, with its condition."""

    def repeated(part: Dataset) -> Dataset:
        index = torch.zeros(len(part), dtype=torch.int64)
        x, condition = data.train.gather(index, Noise.of(0, index=index))
        return Dataset(x, condition, space=data.space, condition_space=data.condition_space)

    return replace(data, validation=repeated(data.validation), test=repeated(data.test))


def vectors(n: int = 500, d: int = 3, seed: int = 0, **options: Any) -> Data:
    """Correlated Gaussian columns of different units."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, d)) @ generator.normal(size=(d, d)) * 10.0 ** np.arange(d) + 5.0
    return load(x, **options)
