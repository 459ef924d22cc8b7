"""Check whether the terminal can show a full-screen console."""

from __future__ import annotations

import os
import sys

from core.contract.text.sanitize import sanitize
from core.errors import Problem

DUMB = ("", "dumb", "unknown")  # values of TERM whose terminals cannot move their cursor
LINES = "`trimtab status` prints plain lines, `trimtab attach --plain` goes on printing them"


def is_dumb() -> bool:
    """Tell whether the terminal shows only plain lines, according to TERM."""
    return os.environ.get("TERM", "") in DUMB


def is_interactive() -> bool:
    """Tell whether standard input and output are a terminal; either may be closed."""
    return all(_is_terminal(stream) for stream in (sys.stdin, sys.stdout))


def is_canvas() -> bool:
    """Tell whether standard error is a terminal too, since Textual draws there."""
    return _is_terminal(sys.__stderr__)


def find_locale_setting() -> str:
    """Return the variable that chose the locale, and its value."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if value := os.environ.get(name):
            return f"{name}={sanitize(value, 60)}"
    return "no locale is set"


def find_obstacle() -> Problem | None:
    """Return why the console cannot be drawn here; None if it can."""
    if not is_interactive():
        return Problem("the console needs a terminal", "standard input and output", LINES)
    if is_dumb():
        message = (
            "this terminal cannot move its cursor: "
            f"TERM={sanitize(os.environ.get('TERM', ''), 40) or '(empty)'}"
        )
        fix = f"{LINES}; where it can after all, export TERM=xterm-256color"
        return Problem(message, "environment variable TERM", fix)
    if not is_canvas():
        fix = f"send standard error nowhere else; {LINES}"
        return Problem("the console draws on standard error, which is not a terminal", "standard error", fix)
    return None


def _is_terminal(stream: object) -> bool:
    return stream is not None and not stream.closed and stream.isatty()  # type: ignore[attr-defined]
