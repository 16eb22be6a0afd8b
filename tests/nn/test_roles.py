"""Every network of every role: shapes, ownership of gradients, independence of rows, precision, compilation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pushforward.config import NetworkSettings
from pushforward.errors import InputError
from pushforward.nn import critic, decoder, encoder, field
from pushforward.nn.roles import SIZES, numbers

SHAPES = [(1,), (2,), (17,), (1, 8, 8), (3, 5, 7), (2, 9, 4), (1, 4, 4), (4, 2, 3), (1, 1, 1), (1, 4, 33)]
ROLES = ["encoder", "decoder", "critic", "field"]
SMALL = NetworkSettings(width=8, depth=2)


def build(role: str, shape: tuple[int, ...], settings: NetworkSettings = SMALL, condition_features: int = 0):
    """A network and its output shape. Zero-initialized last layers get weights, so that outputs mean something."""
    if role == "encoder":
        return encoder(shape, 6, settings, condition_features), (6,)
    if role == "decoder":
        return decoder(5, shape, settings, condition_features), shape
    if role == "critic":
        return critic(shape, settings, condition_features, out=3), (3,)
    net = field(shape, settings, condition_features)
    for p in net.last.parameters():
        nn.init.normal_(p, std=0.1)
    return net, shape


def inputs(role: str, shape: tuple[int, ...], n: int, condition_features: int = 0) -> list[torch.Tensor]:
    x = torch.randn(n, 5) if role == "decoder" else torch.randn(n, *shape)
    time = [torch.rand(n)] if role == "field" else []
    return [x, *time, *([torch.randn(n, condition_features)] if condition_features else [])]


@pytest.mark.parametrize("condition_features", [0, 4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("role", ROLES)
def test_shape_and_gradients_reach_every_parameter_and_input(role, shape, condition_features):
    net, out_shape = build(role, shape, condition_features=condition_features)
    arguments = [a.requires_grad_() for a in inputs(role, shape, 6, condition_features)]
    out = net(*arguments)
    assert out.shape == (6, *out_shape)
    (out * torch.randn_like(out)).sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still
    assert all(a.grad is not None and (a.grad.reshape(6, -1).abs().sum(1) > 0).all() for a in arguments)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 5, 7)])
@pytest.mark.parametrize("role", ROLES)
def test_each_row_depends_on_itself_alone(role, shape):
    net, _ = build(role, shape, NetworkSettings(), 4)
    net.train()
    arguments = inputs(role, shape, 64, 4)
    whole = net(*arguments)
    for size in (1, 7):
        parts = torch.cat([net(*rows) for rows in zip(*(a.split(size) for a in arguments))])
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)
    # and not on the others: exactly no gradient from row 0's output to row 1's input
    x = arguments[0].clone().requires_grad_()
    net(x, *arguments[1:])[0].sum().backward()
    assert x.grad[0].abs().sum() > 0 and x.grad[1:].abs().sum() == 0


@pytest.mark.parametrize("shape", [(2,), (3, 5, 7), (1, 8, 8)])
@pytest.mark.parametrize("role", ROLES)
def test_double_precision_agrees(role, shape):
    net, _ = build(role, shape, condition_features=4)
    arguments = inputs(role, shape, 5, 4)
    single = net(*arguments)
    double = net.double()(*(a.double() for a in arguments))
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", [(2,), (3, 5, 7)])
@pytest.mark.parametrize("role", ROLES)
def test_compiles_as_one_graph_and_agrees(role, shape):
    net, _ = build(role, shape, condition_features=4)
    arguments = inputs(role, shape, 5, 4)
    torch._dynamo.reset()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*arguments), net(*arguments), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (3, 8, 8)])
def test_field_starts_at_zero(shape):
    net = field(shape, SMALL, 4)
    out = net(*inputs("field", shape, 4, 4))
    assert out.shape == (4, *shape) and (out == 0).all()


def test_field_of_another_number_of_outputs():
    assert field((2,), SMALL, out_shape=(4,))(torch.randn(3, 2), torch.rand(3)).shape == (3, 4)
    assert field((3, 8, 8), SMALL, out_shape=(6, 8, 8))(torch.randn(3, 3, 8, 8), torch.rand(3)).shape == (3, 6, 8, 8)
    with pytest.raises(ValueError, match="keeps their size"):
        field((3, 8, 8), SMALL, out_shape=(3, 4, 4))


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
def test_critic_has_no_normalization_and_the_others_couple_no_batch(shape):
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    assert not [m for m in critic(shape, SMALL, 4).modules() if isinstance(m, norms)]
    for role in ROLES:
        assert not [m for m in build(role, shape)[0].modules() if isinstance(m, nn.modules.batchnorm._NormBase)]


@pytest.mark.parametrize("role", ROLES)
def test_every_pixel_sees_every_pixel_of_an_image(role):
    """The receptive field covers the image: no corner of a 9x13 image is out of reach."""
    net, _ = build(role, (1, 9, 13))
    arguments = inputs(role, (1, 9, 13), 1)
    arguments[0].requires_grad_()
    out = net(*arguments)
    out[:, 0, 0, 0].sum().backward() if role in ("decoder", "field") else out[:, 0].sum().backward()
    assert (arguments[0].grad.abs() > 0).all()


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
@pytest.mark.parametrize("role", ROLES)
def test_an_embedding_is_given_exactly_when_the_network_takes_one(role, shape):
    net, _ = build(role, shape, condition_features=4)
    with pytest.raises(ValueError, match="takes 4 condition features, but was given 0"):
        net(*inputs(role, shape, 2))
    net, _ = build(role, shape)
    with pytest.raises(ValueError, match="takes 0 condition features, but was given 4"):
        net(*inputs(role, shape, 2, 4))


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
@pytest.mark.parametrize("role", ROLES)
def test_dropout_only_in_training(role, shape):
    net, _ = build(role, shape, NetworkSettings(width=16, depth=2, dropout=0.5))
    arguments = inputs(role, shape, 4)
    assert not torch.equal(net(*arguments), net(*arguments))
    net.eval()
    torch.testing.assert_close(net(*arguments), net(*arguments), atol=0, rtol=0)


def test_every_number_of_the_size_table_can_be_overridden():
    for kind, sizes in SIZES.items():
        assert list(sizes) == ["s", "m", "l"]
        assert numbers(kind, NetworkSettings(size="m")) == sizes["m"]
        assert numbers(kind, NetworkSettings(size="l", width=10)) == (10, sizes["l"][1])
        assert numbers(kind, NetworkSettings(depth=7)) == (sizes["s"][0], 7)


def test_parameters_by_size():
    """The stated budgets of a field of 32x32 colour images: at most 1 M, about 6 M, about 35 M."""
    count = {
        size: sum(p.numel() for p in field((3, 32, 32), NetworkSettings(size=size)).parameters()) for size in "sml"
    }
    assert count["s"] <= 1.0e6 and 4e6 < count["m"] < 8e6 and 25e6 < count["l"] < 45e6


@pytest.mark.parametrize("shape", [(), (8, 8), (1, 2, 3, 4), (0,), (3, 0, 4)])
@pytest.mark.parametrize("role", ROLES)
def test_other_shapes_are_one_clear_error(role, shape):
    with pytest.raises(InputError, match="vectors"):
        build(role, shape)
