"""The command line, one module a command.

Help, completion and bad usage answer before torch is imported: whatever is heavy is imported inside the commands.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from ..errors import PushforwardError
from .output import Output


def __getattr__(name: str) -> Any:
    if name == "app":
        from .app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failure, 2 bad usage or input, 130 interrupted.

    Every error is one sentence on stderr, or one JSON document on stdout with `--json`; tracebacks only with `--debug`.
    """
    from .app import app

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Read here as well as by the parser, because they also say how an error of the parser is shown.
    out = Output(as_json="--json" in arguments, debug="--debug" in arguments)
    try:
        code = app(arguments, standalone_mode=False, prog_name="pushforward", obj=out)
        if code == 130 and not out.failed:
            return out.fail("interrupted.", None, 130)
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return out.fail("interrupted.", None, 130)
    except PushforwardError as error:
        return _failed(out, error.what, error.hint, error.exit_code)
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _failed(out, "out of memory.", "Use less data, smaller batches or a smaller model.", 1)
    except Exception as error:
        message = getattr(error, "format_message", None)
        if callable(message):  # bad usage, found by the parser (typer keeps the class to itself)
            return out.fail(_sentence(message()), _help_line(error), getattr(error, "exit_code", 2))
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
            return _failed(
                out, "out of memory on the device.", "Use smaller batches, fewer samples or --device cpu.", 1
            )
        if type(error).__name__ == "Abort":
            return out.fail("aborted.", None, 1)
        if isinstance(error, OSError):
            return _failed(out, f"{error.strerror or error}: {error.filename or ''}".rstrip(": ") + ".", None, 1)
        return _failed(out, _sentence(f"{type(error).__name__}: {error}"), "This is a bug: --debug shows where.", 1)


def run() -> None:
    """`main` as a process: ends at once with its exit code.

    Threads of the libraries that read tables may still be winding down, and tearing them down with the interpreter has
    ended commands by a signal instead of by their code. All files are closed and all output is flushed by then.
    """
    try:
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 1
    os._exit(code)


def _failed(out: Output, what: str, hint: str | None, code: int) -> int:
    if out.debug:
        traceback.print_exc()
    return out.fail(what, hint, code)


def _sentence(text: str) -> str:
    """One line that ends with a full stop."""
    line = " ".join(text.split())
    return line if line.endswith((".", "?", "!", ")")) else f"{line}."


def _help_line(error: Any) -> str | None:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help` shows the usage." if context is not None else None


__all__ = ["app", "main", "run"]
