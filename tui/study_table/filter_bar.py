"""The line in which the filter of the trial table is typed, with completion, and below it what it finds."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.trials.filter_completion import complete_filter
from core.contract.views.trials.trial_filter import FilterFault
from tui.keys.filter_column_keys import FILTER
from tui.keys.key_definition import make_bindings
from tui.study_table.table_choice import TableChoice, describe_order
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet

EXAMPLE = "state:running  lr<1e-4  loss<2.1  r=8,16  *  !best"


class FilterTyped(Message):
    """The text of the filter changed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class FilterKept(Message):
    """Enter: the filter stays, and the keys go back to the table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class _Names(Suggester):
    """Completes the name that is typed."""

    def __init__(self, study: Callable[[], s.Study | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._study = study

    async def get_suggestion(self, value: str) -> str | None:
        """Return the text as it might go on."""
        study = self._study()
        return complete_filter(study, value) if study is not None else None


class FilterInput(Input):
    """An input whose completion Tab takes over, as the right arrow does."""

    BINDINGS = make_bindings(FILTER)

    def __init__(self, study: Callable[[], s.Study | None]) -> None:
        super().__init__(placeholder=EXAMPLE, suggester=_Names(study), id="filter")
        self._study = study

    def action_complete(self) -> None:
        """Take over the completion, whether its ghost is drawn already or not."""
        study = self._study()
        completed = complete_filter(study, self.value) if study is not None else None
        if completed is not None:
            self.value = completed
            self.cursor_position = len(completed)


class FilterBar(Vertical):
    """The input while a filter is typed, and a line on what the table shows where that is not everything."""

    DEFAULT_CSS = """
    FilterBar { height: auto; }
    FilterBar #filter { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    FilterBar Sheet {
        display: none; height: 1; padding: 0 1; background: $panel;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, study: Callable[[], s.Study | None]) -> None:
        super().__init__()
        self._of = study

    def compose(self) -> ComposeResult:
        """The input and the line below it."""
        yield FilterInput(self._of)
        yield Sheet(id="shown")

    @property
    def is_open(self) -> bool:
        """Return whether a filter is being typed."""
        return bool(self.query_one(FilterInput).display)

    def open(self, text: str) -> None:
        """Ask for the filter's text, beginning with the present one."""
        box = self.query_one(FilterInput)
        box.display = True
        with box.prevent(Input.Changed):
            box.value = text
        box.cursor_position = len(text)
        self.screen.set_focus(box)  # at once: the next key may be there already

    def close(self) -> None:
        """Take the input away."""
        self.query_one(FilterInput).display = False

    def show(
        self,
        study: s.Study | None,
        choice: TableChoice,
        shown: int,
        fault: FilterFault | None,
        look: Palette,
    ) -> None:
        """Say how many of how many trials are shown and why; or where the filter cannot be read."""
        line = self.query_one("#shown", Sheet)
        is_told = study is not None and (
            self.is_open
            or fault is not None
            or choice.filter
            or choice.marks
            or describe_order(study, choice)
        )
        line.display = bool(is_told)
        if study is None or not is_told:
            return
        if fault is not None:
            line.draw(make_fault_line(choice.filter, fault, max(20, self.size.width - 2), look, self.is_open))
        else:
            line.draw(make_shown_line(study, choice, shown, look, self.is_open))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        event.stop()
        self.post_message(FilterTyped(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self.post_message(FilterKept(event.value))


def make_shown_line(study: s.Study, choice: TableChoice, shown: int, look: Palette, typing: bool) -> Text:
    """Such as "12 of 41 trials  lr<1e-4 · by eval/loss.best ▲ · 3 selected"."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{shown} of {len(study.trials)} trials", style="bold")
    if choice.marks:
        line.append(f"   ▌{len(choice.marks)} selected: p x u * + - c act on all", style=look["accent"])
    if choice.filter and not typing:
        line.append(f"   {sanitize(choice.filter, 60)}", style=look["warning"])
    order = describe_order(study, choice)
    line.append(f"   {order}" if order else "", style=look["info"])
    if typing:
        line.append("   Tab completes · Enter keeps it · Esc shows all", style=look["muted"])
    elif choice.filter or choice.marks:
        line.append("   Esc: " + ("shows all" if choice.filter else "unselects"), style=look["muted"])
    return line


def make_fault_line(text: str, fault: FilterFault, width: int, look: Palette, aligned: bool) -> Text:
    """A caret below the character that cannot be read, and the reason next to it."""
    style, at = look["error"], min(fault.at, len(text))
    if not aligned:
        return Text(f"{sanitize(text, 60)}: {fault.text}", style=style, no_wrap=True, overflow="ellipsis")
    reason = fault.text
    if at + 2 + len(reason) <= width:
        return Text(" " * at + f"^ {reason}", style=style, no_wrap=True, overflow="ellipsis")
    if len(reason) + 1 <= at < width:
        return Text(f"{reason} ^".rjust(at + 1), style=style, no_wrap=True, overflow="ellipsis")
    return Text(f"^{at + 1}: {reason}", style=style, no_wrap=True, overflow="ellipsis")
