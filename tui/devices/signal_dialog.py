"""Choose one of one's own processes on the devices, and the signal that it gets."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.contract.text.sanitize import sanitize
from tui.devices.process_signals import Target
from tui.keys.dialog_key_groups import SIGNALS
from tui.keys.key_definition import make_bindings
from tui.number_text import format_size


class SignalDialog(ModalScreen[tuple[Target, str]]):
    """Dismisses with a process and the name of a signal, or None. Nothing is sent here."""

    DEFAULT_CSS = """
    SignalDialog { align: center middle; background: $background 60%; }
    SignalDialog OptionList { width: 70; max-width: 95%; height: auto; max-height: 80%; }
    SignalDialog OptionList, SignalDialog OptionList:focus { border: round $warning; background: $surface; }
    """
    BINDINGS = make_bindings(SIGNALS)

    def __init__(self, targets: Sequence[Target]) -> None:
        super().__init__()
        self._targets = list(targets)

    def compose(self) -> ComposeResult:
        """The processes, the most memory first."""
        options = OptionList(*(Option(_put_in_words(target)) for target in self._targets))
        options.border_title = "a signal to a process of yours"
        options.border_subtitle = "Enter TERM · I INT · K KILL · Esc closes"
        yield options

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss((self._targets[event.option_index], "TERM"))

    def action_send(self, name: str) -> None:
        """Another signal than TERM."""
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.dismiss((self._targets[place], name))


def _put_in_words(target: Target) -> Text:
    devices = ",".join(map(str, target.devices))
    line = Text(
        f"{target.pid:>8}  {sanitize(target.name, 40) or 'not named'}", no_wrap=True, overflow="ellipsis"
    )
    line.append(f"  gpu{devices}  {format_size(target.used_bytes)}")
    return line.append("  trimtab's worker" if target.ours else "")
