"""Where decoded pictures live: in memory when they fit the budget, else in a memory-mapped file of a cache folder.

A cached file is named by the SHA-256 of what it was decoded from and how, so a changed folder is decoded again; it is
written beside its final name and moved there when complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError

if TYPE_CHECKING:
    from .decode import Plan
    from .source import ImageSource, Rejects

_VERSION = 2
"""Counts changes of what decoding gives."""


def cache_folder() -> Path:
    """`$PUSHFORWARD_CACHE`, or `pushforward` in the user's cache folder."""
    if own := os.environ.get("PUSHFORWARD_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushforward"


def decoded(source: ImageSource, plan: Plan, rejects: Rejects) -> tuple[np.ndarray, np.ndarray | None, Counter[str]]:
    """The pictures of `source` (n, c, h, w) uint8, the rows kept (None: all), and how many were changed in what way.

    Raises:
        InputError: too many bad pictures, or no room for the cached file.
    """
    n, shape = len(source.pictures), (plan.channels, plan.height, plan.width)
    if n * int(np.prod(shape)) <= source.options.memory_budget:
        x = np.empty((n, *shape), np.uint8)
        kept, changes = source.decode_into(x, plan, rejects)
    else:
        x, kept, changes = _mapped(source, plan, rejects, (n, *shape))
    x = x[: len(kept)]
    return x, None if len(kept) == n else np.array(kept, dtype=np.int64), changes


def _mapped(
    source: ImageSource, plan: Plan, rejects: Rejects, shape: tuple[int, ...]
) -> tuple[np.ndarray, list[int], Counter[str]]:
    path = cache_folder() / f"{_key(source, plan, shape)}.npy"
    account = path.with_suffix(".json")
    if not (path.exists() and account.exists()):
        _write(source, plan, rejects, shape, path, account)
    facts = json.loads(account.read_text("utf-8"))
    rejects.reasons.update(facts["skipped"])
    source.notes.append(f"decoded pictures ({path.stat().st_size / 2**30:.1f} GiB) are kept in {path}")
    # "c": pages are shared with the file and never written back.
    return np.load(path, mmap_mode="c", allow_pickle=False), facts["kept"], Counter(facts["changes"])


def _write(
    source: ImageSource, plan: Plan, rejects: Rejects, shape: tuple[int, ...], path: Path, account: Path
) -> None:
    needed = int(np.prod(shape))
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < needed:
            raise InputError(
                f"{source.where}: decoded, the pictures need {needed / 2**30:.1f} GiB; {path.parent} has less.",
                "Set PUSHFORWARD_CACHE to a larger disk, or choose a smaller image_size=.",
            )
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        kept, changes = source.decode_into(out, plan, rejects)
        out.flush()
        del out
        facts: dict[str, Any] = {"kept": kept, "changes": changes, "skipped": rejects.reasons}
        temporary.with_suffix(".facts").write_text(json.dumps(facts), "utf-8")
        os.replace(temporary.with_suffix(".facts"), account)
        os.replace(temporary, path)  # last: its presence says that both are complete
    except OSError as error:
        raise InputError(
            f"{source.where}: the decoded pictures cannot be kept in {path.parent}: {error}.",
            "Set PUSHFORWARD_CACHE to a folder that can be written.",
        ) from None
    finally:
        for left in (temporary, temporary.with_suffix(".facts")):
            with contextlib.suppress(OSError):
                left.unlink()


def _key(source: ImageSource, plan: Plan, shape: tuple[int, ...]) -> str:
    digest = hashlib.sha256(f"{_VERSION}:{shape}:{plan.fit}:".encode())
    for piece in source.pictures.digest_parts():
        digest.update(piece)
    return digest.hexdigest()
