"""The list of events with their reasons, newest last."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from core.contract.state.engine_state import Line
from core.contract.text.sanitize import sanitize
from tui.theme_colors import Palette


class EventList(VerticalScroll):
    """Follows the newest line unless someone scrolled up."""

    DEFAULT_CSS = """
    EventList {
        border: round $border; border-title-color: $text-muted; padding: 0 1; scrollbar-size-vertical: 1;
    }
    EventList > Static { width: 1fr; }
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.border_title = "events"
        self._text = Static()
        self._drawn: tuple[object, ...] = ()
        self._follows = True

    def compose(self) -> ComposeResult:
        """One text."""
        yield self._text

    def on_mount(self) -> None:
        """Lines wrap again when the scroll bar comes: where the end is, is known only once they have."""
        self.watch(self, "scroll_y", self._note_scroll, init=False)
        self.watch(self, "virtual_size", self._follow_end, init=False)

    def _note_scroll(self) -> None:
        self._follows = self.scroll_offset.y >= self.max_scroll_y - 1

    def _follow_end(self) -> None:
        if self._follows:
            self.call_after_refresh(self.scroll_end, animate=False)

    def show(self, lines: Sequence[Line], look: Palette) -> None:
        """Draw ``lines``, with the day where it is not that of the newest; the same ones cost nothing."""
        state = (len(lines), lines[-1] if lines else None, look["info"])
        if state == self._drawn:
            return
        self._drawn = state
        event_lines = []
        today = time.localtime(lines[-1].at)[:3] if lines else ()
        for line in lines:
            at = time.localtime(line.at)
            clock = "%H:%M:%S" if at[:3] == today else "%d %b %H:%M"
            text = Text()
            text.append(f"{time.strftime(clock, at)} ", style=look["muted"])
            text.append(sanitize(line.text, 500), style=look[line.level] if line.level != "info" else "")
            event_lines.append(text)
        self._text.update(Text("\n").join(event_lines))
