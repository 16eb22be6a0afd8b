"""What an oddity is, and the words that its numbers are put in."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...spaces import Column
from ..tables import dates


@dataclass(frozen=True)
class Oddity:
    """Something in the data that a user should know before fitting.

    Attributes:
        kind: one word, such as "spike". column: whose it is; "" for the table as a whole.
        what: one sentence with its numbers. advice: what to do, or why nothing has to be done.
        severity: a "warning" spoils results unless it is mended; a "note" is good to know.
        other: the column that `column` copies or is a function of, or "".
    """

    kind: str
    column: str
    what: str
    advice: str
    severity: Literal["note", "warning"] = "note"
    other: str = ""


@dataclass(frozen=True)
class Profile:
    """One column as its cells show it.

    Attributes:
        column: what it is. j: its place. values, counts: distinct known values in order, and how many cells hold each.
        scale: rows of the table for each row that was counted (1: all were).
        missing: share of missing cells.
        tabular: whether it is of a table, whose spikes models keep as atoms; else of an array.
    """

    column: Column
    j: int
    values: np.ndarray
    counts: np.ndarray
    scale: float
    missing: float
    tabular: bool = True

    @property
    def leave_out(self) -> str:
        """How to do without the column."""
        return leave_out(self.column.name) if self.tabular else "leave the column out of the array"

    @property
    def known(self) -> int:
        """Cells that were counted."""
        return int(self.counts.sum())

    @property
    def agreement(self) -> float:
        """Chance that two rows have the same cell, a missing one being a value."""
        n = self.known
        same = float((self.counts * (self.counts - 1.0)).sum()) / max(1, n * (n - 1))
        return (1 - self.missing) ** 2 * same + self.missing**2

    def shown(self, value: float, quoted: bool = True) -> str:
        """A value in the user's own terms."""
        column = self.column
        if column.kind == "datetime":
            return moment(value, column)
        if column.is_number:
            return amount(value)
        text = shorten(column.categories[int(value)])
        return f'"{text}"' if quoted else text

    def rows(self, count: float) -> str:
        """`12 rows`; `about 1,200 rows` where not all were counted."""
        if self.scale == 1:
            return rows(count)
        return f"about {rows(float(f'{count * self.scale:.2g}'))}" if count > 2 else "a few rows"


def moment(seconds: float, column: Column) -> str:
    """A date, or a time of day, without the parts that are zero."""
    clock = is_time_of_day(column)
    format = "%H:%M:%S" if clock else "%Y-%m-%d %H:%M:%S"
    text = str(dates.write(np.array([seconds]), np.array([False]), format)[0].as_py())
    return text if clock else text.removesuffix(" 00:00:00")


def amount(value: float) -> str:
    """A number: 12, 2015, 12,345, 0.25, 1.5e+09."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.6g}"


def share(fraction: float) -> str:
    """A fraction as a percentage that is 0% or 100% only if it is exactly that."""
    percent = 100 * fraction
    if percent in (0, 100):
        return f"{percent:.0f}%"
    if percent < 0.01:
        return "under 0.01%"
    if percent > 99.99:
        return "over 99.99%"
    digits = 0 if 9.5 <= percent <= 99 else 1 if 0.95 <= percent <= 99.9 else 2
    return f"{percent:.{digits}f}%"


def leave_out(name: str) -> str:
    """The option that leaves a column of a table out, as it is typed."""
    return f"--columns {shlex.quote(f'{name}=drop')}"


def rows(count: float) -> str:
    """`1 row`, `1,200 rows`."""
    return "1 row" if count == 1 else f"{count:,.0f} rows"


def listed(names: list[str], most: int = 3, join: str = "and") -> str:
    """`a, b and c`; `a, b, c and 4 more`."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {join} {names[-1]}"


def shorten(text: str, most: int = 40) -> str:
    """One line of at most `most` characters."""
    line = " ".join(text.split()) if text.strip() else text
    return line if len(line) <= most else line[: most - 1] + "…"


def profile(x: np.ndarray, j: int, column: Column, missing: float, scale: float = 1.0, tabular: bool = True) -> Profile:
    """A column's profile from its cells x (m,), NaN where missing."""
    known = x[~np.isnan(x)]
    if column.is_number:
        values, counts = np.unique(known, return_counts=True)
    else:
        all_counts = np.bincount(known.astype(np.int64), minlength=len(column.categories))
        values = np.flatnonzero(all_counts).astype(np.float64)
        counts = all_counts[all_counts > 0]
    return Profile(column, j, values, counts, scale, missing, tabular)


def is_time_of_day(column: Column) -> bool:
    """Whether a column holds times of day, without a date."""
    return column.stored.startswith(("time32", "time64"))
