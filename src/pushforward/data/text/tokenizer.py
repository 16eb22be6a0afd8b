"""Text to tokens and back: characters, or byte-pair encoding.

Byte-pair encoding (Sennrich, Haddow, Birch 2016, arXiv:1508.07909, algorithm 1) merges the most frequent pair of
neighbouring tokens into a new one, again and again. As in GPT-2 it starts from the 256 bytes of UTF-8, so that any text
has tokens, and pairs never cross from one word to the next.

Tokens 0..255 are bytes, token 256 + i is merge i. The vocabulary lives in the `Tokens` space and is saved with it.
"""

from __future__ import annotations

import functools
import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from ...errors import InputError
from ...spaces import Tokens

BYTES = 256

# A word with the space before it, a number, a run of signs, or white space; each character is in exactly one piece.
_PIECE = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")
_BOUNDARY = re.compile(r"(?<=\S)(?=\s)")
_BLOCK = 1 << 20

Merges = tuple[tuple[int, int], ...]


class Tokenizer(Protocol):
    """`decode(encode(text)) == text` for every text that can be encoded."""

    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """(tokens,) int32. Raises InputError with line and column for a character that has no token."""

    def decode(self, tokens: np.ndarray) -> str:
        """The text of (n,) tokens; bytes that are not UTF-8 (a sample may end inside a character) become U+FFFD."""


@functools.lru_cache(16)
def tokenizer(space: Tokens) -> Tokenizer | None:
    """The tokenizer that a space carries; None for sequences of plain integers."""
    if space.characters:
        return Characters(space.characters)
    return BytePairs(space.merges) if space.merges else None


# ------------------------------------------------------------------------------------------------- characters


class Characters:
    """Each character is a token: its position in `characters`, which are distinct and in order."""

    def __init__(self, characters: str):
        self.characters = characters
        self._codes = _code_points(characters)
        self._tokens = np.full(int(self._codes[-1]) + 2, -1, np.int32)  # the last entry stands for all beyond
        self._tokens[self._codes] = np.arange(len(characters))

    @staticmethod
    def of(text: str) -> str:
        """The distinct characters of a text, in the order of their code points."""
        return "".join(sorted(set(text)))

    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """Text as tokens (n,); raises InputError for what has no token."""
        tokens = np.empty(len(text), np.int32)
        for start in range(0, len(text), _BLOCK):
            codes = _code_points(text[start : start + _BLOCK])
            tokens[start : start + _BLOCK] = self._tokens[np.minimum(codes, len(self._tokens) - 1)]
        if len(tokens) and tokens.min() < 0:
            at = int(np.argmax(tokens < 0))
            before = text[:at]
            line, column = before.count("\n") + 1, at - before.rfind("\n")
            unknown = len(set(text) - set(self.characters))
            others = f" ({unknown} such characters in all)" if unknown > 1 else ""
            raise InputError(
                f"{where}, line {line}, column {column}: the character {text[at]!r} (U+{ord(text[at]):04X}) was not in "
                f"the text that the model learned{others}.",
                "Replace it, or fit again with tokens=bpe (--tokens bpe), which can encode any text.",
            )
        return tokens

    def decode(self, tokens: np.ndarray) -> str:
        """Tokens (n,) as text."""
        return self._codes[np.asarray(tokens)].tobytes().decode("utf-32-le")


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


# ------------------------------------------------------------------------------------------ byte-pair encoding


class BytePairs:
    """Byte-pair encoding with given merges: pairs of earlier tokens, in the order they were learned."""

    def __init__(self, merges: Sequence[tuple[int, int]]):
        self.merges = tuple(merges)
        self.pieces = [bytes([b]) for b in range(BYTES)]
        """The bytes of each token."""
        for a, b in self.merges:
            self.pieces.append(self.pieces[a] + self.pieces[b])

    def encode(self, text: str, where: str = "the text") -> np.ndarray:
        """Text as tokens (n,); raises InputError for what has no token."""
        numbers: dict[str, int] = {}
        order = [np.fromiter((numbers.setdefault(p, len(numbers)) for p in block), np.int32) for block in _split(text)]
        if not numbers:
            return np.empty(0, np.int32)
        words = _Words(numbers)
        for i, (a, b) in enumerate(self.merges):
            if len(at := words.find(a, b)):
                words.merge(at, BYTES + i)
        tokens, ends = words.split()
        starts = np.concatenate([[0], ends[:-1]])
        out = []
        for index in order:
            lengths = (ends - starts)[index]
            # Token k of the text is token (k - start of its word in the text) of that word.
            within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            out.append(tokens[np.repeat(starts[index], lengths) + within])
        return np.concatenate(out)

    def decode(self, tokens: np.ndarray) -> str:
        """Tokens (n,) as text."""
        return b"".join(map(self.pieces.__getitem__, np.asarray(tokens).tolist())).decode("utf-8", "replace")


