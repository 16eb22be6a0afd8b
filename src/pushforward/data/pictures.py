"""Pictures of samples and of training. Pixels are enlarged by whole numbers and never smoothed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..spaces import Pixels, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP = 200
"""Grey level between the pictures of a grid: apart from both black and white grounds."""
_LARGEST_GRID = 1 << 27
_FEW = 2000
"""Fewer points than this are drawn as points, more as a histogram."""
_COLOURS = "viridis"


# ------------------------------------------------------------------------------------------------ of pictures


def picture_values(images: Tensor, space: Space | None = None) -> np.ndarray:
    """Images (n, c, h, w) as uint8: levels spread over 0..255, real numbers from the smallest to the largest."""
    x = torch.as_tensor(images).detach().cpu()
    if isinstance(space, Pixels) and space.levels != 256:
        top = space.levels - 1
        return ((x.long() * 255 + top // 2) // top).to(torch.uint8).numpy()
    if x.dtype == torch.uint8:
        return x.numpy()
    x = x.double()
    low, high = x.min(), x.max()
    return ((x - low) / (high - low).clamp_min(1e-12) * 255).round().to(torch.uint8).numpy()


def to_picture(values: np.ndarray) -> Image.Image:
    """(c, h, w) uint8 as a picture: 1, 3 or 4 channels; of other numbers, the first channel in grey."""
    if len(values) not in (3, 4):
        return Image.fromarray(np.ascontiguousarray(values[0]))
    return Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0)))


def image_grid(
    images: Tensor, columns: int | None = None, scale: int | None = None, *, space: Space | None = None
) -> Image.Image:
    """A grid of images (n, c, h, w), row by row, with gaps.

    Args:
        columns: None makes the grid about square.
        scale: each pixel becomes scale x scale equal pixels; None enlarges small grids to about 512 pixels.
        space: the images' space; without it uint8 is 0..255, and real numbers are spread over their range.

    Raises:
        InputError: not images, or a grid of more than 134 million pixels.
    """
    x = torch.as_tensor(images)
    if x.ndim != 4 or len(x) == 0:
        raise InputError(f"a grid needs images (n, c, h, w), and these have shape {tuple(x.shape)}.")
    n, _, height, width = x.shape
    columns = min(n, columns or math.ceil(math.sqrt(n * height / width)))
    lines = math.ceil(n / columns)
    smallest = max(1, 32 // max(height, width))  # a picture of a few pixels is enlarged however many there are
    scale = scale or max(smallest, min(16, 512 // max(columns * (width + 1), lines * (height + 1))))
    gap = max(1, min(4, scale * max(height, width) // 16))
    size = (columns * (width * scale + gap) + gap, lines * (height * scale + gap) + gap)
    if size[0] * size[1] > _LARGEST_GRID:
        raise InputError(f"a grid of {n:,} pictures would have {size[0]}x{size[1]} pixels.", "Write a folder/ instead.")
    tiles = [to_picture(values) for values in picture_values(x, space)]
    mode = tiles[0].mode
    ground: Any = {"L": GAP, "RGB": (GAP,) * 3, "RGBA": (GAP, GAP, GAP, 255)}[mode]
    grid = Image.new(mode, size, ground)
    for i, tile in enumerate(tiles):
        line, column = divmod(i, columns)
        tile = tile.resize((width * scale, height * scale), Image.Resampling.NEAREST)
        grid.paste(tile, (gap + column * (width * scale + gap), gap + line * (height * scale + gap)))
    return grid


# ------------------------------------------------------------------------------------------------- of vectors


def vector_plot(samples: Tensor, names: Sequence[str], path: Path) -> None:
    """Vectors (n, d): a histogram (d = 1), a density (2), pairs of columns (to 6), marginal histograms (above)."""
    d = samples.shape[1]
    x = torch.as_tensor(samples).detach().cpu().double().numpy()
    if d == 2:
        density_plot(path, samples=samples, names=names)
    elif d <= 6 and d > 1:
        _pairs(x, names, path)
    else:
        _marginals(x, names, path)


def density_plot(
    path: Path,
    *,
    samples: Tensor | None = None,
    data: Tensor | None = None,
    log_density: Callable[[Tensor], Tensor] | None = None,
    names: Sequence[str] = ("x", "y"),
    resolution: int = 200,
) -> None:
    """Points of the plane side by side: data, samples, and the model's density, on one logarithmic colour scale.

    Args:
        samples, data: (n, 2); fewer than 2,000 are drawn as points.
        log_density: (m, 2) to (m,) log-densities in nats, evaluated on a grid.
        names: of the axes.

    Raises:
        InputError: nothing to draw.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    clouds = {k: v.detach().cpu().double().numpy() for k, v in (("data", data), ("samples", samples)) if v is not None}
    if not clouds:
        raise InputError("there are no points to draw.", "Give samples or data.")
    limits = _limits(next(iter(clouds.values())))
    panels: dict[str, np.ndarray | None] = {}
    bins = int(np.clip(math.sqrt(min(len(points) for points in clouds.values())), 80, 160))
    for name, points in clouds.items():
        panels[name] = _histogram(points, limits, bins) if len(points) >= _FEW else None
    if log_density is not None:
        panels["model density"] = _evaluate(log_density, limits, resolution)
    fields = [field for field in panels.values() if field is not None]
    figure = Figure(figsize=(4.2 * len(panels) + (0.8 if fields else 0.0), 4.3), dpi=120, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    top = max((float(np.quantile(f[f > 0], 0.999)) for f in fields if (f > 0).any()), default=1.0)
    norm = LogNorm(top / 1e3, top, clip=True)
    drawn: Any = None
    for axis, (name, field) in zip(axes, panels.items()):
        _frame(axis, limits, names)
        axis.set_facecolor("white" if field is None else _lowest())
        if field is None:
            axis.plot(*clouds[name].T, ".", markersize=4, alpha=0.7, color="#31688e", markeredgewidth=0)
        else:
            extent = (*limits[0], *limits[1])
            shown = np.maximum(field.T, top / 1e3)
            drawn = axis.imshow(
                shown, extent=extent, origin="lower", norm=norm, cmap=_COLOURS, interpolation="nearest", aspect="auto"
            )
        axis.set_aspect("equal" if _comparable(limits) else "auto")
        axis.set_title(_title(name, clouds.get(name), limits), fontsize=11)
    if drawn is not None:
        figure.colorbar(drawn, ax=list(axes), label="density (log scale)", extend="min", shrink=0.9, pad=0.02)
    _save(figure, path)


def loss_plot(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Losses over training, one line each, with held-out values as dots and a line where a stage ends.

    Args:
        records: `{"round": int, "stage": str, "losses": {name: float}, "validation": float | None}` in order. Rounds
            may start again at each stage. Names starting with "_" are reported values, not losses: not drawn.

    Raises:
        InputError: no losses.
    """
    from matplotlib.figure import Figure

    series: dict[str, list[tuple[float, float]]] = {}
    held_out: list[tuple[float, float]] = []
    borders: list[tuple[float, str]] = []
    offset, last, stage = 0.0, 0.0, None
    for record in records:
        if record.get("stage") != stage:
            if float(record["round"]) <= last:
                offset += last
            stage = record.get("stage")
            borders.append((offset, str(stage)))
        last = float(record["round"])
        place = offset + last
        for name, value in (record.get("losses") or {}).items():
            if not name.startswith("_") and value is not None and math.isfinite(value):
                series.setdefault(name, []).append((place, float(value)))
        if (value := record.get("validation")) is not None and math.isfinite(value):
            held_out.append((place, float(value)))
    if not series and not held_out:
        raise InputError("there are no losses to draw.")
    figure = Figure(figsize=(7.5, 4.2), dpi=120, layout="constrained")
    axis = figure.subplots()
    for i, (name, points) in enumerate(series.items()):
        xs, ys = np.array(points).T
        smooth = _running_mean(ys)
        axis.plot(xs, ys, color=f"C{i}", alpha=0.25, linewidth=0.8)
        axis.plot(xs, smooth, color=f"C{i}", linewidth=1.6, label=name)
    if held_out:
        xs, ys = np.array(held_out).T
        axis.plot(xs, ys, "o-", color="black", markersize=4, linewidth=1, label="held-out")
    values = np.concatenate([np.array(p)[:, 1] for p in [*series.values(), held_out] if p])
    if values.min() > 0 and values.max() > 30 * values.min():
        axis.set_yscale("log")
    else:
        _robust_limits(axis, values)
    if len(borders) > 1:
        for place, name in borders:
            axis.axvline(place, color="0.75", linewidth=0.8, zorder=0)
            axis.annotate(
                name, (place, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), textcoords="offset points",
                fontsize=8, color="0.4", va="top",
            )  # fmt: skip
    axis.set_xlabel("round")
    axis.set_ylabel("loss")
    axis.margins(x=0.01)
    figure.legend(frameon=False, loc="outside right upper")
    axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


# ------------------------------------------------------------------------------------------------------- parts

Limits = tuple[tuple[float, float], tuple[float, float]]


def _limits(points: np.ndarray) -> Limits:
    """Ranges that hold 99.8% of the points, and a margin."""
    low, high = np.quantile(points, [0.001, 0.999], axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    low, high = low - margin, high + margin
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _comparable(limits: Limits) -> bool:
    width, height = limits[0][1] - limits[0][0], limits[1][1] - limits[1][0]
    return max(width, height) < 2.5 * min(width, height)


def _histogram(points: np.ndarray, limits: Limits, bins: int) -> np.ndarray:
    """Density estimate by counting: of all the points, those outside the limits included in the total."""
    counts, xs, ys = np.histogram2d(points[:, 0], points[:, 1], bins=bins, range=limits)
    return counts / (len(points) * (xs[1] - xs[0]) * (ys[1] - ys[0]))


def _evaluate(log_density: Callable[[Tensor], Tensor], limits: Limits, resolution: int) -> np.ndarray:
    centres = [
        torch.linspace(low, high, resolution + 1, dtype=torch.float64)[:-1] + (high - low) / (2 * resolution)
        for low, high in limits
    ]
    points = torch.cartesian_prod(*centres).float()
    with torch.no_grad():
        values = torch.cat([log_density(chunk).double().cpu() for chunk in points.split(8192)])
    return values.exp().view(resolution, resolution).numpy()


def _title(name: str, points: np.ndarray | None, limits: Limits) -> str:
    if points is None:
        return name
    inside = np.ones(len(points), dtype=bool)
    for j, (low, high) in enumerate(limits):
        inside &= (points[:, j] >= low) & (points[:, j] <= high)
    outside = len(points) - int(inside.sum())
    return f"{name} (n = {len(points):,}{f', {outside:,} outside' if outside else ''})"


def _frame(axis: Axes, limits: Limits, names: Sequence[str]) -> None:
    axis.set_xlim(*limits[0])
    axis.set_ylim(*limits[1])
    axis.set_xlabel(_short(names[0]))
    axis.set_ylabel(_short(names[1]))


def _lowest() -> Any:
    from matplotlib import colormaps

    return colormaps[_COLOURS](0.0)


def _short(name: str, length: int = 24) -> str:
    """A column's name as plain text: `$` would start a formula."""
    name = name if len(name) <= length else name[: length - 1] + "…"
    return name.replace("$", r"\$")


def _pairs(x: np.ndarray, names: Sequence[str], path: Path) -> None:
    from matplotlib.figure import Figure

    d = x.shape[1]
    figure = Figure(figsize=(1.9 * d + 0.6, 1.9 * d + 0.6), dpi=120, layout="constrained")
    axes = figure.subplots(d, d, squeeze=False)
    shown = x[:5000]
    for i in range(d):
        for j in range(d):
            axis = axes[i, j]
            if j > i:
                axis.set_visible(False)
                continue
            if i == j:
                axis.hist(x[:, i], bins=_bins(len(x)), color="#31688e")
                axis.set_yticks([])
            else:
                axis.plot(
                    shown[:, j],
                    shown[:, i],
                    ".",
                    markersize=4 if len(shown) < 2000 else 2,
                    alpha=0.6,
                    color="#31688e",
                    markeredgewidth=0,
                )
            axis.tick_params(labelsize=7, labelbottom=i == d - 1, labelleft=j == 0 and i > 0)
            if i == d - 1:
                axis.set_xlabel(_short(names[j]), fontsize=8)
                axis.tick_params(axis="x", rotation=30)
            if j == 0 and i > 0:
                axis.set_ylabel(_short(names[i]), fontsize=8)
    note = "" if len(shown) == len(x) else f" (points: the first {len(shown):,})"
    figure.suptitle(f"samples, n = {len(x):,}{note}", fontsize=10)
    _save(figure, path)


def _marginals(x: np.ndarray, names: Sequence[str], path: Path) -> None:
    from matplotlib.figure import Figure

    d = min(x.shape[1], 30)
    columns = min(d, 5)
    lines = math.ceil(d / columns)
    figure = Figure(figsize=(max(4.0, 2.3 * columns), 1.9 * lines + 0.8), dpi=120, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for j, axis in enumerate(axes):
        if j >= d:
            axis.set_visible(False)
            continue
        axis.hist(x[:, j], bins=_bins(len(x)), color="#31688e")
        axis.set_xlabel(_short(names[j]), fontsize=8)
        axis.set_yticks([])
        axis.tick_params(labelsize=7)
    note = "" if d == x.shape[1] else f", the first {d} of {x.shape[1]} columns"
    figure.suptitle(f"samples, n = {len(x):,}{note}", fontsize=10)
    _save(figure, path)


def _bins(n: int) -> int:
    return int(np.clip(2 * n ** (1 / 3), 10, 80))


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a window of 3% of the points, centred: it does not lag behind a falling loss."""
    half = len(values) // 66
    sums = np.cumsum(np.insert(values, 0, 0.0))
    places = np.arange(len(values))
    reach = np.minimum(half, np.minimum(places, len(values) - 1 - places))  # as far to the left as to the right
    return (sums[places + reach + 1] - sums[places - reach]) / (2 * reach + 1)


def _robust_limits(axis: Axes, values: np.ndarray) -> None:
    """Without the first few wild values, where they would flatten everything else."""
    low, high = np.quantile(values, [0.005, 0.98])
    margin = 0.1 * (high - low) or 0.1
    axis.set_ylim(max(low - margin, values.min() - margin), min(high + margin, values.max() + margin))


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from .write import replacing

    FigureCanvasAgg(figure)
    with replacing(Path(path)) as beside:
        figure.savefig(beside, format="png")
