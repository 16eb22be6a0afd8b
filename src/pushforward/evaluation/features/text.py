"""Sequences of tokens by how often their tokens and the most frequent pairs of neighbours occur."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data import Data
from ...errors import InputError
from ...spaces import Tokens
from .maps import ROWS, Map, block_of, digest, training_rows

MOST = 256
"""Tokens and pairs that are counted; tokens are at most half of them when there are more than that."""


def frequencies(data: Data) -> Map:
    """Relative frequencies of tokens, and of pairs of neighbours, in each sequence.

    Counted are the tokens and the pairs that are most frequent in up to 10,000 training sequences, of equally
    frequent ones those that come first. Where in the sequence they stand is not seen.

    Raises:
        InputError: the data are not sequences of tokens.
    """
    space = data.space
    if not isinstance(space, Tokens):
        raise InputError(
            f"features 'ngrams' are of sequences of tokens, and the data are {space.describe()}.",
            "Vectors have standardized, pictures pca64 and random, tables encoded.",
        )
    rows = training_rows(data, ROWS)
    v, length = space.vocabulary, space.length
    tokens = _most_frequent(rows.flatten(), v if v <= MOST // 2 else MOST // 2)
    codes = _pairs(rows, v).flatten()
    pairs = _most_frequent(codes, MOST - len(tokens))

    def apply(x: Tensor) -> Tensor:
        found = [_counts(x, tokens) / length]
        if length > 1 and len(pairs):
            found.append(_counts(_pairs(x, v), pairs) / (length - 1))
        return torch.cat(found, 1)

    dimension = len(tokens) + (len(pairs) if length > 1 else 0)
    what = (
        f"the frequencies of {len(tokens)} tokens and {len(pairs)} pairs of neighbours, the most frequent in training"
    )
    about = what + ("" if len(tokens) == v else f" (of {v:,} tokens)")
    return Map(dimension, about, digest("frequencies/1", v, length, rows), apply, block_of(max(dimension, length)))


def _pairs(x: Tensor, vocabulary: int) -> Tensor:
    return x[:, :-1].long() * vocabulary + x[:, 1:].long()


def _most_frequent(codes: Tensor, most: int) -> Tensor:
    """The most frequent codes, in order of their value."""
    distinct, counts = codes.long().unique(return_counts=True)
    chosen = torch.argsort(counts, descending=True, stable=True)[:most]
    return distinct[chosen].sort().values


def _counts(codes: Tensor, wanted: Tensor) -> Tensor:
    """How often each wanted code is in each row of codes (n, m): (n, len(wanted)) float64."""
    at = torch.searchsorted(wanted, codes.long().contiguous()).clamp_max(len(wanted) - 1)
    found = (wanted[at] == codes).double()
    return torch.zeros(len(codes), len(wanted), dtype=torch.float64).scatter_add_(1, at, found)
