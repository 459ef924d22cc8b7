"""Characters of the same width for terminals that have few: those of the IBM PC's font, or ASCII alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from rich.cells import cell_len

UNICODE, CP437, ASCII = "unicode", "cp437", "ascii"
PLAIN = {
    "─━╌╍┄┅┈┉═╴╶╸╺": "-", "│┃╎╏┆┇┊┋║╵╷╹╻": "|", "…": "~", "·•∙⋅": ".", "●◉◆■▪★⬤▰": "*", "○◌◇□▫☆▱◷": "o",
    "◔◑◕◐": "c", "✓✔": "v", "✗✘✕×": "x", "▶▸►→⇒⟶›": ">", "◀◂◄←⇐‹": "<", "▲▴△↑⇑": "^", "▼▾▽↓⇓": "v", "±": "+",
    "≤": "<", "≥": ">", "≈∼": "~", "–—−": "-", "‘’": "'", "“”„": '"', "⏸‖": "=", "⌫↵⏎": "<", "⇧": "^",
    "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "#", "█▉▊▋": "#", "▌▍▎▏▐": "|",
    "▀▔": "'", "░": ".", "▒": ":", "▓": "%", "⚠": "!", "✎": "e", "⊘": "0", "¶": "P", "√": "V", "α": "a",
    "↺": "r",
    "⟦": "[", "⟧": "]", "°": "o", "µ": "u", "²": "2", "³": "3", "½": "+", "∞": "8", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip
EXACT = {character: ascii_one for group, ascii_one in PLAIN.items() for character in group}
BOX = range(0x2500, 0x2580)  # corners and crossings
BRAILLE = range(0x2800, 0x2900)
UPPER_DOTS = 0b11011  # of a braille cell: the dots of its upper half
STRAIGHT = {"╌": "─", "╍": "─", "━": "─", "┄": "─", "┃": "│", "╭": "┌", "╮": "┐", "╯": "┘", "╰": "└"}


def choose_fallback(glyphs: str) -> Callable[[str], str] | None:
    """Return what to draw instead of a character; None where all of them can be drawn."""
    return {UNICODE: None, CP437: _replace_by_cp437, ASCII: _replace_by_ascii}[glyphs]


@lru_cache(maxsize=2048)
def _replace_by_ascii(character: str) -> str:
    if character.isascii():
        return character
    code = ord(character)
    if code in BRAILLE:
        return _draw_dots(code - BRAILLE.start)
    if character in EXACT:
        return EXACT[character]
    return "+" if code in BOX else "?" * cell_len(character)


@lru_cache(maxsize=2048)
def _replace_by_cp437(character: str) -> str:
    straight = STRAIGHT.get(character, character)
    try:
        straight.encode("cp437")
    except UnicodeEncodeError:
        return _replace_by_ascii(character)
    return straight


def _draw_dots(dots: int) -> str:
    """Return the mark of a braille cell: by the halves that have dots."""
    upper, lower = dots & UPPER_DOTS, dots & ~UPPER_DOTS
    return ":" if upper and lower else "'" if upper else "." if lower else " "
