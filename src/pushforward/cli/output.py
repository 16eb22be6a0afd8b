"""What a command says: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


class Output:
    """Where a command writes.

    Args:
        as_json: stdout gets exactly one JSON document, the result or the error. debug: errors show their traceback.
    """

    def __init__(self, *, as_json: bool = False, debug: bool = False):
        self.as_json, self.debug = as_json, debug
        self.failed = False
        self.data: dict[str, Any] = {}  # options of a source, of the commands that load one

    def log(self, text: str) -> None:
        """A line on stderr."""
        print(text, file=sys.stderr, flush=True)

    def result(self, document: Any, show: Callable[[], None]) -> None:
        """The result: `document` with `--json`, else whatever `show` prints."""
        if self.as_json:
            print(json.dumps(plain(document), indent=2, ensure_ascii=False), flush=True)
        else:
            show()

    def fail(self, what: str, hint: str | None, code: int) -> int:
        """Say what went wrong; returns the exit code."""
        self.failed = True
        if self.as_json:
            document = {"error": {"message": what, "hint": hint, "exit_code": code}}
            print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)
        else:
            prefix = "" if code == 130 else "Error: "  # stopping on request is none
            self.log(f"{prefix}{what}" + (f" {hint}" if hint else ""))
        return code


def plain(value: Any) -> Any:
    """`value` as strict JSON can hold it: paths and dtypes as text, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # tensors, arrays and their scalars
        return plain(value.tolist())
    return str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table; numbers are aligned to the right. Lines are as long as they need to be outside a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", show_header=any(columns)
    )
    for k, name in enumerate(columns):
        number = bool(rows) and all(isinstance(row[k], (int, float)) or row[k] in (None, "-") for row in rows)
        made.add_column(Text(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell(value)) for value in row))
    console = Console(width=None if sys.stdout.isatty() else 240, highlight=False)
    with console.capture() as captured:
        console.print(made)
    for line in captured.get().splitlines():
        print(line.rstrip())


def cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def command_line(*words: str | Path | int) -> str:
    """`pushforward ...`, quoted so that it can be pasted."""
    return shlex.join(["pushforward", *map(str, words)])


def clock(seconds: float) -> str:
    """`0.31 s`, `12 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
