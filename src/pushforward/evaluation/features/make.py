"""Feature spaces by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...data import Data
from ...errors import InputError, did_you_mean
from ...spaces import Real, Sphere, Table, Tokens, Torus
from .base import Features
from .maps import Map, as_features, capped, is_picture
from .pca import flat, pca

NAMES = ("standardized", "encoded", "pca64", "random", "classifier", "ngrams", "onnx", "inception", "user")
"""What `make_features` knows. `pcaN` stands for any N; `classifier:COLUMN`, `onnx:FILE` and `inception:FILE` too."""

_MANY = 64
_PCA = re.compile(r"pca([1-9]\d{0,4})")


def default_features(data: Data) -> list[str]:
    """Names of the feature spaces that suit the data, the headline first.

    Pictures: pca64, classifier (where the source has labels), random. Vectors: standardized (pca64 above 64 columns),
    random. Tables: encoded, random. Sequences of tokens: ngrams, random.

    Raises:
        InputError: the data are of a space without features.
    """
    space = data.space
    if is_picture(space):
        from .labels import has_labels

        return ["pca64", *(["classifier"] if has_labels(data) else []), "random"]
    if isinstance(space, Table):
        return ["encoded", "random"]
    if isinstance(space, Tokens):
        return ["ngrams", "random"]
    if isinstance(space, (Sphere, Torus)) or (isinstance(space, Real) and space.dimensions <= _MANY):
        return ["standardized", "random"]
    if isinstance(space, Real):
        return ["pca64", "random"]
    raise InputError(f"there are no features for {space.describe()}.", "Give your own: user=FUNCTION.")


def make_features(
    name: str,
    data: Data,
    *,
    seed: int = 0,
    n: int | None = None,
    file: str | Path | None = None,
    user: Callable[..., Any] | None = None,
) -> Features:
    """A feature space, fitted on the training split of `data` alone, without augmentation.

    >>> from pushforward.data import load
    >>> features = make_features("pca64", load("digits"), n=180)
    >>> features.id, features.transform(load("digits").test.all()[0]).shape
    ('pca9', torch.Size([180, 9]))

    Args:
        name: of `NAMES`; "pcaN" for any N, "classifier:COLUMN", "onnx:FILE", "inception:FILE".
        seed: of random weights and of the classifier's training.
        n: samples that will be compared: pca, random, classifier and ngrams then have at most n/20 dimensions (but 2),
            and tables merge rare categories down to n/10 if that can be. The id says the true number.
        file: the weights of "onnx" and "inception".
        user: a function of a batch of examples; `name` is then what it is to be called, "user" for its own name.

    Raises:
        InputError: an unknown name, or features that the data do not have.
    """
    name = name.strip()
    kind, _, rest = name.partition(":")
    if user is not None:
        return _user(name, data, user)
    number = _PCA.fullmatch(name)
    known = number or kind in NAMES
    if not known or (rest and kind not in ("classifier", "onnx", "inception")) or (":" in name and not rest):
        raise InputError(f"there are no features {name!r}.", did_you_mean(name, NAMES))
    if kind == "user":
        raise InputError("features 'user' need a function.", "Give user=FUNCTION.")
    if n is not None and n < 1:
        raise InputError(f"n={n!r}.", "It is the number of samples that will be compared.")
    file = file if file is not None or kind == "classifier" else rest or None
    if file is not None and kind not in ("onnx", "inception"):
        raise InputError(f"features {name!r} take no file.", "file= is for onnx and inception.")
    if number:
        made = pca(data, flat(data, n), capped(int(number[1]), n))
        return as_features(f"pca{made.dimension}", made, data.space)
    return _MAKERS[kind](data, seed=seed, n=n, file=file, column=rest or None)


def _user(name: str, data: Data, user: Callable[..., Any]) -> Features:
    from .function import function

    own = None if name in ("", "user") else name
    taken = own or str(getattr(user, "__name__", ""))
    if _PCA.fullmatch(taken) or taken.partition(":")[0].partition("(")[0].lower() in (*NAMES, "fid", "is", "kid"):
        raise InputError(
            f"a function cannot be called {taken!r}: that is the name of other features.", "Name it otherwise."
        )
    return function(data, user, own)


def _standardized(data: Data, **_: Any) -> Features:
    from .vectors import standardized

    name, made = standardized(data)
    return as_features(name, made, data.space)


def _encoded(data: Data, *, n: int | None, **_: Any) -> Features:
    from .tables import encoded

    return as_features("encoded", encoded(data, n), data.space)


def _ngrams(data: Data, *, n: int | None, **_: Any) -> Features:
    from .text import frequencies

    made: Map = pca(data, frequencies(data), capped(_MANY, n))
    return as_features("ngrams" if made.dimension == _MANY else f"ngrams{made.dimension}", made, data.space)


def _random(data: Data, *, n: int | None, seed: int, **_: Any) -> Features:
    from .random_network import random_network

    name, made = random_network(data, n, seed)
    return as_features(name, made, data.space)


def _classifier(data: Data, *, n: int | None, seed: int, column: str | None, **_: Any) -> Features:
    from .classifier import classifier

    name, made, probabilities, classes = classifier(data, n, seed, column)
    return as_features(name, made, data.space, probabilities, classes)


def _onnx(data: Data, *, file: str | Path | None, **_: Any) -> Features:
    from .onnx_file import onnx

    return onnx(data, file)


def _inception(data: Data, *, file: str | Path | None, **_: Any) -> Features:
    from .inception import inception

    return inception(data, file)


_MAKERS: dict[str, Callable[..., Features]] = {
    "standardized": _standardized,
    "encoded": _encoded,
    "ngrams": _ngrams,
    "random": _random,
    "classifier": _classifier,
    "onnx": _onnx,
    "inception": _inception,
}
