"""Reading expressions such as `x1 > 3 and x2 < 0`, by recursive descent over a grammar of its own.

    or         and ("or" and)*
    and        not ("and" not)*
    not        "not" not | comparison
    comparison sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)* | sum ["not"] "in" "(" sum ("," sum)* ")"
    sum        product (("+" | "-") product)*
    product    sign (("*" | "/") sign)*
    sign       ("-" | "+") sign | power
    power      atom ("**" sign)?
    atom       number | 'text' | name | `name` | function "(" or ("," or)* ")" | array "[" whole ("," whole)* "]"
               | "(" or ")"

There is nothing else: no attributes, no other calls, no code. Chained comparisons mean all of them, as in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import InputError, did_you_mean
from ..spaces import Column, Space
from .formulas import (
    FUNCTIONS,
    Call,
    Cell,
    Comparison,
    Condition,
    Constant,
    Formula,
    Joined,
    Missing,
    Node,
    Not,
    Power,
    Product,
    Sum,
    constant,
)  # fmt: skip
from .names import Named, Names
from .tokens import Token, tokenize, where, wrong

_DEEPEST = 40
_LARGEST_POWER = 100.0
_COMPARE = ("<", "<=", ">", ">=", "==", "!=")
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_WORDS = ("and", "or", "not", "in")
_STATES = ("missing", "known")


def parse(text: str, space: Space, conditions: Sequence[str] = ()) -> Formula:
    """The expression `text` over samples of `space`.

    Args:
        conditions: columns that the model is conditioned on; they are named in errors.

    Raises:
        InputError: what cannot be read, with the place; an unknown column, function or value.
    """
    return _Parser(text, Names(space, conditions)).formula()


@dataclass(frozen=True)
class _Text(Node):
    """Text in quotes: what a column is compared with."""

    of: str


class _Parser:
    def __init__(self, text: str, names: Names):
        self.tokens, self.text, self.names = tokenize(text), text, names
        self.next, self.depth = 0, 0
        self.used: dict[Named, int] = {}
        self.comparisons: list[Comparison] = []

    def formula(self) -> Formula:
        root = self._or()
        if self._token.kind != "end":
            raise self._unexpected()
        if not root.is_condition:
            self._number(root, 0)
        if not self.used:
            raise wrong(self.text, 0, "no column is named.", "The expression is the same for all samples.")
        return Formula(self.text, root, self.names, tuple(self.used), tuple(self.comparisons))

    # -------------------------------------------------------------------------------------------- tokens

    @property
    def _token(self) -> Token:
        return self.tokens[self.next]

    def _take(self, *texts: str, kind: str = "sign") -> Token | None:
        """The next token if it is one of these."""
        token = self._token
        if token.kind != kind or token.text not in texts:
            return None
        self.next += 1
        return token

    def _need(self, text: str) -> None:
        if self._take(text) is None:
            raise self._unexpected(f"{text} is expected here.")

    def _unexpected(self, what: str | None = None) -> InputError:
        token = self._token
        shown = "the end" if token.kind == "end" else repr(token.text[:40])
        return wrong(self.text, token.at, what or f"{shown} is not expected here.")

    def _deeper(self, read: Callable[[], Node]) -> Node:
        """A part within a part, up to a depth."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise wrong(self.text, self._token.at, f"parts are nested more than {_DEEPEST} deep.")
        found = read()
        self.depth -= 1
        return found

    # -------------------------------------------------------------------------------------------- kinds

    def _number(self, node: Node, at: int) -> Node:
        """A node that can be calculated with."""
        if isinstance(node, _Text):
            raise wrong(self.text, at, "text is only compared with columns.", 'Such as city == "Lima".')
        if isinstance(node, Cell) and not node.name.is_number:
            raise wrong(self.text, at, f"{node.name.text} is no number.", "Compare it: ==, !=, in (...).")
        return node

    def _condition(self, node: Node, at: int) -> Condition:
        if isinstance(node, Condition):
            return node
        if isinstance(node, Cell) and node.name.column is not None and node.name.column.kind == "boolean":
            return self._comparison_of("==", node, Constant(1.0), exact=True)
        raise wrong(self.text, at, "a number stands where a condition is expected.", "Compare it, as in x1 > 0.")

    # -------------------------------------------------------------------------------------------- conditions

    def _or(self) -> Node:
        return self._joined("or", lambda: self._joined("and", self._not))

    def _joined(self, word: str, part: Callable[[], Node]) -> Node:
        at = self._token.at
        first = part()
        if not self._is_word(word):
            return first
        found = [self._condition(first, at)]
        while self._take(word, kind="word"):
            at = self._token.at
            found.append(self._condition(part(), at))
        return Joined(word == "and", tuple(found))

    def _is_word(self, *words: str) -> bool:
        return self._token.kind == "word" and self._token.text in words

    def _not(self) -> Node:
        if self._take("not", kind="word"):
            at = self._token.at
            return Not(self._condition(self._deeper(self._not), at))
        return self._comparison()

    def _comparison(self) -> Node:
        at = self._token.at
        left = self._sum()
        negated = self._is_word("not") and self.tokens[self.next + 1].text == "in"
        if negated:
            self.next += 1
        if self._take("in", kind="word"):
            return self._within(left, at, negated)
        found: list[Condition] = []
        while (sign := self._take(*_COMPARE)) is not None:
            right_at = self._token.at
            right = self._sum()
            found.append(self._compared(sign, left, at, right, right_at))
            left, at = right, right_at
        if not found:
            return left
        return found[0] if len(found) == 1 else Joined(True, tuple(found))

    def _within(self, left: Node, at: int, negated: bool) -> Node:
        sign = Token("sign", "==", self._token.at)
        self._need("(")
        found: list[Condition] = []
        while True:
            right_at = self._token.at
            found.append(self._compared(sign, left, at, self._sum(), right_at))
            if self._take(")"):
                break
            self._need(",")
        any_ = Joined(False, tuple(found))
        if not negated:
            return any_
        if isinstance(left, Cell):  # as !=, it is not true of a missing cell
            return Joined(True, (Not(any_), Not(Missing(left))))
        return Not(any_)

    def _compared(self, sign: Token, left: Node, at: int, right: Node, right_at: int) -> Condition:
        operator = sign.text
        if isinstance(left, _Text | Constant) and isinstance(right, Cell):
            left, at, right, right_at, operator = right, right_at, left, at, _FLIPPED[operator]
        column = left.name.column if isinstance(left, Cell) else None
        if column is None or column.is_number:
            if column is not None and isinstance(right, _Text):
                right = self._value(right.of, column, right_at)
            elif column is not None and column.kind == "datetime" and isinstance(right, Constant):
                raise wrong(self.text, right_at, f"{column.name} holds dates.", 'Write one in quotes: "2024-12-31".')
            return self._comparison_of(operator, self._number(left, at), self._number(right, right_at))
        return self._of_categories(sign, operator, left, column, right, right_at)

    def _of_categories(
        self, sign: Token, operator: str, left: Node, column: Column, right: Node, right_at: int
    ) -> Condition:
        """A comparison of a cell that is the position of its value."""
        other = right.name.column if isinstance(right, Cell) else None
        if isinstance(right, _Text):
            right = self._value(right.of, column, right_at)
        elif isinstance(right, Constant) and column.kind != "boolean":
            right = self._value(f"{right.of:.15g}", column, right_at)
        elif other is not None and other.categories != column.categories:
            raise wrong(self.text, right_at, f"{column.name} and {other.name} have different values.")
        elif other is None and column.kind != "boolean":
            raise wrong(self.text, right_at, f"a number is compared with {column.name}, which is none.")
        if operator not in ("==", "!=") and column.kind not in ("ordinal", "boolean"):
            raise wrong(self.text, sign.at, f"the values of {column.name} have no order.", "Use ==, != or in (...).")
        return self._comparison_of(operator, left, right, exact=operator in ("==", "!="))

    def _value(self, text: str, column: Column, at: int) -> Constant:
        from ..conditional.values import read

        return Constant(read(text, column, where(self.text, at)))

    def _comparison_of(self, operator: str, left: Node, right: Node, exact: bool = False) -> Comparison:
        found = Comparison(operator, left, right, len(self.comparisons), exact)
        self.comparisons.append(found)
        return found

    # -------------------------------------------------------------------------------------------- numbers

    def _sum(self) -> Node:
        at = self._token.at
        first = self._product()
        terms: list[tuple[int, Node]] = []
        while (sign := self._take("+", "-")) is not None:
            terms = terms or [(1, self._number(first, at))]
            right_at = self._token.at
            terms.append((1 if sign.text == "+" else -1, self._number(self._product(), right_at)))
        return Sum(tuple(terms)) if terms else first

    def _product(self) -> Node:
        at = self._token.at
        first = self._sign()
        factors: list[tuple[bool, Node]] = []
        while (sign := self._take("*", "/")) is not None:
            factors = factors or [(False, self._number(first, at))]
            right_at = self._token.at
            factors.append((sign.text == "/", self._number(self._sign(), right_at)))
        return Product(tuple(factors)) if factors else first

    def _sign(self) -> Node:
        sign = self._take("-", "+")
        if sign is None:
            return self._power()
        at = self._token.at
        part = self._number(self._deeper(self._sign), at)
        if sign.text == "+":
            return part
        return Constant(-part.of) if isinstance(part, Constant) else Sum(((-1, part),))

    def _power(self) -> Node:
        at = self._token.at
        base = self._atom()
        if self._take("**") is None:
            return base
        right_at = self._token.at
        exponent = self._number(self._deeper(self._sign), right_at)
        size = constant(exponent)
        if size is not None and not abs(size) <= _LARGEST_POWER:
            raise wrong(self.text, right_at, f"the exponent {size:g} is too large.", f"At most {_LARGEST_POWER:g}.")
        return Power(self._number(base, at), exponent)

    def _atom(self) -> Node:
        token = self._token
        self.next += 1
        if token.kind == "number":
            return Constant(float(token.text))
        if token.kind == "text":
            return _Text(token.text)
        if token.kind == "quoted":
            return self._cell(self._named(token, lambda: self.names.look_up(token.text)))
        if token.kind == "word" and token.text not in _WORDS:
            return self._word(token)
        if token.kind == "sign" and token.text == "(":
            found = self._deeper(self._or)
            self._need(")")
            return found
        self.next -= 1
        raise self._unexpected()

    def _word(self, token: Token) -> Node:
        if self._take("("):
            return self._call(token)
        if self._take("["):
            indices = self._indices()
            return self._cell(self._named(token, lambda: self.names.at(token.text, indices)))
        if token.text not in self.names.found and token.text.lower() in ("true", "false"):
            return _Text(token.text.lower())
        return self._cell(self._named(token, lambda: self.names.look_up(token.text)))

    def _named(self, token: Token, find: Callable[[], Named]) -> Named:
        try:
            return find()
        except InputError as error:
            hint = error.hint
            longer = [name for name in self.names.found if name.startswith(token.text) and not name.isidentifier()]
            if longer:
                hint = f"Names with spaces or signs go in backticks: `{longer[0]}`."
            elif token.text in FUNCTIONS:
                hint = f"Of the function, write {token.text}(...)."
            elif token.text in _STATES:
                hint = f"Write {token.text}(COLUMN)."
            raise wrong(self.text, token.at, error.what, hint) from None

    def _cell(self, name: Named) -> Cell:
        return Cell(self.used.setdefault(name, len(self.used)), name)

    def _indices(self) -> list[int]:
        found: list[int] = []
        while True:
            token = self._token
            if token.kind != "number" or not token.text.isdigit() or len(token.text) > 9:
                raise self._unexpected("a whole number is expected here.")
            found.append(int(token.text))
            self.next += 1
            if self._take("]"):
                return found
            self._need(",")

    def _call(self, token: Token) -> Node:
        name = token.text
        if name not in FUNCTIONS and name not in _STATES:
            raise wrong(self.text, token.at, f"unknown function {name!r}.", did_you_mean(name, [*FUNCTIONS, *_STATES]))
        arguments: list[Node] = []
        begin = self._token.at
        while not (not arguments and self._take(")")):
            at = self._token.at
            part = self._deeper(self._or)
            arguments.append(part if name in _STATES else self._number(part, at))
            if self._take(")"):
                break
            self._need(",")
        if name in _STATES:
            if len(arguments) != 1 or not isinstance(arguments[0], Cell):
                raise wrong(self.text, begin, f"{name}(...) takes one column.")
            gone = Missing(arguments[0])
            return gone if name == "missing" else Not(gone)
        least, most, _ = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise wrong(self.text, token.at, f"{name} takes {wanted} numbers, not {len(arguments)}.")
        return Call(name, tuple(arguments))
