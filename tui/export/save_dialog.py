"""The dialog that saves the table, curves, the screen, a report or a bundle as a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from core import paths
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError, join_in_line
from tui.export.saved_kinds import Saving
from tui.keys.dialog_key_groups import SAVE
from tui.keys.key_definition import make_bindings
from tui.theme_colors import Palette

Save = Callable[[Saving, Path, bool], Awaitable[Path]]


class SaveDialog(ModalScreen[Path]):
    """Dismisses with the file that was written, None when it was left. A file that exists is replaced only
    after a second Enter. ``save`` raises TrimtabError, and FileExistsError unless it may replace."""

    DEFAULT_CSS = """
    SaveDialog { align: center middle; background: $background 60%; }
    SaveDialog > Vertical {
        width: 84; max-width: 98%; height: auto; max-height: 100%; padding: 0 1;
        border: round $primary; border-title-color: $primary; background: $surface;
    }
    SaveDialog OptionList, SaveDialog OptionList:focus {
        height: auto; max-height: 8; border: none; padding: 0; background: $surface;
    }
    SaveDialog Input, SaveDialog Input:focus { height: 1; border: none; padding: 0; background: $panel; }
    SaveDialog #foot { height: auto; max-height: 6; }
    """
    BINDINGS = make_bindings(SAVE)

    def __init__(self, savings: Sequence[Saving], kind: str, save: Save, look: Palette) -> None:
        super().__init__()
        self._savings, self._save, self._look = savings, save, look
        kinds = [saving.kind for saving in savings]
        self._first = kinds.index(kind) if kind in kinds else 0
        self._refused: Path | None = None  # exists; Enter replaces it
        self._busy = False

    def compose(self) -> ComposeResult:
        """Compose what can be saved, the path, and the foot."""
        with Vertical() as box:
            box.border_title = "save"
            box.border_subtitle = "↑ ↓ what · Enter saves · Esc leaves"
            yield OptionList(*(Option(Text(saving.words)) for saving in self._savings))
            yield Static("file, or a path from this folder on:", markup=False)
            yield Input(self._savings[self._first].path)
            yield Static("", id="foot", markup=False)

    def on_mount(self) -> None:
        """The path takes what is typed, arrows choose what is saved."""
        self.query_one(OptionList).highlighted = self._first
        self.query_one(Input).focus()
        self._tell(f"this folder is {Path.cwd()}")

    def action_choose(self, by: int) -> None:
        """Choose what is saved."""
        options = self.query_one(OptionList)
        options.highlighted = ((options.highlighted or 0) + by) % len(self._savings)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Offer the file's usual name, unless another one was typed."""
        field = self.query_one(Input)
        if not field.value or field.value in [saving.path for saving in self._savings]:
            field.value = self._savings[event.option_index].path
            field.cursor_position = len(field.value)

    def on_option_list_option_selected(self) -> None:
        """A click chooses; the path stays to be changed."""
        self.query_one(Input).focus()

    def on_input_changed(self) -> None:
        """Another file is asked about again."""
        self._refused = None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Save, or say why not."""
        if not event.value.strip():
            self._tell("type the name of a file", "warning")
        elif not self._busy:
            self._busy = True
            self._tell("saving …")
            self.run_worker(
                self._write(paths.expand_home(event.value.strip()).absolute()), exit_on_error=True
            )

    async def _write(self, path: Path) -> None:
        saving = self._savings[self.query_one(OptionList).highlighted or 0]
        try:
            self.dismiss(await self._save(saving, path, path == self._refused))
        except FileExistsError:
            self._refused = path
            self._tell(f"{path} exists: Enter again replaces it", "warning")
        except OSError as error:
            self._tell(f"{path} cannot be written: {error.strerror or error}", "warning")
        except TrimtabError as error:
            self._tell(join_in_line(error), "warning")
        finally:
            self._busy = False

    def _tell(self, text: str, color: str = "muted") -> None:
        self.query_one("#foot", Static).update(Text(sanitize(text, 400), style=self._look[color]))
