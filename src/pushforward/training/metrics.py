"""The numbers of a run, as they come: metrics.jsonl, and TensorBoard when asked for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config import TrainingSettings
from ..errors import InputError
from .files import explained, write_text
from .records import Record


class Metrics:
    """metrics.jsonl, and TensorBoard when asked for."""

    def __init__(self, path: Path | None, settings: TrainingSettings):
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._board: Any = None
        if path is not None and settings.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError("TensorBoard is not installed.", "pip install 'pushforward[tensorboard]'") from None
            self._board = SummaryWriter(str(path.parent / "tensorboard"))

    def add(self, record: Record) -> None:
        row = asdict(record)
        self.seconds = record.seconds
        self.records.append(row)
        if self.path is not None:
            with explained(self.path), open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, value in row["losses"].items():
                self._board.add_scalar(f"{record.stage}/{name.lstrip('_')}", value, record.step)
            if record.validation is not None:
                self._board.add_scalar(f"{record.stage}/held-out", record.validation, record.step)

    def rewind(self, step: int) -> None:
        """Forget what came after the checkpoint that training goes on from."""
        if self.path is None or not self.path.is_file():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            if row["step"] <= step:
                kept.append(row)
        self.records = kept
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
