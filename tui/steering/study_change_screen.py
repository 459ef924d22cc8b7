"""Changes a running study: a form, a preview of the effects, then the change."""

from __future__ import annotations

from typing import Any

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from tui.base.change_preview import Preview
from tui.base.latest_query import Ask
from tui.forms.form_screen import FormScreen
from tui.steering import study_form
from tui.theme_colors import Palette

WIDTH = 30  # cells of a field
ABOUT = "Running trials keep their knobs; the engine previews the effects before anything changes."


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
