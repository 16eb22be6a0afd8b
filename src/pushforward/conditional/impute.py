"""Blanks of a table filled by draws from the model, given the cells of their rows that are there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..bijections.table import TablePreprocess
from ..errors import InputError, did_you_mean
from ..families.adapted import Adapted
from ..model import GenerativeModel
from ..noise import Noise, mix_seed
from ..spaces import Classes, Table
from .cells import Cells
from .conditioning import choose, draw_rows, kish
from .mixture import Mixture, is_mixture, mixture_of
from .regions import Region, region
from .replay import core_condition, table_preprocess
from .stand_in import Usable, stand_in, usable_likelihood, weigher

_ROWS = 512
"""Rows that are worked on at a time."""
CANDIDATES: Mapping[Usable, int] = {"exact": 64, "unbiased": 64, "estimate": 16}
LOW = 10.0
"""Rows whose candidates are worth less than this get four times as many."""
METHODS = ("auto", "approximate")


@dataclass
class Imputed:
    """A table with its blanks filled.

    Attributes:
        draws: (K, n, columns), K fillings of all blanks; what was there is as it was.
        blanks: (n, columns) bool.
        method: "exact" (mixtures of Gaussians), "importance" (candidates weighted by the model's likelihood), or
            "approximate" (a mixture fitted to the model's samples, in its place).
        ess: (n,) what the candidates that a row's fillings were chosen from were worth; inf: exact draws, or no blank.
        notes: how it was done, in plain words.
    """

    draws: Tensor
    blanks: Tensor
    method: str
    ess: Tensor
    notes: list[str] = field(default_factory=list)


@torch.no_grad()
def impute(
    model: GenerativeModel,
    x: Tensor,
    condition: Any = None,
    *,
    draws: int = 1,
    seed: int = 0,
    method: str = "auto",
    log: Callable[[str], None] = lambda text: None,
) -> Imputed:
    """Draws from p(missing cells | the others) for each row.

    A blank is filled by a value: where the model knows missing cells as an event, by what it says of cells that are
    there. What a row is filled with depends on the seed, on its place and on its own cells (and where likelihoods are
    estimates, on the rows that are scored with it).

    Args:
        x: (n, columns), NaN where a cell is missing, in any column. condition: of the rows, of a conditional model.
        draws: K, how many times all blanks are filled, independently.
        method: "auto", or "approximate", which needs no likelihoods and is fast for every model.
        log: gets a line now and then, where it takes long.

    Raises:
        InputError: a model of anything but a table; values outside its space; an unknown method.
    """
    if not isinstance(model.space, Table):
        raise InputError(
            f"blanks are filled in tables, and this model generates {model.space.describe()}.",
            "Fit a CSV or Parquet table.",
        )
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}.", did_you_mean(method, METHODS))
    if draws < 1:
        raise InputError(f"draws is {draws}.", "It must be at least 1.")
    pre = table_preprocess(model, "filling blanks")
    assert isinstance(model, Adapted)
    x = _checked(x, model.space)
    condition = model.check_condition(condition, len(x), required=True)
    blanks = x.isnan() & torch.tensor([bool(c.categories) or c.is_number for c in model.space.columns])
    found = x.expand(draws, *x.shape).clone()
    ess = torch.full((len(x),), math.inf, dtype=torch.float64)
    filler = _Filler(model, pre, seed, method)
    some = blanks.any(1).nonzero()[:, 0]
    done = 0
    for label, which in _by_class(model, condition, some):
        for index in which.split(filler.rows):
            log(f"{done:,} of {len(some):,} rows filled")
            done += len(index)
            given = None if condition is None else condition[index.to(model.device)]
            filled, worth = filler.fill(x[index], blanks[index], index, given, label, draws)
            found[:, index] = filled
            ess[index] = worth
    return Imputed(found, blanks, filler.method, ess, filler.notes(ess))


def _checked(x: Tensor, space: Table) -> Tensor:
    """x, in which any cell may be missing."""
    loose = Table(tuple(replace(c, missing=True) for c in space.columns))
    return loose.check(torch.as_tensor(x)).cpu()


def _by_class(model: GenerativeModel, condition: Any, index: Tensor) -> list[tuple[int | None, Tensor]]:
    if not isinstance(model.condition_space, Classes):
        return [(None, index)] if len(index) else []
    labels = condition.cpu()[index]
    return [(int(k), index[labels == k]) for k in labels.unique()]


class _Filler:
    """Fillings of rows by one model."""

    def __init__(self, model: Adapted, pre: TablePreprocess, seed: int, method: str):
        self.model, self.pre, self.seed = model, pre, seed
        self.likelihood: Usable = "exact"
        self.closed = is_mixture(model.core)
        if not self.closed and method == "auto":
            self.likelihood = usable_likelihood(model)
        approximate = self.likelihood == "none" or method == "approximate"
        self.method = "exact" if self.closed else "approximate" if approximate else "importance"
        self.rows = 64 if self.likelihood == "estimate" else _ROWS
        self._mixtures: dict[int | None, Mixture] = {}

    def mixture(self, label: int | None) -> Mixture:
        """The model, or what stands in for it, of a class."""
        if label not in self._mixtures:
            if self.closed:
                found = mixture_of(self.model.core, label)
            else:
                one = None if label is None else torch.tensor([label], device=self.model.device)
                found = stand_in(self.model, one, seed=self.seed)
            self._mixtures[label] = found
        return self._mixtures[label]

    def fill(
        self, x: Tensor, blanks: Tensor, index: Tensor, condition: Any, label: int | None, draws: int
    ) -> tuple[Tensor, Tensor]:
        """Rows (K, n, columns) with their blanks filled, and what their candidates were worth (n,)."""
        mixture = self.mixture(label)
        known = None if condition is None else core_condition(self.model, condition)
        asked = self._region(x, blanks)
        if mixture.leading and known is not None:
            asked = asked.led_by(known.cpu().double().flatten(1)[asked.owner])
        if self.method == "importance":
            z, ess = self._weighted(mixture, asked, known, index, draws)
        else:
            found = draw_rows(mixture, asked, len(x), draws, Noise.of(self.seed, 60, index=index))
            z, ess = found.z, found.ess
        filled = self._decoded(z[..., mixture.leading :].transpose(0, 1))
        return self._settled(torch.where(blanks, filled, x), x, blanks), ess

    def _region(self, x: Tensor, blanks: Tensor) -> Region:
        """Where the numbers of rows lie: cells are what they are, blanks any value."""
        columns = self.model.space.columns  # type: ignore[attr-defined]
        # Samples stay within the range of the data: a rounded number beyond it says what its end says.
        for j, column in enumerate(columns):
            if column.is_number and column.step is not None:
                x = x.index_copy(1, torch.tensor([j]), x[:, j : j + 1].clamp(column.low, column.high))
        silent = self._silent(x) | blanks
        for _ in range(2):
            asked = [
                {j: Cells(intervals=None if quiet else ((value, value),)) for j, (value, quiet) in enumerate(zip(*row))}
                for row in zip(x.tolist(), silent.tolist())
            ]
            found = region(self.pre, asked)
            lost = torch.bincount(found.owner, minlength=len(x)) == 0
            if not bool(lost.any()):
                break
            # A value that no rule leads to: the rule is put aside in these rows.
            silent[lost[:, None] & (self.pre.parent.cpu() >= 0)] = True
        return found

    def _silent(self, x: Tensor) -> Tensor:
        """Cells (n, columns) that disagree with the one that they follow from: they say nothing more."""
        silent = torch.zeros(x.shape, dtype=torch.bool)
        for child in self.pre.derived():
            told = follows(self.pre, child, x[:, int(self.pre.parent[child])])
            silent[:, child] = ~told.isnan() & (told != x[:, child])
        return silent

    def _weighted(
        self, mixture: Mixture, asked: Region, condition: Any, index: Tensor, draws: int
    ) -> tuple[Tensor, Tensor]:
        """Of candidates of the mixture, those that the model's likelihood chooses."""
        n, many = len(index), CANDIDATES[self.likelihood]
        log_prob = weigher(self.model.core, self.likelihood)
        z = torch.empty(n, draws, mixture.dimensions, dtype=torch.float64)
        ess = torch.zeros(n, dtype=torch.float64)
        todo = torch.arange(n)
        for turn in range(2):
            noise = Noise.of(self.seed, 60, turn, index=index[todo])
            found = draw_rows(mixture, asked.of_rows(todo), len(todo), many, noise)
            flat = found.z.flatten(0, 1)
            own = None if condition is None else condition[todo.to(condition.device)].repeat_interleave(many, 0)
            log_p = log_prob(flat[:, mixture.leading :], own, mix_seed(self.seed, int(index[0]), turn))
            weights = (log_p - mixture.log_prob(flat)).view(len(todo), many)
            weights = weights.nan_to_num(-math.inf, posinf=-math.inf, neginf=-math.inf)
            weights = torch.where((weights == -math.inf).all(1, keepdim=True), 0.0, weights).softmax(1)
            at = choose(weights, noise.at(900).uniform(draws, dtype=torch.float64))
            z[todo] = found.z.gather(1, at[:, :, None].expand(-1, -1, found.z.shape[2]))
            ess[todo] = torch.minimum(kish(weights), found.ess)
            todo, many = todo[ess[todo] < LOW], many * 4
            if len(todo) == 0:
                break
        return z, ess

    def _decoded(self, z: Tensor) -> Tensor:
        """Rows (K, n, columns) of numbers (K, n, D)."""
        device = self.pre.parent.device
        rows = [self.pre.inverse(part.to(device)).cpu() for part in z.reshape(-1, z.shape[-1]).split(1 << 14)]
        return torch.cat(rows).view(*z.shape[:2], -1)

    def _settled(self, filled: Tensor, x: Tensor, blanks: Tensor) -> Tensor:
        """Columns that follow from one that was there follow from its own value."""
        for child in self.pre.derived():
            parent = int(self.pre.parent[child])
            rows = blanks[:, child] & ~blanks[:, parent]
            told = follows(self.pre, child, x[:, parent])
            filled[:, :, child] = torch.where(rows & ~told.isnan(), told, filled[:, :, child])
        return filled

    def notes(self, ess: Tensor) -> list[str]:
        """How it was done, and how well."""
        said = {
            "exact": "conditional distributions of the model's mixture of Gaussians; rounded numbers and categories by "
            "weighted draws within their intervals",
            "importance": "candidates of a mixture fitted to the model's samples, chosen by the model's likelihood",
            "approximate": "a mixture of Gaussians fitted to the model's samples, conditioned in its place",
        }
        notes = [said[self.method]]
        if self.likelihood == "none":
            notes.append("this model has no likelihood to choose by: gmm, kde, real-nvp and vae have one")
        low = int((ess < LOW).sum())
        if low:
            notes.append(f"{low:,} of {len(ess):,} rows were filled from fewer than {LOW:.0f} effective candidates")
        return notes


def follows(pre: TablePreprocess, child: int, parent: Tensor, table: Tensor | None = None) -> Tensor:
    """What the rule says that the child is, at its parent's values (n,); NaN where it says nothing.

    Args:
        table: to look up instead, such as `pre.rows`, how many rows told.
    """
    keys, told = pre.keys[child].cpu(), (pre.lookup if table is None else table)[child].cpu()
    at = torch.searchsorted(keys, parent.nan_to_num(math.inf).contiguous()).clamp_max(len(keys) - 1)
    return told[at].masked_fill((keys[at] != parent) | told[at].isinf(), math.nan)
