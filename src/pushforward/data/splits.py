"""Training, validation and test rows: a pure function of the number of rows and a seed.

Rows are shuffled always: folders and files are often ordered by class, and the last tenth of such a file is one
class (a model scored on two digits of MNIST looks far better than it is).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..dataset import Dataset, rows
from ..errors import InputError
from ..noise import Noise
from ..spaces import Space
from .source import TEST, TRAIN, VALIDATION, mapped

COPY_LIMIT = 1 << 28
"""Parts of larger arrays are views of the whole instead of copies: 256 MiB."""


@dataclass(frozen=True)
class Groups:
    """Rows that go to one part together.

    Attributes:
        codes: (n,) the group of each row, 0..k-1; in the order of time if `by_time`.
        column: the column that says it. by_time: the latest groups are the test.
        labels: of the groups, for the account, when they are times.
    """

    codes: np.ndarray
    column: str
    by_time: bool = False
    labels: tuple[str, ...] = ()


class View(Dataset):
    """The rows `index` of one large array, never copied: a memory-mapped file, or most of the memory there is.

    Gathering copies only the rows asked for, contiguous and in the space's type.
    """

    def __init__(self, x: Tensor, condition: Any, index: Tensor, *, space: Space, condition_space: Space | None = None):
        super().__init__(x, condition, space=space, condition_space=condition_space, n=len(index))
        self.index = index

    def gather(self, index: Tensor, noise: Noise) -> tuple[Any, Any]:
        """Rows (k, *shape) of this view and their conditions."""
        chosen = self.index[index]
        x = self.x[chosen.to(self.x.device)].contiguous().to(self.space.dtype)
        return x, rows(self.condition, chosen)

    def to(self, device: torch.device | str) -> Dataset:
        """On another device these rows become a plain dataset; on the processor they stay a view."""
        if torch.device(device).type == "cpu":
            return self
        x, condition = self.gather(torch.arange(self.n), Noise.of(0, index=torch.arange(self.n)))
        plain = Dataset(x, condition, space=self.space, condition_space=self.condition_space)
        return plain.to(device)

    @property
    def bytes(self) -> int:
        """The memory of its rows."""
        return self.n * math.prod(self.space.shape) * self.space.dtype.itemsize

    def conditions(self) -> Any:
        """The conditions of all its rows, or None."""
        return rows(self.condition, self.index)

    def subset(self, index: Tensor) -> Dataset:
        """The rows `index` of this view, again without a copy."""
        return View(self.x, self.condition, self.index[index], space=self.space, condition_space=self.condition_space)


def part(
    x: np.ndarray, condition: Tensor | None, index: Tensor, space: Space, condition_space: Space | None
) -> Dataset:
    """The rows `index` as a dataset: a copy when that is small, a view of the whole otherwise."""
    whole = torch.from_numpy(x if x.flags.writeable else x.copy())
    if mapped(x) or x.nbytes > COPY_LIMIT:
        return View(whole, condition, index, space=space, condition_space=condition_space)
    kept = whole[index].contiguous().to(space.dtype)
    return Dataset(kept, rows(condition, index), space=space, condition_space=condition_space)


def shuffled(n: int, seed: int) -> Tensor:
    """A permutation of n rows that no library version changes: the order of our own hash of (seed, row)."""
    u = Noise.of(seed, 41, index=torch.arange(n)).uniform(1, dtype=torch.float64)[:, 0]
    return torch.argsort(u, stable=True)


def check_split(seed: Any, validation: Any, test: Any) -> None:
    """Raises InputError unless the seed is a whole number and the fractions leave something to train on."""
    for name, fraction in (("validation", validation), ("test", test)):
        good = isinstance(fraction, (int, float)) and not isinstance(fraction, bool)
        if not good or not 0 < fraction < 1 or not validation + test < 1:
            raise InputError(
                f"{name}={fraction!r}.", "Fractions lie between 0 and 1, and validation + test stays below 1."
            )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"split_seed={seed!r}.", "It is a whole number of at least 0.")


def split_rows(
    n: int,
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    given: np.ndarray | None = None,
    where: str = "data",
    groups: Groups | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Rows of each part, shuffled, and a JSON-able account of how they were chosen.

    Args:
        n: rows. seed: of the shuffle.
        validation: fraction of the rows (of the training rows, when a test part is given). test: the same.
        given: (n,) parts that the source came with; what it leaves out is taken from its training part.
        where: names the source in errors.
        groups: rows that stay together, whole groups being dealt out.

    Every part has at least one row.

    Raises:
        InputError: fewer than 3 rows or groups, or fractions outside (0, 1).
    """
    check_split(seed, validation, test)
    order = shuffled(n, int(seed))
    if groups is not None and n >= 3:
        given, more = _deal(groups, int(seed), validation, test, where)
    codes = torch.zeros(n, dtype=torch.int8) if given is None else torch.from_numpy(given.astype(np.int8))
    codes = codes[order]
    parts = {
        name: order[codes == code] for name, code in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
    }
    missing = [name for name in ("test", "validation") if len(parts[name]) == 0]
    available = len(parts["train"])
    if available < 1 + len(missing):
        raise InputError(
            f"{where}: {available} row{'' if available == 1 else 's'} to train on.",
            "A fit needs at least 3 rows (10 or more to be useful): one part to train on, one to choose the best "
            "weights, one to test.",
        )
    fractions = {"validation": float(validation), "test": float(test)}
    pool = parts["train"]
    for name in missing:
        size = max(1, min(round(fractions[name] * available), len(pool) - 1 - (name == "test" and len(missing) == 2)))
        parts[name], pool = pool[:size], pool[size:]
    parts["train"] = pool
    own = [name for name in ("test", "validation") if name not in missing]
    how = "shuffled" if not own else f"{' and '.join(own)} as given; the rest of the training rows shuffled"
    if own and not missing:
        how = "as given"
    account = {
        **{name: len(index) for name, index in parts.items()},
        "seed": int(seed),
        "fractions": {name: fractions[name] for name in missing},
        "how": how,
    }
    if groups is not None:
        account |= {"fractions": fractions, **more}
    return parts, account


