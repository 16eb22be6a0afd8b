from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer

from pushforward.data import load
from pushforward.errors import InputError
from pushforward.evaluation.features import make_features
from pushforward.evaluation.features.text import MOST, frequencies

from .data import text, vectors


def test_counts_are_those_of_scikit_learn(tmp_path: Path) -> None:
    data = text(tmp_path)
    characters = data.space.characters  # type: ignore[attr-defined]
    rows = data.train.all()[0]
    texts = ["".join(characters[t] for t in row) for row in rows.tolist()]
    counter = CountVectorizer(analyzer="char", ngram_range=(1, 2), lowercase=False).fit(texts)
    names = list(counter.get_feature_names_out())
    made = frequencies(data)
    found = made.apply(rows[:50]).numpy()
    expected = counter.transform(texts[:50]).toarray()
    single = [names.index(c) for c in characters]
    np.testing.assert_allclose(found[:, : len(characters)], expected[:, single] / 20, rtol=1e-12)
    pairs = sorted((n for n in names if len(n) == 2), key=lambda p: (characters.index(p[0]), characters.index(p[1])))
    np.testing.assert_allclose(
        found[:, len(characters) :], expected[:, [names.index(p) for p in pairs]] / 19, rtol=1e-12
    )


def test_of_many_tokens_the_most_frequent_are_counted() -> None:
    generator = np.random.default_rng(0)
    x = np.minimum(generator.exponential(60, (400, 30)).astype(int), 999)
    x[:, :2] = [7, 8]
    x[0, 0] = 999
    data = load(x, space="tokens")
    made = frequencies(data)
    assert made.dimension == MOST and "of 1,000 tokens" in made.about
    rows = data.train.all()[0]
    counts = rows.flatten().bincount(minlength=1000)
    kept = counts.argsort(descending=True, stable=True)[: MOST // 2].sort().values
    frequency = made.apply(rows)[:, : MOST // 2].sum(0) * 30
    torch.testing.assert_close(frequency, counts[kept].double(), rtol=1e-12, atol=1e-9)


def test_ngrams_are_principal_components_and_say_how_many(tmp_path: Path) -> None:
    data = text(tmp_path)
    few = make_features("ngrams", data, n=100)
    assert (few.id, few.dimension) == ("ngrams5", 5)
    assert make_features("ngrams", data).dimension <= 64
    shuffled = data.train.all()[0][:40].clone()
    for row in shuffled:  # the tokens stay, the pairs do not
        row.copy_(row[torch.randperm(20)])
    whole = make_features("ngrams", data)
    assert (whole.transform(shuffled) - whole.transform(data.train.all()[0][:40])).abs().max() > 0.05


def test_other_data_are_refused() -> None:
    with pytest.raises(InputError, match="sequences of tokens"):
        make_features("ngrams", vectors())


def test_sequences_of_one_token() -> None:
    x = np.random.default_rng(0).integers(0, 4, (50, 1))
    made = frequencies(load(x, space="tokens"))
    assert made.dimension == 4
    assert torch.equal(made.apply(torch.tensor([[2], [0]])), torch.eye(4, dtype=torch.float64)[[2, 0]])
