"""Asks the terminal for its background colour (OSC 11), before the console draws."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import time
import tty

QUESTION = b"\x1b]11;?\x1b\\\x1b[c"  # every terminal answers the second: then no answer to the first comes
ANSWER = re.compile(rb"\x1b\]11;rgb:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)")
LAST = re.compile(rb"\x1b\[\?[0-9;]*c")
WITHIN_S = 1.0
KNOWN = (
    "xterm",
    "tmux",
    "screen",
    "rxvt",
    "foot",
    "alacritty",
    "kitty",
    "wezterm",
    "ghostty",
    "konsole",
    "vte",
)


def ask(term: str, within_s: float = WITHIN_S) -> tuple[int, int, int] | None:
    """Return red, green and blue from 0 to 255; None where the terminal does not say. ``term`` is TERM: some
    terminals print what they do not know."""
    if not term.startswith(KNOWN) or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    fileno = sys.stdin.fileno()
    with contextlib.suppress(OSError, termios.error):
        before = termios.tcgetattr(fileno)
        try:
            tty.setcbreak(fileno, termios.TCSANOW)
            os.write(sys.stdout.fileno(), QUESTION)
            return read_color(_read(fileno, within_s))
        finally:
            termios.tcsetattr(fileno, termios.TCSANOW, before)
    return None


def _read(fileno: int, within_s: float) -> bytes:
    answer, until = b"", time.monotonic() + within_s
    while not LAST.search(answer) and (left_s := until - time.monotonic()) > 0:
        if select.select([fileno], [], [], left_s)[0]:
            answer += os.read(fileno, 1024)
    return answer


def read_color(answer: bytes) -> tuple[int, int, int] | None:
    """Return the colour in an answer such as ``rgb:ffff/ffff/ffff``, of one to four digits each."""
    color_match = ANSWER.search(answer)
    if color_match is None:
        return None
    red, green, blue = (round(int(part, 16) / (16 ** len(part) - 1) * 255) for part in color_match.groups())
    return red, green, blue
