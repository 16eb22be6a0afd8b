"""Every test draws the same numbers whichever tests ran before it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _own_draws(request: pytest.FixtureRequest) -> None:
    generator = getattr(request.module, "GENERATOR", None)
    if generator is not None:
        generator.manual_seed(1)
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(1)
