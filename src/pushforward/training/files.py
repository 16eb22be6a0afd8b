"""Writes that a kill at any instant cannot spoil: write beside, sync, rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, PushforwardError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


class WriteFailed(PushforwardError, OSError):
    """The disk is full or read-only. What was there before is untouched."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn operating-system write errors under `path` into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, PushforwardError):
            raise
        reasons = {
            errno.ENOSPC: ("the disk is full", "Free some space, then run the same command with --resume."),
            errno.EDQUOT: (
                "the disk quota is used up",
                "Free some space, then run the same command with --resume.",
            ),
            errno.EROFS: ("the file system is read-only", "Choose another folder with --out."),
            errno.EACCES: ("permission denied", "Choose another folder with --out."),
            errno.EPERM: ("permission denied", "Choose another folder with --out."),
        }
        why, hint = reasons.get(error.errno or 0, (error.strerror or str(error), ""))
        raise WriteFailed(f"cannot write {path}: {why}.", hint or None) from error


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def write_text(path: Path, text: str) -> None:
    """Replace a file's content in one step."""
    with explained(path):
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Replace a file by a JSON document, in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """A JSON document. Raises InputError when missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.", "Is this a run folder? `pushforward runs list` shows them.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged ({error}).") from None


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """A folder that appears whole or not at all: filled beside, hashed, synced, renamed.

    `manifest.json` (size and SHA-256 of every file) is written last. An existing folder is replaced.
    """
    with explained(path):
        temporary = path.with_name(f"{path.name}.tmp")
        old = path.with_name(f"{path.name}.old")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            fill(temporary)
            files = {}
            for file in sorted(temporary.iterdir()):
                _sync(file)
                files[file.name] = {"size": file.stat().st_size, "sha256": sha256(file)}
            write_json(temporary / "manifest.json", {"files": files})
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                os.replace(path, old)
            os.replace(temporary, path)
            _sync(path.parent)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            if old.exists() and not path.exists():
                os.replace(old, path)
            raise


def damage(path: Path) -> str | None:
    """What is wrong with a folder that `write_folder` wrote, or None: every file is checked by size and hash."""
    manifest = path / "manifest.json"
    if not manifest.is_file():
        return "its manifest is missing"
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        for name, expected in files.items():
            file = path / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != expected["size"]:
                return f"{name} has {file.stat().st_size} bytes instead of {expected['size']}"
            if sha256(file) != expected["sha256"]:
                return f"{name} has changed (its SHA-256 differs)"
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return "its manifest is damaged"
    return None


class Lock:
    """One process a run folder. Held until `release`, or until the process ends, however it ends."""

    def __init__(self, folder: Path):
        self.path = folder / ".lock"
        with explained(self.path):
            self.file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115
        if fcntl is None:
            return
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.file.seek(0)
            owner = self.file.read().strip()
            self.file.close()
            who = f" (process {owner})" if owner else ""
            raise InputError(
                f"{folder} is in use by another pushforward{who}.", "Wait for it, or choose another --out."
            ) from None
        self.file.truncate(0)
        self.file.write(str(os.getpid()))
        self.file.flush()

    def release(self) -> None:
        self.file.close()
