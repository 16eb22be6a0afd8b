from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pushforward.data import load
from pushforward.evaluation.features import make_features
from pushforward.evaluation.features.maps import training_rows
from pushforward.evaluation.features.networks import Layers, inputs, one_thread, weights
from pushforward.spaces import Interval, Pixels, Real

from .data import table, text, vectors


def test_weights_are_those_of_the_seed_on_every_machine() -> None:
    """Recomputed here from the definition: SplitMix64 in Python's integers, 23 bits of each word, scaled."""
    w = weights(3, 1, 4, 5)
    mask = (1 << 64) - 1

    def mix(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    from pushforward.noise import mix_seed

    golden = 0x9E3779B97F4A7C15
    key = mix(mix((mix_seed(3, 93, 1) + golden) & mask) ^ ((2 * golden + 1) & mask))  # of row 2
    word = mix((mix((key + 1 * 0xBF58476D1CE4E5B9) & mask) + 4 * golden) & mask)  # its fourth number
    u = ((word >> 41) + 0.5) * 2.0**-23
    assert float(w[2, 3]) == pytest.approx((2 * u - 1) * math.sqrt(6 / 5), rel=1e-6)
    assert not torch.equal(weights(4, 1, 4, 5), w) and not torch.equal(weights(3, 2, 4, 5), w)


def test_weights_have_the_variance_of_he() -> None:
    w = weights(0, 0, 400, 10, 3, 3)
    assert float(w.var()) == pytest.approx(2 / 90, rel=0.02) and abs(float(w.mean())) < 1e-3


def test_layers_are_products_and_rectifiers() -> None:
    layers = Layers((), (4, 3))
    parameters = layers.draw(0, (5,))
    x = torch.rand(6, 5)
    hidden = np.maximum(x.numpy() @ parameters[0].numpy().T, 0)
    expected = np.maximum(hidden @ parameters[2].numpy().T, 0)
    np.testing.assert_allclose(layers.apply(parameters, x), expected, atol=1e-6)
    assert layers.operations((5,)) == 4 * 5 + 3 * 4
    convolutions = Layers(((4, 5, 2), (8, 3, 2)), (16,))
    made = convolutions.draw(0, (3, 9, 14))
    assert [tuple(p.shape) for p in made[::2]] == [(4, 3, 5, 5), (8, 4, 3, 3), (16, 8 * 3 * 4)]
    assert convolutions.apply(made, torch.rand(2, 3, 9, 14)).shape == (2, 16)
    assert convolutions.operations((3, 9, 14)) == 4 * 5 * 7 * 75 + 8 * 3 * 4 * 36 + 16 * 96


def test_pictures_enter_between_minus_one_and_one() -> None:
    pixels = inputs(Pixels(1, 2, 2, levels=17), torch.zeros(1, 1, 2, 2))
    assert pixels(torch.tensor([[[[0, 16], [8, 4]]]])).flatten().tolist() == [-1, 1, 0, -0.5]
    interval = inputs(Interval((1, 1, 2)), torch.zeros(1, 1, 1, 2))
    assert interval(torch.tensor([[[[-1.0, 0.5]]]])).flatten().tolist() == [-1, 0.5]
    rows = torch.tensor([[[[10.0, 30.0]]]])
    assert inputs(Real((1, 1, 2)), rows)(rows).flatten().tolist() == [-1, 1]


def test_outputs_are_standardized_on_the_training_rows(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for data in (load("digits"), vectors(), table(tmp_path), text(tmp_path)):
        features = make_features("random", data)
        z = features.transform(training_rows(data, 4000 if data.space.kind == "pixels" else 10_000))
        assert features.id == "random" and z.shape[1] == 64
        torch.testing.assert_close(z.mean(0), torch.zeros(64).double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(z.std(0, correction=0), torch.ones(64).double(), atol=1e-6, rtol=0)


def test_seeds_and_samples_change_the_network_and_its_name() -> None:
    data = vectors()
    first, again, other = (make_features("random", data, seed=s) for s in (0, 0, 1))
    assert first.hash == again.hash != other.hash
    few = make_features("random", data, n=200)
    assert (few.id, few.dimension) == ("random10", 10) and few.hash != first.hash


def test_dependence_that_no_mean_shows_moves_the_features() -> None:
    """Two independent normal columns against two with y = +-x: equal marginals, equal covariance."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4000, 2))
    features = make_features("random", load(x))
    fresh = generator.normal(size=(4000, 2))
    dependent = np.column_stack([fresh[:, 0], fresh[:, 0] * generator.choice([-1, 1], 4000)])
    shift = (features.transform(dependent).mean(0) - features.transform(x).mean(0)).abs().max()
    chance = (features.transform(fresh).mean(0) - features.transform(x).mean(0)).abs().max()
    assert shift > 2 * chance and shift > 0.1


def test_constant_outputs_are_not_divided_by_rounding_errors() -> None:
    features = make_features("random", load(np.full((30, 8, 8), 9, dtype=np.uint8)))
    z = features.transform(np.full((3, 1, 8, 8), 9, dtype=np.uint8))
    assert float(z.abs().max()) < 1e-5


def test_one_thread_is_put_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before
