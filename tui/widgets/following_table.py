"""A table of lines that come one after another: the newest is at the end, and the cursor follows it."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.message import Message

from tui.widgets.cached_static import Rewidened
from tui.widgets.virtual_table import VirtualTable


class LineChosen(Message):
    """The cursor is on another line."""


class LineOpened(Message):
    """A double click on the line under the cursor."""


class FollowingTable(VirtualTable, inherit_bindings=False):  # pages move the cursor, too
    """Follows the end unless someone scrolled up or put the cursor on another line."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.follows = True

    def show_lines(self, keys: list[int]) -> None:
        """Take the lines by their keys in their order, and follow the end."""
        follows, before, count = self.follows, self.cursor_row, self.row_count
        self.set_keys(keys)
        if follows:
            self.to_end()
            if self.row_count != count:  # how far it can be scrolled is known only then
                self.call_after_refresh(self.show_cursor)
        elif self.cursor_row != before:
            self.show_cursor()
        self.draw_changes()

    def to_end(self) -> None:
        """Put the cursor on the last line and follow new ones."""
        self.follows = True
        self.move_cursor(self.row_count - 1)
        self.scroll_to(y=self.row_count, animate=False, immediate=True)  # not first drawn from the top

    def move_to(self, key: int) -> None:
        """Put the cursor on the line with this key."""
        self.move_cursor(self._keys.index(key))

    def move_page(self, by: int) -> None:
        """Move the cursor by whole pages."""
        self.move_cursor(self.cursor_row + by * max(1, self.size.height - self.HEAD_LINES - 1))

    def handle_cursor_move(self) -> None:
        """Follow from the last line alone."""
        self.follows = self.cursor_row >= self.row_count - 1
        self.post_message(LineChosen())

    def on_resize(self) -> None:
        """Have the screen fit the columns into the new width."""
        super().on_resize()
        self.post_message(Rewidened())

    def handle_row_opening(self) -> None:
        """Post that the line is to be opened."""
        self.post_message(LineOpened())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Stop following: someone reads."""
        self.follows = False

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Follow again at the end."""
        at_end = self.scroll_offset.y >= self.max_scroll_y - 1
        self.follows = at_end and self.cursor_row >= self.row_count - 1


def fit(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` cells, with an ellipsis where it is cut."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + "…"