def _deal(groups: Groups, seed: int, validation: float, test: float, where: str) -> tuple[np.ndarray, dict[str, Any]]:
    """The part of each row (n,), whole groups in one part, and an account of it."""
    sizes = np.bincount(groups.codes)
    k, n = len(sizes), len(groups.codes)
    if k < 3:
        what = "times" if groups.by_time else "groups"
        option = "split_time" if groups.by_time else "split_by"
        raise InputError(
            f"{where}: column {groups.column!r} has {k} different {what if k != 1 else what[:-1]}.",
            f"{option}= needs at least 3: one to train on, one to choose the best weights, one to test.",
        )
    targets = {TEST: max(1, round(test * n)), VALIDATION: max(1, round(validation * n))}
    part_of = np.full(k, TRAIN, np.int8)
    if groups.by_time:
        end = k
        for code, others in ((TEST, 2), (VALIDATION, 1)):
            totals = sizes[:end][::-1].cumsum()[: end - others]  # of the last 1, 2, ... groups
            count = int(abs(totals - targets[code]).argmin()) + 1
            part_of[end - count : end] = code
            end -= count
        test_from, validation_from = int((part_of == TEST).argmax()), int((part_of == VALIDATION).argmax())
        begins = {"validation": groups.labels[validation_from], "test": groups.labels[test_from]}
        how = f"by time ({groups.column}): validation from {begins['validation']}, test from {begins['test']} on"
        return part_of[groups.codes], {"how": how, "split_time": groups.column, "from": begins}
    free = shuffled(k, seed).tolist()
    for code, others in ((TEST, 2), (VALIDATION, 1)):
        total = 0
        left: list[int] = []
        taken: list[int] = []
        for group in free:
            fits = total + sizes[group] <= targets[code] and len(free) - len(taken) > others
            (taken if fits else left).append(group)
            total += int(sizes[group]) if fits else 0
        if not taken:  # every group is larger than the part should be
            taken = [min(left, key=lambda group: sizes[group])]
            left.remove(taken[0])
        part_of[taken] = code
        free = left
    counts = {
        name: int((part_of == c).sum()) for name, c in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
    }
    how = f"whole groups of {groups.column}, shuffled: {' + '.join(f'{c:,}' for c in counts.values())} groups"
    return part_of[groups.codes], {"how": how, "split_by": groups.column, "groups": counts}
