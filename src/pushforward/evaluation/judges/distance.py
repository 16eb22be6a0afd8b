"""How far samples are from the data: classifiers, moments, kernels, transport, likelihoods of features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from ...spaces import Space, Table
from ..features import Features
from .trial import Judge, Trial, info_of


def c2st_judge(space: Space, name: str, features: Features) -> Judge:
    """Trees that tell samples from data, in features or in the cells of a table."""
    table = isinstance(space, Table)
    about = "the cells of each row" if table else features.about
    info = replace(
        info_of(
            "c2st", "C2ST", "distance", "lower",
            "Area under the ROC curve of gradient-boosted trees that tell samples from held-out rows they were not "
            "fitted to. 0.5 is chance: the samples cannot be told from data; 1 means that every one can.",
            perfect=0.5, headline=True,
        ),
        features=about,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        from ..metrics.two_sample import c2st, categorical_columns

        if isinstance(space, Table):
            mask = categorical_columns(space)
            return {"c2st": c2st(trial.real.x, trial.sampled.x, categorical=mask, seed=trial.seed).auc}
        real, sampled = trial.real.features(name), trial.sampled.features(name)
        return {"c2st": c2st(real, sampled, seed=trial.seed).auc}

    return Judge((info,), compute, known=chance("c2st"), exchangeable=True, replicates=8, range=(0.0, 1.0))


def chance(key: str) -> Callable[[int], Mapping[str, tuple[float, float]]]:
    """Of an area under the curve when there is nothing to tell: Mann-Whitney's variance (2m + 1) / (12 m^2) of a fold
    with m = n/2 rows of each kind. The other fold is no second witness: what one is fitted to the other is tested on.
    """

    def known(n: int) -> Mapping[str, tuple[float, float]]:
        m = n / 2
        return {key: (0.5, math.sqrt((2 * m + 1) / (12 * m * m)))}

    return known


def c2st_network_judge() -> Judge:
    """A small network that tells pictures apart by their pixels; on request."""
    info = info_of(
        "c2st-network", "C2ST (network)", "distance", "lower",
        "Area under the ROC curve of a small convolutional network that tells samples from held-out pictures it was "
        "not fitted to. 0.5 is chance; unlike features, it sees every pixel.",
        perfect=0.5,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        from ..metrics.two_sample import c2st_network

        return {"c2st-network": c2st_network(trial.real.x, trial.sampled.x, seed=trial.seed).auc}

    known = chance("c2st-network")
    return Judge((info,), compute, known=known, exchangeable=True, replicates=8, range=(0.0, 1.0), optional=True)


def frechet_judge(name: str, features: Features) -> Judge:
    """Fréchet distance of features."""
    from ..metrics.frechet import frechet_distance

    key = f"frechet:{name}"
    label = "FID" if features.id == "inception" else f"FD[{features.id}]"
    info = info_of(
        key, label, "distance", "lower",
        "Fréchet distance between Gaussians with the means and covariances of the features of samples and of data. It "
        "sees means, spreads and correlations of features and nothing beyond, and falls with n: read it beside its "
        "floor.",
        features, perfect=0.0, headline=True,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {key: frechet_distance(trial.real.features(name), trial.sampled.features(name))}

    return Judge((info,), compute, {key: "positive"}, rows=50_000)


def kernel_judge(name: str, features: Features) -> Judge:
    """Kernel distance of features of pictures."""
    from ..metrics.kernels import kernel_distance

    key = f"kernel:{name}"
    label = "KID" if features.id == "inception" else f"KD[{features.id}]"
    info = info_of(
        key, label, "distance", "lower",
        "Squared maximum mean discrepancy of features under a cubic kernel, without bias: its expectation for perfect "
        "samples is 0 at any n. It can be negative by chance; compare its interval with 0 and with the floor.",
        features, perfect=0.0,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {key: kernel_distance(trial.real.features(name), trial.sampled.features(name))}

    return Judge((info,), compute, rows=1_000)


def sliced_judge(name: str, features: Features) -> Judge:
    """Sliced Wasserstein distance of features."""
    from ..metrics.wasserstein import sliced_wasserstein

    info = info_of(
        "sliced", f"SW2[{features.id}]", "distance", "lower",
        "Sliced Wasserstein distance: root mean square over 128 random directions of the distance that the samples' "
        "projection must be moved. In the units of the features; it falls with n.",
        features, perfect=0.0,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {"sliced": sliced_wasserstein(trial.real.features(name), trial.sampled.features(name), seed=trial.seed)}

    return Judge((info,), compute, {"sliced": "positive"}, rows=10_000)


def mmd_judge(name: str, features: Features) -> Judge:
    """Maximum mean discrepancy of features."""
    from ..metrics.kernels import median_bandwidth, mmd

    info = info_of(
        "mmd", f"MMD[{features.id}]", "distance", "lower",
        "Maximum mean discrepancy under a Gaussian kernel as wide as the median distance of real examples. It lies "
        "between 0 and 1.4, sees differences of about that width best, and falls with n: read it beside its floor.",
        features, perfect=0.0,
    )  # fmt: skip
    width: list[float] = []

    def compute(trial: Trial) -> Mapping[str, float]:
        real = trial.real.features(name)
        if not width:  # of the first held-out rows that are judged, and the same ever after
            width.append(median_bandwidth(real, real))
        return {"mmd": mmd(real, trial.sampled.features(name), bandwidth=width[0])}

    return Judge((info,), compute, {"mmd": "positive"}, rows=1_000)


def exact_judge(name: str, features: Features) -> Judge:
    """Exact Wasserstein distances of a few rows."""
    from ..metrics.wasserstein import wasserstein

    words = (
        "Wasserstein distance of order {} between the first samples and as many held-out examples, by an optimal "
        "transport plan. In the units of the features; most of it is what any two finite sets have, so read it beside "
        "its floor."
    )
    infos = tuple(
        info_of(f"w{p}", f"W{p}[{features.id}]", "distance", "lower", words.format(p), features, perfect=0.0)
        for p in (1, 2)
    )

    def compute(trial: Trial) -> Mapping[str, float]:
        real, sampled = trial.real.features(name), trial.sampled.features(name)
        return {f"w{p}": wasserstein(real, sampled, p=p) for p in (1, 2)}

    return Judge(infos, compute, {"w1": "positive", "w2": "positive"}, rows=500, replicates=24)


def likelihood_distance_judge(name: str, features: Features) -> Judge:
    """Feature likelihood distance, and its gap between training and held-out rows."""
    from ..metrics.likelihood_distance import feature_likelihood_distance

    infos = (
        info_of(
            "fld", f"FLD[{features.id}]", "distance", "floor",
            "Feature likelihood distance: how badly a mixture of Gaussians around samples, as wide as the training "
            "data ask for, predicts held-out examples. The nearer to the floor the better: below it lie samples that "
            "are too narrow, above it those that are wrong or copied.",
            features,
        ),
        info_of(
            "fld-gap", "FLD gap", "memorization", "higher",
            "How much better the same mixture predicts training examples than held-out ones, negated. Below the floor "
            "samples know the training data better than the distribution.",
            features, perfect=0.0,
        ),
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        train = trial.train.features(name)[: len(trial.real)]
        found = feature_likelihood_distance(trial.sampled.features(name), train, trial.real.features(name))
        return {"fld": found.value, "fld-gap": found.gap}

    return Judge(infos, compute, rows=500, replicates=24)
