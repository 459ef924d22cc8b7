"""What the terminal can do, from the environment and its terminfo entry."""

from __future__ import annotations

import curses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from rich.color import ColorSystem

from tui.terminal import glyph_fallback

FEW_GLYPHS = ("vt", "ansi", "cons25", "xterm-mono", "sun")  # beginnings of the TERM of ASCII terminals
COERCED = "C.UTF-8"  # what Python itself puts into LC_CTYPE where the locale is C (PEP 538)


@dataclass(frozen=True)
class Capabilities:
    """``colors`` is None where no colour is to be shown; ``glyphs``: unicode, cp437 or ascii."""

    colors: ColorSystem | None = ColorSystem.TRUECOLOR
    glyphs: str = glyph_fallback.UNICODE
    erases_in_color: bool = False


def detect(environment: Mapping[str, str] | None = None) -> Capabilities:
    """Return what the terminal of this process can do."""
    found = os.environ if environment is None else environment
    term = found.get("TERM", "")
    known = _has_entry(term)
    return Capabilities(
        _colors(found, curses.tigetnum("colors") if known else 8),
        _glyphs(found, term),
        bool(known and curses.tigetflag("bce") > 0 and not _inside_multiplexer(found)),
    )


def _has_entry(term: str) -> bool:
    """Load the terminfo entry of ``term``; Python loads one once in a process."""
    try:
        curses.setupterm(term or "dumb", sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (curses.error, OSError, ValueError):
        return False
    return True


def _inside_multiplexer(environment: Mapping[str, str]) -> bool:
    """Tell whether GNU screen draws, which erases in its own colour whatever TERM says."""
    return "STY" in environment


def _colors(environment: Mapping[str, str], count: int) -> ColorSystem | None:
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR"):
        return None
    if environment.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit") or term.endswith("-direct"):
        return ColorSystem.TRUECOLOR
    if count >= 256 or "256color" in term:
        return ColorSystem.EIGHT_BIT
    return ColorSystem.STANDARD if count >= 8 else None


def _glyphs(environment: Mapping[str, str], term: str) -> str:
    if not says_utf8(environment) or term.startswith(FEW_GLYPHS):
        return glyph_fallback.ASCII
    return glyph_fallback.CP437 if term == "linux" else glyph_fallback.UNICODE


def says_utf8(environment: Mapping[str, str]) -> bool:
    """Tell whether the locale's encoding is UTF-8; no locale at all, as in a container, counts as it."""
    names = [environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if not names[0] and names[1] == COERCED:
        names[1] = ""
    chosen = next((name for name in names if name), "")
    return not chosen or "utf8" in chosen.lower().replace("-", "")
