"""Preprocessing: exact inverses, determinants against autograd, and the bound that dequantization promises."""

from __future__ import annotations

import math

import pytest
import torch

from pushforward.bijections import Dequantize, Rescale, Standardize
from pushforward.dataset import Dataset
from pushforward.noise import Noise
from pushforward.spaces import Interval, Pixels, Real


def noise(n: int, seed: int = 0) -> Noise:
    return Noise.of(seed, index=torch.arange(n))


def test_standardize_gives_mean_zero_and_deviation_one_and_goes_back() -> None:
    x = torch.randn(500, 3, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e5]) + torch.tensor([0.0, 5.0, 1.6e9])
    pre = Standardize(Real((3,), double=True))
    pre.fit(Dataset(x, space=pre.space))
    z, log_det = pre(x, None)
    torch.testing.assert_close(z.double().mean(0), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.double().std(0, unbiased=False), torch.ones(3).double(), atol=1e-5, rtol=0)
    expected = -x.std(0, unbiased=False).log().sum()
    torch.testing.assert_close(log_det, expected.expand(500))
    back = pre.inverse(z)
    assert back.dtype == torch.float64
    assert float(((back - x).abs() / pre.scale).max()) < 1e-6


def test_a_constant_column_is_centred_and_not_scaled() -> None:
    x = torch.full((50, 2), 0.1)
    x[:, 1] = torch.arange(50.0)
    pre = Standardize(Real((2,)))
    pre.fit(Dataset(x, space=pre.space))
    z, _ = pre(x, None)
    assert float(pre.scale[0]) == 1.0
    assert float(z[:, 0].abs().max()) < 1e-7


def test_images_are_standardized_by_channel() -> None:
    x = torch.randn(64, 2, 4, 4) * torch.tensor([1.0, 10.0]).view(1, 2, 1, 1)
    pre = Standardize(Real((2, 4, 4)))
    pre.fit(Dataset(x, space=pre.space))
    assert pre.scale.shape == (2, 1, 1)
    _, log_det = pre(x, None)
    torch.testing.assert_close(log_det[0], -16 * pre.scale.log().sum())


@pytest.mark.parametrize("onto", ["symmetric", "logit"])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_dequantization_inverts_and_its_determinant_is_autograds(onto: str, levels: int) -> None:
    space = Pixels(1, 2, 2, levels)
    pre = Dequantize(space, onto=onto)  # type: ignore[arg-type]
    x = torch.randint(0, levels, (40, 1, 2, 2)).to(space.dtype)
    z, log_det = pre(x, noise(40))
    assert torch.equal(pre.inverse(z), x)
    centre, _ = pre(x, None)
    assert torch.equal(pre.inverse(centre), x)
    # z as a function of the continuous x + u, differentiated.
    u = noise(40).uniform(1, 2, 2).double()
    y = (x.double() + u).requires_grad_()
    v = y / levels
    w = 2 * v - 1 if onto == "symmetric" else torch.logit(pre.squeeze + (1 - 2 * pre.squeeze) * v)
    (slope,) = torch.autograd.grad(w.sum(), y)
    torch.testing.assert_close(log_det, slope.log().flatten(1).sum(1), atol=1e-4, rtol=1e-5)


def test_the_uniform_density_of_dequantized_uniform_pixels_is_exact() -> None:
    """log P = -D log L for uniform pixels, and the uniform density on [-1, 1]^D says the same."""
    pre = Dequantize(Pixels(1, 2, 2, 17))
    x = torch.randint(0, 17, (10, 1, 2, 2)).to(torch.uint8)
    _, log_det = pre(x, noise(10))
    base = -4 * math.log(2.0)
    torch.testing.assert_close(base + log_det, torch.full((10,), -4 * math.log(17.0), dtype=torch.float64))


def test_rescale_is_exact_on_integers_and_clips_the_rest() -> None:
    space = Pixels(1, 4, 4, 17)
    pre = Rescale(space)
    x = torch.arange(16).view(1, 1, 4, 4).to(torch.uint8)
    z, _ = pre(x, None)
    assert isinstance(pre.codomain, Interval) and pre.bound is None
    assert float(z.min()) == -1.0 and torch.equal(pre.inverse(z), x)
    assert pre.inverse(torch.tensor([[[[-9.0, 9.0]]]])).flatten().tolist() == [0, 16]
