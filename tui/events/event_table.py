"""The table of events: when, which trial, and what happened."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.contract.text.sanitize import sanitize
from core.contract.views.event_log.event_collection import EventRow
from tui.theme_colors import Palette
from tui.widgets.following_table import FollowingTable, fit
from tui.widgets.virtual_table import Cells, TableColumn

WIDE = 100  # columns from which the year is shown
LONGEST = 500


class EventTable(FollowingTable):
    """Shows some of the events by their numbers."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._events: Sequence[EventRow] = ()

    @property
    def chosen(self) -> EventRow | None:
        """Return the event under the cursor."""
        return self._events[self.row_key] if self.row_key is not None else None

    def show(self, events: Sequence[EventRow], numbers: list[int], look: Palette) -> None:
        """Draw the events with these numbers, which are their places in ``events``."""
        self._events = events
        self._fit_columns(look)
        self.show_lines(numbers)

    def _fit_columns(self, look: Palette) -> None:
        time_width = len(format_when(0.0, self.size.width))
        text = max(10, self.size.width - time_width - 5 - 5)
        columns = [
            TableColumn("when", time_width + 1, (((" when", ""),),), 1),
            TableColumn("trial", 5, ((("trial", ""),),), 2, right=True),
            TableColumn("event", text, ((("event", ""),),), 1),
        ]
        self.set_columns(columns, len(columns), look)

    def list_row_inputs(self, key: int) -> tuple[object, ...]:
        """Return the event."""
        return (self._events[key],)

    def draw_cells(self, key: int) -> Cells:
        """Return when, which trial, and what, in the colour of its level."""
        row = self._events[key]
        number = str(row.trial) if row.trial >= 0 else ""
        level = row.level if row.level != "info" else ""
        text = fit(sanitize(f"{level}: {row.text}" if level else row.text, LONGEST), self._columns[-1].width)
        return [
            [(f" {format_when(row.at, self.size.width)}", "muted")],
            [(number, "accent")],
            [(text, level)],
        ]


def format_when(at: float, width: int) -> str:
    """Return date and local time; the year where there is room."""
    return time.strftime("%Y-%m-%d %H:%M:%S" if width >= WIDE else "%d %b %H:%M:%S", time.localtime(at))
