"""What an evaluation found, typed and JSON-able: values with their intervals, beside what a perfect sampler gets.

A `Report` has one `Row` a model and one a calibration (copies of the training data, independent columns, a Gaussian,
noise), the same metrics for all of them, and the `Floor` of each metric: where it lies for real rows in the place of
samples, at the same n. Numbers without their floor are not shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError
from .likelihood.ledger import Difference, Likelihood

if TYPE_CHECKING:
    import numpy as np

    from ..spaces import Space

Better = Literal["lower", "higher", "floor"]

GROUPS = {
    "distance": "How far are samples from the data?",
    "support": "Do samples look real, and is everything covered?",
    "modes": "Known modes",
    "columns": "Columns and pairs of columns",
    "memorization": "Are samples copies of training examples?",
}
"""The groups of metrics, in the order of a report."""


SATURATED = 0.97
"""An area under the curve above which a classifier tells everything, and tells models no longer apart."""


@dataclass(frozen=True)
class MetricInfo:
    """What a metric is.

    Attributes:
        key: in JSON ("frechet:pca64"). label: in tables ("FD[pca64]"). group: of `GROUPS`.
        better: "lower", "higher", or "floor" when the nearer to the floor the better (authenticity).
        perfect: the value of infinitely many perfect samples, or None.
        meaning: in two sentences, what the number says and how to read it.
        features: the feature space, in words and with its hash; "" when the metric works on the data themselves.
        headline: whether leaderboards show it without asking.
    """

    key: str
    label: str
    group: str
    better: Better
    meaning: str
    perfect: float | None = None
    features: str = ""
    headline: bool = False


@dataclass(frozen=True)
class Value:
    """One metric of one row.

    Attributes:
        value: the mean over sample sets and training seeds.
        low, high: its 95% interval, from the spread over disjoint sample sets and seeds; None with one set.
        n: samples (and as many real ones) in each set. sets: disjoint sample sets of each seed. seeds: trainings.
        each: the value of every set, seed by seed.
        outside: whether it leaves the floor's interval on the bad side; None when there is no floor.
        p_value: of the test that samples and data are the same, where the metric is a test.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    sets: int = 1
    seeds: int = 1
    each: tuple[float, ...] = ()
    outside: bool | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Floor:
    """Where a metric lies for real data: its mean, and the interval that a perfect sampler stays in.

    `low` and `high` are simultaneous over all metrics of the report; `replicates` sets of real rows gave them.
    """

    mean: float
    low: float
    high: float
    std: float
    n: int
    replicates: int


@dataclass(frozen=True)
class Cost:
    """What a model costs; None where it was not measured.

    Attributes:
        train_seconds: of one fit (the mean over seeds). seconds_per_1000: to draw 1,000 samples.
        evaluations: of the network for one sample.
        peak_memory: bytes of the whole process (or of the GPU) at its highest while it trained and sampled.
    """

    parameters: int | None = None
    train_seconds: float | None = None
    train_steps: int | None = None
    seconds_per_1000: float | None = None
    evaluations: int | None = None
    peak_memory: int | None = None
    threads: int | None = None
    device: str | None = None


