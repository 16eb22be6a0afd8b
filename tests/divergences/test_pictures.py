"""Pictures: what is drawn is what was computed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pushforward.divergences import Discrete, Gaussian, draw_line_segments, draw_plan, wasserstein1
from pushforward.divergences.pictures import draw_attained, write
from pushforward.errors import InputError


def test_a_plan_shows_its_piles_and_its_matrix(tmp_path: Path) -> None:
    p, q = Discrete([2, 0, 1], [0.2, 0.5, 0.3]), Discrete([5, 4], [0.6, 0.4])
    plan = wasserstein1(p, q).plan
    assert plan is not None
    piles, matrix, *_ = draw_plan(plan).axes
    heights = sorted(round(abs(bar.get_height()), 12) for bar in piles.patches[:5])
    assert heights == [0.2, 0.3, 0.4, 0.5, 0.6]
    shown = matrix.images[0].get_array().filled(0)
    assert shown.sum(1) == pytest.approx([0.5, 0.3, 0.2]) and shown.sum(0) == pytest.approx([0.4, 0.6])  # in order
    path = plan.plot(tmp_path / "plan.png")
    with Image.open(path) as image:
        assert image.width > 800 and len(image.convert("RGB").getcolors(1 << 20) or []) > 50
    assert [f.name for f in tmp_path.iterdir()] == ["plan.png"]


def test_plans_in_more_dimensions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for d, panels in ((2, 3), (3, 2)):
        plan = wasserstein1(rng.standard_normal((8, d)), rng.standard_normal((5, d))).plan
        assert plan is not None and len(draw_plan(plan).axes) == panels
    with pytest.raises(InputError, match="too large for a picture"):
        draw_plan(wasserstein1(rng.standard_normal((600, 1)), rng.standard_normal((500, 1))).plan)
    with pytest.raises(InputError, match=r"\.xyz is no format"):
        plan.plot(tmp_path / "plan.xyz")
    with pytest.raises(InputError, match="cannot write"):
        plan.plot(tmp_path / "missing" / "plan.png")


def test_the_jumps_of_the_segments_are_drawn() -> None:
    panels = draw_line_segments().axes[1:]
    for axes, level in zip(panels, (1.0, 1.0, math.log(2))):
        at_zero = [line for line in axes.lines if np.atleast_1d(line.get_xdata()).tolist() == [0]]
        assert sorted(float(np.atleast_1d(line.get_ydata())[0]) for line in at_zero) == [0.0, level]
        lines = [line for line in axes.lines if len(np.atleast_1d(line.get_xdata())) == 2]
        assert all(0 in line.get_xdata() for line in lines) and len(lines) == 2  # broken at 0, not joined
        assert axes.get_xlabel() and axes.get_ylabel()
    dots = panels[3].lines[-1]
    assert np.asarray(dots.get_ydata()) == pytest.approx(np.abs(dots.get_xdata()))


def test_what_is_attained(tmp_path: Path) -> None:
    figure = draw_attained(Gaussian(0, 1), Gaussian(1, 4))
    assert write(figure, tmp_path / "a.svg").stat().st_size > 10_000
    with pytest.raises(InputError, match="no two densities on the line"):
        draw_attained([0.5, 0.5], [0.5, 0.5])
