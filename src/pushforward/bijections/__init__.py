"""Invertible maps with log-determinants, and the preprocessing made of them.

One direction everywhere: `forward` goes from data to base, `inverse` from base to data.
"""

from .actnorm import ActNorm
from .base import Bijection, Chain
from .coupling import AffineCoupling
from .multiscale import Split, Squeezed
from .preprocess import Dequantize, Preprocess, Rescale, Standardize, default_preprocess

__all__ = [
    "ActNorm",
    "AffineCoupling",
    "Bijection",
    "Chain",
    "Dequantize",
    "Preprocess",
    "Rescale",
    "Split",
    "Squeezed",
    "Standardize",
    "default_preprocess",
]
