"""A Static that costs nothing while what it shows stays the same."""

from __future__ import annotations

from rich.text import Text
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.widgets import Static


class Rewidened(Message):
    """A sheet has another size: what was drawn for the old one no longer fits."""


class Sheet(Static):
    """Shows a text; the same text again is not drawn, and only another number of lines lays out again, or
    any other text where it wraps."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._shown: Text | None = None
        self._drawn_size = Size(0, 0)

    def on_resize(self, event: Resize) -> None:
        """Have the screen drawn again for another size, which may come some time after the screen's own: a
        scroll bar appears, or a hidden box is shown. A height that follows from the text changes nothing."""
        before, self._drawn_size = self._drawn_size, event.size
        if event.size.width != before.width or not (self.styles.is_auto_height or event.size == before):
            self.post_message(Rewidened())

    def draw(self, text: Text) -> None:
        """Show ``text``."""
        before, self._shown = self._shown, text
        if before is not None and before == text and before.style == text.style:
            return
        lines = -1 if before is None else before.plain.count("\n")
        wraps = self.styles.text_wrap == "wrap"  # its height depends on more than its newlines
        self.update(text, layout=wraps or text.plain.count("\n") != lines)
