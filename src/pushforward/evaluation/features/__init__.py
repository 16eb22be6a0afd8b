"""Named feature spaces: what distances between samples and data are measured in.

A distance is a number about a feature space as much as about a model. Each space here has an id, a description and a
hash; distances in spaces of different hashes are not comparable, and `check_same` refuses them.
"""

from __future__ import annotations

from .base import Features, check_same
from .make import NAMES, default_features, make_features

__all__ = ["NAMES", "Features", "check_same", "default_features", "make_features"]
