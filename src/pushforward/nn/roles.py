"""Networks by role. The data's shape decides the kind: perceptrons for (d,), convolutions for (c, h, w).

`settings.size` decides width and depth by one table; `settings.width` and `settings.depth` override it. Networks that
were built with `condition_features` take an embedding of the condition as their last argument, and only those do.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..config import NetworkSettings
from ..errors import InputError
from .convolutional import ConvolutionalCritic, ConvolutionalDecoder, ConvolutionalEncoder
from .mlp import ConditionalMLP, VectorField, leaky_relu
from .unet import UNet

# (width, depth) by kind of network and size.
SIZES: dict[str, dict[str, tuple[int, int]]] = {
    "mlp": {"s": (128, 2), "m": (256, 3), "l": (512, 4)},
    "vector field": {"s": (128, 3), "m": (256, 4), "l": (512, 6)},
    "convolutional": {"s": (32, 1), "m": (64, 2), "l": (128, 3)},
    "unet": {"s": (32, 1), "m": (64, 2), "l": (128, 3)},
}


def encoder(shape: Sequence[int], out: int, settings: NetworkSettings, condition_features: int = 0) -> nn.Module:
    """(x (n, *shape), embedding (n, condition_features) or None) to (n, out)."""
    if len(_checked(shape)) == 1:
        width, depth = numbers("mlp", settings)
        return ConditionalMLP(shape[0], out, width, depth, condition_features, dropout=settings.dropout)
    width, depth = numbers("convolutional", settings)
    return ConvolutionalEncoder(
        _image(shape), out, width, depth, condition_features=condition_features, dropout=settings.dropout
    )


def decoder(features: int, shape: Sequence[int], settings: NetworkSettings, condition_features: int = 0) -> nn.Module:
    """(z (n, features), embedding (n, condition_features) or None) to (n, *shape), linear in its last layer."""
    if len(_checked(shape)) == 1:
        width, depth = numbers("mlp", settings)
        return ConditionalMLP(features, shape[0], width, depth, condition_features, dropout=settings.dropout)
    width, depth = numbers("convolutional", settings)
    return ConvolutionalDecoder(
        features, _image(shape), width, depth, condition_features=condition_features, dropout=settings.dropout
    )


def critic(shape: Sequence[int], settings: NetworkSettings, condition_features: int = 0, out: int = 1) -> nn.Module:
    """(x (n, *shape), embedding (n, condition_features) or None) to (n, out) numbers without a last activation.

    LeakyReLU, and no normalization: each example's output depends on that example alone.
    """
    if len(_checked(shape)) == 1:
        width, depth = numbers("mlp", settings)
        return ConditionalMLP(
            shape[0], out, width, depth, condition_features, dropout=settings.dropout, activation=leaky_relu
        )
    width, depth = numbers("convolutional", settings)
    return ConvolutionalCritic(
        _image(shape), out, width, depth, condition_features=condition_features, dropout=settings.dropout
    )


def field(
    shape: Sequence[int],
    settings: NetworkSettings,
    condition_features: int = 0,
    out_shape: Sequence[int] | None = None,
) -> nn.Module:
    """(x (n, *shape), t (n,) in [0, 1], embedding or None) to (n, *(out_shape or shape)); zero at initialization.

    `out_shape` of an image has its height and width, and any number of channels.
    """
    out_shape = tuple(out_shape or shape)
    if len(_checked(shape)) == 1:
        width, depth = numbers("vector field", settings)
        return VectorField(
            shape[0],
            out_shape[0],
            width,
            depth,
            condition_features=condition_features,
            dropout=settings.dropout,
        )
    if out_shape[1:] != tuple(shape[1:]):
        raise ValueError(f"a field of images keeps their size: {tuple(shape)} to {out_shape}")
    width, depth = numbers("unet", settings)
    return UNet(
        _image(shape),
        out_shape[0],
        width,
        depth,
        condition_features=condition_features,
        dropout=settings.dropout,
    )


def numbers(kind: str, settings: NetworkSettings) -> tuple[int, int]:
    """(width, depth) of a kind of network: the table's for the size, unless overridden."""
    width, depth = SIZES[kind][settings.size]
    return settings.width or width, settings.depth or depth


def _checked(shape: Sequence[int]) -> Sequence[int]:
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise InputError(
            f"there is no network for data of shape {tuple(shape)}.",
            "Use vectors (d,) or images (channels, h, w).",
        )
    return shape


def _image(shape: Sequence[int]) -> tuple[int, int, int]:
    c, h, w = shape
    return c, h, w
