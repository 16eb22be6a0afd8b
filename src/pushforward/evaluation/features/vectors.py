"""Vectors as features: columns standardized, points of a sphere as they are, angles by cosine and sine."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data import Data
from ...errors import InputError
from ...spaces import Real, Sphere, Torus
from .maps import Map, block_of, digest, is_picture, row_limit, training_rows


def standardized(data: Data) -> tuple[str, Map]:
    r"""The id and the map of vectors.

    ============  ================  ====================================================================
    space         id                features
    ============  ================  ====================================================================
    real numbers  `standardized`    :math:`(x_j - \bar x_j) / s_j` by the training rows
    sphere        `unit-vectors`    the vectors themselves
    torus         `cos-sin`         :math:`(\cos\theta_1, ..., \cos\theta_d, \sin\theta_1, ..., \sin\theta_d)`
    ============  ================  ====================================================================

    Raises:
        InputError: the data are not vectors.
    """
    space = data.space
    if isinstance(space, Sphere):
        name = f"the unit vectors of R^{space.shape[0]} themselves"
        return "unit-vectors", Map(space.shape[0], name, digest("unit-vectors/1", space.shape), lambda x: x.double())
    if isinstance(space, Torus):
        return "cos-sin", Map(
            2 * space.shape[0],
            "cosine and sine of each angle",
            digest("cos-sin/1", space.shape),
            lambda x: torch.cat([x.double().cos(), x.double().sin()], 1),
        )
    if not isinstance(space, Real) or is_picture(space):
        raise InputError(
            f"features 'standardized' are of vectors, and the data are {space.describe()}.",
            "Pictures have pca64 and random, tables encoded, sequences of tokens ngrams.",
        )
    d = space.dimensions
    rows = training_rows(data, row_limit(d))
    mean, scale = moments(rows.flatten(1).double())
    about = "columns minus their training mean, divided by their training standard deviation"
    return "standardized", Map(
        d,
        about,
        digest("standardized/1", space.shape, rows),
        lambda x: (x.flatten(1).double() - mean) / scale,
        block_of(d),
    )


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scale (d,) of rows (n, d): standard deviations, and of a constant column its size or 1, if larger.

    A constant column then shows a sample that differs by its relative difference, and divides nothing by 0.
    """
    unit = x.abs().amax(0).clamp_min(1e-300)  # squares of large numbers stay in range
    mean = (x / unit).mean(0) * unit
    deviation = (x / unit - mean / unit).square().mean(0).sqrt() * unit
    constant = (x == x[:1]).all(0)
    mean = torch.where(constant, x[0], mean)
    usable = ~constant & (deviation > 0)
    return mean, torch.where(usable, deviation, x[0].abs().clamp_min(1.0))
