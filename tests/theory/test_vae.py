"""The evidence lower bound on models where everything is known: linear-Gaussian ones, and tables of five states.

The linear-Gaussian model is the repository's VAE with linear networks: z ~ N(0, I), x = W z + b + s e. Its evidence,
posterior, and both forms of the bound are closed forms, and its one-draw estimates are averaged exactly over sigma
points (they are quadratic in the noise).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from pushforward.families.autoencoders.posteriors import GaussianPosterior
from pushforward.families.autoencoders.vae import VAE, VAESettings
from pushforward.game import Batch
from pushforward.model import Code
from pushforward.noise import Noise
from pushforward.spaces import Real
from tests.theory.fixed import Given, sigma_points

GENERATOR = torch.Generator().manual_seed(11)
D, LATENT, S = 3, 2, 0.7
W = torch.randn(D, LATENT, dtype=torch.float64, generator=GENERATOR)
B = torch.randn(D, dtype=torch.float64, generator=GENERATOR)
X = torch.randn(4, D, dtype=torch.float64, generator=GENERATOR)
PRIOR = MultivariateNormal(torch.zeros(LATENT, dtype=torch.float64), torch.eye(LATENT, dtype=torch.float64))
EVIDENCE = MultivariateNormal(B, W @ W.T + S**2 * torch.eye(D, dtype=torch.float64))

# A model of five codes and three values of x, for sums that are exact and hold no Gaussian.
P_Z = torch.rand(5, dtype=torch.float64, generator=GENERATOR)
P_Z /= P_Z.sum()
P_X_GIVEN_Z = torch.rand(5, 3, dtype=torch.float64, generator=GENERATOR)
P_X_GIVEN_Z /= P_X_GIVEN_Z.sum(1, keepdim=True)


def linear(inputs: int, weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(inputs, len(bias)).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def true_posterior(w: Tensor = W, beta: float = 1.0) -> tuple[Tensor, Tensor]:
    """Matrix G of the mean G (x - b), and the covariance, of p(z | x); with beta, of p(z) p(x | z)^(1/beta)."""
    covariance = torch.linalg.inv(torch.eye(w.shape[1], dtype=torch.float64) + w.T @ w / (beta * S**2))
    return covariance @ w.T / (beta * S**2), covariance


def vae(gain: Tensor, covariance: Tensor, w: Tensor = W, posterior: str = "full", **settings: float) -> VAE:
    """The VAE with decoder N(W z + b, s^2) and encoder N(gain (x - b), covariance)."""
    k = w.shape[1]
    factor = torch.linalg.cholesky(covariance)
    numbers = factor.diagonal().log()
    if posterior == "full":
        numbers = torch.cat([numbers, factor[tuple(torch.tril_indices(k, k, -1))]])
    weight = torch.cat([gain, torch.zeros(len(numbers), D, dtype=torch.float64)])
    encoder = linear(D, weight, torch.cat([-gain @ B, numbers]))
    return VAE(
        VAESettings(latent=k, posterior=posterior, likelihood="gaussian", scale="fixed", initial_scale=S, **settings),
        Real((D,)),
        networks={"encoder": encoder, "decoder": linear(k, w, B)},
    )


def some_q() -> tuple[Tensor, Tensor]:
    """An approximate posterior that is not the true one."""
    gain, covariance = true_posterior()
    other = torch.tensor([[0.5, 0.1], [0.1, 0.3]], dtype=torch.float64)
    return 0.8 * gain + 0.1, covariance + 0.2 * other


def exact_terms(model: VAE, x: Tensor = X) -> dict[str, Tensor]:
    """E_q log p(x | z) and -KL(q || p(z)) of each row, by the VAE's own density averaged over sigma points."""
    points = sigma_points(model.latent)
    n, k = len(x), len(points)
    out = model.density(x.repeat(k, 1), None, Given([points.repeat_interleave(n, 0)]))
    return {name: values.view(k, n).mean(0) for name, values in out.terms.items()}


