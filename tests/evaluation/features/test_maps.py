from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pushforward.data import load
from pushforward.evaluation.features.maps import capped, digest, in_blocks, plain, spread, training_rows

from .data import text


def test_blocks_are_all_of_one_size_and_leave_nothing_out() -> None:
    sizes = []

    def apply(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.stack([x.sum(1), x.prod(1)], 1)

    x = torch.rand(11, 3, dtype=torch.float64)
    for block in (1, 4, 11, 64):
        torch.testing.assert_close(in_blocks(apply, x, 2, block), torch.stack([x.sum(1), x.prod(1)], 1), rtol=0, atol=0)
        assert set(sizes) == {block}
        sizes.clear()
    assert in_blocks(apply, x[:0], 2, 4).shape == (0, 2)


def test_rows_are_spread_over_the_whole_part() -> None:
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    index = spread(1000, 7)
    assert len(index) == 7 and index.tolist() == sorted(set(index.tolist()))
    assert (index.double() - torch.arange(7) * 1000 / 7).abs().max() < 1


def test_training_windows_of_a_text_come_from_all_of_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = text(tmp_path)
    rows = training_rows(data, 10)
    last = data.train.gather(torch.tensor([len(data.train) * 9 // 10]), None)[0]  # type: ignore[arg-type]
    assert torch.equal(rows[-1], last[0])


def test_training_rows_are_not_augmented() -> None:
    x = np.random.default_rng(0).integers(0, 255, (30, 6, 6)).astype(np.uint8)
    mirrored, untouched = load(x, flip=True, shift=2), load(x)
    assert not torch.equal(mirrored.train.all()[0], untouched.train.all()[0])
    assert torch.equal(training_rows(mirrored), untouched.train.all()[0])
    assert plain(untouched.train) is untouched.train


def test_digests_tell_values_types_and_shapes_apart() -> None:
    x = torch.arange(6)
    different = [x, x.view(2, 3), x.view(3, 2), x.int(), x + 1, "x", {"a": 1}, {"a": 2}]
    assert len({digest(v) for v in different}) == len(different)
    assert digest(x, "a") == digest(x.numpy(), "a") and len(digest(x)) == 64
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_a_twentieth_of_the_samples_caps_the_dimension() -> None:
    assert [capped(64, n) for n in (None, 10_000, 1280, 1000, 100, 30, 1)] == [64, 64, 64, 50, 5, 2, 2]
