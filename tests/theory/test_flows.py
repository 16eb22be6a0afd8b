"""Change of variables, its composition, and the table of invertible layers, against Jacobians taken by autograd.

The lecture's flow goes from the base to the data, x = f_K(... f_1(z_0)); the package's bijections go from the data to
the base. So its f_j is the inverse of a layer here, and its minus sign becomes a plus; both are tested.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from pushforward.bijections import ActNorm, AffineCoupling, Chain
from pushforward.families.flows.real_nvp import RealNVP, RealNVPSettings
from pushforward.game import Batch
from pushforward.noise import Noise
from pushforward.spaces import Real
from tests.theory.fixed import jacobians, log_det


class Smooth(nn.Module):
    """A conditioner without kinks: raw scale and shift, (n, 2 d, ...), of a fixed random linear map and a tanh."""

    def __init__(self, shape: tuple[int, ...], size: float = 0.8):
        super().__init__()
        d = math.prod(shape)
        self.shape = shape
        self.weight = nn.Parameter(size * torch.randn(d, 2 * d, dtype=torch.float64) / math.sqrt(d))
        self.bias = nn.Parameter(0.3 * torch.randn(2 * d, dtype=torch.float64))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        out = torch.tanh(x.flatten(1) @ self.weight + self.bias)
        return out.view(-1, 2 * self.shape[0], *self.shape[1:])


def coupling(d: int = 5, split: int = 2) -> AffineCoupling:
    return AffineCoupling(torch.arange(d) < split, Smooth((d,)), bound=3.0)


def actnorm(shape: tuple[int, ...]) -> ActNorm:
    layer = ActNorm(shape).double()
    with torch.no_grad():
        layer.log_scale.normal_(std=0.5)
        layer.shift.normal_()
    return layer


def flow(d: int = 2) -> RealNVP:
    """The repository's Real NVP with every weight random, in float64."""
    model = RealNVP(RealNVPSettings(layers=4, network={"width": 16, "depth": 1}), Real((d,))).double()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.2)
    return model


def log_base(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)


# ------------------------------------------------------------------------------------------ change of variables


def test_the_density_of_an_image_of_one_number():
    """x = sinh(z), z ~ N(0, 1): pi(f^-1(x)) |d f^-1/dx| integrates to one, and its events are those of z."""
    t = torch.linspace(-8, 8, 40_001, dtype=torch.float64)
    x = torch.sinh(t).requires_grad_()
    (slope,) = torch.autograd.grad(torch.asinh(x).sum(), x)
    density = (Normal(0.0, 1.0).log_prob(torch.asinh(x)).exp() * slope.abs()).detach()
    torch.testing.assert_close(density, Normal(0.0, 1.0).log_prob(t).exp() / torch.cosh(t))  # pi(z) |dz/dx|
    assert abs(float(torch.trapezoid(density, x.detach())) - 1) < 1e-6
    inside = torch.linspace(0, math.sinh(1.0), 20_001, dtype=torch.float64)  # z in (0, 1)
    inner = Normal(0.0, 1.0).log_prob(torch.asinh(inside)).exp() / torch.sqrt(1 + inside**2)
    expected = Normal(0.0, 1.0).cdf(torch.tensor(1.0, dtype=torch.float64)) - 0.5
    assert float(torch.trapezoid(inner, inside)) == pytest.approx(float(expected), abs=1e-9)


def test_a_falling_map_needs_the_absolute_value():
    """x = -2 z: the derivative is -1/2; without |.| the density would be negative."""
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    density = Normal(0.0, 1.0).log_prob(-x / 2).exp() * abs(-0.5)
    torch.testing.assert_close(density, Normal(0.0, 2.0).log_prob(x).exp())


