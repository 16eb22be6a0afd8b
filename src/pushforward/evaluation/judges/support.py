"""What samples cover and what they get wrong: neighbourhoods, diversity, classes, known modes, columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ...spaces import Space
from ..features import Features
from ..floor import Scale
from .trial import Judge, Trial, info_of


def neighbours_judge(name: str, features: Features) -> Judge:
    """Coverage, density, precision and recall."""
    from ..metrics.neighbours import neighbour_statistics

    infos = (
        info_of(
            "coverage", "coverage", "support", "higher",
            "Share of held-out examples that have a sample nearer than their fifth real neighbour. Modes that samples "
            "leave out lower it; perfect samples reach the floor, which is below 1.",
            features, headline=True,
        ),
        info_of(
            "density", "density", "support", "higher",
            "How many real neighbourhoods a sample falls into, over the number expected of real data. Below the floor "
            "samples lie where data do not; far above 1 they crowd into the middle of the data.",
            features, perfect=1.0,
        ),
        info_of(
            "precision", "precision", "support", "higher",
            "Share of samples that lie within the fifth-neighbour ball of some real example. It says how many samples "
            "look real; one outlier among the data can raise it.",
            features,
        ),
        info_of(
            "recall", "recall", "support", "higher",
            "Share of real examples within the fifth-neighbour ball of some sample. It says how much of the data "
            "samples reach; scattered samples raise it.",
            features,
        ),
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        found = neighbour_statistics(trial.real.features(name), trial.sampled.features(name), k=5)
        return {k: getattr(found, k) for k in ("coverage", "density", "precision", "recall")}

    return Judge(infos, compute, {"coverage": "share", "precision": "share", "recall": "share"}, replicates=24)


def vendi_judge(name: str, features: Features) -> Judge:
    """The effective number of different samples."""
    from ..metrics.kernels import median_bandwidth
    from ..metrics.vendi import vendi_score

    info = info_of(
        "vendi", f"Vendi[{features.id}]", "support", "floor",
        "The effective number of different samples: exp of the entropy of the eigenvalues of their similarities. It "
        "needs no data, so only its nearness to the floor counts: lower is too alike, higher too scattered.",
        features,
    )  # fmt: skip
    width: list[float] = []

    def compute(trial: Trial) -> Mapping[str, float]:
        if not width:
            real = trial.real.features(name)
            width.append(median_bandwidth(real, real) / 2)
        return {"vendi": vendi_score(trial.sampled.features(name), bandwidth=width[0])}

    return Judge((info,), compute, {"vendi": "positive"}, rows=500, replicates=24)


def classes_judge(name: str, features: Features) -> Judge:
    """Shares of classes, as a classifier sees them."""
    key, deviate = f"classes:{name}", f"class-z:{name}"
    infos = (
        info_of(
            key, "class shares TV", "support", "lower",
            "Total variation between the classes that a classifier of the training data sees in samples and in "
            "held-out examples. It is the share of samples that would have to change class.",
            features, perfect=0.0, headline=True,
        ),
        info_of(
            deviate, "class z", "support", "lower",
            "How many standard deviations the class lies beyond chance whose share differs most. One class of many "
            "that is drawn too seldom shows here first.",
            features,
        ),
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        real, sampled = trial.real.probabilities(name), trial.sampled.probabilities(name)
        a, b = (torch.bincount(p.argmax(1), minlength=p.shape[1]).double() for p in (real, sampled))
        return {
            # Of mean probabilities, not of winners: steadier, and no less right about shares.
            key: float(0.5 * (real.mean(0) - sampled.mean(0)).abs().sum()),
            # Counts of two samples of one size: their difference has their sum as its variance.
            deviate: float(((a - b).abs() / (a + b).clamp_min(1).sqrt()).max()),
        }

    return Judge(infos, compute, {key: "positive", deviate: "positive"}, rows=10_000)


def inception_judge(name: str, features: Features) -> Judge:
    """The Inception score, with Inception's own classes."""
    from ..metrics.inception_score import inception_score

    info = info_of(
        "inception-score", "IS", "support", "higher",
        "Inception score: exp of the mean divergence of a sample's predicted classes from all samples' classes. It "
        "never looks at the data, and means little away from ImageNet.",
        features,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {"inception-score": inception_score(trial.sampled.probabilities(name), splits=10)[0]}

    return Judge((info,), compute, {"inception-score": "positive"}, rows=50_000)


def modes_judges(data: Any) -> list[Judge]:
    """Modes of a source whose modes are known; none for others."""
    from ..metrics.modes import known_modes, mode_coverage

    modes = known_modes(data)
    if modes is None:
        return []
    count = len(modes.centres)
    infos = (
        info_of(
            "modes", "modes", "modes", "higher",
            f"How many of the {count} modes have a sample within three standard deviations. Modes without one were "
            "dropped.",
            perfect=float(count), headline=True,
        ),
        info_of(
            "high-quality", "near a mode", "modes", "higher",
            "Share of samples within three standard deviations of a mode. The rest lies between modes, where there "
            "are no data.",
            headline=True,
        ),
        info_of(
            "mode-kl", "KL of masses", "modes", "lower",
            "Divergence in nats of the shares of samples at the modes from the modes' true weights. For perfect "
            "samples about (modes - 1) / 2n.",
            perfect=0.0,
        ),
        info_of(
            "mode-std", "std at modes", "modes", "floor",
            "Mean standard deviation of samples at a mode over the true one. Below 1 samples crowd at the centres, "
            "above 1 they are blurred.",
            perfect=1.0,
        ),
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        found = mode_coverage(trial.sampled.x, modes)
        return {
            "high-quality": found.high_quality,
            "mode-kl": found.kl,
            "mode-std": found.mean_std_ratio,
        }

    def known(n: int) -> Mapping[str, tuple[float, float]]:
        """Of how many modes n perfect samples miss: each with probability (1 - w)^n."""
        missed = ((1 - modes.weights).clamp_min(0) ** n).double()
        return {"modes": (count - float(missed.sum()), math.sqrt(float((missed * (1 - missed)).sum())))}

    found = Judge(infos[:1], lambda trial: {"modes": float(mode_coverage(trial.sampled.x, modes).found)}, known=known)
    scales: dict[str, Scale] = {"high-quality": "share", "mode-kl": "positive"}
    return [replace(found, rows=50_000, range=(0.0, float(count))), Judge(infos[1:], compute, scales, rows=50_000)]


def columns_judge(space: Space) -> Judge:
    """Columns and pairs of columns."""
    from ..metrics.column_tests import largest_deviate
    from ..metrics.columns import column_errors, mean_column_error, mean_pair_error, pair_errors, worst

    infos = [
        info_of(
            "columns", "columns", "columns", "lower",
            "Mean over columns of the distance of distributions: Kolmogorov-Smirnov for numbers, total variation for "
            "categories. 0.02 means that two percent of the mass of a typical column is in the wrong place.",
            perfect=0.0, headline=True,
        ),
        info_of(
            "worst-column", "worst column", "columns", "lower",
            "The same of the column that is furthest from the data. A mean over many columns can hide one that is "
            "wrong.",
            perfect=0.0,
        ),
        info_of(
            "column-z", "column z", "columns", "lower",
            "How many standard deviations beyond chance the column lies that differs most, by a test of its own. Small "
            "errors in one column of many show here first.",
        ),
    ]  # fmt: skip
    pairs = space.dimensions > 1
    if pairs:
        infos.append(
            info_of(
                "pairs", "pairs", "columns", "lower",
                "Mean over pairs of columns of the error of their dependence: rank correlations of numbers, tables of "
                "counts with categories. A model of independent columns does well on columns and badly here.",
                perfect=0.0, headline=True,
            )
        )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        real, sampled = trial.real.x, trial.sampled.x
        errors = column_errors(real, sampled, space)
        out = {"columns": mean_column_error(errors), "worst-column": worst(errors).value}
        out["column-z"] = largest_deviate(real, sampled, space)
        if pairs:
            out["pairs"] = mean_pair_error(pair_errors(real, sampled, space))
        return out

    return Judge(tuple(infos), compute, {i.key: "positive" for i in infos if i.key != "column-z"}, rows=10_000)
