"""Choose among the engine's studies."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from tui.keys.dialog_key_groups import STUDIES
from tui.keys.key_definition import bindings


class Studies(ModalScreen[str]):
    """Dismisses with the name of the chosen study, or None."""

    DEFAULT_CSS = """
    Studies { align: center middle; background: $background 60%; }
    Studies OptionList { width: 60; max-width: 90%; height: auto; max-height: 80%; }
    Studies OptionList, Studies OptionList:focus { border: round $primary; background: $surface; }
    """
    BINDINGS = bindings(STUDIES)

    def __init__(self, studies: dict[str, s.Study]) -> None:
        super().__init__()
        self._studies = studies

    def compose(self) -> ComposeResult:
        """Newest first."""
        rows = []
        for study in reversed(self._studies.values()):
            text = Text(f"{plain(study.name, 40):<30} {study.state:<10}")
            text.append(f"{best_and_counts.count_ended(study)}/{study.total_trials}")
            rows.append(Option(text, id=study.name))
        options = OptionList(*rows)
        options.border_title = "studies"
        yield options

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(event.option.id)
