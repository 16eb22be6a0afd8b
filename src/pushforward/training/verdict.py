"""One plain sentence on a finished fit: still improving, converged, overfitting, diverged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """`word` is one of "still improving", "converged", "overfitting", "diverged", "unknown"."""

    word: str
    why: str

    def __str__(self) -> str:
        return f"{self.word}: {self.why}"


def judge(history: Sequence[dict[str, float]], *, trained: bool, skipped: int = 0) -> Verdict:
    """Judge the last stage's held-out losses.

    Each entry has "round", "validation" (held-out loss of the averaged weights) and "train".

    * diverged: the last value is not finite, or it and the training loss are worse than the first;
    * overfitting: the best lies before the last quarter, the rise since then exceeds 5% of the whole fall, and the
      training loss went on falling;
    * still improving: the last fifth of training brought more than 2% of the whole fall;
    * converged: otherwise.
    """
    if not trained:
        return Verdict("converged", "fitted in closed form")
    values = [h["validation"] for h in history]
    if len(values) < 4:
        return Verdict("unknown", "this family has no held-out loss, or it was measured too rarely: look at samples")
    worse = values[-1] > values[0] + 0.05 * abs(values[0]) and not history[-1]["train"] < history[0]["train"]
    if not math.isfinite(values[-1]) or worse:
        return Verdict("diverged", f"the held-out loss went from {values[0]:.4g} to {values[-1]:.4g}")
    best = min(range(len(values)), key=lambda i: values[i])
    fall = max(values[0] - values[best], 1e-12)
    extra = f"; {skipped} non-finite steps were skipped" if skipped else ""
    rise = values[-1] - values[best]
    if best < 0.75 * len(values) and rise > 0.05 * fall and history[-1]["train"] < history[best]["train"]:
        return Verdict(
            "overfitting",
            f"held-out loss was best ({values[best]:.4g}) at round {int(history[best]['round']):,} and is now "
            f"{values[-1]:.4g}{extra}",
        )
    fifth = max(1, len(values) // 5)
    gain = min(values[:-fifth]) - min(values[-fifth:])
    if gain > 0.02 * fall:
        return Verdict("still improving", f"the last fifth of training lowered it by {gain:.3g}{extra}: train longer")
    return Verdict("converged", f"held-out loss {values[best]:.4g}, steady over the last fifth{extra}")
