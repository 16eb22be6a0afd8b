"""Pictures: exact pixels, shared scales, honest axes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from pushforward.data import pictures, write_samples
from pushforward.errors import InputError
from pushforward.spaces import Pixels, Real

G = torch.Generator().manual_seed(0)


def test_a_grid_repeats_pixels_and_never_blurs() -> None:
    x = (torch.rand(5, 3, 4, 6, generator=G) * 255).to(torch.uint8)
    grid = np.asarray(pictures.image_grid(x, columns=3, scale=7))
    gap = pictures.image_grid(x[:1], columns=1, scale=7).size[0] - 6 * 7 >> 1
    assert gap >= 1 and grid.shape == (2 * (28 + gap) + gap, 3 * (42 + gap) + gap, 3)
    mask = np.zeros(grid.shape[:2], bool)
    for i in range(5):
        top, left = gap + (i // 3) * (28 + gap), gap + (i % 3) * (42 + gap)
        tile = grid[top : top + 28, left : left + 42]
        assert np.array_equal(tile, x[i].permute(1, 2, 0).numpy().repeat(7, 0).repeat(7, 1))
        mask[top : top + 28, left : left + 42] = True
    assert (grid[~mask] == pictures.GAP).all()  # also the sixth, empty place


@pytest.mark.parametrize(("n", "side"), [(1, 8), (64, 8), (64, 28), (64, 64), (7, 32), (400, 64)])
def test_small_pictures_are_enlarged_by_whole_numbers(n: int, side: int) -> None:
    grid = pictures.image_grid(torch.zeros(n, 1, side, side, dtype=torch.uint8))
    assert grid.mode == "L" and (grid.width < 600 or side * math.isqrt(n) > 500)
    assert grid.width >= 128


def test_levels_are_spread_over_the_grey_scale() -> None:
    x = torch.arange(17, dtype=torch.uint8).view(17, 1, 1, 1)
    values = pictures.picture_values(x, Pixels(1, 1, 1, levels=17))[:, 0, 0, 0]
    assert values[0] == 0 and values[16] == 255
    assert np.abs(values - np.arange(17) * 255 / 16).max() <= 0.5
    real = pictures.picture_values(torch.tensor([-3.0, 1.0, 5.0]).view(3, 1, 1, 1))
    assert real.flatten().tolist() == [0, 128, 255]
    assert pictures.picture_values(torch.ones(2, 1, 2, 2)).max() == 0  # constant: no division by zero


def test_grids_refuse_what_is_not_pictures_or_too_large() -> None:
    with pytest.raises(InputError, match="images"):
        pictures.image_grid(torch.zeros(3, 4))
    with pytest.raises(InputError, match="folder/"):
        pictures.image_grid(torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(40_000, 3, 64, 64))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, for inspection."""
    figures: list[Figure] = []
    save = pictures._save

    def keep(figure: Figure, path: Any) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(pictures, "_save", keep)
    return figures


def normal(p: torch.Tensor) -> torch.Tensor:
    return -p.square().sum(1) / 2 - math.log(2 * math.pi)