def closed_form(gain: Tensor, covariance: Tensor, w: Tensor = W, x: Tensor = X) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x) - KL(q || p(z | x)), E_q log p(x | z), KL(q || p(z)), from Gaussian formulas alone."""
    mean = (x - B) @ gain.T
    q = MultivariateNormal(mean, covariance)
    k = w.shape[1]
    evidence = MultivariateNormal(B, w @ w.T + S**2 * torch.eye(D, dtype=torch.float64)).log_prob(x)
    true_gain, true_covariance = true_posterior(w)
    gap = kl_divergence(q, MultivariateNormal((x - B) @ true_gain.T, true_covariance))
    error = (x - B - mean @ w.T).square().sum(1) + torch.trace(w @ covariance @ w.T)
    likelihood = -0.5 * error / S**2 - 0.5 * D * math.log(2 * math.pi * S**2)
    prior = MultivariateNormal(torch.zeros(k, dtype=torch.float64), torch.eye(k, dtype=torch.float64))
    return evidence - gap, likelihood, kl_divergence(q, prior)


# ------------------------------------------------------------------------------------------ the model


def test_generation_in_two_steps_has_the_joint_density():
    """z ~ p(z), then x ~ p(x | z): x = W z + b + s e, of covariance W W^T + s^2 I, the linear model's p(x)."""
    model = vae(*some_q())
    z, e = sigma_points(LATENT), sigma_points(D)
    pairs_z, pairs_e = z.repeat_interleave(len(e), 0), e.repeat(len(z), 1)
    x = model.draw(Given([pairs_z, pairs_e])).detach()
    torch.testing.assert_close(x, pairs_z @ W.T + B + S * pairs_e, atol=1e-12, rtol=0)
    torch.testing.assert_close(x.mean(0), EVIDENCE.mean, atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.cov(x.T, correction=0), EVIDENCE.covariance_matrix, atol=1e-12, rtol=0)
    # p(x, z) = p(x | z) p(z) = p(z | x) p(x), at any pair.
    z, x = torch.randn(4, LATENT, dtype=torch.float64), X
    joint = model.log_likelihood(x, Code(z, torch.zeros(4), z)) + PRIOR.log_prob(z)
    gain, covariance = true_posterior()
    torch.testing.assert_close(
        joint, MultivariateNormal((x - B) @ gain.T, covariance).log_prob(z) + EVIDENCE.log_prob(x)
    )


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_the_encoder_s_numbers_are_a_gaussian(kind):
    numbers = torch.randn(5, GaussianPosterior.outputs(kind, 3), dtype=torch.float64, generator=GENERATOR)
    q = GaussianPosterior.of(numbers, 3)
    factor = torch.diag_embed(q.log_diagonal.exp()) + (q.lower if q.lower is not None else 0.0)
    normal = MultivariateNormal(numbers[:, :3], scale_tril=factor)
    z, log_q = q.draw(torch.randn(5, 3, dtype=torch.float64))
    torch.testing.assert_close(log_q, normal.log_prob(z))
    prior = MultivariateNormal(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(q.kl(), kl_divergence(normal, prior))


def test_the_decoder_s_numbers_are_a_gaussian():
    model, z = vae(*some_q()), torch.randn(4, LATENT, dtype=torch.float64)
    found = model.log_likelihood(X, Code(z, torch.zeros(4), z))
    torch.testing.assert_close(found, Normal(z @ W.T + B, S).log_prob(X).sum(1))


def test_an_autoencoder_s_code_is_a_vector_and_a_vae_s_a_distribution():
    model = vae(*some_q())
    x = X.float()  # the contract's data is float32
    model = model.float()
    assert torch.equal(model.encode(x), model.encode(x))
    codes = torch.stack([model.encode(x, seed=i) for i in range(300)]).double()
    gain, covariance = some_q()
    torch.testing.assert_close(codes.mean(0), (X - B) @ gain.T, atol=0.2, rtol=0)
    torch.testing.assert_close(torch.cov(codes[:, 0].T), covariance, atol=0.2, rtol=0)


# ------------------------------------------------------------------------------------------ marginal likelihood


def test_the_marginal_likelihood_is_an_integral_over_codes():
    """log p(x) = log of the integral of p(x | z) p(z) dz, by quadrature over the plane of z."""
    model = vae(*some_q())
    line = torch.linspace(-8, 8, 401, dtype=torch.float64)
    z = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flatten(0, 1)
    cell = float(line[1] - line[0]) ** 2
    for x in X:
        rows = x.expand(len(z), D)
        joint = model.log_likelihood(rows, Code(z, torch.zeros(len(z)), z)) + PRIOR.log_prob(z)
        assert abs(float((joint.logsumexp(0) + math.log(cell) - EVIDENCE.log_prob(x)).detach())) < 1e-9


def test_monte_carlo_over_the_prior_converges_slowly():
    """1/K sum_j p(x | z_j): unbiased, with an error that halves when K is four times as large; its log is too low."""
    model = vae(*some_q())
    x = X[0]
    truth = float(EVIDENCE.log_prob(x).exp())
    noise = Noise.of(0, index=torch.arange(409_600))
    z = noise.normal(LATENT, dtype=torch.float64)
    with torch.no_grad():
        p = model.log_likelihood(x.expand(len(z), D), Code(z, torch.zeros(len(z)), z)).exp()
    errors = []
    for k in (16, 256, 4096):
        estimates = p.view(-1, k).mean(1)
        assert abs(float(estimates.mean()) - truth) < 4 * float(p.std()) / len(p) ** 0.5
        errors.append(float(estimates.std()))
        assert float(estimates.log().mean()) < math.log(truth)  # Jensen
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25) and errors[1] / errors[2] == pytest.approx(4, rel=0.25)


