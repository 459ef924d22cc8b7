"""A framed, scrolling part of a page that Tab can focus."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from tui.widgets.cached_static import Sheet


class Box(VerticalScroll):
    """Holds one sheet of lines."""

    DEFAULT_CSS = """
    Box {
        border: round $border; border-title-color: $text-muted; padding: 0 1;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable; overflow-x: hidden;
        &:focus { border: round $primary; border-title-color: $primary; }
    }
    Box > Sheet { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, title: str = "", **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.border_title = title
        self._sheet = Sheet()
        self._read: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """The sheet."""
        yield self._sheet

    @property
    def room(self) -> int:
        """The cells that a line may take."""
        return max(16, self._sheet.size.width)

    def is_unchanged(self, *state: object) -> bool:
        """Was the same given before, at the same width? Then there is nothing to draw."""
        before, self._read = self._read, (*state, self.room)
        return before == self._read

    def write(self, lines: list[Text], stale: bool = False) -> None:
        """Show ``lines``, dimmed where they are ``stale``."""
        if stale:
            for line in lines:
                line.stylize("dim")
        self._sheet.draw(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))
