r"""Labelled pictures through a classifier: does each sample look like one class, and do the classes come as often?

The first two numbers of the Inception score's idea (Salimans et al. 2016, arXiv:1606.03498, section 4) kept apart, with
a classifier trained on the data itself. Both are shown beside their floor, the same numbers for held-out real data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import PushforwardError


@dataclass(frozen=True)
class ClassQuality:
    """Mean probability of the most likely class, and total variation of the predicted classes from the real ones."""

    top_probability: float
    total_variation: float


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    r""":math:`\frac12 \sum_k |p_k - q_k|` of two distributions given as counts or frequencies, in [0, 1]."""
    p, q = np.asarray(p, dtype=float), np.asarray(q, dtype=float)
    return float(0.5 * np.abs(p / p.sum() - q / q.sum()).sum())


def fit_classifier(x: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Any:
    """A support vector classifier with calibrated probabilities, on pictures (n, ...) of any scale.

    Calibration is Platt's sigmoid on five folds, one class against the rest (Platt 1999).
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    # gamma="scale" divides by the variance of all pixels: the classifier does not depend on the pictures' range.
    machine = SVC(C=10.0, gamma="scale")
    return CalibratedClassifierCV(machine, method="sigmoid", cv=folds, ensemble=False).fit(flat(x), labels)


def accuracy(classifier: Any, x: np.ndarray, labels: np.ndarray) -> float:
    """Share of pictures whose class is right."""
    return float((classifier.predict(flat(x)) == labels).mean())


def class_quality(classifier: Any, samples: np.ndarray, real_labels: np.ndarray) -> ClassQuality:
    """Quality of samples (n, ...), against the frequencies of `real_labels`.

    Raises:
        PushforwardError: there are no samples.
    """
    if len(samples) == 0:
        raise PushforwardError("there are no samples to classify.")
    probabilities = classifier.predict_proba(flat(samples))
    predicted = classifier.classes_[probabilities.argmax(axis=1)]
    counts = np.array([(predicted == c).sum() for c in classifier.classes_])
    real = np.array([(real_labels == c).sum() for c in classifier.classes_])
    return ClassQuality(float(probabilities.max(axis=1).mean()), total_variation(counts, real))


def flat(x: np.ndarray) -> np.ndarray:
    """(n, ...) as (n, d) of float64."""
    x = np.asarray(x, dtype=np.float64)
    return x.reshape(len(x), -1)
