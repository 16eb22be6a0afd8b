"""Modes of the ring: who finds all eight, and how quickly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .catalogue import Entry, Study, Target

STD = 0.05
SAMPLES = 10_000


def measure(model: Any, data: Any, entry: Entry, seed: int) -> Mapping[str, float]:
    from ..evaluation.metrics.modes import count_modes, ring_centres

    found = count_modes(model.sample(SAMPLES, seed=seed, **entry.sampling), ring_centres(), STD)
    return {"modes": found.found, "high_quality": found.high_quality}


def reference(data: Any) -> Mapping[str, Mapping[str, float]]:
    from ..evaluation.metrics.modes import count_modes, perfect_share, ring_centres

    real = count_modes(data.test.all()[0], ring_centres(), STD)
    return {
        "perfect sampler (exact)": {"modes": 8, "high_quality": perfect_share()},
        f"held-out data (n = {len(data.test):,})": {"modes": real.found, "high_quality": real.high_quality},
    }


_ALL_MODES = (Target("modes", at_least=8), Target("seconds", at_most=60))

STUDY = Study(
    name="ring-modes",
    title="Modes found of eight Gaussians (std 0.05) on a circle of radius 1, and the share of samples near one",
    data="ring",
    models=(
        Entry("gmm"),
        Entry("kde"),
        Entry("real-nvp", {"steps": 1500}),
        Entry("flow-matching", {"steps": 4000}, targets=_ALL_MODES),
        Entry("ddpm", {"steps": 4000}, targets=_ALL_MODES),
        Entry("vae", {"steps": 4000}),
        Entry("gan", {"steps": 4000}),
    ),
    values={
        "modes": "modes of 8 with at least one sample within three standard deviations",
        "high_quality": f"share of {SAMPLES:,} samples within three standard deviations of a mode",
        "seconds": "of the whole fit, on the processor",
    },
    measure=measure,
    reference=reference,
    seeds=3,
)
