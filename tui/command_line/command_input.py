"""The line at the bottom in which a command is typed."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from core.contract.text.sanitize import sanitize
from tui.command_line.command_parser import CommandTable, Parsed
from tui.keys.dialog_key_groups import COMMAND_LINE
from tui.keys.key_definition import make_bindings

KEPT = 100  # commands of the history


class _Completion(Suggester):
    """Completes the command or its argument."""

    def __init__(self, table: CommandTable) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._table = table

    async def get_suggestion(self, value: str) -> str | None:
        """Return the text as it probably goes on."""
        return self._table.complete(value)


class CommandScreen(ModalScreen[Parsed | None]):
    """Dismisses with the command, or None. An error is shown above the line, which stays to be corrected."""

    DEFAULT_CSS = """
    CommandScreen { align: left bottom; background: $background 0%; }
    CommandScreen > Vertical { height: auto; background: $panel; }
    CommandScreen Static { height: auto; padding: 0 1; display: none; color: $warning; }
    CommandScreen Static.told { display: block; }
    CommandScreen Input { height: 1; padding: 0 1; background: $panel; }
    CommandScreen Input, CommandScreen Input:focus { border: none; }
    """
    BINDINGS = make_bindings(COMMAND_LINE)
    history: ClassVar[list[str]] = []  # of this console, the newest last

    def __init__(self, table: CommandTable) -> None:
        super().__init__()
        self._table = table
        self._place = len(self.history)

    def compose(self) -> ComposeResult:
        """Compose the error and the line."""
        with Vertical():
            yield Static("", markup=False)
            names = "  ".join(command.name for command in self._table.commands)
            yield Input(placeholder=names, suggester=_Completion(self._table))

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Take the error away, and say what a command takes once it is typed."""
        name, space, _ = event.value.partition(" ")
        command = next((command for command in self._table.commands if command.name == name), None)
        self._tell(f"{command.takes}: {command.meaning}" if space and command and command.takes else "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Run the command, or say why it is none."""
        if not event.value.strip():
            self.dismiss(None)
            return
        parsed = self._table.parse(event.value)
        if isinstance(parsed, str):
            self._tell(parsed)
            return
        self._remember(event.value.strip())
        self.dismiss(parsed)

    def on_key(self, event: events.Key) -> None:
        """Leave by backspace in the empty line, as in vi and k9s."""
        if event.key == "backspace" and not self.query_one(Input).value:
            self.dismiss(None)

    def action_complete(self) -> None:
        """Take the completion."""
        line = self.query_one(Input)
        completed = self._table.complete(line.value)
        if completed is not None:
            line.value = completed
            line.cursor_position = len(completed)

    def action_history(self, by: int) -> None:
        """Show an earlier or later command."""
        self._place = max(0, min(len(self.history), self._place + by))
        line = self.query_one(Input)
        line.value = self.history[self._place] if self._place < len(self.history) else ""
        line.cursor_position = len(line.value)

    def _tell(self, text: str) -> None:
        message_line = self.query_one(Static)
        message_line.set_class(bool(text), "told")
        message_line.update(Text(sanitize(text, 300)))

    def _remember(self, text: str) -> None:
        if text in self.history:
            self.history.remove(text)
        self.history.append(text)
        del self.history[:-KEPT]
