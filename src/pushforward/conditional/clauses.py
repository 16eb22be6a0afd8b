"""Clauses such as `age>60`: reading them, and the cells that they are true of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError, did_you_mean
from ..spaces import Column, Table
from . import values
from .cells import Cells, Interval, above, below, ceil, floor, onto

_OPERATOR = re.compile(r"\s*(!=|≠|<=|≤|>=|≥|==|=|<|>)\s*|\s+(in)\s*(?=\()", re.IGNORECASE)
_SAME = {"≠": "!=", "≤": "<=", "≥": ">=", "==": "="}
EXAMPLE = "Examples: sex=Female, age>60, country in (Peru|Cuba), score=missing."


def read_clauses(text: str, space: Table, conditions: Sequence[str] = ()) -> list[Clause]:
    """The clauses of a text, in order; see `Event.parse`."""
    return _Scanner(text, space, conditions).clauses()


# ------------------------------------------------------------------------------------------------ one clause


@dataclass(frozen=True)
class Clause:
    """A column, an operator and values with whether each was quoted, and all of it as text."""

    column: int
    operator: str
    values: tuple[tuple[str, bool], ...]
    text: str

    def cells(self, column: Column) -> Cells:
        """The cells that it is true of. Raises InputError where there are none."""
        if (state := self._state(column)) is not None:
            if state.missing and not column.missing:
                raise InputError(f"{self.text}: no cell of {column.name} was missing in the data.")
            return state
        found = [values.read(text, column, self.text) for text, _ in self.values]
        if column.is_number:  # ends of the range as they are shown, with six digits
            slack = 1e-5 * (column.high - column.low)
            found = [min(max(v, column.low), column.high) if _nearly(v, column, slack) else v for v in found]
        intervals = self._numbers(found, column) if column.is_number else self._positions(found, column)
        if not intervals:
            raise InputError(f"{self.text} is true of no row.", f"{column.name} is {values.range_of(column)}.")
        return Cells(intervals=intervals)

    def _state(self, column: Column) -> Cells | None:
        """For the words `missing` and `known`, where they are not values of the column."""
        words = [text for text, quoted in self.values if not quoted and text in ("missing", "known")]
        words = [word for word in words if column.missing or word not in column.categories]
        if not words:
            return None
        if len(self.values) > 1 or self.operator not in ("=", "!="):
            raise InputError(
                f"{self.text}: {words[0]} is no value of {column.name}.",
                f"Write {column.name}={words[0]} as a clause of its own, or quote it if it is one.",
            )
        return Cells(missing=(words[0] == "missing") == (self.operator == "="))

    def _positions(self, found: list[float], column: Column) -> tuple[Interval, ...]:
        if self.operator in ("<", "<=", ">", ">="):
            if column.kind != "ordinal":
                raise InputError(f"{self.text}: the values of {column.name} have no order.", f"Use = or in. {EXAMPLE}")
            kept = [k for k in range(len(column.categories)) if _compare(float(k), self.operator, found[0])]
        elif self.operator == "!=":
            kept = [k for k in range(len(column.categories)) if k not in found]
        else:
            kept = sorted({int(value) for value in found})
        return tuple((float(k), float(k)) for k in kept)

    def _numbers(self, found: list[float], column: Column) -> tuple[Interval, ...]:
        step = column.step
        if self.operator in ("=", "in"):
            for value in found:
                self._refuse_outside(value, column)
            return tuple((v, v) for v in sorted({onto(value, step) for value in found}))
        value, low, high = found[0], column.low, column.high
        if self.operator == "!=":
            intervals = [(low, min(below(value, step), high)), (max(above(value, step), low), high)]
        elif self.operator in ("<", "<="):
            intervals = [(low, min(high, below(value, step) if self.operator == "<" else floor(value, step)))]
        else:
            intervals = [(max(low, above(value, step) if self.operator == ">" else ceil(value, step)), high)]
        slack = 0.0 if step is None else 1e-6 * step
        kept = tuple((a, b) for a, b in intervals if a <= b + slack)
        if not kept:
            raise InputError(
                f"{self.text} is outside what the model knows.",
                f"{column.name} is {values.range_of(column)} in the data, and samples stay in that range.",
            )
        return kept

    def _refuse_outside(self, value: float, column: Column) -> None:
        if not column.low <= value <= column.high:
            raise InputError(
                f"{self.text} is outside what the model knows.",
                f"{column.name} is {values.range_of(column)} in the data, and samples stay in that range.",
            )
        if column.step is not None and abs(value - onto(value, column.step)) > 1e-3 * column.step:
            kind = {86400.0: "whole days", 3600.0: "whole hours", 60.0: "whole minutes", 1.0: "whole numbers"}
            if column.kind == "datetime":
                kind[1.0] = "whole seconds"
            raise InputError(
                f"{self.text}: {column.name} holds {kind.get(column.step, f'multiples of {column.step:g}')}.",
                f"Nearest: {values.written(column, onto(value, column.step))}.",
            )


def _nearly(value: float, column: Column, slack: float) -> bool:
    return column.low - slack <= value <= column.high + slack


def _compare(a: float, operator: str, b: float) -> bool:
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


# ------------------------------------------------------------------------------------------------ reading


class _Scanner:
    """Clauses of a text, by the names that the table has: they may hold spaces, operators and commas."""

    def __init__(self, text: str, space: Table, conditions: Sequence[str]):
        self.text, self.space, self.conditions, self.at = text, space, conditions, 0

    def clauses(self) -> list[Clause]:
        found: list[Clause] = []
        while True:
            self._skip()
            if self.at >= len(self.text):
                return found
            begin = self.at
            column = self._name()
            operator = self._operator(begin)
            read = self._list(begin) if operator == "in" else (self._value(self.space.columns[column], begin),)
            text = self.text[begin : self.at].strip()
            self._skip()
            if self.at < len(self.text):
                if self.text[self.at] != ",":
                    raise InputError(
                        f"--given {self.text!r}: after {text} comes {self.text[self.at :][:20]!r}.",
                        "Separate clauses by commas, and quote values that hold any.",
                    )
                self.at += 1
            found.append(Clause(column, operator, read, text))

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _name(self) -> int:
        names = list(self.space.names)
        if self.text[self.at] in "\"'":
            return self._column(self._quoted())
        for name in sorted((n for n in names if n), key=len, reverse=True):
            after = self.at + len(name)
            if self.text.startswith(name, self.at) and _OPERATOR.match(self.text, after):
                self.at = after
                return names.index(name)
        found = _OPERATOR.search(self.text, self.at)
        if found is None:
            raise InputError(f"--given {self.text[self.at :]!r} has no comparison.", EXAMPLE)
        return self._column(self.text[self.at : found.start()].strip())

    def _column(self, name: str) -> int:
        if name in self.conditions:
            raise InputError(
                f"the model is conditioned on {name}: it is no column of what it generates.",
                f"Choose it with --condition {name}=VALUE.",
            )
        if name not in self.space.names:
            raise InputError(f"--given: the model has no column {name!r}.", did_you_mean(name, self.space.names))
        return self.space.names.index(name)

    def _operator(self, begin: int) -> str:
        found = _OPERATOR.match(self.text, self.at)
        if found is None:
            raise InputError(f"--given {self.text[begin:]!r} has no comparison.", EXAMPLE)
        self.at = found.end()
        word = (found[1] or found[2]).lower()
        return _SAME.get(word, word)

    def _value(self, column: Column, begin: int) -> tuple[str, bool]:
        self._skip()
        if self.at < len(self.text) and self.text[self.at] in "\"'":
            return self._quoted(), True
        ends = [k for k in range(self.at, len(self.text)) if self.text[k] == ","] + [len(self.text)]
        whole = [e for e in ends if self.text[self.at : e].strip() in column.categories]
        end = whole[-1] if whole else ends[0]  # a category that holds a comma
        value = self.text[self.at : end].strip()
        if not value:
            raise InputError(f"--given {self.text[begin:]!r} has no value.", EXAMPLE)
        self.at = end
        return value, False

    def _list(self, begin: int) -> tuple[tuple[str, bool], ...]:
        found: list[tuple[str, bool]] = []
        self.at += 1
        while True:
            self._skip()
            if self.at < len(self.text) and self.text[self.at] in "\"'":
                found.append((self._quoted(), True))
                self._skip()
            else:
                end = re.compile(r"[|,)]|$").search(self.text, self.at)
                assert end is not None
                found.append((self.text[self.at : end.start()].strip(), False))
                self.at = end.start()
            if self.at >= len(self.text) or self.text[self.at] not in "|,)":
                raise InputError(f"--given {self.text[begin:]!r} has no closing parenthesis.", EXAMPLE)
            self.at += 1
            if self.text[self.at - 1] == ")":
                break
        if any(not text and not quoted for text, quoted in found):
            raise InputError(f"--given {self.text[begin : self.at]!r} lacks a value.", EXAMPLE)
        return tuple(found)

    def _quoted(self) -> str:
        """The text in quotes; two of them stand for one."""
        mark = self.text[self.at]
        found = re.compile(rf"{mark}((?:[^{mark}]|{mark}{mark})*){mark}").match(self.text, self.at)
        if found is None:
            raise InputError(f"--given {self.text[self.at :]!r}: the quote is not closed.")
        self.at = found.end()
        return found[1].replace(mark * 2, mark)