def test_three_panels_share_limits_and_one_colour_scale_of_densities(drawn: list[Figure], tmp_path: Path) -> None:
    data, samples = torch.randn(200_000, 2, generator=G), torch.randn(100_000, 2, generator=G)
    pictures.density_plot(tmp_path / "d.png", data=data, samples=samples, log_density=normal, names=("$a", "b"))
    *panels, bar = drawn[0].axes
    assert [a.get_title().split(" (")[0] for a in panels] == ["data", "samples", "model density"]
    assert len({(a.get_xlim(), a.get_ylim()) for a in panels}) == 1 and bar.get_ylabel() == "density (log scale)"
    images = [a.images[0] for a in panels]
    assert len({(i.norm.vmin, i.norm.vmax) for i in images}) == 1
    assert all(i.get_interpolation() == "nearest" for i in images)
    peak = 1 / (2 * math.pi)
    for image in images:  # all three are the density of N(0, I) in the same units
        values = np.asarray(image.get_array())
        n = len(values)
        centre = values[n // 2 - 3 : n // 2 + 3, n // 2 - 3 : n // 2 + 3].mean()
        assert centre == pytest.approx(peak, rel=0.06)
    assert panels[0].get_xlabel() == r"\$a" and panels[0].get_aspect() == 1.0
    assert Image.open(tmp_path / "d.png").width > 1000


def test_the_first_axis_is_drawn_to_the_right(drawn: list[Figure], tmp_path: Path) -> None:
    """Most points near (10, -3), the low right corner of a range that a few others stretch."""
    peak = torch.tensor([10.0, -3.0])
    x = torch.randn(5000, 2, generator=G) * torch.tensor([0.4, 0.2]) + peak
    x[:500] += torch.rand(500, 2, generator=G) * torch.tensor([-12.0, 8.0])
    pictures.density_plot(tmp_path / "d.png", samples=x, log_density=lambda p: normal((p - peak) / 0.5))
    for axis in drawn[0].axes[:2]:
        (image,) = axis.images
        values = np.asarray(image.get_array())  # rows are the second coordinate
        left, right, bottom, top = image.get_extent()
        assert image.origin == "lower" and axis.get_xlim() == (left, right) and axis.get_ylim() == (bottom, top)
        row, column = np.unravel_index(values.argmax(), values.shape)
        assert abs(left + (right - left) * (column + 0.5) / values.shape[1] - 10) < 0.8
        assert abs(bottom + (top - bottom) * (row + 0.5) / values.shape[0] + 3) < 0.5


def test_points_outside_the_limits_are_counted_in_the_title(drawn: list[Figure], tmp_path: Path) -> None:
    data = torch.rand(3000, 2, generator=G)
    samples = torch.cat([data[:2500], torch.full((70, 2), 50.0)])
    pictures.density_plot(tmp_path / "d.png", data=data, samples=samples)
    assert "n = 2,570, 70 outside" in drawn[0].axes[1].get_title()


def test_few_points_are_drawn_as_points_and_units_decide_the_aspect(drawn: list[Figure], tmp_path: Path) -> None:
    pictures.density_plot(tmp_path / "d.png", samples=torch.rand(500, 2, generator=G) * torch.tensor([1.0, 1e6]))
    (axis,) = drawn[0].axes
    assert len(axis.lines[0].get_xdata()) == 500 and not axis.images and axis.get_aspect() == "auto"


@pytest.mark.parametrize(("d", "axes"), [(1, 1), (2, 1), (4, 16), (9, 10), (40, 30)])
def test_every_number_of_columns_has_a_picture_with_their_names(
    d: int, axes: int, drawn: list[Figure], tmp_path: Path
) -> None:
    names = tuple(f"name{j}" for j in range(d))
    path = write_samples(tmp_path / "v.png", torch.randn(300, d, generator=G), Real((d,), names=names))
    assert len(drawn[0].axes) == axes and Image.open(path).format == "PNG"
    shown = {a.get_xlabel() for a in drawn[0].axes if a.get_visible()} | {a.get_ylabel() for a in drawn[0].axes}
    assert set(names[:30]) <= shown
    if d > 30:
        assert "first 30 of 40" in drawn[0]._suptitle.get_text()  # type: ignore[attr-defined]


def test_losses_of_two_stages_follow_each_other(drawn: list[Figure], tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {
            "round": r,
            "stage": "vae",
            "losses": {"nll": 5.0 + r, "_accuracy": 0.5},
            "validation": 6.0 if r == 50 else None,
        }
        for r in range(1, 101)
    ]
    records += [{"round": r, "stage": "prior", "losses": {"kl": math.nan if r == 3 else 1.0}} for r in range(1, 51)]
    pictures.loss_plot(records, tmp_path / "l.png")
    (axis,) = drawn[0].axes
    lines = {line.get_label(): line for line in axis.lines}
    assert {"nll", "kl", "held-out"} <= set(lines) and "_accuracy" not in lines
    assert list(lines["kl"].get_xdata())[:3] == [101, 102, 104]  # after the first stage, without the bad round
    assert list(lines["held-out"].get_xdata()) == [50]
    np.testing.assert_allclose(lines["nll"].get_ydata(), np.arange(6.0, 106.0))  # the smoothing does not lag
    with pytest.raises(InputError, match="no losses"):
        pictures.loss_plot([], tmp_path / "l.png")
