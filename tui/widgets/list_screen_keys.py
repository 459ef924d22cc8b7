"""The keys that the screens with one long list of lines share: moving, the filter, and the way back."""

from __future__ import annotations

from typing import Any, cast

from textual.screen import Screen

from tui.widgets.filter_line import FilterLine, LineFilterKept, LineFilterTyped
from tui.widgets.following_table import FollowingTable, LineChosen


class ListKeys:
    """Mixed into a screen with a FollowingTable and a FilterLine, which says what a filter does."""

    filter_text = ""
    show: Any

    def take_filter(self, text: str) -> bool:
        """Use the filter ``text``; return False where it cannot be read."""
        raise NotImplementedError

    @property
    def lines(self) -> FollowingTable:
        """Return the table."""
        return self._screen.query_one(FollowingTable)

    @property
    def _screen(self) -> Screen[None]:
        return cast("Screen[None]", self)

    @property
    def _bar(self) -> FilterLine:
        return self._screen.query_one(FilterLine)

    # -- moving -----------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """A line up or down."""
        self.lines.move_cursor(self.lines.cursor_row + by)

    def action_page(self, by: int) -> None:
        """A page up or down."""
        self.lines.move_page(by)

    def action_edge(self, end: int) -> None:
        """The first or the last line."""
        if end > 0:
            self.lines.to_end()
        else:
            self.lines.move_cursor(0)
        self.show()

    def on_line_chosen(self, message: LineChosen) -> None:
        """Show the line under the cursor in full."""
        self.show()

    # -- filter -----------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for the filter's text."""
        self._bar.open(self.filter_text)

    def on_line_filter_typed(self, message: LineFilterTyped) -> None:
        """Filter while it is typed; while it cannot be read, the filter before stays."""
        self.filter_text = message.text
        self.take_filter(message.text)
        self.show()

    def on_line_filter_kept(self, message: LineFilterKept) -> None:
        """Give the keys back to the table; a filter that cannot be read stays to be mended."""
        if self.take_filter(self.filter_text):
            self._close_filter()
        self.show()

    def _close_filter(self) -> None:
        self._bar.close()
        self.lines.focus()

    def action_back(self) -> None:
        """Remove the filter, or go back to where you came from."""
        bar = self._bar
        if bar.is_open or self.filter_text:
            self.filter_text = ""
            self.take_filter("")
            self._close_filter()
            self.show()
        else:
            self._screen.dismiss()

    # -- copying ----------------------------------------------------------------------------------

    def find_chosen_text(self) -> str:
        """Return the line under the cursor."""
        raise NotImplementedError

    def get_selected_text(self) -> str | None:
        """Return the marked text, or else the line under the cursor."""
        return Screen.get_selected_text(self._screen) or self.find_chosen_text() or None
