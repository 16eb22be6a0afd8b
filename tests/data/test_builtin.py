"""Built-in sources against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons

from pushforward.data import load
from pushforward.data.builtin import grid, moons, ring
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


@pytest.mark.parametrize("name", ["ring", "grid", "moons"])
def test_rows_depend_on_the_seed_and_their_index_only(name: str) -> None:
    long, short = load(f"{name}:n=500"), load(f"{name}:n=100")
    other = load(name, n=500, seed=1)
    assert load(f"{name}:n=500").hash == long.hash != other.hash
    rows_of = lambda d: {bytes(r) for p in (d.train, d.validation, d.test) for r in p.x.numpy()}  # noqa: E731
    assert rows_of(short) < rows_of(long)
    assert not rows_of(other) & rows_of(long)


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
