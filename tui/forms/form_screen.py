"""A form dialog: Enter sends the changes; a refused input can be corrected in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.errors import TrimtabError
from tui.base.latest_query import Ask
from tui.forms.form_row_data import Row
from tui.forms.form_widget import Form
from tui.keys.dialog_key_groups import FORM
from tui.keys.key_definition import make_bindings
from tui.theme_colors import Palette

Build = Callable[
    [dict[str, Any]], console_api.AnyRequest | str
]  # a text says why there is nothing to send yet
FIELD = 18  # cells
FRAME = 2  # lines
LEAST_ROWS = 3
KEYS = "Enter {does} · Tab ↑↓ rows · ←→ choices · Ctrl+Z undoes · Esc leaves"


class FormScreen(ModalScreen[console_api.Answer | bool]):
    """Dismisses with the engine's answer, True where it gave none; None when it was left."""

    DEFAULT_CSS = """
    FormScreen { align: center middle; background: $background 60%; }
    FormScreen > Vertical {
        width: 110; max-width: 98%; height: auto; max-height: 100%; padding: 0 1;
        border: round $primary; border-title-color: $primary; background: $surface;
    }
    FormScreen #about { height: auto; color: $text-muted; }
    FormScreen #foot { height: auto; border-top: solid $border; }
    """
    BINDINGS = make_bindings(FORM)

    def __init__(
        self, title: str, about: str, does: str, rows: Sequence[Row], build: Build, ask: Ask, look: Palette,
        width: int = FIELD,
    ) -> None:  # fmt: skip
        super().__init__()
        self._title, self._does = title, does
        self._build, self._ask, self._look = build, ask, look
        self._form = Form(rows, width, look)
        self._about = Static(about, id="about", markup=False)
        self._foot = Static(id="foot")  # no Sheet: its lines wrap, so any other text may be higher
        self._refusal: list[str] = []
        self._busy = False

    def compose(self) -> ComposeResult:
        """What it is about, the rows, and a foot that explains the row that has the keys."""
        with Vertical() as box:
            box.border_title = sanitize(self._title, 60)
            yield self._about
            yield self._form
            yield self._foot

    def on_form_moved(self, event: Form.Moved) -> None:
        """Explain the row that has the keys; what was refused is being mended once a text changes."""
        if event.changed:
            self._refusal = []
        self._draw()

    def _draw(self) -> None:
        look, current = self._look, self._form.current
        lines = [Text(line, style=look["warning"]) for line in self._refusal]
        if not lines and current is not None:
            row, read = current
            lines = [Text(sanitize(row.meaning, 200)), Text(sanitize(row.allowed, 300), style=look["muted"])]
            if read.wrong or read.note:
                sign, meaning = ("✗ ", "error") if read.wrong else ("", "warning")
                lines[1] = Text(sign + sanitize(read.wrong or read.note, 300), style=look[meaning])
        keys = "sending …" if self._busy else KEYS.format(does=self._does)
        self._foot.update(Text("\n").join([*lines, Text(keys, style=look["accent"])]))
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """The rows scroll in what the words above and below leave of the screen."""
        words = self._about.outer_size.height + self._foot.outer_size.height
        self._form.styles.max_height = max(LEAST_ROWS, self.size.height - FRAME - words)
        if self.focused is not None:  # a longer foot may have covered the row that has the keys
            self.call_after_refresh(self.focused.scroll_visible, animate=False)

    def on_resize(self) -> None:
        """Another height."""
        self.call_after_refresh(self._fit)

    # -- sending ----------------------------------------------------------------------------------

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: send it, unless something is wrong."""
        event.stop()
        if self._busy:
            return
        wrong = self._form.wrong
        if wrong:
            name = next(iter(wrong))
            self._form.go_to(name)
            self.refuse(f"{name}: {wrong[name]}")
            return
        request = self._build(self._form.changes)
        if isinstance(request, str):
            self.refuse(request)
        else:
            self.send(request)

    def send(self, request: console_api.AnyRequest) -> None:
        """Ask the engine; a refusal is said in the foot, and nothing that was typed is lost."""
        self._busy, self._refusal = True, []
        self._draw()
        self.run_worker(self._send(request), exit_on_error=True)

    async def _send(self, request: console_api.AnyRequest) -> None:
        try:
            answer = await self._ask(request)
        except TrimtabError as error:
            problems = [
                (sanitize(problem.what, 300), sanitize(problem.fix, 300)) for problem in error.problems
            ]
            self.refuse(
                *(
                    line
                    for problem_text, fix in problems
                    for line in (problem_text, f"→ {fix}" if fix else "")
                    if line
                )
            )
            return
        finally:
            self._busy = False
            self._draw()
        self.take_answer(request, answer)

    def take_answer(self, request: console_api.AnyRequest, answer: console_api.Answer | None) -> None:
        """The engine has done it."""
        self.dismiss(answer if answer is not None else True)

    def refuse(self, *lines: str) -> None:
        """Say why not, and stay."""
        self._refusal = list(lines)
        self._draw()
