"""A Static that costs nothing while what it shows stays the same."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static


class Sheet(Static):
    """Shows a text; the same text again is not drawn, and only another number of lines lays out anew."""

    def __init__(self, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self._shown: Text | None = None

    def draw(self, text: Text) -> None:
        """Show ``text``."""
        before, self._shown = self._shown, text
        if before is not None and before == text and before.style == text.style:
            return
        lines = -1 if before is None else before.plain.count("\n")
        self.update(text, layout=text.plain.count("\n") != lines)
