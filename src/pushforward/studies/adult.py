"""Census income: 15 mixed columns, fitted by every family, judged by gradient-boosted trees."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from .catalogue import Entry, Study, Target

ROWS = 9_000
SCORED = 500
NEEDS = "adult.csv, the census income table (UCI Adult, rows without missing cells): 15 columns with a header"


def measure(model: Any, data: Any, entry: Entry, seed: int) -> Mapping[str, float]:
    """Of one fitted model: how well trees tell its samples from held-out rows, missing cells, held-out likelihood."""
    from ..errors import DensityUnavailable
    from ..evaluation.metrics.two_sample import c2st, categorical_columns

    real = data.test.all()[0].numpy()[:ROWS]
    drawn = model.sample(ROWS, seed=seed, **entry.sampling).numpy()
    data.space.check(drawn)
    values = {"c2st": c2st(real, drawn, categorical=categorical_columns(data.space)).auc, "missing": _missing(drawn)}
    with contextlib.suppress(DensityUnavailable):  # a GAN has none, and the table leaves the place empty
        values["log_prob"] = model.log_prob(data.test.all()[0][:SCORED], seed=seed).mean()
    return values


def reference(data: Any) -> Mapping[str, Mapping[str, float]]:
    """The floor (training rows again) and the ceiling (columns drawn independently)."""
    from ..evaluation.metrics.two_sample import c2st, categorical_columns, independent_columns, resampled_rows

    real, train = data.test.all()[0].numpy()[:ROWS], data.train.all()[0].numpy()
    copies, mixed = resampled_rows(train, ROWS), independent_columns(train, ROWS)
    categorical = categorical_columns(data.space)
    return {
        f"training rows again (copycat, n = {ROWS:,})": {
            "c2st": c2st(real, copies, categorical=categorical).auc,
            "missing": _missing(copies),
        },
        "each column drawn by itself": {
            "c2st": c2st(real, mixed, categorical=categorical).auc,
            "missing": _missing(mixed),
        },
    }


def _missing(x: Any) -> float:
    import numpy as np

    return float(np.isnan(x).mean())


ARGMAX = {"settings": {"table": {"categories": "argmax"}}}
MODELS = (
    Entry("gmm", {"settings": {"covariance": "full"}}),
    Entry("kde"),
    Entry("real-nvp"),
    Entry("vae"),
    Entry("gan"),
    Entry("ddpm"),
    Entry("flow-matching", targets=(Target("c2st", at_most=0.75),)),
)
VALUES = {
    "c2st": f"area under the ROC curve of gradient-boosted trees that tell {ROWS:,} held-out rows from samples",
    "missing": "share of missing cells",
    "log_prob": f"mean nats a row of {SCORED} held-out rows; exact, bound or estimate as the family has it",
    "seconds": "of the whole fit, on the processor",
}

STUDY = Study(
    name="adult",
    title="Census income, 15 mixed columns: can trees tell samples from held-out rows?",
    data="",
    needs=NEEDS,
    models=(
        *MODELS,
        Entry("real-nvp", ARGMAX, label="real-nvp, argmax"),
        Entry("flow-matching", ARGMAX, label="flow-matching, argmax"),
    ),
    values=VALUES,
    measure=measure,
    reference=reference,
    seeds=1,
    load={"test": 0.3, "validation": 0.05},
)
