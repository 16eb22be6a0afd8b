r"""Which columns make a row unlikely.

The contribution of column j to a row x, in nats, is

.. math:: \mathbb{E}_{x'_j \sim p(\cdot \mid x_{-j})} \log p(x'_j \mid x_{-j}) - \log p(x_j \mid x_{-j}),

how much less likely the cell is than cells of this column usually are in such a row: the likelihood that the row would
gain by a typical cell. It is about 0 on average, and large where a cell surprises. Contributions do not add up to the
row's log-likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ..bijections.table import TablePreprocess
from ..errors import InputError, Unsupported
from ..families.adapted import Adapted
from ..model import GenerativeModel
from ..noise import Noise, mix_seed
from ..spaces import Classes, Table
from .conditioning import choose
from .impute import follows
from .leave_out import Cell, LeaveOneOut, cells_of
from .mixture import Mixture, is_mixture, mixture_of
from .replay import core_condition, table_preprocess
from .stand_in import density_options, stand_in, usable_likelihood

_NUMBERS = 2**21
_DRAWS = 64
"""Draws of the numbers in the cells of a row."""
_BOUND = 8
"""The same, for a likelihood."""
_VALUES = 64
"""Columns with at most as many values have all of them tried (16 for likelihoods that are slow)."""


@dataclass
class Explained:
    """Contributions (n, columns) in nats, and how they were found."""

    contributions: Tensor
    method: str
    notes: list[str] = field(default_factory=list)


@torch.no_grad()
def explain(
    model: GenerativeModel,
    x: Tensor,
    condition: Any = None,
    *,
    seed: int = 0,
    log: Callable[[str], None] = lambda text: None,
) -> Explained:
    """How much each cell of rows x (n, columns) takes from the row's likelihood.

    "exact" are mixtures of Gaussians whose numbers all have densities, or are independent within components: the
    conditional distributions are closed forms. Where other cells are intervals (of rounded numbers, categories), the
    distribution given them is an average over numbers drawn in these intervals, weighted by the mixture. Categories
    with clocks and models that are no mixtures compare likelihoods of the row with other values in the cell: all of
    them, of a column with few, else cells drawn by a mixture fitted to the model's samples. A column that follows from
    another one is explained with it, and one with missing cells has two parts, whether it is missing and its value.

    Args:
        log: gets a line now and then, where it takes long.

    Raises:
        InputError: a model of anything but a table. Unsupported: a model without a usable likelihood.
    """
    if not isinstance(model.space, Table):
        raise InputError(
            f"columns explain rows of tables, and this model generates {model.space.describe()}.",
            "Leave --explain out.",
        )
    pre = table_preprocess(model, "explaining rows")
    assert isinstance(model, Adapted)
    x = model.space.check(torch.as_tensor(x)).cpu()
    condition = model.check_condition(condition, len(x), required=True)
    return _Explainer(model, pre, seed, log).explain(x, condition)


class _Explainer:
    def __init__(self, model: Adapted, pre: TablePreprocess, seed: int, log: Callable[[str], None]):
        self.model, self.pre, self.seed, self.log = model, pre, seed, log
        self.closed = is_mixture(model.core)
        self.likelihood = "exact" if self.closed else usable_likelihood(model)
        if self.likelihood == "none":
            raise Unsupported(
                "this model has no likelihood that tells cells apart: none, or a noisy bound.",
                "Fit gmm or real-nvp to the same data.",
            )
        self.typical = 32
        self.redraws = 4 if self.likelihood == "estimate" else 16
        self.values = _VALUES if self.likelihood != "estimate" else 16
        self.intervals = len(pre.layout.intervals)
        self.columns = torch.tensor([j for j, _ in pre.layout.intervals], dtype=torch.int64)
        clocks = bool(pre.layout.categories)
        self.smooth = not clocks and all(column.is_density for column in model.space.columns)  # type: ignore[attr-defined]
        self.smooth &= not bool((pre.marginals.cumulative > 0).any())
        independent = self.closed and mixture_of(model.core, self._any_label(model)).is_diagonal
        self.exact = self.closed and not clocks and (self.smooth or independent)
        self.worth: list[Tensor] = []

    @staticmethod
    def _any_label(model: Adapted) -> int | None:
        return 0 if isinstance(model.condition_space, Classes) else None

    def explain(self, x: Tensor, condition: Any) -> Explained:
        found = torch.zeros(x.shape, dtype=torch.float64)
        index = torch.arange(len(x))
        groups: list[tuple[int | None, Tensor]] = [(None, index)]
        if isinstance(self.model.condition_space, Classes):
            labels = condition.cpu()
            groups = [(int(k), index[labels == k]) for k in labels.unique()]
        clocks = [j for j, _, _ in self.pre.layout.categories]
        for label, rows in groups:
            mixture = self._mixture(label)
            draws = self._draws(mixture)
            step = max(1, _NUMBERS // (draws * len(mixture) * max(1, mixture.dimensions)))
            for part in rows.split(step if self.closed else 4096):
                given = None if condition is None else condition[part.to(self.model.device)]
                if self.closed:
                    found[part] = self._in_closed_form(mixture, x[part], given, part)
                columns = clocks if self.closed else list(range(x.shape[1]))
                if columns:
                    found[part[:, None], torch.tensor(columns)] = self._redrawn(mixture, x[part], given, part, columns)
        return Explained(found, "exact" if self.exact else "importance", self._notes(clocks))

    def _draws(self, mixture: Mixture) -> int:
        if self.exact:
            return 1
        size = max(1, self.intervals) * min(256, len(mixture))
        return min(_DRAWS, max(8, 2**14 // size))

    def _notes(self, clocks: list[int]) -> list[str]:
        if self.exact:
            return [f"each cell given the others, in closed form; what is typical from {self.typical} cells drawn anew"]
        notes = []
        if self.worth:
            worth = torch.cat(self.worth)
            notes.append(
                "each cell given the others, whose numbers were drawn within their intervals and weighted by the "
                f"mixture: draws worth {float(worth.median()):.1f} in the median, {float(worth.min()):.1f} at least"
            )
        if not self.closed or clocks:
            notes.append(
                f"{'categories: ' if self.closed else ''}all values of columns with up to {self.values}, else "
                f"{self.redraws} cells drawn anew, compared by the model's likelihood of the row "
                f"({self._bound().get('dequantization_draws', 1)} draws of the numbers in its cells)"
            )
        return notes

    def _bound(self) -> dict[str, Any]:
        """Options of the likelihood of rows."""
        options = density_options(self.model.core, self.likelihood)
        many = self.likelihood == "exact" and self.pre.bound == "lower"
        return options | ({"dequantization_draws": _BOUND} if many else {})

    def _mixture(self, label: int | None) -> Mixture:
        if self.closed:
            return mixture_of(self.model.core, label)
        one = None if label is None else torch.tensor([label], device=self.model.device)
        return stand_in(self.model, one, seed=self.seed)

    def _numbers(self, x: Tensor, condition: Any, mixture: Mixture, index: Tensor, draw: int) -> tuple[Tensor, Tensor]:
        """Numbers (n, D) of rows, led by a vector condition, and -log of the density that they were drawn with."""
        noise = Noise.of(self.seed, 61, draw, index=index)
        device = self.model.device
        noise = Noise(noise.key.to(device))
        z, log_det = (part.cpu().double() for part in self.pre(x.to(device), noise))
        if mixture.leading:
            known = core_condition(self.model, condition).cpu().double().flatten(1)
            z = torch.cat([known, z], 1)
        return z, log_det

    def _idle(self, x: Tensor) -> Tensor:
        """(n, D): numbers that say nothing of a row: of a missing cell, or of one that another decides."""
        decided = torch.zeros(x.shape, dtype=torch.bool)
        for child in self.pre.derived():
            decided[:, child] = ~follows(self.pre, child, x[:, int(self.pre.parent[child])]).isnan()
        events = torch.tensor([event for _, event in self.pre.layout.intervals], dtype=torch.bool)
        clocks = self.pre.layout.clock_column.cpu()
        silent = decided | x.isnan()
        return torch.cat([silent[:, self.columns] & ~events, silent[:, clocks]], 1)

    def _in_closed_form(self, mixture: Mixture, x: Tensor, condition: Any, index: Tensor) -> Tensor:
        n, count, draws = len(x), self.intervals, self._draws(mixture)
        total = torch.zeros(x.shape, dtype=torch.float64)
        own = slice(mixture.leading, mixture.leading + count)
        numbers = [self._numbers(x, condition, mixture, index, draw) for draw in range(draws)]
        z, minus_log_q = torch.cat([z for z, _ in numbers]), torch.cat([q for _, q in numbers])
        cell, idle = cells_of(self.pre, z[:, own]), self._idle(x)
        free = idle.repeat(draws, 1)
        normal = 0.5 * (z[:, mixture.leading :].square() + math.log(2 * math.pi)).masked_fill(free, 0.0)
        if mixture.is_diagonal:  # only clocks were drawn
            rest = LeaveOneOut.of_cells(mixture, z, cell, free)
            log_w = rest.log_others + normal[:, count:].sum(1, keepdim=True)
        else:
            rest = LeaveOneOut.of(mixture, z, count)
            log_w = rest.log_others + minus_log_q[:, None] - normal[:, :count]
        log_w = log_w.view(draws, n, count).log_softmax(0)
        here = (log_w + rest.log_prob(cell).view(draws, n, count)).logsumexp(0)
        if draws > 1 and count:
            self.worth.append((1 / (2 * log_w).logsumexp(0).exp())[~idle[:, :count]])
        noise = Noise.of(self.seed, 62, index=index)
        ends, usual = log_w.exp().cumsum(0), torch.zeros_like(here)
        for r in range(self.typical):
            u, e, which = (
                noise.uniform(count, dtype=torch.float64),
                noise.normal(draws * count, dtype=torch.float64),
                (noise.uniform(count, dtype=torch.float64) + r) / self.typical,
            )
            each = rest.draw(u.repeat(draws, 1), e.view(n, draws, count).transpose(0, 1).reshape(draws * n, count))
            at = (ends < which * ends[-1]).sum(0, keepdim=True).clamp_max(draws - 1)
            drawn = cells_of(self.pre, each.view(draws, n, count).gather(0, at)[0])
            drawn = Cell(*(getattr(drawn, f.name).repeat(draws, 1) for f in fields(Cell)))
            usual += (log_w + rest.log_prob(drawn).view(draws, n, count)).logsumexp(0) / self.typical
        total.index_add_(1, self.columns, (usual - here).masked_fill(idle[:, :count], 0.0))
        for child in self.pre.derived():
            total[:, child] += self._broken(child, x)
        return total

    def _broken(self, child: int, x: Tensor) -> Tensor:
        """What a cell takes that breaks the rule that it follows, (n,)."""
        pre, parent = self.pre, int(self.pre.parent[child])
        told = follows(pre, child, x[:, parent])
        seen = follows(pre, child, x[:, parent], pre.rows)
        slip = 1 / (seen + 2)
        log_f = pre.log_marginal(child, x[:, child].to(pre.parent.device)).cpu()
        broken = ~told.isnan() & ~x[:, child].isnan() & (told != x[:, child])
        return torch.where(broken, (1 - slip).log() - slip.log() - log_f, 0.0)

    def _redrawn(self, mixture: Mixture, x: Tensor, condition: Any, index: Tensor, columns: list[int]) -> Tensor:
        """Contributions (n, len(columns)) by drawing the cells anew."""
        seed = mix_seed(self.seed, 63, int(index[0]))
        options = self._bound()

        def log_prob(rows: Tensor) -> Tensor:
            # The same seed: the numbers of the other cells are the same.
            return self.model.log_prob(rows, condition, seed=seed, **options).values.cpu().double()

        here = log_prob(x)
        z = self._numbers(x, condition, mixture, index, 0)[0]
        rest = LeaveOneOut.of(mixture, z, self.intervals)
        z = z[:, mixture.leading :]
        noise = Noise.of(self.seed, 64, index=index)
        new_z, log_q = [], []
        for _ in range(self.redraws):
            u = noise.uniform(self.intervals, dtype=torch.float64)
            drawn = rest.draw(u, noise.normal(self.intervals, dtype=torch.float64))
            new_z.append(drawn)
            log_q.append(rest.log_prob(cells_of(self.pre, drawn)))
        found = []
        for done, j in enumerate(columns):
            self.log(
                f"rows {int(index[0]) + 1:,} to {int(index[-1]) + 1:,}: {done} of {len(columns)} columns explained"
            )
            rows, weights = [], []
            for value in self._all_values(j):
                rows.append(log_prob(self._put(x, j, torch.full((len(x),), value, dtype=torch.float64))))
                weights.append(rows[-1])
            for d in range(0 if rows else self.redraws):
                row, q = self._with_new_cell(x, z, j, new_z[d], log_q[d], noise)
                rows.append(log_prob(row))
                weights.append(rows[-1] - q)
            log_p, w = torch.stack(rows), torch.stack(weights).nan_to_num(-1e300).softmax(0)
            found.append((w * log_p).sum(0) - here)
        return torch.stack(found, 1)

    def _with_new_cell(
        self, x: Tensor, z: Tensor, j: int, drawn: Tensor, log_q: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Rows whose cell j was drawn anew, and the log-probability with which it was drawn."""
        pre, layout = self.pre, self.pre.layout
        q = torch.zeros(len(x), dtype=torch.float64)
        parent = int(pre.parent[j])
        told = follows(pre, j, x[:, parent]) if parent >= 0 else torch.full((len(x),), math.nan, dtype=torch.float64)
        decided = ~told.isnan() & ~x[:, j].isnan()
        numbers = {event: i for i, (column, event) in enumerate(layout.intervals) if column == j}
        new = z.clone()
        for i in numbers.values():
            new[:, i] = drawn[:, i]
        value = pre.inverse(new.to(pre.parent.device)).cpu()[:, j]
        for column, start, k in layout.categories:
            if column == j:  # by the frequencies, for their clocks have no closed form
                log_f = pre.log_frequency[start : start + k].cpu().expand(len(x), k)
                u = noise.uniform(1, dtype=torch.float64)
                chosen = choose(log_f.exp(), u)[:, 0]
                value = torch.where(value.isnan(), value, chosen.double())
                q = q + torch.where(value.isnan(), 0.0, log_f.gather(1, chosen[:, None])[:, 0])
        if True in numbers:
            q = q + log_q[:, numbers[True]]
        if False in numbers:
            q = q + torch.where(value.isnan(), 0.0, log_q[:, numbers[False]])
        return self._put(x, j, value), torch.where(decided, 0.0, q)

    def _all_values(self, j: int) -> list[float]:
        """The values of column j, missing among them; none where they are too many to try."""
        column = self.model.space.columns[j]  # type: ignore[attr-defined]
        if column.is_number or len(column.categories) > self.values:
            return []
        return [float(k) for k in range(len(column.categories))] + [math.nan] * column.missing

    def _put(self, x: Tensor, j: int, value: Tensor) -> Tensor:
        """Rows with the value (n,) in column j, and in those what follows from it; a cell that follows stays so."""
        pre, x = self.pre, x.clone()
        parent = int(pre.parent[j])
        if parent >= 0:
            told = follows(pre, j, x[:, parent])
            value = torch.where(told.isnan() | x[:, j].isnan(), value, told)
        x[:, j] = value
        for child in pre.derived():
            if int(pre.parent[child]) == j:
                follow = follows(pre, child, x[:, j])
                x[:, child] = torch.where(follow.isnan() | x[:, child].isnan(), x[:, child], follow)
        return x
