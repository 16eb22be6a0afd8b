r"""Labelled pictures through a classifier: does each sample look like one class, and do the classes come as often?

The two halves of the Inception score's idea (Salimans et al. 2016, arXiv:1606.03498, section 4) kept apart, with a
classifier trained on the data itself. Both belong beside their floor, the same numbers for held-out real data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import PushforwardError


@dataclass(frozen=True)
class ClassQuality:
    """Mean probability of the most likely class, and total variation of the predicted classes from the real ones."""

    top_probability: float
    total_variation: float


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    r""":math:`\frac12 \sum_k |p_k - q_k|` of two distributions given as counts or frequencies, in [0, 1]."""
    p, q = np.asarray(p, dtype=float), np.asarray(q, dtype=float)
    return float(0.5 * np.abs(p / p.sum() - q / q.sum()).sum())


class PictureClassifier:
    """One support vector machine a class against the rest, each calibrated by Platt's sigmoid (Platt 1999).

    The probabilities of the classes are not made to add up to one. A picture unlike every class then has small
    probabilities throughout (noise: about 0.06 on the digits), where normalized ones would still name a class with
    confidence (0.65, and 0.89 with multi-class calibration), so that they could not tell samples from noise.

    Args:
        x: pictures (n, ...) of any range. labels: (n,), of two classes or more.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, *, seed: int = 0):
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.model_selection import StratifiedKFold
        from sklearn.svm import SVC

        self.classes = np.unique(labels)
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        # gamma="scale" divides by the variance of all pixels, so that the range of the pictures does not matter.
        self.machines: list[Any] = [
            CalibratedClassifierCV(SVC(C=10.0, gamma="scale"), method="sigmoid", cv=folds, ensemble=False).fit(
                _flat(x), labels == c
            )
            for c in self.classes
        ]

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """(n, classes): the probability of each class against the rest."""
        return np.stack([machine.predict_proba(_flat(x))[:, 1] for machine in self.machines], axis=1)

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Share of pictures whose most likely class is the right one."""
        return float((self.classes[self.probabilities(x).argmax(axis=1)] == labels).mean())

    def quality(self, samples: np.ndarray, real_labels: np.ndarray) -> ClassQuality:
        """Quality of samples (n, ...), against the class frequencies of `real_labels`.

        Raises:
            PushforwardError: there are no samples.
        """
        if len(samples) == 0:
            raise PushforwardError("there are no samples to classify.")
        probabilities = self.probabilities(samples)
        predicted = np.bincount(probabilities.argmax(axis=1), minlength=len(self.classes))
        real = np.array([(real_labels == c).sum() for c in self.classes])
        return ClassQuality(float(probabilities.max(axis=1).mean()), total_variation(predicted, real))


def independent_pixels(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Pictures with every pixel's distribution and no dependence: each pixel drawn from the data on its own.

    The calibrating row of a table of samplers: what learning the marginals alone is worth.
    """
    generator = np.random.default_rng(seed)
    flat = x.reshape(len(x), -1)
    mixed = np.stack([generator.permutation(flat[:, j]) for j in range(flat.shape[1])], axis=1)
    return mixed.reshape(x.shape)


def _flat(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    return x.reshape(len(x), -1)
