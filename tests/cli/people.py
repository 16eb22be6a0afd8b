"""A small table of people as a CSV file, and runs fitted to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from .conftest import _inside, call

CITIES = ["Lima", "Oslo", "Rome, Italy"]


def people(n: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    age = random.normal(40, 12, n).round().clip(18, 80).astype(int)
    city = random.choice(CITIES, n, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame({"age": age, "sex": random.choice(["Female", "Male"], n), "city": city})
    frame["height"] = (random.normal(160, 5, n) + 12 * (frame.sex == "Male")).round(3)
    frame["joined"] = (np.datetime64("2020-01-01") + random.integers(0, 900, n).astype("m8[D]")).astype(str)
    frame["score"] = random.normal(age / 10, 0.5, n)
    return frame


def with_blanks(frame: pd.DataFrame, columns: list[str], share: float = 0.3, seed: int = 1) -> pd.DataFrame:
    """Text cells, so that everything else is written as it stands."""
    random = np.random.default_rng(seed)
    out = frame.astype(object)
    for name in columns:
        out.loc[random.random(len(frame)) < share, name] = None
    return out


def people_run(folder: Path, model: str, *words: object) -> Path:
    """A run on people whose score is missing now and then."""
    with _inside(folder):
        with_blanks(people(), ["score"], 0.2).to_csv("people.csv", index=False)
        result = call("fit", folder / "people.csv", "--model", model, "--threads", 1, "--out", folder / "run", *words)
    assert result.code == 0, result.err
    return folder / "run"
