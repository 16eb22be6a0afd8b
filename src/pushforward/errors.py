"""Errors that a user can act on: one sentence for what is wrong, one for what to do about it.

The command line prints them without a traceback and exits with `exit_code` (2: bad usage or bad input,
1: any other failure). In Python they are ordinary exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PushforwardError(Exception):
    """Base of every error that pushforward raises on purpose.

    Args:
        what: what happened, where, and the value seen. One sentence.
        hint: what is allowed, or the command that fixes it.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str | None = None):
        super().__init__(what if hint is None else f"{what} {hint}")
        self.what = what
        self.hint = hint


class InputError(PushforwardError, ValueError):
    """The user's input (a file, an option, a name, a shape) cannot be used. Exit code 2."""

    exit_code = 2


class DensityUnavailable(PushforwardError, NotImplementedError):
    """The model is implicit: it has samples but no density. The hint names models that have one."""

    exit_code = 2


class Unsupported(PushforwardError, NotImplementedError):
    """The model cannot do this by its nature (`encode` of a GAN, `decode` of a KDE, ...)."""

    exit_code = 2


class TrainingFailed(PushforwardError, RuntimeError):
    """Training stopped and cannot go on (non-finite losses, memory). The last good state is on disk."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt `name`: the nearest of `known` if there is one, and then all of them.

    >>> did_you_mean("real-nvq", ["gan", "real-nvp"])
    'Did you mean real-nvp? Known: gan, real-nvp.'
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    listing = f"Known: {', '.join(known)}." if known else "There are none."
    return f"Did you mean {near[0]}? {listing}" if near else listing
