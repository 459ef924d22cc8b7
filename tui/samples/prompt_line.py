"""The line in which a prompt is typed, with the prompts typed before."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message
from textual.widgets import Input

from tui.keys.key_definition import make_bindings
from tui.keys.sample_key_groups import PROMPT_LINE


class PromptTyped(Message):
    """A prompt was typed; empty: the line was left."""

    def __init__(self, prompt: str) -> None:
        super().__init__()
        self.prompt = prompt


class PromptLine(Input):
    """Shown while a prompt is typed."""

    BINDINGS = make_bindings(PROMPT_LINE)
    DEFAULT_CSS = """
    PromptLine, PromptLine:focus { border: none; height: 1; padding: 0 1; background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__(id="line")
        self.display = False
        self._history: Sequence[str] = ()
        self._place = 0

    def open(self, history: Sequence[str], placeholder: str) -> None:
        """Ask for a prompt."""
        self._history, self._place = history, len(history)
        self.value, self.placeholder = "", placeholder
        self.display = True
        self.screen.set_focus(self)  # at once: the next key may be there already

    def _close(self, prompt: str) -> None:
        self.display = False
        self.screen.set_focus(None)
        self.post_message(PromptTyped(prompt))

    def action_history(self, by: int) -> None:
        """Show an earlier or later prompt."""
        self._place = max(0, min(len(self._history), self._place + by))
        self.value = self._history[self._place] if self._place < len(self._history) else ""
        self.cursor_position = len(self.value)

    def action_leave(self) -> None:
        """Ask nothing."""
        self._close("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask."""
        event.stop()
        self._close(event.value.strip())
