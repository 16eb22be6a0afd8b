"""Transposed convolutions, conditions, paired and unpaired translation: the formulas, before or beside the families."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pushforward import divergences
from pushforward.families.gans import objectives
from pushforward.families.gans.gan import GAN, GANSettings
from pushforward.game import Batch
from pushforward.spaces import Classes, Real
from tests.theory.fixed import Given, jacobians, minimize

GENERATOR = torch.Generator().manual_seed(9)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


# ------------------------------------------------------------------------------------------ transposed convolutions


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 1), (2, 0), (3, 1)])
def test_a_transposed_convolution_is_the_transpose_of_a_convolution(stride, padding):
    kernel, size = random(3, 2, 4, 4), 1 + 3 * stride + 4 - 1 - 2 * padding
    x = random(1, 2, size, size)

    def forward(image: Tensor) -> Tensor:
        return F.conv2d(image, kernel, stride=stride, padding=padding)

    def backward(code: Tensor) -> Tensor:
        return F.conv_transpose2d(code, kernel, stride=stride, padding=padding)

    y = random(*forward(x).shape)
    assert backward(y).shape == x.shape
    torch.testing.assert_close((forward(x) * y).sum(), (x * backward(y)).sum())
    down, up = jacobians(forward, x)[0], jacobians(backward, y)[0]
    torch.testing.assert_close(up, down.T)


def test_a_transposed_convolution_is_zero_dilution_zero_padding_and_a_convolution():
    """Zeros between the pixels (stride - 1), zeros around (kernel - 1 - padding), then the flipped kernel, stride 1."""
    kernel, x, stride, padding = random(3, 2, 4, 4), random(1, 3, 5, 5), 2, 1
    dilated = torch.zeros(1, 3, 9, 9, dtype=torch.float64)
    dilated[:, :, ::stride, ::stride] = x
    padded = F.pad(dilated, [4 - 1 - padding] * 4)
    flipped = kernel.flip(2, 3).transpose(0, 1)
    out = F.conv2d(padded, flipped)
    torch.testing.assert_close(out, F.conv_transpose2d(x, kernel, stride=stride, padding=padding))
    assert out.shape[-1] == 2 * x.shape[-1]  # DCGAN's layer: kernel 4, stride 2, padding 1 doubles the image


# ------------------------------------------------------------------------------------------ conditions


class ByClass(nn.Module):
    """A table of logits, one a value x of {0, 1, 2} and class c; takes (x, embedding) as the GAN gives them."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.table[embedding.argmax(1), x[:, 0].long()][:, None]


class OneHot(nn.Module):
    def forward(self, condition: Tensor, n: int) -> Tensor:
        return F.one_hot(condition, 2).double()


def test_a_conditional_game_is_a_game_for_each_condition():
    """D and G see y: D*(x|y) = p(x|y) / (p(x|y) + p_g(x|y)), and C = E_y [2 JS(p(.|y), p_g(.|y))] - log 4."""
    p = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.625, 0.25]], dtype=torch.float64)
    g = torch.tensor([[0.25, 0.5, 0.25], [0.25, 0.375, 0.375]], dtype=torch.float64)
    share = torch.tensor([0.25, 0.75], dtype=torch.float64)
    x = torch.cat([torch.arange(3).repeat_interleave((8 * row).long()) for row in p])
    fake = torch.cat([torch.arange(3).repeat_interleave((8 * row).long()) for row in g])
    y = torch.arange(2).repeat_interleave(8)
    repeats = torch.tensor([1, 3])[y]  # class 1 three times as often
    x, fake, y = (t.repeat_interleave(repeats) for t in (x, fake, y))

    class Sends(nn.Module):
        """The generator: the i-th noise goes to the i-th value."""

        def forward(self, z: Tensor, embedding: Tensor) -> Tensor:
            return z

    model = GAN(GANSettings(latent=1), Real((1,)), Classes(2), {"generator": Sends(), "discriminator": ByClass()})
    model.generator_condition, model.discriminator_condition = OneHot(), OneHot()
    batch = Batch(x.double()[:, None], y, torch.arange(len(x)), Given([fake.double()[:, None]]))
    least = minimize(lambda: model.discriminator_loss(batch)["discriminator"], [model.discriminator.table])
    torch.testing.assert_close(model.discriminator.table.detach().sigmoid(), p / (p + g), atol=1e-6, rtol=0)
    js = [float(divergences.jensen_shannon(a, b)) for a, b in zip(p, g)]
    assert -least == pytest.approx(2 * float(share @ torch.tensor(js, dtype=torch.float64)) - math.log(4), abs=1e-10)


# ------------------------------------------------------------------------------------------ paired translation


