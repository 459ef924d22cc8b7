"""Open a study file and start it: a path with completion, and every fault of the file below it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.base.latest_query import Ask
from tui.start.demo_requirements import find_examples
from tui.start.path_completion import PathSuggester, complete_path
from tui.start.start_dialog_base import StartForm
from tui.theme_colors import Palette

ENDINGS = (".toml",)


class StudyFileScreen(StartForm):
    """``file`` is the path to begin with; ``starts``: start it at once."""

    SUFFIXES = {"file": ENDINGS}

    def __init__(self, ask: Ask, look: Palette, file: str = "", starts: bool = False) -> None:
        super().__init__(ask, look)
        self._file, self._starts = file, starts

    def compose(self) -> ComposeResult:
        """Compose the path, and the foot."""
        with Vertical() as box:
            box.border_title = "start a study"
            box.border_subtitle = "Enter starts · Tab completes · Esc leaves"
            yield Static("study file (TOML):", markup=False)
            yield Input(self._file, placeholder="study.toml", suggester=PathSuggester(ENDINGS), id="file")
            yield Static("", id="foot", markup=False)

    def on_mount(self) -> None:
        """Offer the files of this folder, or start."""
        self.query_one(Input).focus()
        if self._starts:
            self.start(self._file)
        else:
            self._offer(self._file)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer how the path may go on; a fault that is shown is being mended."""
        if not self._busy:
            self._offer(event.value)

    def _offer(self, typed: str) -> None:
        offered = complete_path(typed, ENDINGS)
        lines = offered or ["no study file begins like that"]
        self.tell(*lines, "" if typed else f"examples: {find_examples()}/")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Start it."""
        if event.value.strip():
            self.start(event.value.strip())
        else:
            self.tell("type the path of a study file", color="warning")
