r"""Where the numbers z of a table's rows must lie for its cells to be as asked: unions of boxes.

`TablePreprocess.inverse` carries z to rows. A cell's value has a number of its own there, which is to lie in intervals
(on a point, where it has a density); whether the cell is missing has another. A category with a clock for each value is
asked which clock may be the first. A column that is looked up in another one asks it of that one's number, and of its
own where the other is missing or has a value that was never seen: a box for each case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from ..bijections.table import TablePreprocess
from ..errors import InputError
from ..noise import Noise
from ..spaces import Column
from .cells import Cells, Interval, above, below, intersection

Case = Mapping[int, Cells | None]
"""Cells by column; None for a column whose value is decided by another one: its numbers are free."""

_EDGE = 2.0**-52


@dataclass(frozen=True)
class Race:
    """Clocks first..first+k of z, of which one of `allowed` (B, k) must be the winner; all allowed: any."""

    first: int
    k: int
    log_frequency: Tensor
    allowed: Tensor

    def scores(self, z: Tensor) -> Tensor:
        """(..., k): the category is where they are largest."""
        clock = -torch.special.log_ndtr(z[..., self.first : self.first + self.k])
        return self.log_frequency - clock.log()

    def draw(self, replicates: int, noise: Noise) -> tuple[Tensor, Tensor]:
        """Clocks as standard normals z (B * replicates, k) of which an allowed one wins, and log of their density."""
        q, k = replicates, self.k
        allowed = self.allowed.repeat_interleave(q, 0)
        logits = self.log_frequency.expand_as(allowed).masked_fill(~allowed, -math.inf)
        u = noise.uniform(q, 2 * k + 1, dtype=torch.float64).view(-1, 2 * k + 1)
        winner = (logits - torch.log(-torch.log(u[:, :k]))).argmax(1, keepdim=True)
        # The first clock goes off at t ~ Exp(1), and the others run on from there.
        e = -self.log_frequency.exp() * u[:, -1:].log()
        e = e - u[:, k : 2 * k].log().scatter(1, winner, 0.0)
        z = torch.special.ndtri(torch.exp(-e).clamp(1e-300, 1 - _EDGE))
        return z, -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) - logits.logsumexp(1)


@dataclass(frozen=True)
class Region:
    """B boxes of numbers z (D,), float64 on the CPU.

    Attributes:
        low, high: (B, D, m) closed intervals, any of which will do; those of free numbers are the whole line; unused
            ones have low = inf.
        point: (B, D) the number must be `low` (of the first interval).
        owner: (B,) the row that each box belongs to, in order; a row's region is the union of its boxes, which are
            disjoint.
        races: of categories with clocks.
        log_weight: (B,) of boxes that stand for many, see `raced`; None: 0.
    """

    low: Tensor
    high: Tensor
    point: Tensor
    owner: Tensor
    races: tuple[Race, ...] = ()
    log_weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, boxes: Tensor) -> Region:
        races = tuple(replace(race, allowed=race.allowed[boxes]) for race in self.races)
        weight = None if self.log_weight is None else self.log_weight[boxes]
        return Region(self.low[boxes], self.high[boxes], self.point[boxes], self.owner[boxes], races, weight)

    def of_rows(self, rows: Tensor) -> Region:
        """The boxes of some rows (in order), which are then rows 0, 1, ..."""
        place = torch.full((int(self.owner.max()) + 1,), -1, dtype=torch.int64)
        place[rows] = torch.arange(len(rows))
        owner = place[self.owner]
        boxes = owner.argsort(stable=True)[int((owner < 0).sum()) :]
        return replace(self[boxes], owner=owner[boxes])

    @property
    def constrained(self) -> Tensor:
        """(B, D): numbers that may not be anything, races aside."""
        return self.point | (self.low[..., 0] > -math.inf) | (self.high[..., 0] < math.inf)

    def led_by(self, known: Tensor) -> Region:
        """The region of (known, z), with numbers `known` (B, c) before the others."""
        c, m = known.shape[1], self.low.shape[2]
        first = torch.full((len(self), c, m), math.inf, dtype=torch.float64)
        first[:, :, 0] = known.double()
        last = torch.full_like(first, -math.inf)
        last[:, :, 0] = known.double()
        return Region(
            torch.cat([first, self.low], 1),
            torch.cat([last, self.high], 1),
            torch.cat([torch.ones(len(self), c, dtype=torch.bool), self.point], 1),
            self.owner,
            tuple(replace(race, first=race.first + c) for race in self.races),
            self.log_weight,
        )

    @property
    def is_raced(self) -> bool:
        """Whether the winner of any race is asked for."""
        return any(not bool(race.allowed.all()) for race in self.races)

    def raced(self, replicates: int, noise: Noise) -> Region:
        """Each box as `replicates` ones (side by side) in which the clocks of races are points, drawn by `noise` (B,).

        A box's weight is what makes the sum over them of an integral's values stand for the integral over the box.
        """
        q = replicates
        low, high, point = (v.repeat_interleave(q, 0).clone() for v in (self.low, self.high, self.point))
        weight = torch.full((len(self) * q,), -math.log(q), dtype=torch.float64)
        for race in self.races:
            asked = ~race.allowed.all(1).repeat_interleave(q)
            z, log_q = race.draw(q, noise)
            part = slice(race.first, race.first + race.k)
            low[asked, part], high[asked, part] = math.inf, -math.inf
            low[asked, part, 0], high[asked, part, 0] = z[asked], z[asked]
            point[asked, part] = True
            weight -= torch.where(asked, log_q, 0.0)
        return Region(low, high, point, self.owner.repeat_interleave(q), (), weight)

    def distance(self, z: Tensor) -> Tensor:
        """How far z (n, D) is from the union of all boxes, (n,): Euclidean, with the margins of races. 0 inside."""
        found = torch.full((len(z),), math.inf, dtype=torch.float64)
        for b in range(len(self)):
            part = self.constrained[b].nonzero()[:, 0]
            value = z[:, part, None]
            away = torch.maximum(self.low[b, part] - value, value - self.high[b, part]).clamp_min(0.0)
            squared = away.amin(2).square().sum(1)
            for race in self.races:
                scores, allowed = race.scores(z), race.allowed[b]
                lead = scores.amax(1) - scores.masked_fill(~allowed, -math.inf).amax(1)
                squared = squared + lead.square()
            found = torch.minimum(found, squared.sqrt())
        return found


def region(pre: TablePreprocess, asked: Sequence[Mapping[int, Cells]]) -> Region:
    """The region of each of the rows that cells are asked of, in order; without a box where no row can be so."""
    owners: list[int] = []
    cases: list[Case] = []
    children = [(child, int(pre.parent[child])) for child in pre.derived()]
    for owner, cells in enumerate(asked):
        found = _cases(pre, cells, [(c, p) for c, p in children if c in cells])
        cases += found
        owners += [owner] * len(found)
    return _boxes(pre, cases, owners)


def _boxes(pre: TablePreprocess, cases: Sequence[Case], owners: Sequence[int]) -> Region:
    layout = pre.layout
    b, d = len(cases), layout.size
    entries: list[tuple[int, int, int, float, float]] = []  # box, number, which interval, values
    for i, (j, event) in enumerate(layout.intervals):
        ordered = pre.space.columns[j].kind == "category"  # type: ignore[attr-defined]
        places = pre.position[j].tolist() if ordered else []
        for box, case in enumerate(cases):
            if j not in case:
                continue
            cell = case[j]
            if event:
                state = float(cell is not None and cell.missing)
                entries.append((box, i, 0, state, state))
            elif cell is not None and cell.intervals is not None:
                intervals = _runs([places[int(v)] for v, _ in cell.intervals]) if ordered else cell.intervals
                entries += [(box, i, k, low, high) for k, (low, high) in enumerate(intervals)]
    m = max([1, *(k + 1 for _, _, k, _, _ in entries)])
    low = torch.full((b, d, m), math.inf, dtype=torch.float64)
    high = torch.full((b, d, m), -math.inf, dtype=torch.float64)
    low[:, :, 0], high[:, :, 0] = -math.inf, math.inf
    point = torch.zeros(b, d, dtype=torch.bool)
    if entries:
        boxes, number, which = torch.tensor([e[:3] for e in entries]).unbind(1)
        first, last = torch.tensor([e[3:] for e in entries], dtype=torch.float64).unbind(1)
        low[boxes, number, which], high[boxes, number, which], is_point = _on_line(pre, number, first, last)
        point[boxes, number] = is_point
        for i in number[is_point & (high[boxes, number, min(1, m - 1)] > -math.inf) & (m > 1)].tolist():
            name = pre.space.columns[layout.intervals[i][0]].name  # type: ignore[attr-defined]
            raise InputError(
                f"{name} has a density: each of several numbers has probability zero.",
                "Ask for one, or for an interval.",
            )
    races = tuple(_race(pre, cases, *category) for category in layout.categories)
    return Region(low, high, point, torch.tensor(owners, dtype=torch.int64), races)


# ------------------------------------------------------------------------------------------------ columns


def _runs(places: Sequence[float]) -> list[Interval]:
    """Places of categories on their line as runs of neighbours."""
    runs: list[Interval] = []
    for place in sorted(places):
        if runs and place == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs


def _on_line(pre: TablePreprocess, number: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Intervals [first, last] (N,) of the values of numbers (N,) as intervals of z, and which of them are points."""
    device, size = pre.parent.device, len(pre.layout.intervals)
    # Each number's entries in its own row, one after the other: none is searched in another number's values.
    order = number.argsort(stable=True)
    counts = torch.bincount(number, minlength=size)
    place = torch.empty_like(number)
    place[order] = torch.arange(len(number)) - (counts.cumsum(0) - counts)[number[order]]

    def at(values: Tensor) -> list[Tensor]:
        spread = torch.zeros(size, int(counts.max()), dtype=torch.float64)
        spread[number, place] = values
        return [part.cpu()[number, place] for part in pre.marginals.interval(spread.to(device))]

    below, until, _, direct, atom = at(first)
    _, above, _, direct_last, _ = at(last)
    limits = [_limits(pre.space.columns[j], event) for j, event in pre.layout.intervals]  # type: ignore[attr-defined]
    bottom, top, slack, density = torch.tensor(limits, dtype=torch.float64)[number].unbind(1)
    point = (density > 0) & (first == last) & ~atom
    low = torch.where(direct.isnan(), torch.special.ndtri(below.clamp(0, 1)), direct)
    high = torch.where(direct_last.isnan(), torch.special.ndtri(above.clamp(0, 1)), direct_last)
    # Samples are kept within the range of the data, so what lies beyond it belongs to its ends.
    low = low.masked_fill(first <= bottom + slack, -math.inf)
    high = high.masked_fill(last >= top - slack, math.inf)
    here = torch.where(direct.isnan(), torch.special.ndtri(until.clamp(_EDGE, 1 - _EDGE)), direct)
    # A cell too far in a tail for its interval to be told from a point: what it says of the others is the same.
    point = point | (low >= high)
    return torch.where(point, here, low), torch.where(point, here, high), point


