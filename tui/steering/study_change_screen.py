"""Changes a running study: a form, a preview of the effects, then the change."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Static

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from tui.base.confirm_dialog import Confirm
from tui.base.latest_query import Ask
from tui.forms.form_screen import FormScreen
from tui.steering import study_form
from tui.theme_colors import Palette

WIDTH = 30  # cells of a field
ABOUT = "Running trials continue unchanged; the engine previews the effects before anything changes."


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


class ChangeScreen(FormScreen):
    """Enter shows the preview; a second Enter applies the change."""

    def __init__(self, study: s.Study, ask: Ask, look: Palette) -> None:
        def build(typed_in: dict[str, Any]) -> console_api.AnyRequest | str:
            changes = study_form.find_changes(study, typed_in)
            if not changes:
                return "nothing has changed yet"
            return console_api.ChangeStudy(study.name, changes, preview=True)

        title, rows = f"change the study {study.name}", study_form.make_rows(study)
        super().__init__(title, ABOUT, "previews", rows, build, ask, look, WIDTH)

    def take_answer(self, request: console_api.AnyRequest, answer: console_api.Answer | None) -> None:
        """The preview is shown; the change itself ends the form."""
        if not isinstance(request, console_api.ChangeStudy) or not request.preview:
            self.dismiss(answer or True)
            return
        if not isinstance(answer, console_api.Change):
            self.refuse("the engine gave no preview: it may be an older version")
            return
        change_request = console_api.ChangeStudy(request.study, request.changes, by=request.by)

        def send_if_confirmed(yes: bool | None) -> None:
            if yes:
                self.send(change_request)

        self.app.push_screen(Preview(request.study, answer, self._look), send_if_confirmed)
