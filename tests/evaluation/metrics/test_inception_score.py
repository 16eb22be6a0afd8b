"""The Inception score at its closed forms and against torchmetrics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pushforward.errors import InputError
from pushforward.evaluation.metrics.inception_score import inception_score

G = torch.Generator().manual_seed(10)
LOGITS = 2 * torch.randn(120, 6, generator=G, dtype=torch.float64)


class Identity(nn.Module):
    num_features = 6

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_the_same_as_torchmetrics() -> None:
    from torchmetrics.image.inception import InceptionScore

    oracle = InceptionScore(feature=Identity(), splits=1).set_dtype(torch.float64)
    oracle.update(LOGITS)
    assert inception_score(LOGITS.softmax(1), splits=1)[0] == pytest.approx(float(oracle.compute()[0]), rel=1e-6)


def test_parts_are_scored_by_the_definition() -> None:
    p = LOGITS.softmax(1)
    scores = []
    for i in range(7):
        part = p[i::7]
        scores.append(math.exp(float((part * (part / part.mean(0)).log()).sum(1).mean())))
    values = torch.tensor(scores, dtype=torch.float64)
    mean, deviation = inception_score(p, splits=7)
    assert mean == pytest.approx(float(values.mean()), rel=1e-9)
    assert deviation == pytest.approx(float(values.std(unbiased=True)), rel=1e-9)


def test_closed_forms() -> None:
    """Certain and evenly spread: the number of classes. Uncertain, or always the same: 1. Between: exp of H - h."""
    sorted_by_class = torch.eye(10).repeat_interleave(20, 0)
    assert inception_score(sorted_by_class) == (pytest.approx(10, rel=1e-9), pytest.approx(0, abs=1e-9))
    assert inception_score(torch.full((50, 10), 0.1), 5)[0] == pytest.approx(1, rel=1e-9)
    assert inception_score(torch.eye(10)[:1].repeat(40, 1), 4)[0] == pytest.approx(1, rel=1e-9)
    blurred = 0.7 * torch.eye(4).double() + 0.3 / 4
    row = blurred[0]
    expected = 4 * math.exp(float((row * row.log()).sum()))
    assert inception_score(blurred, 1)[0] == pytest.approx(expected, rel=1e-9)


def test_no_order_matters_within_one_part() -> None:
    p = LOGITS.softmax(1)
    assert inception_score(p[torch.randperm(120)], 1)[0] == pytest.approx(inception_score(p, 1)[0], rel=1e-12)
    assert math.isnan(inception_score(p, 1)[1])
    assert inception_score(p.float(), 1)[0] == pytest.approx(inception_score(p, 1)[0], rel=1e-6)


@pytest.mark.parametrize(
    ("p", "splits", "message"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], 1, "row 1: the sum is 1.1"),
        ([[0.5, 0.5], [1.5, -0.5]], 1, "row 1: there is a -0.5"),
        ([[0.5, 0.5], [math.nan, 0.5]], 1, "probabilities, row 1, column 0: the value is nan"),
        ([[0.5, 0.5]], 2, "splits is 2.*From 1 to 1"),
        (torch.ones(0, 3), 1, "probabilities has no rows"),
    ],
)
def test_what_cannot_be_used_is_refused(p: object, splits: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inception_score(p, splits)