@dataclass
class Row:
    """One model, or one calibration, with everything that was measured of it.

    Attributes:
        name: unique in the report. kind: "model" or "calibration". about: in a few words.
        values: by the metric's key. missing: why a metric is not there, by its key.
        notes: in plain words (a verdict of training, options of sampling that were changed).
    """

    name: str
    kind: Literal["model", "calibration"] = "model"
    about: str = ""
    values: dict[str, Value] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    likelihood: Likelihood | None = None
    cost: Cost | None = None
    runs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Pictures:
    """What a report draws; not in its JSON.

    Attributes:
        space: of the data. data: real held-out examples (n, *shape). samples: of each row, by its name.
        nearest: for each model's first samples (k, *shape), their nearest training examples (k, *shape).
        histories: (steps, losses by name) of each model's first training.
        held_out, own: log-likelihoods (m,) of held-out rows and of the model's own samples, by model: the two have
            the same distribution when the model is right.
    """

    space: Space
    data: np.ndarray
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    nearest: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    histories: dict[str, tuple[list[float], dict[str, list[float]]]] = field(default_factory=dict)
    held_out: dict[str, np.ndarray] = field(default_factory=dict)
    own: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Report:
    """Everything that `evaluate` and `compare` found.

    Attributes:
        title: "digits: 7 models". data: name, source, description, sizes, hash, split.
        metrics: in the order of the report. floor: by key. rows: models first.
        differences: claimed and unclaimed differences of likelihoods, pair by pair.
        verdict: sentences, the most important first.
        settings: n, sets, seeds, budget, level and the like. environment: versions, threads, processor.
        warnings: what limits the reading (few held-out rows, refused metrics).
    """

    title: str
    data: dict[str, Any]
    metrics: list[MetricInfo]
    floor: dict[str, Floor]
    rows: list[Row]
    differences: list[Difference] = field(default_factory=list)
    verdict: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    pictures: Pictures | None = None

    @property
    def models(self) -> list[Row]:
        """The rows that are models."""
        return [row for row in self.rows if row.kind == "model"]

    @property
    def main_metric(self) -> MetricInfo | None:
        """What models are ranked by: the classifier two-sample test, unless it tells every model from the data; then
        the first Fréchet distance (also where rows are too few to tell noise by); without these, the first metric that
        leaderboards show.
        """
        by_key = {info.key: info for info in self.metrics}
        c2st = by_key.get("c2st")
        values = [row.values["c2st"].value for row in self.models if "c2st" in row.values]
        noise = next((row.values.get("c2st") for row in self.rows if row.name == "noise"), None)
        learns = noise is None or noise.outside is not False  # so few rows teach a classifier nothing
        if c2st is not None and values and min(values) < SATURATED and learns:
            return c2st
        frechet = next((info for info in self.metrics if info.key.startswith("frechet:")), None)
        return frechet or c2st or next((info for info in self.metrics if info.headline), None)

    @property
    def table(self) -> list[dict[str, Any]]:
        """The leaderboard, one dictionary a row: every metric by its label, likelihood and costs.

        The floor comes first; models follow by `main_metric`, calibrations last.
        """
        first = self.main_metric

        def rank(row: Row) -> tuple[bool, float]:
            value = row.values.get(first.key) if first else None
            sign = -1.0 if first is not None and first.better == "higher" else 1.0
            return row.kind != "model", math.inf if value is None else sign * value.value

        floor = {info.label: self.floor[info.key].mean for info in self.metrics if info.key in self.floor}
        out: list[dict[str, Any]] = [{"name": "floor (real data)", "kind": "floor", **floor}]
        for row in sorted(self.rows, key=rank):
            entry: dict[str, Any] = {"name": row.name, "kind": row.kind}
            for info in self.metrics:
                value = row.values.get(info.key)
                entry[info.label] = None if value is None else value.value
            if row.likelihood is not None:
                entry |= {"log-likelihood": row.likelihood.mean, "likelihood": row.likelihood.kind}
                if row.likelihood.bits_per_dimension is not None:
                    entry["bits/dim"] = row.likelihood.bits_per_dimension
            if row.cost is not None:
                entry |= {k: v for k, v in asdict(row.cost).items() if v is not None}
            out.append(entry)
        return out

    def to_pandas(self) -> Any:
        """`table` as a pandas frame, by name.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise InputError("pandas is not installed.", "pip install pandas, or use report.table.") from None
        return pd.DataFrame(self.table).set_index("name")

    def plot(self, path: str | Path | None = None) -> Any:
        """A matplotlib figure of every model's headline metrics beside their floors; saved to `path` if given."""
        from .report import figure

        made = figure(self)
        if path is not None:
            made.savefig(path)
        return made

    def _repr_html_(self) -> str:
        from .report import notebook_html

        return notebook_html(self)

    def __repr__(self) -> str:
        return "\n".join([f"Report({self.title})", *(f"- {sentence}" for sentence in self.verdict)])

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, JSON-able."""
        document = {k: v for k, v in self.__dict__.items() if k != "pictures"}
        plain: dict[str, Any] = _finite(json.loads(json.dumps(document, default=_plain)))
        return plain

    def save(self, folder: str | Path) -> Path:
        """Write `report.json` and `report.html` into `folder` (made if need be); returns the page's path."""
        from ..training.files import explained, write_json, write_text
        from .report import html

        folder = Path(folder)
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "report.json", self.to_json())
        write_text(folder / "report.html", html(self))
        return folder / "report.html"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _finite(value: Any) -> Any:
    """Numbers that JSON does not know become null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
