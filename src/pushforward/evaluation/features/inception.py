"""The Inception network of the Frechet inception distance, for weights that the user brings.

Inception v3 (Szegedy et al. 2016, arXiv:1512.00567, table 1) as in TensorFlow's file of 2015-12-05, which FID (Heusel
et al. 2017, arXiv:1706.08500) and the Inception score (Salimans et al. 2016, arXiv:1606.03498) are defined by:

* pictures 0..255 are resized to 299x299 as TensorFlow 1 did (`resize`), then (x - 128) / 128;
* averages over 3x3 leave out the padding; in the last block the pooled branch is a maximum instead of an average;
* 1,008 classes; the score's probabilities are the softmax of the logits *without* their bias, as in its code;
* batch normalization with epsilon 0.001, its statistics being part of the weights.

Names of the weights are those that conversions to PyTorch use (`Mixed_5b.branch1x1.conv.weight`, ...). Without these
weights there is no FID, and no other features are called so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import Data
from ...errors import InputError
from ...spaces import Pixels
from .base import Features
from .maps import Map, as_features, digest

SIZE = 299
DIMENSION = 2048
CLASSES = 1008
_EPSILON = 1e-3
_BLOCK = 4


class Conv(NamedTuple):
    """A convolution with batch normalization and a ReLU; padded to keep the size unless `valid`."""

    name: str
    channels: int
    height: int = 1
    width: int = 1
    stride: int = 1
    valid: bool = False


Branch = tuple["Conv | str | tuple[Conv, ...]", ...]
"""Layers one after another: convolutions, a pooling by name, or two convolutions side by side."""

_STEM: tuple[Conv | str, ...] = (
    Conv("Conv2d_1a_3x3", 32, 3, 3, 2, True),
    Conv("Conv2d_2a_3x3", 32, 3, 3, 1, True),
    Conv("Conv2d_2b_3x3", 64, 3, 3),
    "halve",
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, 3, 3, 1, True),
    "halve",
)


def _a(pooled: int) -> tuple[Branch, ...]:
    return (
        (Conv("branch1x1", 64),),
        (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, 5, 5)),
        (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, 3, 3), Conv("branch3x3dbl_3", 96, 3, 3)),
        ("average", Conv("branch_pool", pooled)),
    )


def _b() -> tuple[Branch, ...]:
    return (
        (Conv("branch3x3", 384, 3, 3, 2, True),),
        (
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, 3, 3),
            Conv("branch3x3dbl_3", 96, 3, 3, 2, True),
        ),
        ("halve",),
    )


def _c(k: int) -> tuple[Branch, ...]:
    return (
        (Conv("branch1x1", 192),),
        (Conv("branch7x7_1", k), Conv("branch7x7_2", k, 1, 7), Conv("branch7x7_3", 192, 7, 1)),
        (
            Conv("branch7x7dbl_1", k),
            Conv("branch7x7dbl_2", k, 7, 1),
            Conv("branch7x7dbl_3", k, 1, 7),
            Conv("branch7x7dbl_4", k, 7, 1),
            Conv("branch7x7dbl_5", 192, 1, 7),
        ),
        ("average", Conv("branch_pool", 192)),
    )


def _d() -> tuple[Branch, ...]:
    return (
        (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, 3, 3, 2, True)),
        (
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, 1, 7),
            Conv("branch7x7x3_3", 192, 7, 1),
            Conv("branch7x7x3_4", 192, 3, 3, 2, True),
        ),
        ("halve",),
    )


def _e(pool: str) -> tuple[Branch, ...]:
    return (
        (Conv("branch1x1", 320),),
        (Conv("branch3x3_1", 384), (Conv("branch3x3_2a", 384, 1, 3), Conv("branch3x3_2b", 384, 3, 1))),
        (
            Conv("branch3x3dbl_1", 448),
            Conv("branch3x3dbl_2", 384, 3, 3),
            (Conv("branch3x3dbl_3a", 384, 1, 3), Conv("branch3x3dbl_3b", 384, 3, 1)),
        ),
        (pool, Conv("branch_pool", 192)),
    )


_BLOCKS: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": _b(),
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": _d(),
    "Mixed_7b": _e("average"),
    "Mixed_7c": _e("maximum"),
}


def pool(x: Tensor, how: str) -> Tensor:
    """3x3 pooling: "halve" (maximum, stride 2, no padding), "maximum", or "average" of the pixels that are there."""
    if how == "halve":
        return F.max_pool2d(x, 3, 2)
    if how == "maximum":
        return F.max_pool2d(x, 3, 1, 1)
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def shapes() -> dict[str, tuple[int, ...]]:
    """Name to shape of all weights."""
    found: dict[str, tuple[int, ...]] = {}

    def add(prefix: str, conv: Conv, entering: int) -> int:
        base = f"{prefix}{conv.name}"
        found[f"{base}.conv.weight"] = (conv.channels, entering, conv.height, conv.width)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{base}.bn.{part}"] = (conv.channels,)
        return conv.channels

    channels = 3
    for convolution in (layer for layer in _STEM if isinstance(layer, Conv)):
        channels = add("", convolution, channels)
    for name, branches in _BLOCKS.items():
        leaving = 0
        for branch in branches:
            width = channels
            for layer in branch:
                if isinstance(layer, Conv):
                    width = add(f"{name}.", layer, width)
                elif not isinstance(layer, str):
                    width = sum([add(f"{name}.", side, width) for side in layer])
            leaving += width
        channels = leaving
    return {**found, "fc.weight": (CLASSES, channels), "fc.bias": (CLASSES,)}


class Inception:
    """The network with its weights, batch normalization being folded into the convolutions.

    Args:
        weights: by name, of exactly the shapes of `shapes`.
    """

    def __init__(self, weights: Mapping[str, Tensor]):
        names = [name.removesuffix(".conv.weight") for name in weights if name.endswith(".conv.weight")]
        self.kernels = {name: _folded(weights, name) for name in names}
        self.last = weights["fc.weight"].float()

    def features(self, x: Tensor) -> Tensor:
        """(n, 2048) of pictures (n, 3, h, w) with values 0..255."""
        h = (resize(x.float()) - 128) / 128
        for layer in _STEM:
            h = pool(h, layer) if isinstance(layer, str) else self._conv("", layer, h)
        for name, branches in _BLOCKS.items():
            h = torch.cat([self._branch(f"{name}.", branch, h) for branch in branches], 1)
        return h.mean((2, 3))

    def probabilities(self, features: Tensor) -> Tensor:
        """(n, 1008) float64: the softmax of the logits without their bias."""
        return F.linear(features, self.last).double().softmax(1)

    def _branch(self, prefix: str, branch: Branch, h: Tensor) -> Tensor:
        for layer in branch:
            if isinstance(layer, str):
                h = pool(h, layer)
            elif isinstance(layer, Conv):
                h = self._conv(prefix, layer, h)
            else:
                h = torch.cat([self._conv(prefix, side, h) for side in layer], 1)
        return h

    def _conv(self, prefix: str, conv: Conv, h: Tensor) -> Tensor:
        kernel, bias = self.kernels[prefix + conv.name]
        padding = (0, 0) if conv.valid else (conv.height // 2, conv.width // 2)
        return F.relu(F.conv2d(h, kernel, bias, conv.stride, padding))


def _folded(weights: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    r"""Kernel and bias of a convolution after :math:`\gamma (x - \mu) / \sqrt{v + \epsilon} + \beta`."""
    part = {p: weights[f"{name}.bn.{p}"].double() for p in ("weight", "bias", "running_mean", "running_var")}
    scale = part["weight"] / (part["running_var"] + _EPSILON).sqrt()
    kernel = weights[f"{name}.conv.weight"].double() * scale[:, None, None, None]
    return kernel.float(), (part["bias"] - part["running_mean"] * scale).float()


def resize(x: Tensor) -> Tensor:
    r"""Pictures (n, c, h, w) to 299x299 as TensorFlow 1 did: bilinear, without antialiasing.

    Output pixel i looks at :math:`i \, h / 299`: corners, not centres, of pixels are aligned at the upper left.
    """
    rows = _interpolation(x.shape[2], SIZE).to(x.dtype)
    columns = _interpolation(x.shape[3], SIZE).to(x.dtype)
    return rows @ x @ columns.T


@functools.lru_cache(16)
def _interpolation(entering: int, leaving: int) -> Tensor:
    """(leaving, entering) weights of linear interpolation at i * entering / leaving; the last pixel goes on."""
    place = torch.arange(leaving, dtype=torch.float64) * entering / leaving
    low = place.floor().long()
    high = (low + 1).clamp_max(entering - 1)
    share = place - low
    at = torch.arange(leaving)
    matrix = torch.zeros(leaving, entering, dtype=torch.float64)
    matrix.index_put_((at, low), 1 - share, accumulate=True)
    return matrix.index_put_((at, high), share, accumulate=True)


# --------------------------------------------------------------------------------------------- the features


def inception(data: Data, file: str | Path | None) -> Features:
    """The 2,048 pooled features of pictures, and the 1,008 probabilities, with the weights of a safetensors file.

    Raises:
        InputError: the data are not pixels of 1 or 3 channels; no file, not safetensors, or other names and shapes.
    """
    space = data.space
    if not isinstance(space, Pixels) or space.channels not in (1, 3):
        raise InputError(
            f"features 'inception' are of grey or colour pictures, and the data are {space.describe()}.",
            "Use other features (pca64, random, onnx).",
        )
    weights, where = load_weights(file)
    network = Inception(weights)
    top = space.levels - 1

    def pixels(x: Tensor) -> Tensor:
        return (x.float() * (255 / top) if top != 255 else x.float()).expand(-1, 3, -1, -1)

    def apply(x: Tensor) -> Tensor:
        return network.features(pixels(x))

    def probabilities(x: Tensor) -> Tensor:
        return network.probabilities(apply(x))

    hash = digest("inception/1", space.levels, sorted(weights), *(weights[name] for name in sorted(weights)))
    about = f"the 2,048 pooled features of Inception v3 with the weights of {where}"
    return as_features("inception", Map(DIMENSION, about, hash, apply, _BLOCK), space, probabilities, CLASSES)


def load_weights(file: str | Path | None) -> tuple[dict[str, Tensor], str]:
    """The weights of a safetensors file whose names and shapes are exactly those of `shapes`, and the file's name.

    Counts of batches (`num_batches_tracked`), which have no part in the result, may be there and are left out.

    Raises:
        InputError: no file, another kind of file (pickles are never opened), or weights of another network.
    """
    if file is None:
        raise InputError(
            "features 'inception' need the weights of the FID's Inception network.",
            "Give file=WEIGHTS.safetensors; without them use pca64, classifier or random.",
        )
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {str(file)!r}.", "Features 'inception' need a safetensors file.")
    if path.suffix.lower() != ".safetensors":
        raise InputError(
            f"{path.name} is not a safetensors file by its name.",
            "Pickles (.pt, .pth) are never opened: convert it once with safetensors.torch.save_file.",
        )
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as opened:
            names = [name for name in opened.keys() if not name.endswith(".num_batches_tracked")]  # noqa: SIM118
            found = {name: tuple(opened.get_slice(name).get_shape()) for name in names}
            _compare(found, path.name)
            weights = {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path.name} is damaged or not a safetensors file: {error}.") from None
    for name, value in weights.items():
        if not value.is_floating_point() or not bool(value.isfinite().all()):
            raise InputError(f"{path.name}: {name!r} is not made of finite real numbers.")
    return weights, path.name


def _compare(found: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Raises InputError with the first differences from `shapes`."""
    first = list(_differences(found))
    if first:
        more = f"; and {len(first) - 5} more" if len(first) > 5 else ""
        raise InputError(
            f"{where} does not hold the weights of the FID's Inception network: {'; '.join(first[:5])}{more}.",
            "Names and shapes must match exactly (1,008 classes, no auxiliary classifier).",
        )


def _differences(found: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    expected = shapes()
    for name, shape in expected.items():
        if name not in found:
            yield f"{name} is missing"
        elif found[name] != shape:
            yield f"{name} has shape {found[name]}, not {shape}"
    for name in found:
        if name not in expected:
            yield f"{name} is not known"
