"""Whether samples are training examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..features import Features
from .trial import Judge, Trial, info_of


def copies_judge() -> Judge:
    """Exact copies of training rows."""
    from ..metrics.memorization import copies

    info = info_of(
        "copies", "copies", "memorization", "lower",
        "Share of samples that equal a training example in every number. Held-out examples, which no model was fitted "
        "to, have the share of the floor.",
        perfect=0.0, headline=True,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {"copies": copies(trial.sampled.x, trial.whole)}

    return Judge((info,), compute, {"copies": "share"}, replicates=24, unseen=True, range=(0.0, 1.0))


def memorization_judge(name: str, features: Features) -> Judge:
    """Samples nearer to training rows than new data are."""
    from ..metrics.memorization import HeldOut, TrainingSet, memorization

    known: dict[int, TrainingSet] = {}

    infos = (
        info_of(
            "authenticity", "authenticity", "memorization", "higher",
            "Share of samples that are further from their nearest training example than that example is from its own "
            "nearest. Copies have 0; new data have the floor, which depends on the dimension.",
            features,
        ),
        info_of(
            "near-copies", "near copies", "memorization", "lower",
            "Share of samples nearer to a training example than all but 1% of training examples are to each other. It "
            "sees copies whose last digits were changed; new data have about 0.01.",
            features,
        ),
        info_of(
            "data-copying", "C_T", "memorization", "floor",
            "z-score of samples' distances to the training data against those of held-out data, within cells. Well "
            "below 0 samples are nearer to the training data than new data are; well above it they are further away.",
            features, perfect=0.0,
        ),
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        train, real = trial.train.features(name), trial.real.features(name)
        if trial.key not in known:
            first = next(iter(known.values()), None)
            if first is None:
                known[trial.key] = TrainingSet.of(train, real)
            else:  # distances among training rows are the same for all sets of real rows
                known[trial.key] = replace(first, held_out=HeldOut.of(train, real))
        found = memorization(trial.sampled.features(name), known[trial.key])
        return {
            "authenticity": found.authenticity,
            "near-copies": found.near_copies,
            "data-copying": found.copying.z,
        }

    return Judge(infos, compute, {"authenticity": "share", "near-copies": "share"}, replicates=24)
