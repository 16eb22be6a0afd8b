"""What the lecture writes before its first model: average losses, Bayes' rule, maximum likelihood, quantities."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from pushforward import quantities
from pushforward.bijections import ActNorm
from pushforward.config import OptimizerSettings
from pushforward.families.classic.gmm import GMM, GMMSettings
from pushforward.families.classic.kde import KDE, KDESettings
from pushforward.families.flow_matching.flow_matching import FlowMatching, FlowMatchingSettings
from pushforward.families.flows.flow import Flow
from pushforward.game import Batch
from pushforward.nn.mlp import MLP
from pushforward.noise import BatchNoise
from pushforward.spaces import Real

WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
CENTRES = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
DEVIATIONS = torch.tensor([0.6, 1.0, 0.4], dtype=torch.float64)
LINE = torch.linspace(-14, 14, 28_001, dtype=torch.float64)


def mixture() -> GMM:
    """A mixture on the line with set parameters."""
    model = GMM(GMMSettings(), Real((1,)))
    model.log_weights = WEIGHTS.log()[None]
    model.means = CENTRES[None, :, None]
    model.factor = DEVIATIONS[None, :, None]
    return model


# ------------------------------------------------------------------------------------------ supervised learning


def test_a_network_with_enough_units_fits_every_pair():
    """Weights with y_i = NN(x_i) for all i exist: 12 pairs, solved by the last layer of 16 random units."""
    network = MLP(2, 1, width=16, depth=1).double()
    x, y = torch.randn(12, 2, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64)
    with torch.no_grad():
        features = network.activation(network.blocks[0](network.first(x)))
        network.last.weight.copy_(torch.linalg.lstsq(features, y).solution.T)
        network.last.bias.zero_()
        torch.testing.assert_close(network(x), y, atol=1e-8, rtol=0)
    # Units are not weights: 16 of the first have hundreds of the second.
    assert sum(p.numel() for p in network.parameters()) > 10 * 16


def test_a_training_loss_is_the_average_over_examples():
    """1/m sum_i l(y_i, NN(x_i)), one term an example: the regression of flow matching, row by row."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2).double()

        def forward(self, x, t):
            return self.layer(torch.cat([x, t[:, None]], 1))

    field = Linear()
    model = FlowMatching(FlowMatchingSettings(), Real((2,)), networks={"field": field})
    x = torch.randn(7, 2, dtype=torch.float64)
    loss = model.loss(Batch(x, None, torch.arange(7), BatchNoise(3, 0, 7, 7)))["velocity"]
    noise = BatchNoise(3, 0, 7, 7)
    t, base = noise.uniform(1, dtype=torch.float64), noise.normal(2, dtype=torch.float64)
    total = 0.0
    for i in range(7):
        target = x[i] - base[i]
        answer = field((1 - t[i]) * base[i : i + 1] + t[i] * x[i : i + 1], t[i])
        total += float((answer[0] - target).detach().square().mean())
    assert abs(float(loss.detach()) - total / 7) < 1e-12


# ------------------------------------------------------------------------------------------ sequences


