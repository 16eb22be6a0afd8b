"""Mixtures against scikit-learn, quadrature, and the closed forms of conditioning."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from pushforward import registry
from pushforward.dataset import Dataset
from pushforward.errors import InputError
from pushforward.families.classic.gmm import GMM, GMMSettings
from pushforward.noise import Noise
from pushforward.spaces import Classes, Pixels, Real
from tests.helpers import dataset


def fit(model: GMM, data: Dataset, seed: int = 0) -> GMM:
    model.start(data, Noise.of(seed, 7, index=torch.arange(len(data))))
    return model


def clusters(n: int, d: int = 2, seed: int = 0) -> Tensor:
    """Three well-separated, correlated clusters."""
    g = torch.Generator().manual_seed(seed)
    which = torch.arange(n) % 3
    centre = 6 * torch.randn(3, d, generator=torch.Generator().manual_seed(1))
    mix = torch.randn(3, d, d, generator=torch.Generator().manual_seed(2)) / d**0.5
    return centre[which] + (torch.randn(n, 1, d, generator=g) @ mix[which])[:, 0]


def grid(low: float, high: float, count: int = 401) -> tuple[Tensor, float]:
    line = torch.linspace(low, high, count, dtype=torch.float64)
    return torch.cartesian_prod(line, line), float(line[1] - line[0]) ** 2


@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal", "spherical"])
def test_density_equals_scikit_learn(covariance: str) -> None:
    x = clusters(600, 4)
    settings = GMMSettings(covariance=covariance, components=3, restarts=1)
    model = fit(GMM(settings, Real((4,))), dataset(x, Real((4,))))
    peer = GaussianMixture(3, covariance_type={"diagonal": "diag"}.get(covariance, covariance))
    peer.weights_ = model.log_weights[0].exp().numpy()
    peer.means_ = model.means[0].numpy()
    factor = model.factor[0]
    matrices = factor @ factor.mT if factor.ndim == 3 else factor.square()
    if covariance == "full":
        peer.covariances_ = matrices.numpy()
        peer.precisions_cholesky_ = torch.linalg.cholesky(torch.linalg.inv(matrices)).numpy()
        upper = [torch.linalg.inv(f).mT for f in factor]
        peer.precisions_cholesky_ = torch.stack(upper).numpy()
    elif covariance == "tied":
        peer.covariances_ = matrices[0].numpy()
        peer.precisions_cholesky_ = torch.linalg.inv(factor[0]).mT.numpy()
    else:
        peer.covariances_ = matrices.squeeze(1).numpy() if covariance == "spherical" else matrices.numpy()
        peer.precisions_cholesky_ = 1 / peer.covariances_**0.5
    y = clusters(50, 4, seed=5).double()
    torch.testing.assert_close(model.log_prob(y).values, torch.from_numpy(peer.score_samples(y.numpy())))
    r = torch.from_numpy(peer.predict_proba(y.numpy()))
    torch.testing.assert_close(model.encode(y).double(), r, rtol=0, atol=1e-6)
    # And the fit is scikit-learn's: the likelihood of its own fit on the same data.
    own = GaussianMixture(3, covariance_type=peer.covariance_type, random_state=0).fit(x.double().numpy())
    assert abs(own.score(x.double().numpy()) - model.log_prob(x).mean()) < 1e-3


@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal", "spherical"])
def test_density_integrates_to_one(covariance: str) -> None:
    x = torch.randn(300, 2) * torch.tensor([1.0, 0.5]) + torch.tensor([[2.0, 0.0]]) * (torch.arange(300) % 2)[:, None]
    model = fit(GMM(GMMSettings(covariance=covariance, components=2), Real((2,))), dataset(x, Real((2,))))
    points, cell = grid(-9, 9)
    assert abs(float(model.log_prob(points).values.exp().sum()) * cell - 1) < 1e-4


def test_bic_finds_the_number_of_components() -> None:
    """Six round clusters, so that diagonal is the right shape as well; the first rows alone would mislead."""
    g = torch.Generator().manual_seed(0)
    angle = (torch.arange(1200) // 200) * (2 * math.pi / 6)
    x = torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(1200, 2, generator=g)
    model = fit(GMM(GMMSettings(search_rows=900), Real((2,))), dataset(x, Real((2,))))
    assert model.log_weights.shape == (1, 6) and model.factor.ndim == 3
    best = min(model.bic_table, key=lambda row: row["bic"])
    assert best["components"] == 6 and best["covariance"] == "diagonal"
    assert model.code_space == Real((6,)) and model.encode(x[:3]).shape == (3, 6)
    torch.testing.assert_close(model.log_weights.exp(), torch.full((1, 6), 1 / 6).double(), atol=0.02, rtol=0)


def test_bic_never_chooses_singular_covariances() -> None:
    """40 rows in 30 dimensions: full covariances fit them infinitely well and predict nothing."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(240, 30, generator=g)
    model = fit(GMM(GMMSettings(), Real((30,))), dataset(x[:40], Real((30,))))
    truth = -0.5 * 30 * (1 + math.log(2 * math.pi))
    assert model.log_prob(x[40:]).mean() > truth - 3
    with pytest.warns(UserWarning, match="too few for full covariances"):
        fit(GMM(GMMSettings(covariance="full"), Real((30,))), dataset(x[:20], Real((30,))))


