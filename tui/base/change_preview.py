"""The preview of a change to a study: what differs, and what that means, before it is applied."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Static

from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from tui.base.confirm_dialog import Confirm
from tui.theme_colors import Palette


class Preview(Confirm):
    """The engine's preview of the changes and their effects, to confirm or reject."""

    DEFAULT_CSS = """
    Preview > Vertical { width: 100; max-width: 96%; max-height: 96%; }
    Preview VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
    Preview VerticalScroll Static { height: auto; }
    """

    FOCUSED = "yes"  # nothing is lost, and the user has just pressed Enter to see this

    def __init__(self, study: str, change: console_api.Change, look: Palette) -> None:
        super().__init__(f"Change the study {sanitize(study, 64)}?", "")
        self._change, self._look = change, look

    def compose(self) -> ComposeResult:
        """The lines scroll where there are many."""
        with Vertical():
            yield Static(self._question, id="question", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(self._make_lines())
            with Horizontal():
                yield Button("apply (y)", variant="warning", id="yes")
                yield Button("back (n)", id="no")

    def _make_lines(self) -> Text:
        lines = [Text(f"· {sanitize(change, 300)}") for change in self._change.changes]
        if self._change.effects:
            lines.append(Text("effects", style=f"bold {self._look['primary']}"))
            lines += [
                Text(f"· {sanitize(effect, 300)}", style=self._look["warning"])
                for effect in self._change.effects
            ]
        return Text("\n").join(lines)

    def on_resize(self) -> None:
        """The buttons stay in sight."""
        self.query_one(VerticalScroll).styles.max_height = max(2, self.size.height - 9)
