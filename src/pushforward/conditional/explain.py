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
from dataclasses import dataclass, field
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
from .leave_out import LeaveOneOut, cells_of
from .mixture import Mixture, is_mixture, mixture_of
from .replay import core_condition, table_preprocess
from .stand_in import density_options, stand_in, usable_likelihood

_NUMBERS = 2**21


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

    For mixtures of Gaussians the conditional distributions are those of each number given the others, in closed form
    (a cell of a column with missing cells has two: whether it is missing, and its value). For other models with a
    likelihood, cells are drawn anew by a mixture fitted to the model's samples, and weighted by the model's likelihood
    of the row. A column that follows from another one is explained with it.

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
        self.redraws = 4 if self.likelihood == "estimate" else 16
        self.intervals = len(pre.layout.intervals)

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
            step = max(1, _NUMBERS // (len(mixture) * max(1, self.intervals)))
            for part in rows.split(step if self.closed else 4096):
                given = None if condition is None else condition[part.to(self.model.device)]
                if self.closed:
                    found[part] = self._in_closed_form(mixture, x[part], given, part)
                columns = clocks if self.closed else list(range(x.shape[1]))
                if columns:
                    found[part[:, None], torch.tensor(columns)] = self._redrawn(mixture, x[part], given, part, columns)
        if self.closed:
            notes = ["each cell given the others, in closed form"]
        else:
            notes = [f"{self.redraws} cells drawn anew for each, weighted by the model's likelihood of the row"]
        return Explained(found, "exact" if self.closed else "importance", notes)

    def _mixture(self, label: int | None) -> Mixture:
        if self.closed:
            return mixture_of(self.model.core, label)
        one = None if label is None else torch.tensor([label], device=self.model.device)
        return stand_in(self.model, one, seed=self.seed)

    def _numbers(self, x: Tensor, condition: Any, mixture: Mixture, index: Tensor, draw: int) -> Tensor:
        """Numbers (n, D) of rows, led by a vector condition."""
        noise = Noise.of(self.seed, 61, draw, index=index)
        device = self.model.device
        noise = Noise(noise.key.to(device))
        z = self.pre(x.to(device), noise)[0].cpu().double()
        if mixture.leading:
            known = core_condition(self.model, condition).cpu().double().flatten(1)
            z = torch.cat([known, z], 1)
        return z

    def _idle(self, x: Tensor) -> Tensor:
        """(n, I): numbers that say nothing of a row: of a missing cell, or of one that another decides."""
        decided = torch.zeros(x.shape, dtype=torch.bool)
        for child in self.pre.derived():
            decided[:, child] = ~follows(self.pre, child, x[:, int(self.pre.parent[child])]).isnan()
        columns = torch.tensor([j for j, _ in self.pre.layout.intervals], dtype=torch.int64)
        events = torch.tensor([event for _, event in self.pre.layout.intervals], dtype=torch.bool)
        return (decided | x.isnan())[:, columns] & ~events

    def _in_closed_form(self, mixture: Mixture, x: Tensor, condition: Any, index: Tensor) -> Tensor:
        idle, total = self._idle(x), torch.zeros(x.shape, dtype=torch.float64)
        columns = torch.tensor([j for j, _ in self.pre.layout.intervals], dtype=torch.int64)
        shape = (self.intervals,)
        draws = 2
        for draw in range(draws):
            z = self._numbers(x, condition, mixture, index, draw)
            rest = LeaveOneOut.of(mixture, z, self.intervals)
            own = z[:, mixture.leading : mixture.leading + self.intervals]
            here = rest.log_prob(cells_of(self.pre, own))
            noise = Noise.of(self.seed, 62, draw, index=index)
            usual = torch.zeros_like(here)
            for _ in range(self.redraws):
                u, e = noise.uniform(*shape, dtype=torch.float64), noise.normal(*shape, dtype=torch.float64)
                usual += rest.log_prob(cells_of(self.pre, rest.draw(u, e))) / self.redraws
            total.index_add_(1, columns, (usual - here).masked_fill(idle, 0.0) / draws)
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
        options = density_options(self.model.core, self.likelihood)

        def log_prob(rows: Tensor) -> Tensor:
            # The same seed: the numbers of the other cells are the same.
            return self.model.log_prob(rows, condition, seed=seed, **options).values.cpu().double()

        here = log_prob(x)
        z = self._numbers(x, condition, mixture, index, 0)
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
            for d in range(self.redraws):
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
        q, x = torch.zeros(len(x), dtype=torch.float64), x.clone()
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
        x[:, j] = torch.where(decided, told, value)
        q = torch.where(decided, 0.0, q)
        for child in pre.derived():
            if int(pre.parent[child]) == j:
                follow = follows(pre, child, x[:, j])
                x[:, child] = torch.where(follow.isnan() | x[:, child].isnan(), x[:, child], follow)
        return x, q