def _limits(column: Column, event: bool) -> tuple[float, float, float, float]:
    """Smallest and largest value of a number, how far values may be off, and whether it has a density."""
    if event:
        return 0.0, 1.0, 0.0, 0.0
    if not column.is_number:
        return 0.0, len(column.categories) - 1.0, 0.0, 0.0
    return column.low, column.high, 1e-3 * (column.step or 0.0), float(column.is_density)


def _race(pre: TablePreprocess, cases: Sequence[Case], j: int, start: int, k: int) -> Race:
    allowed = torch.ones(len(cases), k, dtype=torch.bool)
    for box, case in enumerate(cases):
        cell = case.get(j)
        if cell is not None and cell.intervals is not None:
            allowed[box] = False
            allowed[box, [int(value) for value, _ in cell.intervals]] = True
    first = len(pre.layout.intervals) + start
    return Race(first, k, pre.log_frequency[start : start + k].cpu(), allowed)


# ------------------------------------------------------------------------------------------------ looked up columns


def _cases(pre: TablePreprocess, cells: Mapping[int, Cells], children: Sequence[tuple[int, int]]) -> list[Case]:
    """The disjoint cases in which the cells are as asked."""
    cases: list[Case] = [dict(cells)]
    for child, parent in children:
        if not cells[child].missing and cells[child].intervals is not None:
            cases = [new for case in cases for new in _split(pre, case, cells[child], child, parent)]
    return cases


