"""Tokenizers: the paper's example, a plain reference implementation, exact round trips."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.data.text import tokenizer as t
from pushforward.data.text.tokenizer import BytePairs, Characters, learn, learn_words, tokenizer
from pushforward.errors import InputError
from pushforward.spaces import Space, Tokens


def naive_learn(counts: dict[str, int], merges: int) -> list[tuple[int, int]]:
    """Algorithm 1 of the paper as it is printed: count all pairs anew, merge the most frequent one."""
    words = {tuple(w.encode()): n for w, n in counts.items()}
    found: list[tuple[int, int]] = []
    while len(found) < merges:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, n in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += n
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        found.append(best)
        merged: Counter[tuple[int, ...]] = Counter()
        for word, n in words.items():
            merged[naive_merge(word, best, 255 + len(found))] += n
        words = dict(merged)
    return found


def naive_merge(word: tuple[int, ...], pair: tuple[int, int], new: int) -> tuple[int, ...]:
    out: list[int] = []
    i = 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(new)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def naive_encode(text: str, merges: Any) -> list[int]:
    """Per word: the earliest-learned pair that is there is merged everywhere, until none is."""
    rank = {pair: i for i, pair in enumerate(merges)}
    out: list[int] = []
    for piece in t._PIECE.findall(text):
        word = tuple(piece.encode())
        while known := [p for p in itertools.pairwise(word) if p in rank]:
            best = min(known, key=rank.__getitem__)
            word = naive_merge(word, best, 256 + rank[best])
        out += word
    return out


def test_the_papers_example() -> None:
    """Sennrich et al. 2016, section 3.2: the dictionary low, lower, newest, widest of its algorithm 1.

    Without the paper's mark at the end of words. Ties (lo and ow, 7 each) go to the pair of smaller tokens.
    """
    merges = learn_words({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 4)
    assert [BytePairs(merges).pieces[256 + i] for i in range(4)] == [b"es", b"est", b"lo", b"low"]
    assert BytePairs(merges).encode("lowest").tolist() == [256 + 3, 256 + 1]  # a word that was not there


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.text("abA ü$", min_size=1, max_size=12), st.integers(1, 9), min_size=1, max_size=8))
def test_learning_is_the_papers_algorithm(counts: dict[str, int]) -> None:
    assert list(learn_words(counts, 20)) == naive_learn(counts, 20)


@settings(deadline=None, max_examples=100)
@given(st.text("aab c\n'ñ9_", max_size=60), st.text("aab c\n'ñ9_!", max_size=60))
def test_encoding_merges_earlier_pairs_first(learned: str, text: str) -> None:
    merges = learn(learned + " aa aa aa aaa", 280)
    assert BytePairs(merges).encode(text).tolist() == naive_encode(text, merges)


MERGES = learn("the theme of the thesis; Übermut über alles — 日本語 日本語, aaaa aaaa\n\n  x_1 x_1\t" * 3, 320)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=200) | st.text("th eü日\r\n\t _1a—\x00\U0001f600", max_size=200))
def test_any_text_comes_back_exactly(text: str) -> None:
    pairs = BytePairs(MERGES)
    tokens = pairs.encode(text)
    assert pairs.decode(tokens) == text
    assert len(tokens) <= len(text.encode())
    if text:
        characters = Characters(Characters.of(text))
        assert characters.decode(characters.encode(text)) == text
        assert len(characters.encode(text)) == len(text)


@settings(deadline=None, max_examples=100)
@given(st.text("ab \n.", max_size=80))
def test_pieces_are_the_text_and_no_token_crosses_them(text: str) -> None:
    pieces = t._PIECE.findall(text)
    assert "".join(pieces) == text
    assert all(not p[:-1].strip() or " " not in p.strip() for p in pieces)
    pairs = BytePairs(learn("a b a b ab ab a. b. \n\n \n\n" * 4, 300))
    ends = set(np.cumsum([len(p.encode()) for p in pieces]).tolist())
    assert ends <= set(np.cumsum([len(pairs.pieces[i]) for i in pairs.encode(text)]).tolist())


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "When, in disgrace with Fortune  and men's eyes,\n\tI all alone beweep\n" * 20
    whole, merges = BytePairs(MERGES).encode(text), learn(text, 300)
    monkeypatch.setattr(t, "_BLOCK", 7)
    assert len(list(t._split(text))) > 50
    assert np.array_equal(BytePairs(MERGES).encode(text), whole) and learn(text, 300) == merges


def test_equal_counts_are_merged_in_the_order_of_their_tokens() -> None:
    first = learn_words({"ba": 3, "dc": 3, "ab": 3}, 3)
    assert first == learn_words({"dc": 3, "ab": 3, "ba": 3}, 3) == ((97, 98), (98, 97), (100, 99))


def test_a_sample_that_ends_inside_a_character_is_readable() -> None:
    assert BytePairs(MERGES).decode(np.array(["é".encode()[0], 65])) == "\ufffdA"


def test_an_unknown_character_is_located() -> None:
    known = Characters("\n abc")
    with pytest.raises(InputError, match=r"poem\.txt, line 2, column 3: the character 'é' \(U\+00E9\).*2 such.*bpe"):
        known.encode("abc\nabé ß", "poem.txt")
    with pytest.raises(InputError, match="line 1, column 1"):
        known.encode("~")


def test_vocabularies_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"vocabulary=256.*at least 257"):
        learn("abab", 256)
    with pytest.raises(InputError, match="no pair occurs twice"):
        learn("abc", 300)
    assert len(learn("abab abab", 10_000)) == 2  # ab, then abab; with its space it is there once
    for bad in (
        {"vocabulary": 3, "characters": "ab"},
        {"vocabulary": 2, "characters": "ba"},
        {"vocabulary": 2, "characters": "aa"},
        {"vocabulary": 257, "merges": ((97, 256),)},
        {"vocabulary": 300, "merges": ((97, 98),)},
        {"vocabulary": 257, "merges": ((97, 98),), "characters": "ab"},
    ):
        with pytest.raises(InputError, match="does not fit"):
            Tokens(4, **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "space", [Tokens(8, 5, characters="\n abé"), Tokens(8, 256 + len(MERGES), merges=MERGES), Tokens(8, 9)]
)
def test_a_space_carries_its_tokenizer_through_json(space: Tokens) -> None:
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space and hash(again) == hash(space)
    before, after = tokenizer(space), tokenizer(again)
    if before is None or after is None:
        assert before is after is None and not space.is_text
    else:
        assert np.array_equal(after.encode("ab \néa"), before.encode("ab \néa"))


def test_a_megabyte_is_learned_and_encoded_in_seconds() -> None:
    generator = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlu"))
    words = ["".join(generator.choice(letters, n)) for n in generator.integers(2, 9, 20_000)]
    text = " ".join(words[i] for i in generator.zipf(1.3, 190_000) % len(words))
    begun = time.process_time()
    merges = learn(text, 512)
    learned = time.process_time()
    tokens = BytePairs(merges).encode(text)
    encoded = time.process_time()
    assert len(merges) == 256 and len(text) > 900_000
    assert learned - begun < 10 and encoded - learned < 3
    assert BytePairs(merges).decode(tokens) == text and len(tokens) < len(text) / 1.5
