from __future__ import annotations

import numpy as np
import pytest

from pushforward.data import load
from pushforward.errors import PushforwardError
from pushforward.evaluation.metrics.classifier import PictureClassifier, independent_pixels, total_variation


def test_total_variation_by_hand() -> None:
    assert total_variation(np.array([1, 1]), np.array([5, 5])) == 0
    assert total_variation(np.array([1, 0]), np.array([0, 3])) == 1
    assert total_variation(np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])) == pytest.approx(0.3)


@pytest.fixture(scope="module")
def judged() -> tuple[PictureClassifier, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    data = load("digits", condition="label")
    x, y = (t.numpy() for t in data.train.all())
    held_x, held_y = (t.numpy() for t in data.test.all())
    return PictureClassifier(x, y), x, y, held_x, held_y


def test_it_tells_digits_from_what_only_looks_alike(judged) -> None:  # type: ignore[no-untyped-def]
    classifier, x, y, held_x, held_y = judged
    assert classifier.accuracy(held_x, held_y) >= 0.97
    real = classifier.quality(held_x, y)
    assert real.top_probability > 0.95
    marginals = classifier.quality(independent_pixels(x), y)
    noise = classifier.quality(np.random.default_rng(0).integers(0, 17, x.shape), y)
    assert marginals.top_probability < 0.5 and noise.top_probability < 0.2
    assert marginals.total_variation > 0.15 > real.total_variation


def test_a_missing_class_is_seen(judged) -> None:  # type: ignore[no-untyped-def]
    classifier, x, y, _, _ = judged
    without = classifier.quality(x[y != 3], y)
    assert without.total_variation == pytest.approx((y == 3).mean(), abs=0.005)
    only = classifier.quality(x[y == 3], y)
    assert only.total_variation == pytest.approx(1 - (y == 3).mean(), abs=0.005)


def test_the_range_of_the_pictures_does_not_matter(judged) -> None:  # type: ignore[no-untyped-def]
    classifier, x, y, held_x, _ = judged
    scaled = PictureClassifier(x / 16.0, y)
    np.testing.assert_allclose(scaled.probabilities(held_x / 16.0), classifier.probabilities(held_x), atol=1e-6)


def test_no_samples(judged) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PushforwardError):
        judged[0].quality(judged[1][:0], judged[2])


def test_independent_pixels_keep_the_marginals() -> None:
    x = np.random.default_rng(1).integers(0, 9, (50, 1, 2, 3))
    mixed = independent_pixels(x)
    assert mixed.shape == x.shape
    np.testing.assert_array_equal(np.sort(mixed, axis=0), np.sort(x, axis=0))
    assert not (mixed == x).all()
