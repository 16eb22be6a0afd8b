"""The features of a network that nobody trained: weights from a seed, outputs standardized by training rows.

Random convolutions and ReLUs see textures, edges and higher moments that linear projections do not, and nothing about
the data but two moments of each output is learned.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data import Data
from ...noise import mix_seed
from .maps import Map, block_of, capped, digest, in_blocks, is_picture, training_rows
from .networks import Layers, inputs, weights
from .pca import flat
from .vectors import moments

DIMENSION = 64
LARGE = Layers(((32, 5, 2), (64, 3, 2)), ())
SMALL = Layers(((32, 3, 1), (64, 3, 2)), ())
_GRID = 3
_HIDDEN = 256
_PICTURES = 4_000
_CONSTANT = 1e-6


def random_network(data: Data, n: int | None = None, seed: int = 0) -> tuple[str, Map]:
    """The id ("random", or "random9" when n samples bear fewer than 64 dimensions) and the map.

    Pictures: two layers of convolutions (5x5 and 3x3, each halving the size; for pictures below 16 pixels 3x3, and only
    the second halves) with ReLUs, averaged over a grid of 3x3 places and projected. All others: 256 ReLUs on the base
    features, projected.
    """
    dimension = capped(DIMENSION, n)
    seed = mix_seed(seed, 92)
    picture = is_picture(data.space)
    rows = training_rows(data, _PICTURES) if picture else training_rows(data)
    raw = _pictures(data, rows, dimension, seed) if picture else _vectors(data, n, dimension, seed)
    found = in_blocks(raw.apply, rows, dimension, raw.block)
    mean, scale = moments(found)
    # An output that does not vary on the training rows is left in its own unit instead of dividing by rounding errors.
    scale = torch.where(scale > _CONSTANT * found.abs().amax(0), scale, found.abs().amax(0).clamp_min(1.0))
    name = "random" if dimension == DIMENSION else f"random{dimension}"
    return name, Map(
        dimension,
        raw.about,
        digest("random/1", raw.hash, dimension, rows),
        lambda x: (raw.apply(x).double() - mean) / scale,
        raw.block,
    )


def _pictures(data: Data, rows: Tensor, dimension: int, seed: int) -> Map:
    enter = inputs(data.space, rows)
    layers = LARGE if max(enter.shape[1:]) >= 16 else SMALL
    parameters = layers.draw(seed, enter.shape)
    # Biases move the kinks of the ReLUs away from 0.
    for i in range(1, len(parameters), 2):
        parameters[i] = 0.5 * weights(seed, 10 + i, len(parameters[i]), 6)[:, 0]
    last = weights(seed, 40, dimension, _GRID**2 * layers.convolutions[-1][0])

    def apply(x: Tensor) -> Tensor:
        h = F.adaptive_avg_pool2d(layers.convolve(parameters, enter(x)), _GRID)
        return F.linear(h.flatten(1), last)

    return Map(
        dimension,
        "a random convolutional network of two layers, its outputs standardized by training pictures",
        digest("random pictures/1", enter.space.to_json(), enter.shift, enter.scale, *parameters, last),
        apply,
        min(256, block_of(data.space.dimensions)),
    )


def _vectors(data: Data, n: int | None, dimension: int, seed: int) -> Map:
    base = flat(data, n)
    first = weights(seed, 0, _HIDDEN, base.dimension).double()
    bias = weights(seed, 10, _HIDDEN, 6)[:, 0].double()
    last = weights(seed, 40, dimension, _HIDDEN).double()
    return Map(
        dimension,
        f"a random network of {_HIDDEN} ReLUs on {base.about}, its outputs standardized by training rows",
        digest("random vectors/1", base.hash, first, bias, last),
        lambda x: F.linear(F.relu(F.linear(base.apply(x).double(), first, bias)), last),
        base.block,
    )
