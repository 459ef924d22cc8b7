"""A screen as cells: what is to stand in the terminal, and what stands there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from tui.terminal.cell_style import PLAIN, CellStyle, find_style

CONTINUED = ""  # the second cell of a wide character


class Row:
    """A line of cells: the character and the style of each. ``None`` as a character is not known."""

    __slots__ = ("characters", "styles")

    def __init__(self, characters: list[str | None], styles: list[CellStyle]) -> None:
        self.characters = characters
        self.styles = styles

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.characters == other.characters and self.styles == other.styles

    def copy(self) -> Row:
        """Return a row that may be changed alone."""
        return Row(self.characters.copy(), self.styles.copy())


def make_unknown_rows(width: int, height: int) -> list[Row]:
    """Return the rows of a terminal that may show anything."""
    return [Row([None] * width, [PLAIN] * width) for _ in range(height)]


def make_blank_rows(width: int, height: int, style: CellStyle = PLAIN) -> list[Row]:
    """Return the rows of a cleared terminal."""
    return [Row([" "] * width, [style] * width) for _ in range(height)]


class CellGrid:
    """The screen that is wanted. ``changed`` has the rows that were drawn since it was emptied.

    ``glyph`` gives for each character the one that the terminal can show, of the same width.
    """

    def __init__(self, colors: ColorSystem | None, glyph: Callable[[str], str] | None = None) -> None:
        self.colors, self._glyph = colors, glyph
        self._cells_of = lru_cache(maxsize=4096)(self._divide)  # most of a screen stays as it is
        self.rows: list[Row] = []
        self.width = 0
        self.changed: set[int] = set()

    def resize(self, width: int, height: int) -> bool:
        """Start again where the size is another; tell whether it is."""
        if (width, height) == (self.width, len(self.rows)):
            return False
        self.width, self.rows = width, make_blank_rows(width, height)
        self.changed = set(range(height))
        return True

    def put(self, x: int, y: int, segments: Iterable[Segment]) -> None:
        """Draw ``segments`` from the cell at ``x`` on; what lies beyond the grid is left out."""
        if not 0 <= y < len(self.rows) or not 0 <= x < self.width:
            return
        characters, styles = self._make_cells(segments)
        room = self.width - x
        del characters[room:], styles[room:]
        if len(characters) == room and characters and _is_wide(characters[-1]):
            characters[-1] = " "  # its second half lies beyond the edge
        row, end = self.rows[y], x + len(characters)
        if row.characters[x:end] != characters or row.styles[x:end] != styles:
            row.characters[x:end], row.styles[x:end] = characters, styles
            self.changed.add(y)

    def _make_cells(self, segments: Iterable[Segment]) -> tuple[list[str | None], list[CellStyle]]:
        characters: list[str | None] = []
        styles: list[CellStyle] = []
        for text, style, control in segments:
            if not control:
                cells, styles_of_cells = self._cells_of(text, style)
                characters += cells
                styles += styles_of_cells
        return characters, styles

    def _divide(self, text: str, style: Style | None) -> tuple[list[str], list[CellStyle]]:
        inked = find_style(style, self.colors)
        cells = _divide_text(text) if self._glyph is None else _divide_text("".join(map(self._glyph, text)))
        blank = inked.blank
        return cells, [blank if cell == " " else inked for cell in cells]

    def find_commonest_blank(self) -> CellStyle:
        """Return the style of most blank cells."""
        styles = Counter(
            style
            for row in self.rows
            for character, style in zip(row.characters, row.styles, strict=True)
            if character == " "
        )
        return styles.most_common(1)[0][0] if styles else PLAIN


def _divide_text(text: str) -> list[str]:
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    if text.isascii():
        return list(text)
    cells: list[str] = []
    for begin, end, width in split_graphemes(text)[0]:
        if width:
            cells += [text[begin:end]] + [CONTINUED] * (width - 1)
    return cells


def _is_wide(character: str | None) -> bool:
    return bool(character) and split_graphemes(character or "")[1] > 1
