"""Conditional fields: guidance is its formula, and condition dropout hides rows at its rate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pushforward.config import NetworkSettings
from pushforward.errors import InputError
from pushforward.families.fields import ConditionalField
from pushforward.noise import BatchNoise
from pushforward.spaces import Classes, Real

NETWORK = NetworkSettings(width=16, depth=1)


class Shows(nn.Module):
    """A field that gives the sum of its embedding, times x."""

    def forward(self, x, t, embedding):
        return x * embedding.sum(1)[:, None]


def test_guidance_is_a_mixture_of_both_fields():
    field = ConditionalField((2,), NETWORK, Classes(3), 4, 0.1, Shows()).eval()
    x, t, condition = torch.randn(5, 2), torch.rand(5), torch.tensor([0, 1, 2, 0, 1])
    c = field(x, t, *field.context(condition, 5))
    u = field(x, t, *field.context(None, 5))
    assert not torch.allclose(c, u)
    for scale in (0.0, 1.0, 2.5):
        guided, context = field.guided(condition, 5, scale)
        assert torch.allclose(guided(x, t, *context), u + scale * (c - u), atol=1e-6)
    # The other convention: (1 + w) c - w u with s = 1 + w.
    guided, context = field.guided(condition, 5, 3.0)
    assert torch.allclose(guided(x, t, *context), 3 * c - 2 * u, atol=1e-5)


def test_guidance_needs_a_condition_and_dropout():
    x = torch.tensor([0])
    with pytest.raises(InputError, match="conditional"):
        ConditionalField((2,), NETWORK, None, 4, 0.1).guided(None, 1, 2.0)
    with pytest.raises(InputError, match="conditional"):
        ConditionalField((2,), NETWORK, Classes(3), 4, 0.1).guided(None, 1, 2.0)
    with pytest.raises(InputError, match="condition_dropout"):
        ConditionalField((2,), NETWORK, Classes(3), 4, 0.0).guided(x, 1, 2.0)


def test_dropout_hides_rows_at_its_rate_in_training_only():
    field = ConditionalField((2,), NETWORK, Real((2,)), 4, 0.25)
    condition = torch.randn(1, 2).expand(4000, 2)
    (embedding,) = field.context(condition, 4000, BatchNoise(0, 0, 4000, 4000))
    hidden = (embedding == field.embedding.null).all(1)
    assert abs(float(hidden.double().mean()) - 0.25) < 4 * (0.25 * 0.75 / 4000) ** 0.5
    (embedding,) = field.eval().context(condition, 4000, BatchNoise(0, 0, 4000, 4000))
    assert not bool((embedding == field.embedding.null).all(1).any())


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(InputError, match="keep the shape"):
        field = ConditionalField((2,), NETWORK, None, 4, 0.1, nn.Bilinear(2, 1, 3))
        field(torch.randn(4, 2), torch.rand(4, 1))
