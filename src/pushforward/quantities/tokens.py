"""An expression cut into words, numbers, texts and signs, each with its place. Nothing in it is ever executed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..errors import InputError

LONGEST = 2_000
"""Characters that an expression may have."""
_PATTERN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<quoted>`(?:[^`]|``)*`)"
    r"|(?P<text>\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*')"
    r"|(?P<sign>\*\*|<=|>=|==|!=|≤|≥|≠|[-+*/<>(),\[\]])"
)
_SAME = {"≤": "<=", "≥": ">=", "≠": "!="}
_INSTEAD = {
    "=": "Equality is written ==.",
    "&": "Write and.",
    "|": "Write or.",
    "!": "Write not, or !=.",
    "^": "A power is written **.",
    ".": "There are no attributes: only columns, numbers and functions.",
    "`": "The backtick is not closed.",
    '"': "The quote is not closed.",
    "'": "The quote is not closed.",
    "%": "There is no remainder: use floor.",
}


@dataclass(frozen=True)
class Token:
    """kind: number, word, quoted (a name in backticks), text, sign or end. at: its first character, from 0."""

    kind: str
    text: str
    at: int


def where(text: str, at: int) -> str:
    """How an error begins: the expression (or the part around the place) and the character, counted from 1."""
    begin = 0 if len(text) <= 80 else max(0, at - 30)
    part = text[begin : begin + 80]
    shown = ("..." if begin else "") + part + ("..." if begin + 80 < len(text) else "")
    return f"{shown!r}, character {at + 1}"


def wrong(text: str, at: int, what: str, hint: str | None = None) -> InputError:
    """An error with the place, to be raised."""
    return InputError(f"{where(text, at)}: {what}", hint)


def tokenize(text: str) -> list[Token]:
    """The tokens of an expression, and an end.

    Raises:
        InputError: it is empty or too long; a character that has no meaning, with its place.
    """
    if not isinstance(text, str):
        raise InputError(f"an expression is text, not {type(text).__name__}.")
    if len(text) > LONGEST:
        raise InputError(f"the expression has {len(text):,} characters.", f"At most {LONGEST:,} are read.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise wrong(text, error.start, "this is no character.") from None
    if not text.strip():
        raise InputError("the expression is empty.", "Examples: x1*x2, x1 > 3 and x2 < 0.")
    found, at = [], 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            raise wrong(text, at, f"{text[at]!r} is not understood here.", _INSTEAD.get(text[at]))
        kind = str(match.lastgroup)
        found += [] if kind == "space" else [_token(text, kind, match[0], at)]
        at = match.end()
        if kind == "number" and at < len(text) and (text[at].isalnum() or text[at] in "_."):
            raise wrong(text, at, f"{text[at]!r} follows a number.", "Put a sign between them, or a name in backticks.")
    return [*found, Token("end", "", len(text))]


def _token(text: str, kind: str, part: str, at: int) -> Token:
    if kind in ("quoted", "text"):
        part = part[1:-1].replace(part[0] * 2, part[0])
    if kind == "number" and not (part.isascii() and math.isfinite(float(part))):
        raise wrong(text, at, f"{part[:20]} is no number that can be calculated with.")
    return Token(kind, _SAME.get(part, part) if kind == "sign" else part, at)
