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
FEW_COLORS = 8
COERCED = "C.UTF-8"  # what Python itself puts into LC_CTYPE where the locale is C (PEP 538)


@dataclass(frozen=True)
class Capabilities:
    """``colors`` is None where no colour is to be shown; ``glyphs``: unicode, cp437 or ascii."""

    colors: ColorSystem | None = ColorSystem.TRUECOLOR
    glyphs: str = glyph_fallback.UNICODE
    erases_in_color: bool = False


def detect(environment: Mapping[str, str] | None = None, glyphs: str = "auto") -> Capabilities:
    """Return what the terminal of this process can do; ``glyphs`` may be chosen by a person."""
    variables = os.environ if environment is None else environment
    term = variables.get("TERM", "")
    colors, erases_in_color = read_terminfo(term)
    return Capabilities(
        _detect_colors(variables, colors),
        _detect_glyphs(variables, term) if glyphs == "auto" else glyphs,
        erases_in_color and "STY" not in variables,  # GNU screen erases in its own colour, whatever TERM says
    )


def read_terminfo(term: str) -> tuple[int, bool]:
    """Return the number of colours, and whether the terminal erases with the background, as terminfo has it.
    Python loads one entry in a process; a terminal without one counts as an ordinary one."""
    try:
        curses.setupterm(term or "dumb", sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (curses.error, OSError, ValueError):
        return FEW_COLORS, False
    return curses.tigetnum("colors"), curses.tigetflag("bce") > 0


def _detect_colors(environment: Mapping[str, str], count: int) -> ColorSystem | None:
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR"):
        return None
    if environment.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit") or term.endswith("-direct"):
        return ColorSystem.TRUECOLOR
    if count >= 256 or "256color" in term:
        return ColorSystem.EIGHT_BIT
    return ColorSystem.STANDARD if count >= FEW_COLORS else None


def _detect_glyphs(environment: Mapping[str, str], term: str) -> str:
    if not is_utf8(environment) or term.startswith(FEW_GLYPHS):
        return glyph_fallback.ASCII
    return glyph_fallback.CP437 if term == "linux" else glyph_fallback.UNICODE


def is_utf8(environment: Mapping[str, str]) -> bool:
    """Tell whether the locale's encoding is UTF-8; no locale at all, as in a container, counts as it."""
    names = [environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if not names[0] and names[1] == COERCED:
        names[1] = ""
    chosen = next((name for name in names if name), "")
    return not chosen or "utf8" in chosen.lower().replace("-", "")
