"""A confirmation dialog before a destructive action."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from tui.keys.dialog_key_groups import CONFIRM
from tui.keys.key_definition import make_bindings


class Confirm(ModalScreen[bool]):
    """Dismisses with True for yes. States what is lost, what is kept and how to undo it.

    Enter never means yes: the focus begins on "no". With a ``name``, the user has to type it, and Enter or
    the button confirms only then.
    """

    DEFAULT_CSS = """
    Confirm { align: center middle; background: $background 60%; }
    Confirm > Vertical {
        width: 64; max-width: 90%; height: auto; border: round $warning; background: $surface; padding: 1 2;
    }
    Confirm Static { width: 1fr; }
    Confirm #question { text-style: bold; }
    Confirm Input { margin-top: 1; }
    Confirm Horizontal { height: auto; align-horizontal: right; padding-top: 1; }
    Confirm Button { margin-left: 2; min-width: 12; }
    """
    BINDINGS = make_bindings(CONFIRM)
    FOCUSED = "no"  # the button that Enter presses at first

    def __init__(self, question: str, detail: str, name: str = "") -> None:
        super().__init__()
        self._question, self._detail, self._typed_name = question, detail, name

    def compose(self) -> ComposeResult:
        """Compose question, consequences, the field of the name where one is asked for, and two buttons."""
        with Vertical():
            yield Static(self._question, id="question", markup=False)
            yield Static(self._detail, markup=False)
            if self._typed_name:
                yield Input(placeholder=f"type {self._typed_name} to confirm", id="name")
            with Horizontal():
                yes = "yes" if self._typed_name else "yes (y)"
                yield Button(yes, variant="warning", id="yes", disabled=bool(self._typed_name))
                yield Button("no (Esc)" if self._typed_name else "no (n)", id="no")

    def on_mount(self) -> None:
        """Focus the field of the name, else the button that does no harm."""
        self.query_one("#name" if self._typed_name else f"#{self.FOCUSED}").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Allow "yes" once the name is typed."""
        self.query_one("#yes").disabled = event.value.strip() != self._typed_name

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Confirm by Enter in the field, where the name is typed in full."""
        if event.value.strip() == self._typed_name:
            self.dismiss(True)
        else:
            self.app.bell()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Dismiss by a click, or by Enter on the focused button."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Dismiss by a key; "yes" only where no name is asked for."""
        if not (yes and self._typed_name):
            self.dismiss(yes)
