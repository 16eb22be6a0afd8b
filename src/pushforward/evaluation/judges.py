"""Which metrics are computed for which data, and what each of them means.

A `Judge` is one computation that gives one or several metrics of a `Trial`: real held-out rows, sampled rows, and the
training rows. All judges work on sets of the same size, in feature spaces that are fitted to the training rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..spaces import Pixels, Real, Space, Table
from .features import Features
from .floor import Scale
from .results import Better, MetricInfo


class Examples:
    """Rows of data with their features, each computed once."""

    def __init__(self, x: Tensor, maps: Mapping[str, Features], known: Mapping[str, Tensor] | None = None):
        self.x, self._maps, self._known = x, maps, dict(known or {})

    def __len__(self) -> int:
        return len(self.x)

    def features(self, name: str) -> Tensor:
        """(n, dimension) float64."""
        if name not in self._known:
            self._known[name] = self._maps[name].transform(self.x)
        return self._known[name]

    def probabilities(self, name: str) -> Tensor:
        """(n, classes) of a classifier."""
        key = f"{name}:probabilities"
        if key not in self._known:
            probabilities = self._maps[name].probabilities
            assert probabilities is not None
            self._known[key] = probabilities(self.x)
        return self._known[key]

    def computed(self, names: list[str]) -> Examples:
        """Itself, with these features computed, so that parts of it have them too."""
        for name in names:
            self.features(name)
            if self._maps[name].probabilities is not None:
                self.probabilities(name)
        return self

    def part(self, index: Tensor | slice) -> Examples:
        """Some of the rows, with the features that are known."""
        return Examples(self.x[index], self._maps, {k: v[index] for k, v in self._known.items()})


@dataclass
class Trial:
    """Real rows and sampled ones, equally many, and the training rows that samples might be copies of.

    Attributes:
        train: training rows among which near copies are sought. whole: all of those that exact ones are.
        key: of the set of real rows, so that what depends on it alone is computed once.
    """

    real: Examples
    sampled: Examples
    train: Examples
    whole: Tensor
    key: int = 0
    seed: int = 0

    def cut(self, rows: int) -> Trial:
        """The first so many rows of both."""
        if len(self.sampled) <= rows:
            return self
        return replace(self, real=self.real.part(slice(0, rows)), sampled=self.sampled.part(slice(0, rows)))


@dataclass(frozen=True)
class Judge:
    """One computation.

    Attributes:
        infos: what it gives. compute: a trial to values by key.
        scales: how each key is distributed ("plain" where it is not named); see `floor`.
        range: the least and the largest value that its metrics can have, None where there is none.
        rows: of each set at most; slow ones look at fewer. replicates: sets of real rows for the floor.
        known: of n rows, the mean and standard deviation for a perfect sampler by key, where theory gives them;
            exchangeable: only where held-out rows and training rows were dealt out at random.
        unseen: samples are compared with training rows alone, so that held-out rows give its floor.
        optional: computed only when it is asked for by name.
    """

    infos: tuple[MetricInfo, ...]
    compute: Callable[[Trial], Mapping[str, float]]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    rows: int = 2_000
    replicates: int = 48
    known: Callable[[int], Mapping[str, tuple[float, float]]] | None = None
    exchangeable: bool = False
    unseen: bool = False
    range: tuple[float | None, float | None] = (None, None)
    optional: bool = False

    def bounds(self, key: str) -> tuple[float | None, float | None]:
        """The least and the largest value that a metric can have, None where there is none."""
        by_scale = {"positive": (0.0, None), "share": (0.0, 1.0)}
        return by_scale.get(self.scales.get(key, "plain"), self.range)


def judges_for(data: Any, maps: Mapping[str, Features], *, inception: bool = False) -> list[Judge]:
    """The judges of a kind of data: `maps` are its feature spaces, the first being the main one."""
    space: Space = data.space
    found: list[Judge] = []
    main = next(iter(maps))
    found.append(_c2st(space, main, maps[main]))
    if isinstance(space, Pixels):
        found.append(_c2st_network())
    for name, features in maps.items():
        found.append(_frechet(name, features))
        if isinstance(space, Pixels):
            found.append(_kernel(name, features))
    found.append(_neighbours(main, maps[main]))
    found.append(_sliced(main, maps[main]))
    found.append(_mmd(main, maps[main]))
    found.append(_exact(main, maps[main]))
    found.append(_vendi(main, maps[main]))
    for name, features in maps.items():
        if features.probabilities is not None:
            found.append(_classes(name, features))
            if features.id == "inception":
                found.append(_inception(name, features))
    found += _modes(data)
    if isinstance(space, (Table, Real)) and len(space.shape) == 1:
        found.append(_columns(space))
    found.append(_copies())
    found.append(_memorization(main, maps[main]))
    found.append(_likelihood_distance(main, maps[main]))
    return found


def _info(
    key: str, label: str, group: str, better: Better, meaning: str, features: Features | None = None, **more: Any
) -> MetricInfo:
    about = "" if features is None else features.about
    return MetricInfo(key, label, group, better, meaning, features=about, **more)


def _c2st(space: Space, name: str, features: Features) -> Judge:
    table = isinstance(space, Table)
    about = "the cells of each row" if table else features.about
    info = replace(
        _info(
            "c2st", "C2ST", "distance", "lower",
            "Area under the ROC curve of gradient-boosted trees that tell samples from held-out rows they were not "
            "fitted to. 0.5 is chance: the samples cannot be told from data; 1 means that every one can.",
            perfect=0.5, headline=True,
        ),
        features=about,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        from .metrics.two_sample import c2st, categorical_columns

        if isinstance(space, Table):
            mask = categorical_columns(space)
            return {"c2st": c2st(trial.real.x, trial.sampled.x, categorical=mask, seed=trial.seed).auc}
        real, sampled = trial.real.features(name), trial.sampled.features(name)
        return {"c2st": c2st(real, sampled, seed=trial.seed).auc}

    return Judge((info,), compute, known=_chance("c2st"), exchangeable=True, replicates=8, range=(0.0, 1.0))


def _chance(key: str) -> Callable[[int], Mapping[str, tuple[float, float]]]:
    """Of an area under the curve when there is nothing to tell: Mann-Whitney's variance (2m + 1) / (12 m^2) of a fold
    with m = n/2 rows of each kind. The other fold is no second witness: what one is fitted to the other is tested on.
    """

    def known(n: int) -> Mapping[str, tuple[float, float]]:
        m = n / 2
        return {key: (0.5, math.sqrt((2 * m + 1) / (12 * m * m)))}

    return known


def _c2st_network() -> Judge:
    info = _info(
        "c2st-network", "C2ST (network)", "distance", "lower",
        "Area under the ROC curve of a small convolutional network that tells samples from held-out pictures it was "
        "not fitted to. 0.5 is chance; unlike features, it sees every pixel.",
        perfect=0.5,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        from .metrics.two_sample import c2st_network

        return {"c2st-network": c2st_network(trial.real.x, trial.sampled.x, seed=trial.seed).auc}

    known = _chance("c2st-network")
    return Judge((info,), compute, known=known, exchangeable=True, replicates=8, range=(0.0, 1.0), optional=True)


def _frechet(name: str, features: Features) -> Judge:
    from .metrics.frechet import frechet_distance

    key = f"frechet:{name}"
    label = "FID" if features.id == "inception" else f"FD[{features.id}]"
    info = _info(
        key, label, "distance", "lower",
        "Fréchet distance between Gaussians with the means and covariances of the features of samples and of data. It "
        "sees means, spreads and correlations of features and nothing beyond, and falls with n: read it beside its "
        "floor.",
        features, perfect=0.0, headline=True,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {key: frechet_distance(trial.real.features(name), trial.sampled.features(name))}

    return Judge((info,), compute, {key: "positive"}, rows=50_000)


def _kernel(name: str, features: Features) -> Judge:
    from .metrics.kernels import kernel_distance

    key = f"kernel:{name}"
    label = "KID" if features.id == "inception" else f"KD[{features.id}]"
    info = _info(
        key, label, "distance", "lower",
        "Squared maximum mean discrepancy of features under a cubic kernel, without bias: its expectation for perfect "
        "samples is 0 at any n. It can be negative by chance; compare its interval with 0 and with the floor.",
        features, perfect=0.0,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {key: kernel_distance(trial.real.features(name), trial.sampled.features(name))}

    return Judge((info,), compute, rows=1_000)


def _neighbours(name: str, features: Features) -> Judge:
    from .metrics.neighbours import neighbour_statistics

    infos = (
        _info(
            "coverage", "coverage", "support", "higher",
            "Share of held-out examples that have a sample nearer than their fifth real neighbour. Modes that samples "
            "leave out lower it; perfect samples reach the floor, which is below 1.",
            features, headline=True,
        ),
        _info(
            "density", "density", "support", "higher",
            "How many real neighbourhoods a sample falls into, over the number expected of real data. Below the floor "
            "samples lie where data do not; far above 1 they crowd into the middle of the data.",
            features, perfect=1.0,
        ),
        _info(
            "precision", "precision", "support", "higher",
            "Share of samples that lie within the fifth-neighbour ball of some real example. It says how many samples "
            "look real; one outlier among the data can raise it.",
            features,
        ),
        _info(
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


def _sliced(name: str, features: Features) -> Judge:
    from .metrics.wasserstein import sliced_wasserstein

    info = _info(
        "sliced", f"SW2[{features.id}]", "distance", "lower",
        "Sliced Wasserstein distance: root mean square over 128 random directions of the distance that the samples' "
        "projection must be moved. In the units of the features; it falls with n.",
        features, perfect=0.0,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {"sliced": sliced_wasserstein(trial.real.features(name), trial.sampled.features(name), seed=trial.seed)}

    return Judge((info,), compute, {"sliced": "positive"}, rows=10_000)


def _mmd(name: str, features: Features) -> Judge:
    from .metrics.kernels import median_bandwidth, mmd

    info = _info(
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


def _exact(name: str, features: Features) -> Judge:
    from .metrics.wasserstein import wasserstein

    words = (
        "Wasserstein distance of order {} between the first samples and as many held-out examples, by an optimal "
        "transport plan. In the units of the features; most of it is what any two finite sets have, so read it beside "
        "its floor."
    )
    infos = tuple(
        _info(f"w{p}", f"W{p}[{features.id}]", "distance", "lower", words.format(p), features, perfect=0.0)
        for p in (1, 2)
    )

    def compute(trial: Trial) -> Mapping[str, float]:
        real, sampled = trial.real.features(name), trial.sampled.features(name)
        return {f"w{p}": wasserstein(real, sampled, p=p) for p in (1, 2)}

    return Judge(infos, compute, {"w1": "positive", "w2": "positive"}, rows=500, replicates=24)


def _vendi(name: str, features: Features) -> Judge:
    from .metrics.kernels import median_bandwidth
    from .metrics.vendi import vendi_score

    info = _info(
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


def _classes(name: str, features: Features) -> Judge:
    key, deviate = f"classes:{name}", f"class-z:{name}"
    infos = (
        _info(
            key, "class shares TV", "support", "lower",
            "Total variation between the classes that a classifier of the training data sees in samples and in "
            "held-out examples. It is the share of samples that would have to change class.",
            features, perfect=0.0, headline=True,
        ),
        _info(
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


def _inception(name: str, features: Features) -> Judge:
    from .metrics.inception_score import inception_score

    info = _info(
        "inception-score", "IS", "support", "higher",
        "Inception score: exp of the mean divergence of a sample's predicted classes from all samples' classes. It "
        "never looks at the data, and means little away from ImageNet.",
        features,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {"inception-score": inception_score(trial.sampled.probabilities(name), splits=10)[0]}

    return Judge((info,), compute, {"inception-score": "positive"}, rows=50_000)


def _modes(data: Any) -> list[Judge]:
    from .metrics.modes import known_modes, mode_coverage

    modes = known_modes(data)
    if modes is None:
        return []
    count = len(modes.centres)
    infos = (
        _info(
            "modes", "modes", "modes", "higher",
            f"How many of the {count} modes have a sample within three standard deviations. Modes without one were "
            "dropped.",
            perfect=float(count), headline=True,
        ),
        _info(
            "high-quality", "near a mode", "modes", "higher",
            "Share of samples within three standard deviations of a mode. The rest lies between modes, where there "
            "are no data.",
            headline=True,
        ),
        _info(
            "mode-kl", "KL of masses", "modes", "lower",
            "Divergence in nats of the shares of samples at the modes from the modes' true weights. For perfect "
            "samples about (modes - 1) / 2n.",
            perfect=0.0,
        ),
        _info(
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


def _columns(space: Space) -> Judge:
    from .metrics.column_tests import largest_deviate
    from .metrics.columns import column_errors, mean_column_error, mean_pair_error, pair_errors, worst

    infos = [
        _info(
            "columns", "columns", "columns", "lower",
            "Mean over columns of the distance of distributions: Kolmogorov-Smirnov for numbers, total variation for "
            "categories. 0.02 means that two percent of the mass of a typical column is in the wrong place.",
            perfect=0.0, headline=True,
        ),
        _info(
            "worst-column", "worst column", "columns", "lower",
            "The same of the column that is furthest from the data. A mean over many columns can hide one that is "
            "wrong.",
            perfect=0.0,
        ),
        _info(
            "column-z", "column z", "columns", "lower",
            "How many standard deviations beyond chance the column lies that differs most, by a test of its own. Small "
            "errors in one column of many show here first.",
        ),
    ]  # fmt: skip
    pairs = space.dimensions > 1
    if pairs:
        infos.append(
            _info(
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


def _copies() -> Judge:
    from .metrics.memorization import copies

    info = _info(
        "copies", "copies", "memorization", "lower",
        "Share of samples that equal a training example in every number. Held-out examples, which no model was fitted "
        "to, have the share of the floor.",
        perfect=0.0, headline=True,
    )  # fmt: skip

    def compute(trial: Trial) -> Mapping[str, float]:
        return {"copies": copies(trial.sampled.x, trial.whole)}

    return Judge((info,), compute, {"copies": "share"}, replicates=24, unseen=True, range=(0.0, 1.0))


def _memorization(name: str, features: Features) -> Judge:
    from .metrics.memorization import HeldOut, TrainingSet, memorization

    known: dict[int, TrainingSet] = {}

    infos = (
        _info(
            "authenticity", "authenticity", "memorization", "higher",
            "Share of samples that are further from their nearest training example than that example is from its own "
            "nearest. Copies have 0; new data have the floor, which depends on the dimension.",
            features,
        ),
        _info(
            "near-copies", "near copies", "memorization", "lower",
            "Share of samples nearer to a training example than all but 1% of training examples are to each other. It "
            "sees copies whose last digits were changed; new data have about 0.01.",
            features,
        ),
        _info(
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


def _likelihood_distance(name: str, features: Features) -> Judge:
    from .metrics.likelihood_distance import feature_likelihood_distance

    infos = (
        _info(
            "fld", f"FLD[{features.id}]", "distance", "floor",
            "Feature likelihood distance: how badly a mixture of Gaussians around samples, as wide as the training "
            "data ask for, predicts held-out examples. The nearer to the floor the better: below it lie samples that "
            "are too narrow, above it those that are wrong or copied.",
            features,
        ),
        _info(
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


def as_tensor(x: Any) -> Tensor:
    """Samples as a tensor, however they came."""
    return x.detach().cpu() if isinstance(x, Tensor) else torch.as_tensor(np.array(x))