def test_next_token_probabilities_multiply_to_the_joint():
    """p(x1) p(x2 | x1) p(x3 | x1, x2) = p(x1, x2, x3): a language model is a model of whole sequences."""
    joint = torch.rand(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    joint /= joint.sum()
    first = joint.sum((1, 2))
    second = joint.sum(2) / first[:, None]
    third = joint / joint.sum(2, keepdim=True)
    torch.testing.assert_close(first[:, None, None] * second[..., None] * third, joint)
    # So the mean of the next-token losses, summed over the sequence, is the entropy of the joint.
    losses = -(first.log()[:, None, None] + second.log()[..., None] + third.log())
    torch.testing.assert_close((joint * losses).sum(), -(joint * joint.log()).sum())


# ------------------------------------------------------------------------------------------ densities


def test_bayes_rule_gives_the_responsibilities():
    """p(z | x) = p(x | z) p(z) / p(x), with z the component of a mixture."""
    x = torch.linspace(-5, 5, 41, dtype=torch.float64)
    joint = WEIGHTS * Normal(CENTRES, DEVIATIONS).log_prob(x[:, None]).exp()
    evidence = joint.sum(1)
    model = mixture()
    torch.testing.assert_close(model.log_prob(x[:, None]).values, evidence.log(), atol=1e-12, rtol=0)
    codes = model.encode(x[:, None]).double()
    torch.testing.assert_close(codes, joint / evidence[:, None], atol=1e-6, rtol=0)
    torch.testing.assert_close(codes.sum(1), torch.ones(41, dtype=torch.float64), atol=1e-6, rtol=0)


def test_mixtures_and_parzen_windows_are_densities():
    density = mixture().log_prob(LINE[:, None]).values.exp()
    assert abs(float(torch.trapezoid(density, LINE)) - 1) < 1e-10
    kernels = KDE(KDESettings(bandwidth=0.4), Real((1,)))
    kernels.points, kernels.bandwidth = CENTRES[:, None].float(), torch.tensor(0.4, dtype=torch.float64)
    kernels.labels = torch.zeros(3)
    window = kernels.log_prob(LINE[:, None]).values.exp()
    expected = Normal(CENTRES, 0.4).log_prob(LINE[:, None]).exp().mean(1)
    torch.testing.assert_close(window, expected, atol=1e-12, rtol=1e-9)
    assert abs(float(torch.trapezoid(window, LINE)) - 1) < 1e-10


def test_quantities_are_integrals_of_the_density():
    """Mean, variance and the probability of an event: integrals of p, closed forms, and averages over samples."""
    model = mixture()
    density = model.log_prob(LINE[:, None]).values.exp()
    mean = torch.trapezoid(LINE * density, LINE)
    variance = torch.trapezoid((LINE - mean) ** 2 * density, LINE)
    above = torch.linspace(3, 14, 50_001, dtype=torch.float64)
    tail = torch.trapezoid(model.log_prob(above[:, None]).values.exp(), above)
    true_mean = (WEIGHTS * CENTRES).sum()
    true_variance = (WEIGHTS * (DEVIATIONS**2 + CENTRES**2)).sum() - true_mean**2
    true_tail = (WEIGHTS * (1 - Normal(CENTRES, DEVIATIONS).cdf(torch.tensor(3.0)))).sum()
    for found, true in ((mean, true_mean), (variance, true_variance), (tail, true_tail)):
        assert abs(float(found - true)) < 1e-8
    # What the package estimates from samples, with its standard errors.
    found = quantities.moments(model, n=20_000)
    square = quantities.expectation(model, "x1**2", n=20_000)
    event = quantities.probability(model, "x1 >= 3", n=20_000)
    for value, error, true in (
        (found.mean[0], found.mean_error[0], true_mean),
        (found.std[0], found.std_error[0], true_variance.sqrt()),
        (square.value, square.standard_error, true_variance + true_mean**2),
        (event.value, event.standard_error, true_tail),
    ):
        assert 0 < float(error) < 0.1 and abs(float(value) - float(true)) < 4 * float(error)


# ------------------------------------------------------------------------------------------ maximum likelihood


def test_the_likeliest_product_is_the_likeliest_sum_and_the_least_divergence():
    """argmax prod p = argmax sum log p = argmin KL(frequencies || p), over a grid of distributions of three values."""
    z = torch.tensor([0, 2, 1, 0, 0, 2, 0, 1, 0, 2])
    frequencies = torch.bincount(z).double() / len(z)
    steps = torch.arange(1, 20, dtype=torch.float64) / 20
    grid = torch.stack([*torch.meshgrid(steps, steps, indexing="ij")], -1).flatten(0, 1)
    grid = grid[grid.sum(1) < 0.999]
    grid = torch.cat([grid, 1 - grid.sum(1, keepdim=True)], 1)
    products, sums = grid[:, z].prod(1), grid[:, z].log().sum(1)
    divergences = (frequencies * (frequencies.log() - grid.log())).sum(1)
    best = int(products.argmax())
    assert best == int(sums.argmax()) == int(divergences.argmin())
    torch.testing.assert_close(grid[best], frequencies)  # 5/10, 2/10, 3/10 are on the grid
    # sum log p = -n (KL + H): the two objectives differ by a constant and a factor.
    entropy = -(frequencies * frequencies.log()).sum()
    torch.testing.assert_close(sums, -len(z) * (divergences + entropy))


def test_a_product_of_many_densities_underflows_and_the_sum_does_not():
    """Why it is the sum that is computed: 2,000 densities of about 0.1 multiply to less than the least double."""
    values = mixture().log_prob(mixture().sample(2000, seed=1)).values
    assert float(values.exp().prod()) == 0.0
    assert -4000 < float(values.sum()) < -2000


def test_maximum_likelihood_of_a_gaussian_is_its_sample_mean_and_deviation():
    """The loss of a flow is -1/N sum log p; for a scale and a shift it is stationary at the textbook's estimate."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(50, 2, dtype=torch.float64, generator=generator) * 1.7 + 0.9
    layer = ActNorm((2,)).double()
    layer.start(x)
    flow = Flow(Real((2,)), None, layer, None, OptimizerSettings())
    loss = flow.loss(Batch.of(x, seed=0))["nll"]
    normal = MultivariateNormal(x.mean(0), torch.diag(x.var(0, correction=0)))
    torch.testing.assert_close(loss, -normal.log_prob(x).mean(), atol=1e-12, rtol=0)
    gradients = torch.autograd.grad(loss, list(layer.parameters()))
    assert max(float(g.abs().max()) for g in gradients) < 1e-12
    # And the value there is the maximum: entropy of the fitted Gaussian, lower than at any other scale or shift.
    for parameter in layer.parameters():
        for change in (-0.1, 0.1):
            with torch.no_grad():
                parameter += change
                assert flow.loss(Batch.of(x, seed=0))["nll"] > loss + 1e-3
                parameter -= change
    assert (
        abs(float(loss.detach()) - float(0.5 * (x.var(0, correction=0).log() + math.log(2 * math.pi * math.e)).sum()))
        < 1e-12
    )
