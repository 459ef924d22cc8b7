"""The messages that were shown and have gone, the newest first."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from core.contract.text.sanitize import sanitize
from tui.keys.dialog_key_groups import MESSAGE_LIST
from tui.keys.key_definition import make_bindings
from tui.theme_colors import Palette
from tui.ui_messages import ShownMessage

LONGEST = 1000
LEVELS = {"warning": "warning", "error": "error"}


class MessagesScreen(ModalScreen[None]):
    """A list that scrolls where the terminal is low."""

    DEFAULT_CSS = """
    MessagesScreen { align: center middle; background: $background 60%; }
    MessagesScreen > VerticalScroll {
        width: 100; max-width: 96%; height: auto; max-height: 92%; padding: 0 2;
        border: round $primary; background: $surface; border-title-color: $primary;
    }
    MessagesScreen Static { height: auto; }
    """
    BINDINGS = make_bindings(MESSAGE_LIST)

    def __init__(self, messages: Iterable[ShownMessage], look: Palette) -> None:
        super().__init__()
        self._messages, self._look = list(messages), look

    def compose(self) -> ComposeResult:
        """Compose the list."""
        with VerticalScroll() as page:
            page.border_title = "messages"
            page.border_subtitle = "Esc closes"
            lines = [self._make_line(message) for message in reversed(self._messages)]
            yield Static(Text("\n").join(lines or [Text("no message yet", style=self._look["muted"])]))

    def _make_line(self, message: ShownMessage) -> Text:
        line = Text(time.strftime("%H:%M:%S  ", time.localtime(message.at)), style=self._look["muted"])
        meaning = LEVELS.get(message.level, "")
        title = f"{message.title}: " if message.title else ""
        words = sanitize(f"{title}{message.text}".replace("\n", " "), LONGEST)
        return line.append(words, style=self._look[meaning] if meaning else self._look["info"])
