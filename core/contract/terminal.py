"""Can a full-screen console be drawn here?"""

from __future__ import annotations

import os
import sys

DUMB = ("", "dumb", "unknown")  # values of TERM whose terminals cannot move their cursor


def is_dumb() -> bool:
    """Is the terminal one that shows lines and nothing else, as TERM says?"""
    return os.environ.get("TERM", "") in DUMB


def is_there() -> bool:
    """Are standard input and output a terminal? Either may be closed."""
    streams = (sys.stdin, sys.stdout)
    return all(one is not None and not one.closed and one.isatty() for one in streams)
