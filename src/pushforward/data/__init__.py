"""Data: from whatever the user has to examples in a `Space`, and from samples back to files.

`load` reads a source and splits it; `read_like` reads new data for a trained model; `write_samples` writes samples
in the user's own terms, `to_table` makes them a table in memory; `pictures` draws them.
"""

from __future__ import annotations

from .data import Data, load
from .read import read_like
from .write import to_table, write_samples

__all__ = ["Data", "load", "read_like", "to_table", "write_samples"]
