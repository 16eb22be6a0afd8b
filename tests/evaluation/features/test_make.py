from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.data import Data, load
from pushforward.errors import InputError
from pushforward.evaluation.features import NAMES, check_same, default_features, make_features

from .data import rows_of, table, text, vectors, with_other_held_out

Source = Callable[[Path], Data]


def coloured(_: Path) -> Data:
    x = np.random.default_rng(0).integers(0, 256, (80, 6, 5, 3)).astype(np.uint8)
    return load((x, np.arange(80) % 2))


def continuous(_: Path) -> Data:
    return load(np.random.default_rng(0).normal(size=(60, 1, 6, 6)))


CASES: list[tuple[str, Source, str]] = [
    ("standardized", lambda _: vectors(), "standardized"),
    ("sphere", lambda _: load(np.eye(4)[np.arange(40) % 4], space="sphere"), "standardized"),
    ("torus", lambda _: load(np.random.default_rng(0).uniform(-3, 3, (40, 2)), space="torus"), "standardized"),
    ("encoded", table, "encoded"),
    ("pca of pixels", lambda _: load("digits"), "pca64"),
    ("pca of pictures", continuous, "pca7"),
    ("pca of vectors", lambda _: vectors(d=8), "pca4"),
    ("pca of a table", table, "pca5"),
    ("random of pixels", coloured, "random"),
    ("random of pictures", continuous, "random"),
    ("random of a table", table, "random"),
    ("random of vectors", lambda _: vectors(), "random"),
    ("random of text", text, "random"),
    ("classifier of pixels", coloured, "classifier"),
    ("classifier of a table", table, "classifier:sex"),
    ("ngrams", text, "ngrams"),
]


@pytest.mark.parametrize(("name", "source", "kind"), CASES, ids=[c[0] for c in CASES])
def test_held_out_rows_have_no_part(name: str, source: Source, kind: str, tmp_path: Path) -> None:
    """Fitted on the training split alone, twice the same, whatever was drawn before; no example sees another."""
    data = source(tmp_path)
    state = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    features = make_features(kind, data, n=400)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert repr(np.random.get_state()) == state[1]  # noqa: NPY002
    torch.manual_seed(5)
    other = make_features(kind, with_other_held_out(data), n=400)
    check_same(features, other)
    x = torch.cat([rows_of(data.train)[:5], rows_of(data.test)])
    z = features.transform(x)
    assert z.shape == (len(x), features.dimension) and z.dtype == torch.float64 and z.device.type == "cpu"
    assert bool(z.isfinite().all()) and not z.requires_grad
    assert torch.equal(other.transform(x), z)
    order = torch.randperm(len(x))
    torch.testing.assert_close(features.transform(x[order]), z[order], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.cat([features.transform(p) for p in x.split(3)]), z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(features.transform(x.numpy()), z, rtol=0, atol=0)
    assert features.transform(x[:0]).shape == (0, features.dimension)
    assert features.hash[:8] in features.about and len(features.hash) == 64


@pytest.mark.parametrize(("name", "source", "kind"), CASES, ids=[c[0] for c in CASES])
def test_other_training_rows_make_other_features(name: str, source: Source, kind: str, tmp_path: Path) -> None:
    if name in ("sphere", "torus"):
        pytest.skip("nothing is fitted")
    data = source(tmp_path)
    other = load(rows_of(data.train).numpy()[:-5]) if name.startswith("pca of v") else None
    other = other or Data(**{**data.__dict__, "train": data.train.subset(torch.arange(len(data.train) - 5))})
    with pytest.raises(InputError, match="two different feature spaces"):
        check_same(make_features(kind, data, n=400), make_features(kind, other, n=400))


def test_defaults_suit_the_data(tmp_path: Path) -> None:
    expected = [
        (load("digits"), ["pca64", "classifier", "random"]),
        (coloured(tmp_path), ["pca64", "classifier", "random"]),
        (continuous(tmp_path), ["pca64", "random"]),
        (vectors(), ["standardized", "random"]),
        (load(np.random.default_rng(0).normal(size=(40, 65))), ["pca64", "random"]),
        (table(tmp_path), ["encoded", "random"]),
        (text(tmp_path), ["ngrams", "random"]),
        (load(np.random.default_rng(0).uniform(-3, 3, (40, 2)), space="torus"), ["standardized", "random"]),
    ]
    for data, names in expected:
        assert default_features(data) == names


def test_samples_are_neither_clipped_nor_rounded() -> None:
    data = load("digits")
    features = make_features("pca5", data)
    x = data.test.all()[0]
    assert torch.equal(features.transform(x.float()), features.transform(x))
    for bad in (x.float() + 0.4, torch.full_like(x, 17), x.float() - 20):
        with pytest.raises(InputError, match=r"pixel values are integers 0 to 16"):
            features.transform(bad)


def test_unknown_names_and_options_that_do_not_fit(tmp_path: Path) -> None:
    data = vectors()
    for name, message in {
        "pca": "Did you mean",
        "pca0": "no features 'pca0'",
        "fid": "no features 'fid'",
        "clasifier": "Did you mean classifier",
        "random:3": "no features",
        "classifier:": "no features",
        "user": "need a function",
    }.items():
        with pytest.raises(InputError, match=message):
            make_features(name, data)
    with pytest.raises(InputError, match="take no file"):
        make_features("random", data, file=tmp_path / "x")
    with pytest.raises(InputError, match="n=0"):
        make_features("random", data, n=0)
    assert "inception" in NAMES