def test_samples_have_the_moments() -> None:
    x = clusters(900)
    model = fit(GMM(GMMSettings(covariance="full", components=3), Real((2,))), dataset(x, Real((2,))))
    w, means = model.log_weights[0].exp(), model.means[0]
    covariances = model.factor[0] @ model.factor[0].mT
    mean = (w[:, None] * means).sum(0)
    outer = (means - mean)[:, :, None] * (means - mean)[:, None]
    covariance = (w[:, None, None] * (covariances + outer)).sum(0)
    n = 40_000
    y = model.sample(n, seed=0).double()
    error = (covariance.diagonal() / n).sqrt()
    assert ((y.mean(0) - mean).abs() < 4 * error).all()
    torch.testing.assert_close(torch.cov(y.T), covariance, rtol=0.03, atol=0.03)


def test_vector_condition_is_the_ratio_of_joint_and_marginal() -> None:
    g = torch.Generator().manual_seed(0)
    c = torch.randn(800, 2, generator=g)
    sign = torch.randint(0, 2, (800, 1), generator=g) * 2.0 - 1
    x = sign * (2 + c @ torch.tensor([[0.7], [-0.4]])) + 0.3 * torch.randn(800, 1, generator=g)
    for covariance in ("full", "tied", "diagonal", "spherical"):
        settings = GMMSettings(covariance=covariance, components=3)
        model = fit(GMM(settings, Real((1,)), Real((2,))), dataset(x, Real((1,)), c, Real((2,))))
        joint = GMM(settings, Real((3,)))
        marginal = GMM(settings, Real((2,)))
        for m, count in ((joint, 3), (marginal, 2)):
            m.log_weights, m.means = model.log_weights, model.means[..., :count]
            # The marginal of the leading numbers: the leading block of the covariance.
            factor = model.factor
            if factor.ndim == 4:
                block = (factor @ factor.mT)[..., :count, :count]
                m.factor = torch.linalg.cholesky(block)
            else:
                m.factor = factor if factor.shape[-1] == 1 else factor[..., :count]
        expected = joint.log_prob(torch.cat([c, x], 1)).values - marginal.log_prob(c).values
        torch.testing.assert_close(model.log_prob(x, c).values, expected, rtol=1e-9, atol=1e-9)
        r = joint.encode(torch.cat([c, x], 1))
        torch.testing.assert_close(model.encode(x, c), r, rtol=1e-4, atol=1e-5)


def test_conditional_samples_follow_the_conditional_density() -> None:
    g = torch.Generator().manual_seed(0)
    c = torch.randn(2000, 1, generator=g)
    x = torch.cat([2 * c, -c], 1) + 0.5 * torch.randn(2000, 2, generator=g)
    settings = GMMSettings(covariance="full", components=1)
    model = fit(GMM(settings, Real((2,)), Real((1,))), dataset(x, Real((2,)), c, Real((1,))))
    y = model.sample(20_000, condition=torch.tensor([1.5]), seed=0)
    torch.testing.assert_close(y.mean(0), torch.tensor([3.0, -1.5]), rtol=0, atol=0.07)
    torch.testing.assert_close(torch.cov(y.T), 0.25 * torch.eye(2), rtol=0, atol=0.03)
    mean = model.decode(torch.ones(1, 1), torch.tensor([[1.5]]))
    torch.testing.assert_close(mean[0], y.mean(0), rtol=0, atol=0.02)


