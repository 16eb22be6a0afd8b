"""`python -m pushforward` is the `pushforward` command."""

from .cli import run

run()
