"""Text files as windows of tokens: every place of the training text is an example.

The text is cut once, between words: its beginning is the training part, then validation, then test. Windows never
cross a cut, so held-out text is never seen in training. Training windows begin at every token and overlap; held-out
ones follow each other, so that each token is scored once.
"""

from __future__ import annotations

import codecs
import itertools
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...dataset import Dataset
from ...errors import InputError
from ...noise import Noise
from ...spaces import Space, Tokens
from ..options import Options
from ..source import TEST, TRAIN, VALIDATION, Parts, Rows, Source, number, path_name
from ..splits import check_split, shuffled
from . import tokenizer as tokenizers

EXTENSIONS = (".txt", ".text", ".md")

MOST_WINDOWS = 1 << 24
"""Training windows of longer texts begin at every second, third, ... token."""

MANY_CHARACTERS = 1000

_PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


class Windows(Dataset):
    """Windows of `space.length` tokens of one long sequence, cut out when they are asked for.

    Args:
        tokens: (N,) integers, of any integer type. starts: (n,) where each window begins.
    """

    def __init__(self, tokens: Tensor, starts: Tensor, *, space: Tokens):
        super().__init__(tokens, space=space, n=len(starts))
        self.starts, self.tokens = starts, space

    def gather(self, index: Tensor, noise: Noise) -> tuple[Any, Any]:
        """Windows (k, length) of tokens; they have no condition."""
        places = self.starts[index][:, None] + torch.arange(self.tokens.length, device=self.starts.device)
        return self.x[places].to(torch.int64), None

    def to(self, device: torch.device | str) -> Dataset:
        """The same text on another device."""
        return Windows(self.x.to(device), self.starts.to(device), space=self.tokens)

    @property
    def bytes(self) -> int:
        """The memory of the text and of its windows' starts."""
        return sum(v.numel() * v.element_size() for v in (self.x, self.starts))

    def subset(self, index: Tensor) -> Dataset:
        """The windows `index` of the same text."""
        return Windows(self.x, self.starts[index], space=self.tokens)


class TextSource(Source):
    """A text in memory."""

    def __init__(self, name: str, where: str, text: str, options: Options):
        super().__init__(name, where)
        replace(options, encoding=None).refuse(
            where, "pictures", "augmentation", "tables", "splits", "vectors"
        )  # the encoding is that of the file, which is read
        self.text, self.options = text, options

    def read(self, chosen: tuple[str, ...] = (), like: Space | None = None) -> Rows:
        """Of a model's space: windows that follow each other, by the model's own tokenizer. Else: parts."""
        cuts = self._cuts()
        if like is not None:
            return self._like(like, cuts)
        space = self._space(cuts)
        tokens, ends = self._tokens(space, cuts)
        self._check_lengths(np.diff([0, *ends]), space)
        for name, (low, high) in zip(_PARTS, itertools.pairwise(cuts)):
            if name != "train" and space.characters:
                new = sorted(set(self.text[low:high]) - set(self.text[: cuts[1]]))
                if new:
                    self.notes.append(f"characters of the {name} part that the training part lacks: {_shown(new)}")
        if numeric := _table_like(self.text):
            self.notes.append(f"the lines look like {numeric} numbers each: if this is a table, name it .csv or .tsv")
        return Rows(tokens, space, parts=self._parts(tokens, [0, *ends], space))

    def _cuts(self) -> list[int]:
        """Where the parts begin and end in the text: 0, two ends of words, its length."""
        check_split(0, *self.held_out)
        n, (validation, test) = len(self.text), self.held_out
        places = [round(n * (1 - validation - test)), round(n * (1 - test))]
        # Not far: in a text without spaces the cut is where it is.
        near = [tokenizers.boundary(self.text, place, n) for place in places]
        return [0, *(b if b - a <= 200 and b < n else a for a, b in zip(places, near)), n]

    def _space(self, cuts: list[int]) -> Tokens:
        asked, size = self.options.tokens, self.options.vocabulary
        length, n = self.options.length, number(len(self.text), "character")
        if asked == "characters":
            if size != Options().vocabulary:
                raise InputError(
                    f"{self.where}: vocabulary={size} is for byte-pair encoding.", "Leave it out, or add tokens=bpe."
                )
            characters = tokenizers.Characters.of(self.text)
            self.notes.append(f"{n}, {len(characters)} different ones: each is a token")
            if len(characters) > MANY_CHARACTERS:
                self.notes.append("these are many: tokens=bpe (--tokens bpe) makes fewer of them")
            return Tokens(length, len(characters), characters=characters)
        try:
            merges = tokenizers.learn(self.text[: cuts[1]], size)
        except InputError as error:
            raise InputError(f"{self.where}: {error.what}", error.hint) from None
        space = Tokens(length, tokenizers.BYTES + len(merges), merges=merges)
        self.notes.append(f"{n}; byte-pair encoding with {space.vocabulary:,} tokens, learned from the training part")
        if space.vocabulary < size:
            self.notes.append(
                f"no pair occurs twice after {len(merges):,} merges: the vocabulary is smaller than asked"
            )
        return space

    def _tokens(self, space: Tokens, cuts: list[int]) -> tuple[np.ndarray, list[int]]:
        """All tokens in the smallest integer type, and where each part ends among them."""
        chosen = tokenizers.tokenizer(space)
        assert chosen is not None
        if space.characters:
            parts, ends = [chosen.encode(self.text, self.where)], cuts[1:]
        else:
            parts = [chosen.encode(self.text[low:high]) for low, high in itertools.pairwise(cuts)]
            ends = np.cumsum([len(p) for p in parts]).tolist()
        kind = next(k for k in (np.uint8, np.int16, np.int32) if space.vocabulary - 1 <= np.iinfo(k).max)
        return np.concatenate(parts).astype(kind), ends

    def _check_lengths(self, sizes: np.ndarray, space: Tokens) -> None:
        if sizes.min() >= space.length:
            return
        name, what = list(_PARTS)[int(sizes.argmin())], "character" if space.characters else "token"
        held = ", ".join(f"{number(int(s), what)} of {part}" for part, s in zip(_PARTS, sizes))
        least = int(sizes.min())
        raise InputError(
            f"{self.where} is too short for windows of {number(space.length, what)}: split, it has {held}.",
            f"Choose a smaller length= (--length {least}), or give more text."
            if least > 0
            else f"Give more text: there is none for the {name} part.",
        )

    def _parts(self, tokens: np.ndarray, ends: list[int], space: Tokens) -> Parts:
        whole = torch.from_numpy(tokens)
        length = space.length
        stride = max(1, math.ceil((ends[1] - length + 1) / MOST_WINDOWS))
        if stride > 1:
            self.notes.append(f"training windows begin {stride} tokens apart")

        def divide(seed: int) -> tuple[dict[str, Dataset], dict[str, Any]]:
            check_split(seed, *self.held_out)
            made: dict[str, Dataset] = {}
            for name, low, high in zip(_PARTS, ends, ends[1:]):
                step = stride if name == "train" else length
                starts = torch.arange(low, high - length + 1, step)
                if name != "train":
                    starts = starts[shuffled(len(starts), seed)]
                made[name] = Windows(whole, starts, space=space)
            account: dict[str, Any] = {
                **{name: len(part) for name, part in made.items()},
                "tokens": dict(zip(made, np.diff(ends).tolist())),
                "seed": int(seed),
                "fractions": dict(zip(("validation", "test"), map(float, self.held_out))),
                "how": "contiguous: beginning, middle and end of the text; training windows overlap, others do not",
            }
            return made, account

        return divide

    def _like(self, like: Space, cuts: list[int]) -> Rows:
        chosen = tokenizers.tokenizer(like) if isinstance(like, Tokens) else None
        if chosen is None:
            raise InputError(f"{self.where} is text, the model has {like.describe()}.", "Give data of that kind.")
        assert isinstance(like, Tokens)
        tokens, ends = self._tokens(like, cuts)
        n = len(tokens) // like.length
        if n == 0:
            what = "character" if like.characters else "token"
            raise InputError(
                f"{self.where} has {number(len(tokens), what)}, the model's windows have {like.length}.",
                "Give a longer text.",
            )
        if left := len(tokens) - n * like.length:
            self.notes.append(f"the last {number(left, 'token')} of {len(tokens):,} do not fill a window: left out")
        # The part that a window lies in; one across a cut is in none.
        first = np.searchsorted(ends, np.arange(n) * like.length, side="right")
        last = np.searchsorted(ends, np.arange(1, n + 1) * like.length - 1, side="right")
        self.given = np.where(first == last, first, len(_PARTS)).astype(np.int8)
        return Rows(tokens[: n * like.length].reshape(n, like.length), like)


