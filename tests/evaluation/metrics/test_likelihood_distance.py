"""The mixture around samples: its likelihood and widths by closed forms, and copying seen in the gap."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.errors import InputError
from pushforward.evaluation.metrics.likelihood_distance import (
    feature_likelihood_distance,
    fit_widths,
    log_density,
    real_baseline,
)


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TRAIN, TEST, PERFECT = normal(500, 6, 0), normal(500, 6, 1), normal(500, 6, 2)


# ----------------------------------------------------------------------------------------------------- the mixture


def test_the_density_is_that_of_scipys_normals() -> None:
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    centres, variance, x = normal(7, 3, 1), normal(7, 1, 2)[:, 0].exp(), normal(40, 3, 3)
    each = [multivariate_normal(c.numpy(), float(v)).logpdf(x.numpy()) for c, v in zip(centres, variance)]
    expected = logsumexp(np.stack(each), axis=0) - math.log(7)
    np.testing.assert_allclose(log_density(x, centres, variance).numpy(), expected, rtol=1e-9)


def test_one_sample_has_the_root_mean_square_distance() -> None:
    x, train = normal(1, 4, 1), normal(300, 4, 2)
    variance, _ = fit_widths(x, train)
    assert float(variance) == pytest.approx(float((train - x).square().sum(1).mean()) / 4)


def test_samples_far_apart_have_the_widths_of_their_own_clusters() -> None:
    centres = torch.tensor([[0.0, 0.0], [1000.0, 0.0]], dtype=torch.float64)
    near, far = normal(200, 2, 1) * 2, normal(300, 2, 2) * 5 + centres[1]
    variance, _ = fit_widths(centres, torch.cat([near, far]), tolerance=0.0)
    own = [float(z.square().sum(1).mean()) / 2 for z in (near, far - centres[1])]
    assert variance.tolist() == pytest.approx(own)


def test_the_likelihood_cannot_be_raised_by_a_width() -> None:
    """The gradient in each logarithm of a width is 0 at the end, and every step raises the likelihood."""
    x, train = normal(40, 3, 1), normal(200, 3, 2)
    variance, _ = fit_widths(x, train, tolerance=-1.0, steps=3000)
    logs = variance.log().requires_grad_()
    log_density(train, x, logs.exp()).mean().backward()
    assert logs.grad is not None
    least = variance.min() < 1.0001e-4 * variance.median()
    assert not bool(least) and float(logs.grad.abs().max()) < 1e-6
    likelihoods = [float(log_density(train, x, fit_widths(x, train, tolerance=-1.0, steps=s)[0]).mean())
                   for s in range(1, 12)]  # fmt: skip
    assert (np.diff(likelihoods) > -1e-12).all() and likelihoods[-1] > likelihoods[0] + 1e-3


def test_a_sample_that_nothing_needs_does_no_harm() -> None:
    """A sample 1e6 away costs its share of the weight, log(m / (m - 1)), and nothing else."""
    with_it = torch.cat([PERFECT, torch.full((1, 6), 1e6, dtype=torch.float64)])
    one, other = (feature_likelihood_distance(x, TRAIN, TEST) for x in (PERFECT, with_it))
    assert bool(other.widths.isfinite().all())
    assert other.test_nll - one.test_nll == pytest.approx(math.log(501 / 500) / 6, abs=1e-4)


def test_more_samples_come_nearer_to_the_entropy() -> None:
    """No density has a mean log-likelihood above minus the entropy, 6 * 1.4189 nats, but by the luck of the draw."""
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    train, test = normal(1500, 6, 10), normal(1500, 6, 11)
    nll = [feature_likelihood_distance(normal(n, 6, 12), train, test).test_nll for n in (20, 200, 1500)]
    luck = 4 * math.sqrt(0.5 / (6 * 1500))
    assert nll[0] > nll[1] > nll[2] > entropy - luck
    assert nll[2] - entropy < 0.06


# -------------------------------------------------------------------------------------------------------- copying


def test_a_copycat_has_a_huge_gap() -> None:
    perfect, copycat = (feature_likelihood_distance(x, TRAIN, TEST) for x in (PERFECT, TRAIN))
    assert copycat.gap < -1e5 < 100 * perfect.gap and copycat.value > 1e4 > 10 * perfect.value
    # The gap and the value are of the same two numbers.
    assert copycat.gap == pytest.approx(100 * (copycat.train_nll - copycat.test_nll))


def test_five_per_cent_of_copies_leave_the_floor() -> None:
    gaps, copied = [], []
    for seed in range(8):
        train, test, x = (normal(400, 6, 100 + 3 * seed + i) for i in range(3))
        gaps.append(feature_likelihood_distance(x, train, test).gap)
        copied.append(feature_likelihood_distance(torch.cat([train[:20], x[20:]]), train, test).gap)
    assert max(copied) < np.mean(gaps) - 6 * np.std(gaps, ddof=1)
    # Twenty of 400 examples gain about d log(1 / 0.01) nats of the 400 d that the mean is over.
    assert np.mean(copied) - np.mean(gaps) == pytest.approx(-5 * math.log(100), rel=0.2)


def test_faults_of_fidelity_and_coverage_raise_the_value() -> None:
    mixture = torch.cat([normal(250, 4, 1), normal(250, 4, 2) + 6])
    train = torch.cat([normal(250, 4, 3), normal(250, 4, 4) + 6])
    test = torch.cat([normal(250, 4, 5), normal(250, 4, 6) + 6])
    perfect = feature_likelihood_distance(mixture, train, test).value
    dropped = feature_likelihood_distance(mixture[:250], train, test).value
    shifted = feature_likelihood_distance(mixture + 1, train, test).value
    noisy = mixture.clone()
    noisy[::5] = 12 * normal(100, 4, 7)
    assert min(dropped, shifted) > perfect + 5
    assert feature_likelihood_distance(noisy, train, test).value > perfect + 2


def test_it_rewards_samples_that_are_a_little_too_narrow() -> None:
    """Why a value below the floor is no merit: each sample is widened, so narrow ones make the better mixture."""
    perfect = feature_likelihood_distance(PERFECT, TRAIN, TEST).value
    assert feature_likelihood_distance(0.8 * PERFECT, TRAIN, TEST).value < perfect - 1


def test_the_floor_is_that_of_real_rows() -> None:
    train = normal(1000, 6, 20)
    floor = real_baseline(train, TEST, 500)
    values = [
        feature_likelihood_distance(normal(500, 6, 30 + s), train[:500], TEST, baseline=floor.test_nll).value
        for s in range(5)
    ]
    assert abs(np.mean(values)) < 2.5 and np.std(values) < 2.0
    again = real_baseline(train, TEST, 500)
    assert (again.test_nll, again.gap) == (floor.test_nll, floor.gap)
    assert real_baseline(train, TEST, 500, seed=1).test_nll != floor.test_nll


# ------------------------------------------------------------------------------------------------------ invariance


def test_order_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = feature_likelihood_distance(PERFECT, TRAIN, TEST)
    shuffled = [x[torch.randperm(500, generator=torch.Generator().manual_seed(1))] for x in (PERFECT, TRAIN, TEST)]
    chunked = feature_likelihood_distance(PERFECT, TRAIN, TEST, chunk=7)
    monkeypatch.setattr("pushforward.evaluation.metrics.likelihood_distance._KEPT", 0)
    for found in (
        chunked,
        feature_likelihood_distance(*shuffled),
        feature_likelihood_distance(PERFECT, TRAIN, TEST, chunk=100),
    ):
        assert found.test_nll == pytest.approx(whole.test_nll, rel=1e-9)
        assert found.gap == pytest.approx(whole.gap, rel=1e-9)
        assert found.steps == whole.steps


def test_units_shift_the_likelihood_by_their_logarithm() -> None:
    scale = torch.tensor([1e-3, 1.0, 50.0, 2.0, 7.0, 1e4], dtype=torch.float64)
    one = feature_likelihood_distance(PERFECT, TRAIN, TEST)
    moved = (x * scale + 3 for x in (PERFECT, TRAIN, TEST))
    other = feature_likelihood_distance(*moved)
    assert other.test_nll - one.test_nll == pytest.approx(float(scale.log().mean()), abs=1e-7)
    assert other.gap == pytest.approx(one.gap, abs=1e-5)


def test_a_constant_feature() -> None:
    flat = [torch.cat([x, torch.full((500, 1), 3.0, dtype=torch.float64)], 1) for x in (PERFECT, TRAIN, TEST)]
    assert math.isfinite(feature_likelihood_distance(*flat).value)
    same = torch.ones(5, 2)
    assert math.isfinite(feature_likelihood_distance(same, same, same).value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: feature_likelihood_distance(PERFECT[:, :3], TRAIN, TEST), "columns"),
        (lambda: feature_likelihood_distance(PERFECT, TRAIN[:, :3], TEST), "columns"),
        (lambda: feature_likelihood_distance(PERFECT, TRAIN[:1], TEST), "At least 2"),
        (lambda: feature_likelihood_distance(PERFECT[:0], TRAIN, TEST), "no rows"),
        (lambda: feature_likelihood_distance(PERFECT * math.inf, TRAIN, TEST), "finite"),
        (lambda: real_baseline(TRAIN, TEST, 251), "2n"),
    ],
)
def test_what_cannot_be_used(wrong, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        wrong()
