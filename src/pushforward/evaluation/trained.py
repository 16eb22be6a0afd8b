"""One training of one model, scored: what `evaluate` and `compare` keep of it, and how it is kept between runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError, PushforwardError
from ..spaces import Pixels, Tokens
from ..training.memory import Peak
from .likelihood.scoring import Likelihood, likelihood_of
from .likelihood.significance import standard_error
from .measure import sampling_cost
from .results import Cost
from .suite import Scores, Suite

NEAREST = 8
"""Samples that are shown beside their nearest training examples."""
_SHOWN_NUMBERS = 200_000


@dataclass
class Scored:
    """Of one training.

    Attributes:
        scores: values of each sample set by metric. missing: reasons by metric.
        likelihood: of the held-out points, with `log_prob` (points,) nats of each, None when there is none.
        own: (m,) nats of the model's own samples, to be compared with `log_prob`.
        samples: some of them, for pictures. nearest: (samples, training examples), (k, *shape) each.
        history: of training, (steps, losses by name).
    """

    scores: Scores
    missing: dict[str, str] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    likelihood: Likelihood | None = None
    log_prob: np.ndarray | None = None
    own: np.ndarray | None = None
    samples: np.ndarray | None = None
    nearest: tuple[np.ndarray, np.ndarray] | None = None
    history: tuple[list[float], dict[str, list[float]]] | None = None
    notes: list[str] = field(default_factory=list)

    def save(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Write it whole or not at all; `key` says what it was computed from."""
        from ..training.files import write_folder, write_json

        arrays = {
            "log_prob": self.log_prob, "own": self.own, "samples": self.samples,
            "nearest_sample": None if self.nearest is None else self.nearest[0],
            "nearest_train": None if self.nearest is None else self.nearest[1],
        }  # fmt: skip
        document = {
            "key": dict(key), "scores": self.scores, "missing": self.missing, "cost": asdict(self.cost),
            "likelihood": None if self.likelihood is None else asdict(self.likelihood),
            "history": self.history, "notes": self.notes,
        }  # fmt: skip

        def fill(into: Path) -> None:
            np.savez(into / "arrays.npz", **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]
            write_json(into / "scores.json", document)

        folder.parent.mkdir(parents=True, exist_ok=True)
        write_folder(folder, fill)

    @staticmethod
    def load(folder: Path, key: Mapping[str, Any]) -> Scored | None:
        """What `save` wrote, or None when it is not there, is damaged, or was computed from something else."""
        from ..training.files import damage, read_json

        if not (folder / "scores.json").is_file() or damage(folder):
            return None
        document = read_json(folder / "scores.json")
        if document["key"] != dict(key):
            return None
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        nearest = (found["nearest_sample"], found["nearest_train"]) if "nearest_sample" in found else None
        history = document["history"]
        return Scored(
            document["scores"], document["missing"], Cost(**document["cost"]),
            None if document["likelihood"] is None else Likelihood(**document["likelihood"]),
            found.get("log_prob"), found.get("own"), found.get("samples"), nearest,
            None if history is None else (history[0], history[1]), document["notes"],
        )  # fmt: skip


