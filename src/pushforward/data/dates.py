"""Dates and moments: Arrow's types and text in a known format, as seconds since 1970-01-01 (UTC), and back.

Seconds in float64 are exact to the microsecond from 1698 to 2242, and to the second always.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def seconds(cells: pa.ChunkedArray) -> np.ndarray:
    """Dates, moments or times of day (n,) as seconds, NaN where missing; nanoseconds are rounded to microseconds."""
    kind = cells.type
    gone = cells.is_null().to_numpy()
    if pa.types.is_date32(kind):
        whole, per = cells.cast(pa.int32()).cast(pa.int64()), 0
    elif pa.types.is_date64(kind):
        whole, per = cells.cast(pa.int64()), 1_000
    else:
        whole = cells.cast(pa.int32()).cast(pa.int64()) if pa.types.is_time32(kind) else cells.cast(pa.int64())
        per = _PER_SECOND[kind.unit]
    counts = whole.fill_null(0).to_numpy()
    if per == 0:
        values = counts * 86400.0
    elif per == 1_000_000_000:
        values = np.round(counts / 1000.0) / 1e6 if abs(counts).max(initial=0) < 1 << 53 else _from_nanoseconds(counts)
    else:
        values = counts / per
    return np.where(gone, np.nan, values)


def _from_nanoseconds(counts: np.ndarray) -> np.ndarray:
    return ((counts + 500) // 1000) / 1e6


def from_seconds(values: np.ndarray, gone: np.ndarray, stored: pa.DataType) -> pa.Array:
    """Seconds as cells of a date, timestamp or time type; `gone` marks missing cells. Times of day stay in the day."""
    values = np.where(gone, 0.0, values)
    if pa.types.is_date(stored):
        days = np.floor(values / 86400 + 1e-9).astype(np.int32)
        return pa.array(days, pa.int32(), mask=gone).cast(pa.date32()).cast(stored)
    per = _PER_SECOND[stored.unit]
    whole = np.floor(values)
    fine = min(per, 1_000_000)
    counts = whole.astype(np.int64) * fine + np.round((values - whole) * fine).astype(np.int64)
    counts *= per // fine
    if pa.types.is_time(stored):
        counts = np.clip(counts, 0, 86400 * per - 1)
        if pa.types.is_time32(stored):
            return pa.array(counts.astype(np.int32), mask=gone).cast(stored)
    return pa.array(counts, mask=gone).cast(stored)


def strictly(cells: pa.ChunkedArray, format: str, name: str, where: str) -> np.ndarray:
    raise NotImplementedError


def write(values: np.ndarray, gone: np.ndarray, format: str) -> pa.Array:
    raise NotImplementedError
