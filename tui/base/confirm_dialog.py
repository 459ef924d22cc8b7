"""A confirmation dialog before a destructive action."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tui.key_declarations import CONFIRM
from tui.key_definition import bindings


class Confirm(ModalScreen[bool]):
    """Dismisses with True for yes. States what is lost and what is kept."""

    DEFAULT_CSS = """
    Confirm { align: center middle; background: $background 60%; }
    Confirm > Vertical {
        width: 64; max-width: 90%; height: auto; border: round $warning; background: $surface; padding: 1 2;
    }
    Confirm Static { width: 1fr; }
    Confirm #question { text-style: bold; }
    Confirm Horizontal { height: auto; align-horizontal: right; padding-top: 1; }
    Confirm Button { margin-left: 2; min-width: 12; }
    """
    BINDINGS = bindings(CONFIRM)

    def __init__(self, question: str, detail: str) -> None:
        super().__init__()
        self._question, self._detail = question, detail

    def compose(self) -> ComposeResult:
        """Compose question, consequences and two buttons; Enter presses the focused one, initially yes."""
        with Vertical():
            yield Static(self._question, id="question", markup=False)
            yield Static(self._detail, markup=False)
            with Horizontal():
                yield Button("yes (y)", variant="warning", id="yes")
                yield Button("no (n)", id="no")

    def on_mount(self) -> None:
        """Focus yes, as the user asked for the action."""
        self.query_one("#yes").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A click, or Enter."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """A key."""
        self.dismiss(yes)