def test_monte_carlo_over_the_prior_gets_expensive_with_the_sharpness_of_the_posterior():
    """Relative variance of one draw, E p(x|z)^2 / p(x)^2 - 1, at x = b: it grows as the posterior narrows."""
    variances = []
    for s in (0.7, 0.2, 0.05):
        # p(x|z)^2 is N(x; Wz + b, s^2/2) times (4 pi s^2)^(-D/2): its mean over z is a Gaussian density again.
        square = MultivariateNormal(B, W @ W.T + 0.5 * s**2 * torch.eye(D, dtype=torch.float64)).log_prob(B)
        evidence = MultivariateNormal(B, W @ W.T + s**2 * torch.eye(D, dtype=torch.float64)).log_prob(B)
        variances.append(float(torch.exp(square - 0.5 * D * math.log(4 * math.pi * s**2) - 2 * evidence)) - 1)
    assert variances[0] < 2 and variances[2] > 200
    assert variances[2] / variances[1] == pytest.approx(4**LATENT, rel=0.15)  # s^-LATENT, once s is small


# ------------------------------------------------------------------------------------------ the bound


def test_the_bound_in_both_forms_is_what_the_vae_computes():
    """log p(x) - KL(q || p(z|x)) = E_q log p(x|z) - KL(q || p(z)) = the VAE's density, term by term."""
    gain, covariance = some_q()
    first, likelihood, kl = closed_form(gain, covariance)
    terms = exact_terms(vae(gain, covariance))
    torch.testing.assert_close(first, likelihood - kl, atol=1e-12, rtol=0)
    torch.testing.assert_close(terms["reconstruction"], likelihood, atol=1e-12, rtol=0)
    torch.testing.assert_close(terms["kl"], -kl, atol=1e-12, rtol=0)
    assert bool((first < EVIDENCE.log_prob(X) - 1e-3).all())


def test_the_bound_is_tight_at_the_true_posterior_only():
    gain, covariance = true_posterior()
    terms = exact_terms(vae(gain, covariance))
    torch.testing.assert_close(sum(terms.values()), EVIDENCE.log_prob(X), atol=1e-12, rtol=0)
    # Then every draw says log p(x): the weights p(x, z) / q(z | x) do not depend on z.
    weights = vae(gain, covariance).log_weights(X, None, Noise.of(3, index=torch.arange(4)), 6)
    torch.testing.assert_close(weights, EVIDENCE.log_prob(X).expand(6, 4), atol=1e-12, rtol=0)
    for change in (0.05, -0.05):
        for other in ((gain + change, covariance), (gain, covariance * (1 + change))):
            assert bool((sum(exact_terms(vae(*other)).values()) < EVIDENCE.log_prob(X)).all())


