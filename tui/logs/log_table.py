"""The table of a log's lines: each in the colour of its level, what the pattern matches in another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from core.contract.views.event_log.line_search import find_level, find_spans
from tui.logs.log_tail import LogLine
from tui.theme_colors import Palette
from tui.widgets.following_table import FollowingTable, fit
from tui.widgets.steering_row_signs import Piece
from tui.widgets.virtual_table import Cells, TableColumn


class LogTable(FollowingTable):
    """Shows some of the lines by their numbers."""

    HEAD_LINES: ClassVar[int] = 0

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._texts: Mapping[int, LogLine] = {}
        self._pattern: re.Pattern[str] | None = None

    @property
    def chosen(self) -> LogLine | None:
        """Return the line under the cursor."""
        return self._texts.get(self.row_key) if self.row_key is not None else None

    def show(
        self, lines: Mapping[int, LogLine], numbers: list[int], pattern: re.Pattern[str] | None, look: Palette
    ) -> None:
        """Draw the lines with these numbers."""
        self._texts, self._pattern = lines, pattern
        width = max(10, self.size.width)
        self.set_columns([TableColumn("line", width, ())], 1, look)
        self.show_lines(numbers)

    def list_row_inputs(self, key: int) -> tuple[object, ...]:
        """Return the line and what is searched in it."""
        return (self._texts.get(key), self._pattern)

    def draw_cells(self, key: int) -> Cells:
        """Return the line in pieces, with the matches marked."""
        line = self._texts.get(key)
        if line is None:
            return [[]]
        return [[(" ", ""), *make_pieces(fit(line.text, self._columns[0].width - 2), self._pattern)]]


def make_pieces(text: str, pattern: re.Pattern[str] | None) -> list[Piece]:
    """Return the line in pieces: its level's colour, and another for what matches."""
    level = find_level(text)
    meaning, at, pieces = ("" if level == "info" else level), 0, []
    for start, end in find_spans(pattern, text):
        pieces += [(text[at:start], meaning), (text[start:end], "accent")]
        at = end
    return [*pieces, (text[at:], meaning)]
