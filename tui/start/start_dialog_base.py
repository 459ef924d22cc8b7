"""What the dialogs that start a study share: inputs with completion, a foot for faults, and the keys."""

from __future__ import annotations

from rich.text import Text
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from core.contract.text.sanitize import sanitize
from tui.base.latest_query import Ask
from tui.keys.dialog_key_groups import START_FORM
from tui.keys.key_definition import make_bindings
from tui.start.path_completion import extend_path
from tui.start.study_starter import Outcome, start_study, write_problems
from tui.theme_colors import Palette


class StartForm(ModalScreen[Outcome]):
    """Dismisses with the study that was started, None when it was left. ``SUFFIXES``: by the id of an input
    that takes a path, the endings of the files that it completes."""

    DEFAULT_CSS = """
    StartForm { align: center middle; background: $background 60%; }
    StartForm > Vertical {
        width: 100; max-width: 98%; height: auto; max-height: 100%; padding: 0 1;
        border: round $primary; border-title-color: $primary; background: $surface;
    }
    StartForm Input, StartForm Input:focus { height: 1; border: none; padding: 0; background: $panel; }
    StartForm #foot { height: auto; max-height: 24; border-top: solid $border; }
    """
    BINDINGS = make_bindings(START_FORM)
    SUFFIXES: dict[str, tuple[str, ...]] = {}

    def __init__(self, ask: Ask, look: Palette) -> None:
        super().__init__()
        self._ask, self._look = ask, look
        self._busy = False

    def action_complete(self) -> None:
        """Complete the path as far as it is certain; where nothing is to be completed, go to the next row."""
        field = self.focused
        if isinstance(field, Input) and field.id in self.SUFFIXES:
            longer = extend_path(field.value, self.SUFFIXES[field.id])
            if longer != field.value and field.value:
                field.value = longer
                field.cursor_position = len(longer)
                return
        self.focus_next()

    def tell(self, *lines: str, color: str = "muted") -> None:
        """Say something in the foot."""
        text = Text("\n".join(sanitize(line, 400) for line in lines), style=self._look[color])
        self.query_one("#foot", Static).update(text)

    def start(self, file: str) -> None:
        """Start the study in ``file``, or show every fault of it."""
        if self._busy:
            return
        self._busy = True
        self.tell("starting …")
        self.run_worker(self._start(file), exit_on_error=True)

    async def _start(self, file: str) -> None:
        try:
            outcome = await start_study(file, self._ask)
        finally:
            self._busy = False
        if outcome.name:
            self.dismiss(outcome)
        else:
            self.query_one("#foot", Static).update(write_problems(outcome.problems, self._look))
