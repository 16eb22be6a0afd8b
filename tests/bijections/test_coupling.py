"""ActNorm, couplings and multi-scale layers against autograd and against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pushforward.bijections import ActNorm, AffineCoupling, Bijection, Chain, Split, Squeezed
from pushforward.bijections.coupling import checkerboard, first_channels, random_half
from pushforward.bijections.multiscale import squeeze, unsqueeze


class Network(nn.Module):
    """A smooth function of x and condition with the outputs of a conditioner."""

    def __init__(self, *shape: int, condition: int = 0):
        super().__init__()
        self.shape = (2 * shape[0], *shape[1:])
        self.layer = nn.Linear(math.prod(shape) + condition, math.prod(self.shape))

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        flat = x.flatten(1)
        inputs = flat if condition is None else torch.cat([flat, condition], 1)
        return (3 * torch.sin(self.layer(inputs))).view(len(x), *self.shape)


def actnorm(*shape: int) -> ActNorm:
    layer = ActNorm(shape)
    layer.start(torch.randn(64, *shape) * torch.linspace(0.2, 4, math.prod(shape)).view(shape) + 3)
    return layer


def coupling(kept: Tensor, *shape: int, condition: int = 0) -> AffineCoupling:
    return AffineCoupling(kept, Network(*shape, condition=condition), 2.0)


CASES = {
    "actnorm": lambda: (actnorm(5), (5,)),
    "actnorm-image": lambda: (actnorm(2, 3, 5), (2, 3, 5)),
    "coupling": lambda: (coupling(random_half(5), 5), (5,)),
    "coupling-one": lambda: (coupling(random_half(1), 1), (1,)),
    "checkerboard": lambda: (coupling(checkerboard(3, 5), 2, 3, 5), (2, 3, 5)),
    "channels": lambda: (coupling(~first_channels(3), 3, 2, 2), (3, 2, 2)),
    "squeezed": lambda: (Squeezed(coupling(first_channels(8), 8, 2, 1)), (2, 4, 2)),
    "split": lambda: (Split(coupling(checkerboard(3, 2), 2, 3, 2), 2), (3, 3, 2)),
    "chain": lambda: (Chain([actnorm(4), coupling(random_half(4), 4), coupling(random_half(4), 4)]), (4,)),
}


def reference_log_det(layer: Bijection, x: Tensor, inverse: bool) -> Tensor:
    """log |det| of each row's Jacobian, by autograd."""
    fn = layer.inverse_and_log_det if inverse else layer.forward_and_log_det
    d = x[0].numel()
    rows = []
    for row in x:
        jacobian = torch.autograd.functional.jacobian(lambda v: fn(v[None])[0][0], row)
        rows.append(torch.linalg.slogdet(jacobian.reshape(d, d))[1])
    return torch.stack(rows)


@pytest.mark.parametrize("name", CASES)
def test_inverse_and_determinants(name: str) -> None:
    layer, shape = CASES[name]()
    layer = layer.double()
    x = torch.randn(3, *shape, dtype=torch.float64)
    z, log_det = layer.forward_and_log_det(x)
    back, inverse_log_det = layer.inverse_and_log_det(z)
    assert z.shape == x.shape and (z - x).abs().max() > 0.1
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_det, reference_log_det(layer, x, False), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(inverse_log_det, reference_log_det(layer, z.detach(), True), rtol=1e-9, atol=1e-9)


def test_coupling_is_the_formula_of_the_paper() -> None:
    """z1 = x1, z2 = x2 exp(s(x1)) + t(x1), log det = sum s: written with halves instead of masks."""
    kept = torch.tensor([True, False, True, False, False])
    layer = coupling(kept, 5, condition=2)
    x, c = torch.randn(6, 5), torch.randn(6, 2)
    raw_s, raw_t = layer.conditioner(x * kept, c).chunk(2, 1)
    s, t = 2 * torch.tanh(raw_s[:, ~kept] / 2), raw_t[:, ~kept]
    z, log_det = layer.forward_and_log_det(x, c)
    assert torch.equal(z[:, kept], x[:, kept])
    torch.testing.assert_close(z[:, ~kept], x[:, ~kept] * s.exp() + t)
    torch.testing.assert_close(log_det, s.sum(1))
    moved = x.clone()
    moved[:, ~kept] += 1
    torch.testing.assert_close(layer.forward_and_log_det(moved, c)[1], log_det)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_scale_is_bounded_both_ways(sign: float) -> None:
    layer = AffineCoupling(torch.tensor([True, False]), nn.Identity(), 3.0)
    layer.conditioner.forward = lambda x, c: torch.full((len(x), 4), sign * 1e6)  # type: ignore[method-assign]
    _, log_det = layer.forward_and_log_det(torch.zeros(2, 2))
    torch.testing.assert_close(log_det, torch.full((2,), sign * 3.0))


