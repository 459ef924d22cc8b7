"""The line in which a filter of lines is typed, and below it why it cannot be read."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from core.contract.views.trials.trial_filter import FilterFault
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet


class LineFilterTyped(Message):
    """The text of the filter changed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class LineFilterKept(Message):
    """Enter: the filter stays, and the keys go back to the table."""


class FilterLine(Vertical):
    """An input that is there while a filter is typed, and a caret below the character that is wrong."""

    DEFAULT_CSS = """
    FilterLine { height: auto; }
    FilterLine #pattern { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    FilterLine Sheet {
        display: none; height: 1; padding: 0 1; background: $panel;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, example: str) -> None:
        super().__init__()
        self._example = example

    def compose(self) -> ComposeResult:
        """The input and the line below it."""
        yield Input(placeholder=self._example, id="pattern")
        yield Sheet()

    @property
    def is_open(self) -> bool:
        """Return whether a filter is being typed."""
        return bool(self.query_one(Input).display)

    def open(self, text: str) -> None:
        """Ask for the filter's text, beginning with the present one; a second `/` is a part of it."""
        box = self.query_one(Input)
        if self.is_open:
            box.insert_text_at_cursor("/")
            return
        box.display = True
        with box.prevent(Input.Changed):
            box.value = text
        box.cursor_position = len(text)
        self.screen.set_focus(box)  # at once: the next key may be there already

    def close(self) -> None:
        """Take the input away."""
        self.query_one(Input).display = False

    def show(self, text: str, fault: FilterFault | None, look: Palette) -> None:
        """Say where and why the filter ``text`` cannot be read."""
        line = self.query_one(Sheet)
        line.display = fault is not None
        if fault is not None:
            line.draw(_make_fault_line(text, fault, max(20, self.size.width - 2), look))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        event.stop()
        self.post_message(LineFilterTyped(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self.post_message(LineFilterKept())


def _make_fault_line(text: str, fault: FilterFault, width: int, look: Palette) -> Text:
    """A caret below the character that cannot be read, and the reason next to it."""
    at = min(fault.at, len(text))
    if at + 2 + len(fault.text) <= width:
        line = " " * at + f"^ {fault.text}"
    elif len(fault.text) + 1 <= at < width:
        line = f"{fault.text} ^".rjust(at + 1)
    else:
        line = f"at {at + 1}: {fault.text}"
    return Text(line, style=look["error"], no_wrap=True, overflow="ellipsis")