def test_every_line_of_the_proof():
    """The seven lines of the key equality, on tables: each equals the divergence from the posterior."""
    q = torch.rand(5, dtype=torch.float64, generator=GENERATOR)
    q /= q.sum()
    for x in range(3):
        joint = P_X_GIVEN_Z[:, x] * P_Z
        evidence = joint.sum()
        posterior = joint / evidence
        lines = [
            (q * (q / posterior).log()).sum(),
            (q * (q * evidence / joint).log()).sum(),
            (q * (evidence.log() + (q / joint).log())).sum(),
            evidence.log() + (q * (q / joint).log()).sum(),
            evidence.log() + (q * (q / (P_X_GIVEN_Z[:, x] * P_Z)).log()).sum(),
            evidence.log() + (q * (q / P_Z).log()).sum() - (q * P_X_GIVEN_Z[:, x].log()).sum(),
        ]
        for line in lines[1:]:
            torch.testing.assert_close(line, lines[0], atol=1e-14, rtol=1e-12)
        assert float(lines[0]) >= 0
        bound = (q * P_X_GIVEN_Z[:, x].log()).sum() - (q * (q / P_Z).log()).sum()
        torch.testing.assert_close(bound, evidence.log() - lines[0], atol=1e-14, rtol=1e-12)


def test_maximizing_the_bound_over_q_gives_the_posterior():
    """Variational inference: the gradient of the VAE's bound by its encoder is zero at the true posterior only."""
    for (gain, covariance), stationary in ((true_posterior(), True), (some_q(), False)):
        model = vae(gain, covariance)
        objective = sum(exact_terms(model).values()).mean()
        gradients = torch.autograd.grad(objective, list(model.encoder.parameters()))
        size = max(float(g.abs().max()) for g in gradients)
        assert (size < 1e-12) if stationary else (size > 0.05)


def test_the_loss_is_the_negative_bound_averaged_over_examples():
    model = vae(*some_q())
    points = sigma_points(LATENT)
    x, eps = X.repeat(len(points), 1), points.repeat_interleave(len(X), 0)
    losses = model.loss(Batch(x, None, torch.arange(len(x)), Given([eps])))
    bound, likelihood, kl = closed_form(*some_q())
    torch.testing.assert_close(losses["reconstruction"], -likelihood.mean(), atol=1e-12, rtol=0)
    torch.testing.assert_close(losses["kl"], kl.mean(), atol=1e-12, rtol=0)
    torch.testing.assert_close(losses["_elbo"], bound.mean(), atol=1e-12, rtol=0)


def test_the_decoder_reads_the_code_not_the_example():
    """Where the lecture prints p(x | z; g(x)): a decoder that may read x can copy it, and the value is no bound."""
    bound, _, kl = closed_form(*some_q())
    assert bool((bound < EVIDENCE.log_prob(X)).all())
    copied = -0.5 * D * math.log(2 * math.pi * S**2) - kl  # E_q log N(x; g(x), s^2) with g(x) = x
    assert bool((copied > EVIDENCE.log_prob(X)).any())
    # The code is then of no use: q = p(z) is best, and the value passes log p(x) for every x.
    assert bool((copied + kl > EVIDENCE.log_prob(X)).all())


# ------------------------------------------------------------------------------------------ reparametrization


def test_reparametrized_gradients_are_the_closed_form_s():
    """z = mu + L e with e ~ N(0, I): gradients of E_q log p(x | z) by mu and by log s_i, against the closed form."""
    mean = torch.randn(4, LATENT, dtype=torch.float64, generator=GENERATOR, requires_grad=True)
    log_s = torch.tensor([[0.2, -0.5]], dtype=torch.float64).expand(4, 2).clone().requires_grad_()
    q = GaussianPosterior(mean, log_s)
    points = sigma_points(LATENT)
    total = sum(Normal(q.draw(e.expand(4, 2))[0] @ W.T + B, S).log_prob(X).sum() for e in points) / len(points)
    by_mean, by_log_s = torch.autograd.grad(total, [mean, log_s])
    torch.testing.assert_close(by_mean, (X - B - mean.detach() @ W.T) @ W / S**2, atol=1e-11, rtol=0)
    expected = -(W * W).sum(0) * (2 * log_s.detach()).exp() / S**2
    torch.testing.assert_close(by_log_s, expected, atol=1e-11, rtol=0)