def from_text(path: Path, options: Options) -> TextSource:
    """A text file: UTF-8 unless `encoding` says otherwise.

    A byte-order mark is left out, and ends of lines become `\\n`; both are said.

    Raises:
        InputError: empty, larger than the memory budget, or bytes that are not text, with the line.
    """
    if path.stat().st_size > options.memory_budget:
        raise InputError(
            f"{path} has {path.stat().st_size / 2**30:.1f} GiB, above the memory budget of "
            f"{options.memory_budget / 2**30:.1f} GiB.",
            "Give a part of it, or raise memory_budget.",
        )
    raw = path.read_bytes()
    text, notes = decode(raw, str(path), options.encoding)
    found = TextSource(path_name(path), str(path), text, options)
    found.notes += notes
    return found


def decode(raw: bytes, where: str, encoding: str | None = None) -> tuple[str, list[str]]:
    """Bytes as text with `\\n` at the ends of lines, and what was changed.

    Raises:
        InputError: nothing but white space, an unknown encoding, or bytes that are not text, with the line.
    """
    notes: list[str] = []
    name = "utf-8" if encoding is None else encoding
    try:
        codecs.lookup(name)
    except LookupError:
        raise InputError(f"encoding={encoding!r} is unknown.", "Examples: utf-8, latin-1, cp1252, utf-16.") from None
    if encoding is None and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{where} is UTF-16.", "Add encoding=utf-16 (--encoding utf-16), or save it as UTF-8.")
    try:
        text = raw.decode(name)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise InputError(
            f"{where}, line {line}, byte {column}: 0x{raw[error.start]:02x} is not {name} text.",
            "Save the file as UTF-8, or name its encoding (--encoding latin-1).",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{where}, line {line}: a zero byte: this is not a text file.", "Give plain text.")
    if text.startswith("\ufeff"):
        text = text[1:]
        notes.append("the byte-order mark was left out")
    if "\r" in text:
        notes.append(f"{number(text.count(chr(13)), 'carriage return')}: ends of lines made \\n")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise InputError(f"{where} is empty.", "Give a text of a few thousand characters.")
    return text, notes


def _shown(characters: list[str]) -> str:
    return ", ".join(map(repr, characters[:8])) + (f" and {len(characters) - 8} more" if len(characters) > 8 else "")


def _table_like(text: str) -> int:
    """How many numbers each of the first lines has, when all have as many and nothing else; else 0."""
    lines = [re.split(r"[\s,;]+", line.strip()) for line in text.split("\n", 20)[:20] if line.strip()]
    try:
        widths = {len([float(cell) for cell in cells if cell]) for cells in lines}
    except ValueError:
        return 0
    return widths.pop() if len(widths) == 1 and len(lines) >= 10 else 0
