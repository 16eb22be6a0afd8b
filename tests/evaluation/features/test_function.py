from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pushforward.data import load
from pushforward.errors import InputError
from pushforward.evaluation.features import check_same, make_features

from .data import vectors


def edges(x: Tensor) -> Tensor:
    return (x[..., 1:].int() - x[..., :-1].int()).abs().float()


def test_a_function_sees_the_datas_own_units_and_type() -> None:
    data = load("digits")
    seen = set()

    def noted(x: Tensor) -> Tensor:
        seen.add((x.dtype, tuple(x.shape[1:])))
        return edges(x)

    features = make_features("user", data, user=noted)
    x = data.test.all()[0]
    assert (features.id, features.dimension) == ("noted", 56)
    torch.testing.assert_close(features.transform(x), edges(x).flatten(1).double(), rtol=0, atol=0)
    assert seen == {(torch.uint8, (1, 8, 8))}
    assert make_features("edges", data, user=lambda x: edges(x).numpy()).id == "edges"


def test_its_hash_says_that_there_is_none_and_nothing_is_taken_for_the_same() -> None:
    data = load("digits")
    first, second = (make_features("user", data, user=edges) for _ in range(2))
    assert first.hash == "not hashed (edges)" and "not hashed" in first.about
    check_same(first, first)
    with pytest.raises(InputError, match="Python function"):
        check_same(first, second)


def test_a_function_cannot_pass_for_other_features() -> None:
    data = load("digits")
    for name in ("pca64", "inception", "FID", "classifier(99%)", "onnx:dino", "random"):
        with pytest.raises(InputError, match="cannot be called"):
            make_features(name, data, user=edges)


def test_a_module_is_evaluated_and_a_function_may_write_into_its_input() -> None:
    data = vectors()
    network = nn.Sequential(nn.Linear(3, 4).double(), nn.Dropout(0.5))
    x = data.test.all()[0]
    features = make_features("user", data, user=network)
    with torch.no_grad():
        torch.testing.assert_close(features.transform(x), network[0](x))
    assert features.id == "Sequential"

    def doubling(x: Tensor) -> Tensor:
        return x.mul_(2)

    before = x.clone()
    assert torch.equal(make_features("user", data, user=doubling).transform(x), 2 * before)
    assert torch.equal(x, before)


def test_examples_may_not_influence_each_other() -> None:
    data = vectors()
    for bad in (lambda x: x - x.mean(0), lambda x: x + torch.randn_like(x)):
        with pytest.raises(InputError, match="depend on the other examples"):
            make_features("mine", data, user=bad)


def test_what_a_function_may_not_give() -> None:
    data = vectors()
    bad = {
        r"gave shape \(2, 3\) for 8 examples": lambda x: x[:2],
        "gave str": lambda x: "x",
        "not finite": lambda x: x / 0,
        "ZeroDivisionError": lambda x: 1 / 0,
    }
    for message, user in bad.items():
        with pytest.raises(InputError, match=message):
            make_features("mine", data, user=user)
    with pytest.raises(InputError, match="not callable"):
        make_features("mine", data, user=np.zeros(3))  # type: ignore[arg-type]
