"""A terminal emulator (pyte) that takes the console's bytes, and the cells that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyte
from rich.color import ColorSystem
from rich.console import Console
from textual.strip import Strip

Cell = tuple[str, str, str, bool, bool, bool, bool]
CONSOLE = Console(color_system="truecolor", force_terminal=True)


class Screen(pyte.Screen):
    """pyte's screen leaves cells that nothing was written to in the default colour when it is cleared."""

    def erase_in_display(self, how: int = 0, *more: Any, **options: Any) -> None:
        for line in range(self.lines) if how == 2 else ():
            self.buffer[line].update(dict.fromkeys(range(self.columns), self.cursor.attrs))
        super().erase_in_display(how, *more, **options)


class Emulator:
    """A terminal of ``size`` (columns, rows), as Textual sets it: without wrapping at the end of a line."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.screen = Screen(*size)
        self._stream = pyte.Stream(self.screen)
        self._stream.feed("\x1b[?7l")

    def feed(self, text: str) -> None:
        self._stream.feed(text)

    def resize(self, size: tuple[int, int]) -> None:
        columns, rows = size
        self.screen.resize(rows, columns)

    def cursor(self) -> tuple[int, int]:
        return self.screen.cursor.x, self.screen.cursor.y

    def cells(self) -> list[list[Cell]]:
        """What a person sees: of a blank the background alone, unless there is a line in it."""
        lines = range(self.screen.lines)
        return [[_seen(self.screen.buffer[y][x]) for x in range(self.screen.columns)] for y in lines]

    def text(self) -> str:
        return "\n".join(self.screen.display)


def _seen(cell: pyte.screens.Char) -> Cell:
    inked = cell.data != " " or cell.underscore or cell.strikethrough or cell.reverse
    if not inked:
        return (" ", "", cell.bg, False, False, False, False)
    lines = (cell.underscore, cell.strikethrough, cell.reverse)
    return (cell.data, cell.fg, cell.bg, cell.bold and cell.data != " ", *lines)


def painted(strips: Sequence[Strip], size: tuple[int, int]) -> list[list[Cell]]:
    """The cells of Textual's own full paint."""
    assert CONSOLE._color_system is ColorSystem.TRUECOLOR
    emulator = Emulator(size)
    for y, strip in enumerate(strips):
        emulator.feed(f"\x1b[{y + 1};1H{strip.render(CONSOLE)}")
    return emulator.cells()
