"""The lecture's table of autoencoders: linear and nonlinear, with a network or with free codes, dense and sparse."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.theory.fixed import minimize

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(40, 5, dtype=torch.float64, generator=GENERATOR) @ torch.diag(
    torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2], dtype=torch.float64)
)
X = X @ torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=GENERATOR))[0]
SINGULAR = torch.linalg.svdvals(X)
RANK = 2
BEST = float(SINGULAR[RANK:].square().sum())  # Eckart and Young: the least squared error of any rank-2 matrix


def start(*shape: int) -> Tensor:
    return (0.3 * torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)).requires_grad_()


def test_the_linear_autoencoder_is_principal_components():
    """min_B sum |x - B B^T x|^2: the error of the best rank, an orthonormal B, and the span of the top components."""
    b = start(5, RANK)
    assert abs(minimize(lambda: (X - X @ b @ b.T).square().sum(), [b]) - BEST) < 1e-8
    torch.testing.assert_close(b.detach().T @ b.detach(), torch.eye(RANK, dtype=torch.float64), atol=1e-6, rtol=0)
    top = torch.linalg.svd(X).Vh[:RANK]
    torch.testing.assert_close(b.detach() @ b.detach().T, top.T @ top, atol=1e-6, rtol=0)


def test_principal_components_need_the_square_of_the_norm():
    """With sum |x - B B^T x|, not squared, the top components are not even stationary."""
    b = torch.linalg.svd(X).Vh[:RANK].T.clone().requires_grad_()
    (squared,) = torch.autograd.grad((X - X @ b @ b.T).square().sum(), b)
    (plain,) = torch.autograd.grad((X - X @ b @ b.T).norm(dim=1).sum(), b)
    assert float(squared.abs().max()) < 1e-10 and float(plain.abs().max()) > 0.1


def test_two_matrices_and_free_codes_reach_no_lower_error():
    """min over B, A of sum |x - B A^T x|^2, and over B, Z of sum |x - B z|^2: the same least value."""
    b, a = start(5, RANK), start(5, RANK)
    assert abs(minimize(lambda: (X - X @ a @ b.T).square().sum(), [a, b]) - BEST) < 1e-7
    b, z = start(5, RANK), start(40, RANK)
    assert abs(minimize(lambda: (X - z @ b.T).square().sum(), [b, z]) - BEST) < 1e-7


def test_a_nonlinear_autoencoder_contains_the_linear_one():
    """g o f with a hidden layer does at least as well: here f and g are tanh networks of 8 units with linear skips."""
    top = torch.linalg.svd(X).Vh[:RANK].T
    w1, w2, v1, v2 = start(5, 8), (0.0 * start(8, RANK)), start(RANK, 8), (0.0 * start(8, 5))
    w2, v2 = w2.detach().requires_grad_(), v2.detach().requires_grad_()

    def error() -> Tensor:
        code = X @ top + torch.tanh(X @ w1) @ w2
        return (X - code @ top.T - torch.tanh(code @ v1) @ v2).square().sum()

    assert abs(float(error().detach()) - BEST) < 1e-9
    assert minimize(error, [w1, w2, v1, v2], rounds=1) < BEST - 1


def test_free_codes_are_never_worse_than_an_encoder_s():
    """min over z_i of l(x_i, g(z_i)) <= l(x_i, g(f(x_i))) for any g and f, row by row."""
    w, v1, v2 = start(5, RANK).detach(), start(RANK, 8).detach(), start(8, 5).detach()

    def rows(z: Tensor) -> Tensor:
        return (X - torch.tanh(z @ v1) @ v2).square().sum(1)

    encoded = X @ w
    z = encoded.clone().requires_grad_()
    minimize(lambda: rows(z).sum(), [z], rounds=2)
    assert bool((rows(z.detach()) <= rows(encoded) + 1e-9).all())


def test_sparse_codes_of_an_orthonormal_dictionary_are_soft_thresholds():
    """min_z |x - B z|^2 + lambda |z|_1 with B^T B = I: z = sign(c) max(|c| - lambda/2, 0), c = B^T x."""
    basis = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=GENERATOR))[0]
    weight = 0.8
    c = X @ basis
    z = c.sign() * (c.abs() - weight / 2).clamp_min(0)
    # Optimality, coordinate by coordinate: a gradient of -lambda sign(z) where z is not 0, within lambda where it is.
    gradient = 2 * (z @ basis.T - X) @ basis
    used = z != 0
    torch.testing.assert_close(gradient[used], -weight * z[used].sign(), atol=1e-10, rtol=0)
    assert bool((gradient[~used].abs() <= weight).all()) and 0 < int(used.sum()) < used.numel()


def test_sparse_coding_needs_a_bound_on_the_dictionary():
    """As printed the minimum is not attained: c B and z / c leave the error and divide the penalty by c."""
    left, values, right = torch.linalg.svd(X, full_matrices=False)
    z, b = left[:, :RANK] * values[:RANK], right[:RANK].T

    def objective(scale: float) -> float:
        codes, dictionary = z / scale, b * scale
        return float((X - codes @ dictionary.T).square().sum() + 0.8 * codes.abs().sum())

    found = [objective(s) for s in (1.0, 10.0, 1e3, 1e6)]
    assert found == sorted(found, reverse=True)
    assert found[0] > BEST + 10 and abs(found[-1] - BEST) < 1e-3
