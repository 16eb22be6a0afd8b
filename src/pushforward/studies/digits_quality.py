"""Digits through a classifier: do samples look like digits, and is every digit drawn as often as it occurs?"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ..errors import PushforwardError
from .catalogue import Entry, Study, Target

SAMPLES = 1000
ACCURACY = 0.97


@functools.lru_cache(1)
def _judge() -> tuple[Any, Any, Any, Any, float]:
    """The classifier, training pictures and labels, held-out pictures, and its accuracy on those.

    Raises:
        PushforwardError: it is less accurate than 97%, so it cannot judge.
    """
    import numpy as np

    from ..data import load
    from ..evaluation.metrics.classifier import PictureClassifier

    labelled = load("digits", condition="label")
    x, y = (t.numpy() for t in labelled.train.all())
    parts = [part.all() for part in (labelled.validation, labelled.test)]
    held_x, held_y = (np.concatenate([p[k].numpy() for p in parts]) for k in (0, 1))
    classifier = PictureClassifier(x, y)
    right = classifier.accuracy(held_x, held_y)
    if right < ACCURACY:
        raise PushforwardError(f"the classifier is right on {right:.1%} of held-out digits: too few to judge.")
    return classifier, x, y, held_x, right


def measure(model: Any, data: Any, entry: Entry, seed: int) -> Mapping[str, float]:
    classifier, _, labels, _, _ = _judge()
    samples = model.sample(SAMPLES, seed=seed, **entry.sampling)
    quality = classifier.quality(samples.cpu().numpy(), labels)
    return {"top_probability": quality.top_probability, "total_variation": quality.total_variation}


def reference(data: Any) -> Mapping[str, Mapping[str, float]]:
    from ..evaluation.metrics.classifier import independent_pixels

    classifier, x, labels, held_out, right = _judge()
    rows = {}
    for name, pictures in (
        (f"held-out real digits (n = {len(held_out)}; the classifier is right on {right:.1%})", held_out),
        (f"independent pixels (n = {len(x):,})", independent_pixels(x)),
    ):
        quality = classifier.quality(pictures, labels)
        rows[name] = {"top_probability": quality.top_probability, "total_variation": quality.total_variation}
    return rows


_GOOD = (Target("top_probability", at_least=0.8), Target("total_variation", at_most=0.15))

STUDY = Study(
    name="digits-quality",
    title="Samples of 8x8 digits, judged by a classifier trained on the real ones",
    data="digits",
    models=(
        Entry("gmm"),
        Entry("kde"),
        Entry("real-nvp", {"steps": 250}),
        Entry("flow-matching", {"steps": 1500}, targets=_GOOD),
        Entry("ddpm", {"steps": 2000, "settings": {"optimizer": {"learning_rate": 2e-3}}}, targets=_GOOD),
        Entry("vae", {"steps": 2500, "settings": {"latent": 6}}, targets=_GOOD),
        Entry("gan", {"steps": 1500}),
    ),
    values={
        "top_probability": f"mean over {SAMPLES:,} samples of the largest one-against-the-rest probability",
        "total_variation": "distance of the samples' predicted classes from the classes of the real digits",
        "seconds": "of the whole fit, on the processor",
    },
    measure=measure,
    reference=reference,
    seeds=3,
)
