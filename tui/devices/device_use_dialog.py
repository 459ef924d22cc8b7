"""Choose a device that a study gives back, or one that it uses from now on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.keys.dialog_key_groups import DEVICE_USE
from tui.keys.key_definition import make_bindings


@dataclass(frozen=True)
class DeviceRow:
    """A device of the machine, as seen by a study. ``trials`` counts those that the study has there."""

    label: str
    name: str
    used: bool
    trials: int = 0
    fault: str = ""


def list_devices(study: s.Study, machine: s.Machine, used: Sequence[str]) -> list[DeviceRow]:
    """Return the machine's devices, the ``used`` ones among them; a card in MIG mode computes nothing."""
    loads: dict[str, int] = {}
    for trial in study.trials.values():
        if trial.state in s.ON_WORKER:
            loads[trial.device] = loads.get(trial.device, 0) + 1
    rows = {
        f"gpu{card.index}": DeviceRow(
            f"gpu{card.index}", card.name, f"gpu{card.index}" in used, loads.get(f"gpu{card.index}", 0),
            card.fault,
        )
        for card in machine.devices
        if not card.mig
    }  # fmt: skip
    for label in used:
        name = "the CPU" if label == "cpu" else ""
        rows.setdefault(label, DeviceRow(label, name, True, loads.get(label, 0)))
    return list(rows.values())


class DeviceUseDialog(ModalScreen[str]):
    """Dismisses with the label of the device to give back or to use, or None."""

    DEFAULT_CSS = """
    DeviceUseDialog { align: center middle; background: $background 60%; }
    DeviceUseDialog OptionList { width: 70; max-width: 95%; height: auto; max-height: 80%; }
    DeviceUseDialog OptionList, DeviceUseDialog OptionList:focus {
        border: round $primary; background: $surface;
    }
    """
    BINDINGS = make_bindings(DEVICE_USE)

    def __init__(self, study: str, rows: Sequence[DeviceRow]) -> None:
        super().__init__()
        self._study, self._rows = study, list(rows)

    def compose(self) -> ComposeResult:
        """Compose the list: what Enter does to each device stands at its end."""
        options = OptionList(*(Option(_put_in_words(row), disabled=bool(row.fault)) for row in self._rows))
        options.border_title = f"devices of {sanitize(self._study, 40)}"
        options.border_subtitle = "Enter previews it · Esc closes"
        yield options

    def action_next(self) -> None:
        """Move to the next device when the opening key is pressed again."""
        self.query_one(OptionList).action_cursor_down()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(self._rows[event.option_index].label)


def _put_in_words(row: DeviceRow) -> Text:
    name = sanitize(row.name, 40).removeprefix("NVIDIA ")[:24]
    load = f"{row.trials} trial{'' if row.trials == 1 else 's'}" if row.used else "not used"
    act = sanitize(row.fault, 24) or ("give back" if row.used else "use it")
    words = f"{'●' if row.used else '○'} {sanitize(row.label, 8):<6} {name:<24} {load:<10} {act}"
    return Text(words, no_wrap=True, overflow="ellipsis")
