"""`python -m pushforward` is the `pushforward` command."""

import sys

from .cli import main

sys.exit(main())
