"""Progress for people: a bar with rate, ETA and losses on a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from .records import Record


def _losses(record: Record, held_out: float | None) -> str:
    parts = [f"{k.lstrip('_')} {v:.4g}" for k, v in record.losses.items() if not k.startswith("_")]
    if held_out is not None:
        parts.append(f"held-out {held_out:.4g}")
    return "  ".join(parts)


class Progress:
    """Shows records and log lines on stderr, and keeps the log lines in a file.

    Args:
        log_file: also gets every line with its time; None keeps nothing.
        show: False prints nothing.
        stream: a terminal gets a bar; anything else a line every `seconds`.
        sink: takes the log lines instead of the stream.
    """

    def __init__(
        self,
        log_file: Path | None = None,
        *,
        show: bool = True,
        stream: TextIO | None = None,
        seconds: float = 5.0,
        sink: Callable[[str], None] | None = None,
    ):
        self.log_file, self.show, self.seconds, self.sink = log_file, show, seconds, sink
        self.stream = stream if stream is not None else sys.stderr
        self.held_out: float | None = None
        self._bar: Any = None
        self._task: Any = None
        self._stage: str | None = None
        self._printed = 0.0
        self._last = (0, time.monotonic())
        self._rate = 0.0

    def log(self, text: str, *, only_file: bool = False) -> None:
        """A line for the user, and for the log file."""
        if self.log_file is not None:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
            with open(self.log_file, "a", encoding="utf-8") as file:
                file.write(f"{stamp} {text}\n")
        if only_file:
            return
        if self.sink is not None:
            self.sink(text)
        elif not self.show:
            return
        elif self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    def tick(self, stage: str, done: int, total: int) -> None:
        """After every round: cheap. Opens the bar on the first one."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._last, self._rate, self._printed = stage, (done, now), 0.0, now
            self.held_out = None
            self._open(stage, done, total)
            return
        if now - self._last[1] >= 0.5:
            self._rate = (done - self._last[0]) / (now - self._last[1])
            self._last = (done, now)
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def record(self, record: Record) -> None:
        if record.validation is not None:
            self.held_out = record.validation
        if not self.show:
            return
        text = _losses(record, self.held_out)
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, losses=text)
        elif now - self._printed >= self.seconds or record.round == record.rounds:
            self._printed = now
            left = (record.rounds - record.round) / self._rate if self._rate else None
            eta = "" if left is None or record.round == record.rounds else f"  ETA {_clock(left)}"
            rate = f"  {self._rate:.4g} steps/s" if self._rate else ""
            print(
                f"{record.stage} {record.round:,}/{record.rounds:,}{rate}{eta}  {text}",
                file=self.stream,
                flush=True,
            )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._stage = None

    def _open(self, stage: str, done: int, total: int) -> None:
        if not (self.show and self.stream.isatty()):
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        if self._bar is not None:
            self._bar.stop()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _speed_column(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[losses]}"),
            console=Console(file=self.stream),
        )
        self._task = self._bar.add_task(stage, total=total, completed=done, losses="")
        self._bar.start()


def _speed_column() -> Any:
    """Steps a second, as a column of the bar."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:.4g} steps/s" if task.speed else "", style="progress.data.speed")

    return Speed()


def _clock(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
