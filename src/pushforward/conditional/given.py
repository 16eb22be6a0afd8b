"""Samples of a model of a table, given that some columns are as asked: exact where it can be, and always said how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..errors import InputError, Unsupported, did_you_mean
from ..model import GenerativeModel
from ..spaces import Classes, Table
from .asking import Given, Request
from .events import Event
from .methods import by_importance, by_mcmc, by_rejection, exactly
from .mixture import is_mixture
from .stand_in import Usable, usable_likelihood

METHODS = ("auto", "exact", "rejection", "importance", "mcmc")
BUDGET = 400_000
"""Rows that a model draws at most for one request."""


@torch.no_grad()
def sample_given(
    model: GenerativeModel,
    event: Event | str | Sequence[str],
    n: int,
    condition: Any = None,
    *,
    seed: int | None = None,
    method: str = "auto",
    budget: int | None = None,
    log: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Given:
    """n samples of the model given an event such as "sex=Female,age>60".

    Mixtures of Gaussians (`gmm`, `kde`) are conditioned in closed form. Any other model is asked for samples until
    enough are in the event, where that is often enough; else the event is approached by subset simulation in the space
    of the model's random numbers. That a column with a density equals a number is an event of probability zero:
    candidates are weighted by the model's likelihood where that is exact and cheap, else the number may be missed by
    half a percent of the column's spread.

    Args:
        event: what `Event.parse` takes. n: how many. condition: one, of a conditional model.
        seed: None takes one from torch's default generator.
        method: one of `METHODS`. budget: rows that the model may draw; None: 400,000, and more for many samples.
        log: gets a line now and then, where it takes long.
        options: the model's sampling options.

    Raises:
        InputError: a model of anything but a table; an event that cannot be, or that no sample came near.
        Unsupported: a method that this model, or this event, does not allow.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}.", did_you_mean(method, METHODS))
    if not isinstance(model.space, Table):
        raise InputError(
            f"columns can be given for tables, and this model generates {model.space.describe()}.",
            "A class or a vector is chosen by its condition.",
        )
    if n < 1:
        raise InputError(f"the number of samples is {n}.", "It must be at least 1.")
    event = event if isinstance(event, Event) else Event.parse(event, model.space)
    fixed = [j for j, cells in event.cells.items() if cells.point is not None or cells.missing]
    if len(fixed) == len(model.space.columns):
        raise InputError("every column is given: nothing is left to draw.", "Leave some of them out.")
    seed = int(torch.randint(2**62, ())) if seed is None else int(seed)
    checked = model.check_condition(condition, 1, required=False)
    model.sample(1, None if checked is None else checked[0], seed=0, **options)  # refuses what it does not know
    request = Request(model, event, n, checked, seed, budget or max(BUDGET, 40 * n), options, log)
    return _answer(request, method)


def _answer(asked: Request, method: str) -> Given:
    core = None if asked.adapted is None else asked.adapted.core
    unconditioned = asked.condition is None and asked.model.condition_space is not None
    closed = core is not None and is_mixture(core)
    if unconditioned and not isinstance(asked.model.condition_space, Classes):
        closed = False
    if method == "exact" and not closed:
        raise Unsupported(
            "this model's conditional distributions have no closed form.",
            "Choose its condition." if core is not None and is_mixture(core) else "Fit gmm, whose have one.",
        )
    if method == "exact" and asked.region is not None and asked.region.is_raced:
        raise Unsupported(
            "categories with clocks (table.categories=argmax) have no closed form.", "Leave the method to be chosen."
        )
    if closed and method in ("auto", "exact"):
        return exactly(asked)
    likelihood: Usable = "none"
    if asked.adapted is not None and not unconditioned and (method == "importance" or asked.is_density):
        likelihood = usable_likelihood(asked.adapted)
    if method == "importance":
        if likelihood == "none":
            raise Unsupported(
                "this model has no likelihood that candidates could be weighted by.", "Leave the method to be chosen."
            )
        return by_importance(asked, likelihood)
    if method == "auto" and asked.is_density and likelihood in ("exact", "unbiased"):
        found = by_importance(asked, likelihood)
        if found.effective_sample_size >= min(50.0, asked.n / 2):
            return found
    asked = asked.relaxed()
    if method != "mcmc":
        accepted = by_rejection(asked, insist=method == "rejection")
        if accepted is not None:
            return accepted
    return by_mcmc(asked)