def score_model(
    suite: Suite,
    model: Any,
    *,
    seed: int,
    points: int,
    options: Mapping[str, Any] | None = None,
    density: Mapping[str, Any] | None = None,
    ais: bool = False,
    parzen: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> Scored:
    """Draw samples of a model and score them, and held-out points under it.

    Args:
        seed: of the samples. points: held-out rows whose likelihood is taken, at most.
        options: of sampling. density: of `log_prob`. ais: anneal, where the model is an autoencoder.
        parzen: add a Parzen-window estimate, beside that of real examples, to the notes.
    """
    if parzen and not isinstance(suite.data.space, Pixels):
        raise InputError("Parzen windows are for pictures.", "Leave parzen out: they are of historical interest only.")
    peak = Peak()
    wanted = suite.n * suite.sets
    log(f"drawing {wanted:,} samples")
    samples, cost = sampling_cost(model, wanted, seed, **(options or {}))
    cost = replace(cost, peak_memory=peak.bytes())
    samples = samples.detach().cpu()
    log("scoring them")
    scored = score_samples(suite, samples)
    scored.cost = cost
    _likelihood(scored, suite, model, samples, seed, points, density or {}, ais, log)
    if parzen:
        scored.notes.append(_parzen(suite, samples))
    if options:
        scored.notes.append("sampling options: " + ", ".join(f"{k}={v}" for k, v in options.items()))
    return scored


def score_samples(suite: Suite, samples: Any, sets: int | None = None) -> Scored:
    """Samples that came from anywhere, (sets * n, *shape): their metrics, without likelihood and cost."""
    from .judges import as_tensor

    x = as_tensor(samples)
    scores, missing = suite.score(x, sets)
    return Scored(scores, missing, samples=x[: shown(suite.data.space)].numpy(), nearest=_nearest(suite, x[:NEAREST]))


def _likelihood(
    scored: Scored,
    suite: Suite,
    model: Any,
    samples: Any,
    seed: int,
    points: int,
    density: Mapping[str, Any],
    ais: bool,
    log: Callable[[str], None],
) -> None:
    x, condition = suite.data.test.all(limit=points)
    log(f"likelihood of {len(x):,} held-out points")
    condition = condition if model.condition_space is not None else None
    scored.likelihood, values = likelihood_of(model, x, condition, seed=0, options=density, ais=ais)
    if values is None:
        return
    scored.log_prob = values.double().cpu().numpy()
    try:  # of a conditional model, with the conditions that its samples were drawn with
        drawn = model.draw_conditions(len(samples), seed)
        few = min(len(x), len(samples))
        chosen = None if drawn is None else drawn[:few]
        scored.own = model.log_prob(samples[:few], chosen, seed=1, **density).values.double().cpu().numpy()
    except PushforwardError as error:
        scored.notes.append(f"the likelihood of its own samples could not be taken: {error}")


def _parzen(suite: Suite, samples: torch.Tensor) -> str:
    """The protocol of 2014: pixels in [0, 1], sigma chosen on validation rows, as many real training rows beside."""
    from .likelihood.parzen import parzen

    top = suite.data.space.levels - 1
    count = min(len(samples), len(suite.train))
    validation = suite.data.validation.all(limit=1_000)[0]
    held_out = suite.data.test.all()[0]
    parts = (samples[:count], held_out, validation)
    return str(parzen(*(part.double() / top for part in parts), real=suite.train[-count:].double() / top))


def pooled(trainings: Sequence[Scored]) -> tuple[Likelihood | None, np.ndarray | None]:
    """The likelihood over the trainings of one model, and its values (trainings, points)."""
    rows = [s.likelihood for s in trainings if s.likelihood is not None]
    if not rows:
        return None, None
    values = [s.log_prob for s in trainings if s.log_prob is not None]
    if len(values) < len(rows):
        return next(row for row, s in zip(rows, trainings) if s.log_prob is None), None
    stacked = np.stack(values)
    infinite = int(np.isneginf(stacked).any(0).sum())
    mean = -math.inf if infinite else float(stacked.mean())

    def average(name: str) -> float | None:
        known = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        return float(np.mean(known)) if known else None

    row = replace(
        rows[0], mean=mean, standard_error=None if infinite else standard_error(stacked),
        monte_carlo_error=average("monte_carlo_error"), solver_error=average("solver_error"),
        bits_per_dimension=average("bits_per_dimension"), infinite=infinite, seeds=len(rows),
    )  # fmt: skip
    return row, stacked


def _nearest(suite: Suite, samples: torch.Tensor) -> tuple[np.ndarray, np.ndarray] | None:
    from .metrics.nearest_picture import nearest_examples

    if isinstance(suite.data.space, Tokens) or len(samples) == 0:
        return None
    main = next(iter(suite.maps))
    features = suite.maps[main].transform(samples)
    found = nearest_examples(features, suite.train_features(main), min(NEAREST, len(samples)), suite.whole, samples)
    return np.asarray(found[0]), np.asarray(found[1])


def shown(space: Any) -> int:
    """How many samples a picture needs."""
    if isinstance(space, Pixels):
        return 64
    if isinstance(space, Tokens):
        return 32
    return max(64, min(10_000, _SHOWN_NUMBERS // max(1, space.dimensions)))
