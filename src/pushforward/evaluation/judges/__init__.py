"""Which metrics are computed for which data, and what each of them means: one `Judge` a computation."""

from .choice import judges_for
from .trial import Examples, Judge, Trial, as_tensor

__all__ = ["Examples", "Judge", "Trial", "as_tensor", "judges_for"]