def learn(text: str, vocabulary: int) -> Merges:
    """The merges of byte-pair encoding for a vocabulary of at most `vocabulary` tokens.

    The most frequent pair is merged first; of equally frequent ones, the pair of smallest tokens. It ends early when
    no pair occurs twice.

    Raises:
        InputError: a vocabulary of 256 or less, or a text in which no pair occurs twice.
    """
    if vocabulary <= BYTES:
        raise InputError(
            f"vocabulary={vocabulary}: byte-pair encoding starts from the {BYTES} bytes.",
            f"Give at least {BYTES + 1} (--vocabulary 512), or tokens=characters.",
        )
    counts: dict[str, int] = {}
    for block in _split(text):
        for piece in block:
            counts[piece] = counts.get(piece, 0) + 1
    merges = learn_words(counts, vocabulary - BYTES) if counts else ()
    if not merges:
        raise InputError(
            "the text is too short for byte-pair encoding: no pair occurs twice.", "Use tokens=characters."
        )
    return merges


def learn_words(counts: dict[str, int], merges: int) -> Merges:
    """At most `merges` merges learned from words and how often each occurs."""
    words = _Words(counts, np.fromiter(counts.values(), np.int64, len(counts)))
    scale = BYTES + merges
    pairs: dict[int, int] = {}  # a * scale + b: how often b follows a
    heap: list[tuple[int, int]] = []  # (-count, pair): entries that no longer hold are passed over

    def add(positions: np.ndarray, sign: int) -> set[int]:
        keys, weights = words.pairs(positions, scale)
        distinct, inverse = np.unique(keys, return_inverse=True)
        totals = np.zeros(len(distinct), np.int64)
        np.add.at(totals, inverse, weights)
        for key, total in zip(distinct.tolist(), totals.tolist()):
            pairs[key] = pairs.get(key, 0) + sign * total
        return set(distinct.tolist())

    changed = add(np.arange(len(words.tokens) - 1), 1)
    found: list[tuple[int, int]] = []
    while len(found) < merges:
        for key in changed:
            if pairs[key] > 1:
                heapq.heappush(heap, (-pairs[key], key))
            elif pairs[key] == 0:
                del pairs[key]
        while heap and -heap[0][0] != pairs.get(heap[0][1], 0):
            heapq.heappop(heap)
        if not heap:
            break
        a, b = divmod(heapq.heappop(heap)[1], scale)
        at = words.find(a, b)
        changed = add(np.unique(np.concatenate([at - 1, at, at + 1])), -1)
        at = words.merge(at, BYTES + len(found))
        changed |= add(np.unique(np.concatenate([at - 1, at])), 1)
        found.append((a, b))
    return tuple(found)


class _Words:
    """Distinct words as one array of tokens, -1 before, between and after them, so that all are merged at once."""

    def __init__(self, words: Iterable[str], counts: np.ndarray | None = None):
        data = [word.encode("utf-8") for word in words]
        joined = np.frombuffer(b"\0".join([b"", *data, b""]), np.uint8).astype(np.int32)
        lengths = np.fromiter(map(len, data), np.int64, len(data))
        gaps = np.concatenate([[0], np.cumsum(lengths + 1)])
        joined[gaps] = -1
        self.tokens = joined
        self.weights = None if counts is None else np.concatenate([[0], np.repeat(counts, lengths + 1)])

    def find(self, a: int, b: int) -> np.ndarray:
        """Where the pair (a, b) is to be merged: from the left, without overlap."""
        at = np.flatnonzero(self.tokens == a)
        at = at[self.tokens[at + 1] == b]  # the last token is a gap: at + 1 exists
        if a == b and len(at) > 1:  # of a run a a a a the first, third, ...
            starts = np.flatnonzero(np.diff(at, prepend=at[0] - 2) != 1)
            at = at[(np.arange(len(at)) - np.repeat(starts, np.diff(starts, append=len(at)))) % 2 == 0]
        return at

    def merge(self, at: np.ndarray, new: int) -> np.ndarray:
        """The pairs at these positions become the token `new`; returns its positions afterwards."""
        if len(at) == 0:
            return at
        self.tokens[at] = new
        keep = np.ones(len(self.tokens), bool)
        keep[at + 1] = False
        self.tokens = self.tokens[keep]
        if self.weights is not None:
            self.weights = self.weights[keep]
        return at - np.arange(len(at))

    def pairs(self, positions: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
        """Keys a * scale + b and weights of the pairs that begin at these positions, without gaps."""
        assert self.weights is not None
        positions = positions[(positions >= 0) & (positions < len(self.tokens) - 1)]
        a, b = self.tokens[positions].astype(np.int64), self.tokens[positions + 1]
        inside = (a >= 0) & (b >= 0)
        return (a * scale + b)[inside], self.weights[positions][inside]

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """The tokens without gaps, and where each word ends among them."""
        gaps = np.flatnonzero(self.tokens == -1)
        return self.tokens[self.tokens >= 0], gaps[1:] - np.arange(1, len(gaps))


def _split(text: str) -> Iterator[list[str]]:
    """The pieces of a text, in blocks of about a million characters."""
    start = 0
    while start < len(text):
        end = boundary(text, start + _BLOCK, len(text))
        yield _PIECE.findall(text, start, end)
        start = end


def boundary(text: str, position: int, otherwise: int) -> int:
    """The first end of a word at or after `position`: texts cut there have the tokens of the whole."""
    found = _BOUNDARY.search(text, position) if position < len(text) else None
    return otherwise if found is None else found.start()
