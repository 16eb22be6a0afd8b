"""Built-in sources against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from sklearn.datasets import make_moons, make_swiss_roll

from pushforward.data import load
from pushforward.data.builtin.source import (
    BUILTINS,
    checkerboard,
    eight_gaussians,
    entropy,
    grid,
    log_density,
    moons,
    ring,
    spirals,
    swiss_roll,
)
from pushforward.errors import InputError


def test_ring_has_equal_angles_and_no_duplicated_endpoint() -> None:
    x, _, columns, _ = ring(modes=8, std=1e-6, n=4000)
    for k in range(8):
        centre = [math.cos(2 * math.pi * k / 8), math.sin(2 * math.pi * k / 8)]
        np.testing.assert_allclose(x[columns["mode"] == k].astype(np.float64).mean(0), centre, atol=1e-6)
    assert len(np.unique(x.round(3), axis=0)) == 8


@pytest.mark.parametrize("std", [0.05, 0.01])
def test_ring_modes_are_isotropic_gaussians_of_the_stated_std(std: float) -> None:
    x, _, columns, _ = ring(std=std, n=40_000)
    angle = columns["mode"] * 2 * np.pi / 8
    rest = x - np.stack([np.cos(angle), np.sin(angle)], 1)
    covariance = np.cov(rest.T) / std**2  # standard errors: 0.007 on the diagonal, 0.005 off it
    np.testing.assert_allclose(covariance, np.eye(2), atol=0.045)
    counts = np.bincount(columns["mode"], minlength=8)
    assert (np.abs(counts - 5000) < 6 * math.sqrt(5000)).all()


def test_grid_centres_and_std() -> None:
    x, _, columns, _ = grid(n=50_000)
    centres = 2 * np.round(x / 2)
    assert {tuple(c) for c in centres.astype(int)} == {(a, b) for a in range(-4, 5, 2) for b in range(-4, 5, 2)}
    assert abs((x - centres).std() - 0.05) < 0.001
    for k in (0, 7, 24):  # the class is the centre
        assert len({tuple(c) for c in centres[columns["mode"] == k]}) == 1


def test_moons_lie_on_the_half_circles_of_sklearn() -> None:
    x, _, columns, _ = moons(noise=0.0, n=3000)
    curve, which = make_moons(20_000, noise=0.0)
    for moon in (0, 1):
        points, arc = torch.tensor(x[columns["moon"] == moon]), torch.tensor(curve[which == moon]).float()
        assert torch.cdist(points, arc).min(1).values.max() < 1e-3
        assert torch.cdist(arc, points).min(1).values.max() < 0.02  # and cover them


def test_digits_are_the_pictures_of_sklearn_with_their_levels() -> None:
    data = load("digits", condition="label")
    assert data.space.to_json() == {"kind": "pixels", "channels": 1, "height": 8, "width": 8, "levels": 17}
    everything = torch.cat([p.all()[0] for p in (data.train, data.validation, data.test)])
    from sklearn.datasets import load_digits

    ours = sorted(map(bytes, everything.numpy()))
    assert ours == sorted(map(bytes, load_digits().images.astype(np.uint8)))
    assert data.condition_space is not None and data.condition_space.names == tuple("0123456789")


def same_marginals(x: np.ndarray, other: np.ndarray) -> None:
    """Kolmogorov-Smirnov tests along several directions, and of the distance from the centre."""
    for angle in np.linspace(0, np.pi, 5)[:-1]:
        direction = np.array([np.cos(angle), np.sin(angle)])
        assert stats.ks_2samp(x @ direction, other @ direction).pvalue > 1e-4
    assert stats.ks_2samp(np.hypot(*x.T), np.hypot(*other.T)).pvalue > 1e-4


def test_swiss_roll_is_that_of_sklearn_scaled_as_in_ffjord() -> None:
    x, _, columns, _ = swiss_roll(n=20_000)
    same_marginals(x, make_swiss_roll(20_000, noise=1.0, random_state=0)[0][:, [0, 2]] / 5)
    bare, _, columns, _ = swiss_roll(noise=0.0, n=500)
    t = columns["angle"].astype(np.float64)
    np.testing.assert_allclose(bare, np.stack([t * np.cos(t), t * np.sin(t)], 1) / 5, atol=1e-5)


def test_spirals_are_the_two_of_ffjord() -> None:
    x, _, columns, _ = spirals(n=20_000)
    rng = np.random.default_rng(0)
    t = np.sqrt(rng.random(10_000)) * 540 * (2 * np.pi) / 360
    one = np.stack([-np.cos(t) * t + rng.random(10_000) * 0.5, np.sin(t) * t + rng.random(10_000) * 0.5], 1)
    theirs = np.vstack([one, -one]) / 3 + rng.normal(0, 0.1, (20_000, 2))
    same_marginals(x, theirs)
    same_marginals(x[columns["arm"] == 1], theirs[10_000:])
    assert abs(columns["arm"].mean() - 0.5) < 0.02


def test_eight_gaussians_are_those_of_ffjord() -> None:
    x, _, columns, _ = eight_gaussians(n=20_000)
    rng = np.random.default_rng(0)
    angle = rng.integers(0, 8, 20_000) * np.pi / 4
    theirs = (4 * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.5, (20_000, 2))) / 1.414
    same_marginals(x, theirs)
    assert (np.abs(np.bincount(columns["mode"]) - 2500) < 6 * 50).all()


def test_checkerboard_is_uniform_on_the_squares_of_ffjord() -> None:
    x, _, columns, _ = checkerboard(n=40_000)
    rng = np.random.default_rng(0)
    across = rng.random(40_000) * 4 - 2
    up = rng.random(40_000) - rng.integers(0, 2, 40_000) * 2 + np.floor(across) % 2
    same_marginals(x, np.stack([across, up], 1) * 2)
    assert np.isfinite(log_density("checkerboard", torch.from_numpy(x)).numpy()).all()  # type: ignore[union-attr]
    for square in range(8):
        inside = x[columns["square"] == square]
        corner = 2 * np.floor(inside / 2)
        assert len(np.unique(corner, axis=0)) == 1 and abs(len(inside) - 5000) < 6 * math.sqrt(5000)
        same = stats.kstest(((inside - corner) / 2).ravel(), "uniform")
        assert same.pvalue > 1e-4


# ------------------------------------------------------------------------------------------ densities, entropies

PLANE = ["ring", "ring:std=0.2,modes=5", "grid:std=0.3", "8gaussians", "moons", "moons:noise=0.3", "swiss-roll",
         "swiss-roll:noise=0.4", "spirals:noise=0.2"]  # fmt: skip


def sample(source: str, n: int = 20_000) -> torch.Tensor:
    data = load(source, n=n)
    return torch.cat([part.all()[0] for part in (data.train, data.validation, data.test)]).double()


@pytest.mark.parametrize("source", PLANE)
def test_densities_integrate_to_one_and_give_the_entropy_and_the_moments(source: str) -> None:
    x = sample(source)
    text = source.partition("=")[2].partition(",")[0]
    width = float(text) if text else {"ring": 0.05, "8gaussians": 0.35, "moons": 0.1, "swiss-roll": 0.2}[source]
    low, high = x.min(0).values - 3 * width, x.max(0).values + 3 * width
    step = 0.45 * width
    places = torch.cartesian_prod(*(torch.arange(float(a), float(b), step, dtype=torch.float64)
                                    for a, b in zip(low, high)))  # fmt: skip
    log_p = log_density(source, places)
    assert log_p is not None and log_p.dtype == torch.float64
    p = log_p.exp() * step**2
    assert abs(float(p.sum()) - 1) < 1e-6
    assert abs(float(-(p * log_p).sum()) - entropy(source)) < 1e-4  # type: ignore[operator]
    mean = (p[:, None] * places).sum(0)
    covariance = (places - mean).T @ (p[:, None] * (places - mean))
    deviation = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean).abs() < 5 * deviation / len(x) ** 0.5).all()
    scaled = (x - mean) / deviation
    expected = covariance / deviation[:, None] / deviation
    spread = (scaled[:, :, None] * scaled[:, None]).flatten(1).std(0) / len(x) ** 0.5
    assert ((scaled.T @ scaled / len(x) - expected).flatten().abs() < 5 * spread).all()


@pytest.mark.parametrize("source", [*PLANE, "spirals", "checkerboard"])
def test_the_mean_log_density_of_samples_is_the_negative_entropy(source: str) -> None:
    values = log_density(source, sample(source, 4000))
    assert values is not None
    error = float(values.std()) / len(values) ** 0.5
    assert abs(float(values.mean()) + entropy(source)) < 4.5 * error + 1e-9  # type: ignore[operator]


def test_entropies_that_have_a_closed_form() -> None:
    gaussian = 1 + math.log(2 * math.pi)
    assert entropy("ring:modes=1,std=0.3") == pytest.approx(gaussian + 2 * math.log(0.3), abs=1e-9)
    assert entropy("ring:std=0.01") == pytest.approx(math.log(8) + gaussian + 2 * math.log(0.01), abs=1e-9)
    assert entropy("grid", std=0.05) == pytest.approx(math.log(25) + gaussian + 2 * math.log(0.05), abs=1e-9)
    assert entropy("checkerboard") == math.log(32)
    # Half circles far wider apart than the noise: that of the curve times that of the noise across it, nearly.
    assert entropy("moons:noise=0.01") == pytest.approx(math.log(2 * math.pi) + gaussian / 2 + math.log(0.01), abs=0.01)


def test_log_densities_of_curves_agree_with_adaptive_quadrature_near_and_far() -> None:
    points = torch.tensor([[0.3, 0.2], [2.0, 2.0], [-1.5, 1.0], [4.0, -3.0], [25.0, 9.0], [-90.0, 60.0]])
    got = {name: log_density(name, points) for name in ("moons", "swiss-roll", "spirals")}

    def moon(t: float, x: np.ndarray, sign: int) -> float:
        c = np.array([math.cos(t), math.sin(t)]) if sign > 0 else np.array([1 - math.cos(t), 0.5 - math.sin(t)])
        return -((x - c) ** 2).sum() / (2 * 0.1**2) - math.log(2 * math.pi * 0.1**2) - math.log(2 * math.pi)

    def roll(t: float, x: np.ndarray, sign: int) -> float:
        c = np.array([t * math.cos(t), t * math.sin(t)]) / 5
        return -((x - c) ** 2).sum() / (2 * 0.2**2) - math.log(2 * math.pi * 0.2**2) - math.log(3 * math.pi)

    def spiral(t: float, x: np.ndarray, sign: int) -> float:
        total = math.log(2 * t / (3 * math.pi) ** 2 / 2) if t > 0 else -np.inf
        for d in sign * x - np.array([-t * math.cos(t), t * math.sin(t)]) / 3:
            a, b = sorted([(d - 0.5 / 3) / 0.1, d / 0.1])
            a, b = (-b, -a) if a > 0 else (a, b)
            log_b = special.log_ndtr(b)
            total += log_b + math.log1p(-math.exp(special.log_ndtr(a) - log_b)) - math.log(0.5 / 3)
        return total

    for name, kernel, signs, low, high in (
        ("moons", moon, (1, -1), 0.0, math.pi),
        ("swiss-roll", roll, (1,), 1.5 * math.pi, 4.5 * math.pi),
        ("spirals", spiral, (1, -1), 0.0, 3 * math.pi),
    ):
        for i, x in enumerate(points.double().numpy()):
            grid_t = np.linspace(low, high, 2001)
            logs = np.array([[kernel(t, x, sign) for t in grid_t] for sign in signs])
            top = logs.max()
            peaks = grid_t[np.exp(logs - top).max(0) > 1e-3][::20].tolist()[:40]
            total = 0.0
            for sign in signs:

                def share(t: float, log: Any = kernel, x: np.ndarray = x, sign: int = sign, top: float = top) -> float:
                    return math.exp(log(t, x, sign) - top)

                total += integrate.quad(share, low, high, points=peaks, limit=400, epsabs=1e-12)[0]
            expected = top + math.log(total)
            tolerance = 1e-6 if i < 4 else 2e-3 * abs(expected)  # a hundred deviations away: finite, and about right
            assert float(got[name][i]) == pytest.approx(expected, abs=tolerance), (name, i)  # type: ignore[index]


def test_what_has_no_density_says_so_and_narrow_noise_is_not_guessed() -> None:
    for source in ("digits", "shapes", "ring:std=0", "moons:noise=0"):
        assert log_density(source, torch.zeros(3, 2)) is None and entropy(source) is None
    assert entropy("moons:noise=0.001") is None and log_density("moons:noise=0.001", torch.zeros(1, 2)) is not None
    with pytest.raises(InputError, match="Did you mean spirals"):
        entropy("spiral")
    with pytest.raises(InputError, match="Did you mean noise"):
        log_density("moons:nosie=1", torch.zeros(1, 2))


@pytest.mark.parametrize("name", [name for name in BUILTINS if name not in ("digits", "shapes")])
def test_rows_depend_on_the_seed_and_their_index_only(name: str) -> None:
    long, short = load(f"{name}:n=500"), load(f"{name}:n=100")
    other = load(name, n=500, seed=1)
    assert load(f"{name}:n=500").hash == long.hash != other.hash
    rows_of = lambda d: {bytes(r) for p in (d.train, d.validation, d.test) for r in p.x.numpy()}  # noqa: E731
    assert rows_of(short) < rows_of(long)
    assert not rows_of(other) & rows_of(long)
    assert long.space.to_json()["names"] == ("x", "y") and long.train.x.dtype == torch.float32


def test_options_in_the_name_and_as_arguments_agree() -> None:
    assert (
        load("ring:std=0.01,n=1000").hash == load("ring", std=0.01, n=1000).hash == load("ring", std="0.01", n=1e3).hash
    )


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("ring:sdt=1", {}, "Did you mean std"),
        ("ring", {"sdt": 1}, "Did you mean std"),
        ("ring:std", {}, "option=value"),
        ("ring:n=many", {}, "whole number of at least 1"),
        ("ring:n=2.5", {}, "whole number"),
        ("ring", {"n": True}, "whole number"),
        ("ring:n=-5", {}, "at least 1"),
        ("ring:std=nan", {}, "at least 0"),
        ("digits:n=5", {}, "no option 'n'"),
        ("ring", {"image_size": 8}, "image_size= is for pictures"),
        ("ring:n=2", {}, "at least 3 rows"),
    ],
)
def test_bad_options_are_one_clear_error(source: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(source, **options)
