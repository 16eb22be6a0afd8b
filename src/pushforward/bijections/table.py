r"""Mixed tables to standard normals: numbers, categories, missing cells, with the likelihood of the change.

Every cell is carried to numbers z that are independent and N(0, 1) if the columns are independent of each other, so

.. math:: \log p(x) \ge \mathbb{E}_{q(z|x)} \big[ \log p(z) - \log \mathcal{N}(z; 0, I) \big] + \sum_j \log f_j(x_j)

with :math:`f_j` the (smoothed) distribution of column j: a density where it has one, else a probability. With a model
p(z) that has learned nothing, N(0, I), the bound is the exact likelihood of independent columns.

* Numbers, ordinals, booleans and (by default) categories: the randomized probability integral transform of `marginals`,
  one number each. A category's values stand in an order in which neighbours are alike (`seriation`).
* With `categories: argmax`, categories of K values: argmax dequantization (Hoogeboom et al. 2021, arXiv:2102.05379,
  sec. 3 and app. A), K numbers each. Here q is an exponential race: clocks :math:`E_k \sim \mathrm{Exp}(1)`, the
  category is :math:`\arg\min_k E_k / f_k`, and :math:`z_k = \Phi^{-1}(e^{-E_k})`. Given the winner, its clock's time
  is :math:`t \sim \mathrm{Exp}(1)` and the others come after it, :math:`E_k = f_k t + \mathrm{Exp}(1)`, so q is exact.
* A missing cell is an event with a number of its own; the cell's other numbers are then drawn as the rest of the row
  suggests, and the density of that draw is subtracted (variational augmentation, `fill`).
* A column that is a function of another one is looked up in it and has no numbers of its own while that one is known.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..config import TableSettings
from ..dataset import Dataset
from ..likelihood import Bound
from ..noise import Noise
from ..spaces import Column, Real, Table
from .dependencies import Dependency, find_dependencies
from .fill import FactorFill
from .marginals import Marginals, categorical_marginal, fit_marginal
from .preprocess import Preprocess
from .seriation import seriate

_LOG_2PI = math.log(2 * math.pi)
_ROWS = 1 << 18


class TablePreprocess(Preprocess):
    """A `Table` to `Real((D,))`; the layout is decided by the space and the settings alone, the rest by `fit`.

    Buffers: the distributions of all columns with an interval (`marginals`), log-frequencies of the categories
    (`log_frequency`, one a clock), and the tables of columns that are functions of others (`lookup`).
    """

    stochastic = True
    fitted = True
    dequantization = "categories, rounded numbers, spikes and missing cells become intervals with a point drawn in each"
    log_frequency: Tensor
    position: Tensor
    value: Tensor
    parent: Tensor
    keys: Tensor
    lookup: Tensor
    rows: Tensor

    def __init__(self, space: Table, settings: TableSettings | None = None):
        self.settings = settings = settings or TableSettings()
        layout = _Layout(space.columns, settings)
        super().__init__(space, Real((layout.size,)))
        self.layout = layout
        self.marginals = Marginals()
        self.register_buffer("log_frequency", torch.zeros(layout.clocks, dtype=torch.float64))
        fills = self.settings.fill == "factors" and any(c.missing for c in space.columns) and len(layout.cell) > 1
        self.fill = FactorFill(len(layout.cell)) if fills else None
        c = len(space.columns)
        # position[j, k]: where value k of category j stands; value is its inverse.
        self.register_buffer("position", torch.zeros((c, 1), dtype=torch.float64))
        self.register_buffer("value", torch.zeros((c, 1), dtype=torch.float64))
        # parent[j] = i: column j is lookup[j] of column i at its value keys[j], as rows[j] rows say; -1: of none.
        self.register_buffer("parent", torch.full((c,), -1))
        for name in ("keys", "lookup", "rows"):
            self.register_buffer(name, torch.zeros((c, 1), dtype=torch.float64))

    @property
    def bound(self) -> Bound:
        """ "exact" when all numbers are densities without spikes: then nothing is drawn."""
        columns = [c for c in self.space.columns if c.kind != "constant"]  # type: ignore[attr-defined]
        spikes = bool((self.marginals.cumulative > 0).any())
        return "exact" if all(c.is_density and not c.missing for c in columns) and not spikes else "lower"

    @property
    def measure(self) -> str:
        """The base measure of likelihoods: the space's, with the spikes that are counted in columns of densities."""
        spiked = [
            f"{', '.join(f'{v:g}' for v in atoms[:3])}{', ...' if len(atoms) > 3 else ''} in {name}"
            for name, atoms in self._spikes()
        ]
        if not spiked:
            return str(self.space.measure)
        return f"{self.space.measure}, counting at {'; '.join(spiked[:4])}{'; ...' if len(spiked) > 4 else ''}"

    @property
    def support(self) -> str:
        """The base measure with every spike."""
        return f"{self.space.measure}; {self._spikes()}"

    def _spikes(self) -> list[tuple[str, list[float]]]:
        """The counted values of columns of densities, by the column's name."""
        columns = self.space.columns  # type: ignore[attr-defined]
        return [
            (columns[j].name, atoms)
            for (j, event), row in zip(self.layout.intervals, self.marginals.atoms)
            if not event and columns[j].is_density and (atoms := row[row.isfinite()].tolist())
        ]

    # ------------------------------------------------------------------------------ fitting

    @torch.no_grad()
    def fit(self, data: Dataset) -> None:
        """Distributions of the columns, and which are functions of others, from training rows.

        Of more than a quarter of a million rows, as many are taken, evenly spaced.
        """
        index = torch.arange(0, len(data), -(-len(data) // _ROWS), device=data.device)
        x = data.gather(index, Noise.of(0, 96, index=index))[0].cpu().numpy()
        columns = self.space.columns  # type: ignore[attr-defined]
        self._set_order(x)
        found = []
        for j, missing in self.layout.intervals:
            column, values = columns[j], x[:, j]
            known = values[~np.isnan(values)]
            if missing:
                absent = np.isnan(values).sum()
                found.append(categorical_marginal(np.array([len(values) - absent, absent])))
            elif column.is_number:
                found.append(fit_marginal(known, column.step, self.settings.transform))
            else:
                counts = np.bincount(known.astype(np.int64), minlength=len(column.categories))
                if column.kind == "category":
                    counts = counts[self.value[j, : len(counts)].long().cpu().numpy()]
                found.append(categorical_marginal(counts))
        self.marginals.set(found)
        for j, start, k in self.layout.categories:
            known = x[~np.isnan(x[:, j]), j].astype(np.int64)
            frequency = (np.bincount(known, minlength=k) + 0.5) / (len(known) + 0.5 * k)
            self.log_frequency[start : start + k] = torch.from_numpy(np.log(frequency))
        # A density has no place in a table of values, even where few of its numbers were seen.
        counted = [j for j, c in enumerate(columns) if not c.is_density]
        self._set_dependencies(find_dependencies(x, may_follow=counted) if self.settings.dependencies else [])
        if self.fill is not None:
            index = index[: 1 << 15]
            z, idle, _ = self._cells(torch.from_numpy(x[: len(index)]).to(index.device), Noise.of(0, 95, index=index))
            cells = self.layout.cell.to(index.device)
            self.fill.fit(z[:, cells], ~idle[:, cells])

    def _set_order(self, x: np.ndarray) -> None:
        """Where each value of a category with an interval stands among the others: alike next to alike."""
        columns = self.space.columns  # type: ignore[attr-defined]
        ordered = [j for j, event in self.layout.intervals if columns[j].kind == "category" and not event]
        most = max([1, *(len(columns[j].categories) for j in ordered)])
        positions = np.tile(np.arange(most, dtype=np.float64), (len(columns), 1))
        for j, order in seriate(x, columns, ordered).items():
            positions[j, order] = np.arange(len(order))
        self.position = torch.from_numpy(positions).to(self.parent.device)
        self.value = self.position.argsort(1).double()

    def _set_dependencies(self, found: list[Dependency]) -> None:
        c, most = len(self.space.columns), max([1, *(len(d.keys) for d in found)])  # type: ignore[attr-defined]
        tables = {name: np.full((c, most), math.inf) for name in ("keys", "lookup", "rows")}
        self.parent.fill_(-1)
        for d in found:
            self.parent[d.child] = d.parent
            for name, values in (("keys", d.keys), ("lookup", d.values), ("rows", d.rows)):
                tables[name][d.child, : len(d.keys)] = values
        for name, table in tables.items():
            setattr(self, name, torch.from_numpy(table).to(self.parent.device))

    def _looked_up(self, child: int, parent: Tensor) -> tuple[Tensor, Tensor]:
        """The child's value (n,) at its parent's values (n,), NaN where unknown, and how many rows told."""
        at = torch.searchsorted(self.keys[child], parent.contiguous()).clamp_max(self.keys.shape[1] - 1)
        known = self.keys[child][at] == parent
        return self.lookup[child][at].masked_fill(~known, math.nan), self.rows[child][at]

    # ------------------------------------------------------------------------------ the transform

    def _uniform(self, noise: Noise | None, n: int, count: int, like: Tensor) -> Tensor:
        if noise is None:
            return torch.full((n, count), 0.5, dtype=torch.float64, device=like.device)
        return noise.uniform(count, dtype=torch.float64).to(like.device)

    def forward(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        x = x.double()
        z, idle, log_f = self._cells(x, noise)
        log_q = 0.5 * (z.square() + _LOG_2PI)
        if self.fill is None:
            return z.to(self.codomain.dtype), log_f + log_q.sum(1)
        # Idle numbers are standard normals so far, which drive the draw given the rest of the row.
        cells = self.layout.cell.to(x.device)
        factors = None if noise is None else noise.normal(self.fill.factors, dtype=torch.float64).to(x.device)
        own, waiting = z[:, cells], idle[:, cells]
        filled, log_fill = self.fill(torch.where(waiting, 0.0, own), waiting, factors, own)
        z = z.index_copy(1, cells, filled)
        return z.to(self.codomain.dtype), log_f + log_q.masked_fill(idle, 0.0).sum(1) - log_fill

    def _cells(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers z (n, D), N(0, 1) where `idle` (n, D): their cell is missing or decided by another; sum of log f."""
        n, layout = len(x), self.layout
        absent = torch.isnan(x)
        log_f = torch.zeros(n, dtype=torch.float64, device=x.device)
        idle = absent
        for child in self.derived():
            value, rows = self._looked_up(child, x[:, self.parent[child]])
            decided = ~value.isnan() & ~absent[:, child]
            idle = idle.clone()
            idle[:, child] |= decided
            slip = 1 / (rows + 2)  # a rule is believed as far as it was seen
            log_f = log_f + torch.where(decided, (1 - slip).log(), 0.0)
            breaks = (decided & (value != x[:, child])).nonzero()[:, 0]
            if len(breaks):  # hardly ever: no training row does
                surprise = slip[breaks].log() + self.log_marginal(child, x[breaks, child])
                log_f = log_f.index_add(0, breaks, surprise - (1 - slip[breaks]).log())
        parts, waits = [], []
        if layout.intervals:
            v = self._uniform(noise, n, len(layout.intervals), x)
            column, event = layout.interval_column.to(x.device), layout.interval_missing.to(x.device)
            values = torch.where(event, absent[:, column].double(), self._ordered(x, self.position)[:, column])
            # An event that is independent of everything else is N(0, 1) as long as it has no gap.
            gap = torch.where(event, 0.0, self.settings.gap).double()
            z, each = self.marginals(values, v, gap)
            waiting = idle[:, column] & ~event
            z = torch.where(waiting, torch.special.ndtri(v.clamp(1e-15, 1 - 1e-15)), z)
            log_f = log_f + each.masked_fill(waiting, 0.0).sum(1)
            parts.append(z)
            waits.append(waiting)
        if layout.clocks:
            column = layout.clock_column.to(x.device)
            u = self._uniform(noise, n, layout.clocks, x)
            t = -self._uniform(noise, n, len(layout.categories), x).log()[:, layout.clock_group.to(x.device)]
            waiting = idle[:, column]
            wins = x[:, column] == layout.clock_value.to(x.device)
            # e^-E: the winner's clock shows f t, the others f t + Exp(1).
            race = torch.exp(-self.log_frequency.exp() * t) * torch.where(wins, 1.0, u)
            z = torch.special.ndtri(torch.where(waiting, u, race).clamp(1e-300, 1 - 2.0**-53))
            log_f = log_f + torch.where(wins & ~waiting, self.log_frequency, 0.0).sum(1)
            parts.append(z)
            waits.append(waiting)
        return torch.cat(parts, 1), torch.cat(waits, 1), log_f

    def _ordered(self, x: Tensor, table: Tensor) -> Tensor:
        """x (n, C) with the values of categories that have intervals looked up in `table`; missing cells 0."""
        x = x.nan_to_num(0.0)
        which = self.layout.ordered.to(x.device)
        if not len(which):
            return x
        looked = table[which].gather(1, x[:, which].T.long().clamp(0, table.shape[1] - 1)).T
        return x.index_copy(1, which, looked)

    def derived(self) -> list[int]:
        """Columns that are looked up in another one."""
        return [int(j) for j in (self.parent >= 0).nonzero()[:, 0]]

    def log_marginal(self, j: int, values: Tensor) -> Tensor:
        """log f_j (n,) of values (n,) of column j; of missing cells NaN or any number."""
        for column, start, k in self.layout.categories:
            if column == j:
                return self.log_frequency[start : start + k][values.nan_to_num(0.0).long().clamp(0, k - 1)]
        position = self.layout.intervals.index((j, False))
        if self.space.columns[j].kind == "category":  # type: ignore[attr-defined]
            values = self.position[j][values.nan_to_num(0.0).long()]
        all_columns = values.nan_to_num(0.0)[None].expand(len(self.marginals), -1).contiguous()
        return self.marginals.interval(all_columns)[2][position]

    def inverse(self, z: Tensor) -> Tensor:
        z = z.double()
        columns, layout = self.space.columns, self.layout  # type: ignore[attr-defined]
        x = torch.zeros(len(z), len(columns), dtype=torch.float64, device=z.device)
        gone = torch.zeros(len(z), len(columns), dtype=torch.bool, device=z.device)
        if layout.intervals:
            values = self.marginals.inverse(z[:, : len(layout.intervals)])
            for i, (j, event) in enumerate(layout.intervals):
                if event:
                    gone[:, j] = values[:, i] > 0.5
                else:
                    x[:, j] = self._in_range(values[:, i], columns[j], self.marginals.atoms[i])
            x = self._ordered(x, self.value)
        for j, start, k in layout.categories:
            first = len(layout.intervals) + start
            # argmin E / f = argmax log f - log E, with E = -log Phi(z).
            clock = -torch.special.log_ndtr(z[:, first : first + k])
            x[:, j] = (self.log_frequency[start : start + k] - clock.log()).argmax(1).double()
        gone[:, layout.empty] = True
        x = x.masked_fill(gone, math.nan)
        for child in self.derived():
            value, _ = self._looked_up(child, x[:, self.parent[child]])
            x[:, child] = torch.where(value.isnan() | gone[:, child], x[:, child], value)
        return x

    @staticmethod
    def _in_range(values: Tensor, column: Column, atoms: Tensor) -> Tensor:
        if not column.is_number:
            return values.clamp(0, len(column.categories) - 1)
        if column.step is not None and column.step < 1:
            # 3 * 0.1 is not 0.3: multiples of 1 / 10 are divided, not multiplied.
            inverse = round(1 / column.step)
            values = (values * inverse).round() / inverse
        if column.step is None:
            # Reflected, not heaped up at the ends: what a model puts beyond the range it saw is little, but no spike.
            # An end that is a spike takes it.
            spikes = atoms[atoms.isfinite()]
            low, high = (2 * end - values for end in (column.low, column.high))
            values = torch.where((values < column.low) & ~(spikes == column.low).any(), low, values)
            values = torch.where((values > column.high) & ~(spikes == column.high).any(), high, values)
        return values.clamp(column.low, column.high)


class _Layout:
    """Which numbers belong to which column.

    Attributes:
        cell: numbers that stand for a cell's value (the others stand for the event that it is missing).
        intervals: (column, whether it is the event that the cell is missing), one number each, first.
        categories: (column, first clock, clocks), after them. empty: columns without a value at all.
        size: numbers in all. clocks: of all categories.
        interval_column, interval_missing, clock_column, clock_value, clock_group: the same as tensors.
    """

    def __init__(self, columns: tuple[Column, ...], settings: TableSettings):
        self.intervals: list[tuple[int, bool]] = []
        self.categories: list[tuple[int, int, int]] = []
        self.clocks = 0
        self.empty: list[int] = []
        for j, column in enumerate(columns):
            if column.kind == "constant" and not column.categories:
                self.empty.append(j)
                continue
            if column.missing:
                self.intervals.append((j, True))
            if column.kind == "constant":
                continue
            k = len(column.categories)
            argmax = settings.categories == "argmax" and 2 < k <= settings.argmax_limit
            if column.kind == "category" and argmax:
                self.categories.append((j, self.clocks, k))
                self.clocks += k
            else:
                self.intervals.append((j, False))
        self.size = len(self.intervals) + self.clocks
        ordered = [j for j, event in self.intervals if columns[j].kind == "category" and not event]
        self.ordered = torch.tensor(ordered, dtype=torch.int64)
        kinds = [not event for _, event in self.intervals] + [True] * self.clocks
        self.cell = torch.tensor([i for i, own in enumerate(kinds) if own], dtype=torch.int64)
        self.interval_column = torch.tensor([j for j, _ in self.intervals], dtype=torch.int64)
        self.interval_missing = torch.tensor([m for _, m in self.intervals], dtype=torch.bool)
        self.clock_column = torch.tensor([j for j, _, k in self.categories for _ in range(k)], dtype=torch.int64)
        self.clock_value = torch.tensor([float(i) for _, _, k in self.categories for i in range(k)]).double()
        self.clock_group = torch.tensor([g for g, (_, _, k) in enumerate(self.categories) for _ in range(k)]).long()