def test_the_density_of_a_flow_in_the_plane_integrates_to_one():
    model = flow()
    line = torch.linspace(-12, 12, 481, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flatten(0, 1)
    with torch.no_grad():
        density = model.log_prob(grid).values.exp().view(481, 481)
        x = model.draw(Noise.of(0, index=torch.arange(20_000)))
    assert abs(float(torch.trapezoid(torch.trapezoid(density, line), line)) - 1) < 2e-4
    assert float(x.abs().max()) < 12
    # And it is the density of the samples: the probability of a quadrant, both ways.
    rows, columns = line >= x[:, 0].median(), line >= x[:, 1].median()
    corner = density[rows][:, columns]
    probability = torch.trapezoid(torch.trapezoid(corner, line[columns]), line[rows])
    assert float(probability) == pytest.approx(
        float(((x >= x.median(0).values).all(1)).double().mean()), abs=0.03 + 4 * 0.5 / 20_000**0.5
    )


def test_the_density_is_the_base_s_times_the_jacobian_by_autograd():
    """p(x) = pi(f^-1(x)) |det d f^-1/dx|, f^-1 the whole flow from data to base."""
    model, x = flow(4), torch.randn(6, 4, dtype=torch.float64)
    z = model.infer(x, None, None)
    expected = log_base(z) + log_det(jacobians(lambda r: model.infer(r, None, None), x))
    torch.testing.assert_close(model.density(x, None, None).values, expected, atol=1e-10, rtol=0)


# ------------------------------------------------------------------------------------------ composition


def test_a_composition_subtracts_the_log_determinants_of_its_maps():
    """z_i = f_i(z_{i-1}): log p(x) = log p_0(z_0) - sum_j log |det d f_j / d z_{j-1}|, each Jacobian by autograd."""
    model = flow(3)
    chain = model.bijection
    assert isinstance(chain, Chain)
    z = torch.randn(5, 3, dtype=torch.float64)
    log_p, product = log_base(z), log_base(z).exp()
    for layer in reversed(chain.layers):  # from base to data: each f_j is the inverse of a layer
        step = jacobians(lambda r, layer=layer: layer.inverse_and_log_det(r)[0], z)
        log_p = log_p - log_det(step)
        product = product / torch.linalg.det(step).abs()
        z, reported = layer.inverse_and_log_det(z)
        torch.testing.assert_close(reported.expand(5), log_det(step), atol=1e-10, rtol=0)
    x = z.detach()
    found = model.density(x, None, None).values.detach()
    log_p, product = log_p.detach(), product.detach()
    torch.testing.assert_close(found, log_p, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.exp(), product, rtol=1e-8, atol=0)
    # The sign depends on the direction: a plus here would be the density of nothing.
    base = log_base(model.infer(x, None, None)).detach()
    assert float((found - (2 * base - log_p)).abs().max()) > 0.01


def test_the_jacobian_of_the_inverse_is_the_inverse_of_the_jacobian():
    """The inverse function theorem, and det(J^-1) = 1 / det J, at corresponding points."""
    model, x = flow(4), torch.randn(5, 4, dtype=torch.float64)
    z = model.infer(x, None, None).detach()
    forward = jacobians(lambda r: model.infer(r, None, None), x)
    backward = jacobians(lambda r: model.generate(r, None, None), z)
    torch.testing.assert_close(backward, torch.linalg.inv(forward), atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(torch.linalg.det(backward), 1 / torch.linalg.det(forward), atol=0, rtol=1e-8)


def test_the_training_loss_is_minus_the_average_log_likelihood():
    model, x = flow(3), torch.randn(9, 3, dtype=torch.float64)
    loss = model.loss(Batch.of(x, seed=0))["nll"]
    one_by_one = [model.density(row[None], None, None).values for row in x]
    torch.testing.assert_close(loss, -torch.cat(one_by_one).sum() / 9)


def test_each_map_has_weights_of_its_own():
    chain = flow(3).bijection
    assert isinstance(chain, Chain)
    owned = [id(p) for layer in chain.layers for p in layer.parameters()]
    assert len(owned) == len(set(owned)) == len(list(chain.parameters()))


def test_an_invertible_map_may_have_a_vanishing_determinant():
    """x -> x^3 is a bijection of the line whose derivative is 0 at 0: the image of N(0, 1) has an infinite density."""
    z = torch.tensor([1e-2, 1e-4, 1e-8], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad((z**3).sum(), z)
    density = Normal(0.0, 1.0).log_prob(z).exp() / slope
    torch.testing.assert_close((z**3).sign() * (z**3).abs() ** (1 / 3), z)
    assert bool((density[1:] > 1e3 * density[:-1]).all())


# ------------------------------------------------------------------------------------------ the table of layers


def test_actnorm_of_the_table():
    """z = s x + b: J = diag(s), log |det J| = sum_j log |s_j|. Here s = e^log_scale and b = s * shift."""
    layer, x = actnorm((4,)), torch.randn(3, 4, dtype=torch.float64)
    z, found = layer.forward_and_log_det(x)
    s = layer.log_scale.exp()
    torch.testing.assert_close(z, s * x + s * layer.shift)
    jacobian = jacobians(lambda r: layer.forward_and_log_det(r)[0], x)
    torch.testing.assert_close(jacobian, torch.diag(s).expand(3, 4, 4).detach())
    torch.testing.assert_close(found, s.log().sum().expand(3))
    torch.testing.assert_close(found, log_det(jacobian))
    # For a scale of either sign it is log |s_j|: the determinant's sign does not matter.
    signed = torch.tensor([-0.5, 2.0, -3.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.slogdet(torch.diag(signed)).logabsdet, signed.abs().log().sum())


def test_actnorm_of_an_image_counts_every_pixel():
    """One scale a channel: log |det J| = h w sum_c log |s_c|, not the sum over channels alone."""
    layer, x = actnorm((2, 3, 4)), torch.randn(2, 2, 3, 4, dtype=torch.float64)
    _, found = layer.forward_and_log_det(x)
    torch.testing.assert_close(found, log_det(jacobians(lambda r: layer.forward_and_log_det(r)[0], x)))
    torch.testing.assert_close(found, (3 * 4 * layer.log_scale.sum()).expand(2))
    assert float((found - layer.log_scale.sum()).detach().abs().min()) > 0.1


def test_the_invertible_convolution_of_the_table():
    """z = W x at each pixel: log |det W| a pixel, so h w log |det W| for an image."""
    w = torch.randn(3, 3, dtype=torch.float64)
    x = torch.randn(2, 3, 2, 4, dtype=torch.float64)
    one = jacobians(lambda r: r @ w.T, x[:, :, 0, 0])
    torch.testing.assert_close(one, w.expand(2, 3, 3))
    whole = log_det(jacobians(lambda r: F.conv2d(r, w[:, :, None, None]), x))
    single = torch.linalg.slogdet(w).logabsdet
    torch.testing.assert_close(whole, (2 * 4 * single).expand(2))
    assert float((whole - single).abs().min()) > 0.1
    # Glow's factorization W = P L (U + diag(s)) makes it a sum over channels.
    _, _, upper = torch.linalg.lu(w)
    torch.testing.assert_close(upper.diagonal().abs().log().sum(), single)


def test_affine_coupling_of_the_table():
    """(x_1, x_2 e^s + t): a block triangular Jacobian with I and diag(e^s), log |det J| = sum_j s_j."""
    layer, x = coupling(), torch.randn(4, 5, dtype=torch.float64)
    s, t = layer._scale_and_shift(x, None)
    z, found = layer.forward_and_log_det(x)
    assert torch.equal(z[:, :2], x[:, :2])
    torch.testing.assert_close(z[:, 2:], x[:, 2:] * s[:, 2:].exp() + t[:, 2:])
    jacobian = jacobians(lambda r: layer.forward_and_log_det(r)[0], x)
    torch.testing.assert_close(jacobian[:, :2, :2], torch.eye(2, dtype=torch.float64).expand(4, 2, 2))
    assert float(jacobian[:, :2, 2:].abs().max()) == 0.0 and float(jacobian[:, 2:, :2].abs().max()) > 0.1
    torch.testing.assert_close(jacobian[:, 2:, 2:], torch.diag_embed(s[:, 2:].exp()).detach())
    torch.testing.assert_close(found, s[:, 2:].sum(1))
    torch.testing.assert_close(found, log_det(jacobian))
    # Triangular: the determinant is the product of the diagonal, D numbers.
    torch.testing.assert_close(found, jacobian.diagonal(dim1=1, dim2=2).log().sum(1))
    back, opposite = layer.inverse_and_log_det(z)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(opposite, -found)


def test_the_printed_coupling_is_another_map():
    """x_2 e^(s + t), as the table prints it: diag(e^(s+t)) and log |det| = sum (s + t), not the row's own sum of s."""
    layer, x = coupling(), torch.randn(4, 5, dtype=torch.float64)

    def printed(r: Tensor) -> Tensor:
        s, t = layer._scale_and_shift(r, None)
        return torch.where(layer.kept, r, r * (s + t).exp())

    s, t = layer._scale_and_shift(x, None)
    jacobian = jacobians(printed, x)
    torch.testing.assert_close(jacobian[:, 2:, 2:], torch.diag_embed((s + t)[:, 2:].exp()).detach())
    torch.testing.assert_close(log_det(jacobian), (s + t).sum(1))
    assert float((log_det(jacobian) - s.sum(1)).detach().abs().min()) > 1e-2
    # It cannot shift either: zeros stay where they are, so t would be a second scale.
    zero = torch.cat([x[:, :2], torch.zeros(4, 3, dtype=torch.float64)], 1)
    assert torch.equal(printed(zero), zero)
    shifted = layer.forward_and_log_det(zero)[0].detach()
    assert float((shifted - zero)[:, 2:].abs().min()) > 1e-3


def test_the_table_s_maps_go_from_data_to_base():
    """z = f(x): so log p(x) = log p_0(f(x)) + log |det J|; the minus of the composition is that of base to data."""
    layer = actnorm((1,))
    with torch.no_grad():
        layer.log_scale.fill_(0.6)
    x = torch.linspace(-15, 15, 6001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        z, found = layer.forward_and_log_det(x)
    masses = [float(torch.trapezoid((log_base(z) + sign * found).exp(), x[:, 0])) for sign in (1, -1)]
    assert masses[0] == pytest.approx(1, abs=1e-9)
    assert masses[1] == pytest.approx(math.exp(-1.2), abs=1e-9)


def test_the_conditioner_is_never_inverted():
    """s and t are arbitrary: a constant, or a map that forgets its input, leaves the coupling invertible."""

    class Rounds(nn.Module):
        def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
            return torch.cat([x.round() * 0.3, x.sign()], 1)

    layer = AffineCoupling(torch.arange(4) < 2, Rounds())
    x = torch.randn(10, 4, dtype=torch.float64)
    torch.testing.assert_close(layer.inverse_and_log_det(layer.forward_and_log_det(x)[0])[0], x)
