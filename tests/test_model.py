"""What users call: options are checked by name and type, once, for every family."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pushforward.errors import InputError
from pushforward.registry import build
from pushforward.spaces import Classes, Real

TINY = {"network": {"width": 8, "depth": 1}}


@pytest.mark.parametrize(
    ("name", "option", "value", "words"),
    [
        ("ddpm", "steps", "abc", "steps is 'abc'.*whole number"),
        ("ddpm", "steps", 2.5, "whole number"),
        ("ddpm", "eta", "x", "must be a number"),
        ("flow-matching", "atol", "x", "must be a number"),
        ("real-nvp", "temperature", "hot", "must be a number"),
        ("real-nvp", "temprature", 1.0, "Did you mean temperature"),
        ("vae", "decode", "men", "draw, mean"),
    ],
)
def test_bad_sampling_options(name: str, option: str, value: Any, words: str) -> None:
    model = build(name, Real((2,)), overrides=TINY)
    with pytest.raises(InputError, match=words):
        model.sample(2, seed=0, **{option: value})


def test_a_whole_number_written_as_a_float_is_one() -> None:
    model = build("flow-matching", Real((2,)), overrides=TINY)
    assert torch.equal(model.sample(2, seed=0, steps=4.0), model.sample(2, seed=0, steps=4))


def test_words_of_numeric_options_are_listed() -> None:
    model = build("ddpm", Real((2,)), overrides={**TINY, "timesteps": 10})
    assert len(model.log_prob(torch.zeros(1, 2), bound_steps="all")) == 1
    with pytest.raises(InputError, match="whole number, or all"):
        model.log_prob(torch.zeros(1, 2), bound_steps="every")


@pytest.mark.parametrize("condition", [[None, None], [1.7, 0], ["cat", "dog"], 3, "bird"])
def test_bad_conditions(condition: Any) -> None:
    model = build("vae", Real((2,)), Classes(3, ("a", "b", "c")), overrides=TINY)
    with pytest.raises(InputError):
        model.sample(2, condition, seed=0)
