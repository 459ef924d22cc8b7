"""A widget of cells that sends the terminal only the runs of cells that changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.theme_colors import Palette

Cell = tuple[str, str]  # a character of one cell and its meaning
NEAR = 6  # unchanged cells between two changed ones that are sent with them: a cursor move costs as much


class CellSheet(Widget):
    """Shows rows of cells in its own size."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._rows: Sequence[Sequence[Cell]] = ()
        self._look: Palette | None = None

    def paint(self, rows: Sequence[Sequence[Cell]], look: Palette) -> None:
        """Show ``rows``, and have drawn what differs from the rows before."""
        before, same_look = self._rows, self._look is look
        self._rows, self._look = rows, look
        if not same_look or [len(row) for row in before] != [len(row) for row in rows]:
            self.refresh()
            return
        regions = find_changed_runs(before, rows)
        if regions:
            self.refresh(*(Region(left, row, wide, 1) for row, left, wide in regions))

    def render_line(self, y: int) -> Strip:
        """Return one line for Textual."""
        if self._look is None or y >= len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        look, own = self._look, self.rich_style  # with the background, which nothing below gives
        runs = groupby(self._rows[y], key=lambda cell: cell[1])
        segments = [
            Segment("".join(character for character, _ in run), own + make_style(look, meaning))
            for meaning, run in runs
        ]
        return Strip(segments, len(self._rows[y]))


def make_style(look: Palette, meaning: str) -> Style:
    """The style of a meaning; blank cells have the widget's own."""
    weight, _, name = meaning.rpartition(" ")
    return Style.parse(f"{weight} {look[name]}".strip() or "none") if meaning else Style.null()


def find_changed_runs(
    before: Sequence[Sequence[Cell]], after: Sequence[Sequence[Cell]]
) -> list[tuple[int, int, int]]:
    """Return (row, first column, cells) of what differs; runs that lie near each other are one."""
    runs: list[tuple[int, int, int]] = []
    for row, (old, new) in enumerate(zip(before, after, strict=True)):
        if old == new:
            continue
        changed = [
            column
            for column, (old_cell, new_cell) in enumerate(zip(old, new, strict=True))
            if old_cell != new_cell
        ]
        start = end = changed[0]
        for column in changed[1:]:
            if column - end > NEAR:
                runs.append((row, start, end - start + 1))
                start = column
            end = column
        runs.append((row, start, end - start + 1))
    return runs
