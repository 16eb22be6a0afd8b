"""Invertible maps with log-determinants, and the preprocessing made of them.

One direction everywhere: `forward` goes from data to base, `inverse` from base to data.
"""

from .base import Bijection, Chain
from .preprocess import Dequantize, Preprocess, Rescale, Standardize, default_preprocess

__all__ = ["Bijection", "Chain", "Dequantize", "Preprocess", "Rescale", "Standardize", "default_preprocess"]
