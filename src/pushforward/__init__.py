"""Deep generative models on your own data, under one contract: fit, sample, log_prob, encode, decode.

>>> import pushforward as pf
>>> data = pf.load("ring")
>>> model = pf.fit("real-nvp", data, steps=200)
>>> model.sample(4).shape
torch.Size([4, 2])

Importing this package is cheap: torch is imported when a name that needs it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "load": "data",
    "Data": "data",
    "read_like": "data",
    "to_table": "data",
    "fit": "training",
    "open_run": "training",
    "save": "training",
    "Run": "training",
    "evaluate": "evaluation.evaluate",
    "compare": "evaluation.compare",
    "Report": "evaluation.results",
    "build": "registry",
    "models": "registry",
    "Batch": "game",
    "Player": "game",
    "Stage": "game",
    "sum_losses": "game",
    "GenerativeModel": "model",
    "Autoencoder": "model",
    "LogProb": "likelihood",
    "Dataset": "dataset",
    "Noise": "noise",
    "moments": "quantities",
    "expectation": "quantities",
    "probability": "quantities",
    "Estimate": "quantities",
    "Moments": "quantities",
    "Real": "spaces",
    "Pixels": "spaces",
    "Classes": "spaces",
    "Tokens": "spaces",
    "Sphere": "spaces",
    "Torus": "spaces",
    "Table": "spaces",
    "Column": "spaces",
    "Settings": "config",
    "OptimizerSettings": "config",
    "NetworkSettings": "config",
    "InputError": "errors",
    "DensityUnavailable": "errors",
    "PushforwardError": "errors",
}

_MODULES = ("divergences",)
"""Parts that are used by their own name: `pf.divergences.kl`."""

__all__ = [*_NAMES, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _NAMES:
        raise AttributeError(f"module 'pushforward' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:  # for type checkers and editors
    from . import divergences
    from .config import NetworkSettings, OptimizerSettings, Settings
    from .data import Data, load, read_like, to_table
    from .dataset import Dataset
    from .errors import DensityUnavailable, InputError, PushforwardError
    from .evaluation.compare import compare
    from .evaluation.evaluate import evaluate
    from .evaluation.results import Report
    from .game import Batch, Player, Stage, sum_losses
    from .likelihood import LogProb
    from .model import Autoencoder, GenerativeModel
    from .noise import Noise
    from .quantities import Estimate, Moments, expectation, moments, probability
    from .registry import build, models
    from .spaces import Classes, Column, Pixels, Real, Sphere, Table, Tokens, Torus
    from .training import Run, fit, open_run, save
