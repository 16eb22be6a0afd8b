"""How much memory something takes at its highest."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import torch


class Peak:
    """The highest memory of this process since it was made, in bytes, where the system tells."""

    def __init__(self) -> None:
        self.exact = False
        # Linux forgets the old peak on request; elsewhere the process's own highest is all that is known.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self.exact = True
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def bytes(self) -> int:
        """Of the device if there is one, else of main memory."""
        if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
            return int(torch.cuda.max_memory_allocated())
        if self.exact:
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
