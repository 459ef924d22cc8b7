"""Choose the only device that a trial may run on."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.contract.text.sanitize import sanitize
from tui.keys.dialog_key_groups import PIN
from tui.keys.key_definition import make_bindings


class Pin(ModalScreen[str]):
    """Dismisses with the device's label, "" for any, None when it was left."""

    DEFAULT_CSS = """
    Pin { align: center middle; background: $background 60%; }
    Pin OptionList { width: 56; max-width: 90%; height: auto; max-height: 80%; }
    Pin OptionList, Pin OptionList:focus { border: round $primary; background: $surface; }
    """
    BINDINGS = make_bindings(PIN)

    def __init__(self, trial: str, pinned: str, devices: dict[str, str]) -> None:
        super().__init__()
        self._trial, self._pinned = trial, pinned
        self._devices = {"": "any device with room", **devices}

    def compose(self) -> ComposeResult:
        """Compose the list: any device first; a dot marks the current choice."""
        rows = []
        for label, device in self._devices.items():
            sign = "●" if label == self._pinned else " "
            rows.append(Option(Text(f"{sign} {sanitize(label, 12) or 'any':<12} {sanitize(device, 36)}")))
        options = OptionList(*rows)
        options.border_title = f"pin trial {self._trial} to"
        yield options

    def on_mount(self) -> None:
        """Begin at what it is."""
        labels = list(self._devices)
        self.query_one(OptionList).highlighted = (
            labels.index(self._pinned) if self._pinned in self._devices else 0
        )

    def action_next(self) -> None:
        """Move to the next device when the opening key is pressed again."""
        self.query_one(OptionList).action_cursor_down()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(list(self._devices)[event.option_index])
