"""Vector quantization, written out: nearest codes, the three-term loss, and where gradients go."""

from __future__ import annotations

import torch
from torch import Tensor

GENERATOR = torch.Generator().manual_seed(7)
CODES = torch.randn(6, 2, dtype=torch.float64, generator=GENERATOR)
X = torch.randn(50, 3, dtype=torch.float64, generator=GENERATOR)
ENCODER = torch.randn(3, 2, dtype=torch.float64, generator=GENERATOR)
DECODER = torch.randn(2, 3, dtype=torch.float64, generator=GENERATOR)
BETA = 0.25


def nearest(e: Tensor, codes: Tensor) -> Tensor:
    return torch.cdist(e, codes).argmin(1)


def parameters() -> tuple[Tensor, Tensor, Tensor]:
    return tuple(t.clone().requires_grad_() for t in (ENCODER, CODES, DECODER))  # type: ignore[return-value]


def terms(encoder: Tensor, codes: Tensor, decoder: Tensor, straight_through: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Reconstruction, VQ and commitment loss, each summed over the examples."""
    e = X @ encoder
    chosen = codes[nearest(e, codes)]
    features = e + (chosen - e).detach() if straight_through else chosen
    return (
        (X - features @ decoder).square().sum(),
        (e.detach() - chosen).square().sum(),
        BETA * (e - chosen.detach()).square().sum(),
    )


def test_codes_are_the_nearest_of_finitely_many():
    e = X @ ENCODER
    k = nearest(e, CODES)
    by_hand = torch.stack([(e - code).square().sum(1) for code in CODES], 1).argmin(1)
    assert torch.equal(k, by_hand)
    assert 1 < len(k.unique()) <= 6  # a discrete distribution of codes


def test_stop_gradients_share_the_loss_between_encoder_and_codebook():
    """The VQ loss moves codes only, by 2 (e_k - E(x)); the commitment the encoder only, by 2 beta (E(x) - e_k)."""
    encoder, codes, decoder = parameters()
    _, vq, commitment = terms(encoder, codes, decoder, straight_through=True)
    by_vq = torch.autograd.grad(vq, [encoder, codes], allow_unused=True, retain_graph=True)
    by_commitment = torch.autograd.grad(commitment, [encoder, codes], allow_unused=True)
    assert by_vq[0] is None and by_commitment[1] is None
    e = X @ ENCODER
    k = nearest(e, CODES)
    expected = torch.zeros_like(CODES).index_add_(0, k, 2 * (CODES[k] - e))
    torch.testing.assert_close(by_vq[1], expected)
    torch.testing.assert_close(by_commitment[0], X.T @ (2 * BETA * (e - CODES[k])))


def test_the_vq_loss_is_least_at_the_means_of_the_codes_assigned():
    """Without sg it is the objective of k-means; its minimum over codes, assignments fixed, is Lloyd's step."""
    e = X @ ENCODER
    k = nearest(e, CODES)
    means = torch.stack([e[k == i].mean(0) if bool((k == i).any()) else CODES[i] for i in range(6)]).requires_grad_()
    (gradient,) = torch.autograd.grad((e - means[k]).square().sum(), means)
    assert float(gradient.abs().max()) < 1e-12
    assert (e - means[k]).square().sum() < (e - CODES[k]).square().sum()


def test_the_printed_reconstruction_loss_gives_the_encoder_no_gradient():
    """|x - D(e_k)|^2 is piecewise constant in E(x); copying the gradient past the quantizer is what trains it."""
    encoder, codes, decoder = parameters()
    printed = terms(encoder, codes, decoder, straight_through=False)[0]
    to_encoder, to_codes, to_decoder = torch.autograd.grad(
        printed, [encoder, codes, decoder], allow_unused=True, retain_graph=True
    )
    assert to_encoder is None and float(to_codes.abs().max()) > 0 and float(to_decoder.abs().max()) > 0
    moved = terms(encoder + 1e-9, codes, decoder, straight_through=False)[0]
    assert float((moved - printed).detach().abs()) == 0.0
    # Straight through: the same value; the gradient at e_k is handed to E(x), and the codes lose theirs.
    copied = terms(encoder, codes, decoder, straight_through=True)[0]
    torch.testing.assert_close(copied, printed)
    to_encoder, to_codes = torch.autograd.grad(copied, [encoder, codes], allow_unused=True)
    chosen = CODES[nearest(X @ ENCODER, CODES)]
    at_code = -2 * (X - chosen @ DECODER) @ DECODER.T
    torch.testing.assert_close(to_encoder, X.T @ at_code)
    assert to_codes is None


def test_a_prior_over_codes_is_a_product_of_conditionals():
    """p(k_1, k_2) = p(k_1) p(k_2 | k_1) bounds log p(x) from below by log p(x | e_k) + log p(k): q is one point."""
    prior = torch.rand(6, 6, dtype=torch.float64, generator=GENERATOR)
    prior /= prior.sum()
    likelihood = torch.rand(6, 6, dtype=torch.float64, generator=GENERATOR)
    first = prior.sum(1)
    second = prior / first[:, None]
    torch.testing.assert_close(first[:, None] * second, prior)
    log_p = (likelihood * prior).sum().log()
    bounds = likelihood.log() + first.log()[:, None] + second.log()
    assert bool((bounds <= log_p).all())