def test_the_l1_term_is_least_at_the_conditional_median():
    """min_G E |y - G(x)|_1 for one x: the median of y given x, where the L2 loss would take the mean."""
    y = torch.tensor([0.0, 0.1, 0.2, 5.0, 9.0], dtype=torch.float64)
    grid = torch.linspace(-1, 10, 11_001, dtype=torch.float64)
    loss = (y - grid[:, None]).abs().mean(1)
    assert float(grid[loss.argmin()]) == pytest.approx(float(y.median()), abs=1e-9)
    assert float(grid[(y - grid[:, None]).square().mean(1).argmin()]) == pytest.approx(float(y.mean()), abs=1e-3)


def test_pix2pix_s_objective_is_its_two_terms():
    """E log D(x, y) + E log(1 - D(x, G(x, z))) + lambda E |y - G(x, z)|_1; only the last two move the generator."""
    x, y, z = random(20, 3), random(20, 3), random(20, 3)
    w = random(6, 3).requires_grad_()
    v = random(6, 1).requires_grad_()
    made = torch.cat([x, z], 1) @ w
    real, fake = torch.cat([x, y], 1) @ v, torch.cat([x, made], 1) @ v
    l1 = (y - made).abs().sum(1).mean()
    value = real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean() + 100 * l1
    torch.testing.assert_close(value, -objectives.discriminator(real, fake) + 100 * l1)
    (whole,) = torch.autograd.grad(value, w, retain_graph=True)
    (parts,) = torch.autograd.grad(objectives.minimax(fake) + 100 * l1, w)
    torch.testing.assert_close(whole, parts)


# ------------------------------------------------------------------------------------------ unpaired translation


def cycle(g: Tensor, f: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """E |F(G(x)) - x|_1 + E |G(F(y)) - y|_1 of linear maps."""
    return (x @ g @ f - x).abs().sum(1).mean() + (y @ f @ g - y).abs().sum(1).mean()


def test_the_cycle_loss_is_zero_for_inverse_maps_only():
    x, y, g = random(50, 3), random(50, 3), random(3, 3)
    inverse = torch.linalg.inv(g)
    assert float(cycle(g, inverse, x, y)) < 1e-10
    for _ in range(20):
        assert float(cycle(g, inverse + 0.01 * random(3, 3), x, y)) > 1e-3


def test_the_cycle_loss_alone_does_not_say_which_pairs_belong_together():
    """Any bijection of the two domains has cycle loss 0, and a permutation of equal masses both GAN losses at best."""
    table = np.full(4, 0.25)
    for permutation in ([0, 1, 2, 3], [2, 0, 3, 1]):
        g = torch.eye(4, dtype=torch.float64)[permutation]
        assert float(cycle(g, g.T, torch.eye(4).double(), torch.eye(4).double())) == 0.0
        sent = table @ g.numpy()  # the pushforward of the first domain
        assert divergences.gan_value(table, sent).divergence == pytest.approx(-math.log(4), abs=1e-12)


def test_a_cycle_is_two_autoencoders():
    """x -> G(x) -> F(G(x)) ~ x has G as encoder and F as decoder; y -> F(y) -> G(F(y)) ~ y has them swapped."""
    x, y, g, f = random(50, 4), random(50, 2), random(4, 2), random(2, 4)
    first = (x - (x @ g) @ f).abs().sum(1).mean()
    second = (y - (y @ f) @ g).abs().sum(1).mean()
    torch.testing.assert_close(cycle(g, f, x, y), first + second)


def test_cyclegan_s_objective_is_two_games_and_the_cycles():
    """L(G, F, D_X, D_Y): D_Y judges G(x) against y, D_X judges F(y) against x, and lambda weighs the cycles."""
    x, y, g, f = random(30, 3), random(30, 3), random(3, 3), random(3, 3)
    d_x, d_y = random(3, 1), random(3, 1)

    def game(real: Tensor, fake: Tensor, d: Tensor) -> Tensor:
        return (real @ d).sigmoid().log().mean() + (1 - (fake @ d).sigmoid()).log().mean()

    value = game(y, x @ g, d_y) + game(x, y @ f, d_x) + 10 * cycle(g, f, x, y)
    parts = -objectives.discriminator(y @ d_y, x @ g @ d_y) - objectives.discriminator(x @ d_x, y @ f @ d_x)
    torch.testing.assert_close(value, parts + 10 * cycle(g, f, x, y))
    # The reconstructions of one game are not the other's: exchanging the domains changes the value.
    swapped = game(x, y @ f, d_y) + game(y, x @ g, d_x)
    assert abs(float(parts - swapped)) > 1e-3