def test_class_condition_has_a_mixture_for_each() -> None:
    x = torch.cat([torch.randn(300, 2), 8 + torch.randn(200, 2), torch.randn(100, 2) - 8])
    x[:150] += torch.tensor([5.0, 0.0])
    labels = torch.tensor([0] * 300 + [1] * 200 + [2] * 100)
    space, classes = Real((2,)), Classes(4)
    with pytest.warns(UserWarning, match=r"classes \[3\]"):
        model = fit(GMM(GMMSettings(covariance="spherical"), space, classes), dataset(x, space, labels, classes))
    used = model.log_weights.isfinite().sum(1).tolist()
    assert used[:3] == [2, 1, 1] and model.code_space == Real((max(used),))
    for k in range(3):
        alone = fit(GMM(GMMSettings(covariance="spherical", components=used[k]), space), dataset(x[labels == k], space))
        torch.testing.assert_close(model.log_prob(x, k).values, alone.log_prob(x).values, rtol=1e-3, atol=1e-3)
        assert abs(float(model.sample(2000, condition=k, seed=0).mean()) - float(x[labels == k].mean())) < 0.2
    pooled = fit(GMM(GMMSettings(covariance="spherical", components=used[3]), space), dataset(x, space))
    assert abs(model.log_prob(x, 3).mean() - pooled.log_prob(x).mean()) < 1e-2


def test_codes() -> None:
    model = fit(GMM(GMMSettings(components=3), Real((2,))), dataset(clusters(300), Real((2,))))
    one = torch.eye(3)
    torch.testing.assert_close(model.decode(one).double(), model.means[0], rtol=1e-6, atol=1e-6)
    drawn = model.decode(one.repeat_interleave(4000, 0), seed=1).double().view(3, 4000, 2)
    torch.testing.assert_close(drawn.mean(1), model.means[0], rtol=0, atol=0.1)
    half = model.encode(model.means[0].mean(0)[None].expand(5000, -1), seed=2)
    assert ((half == 0) | (half == 1)).all() and (half.sum(1) == 1).all()
    torch.testing.assert_close(half.mean(0), model.encode(model.means[0].mean(0)[None])[0], rtol=0, atol=0.04)
    with pytest.raises(InputError, match="weights"):
        model.decode(torch.tensor([[1.0, -0.5, 0.5]]))


def test_save_and_load_resize() -> None:
    model = fit(GMM(GMMSettings(components=3), Real((2,))), dataset(clusters(300), Real((2,))))
    other = GMM(GMMSettings(), Real((2,)))
    assert other.code_space == Real((1,))
    other.load_state_dict(model.state_dict())
    assert other.code_space == Real((3,)) and torch.equal(other.sample(9, seed=0), model.sample(9, seed=0))


def test_unfitted_is_standard_normal() -> None:
    model = GMM(GMMSettings(), Real((3,)))
    x = torch.randn(5, 3, dtype=torch.float64)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    torch.testing.assert_close(model.log_prob(x).values, expected)


def test_fit_depends_on_the_seed_alone() -> None:
    data = dataset(clusters(300), Real((2,)))
    a, b = (fit(GMM(GMMSettings(), Real((2,))), data, seed=3) for _ in range(2))
    assert torch.equal(a.means, b.means) and torch.equal(a.factor, b.factor)


def test_too_few_rows() -> None:
    with pytest.raises(InputError, match="5 components was asked of 4 rows"):
        fit(GMM(GMMSettings(components=5), Real((2,))), dataset(torch.randn(4, 2), Real((2,))))


def test_digits_are_fitted_quickly_and_well() -> None:
    """Bits per dimension of held-out digits: far below independent pixels (3.3) and the uniform code (4.1)."""
    from sklearn.datasets import load_digits

    x = torch.tensor(load_digits().images).to(torch.uint8)[:, None]
    space = Pixels(1, 8, 8, 17)
    model = registry.build("gmm", space)
    data = dataset(x[:1400], space)
    for stage in model.stages():
        assert stage.start is not None
        stage.start(stage.data(data), Noise.of(0, 7, index=torch.arange(1400)))
    bits = model.log_prob(x[1400:]).bits_per_dimension()
    assert float(bits.mean()) < 2.75
    samples = model.sample(200, seed=0).double()
    assert abs(float(samples.mean() - x.double().mean())) < 0.3
