"""Samples beside their nearest training examples, in the data's own units, as in Goodfellow et al. (2014, fig. 2).

The nearest one depends on the feature space, which belongs in the caption. A far neighbour shows that this sample was
not copied; it shows nothing about privacy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InputError
from .inputs import rows
from .memorization import nearest_training


def nearest_examples(
    samples_features: Any, train_features: Any, count: int, train_data: Any, samples_data: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` samples (k, ...) and the nearest training example of each (k, ...).

    Args:
        samples_features, train_features: (n, d) and (m, d), in which nearness is measured.
        train_data, samples_data: the same rows (m, ...) and (n, ...), as they are to be shown.

    Raises:
        InputError: features and data of different lengths, count below 1, or as `nearest_training`.
    """
    x, t = rows(samples_features, "samples_features"), rows(train_features, "train_features")
    samples, train = np.asarray(samples_data), np.asarray(train_data)
    for name, features, data in (("samples", x, samples), ("train", t, train)):
        if len(features) != len(data):
            raise InputError(f"{name}_features has {len(features):,} rows and {name}_data {len(data):,}.")
    if count < 1:
        raise InputError(f"count={count}.", "At least 1.")
    index = nearest_training(x[:count], t)[1][:, 0].cpu().numpy()
    return samples[:count], train[index]