def test_a_sample_without_reparametrization_has_no_gradient_of_its_own():
    """Drawn as numbers, z is a constant of autograd: what remains is the score, E[f(z) grad log q(z)], not a path."""
    mean = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    z = torch.normal(mean.detach(), 1.0)
    assert not z.requires_grad
    # The score form is unbiased too, exactly so for f(z) = z^2 under the three-point rule (degree five).
    root = math.sqrt(3)
    nodes, weights = torch.tensor([-root, 0.0, root]).double(), torch.tensor([1 / 6, 2 / 3, 1 / 6]).double()
    mu = 0.4
    score = (weights * (mu + nodes) ** 2 * nodes).sum()
    path = (weights * 2 * (mu + nodes)).sum()
    assert float(score) == pytest.approx(2 * mu, abs=1e-6) and float(path) == pytest.approx(2 * mu, abs=1e-6)


# ------------------------------------------------------------------------------------------ generation, beta-VAE


def test_new_samples_decode_draws_of_the_prior():
    model, z = vae(*some_q()), sigma_points(LATENT)
    torch.testing.assert_close(model.draw(Given([z]), decode="mean").detach(), z @ W.T + B, atol=1e-12, rtol=0)
    torch.testing.assert_close(model.decode(z), z @ W.T + B, atol=1e-12, rtol=0)


def test_a_spherical_prior_picks_no_axes_and_a_diagonal_posterior_does():
    """Codes rotated: p(x) and the full-covariance bound are the same; the best diagonal q's bound is not."""
    quarter = torch.linalg.eigh(W.T @ W).eigenvectors  # W R has orthogonal columns
    mixed = quarter @ torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)
    bounds = []
    for rotation in (quarter, mixed):
        w = W @ rotation
        torch.testing.assert_close(w @ w.T, W @ W.T)
        gain, covariance = true_posterior(w)
        full = sum(exact_terms(vae(gain, covariance, w)).values())
        torch.testing.assert_close(full, EVIDENCE.log_prob(X), atol=1e-12, rtol=0)
        best = torch.diag(1 / torch.linalg.inv(covariance).diagonal())  # variational theory: 1 / precision_ii
        bounds.append(sum(exact_terms(vae(gain, best, w, posterior="diagonal")).values()))
    torch.testing.assert_close(bounds[0], EVIDENCE.log_prob(X), atol=1e-12, rtol=0)
    assert bool((bounds[1] < bounds[0] - 0.1).all())


@pytest.mark.parametrize("beta", [1.0, 4.0, 0.5])
def test_the_beta_objective_is_best_at_a_tempered_posterior(beta):
    """max over q of E_q log p(x|z) - beta KL(q || p(z)): q is proportional to p(z) p(x|z)^(1/beta)."""
    gain, covariance = true_posterior(beta=beta)
    model = vae(gain, covariance)

    def objective(model: VAE) -> Tensor:
        terms = exact_terms(model)
        return terms["reconstruction"] + beta * terms["kl"]

    gradients = torch.autograd.grad(objective(model).mean(), list(model.encoder.parameters()))
    assert max(float(g.abs().max()) for g in gradients) < 1e-11
    best = objective(model)
    for other in ((gain * 1.1, covariance), (gain, covariance * 0.9), some_q()):
        assert bool((objective(vae(*other)) < best).all())
    # Its value is beta log of the integral of p(z) p(x|z)^(1/beta): no bound on log p(x) unless beta >= 1.
    if beta >= 1:
        assert bool((best <= EVIDENCE.log_prob(X) + 1e-12).all())
    smaller = -exact_terms(model)["kl"]
    usual = -exact_terms(vae(*true_posterior()))["kl"]
    assert bool((smaller <= usual + 1e-12).all()) if beta >= 1 else bool((smaller > usual).all())


def test_the_warm_up_s_weight_is_beta():
    """During warm-up the VAE minimizes reconstruction + beta KL with beta = progress / warm-up, at most 1."""
    model = vae(*some_q(), kl_warmup=0.5)
    points = sigma_points(LATENT)
    x, eps = X.repeat(len(points), 1), points.repeat_interleave(len(X), 0)
    for progress, beta in ((0.125, 0.25), (0.5, 1.0), (1.0, 1.0)):
        batch = Batch(x, None, torch.arange(len(x)), Given([eps]), torch.tensor(progress, dtype=torch.float64))
        losses = model.loss(batch)
        torch.testing.assert_close(losses["kl"], beta * losses["_kl"])
