"""Kernel density estimates against scikit-learn, quadrature, brute force and theory."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.neighbors import KernelDensity
from torch import Tensor

from pushforward.dataset import Dataset
from pushforward.errors import InputError, Unsupported
from pushforward.families.classic.kde import KDE, KDESettings
from pushforward.noise import Noise
from pushforward.spaces import Classes, Real
from tests.helpers import dataset

KERNELS = ["gaussian", "epanechnikov", "tophat"]


def fit(model: KDE, data: Dataset) -> KDE:
    model.start(data, Noise.of(0, 7, index=torch.arange(len(data))))
    return model


def kde(x: Tensor, **settings: object) -> KDE:
    space = Real(tuple(x.shape[1:]), double=x.dtype == torch.float64)
    return fit(KDE(KDESettings(**settings), space), dataset(x, space))  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_density_equals_scikit_learn(kernel: str, d: int) -> None:
    x, y = torch.randn(200, d, dtype=torch.float64), torch.randn(100, d, dtype=torch.float64)
    model = kde(x, kernel=kernel, bandwidth=1.3)
    peer = KernelDensity(kernel=kernel, bandwidth=1.3).fit(x.numpy())
    ours, theirs = model.log_prob(y).values, torch.from_numpy(peer.score_samples(y.numpy()))
    # Outside compact kernels ours is -inf, where scikit-learn's tree leaves rounding errors of about 1e-16.
    torch.testing.assert_close(ours.exp(), theirs.exp(), rtol=0, atol=1e-14)
    seen = theirs > -20
    assert seen.sum() > 50
    torch.testing.assert_close(ours[seen], theirs[seen])


@pytest.mark.parametrize("kernel", KERNELS)
def test_density_integrates_to_one(kernel: str) -> None:
    model = kde(torch.randn(100, 2), kernel=kernel, bandwidth=0.6)
    line = torch.linspace(-7, 7, 701, dtype=torch.float64)
    values = model.log_prob(torch.cartesian_prod(line, line)).values
    assert abs(float(values.exp().sum()) * float(line[1] - line[0]) ** 2 - 1) < 2e-3


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 3])
def test_draws_follow_the_kernel(kernel: str, d: int) -> None:
    """With one point repeated the model is the kernel: its variance per axis, and its radius, are known."""
    h = 0.7
    model = kde(torch.zeros(2, d, dtype=torch.float64), kernel=kernel, bandwidth=h)
    y = model.sample(40_000, seed=0)
    variance = h**2 / {"gaussian": 1, "epanechnikov": d + 4, "tophat": d + 2}[kernel]
    torch.testing.assert_close(torch.cov(y.T).view(d, d), variance * torch.eye(d).double(), rtol=0.04, atol=0.01)
    if kernel != "gaussian":
        assert float(y.norm(dim=1).max()) < h
        r = torch.sort(y.norm(dim=1) / h).values
        cdf = r**d if kernel == "tophat" else r**d * ((d + 2) - d * r**2) / 2
        level = (torch.arange(len(r)) + 0.5) / len(r)
        assert float((cdf - level).abs().max()) < 1.63 / math.sqrt(len(r))  # Kolmogorov-Smirnov, 1%


def brute_force(x: Tensor, kernel: str, labels: Tensor | None = None) -> float:
    """The bandwidth of the best of a fine grid of leave-one-out likelihoods, by scikit-learn."""
    best = (-math.inf, 0.0)
    for h in torch.logspace(-1.2, 0.8, 61).tolist():
        total = 0.0
        for i in range(len(x)):
            others = torch.arange(len(x)) != i
            if labels is not None:
                others &= labels == labels[i]
            total += KernelDensity(kernel=kernel, bandwidth=h).fit(x[others].numpy()).score(x[i : i + 1].numpy())
        best = max(best, (total, h))
    return best[1]


@pytest.mark.parametrize("kernel", KERNELS)
def test_bandwidth_is_the_leave_one_out_optimum(kernel: str) -> None:
    x = torch.randn(30, 2, dtype=torch.float64)
    expected = brute_force(x, kernel)
    # The likelihood of tophats jumps wherever a kernel reaches another point: many optima, nearly as good.
    tolerance = 0.15 if kernel == "tophat" else 0.06
    assert abs(math.log(float(kde(x, kernel=kernel).bandwidth) / expected)) < tolerance


def test_class_bandwidth_leaves_other_classes_out() -> None:
    x, labels = torch.randn(30, 1, dtype=torch.float64), torch.arange(30) % 2
    x[labels == 1] = x[labels == 1] * 0.2 + 0.5
    space = Real((1,), double=True)
    model = fit(KDE(KDESettings(), space, Classes(2)), dataset(x, space, labels, Classes(2)))
    expected = brute_force(x, "gaussian", labels)
    assert abs(math.log(float(model.bandwidth) / expected)) < 0.06


def test_bandwidth_of_normal_data_is_near_theory() -> None:
    """The integrated squared error of N(0, 1) is least at h = (4 / 3n)^(1/5); likelihood is near it, but for tails."""
    n = 3000
    x = torch.randn(n, 1)
    theory = (4 / (3 * n)) ** 0.2
    for rule in ("cross-validation", "silverman", "scott"):
        tolerance = 0.4 if rule == "cross-validation" else 0.25
        assert abs(math.log(float(kde(x, bandwidth=rule).bandwidth) / theory)) < tolerance, rule
    scott = float(kde(x, bandwidth="scott").bandwidth)
    assert scott == pytest.approx(float(x.double().std()) * n**-0.2, rel=1e-6)


def test_copies_do_not_collapse_the_bandwidth() -> None:
    """Every row twice: the bandwidth is that of the rows once, not zero."""
    x = torch.randn(150, 2)
    once, twice = kde(x), kde(torch.cat([x, x]))
    assert abs(math.log(float(twice.bandwidth) / float(once.bandwidth))) < 0.02


def test_near_copies_stop_at_the_bound() -> None:
    x = torch.randint(0, 5, (500, 1)).double() + 1e-5 * torch.randn(500, 1, dtype=torch.float64)
    with pytest.warns(UserWarning, match="lower bound"):
        model = kde(x)
    scott = float(x.std()) * 500**-0.2
    assert float(model.bandwidth) == pytest.approx(1e-3 * scott, rel=1e-3)


def test_all_copies_is_an_error() -> None:
    with pytest.raises(InputError, match="the same"):
        kde(torch.ones(10, 2))


def test_class_condition_uses_the_kernels_of_the_class() -> None:
    x, labels = torch.randn(90, 2) + 3 * (torch.arange(90) % 3)[:, None], torch.arange(90) % 3
    space, classes = Real((2,)), Classes(4)
    settings = KDESettings(bandwidth=0.5)
    model = fit(KDE(settings, space, classes), dataset(x, space, labels, classes))
    for k in range(3):
        alone = fit(KDE(settings, space), dataset(x[labels == k], space))
        torch.testing.assert_close(model.log_prob(x, k).values, alone.log_prob(x).values)
        drawn = model.sample(4000, condition=k, seed=0)
        torch.testing.assert_close(drawn.mean(0), x[labels == k].mean(0), rtol=0, atol=0.1)
    unseen = fit(KDE(settings, space), dataset(x, space))
    torch.testing.assert_close(model.log_prob(x, 3).values, unseen.log_prob(x).values)


def test_vector_condition() -> None:
    """Density is the ratio of kernel estimates of (x, c) and c; samples follow the regression."""
    c = torch.rand(600, 1) * 4 - 2
    x = torch.sin(2 * c) + 0.1 * torch.randn(600, 1)
    space = Real((1,))
    model = fit(KDE(KDESettings(), space, space), dataset(x, space, c, space))
    h, g = float(model.bandwidth), float(model.condition_bandwidth)
    assert 0.01 < h < 0.15 and 0.005 < g < 0.3
    cs = torch.linspace(-1.5, 1.5, 7)[:, None]
    scale = torch.tensor([h, g])
    joint = KernelDensity(bandwidth=1.0).fit((torch.cat([x, c], 1) / scale).double().numpy())
    marginal = KernelDensity(bandwidth=1.0).fit((c / g).double().numpy())
    at = torch.sin(2 * cs)
    expected = joint.score_samples((torch.cat([at, cs], 1) / scale).double().numpy()) - marginal.score_samples(
        (cs / g).double().numpy()
    )
    got = model.log_prob(at, cs).values
    torch.testing.assert_close(got, torch.from_numpy(expected) - math.log(h), rtol=1e-5, atol=1e-5)
    drawn = model.sample(2000, condition=torch.tensor([0.7]), seed=0)
    assert abs(float(drawn.mean()) - math.sin(1.4)) < 0.1


def test_subsample_is_uniform_and_keeps_pairs() -> None:
    x = torch.arange(3000.0)[:, None]
    labels = (torch.arange(3000) >= 1500).long()
    space, classes = Real((1,)), Classes(2)
    model = KDE(KDESettings(max_points=400, bandwidth=1.0), space, classes)
    fit(model, dataset(x, space, labels, classes))
    assert model.points.shape == (400, 1) and len(model.points.unique()) == 400
    assert torch.equal((model.points[:, 0] >= 1500).long(), model.labels)
    assert abs(float(model.points.mean()) - 1500) < 4 * 866 / 20


def test_results_do_not_depend_on_the_offset_of_the_data() -> None:
    x = torch.randn(300, 2, dtype=torch.float64)
    near, far = kde(x), kde(x + 1e6)
    torch.testing.assert_close(far.log_prob(x + 1e6).values, near.log_prob(x).values, rtol=0, atol=1e-3)


def test_gradient_is_finite_inside_and_outside_the_support() -> None:
    for kernel in ("gaussian", "epanechnikov"):
        model = kde(torch.randn(50, 2, dtype=torch.float64), kernel=kernel, bandwidth=1.0)
        x = (5 * torch.randn(5, 2, dtype=torch.float64)).requires_grad_()
        (g,) = torch.autograd.grad(model.density(x, None, Noise.of(0, index=torch.arange(5))).values.sum(), x)
        assert torch.isfinite(g).all()


def test_no_codes() -> None:
    model = kde(torch.randn(20, 2))
    with pytest.raises(Unsupported):
        model.encode(torch.randn(3, 2))
    with pytest.raises(Unsupported):
        model.decode(torch.randn(3, 2))
