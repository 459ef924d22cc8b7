"""Draws one line of a table: cells in columns, each of pieces with a meaning that colours them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.theme_colors import Palette
from tui.widgets.steering_row_signs import Piece

Cells = Sequence[Sequence[Piece]]  # the pieces of each cell of a line
NO_CELL = range(0)
PLAIN = Style.null()


@dataclass(frozen=True)
class TableColumn:
    """A column of ``width`` cells and ``gap`` blank ones; ``head`` has its pieces for each head line."""

    key: str
    width: int
    head: tuple[tuple[Piece, ...], ...]
    gap: int = 0
    right: bool = False


def draw_line(
    columns: Sequence[TableColumn],
    cells: Cells,
    look: Palette | None,
    base: Style,
    cursor: tuple[range, Style] = (NO_CELL, PLAIN),
) -> Strip:
    """Return the line; the cells in the range of ``cursor`` have its colours alone, so that they are
    legible."""
    segments: list[Segment] = []
    for place, (column, pieces) in enumerate(zip(columns, cells, strict=False)):
        is_cursor = place in cursor[0]
        room, style = column.width, cursor[1] if is_cursor else base
        cell = []
        for text, meaning in pieces:
            fitted = text if cell_len(text) <= room else set_cell_size(text, room)
            room -= cell_len(fitted)
            cell.append(Segment(fitted, style + _choose_style(look, meaning, is_cursor)))
        pad = Segment(" " * room, style)
        segments += [pad, *cell] if column.right else [*cell, pad]
        segments.append(Segment(" " * column.gap, base))
    return Strip(segments)


def _choose_style(look: Palette | None, meaning: str, plainly: bool) -> Style:
    """The style of a meaning, without its colour where ``plainly``."""
    if meaning == "bold":
        return Style(bold=True)
    colour = look[meaning] if look is not None and meaning and not plainly else ""
    return Style.parse(colour) if colour else PLAIN
