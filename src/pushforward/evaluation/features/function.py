"""Features that the user brings: any Python function of a batch of examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...data import Data
from ...errors import InputError
from .base import NOT_HASHED, Features
from .maps import Map, as_features, block_of, training_rows

_TOLERANCE = 1e-3


def function(data: Data, user: Callable[..., Any], name: str | None = None) -> Features:
    """A callable's values as features: it takes a tensor (k, *space.shape) of the space's own type and units.

    It may give a tensor or an array (k, ...), which is flattened; a module is put in evaluation mode. It is called
    with blocks of one size, and may not let the examples of a block influence each other.

    Raises:
        InputError: it is not callable, fails, gives other than one finite vector an example, or mixes examples.
    """
    if not callable(user):
        raise InputError(f"user={user!r} is not callable.", "Give a function of a batch of examples.")
    own = name or getattr(user, "__name__", None) or type(user).__name__
    if isinstance(user, nn.Module):
        user.eval()
    subject = f"the features {own!r}"

    def apply(x: Tensor) -> Tensor:
        try:
            found = user(x.to(data.space.dtype).clone())  # the function may write into its input
        except InputError:
            raise
        except Exception as error:  # whatever the user's code raises
            raise InputError(
                f"{subject} failed on {tuple(x.shape)} examples of type {x.dtype}: {type(error).__name__}: {error}.",
                "The function takes a tensor of examples in the data's own units.",
            ) from error
        return as_vectors(found, len(x), subject)

    rows = training_rows(data, 8)
    dimension = probe(apply, rows, subject)
    return as_features(
        own,
        Map(dimension, f"the user's function {own}", f"{NOT_HASHED} ({own})", apply, block_of(data.space.dimensions)),
        data.space,
    )


def as_vectors(found: Any, n: int, subject: str) -> Tensor:
    """What a network gave as (n, dimension) float64.

    Raises:
        InputError: another number of rows, values that are not numbers, or not finite.
    """
    try:
        values = torch.as_tensor(found).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{subject} gave {type(found).__name__}.", "They give an array (n, dimension).") from None
    if values.ndim == 0 or len(values) != n:
        raise InputError(f"{subject} gave shape {tuple(values.shape)} for {n} examples.", "One vector an example.")
    values = values.reshape(n, -1)
    if not bool(values.isfinite().all()):
        row = int((~values.isfinite().all(1)).nonzero()[0])
        raise InputError(f"{subject} gave a value that is not finite, for example {row} of a block.")
    return values


def probe(apply: Callable[[Tensor], Tensor], rows: Tensor, subject: str) -> int:
    """The dimension of the vectors, after a look at whether examples come out the same alone and with others.

    Raises:
        InputError: they do not (batch normalization left in training mode, dropout).
    """
    together = apply(rows)
    alone = torch.cat([apply(row[None].expand_as(rows).contiguous())[:1] for row in rows[:2]])
    difference = float((alone - together[:2]).abs().max())
    if difference > _TOLERANCE * max(float(together.abs().max()), 1e-30):
        raise InputError(
            f"{subject} of an example depend on the other examples of its batch, or on chance (they move by "
            f"{difference:.3g}).",
            "Export the network in evaluation mode: without dropout, batch normalization with its stored statistics.",
        )
    return together.shape[1]