def _split(pre: TablePreprocess, case: Case, asked: Cells, child: int, parent: int) -> list[Case]:
    """`case` by how the child gets its value: from the parent's, or from its own number."""
    column: Column = pre.space.columns[parent]  # type: ignore[attr-defined]
    there = case.get(parent) or Cells()
    if there.missing:
        return [case]
    keys, told = pre.keys[child].cpu(), pre.lookup[child].cpu()
    known = keys.isfinite() & told.isfinite()
    keys, told = keys[known], told[known]
    chosen = asked.hold(told) & there.hold(keys, column.step)
    if column.is_density and there.point is None:  # a single number has no probability, unless it is an atom
        chosen &= torch.isin(keys, pre.marginals.atoms[pre.layout.intervals.index((parent, False))].cpu())
    found: list[Case] = []
    if bool(chosen.any()):
        values = tuple((key, key) for key in keys[chosen].tolist())
        found.append({**case, parent: Cells(intervals=values), child: None})
    if parent not in case and column.missing:
        found.append({**case, parent: Cells(missing=True)})
    if rest := _elsewhere(column, keys.tolist(), there):
        found.append({**case, parent: Cells(intervals=rest)})
    return found


def _elsewhere(column: Column, keys: Sequence[float], limits: Cells) -> tuple[Interval, ...]:
    """The parent's values that are none of the keys."""
    if not column.is_number:
        gaps = tuple((float(k), float(k)) for k in range(len(column.categories)) if k not in keys)
    else:
        edges = [below(column.low, column.step), *keys, above(column.high, column.step)]
        pairs = [(above(a, column.step), below(b, column.step)) for a, b in pairwise(edges)]
        gaps = tuple((a, b) for a, b in pairs if a <= b + 1e-3 * (column.step or 0.0))
    both = intersection(Cells(intervals=gaps), limits, column) if gaps else None
    return () if both is None or both.intervals is None else both.intervals