def test_actnorm_start_standardizes() -> None:
    x = 40 + 7 * torch.randn(500, 3, 4, 5)
    layer = ActNorm((3, 4, 5))
    layer.start(x)
    z, log_det = layer.forward_and_log_det(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(log_det[0], -20 * x.std((0, 2, 3), correction=0).log().sum())


def test_actnorm_starts_only_when_asked() -> None:
    """Evaluating, training or inverting a fresh layer leaves it the identity."""
    layer = ActNorm((3,))
    x = 5 + torch.randn(10, 3)
    for mode in (True, False):
        layer.train(mode)
        assert torch.equal(layer.forward_and_log_det(x)[0], x)
        assert torch.equal(layer.inverse_and_log_det(x)[0], x)
    assert not layer.started


def test_actnorm_with_constant_features_and_single_rows() -> None:
    layer = ActNorm((2,))
    layer.start(torch.tensor([[7.0, 1.0]]))
    assert not layer.started and torch.equal(layer.log_scale, torch.zeros(2))
    x = torch.tensor([[7.0, 1.0], [7.0, 3.0], [7.0, 8.0]])
    layer.start(x)
    z, log_det = layer.forward_and_log_det(x)
    assert layer.started and torch.equal(z[:, 0], torch.zeros(3)) and layer.log_scale[0] == 0
    torch.testing.assert_close(z[:, 1].std(correction=0), torch.tensor(1.0))
    assert torch.isfinite(log_det).all()


def test_actnorm_keeps_restored_values() -> None:
    """Starting a restored layer on other data must not re-initialize over trained weights."""
    trained = actnorm(3)
    with torch.no_grad():
        trained.shift += 0.5
    restored = ActNorm((3,))
    restored.load_state_dict(trained.state_dict())
    restored.start(100 * torch.randn(50, 3))
    assert torch.equal(restored.shift, trained.shift) and torch.equal(restored.log_scale, trained.log_scale)


def test_chain_starts_each_layer_on_what_it_sees() -> None:
    torch.manual_seed(3)
    chain = Chain([actnorm(4), coupling(random_half(4), 4), ActNorm((4,))])
    x = torch.randn(300, 4) * 3 - 1
    chain.start(x)
    z, _ = chain.forward_and_log_det(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(4), rtol=0, atol=1e-4)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(4), rtol=0, atol=1e-4)


def test_masks() -> None:
    for d in (1, 2, 5, 8):
        assert int(random_half(d).sum()) == d // 2
    board = checkerboard(3, 4)[0]
    assert board[0, 0] and (board[1:] != board[:-1]).all() and (board[:, 1:] != board[:, :-1]).all()
    assert first_channels(5).flatten().tolist() == [True, True, False, False, False]


def test_squeeze_keeps_pixels_together() -> None:
    x = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    s = squeeze(x)
    assert s.shape == (1, 8, 2, 3)
    assert torch.equal(unsqueeze(s), x)
    assert torch.equal(s[:, :2], x[:, :, ::2, ::2]) and torch.equal(s[:, 2:4], x[:, :, ::2, 1::2])
    assert torch.equal(s[:, 4:6], x[:, :, 1::2, ::2]) and torch.equal(s[:, 6:], x[:, :, 1::2, 1::2])


def test_split_leaves_the_rest() -> None:
    layer = Split(coupling(checkerboard(2, 2), 2, 2, 2), 2)
    x = torch.randn(4, 5, 2, 2)
    z, log_det = layer.forward_and_log_det(x)
    inner, inner_log_det = layer.inner.forward_and_log_det(x[:, :2])
    assert torch.equal(z, torch.cat([inner, x[:, 2:]], 1)) and torch.equal(log_det, inner_log_det)
