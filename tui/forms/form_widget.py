"""A form: one row per value, checked while it is typed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from core.contract.edits.input_values import Read
from core.contract.text.sanitize import sanitize
from tui.forms.form_row_data import Row, turn
from tui.keys.dialog_key_groups import CHOICE, FIELD
from tui.keys.key_definition import make_bindings
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet

LONGEST_TEXT = 500  # characters in a field
LABEL = 24  # cells


class Field(Input):
    """One line of text; nothing that a terminal would obey gets into it, pasted or not."""

    BINDINGS = make_bindings(FIELD)

    def __init__(self, row: Row) -> None:
        self.row = row
        super().__init__(
            sanitize(row.start, LONGEST_TEXT), compact=True, validate_on=()
        )  # ``Line`` checks it
        self.cursor_blink = False  # each blink is a picture more over a slow line
        self.begun = self.value

    def update_node_styles(self, animate: bool = True) -> None:
        """Match the styles only once it is in a form, which does so itself when it comes: Textual would do it
        twice more while a field is made, and a form of 36 fields opened half a second later."""
        if self.is_attached:
            super().update_node_styles(animate)

    def validate_value(self, value: str) -> str:
        """What is shown and sent is harmless."""
        return sanitize(value, LONGEST_TEXT)

    @property
    def changed(self) -> bool:
        """Does something else stand in it than at first?"""
        return self.value.strip() != self.begun.strip()

    def action_as_before(self) -> None:
        """Take the change of this row back."""
        self.value = self.begun


class Choice(Field):
    """A field of few values: left and right go through them."""

    BINDINGS = make_bindings(CHOICE)

    def action_turn(self, by: int) -> None:
        """Another choice."""
        self.value = turn(self.row, self.value.strip(), by)
        self.select_all()


class Line(Horizontal):
    """Label, field, and what is allowed or wrong."""

    def __init__(self, row: Row, width: int) -> None:
        super().__init__()
        self.row, self._width = row, width
        self.field: Field | None = None
        self.label, self.told = Sheet(classes="label"), Sheet(classes="told")
        if not row.locked:
            self.field = Choice(row) if row.choices else Field(row)
            self.field.styles.width = width

    def compose(self) -> ComposeResult:
        """A locked row has no field."""
        yield self.label
        if self.field is not None:
            yield self.field
        yield self.told

    @property
    def read(self) -> Read:
        """Parse the field; an unchanged row has no value."""
        changed = self.field is not None and self.field.changed
        return self.row.read(self.field.value) if changed and self.field is not None else Read()

    def show(self, look: Palette) -> None:
        """Draw what goes with the field."""
        field, row, read = self.field, self.row, self.read
        changed = field is not None and field.changed
        sign = "▸ " if field is not None and field.has_focus else "* " if changed else "  "
        label = Text(sanitize(f"{sign}{row.label or row.name}", LABEL - 1), no_wrap=True)
        label.stylize(look["muted"] if field is None else f"bold {look['accent']}" if changed else "")
        self.label.draw(label)
        self.told.draw(_describe_row(row, read, changed, self._width, look))


def _describe_row(row: Row, read: Read, changed: bool, width: int, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    if row.locked:
        line.append(sanitize(row.start, width - 1).ljust(width), style=look["muted"])
        line.append(f" {row.locked}", style=look["muted"])
    elif read.wrong:
        line.append(f" ✗ {sanitize(read.wrong, 200)}", style=look["error"])
    elif changed and read.note:
        line.append(f" {sanitize(read.note, 200)}", style=look["warning"])
    elif changed:
        line.append(f" was {sanitize(row.start, 60) or 'empty'}", style=look["accent"])
    else:
        line.append(f" {sanitize(row.allowed, 200)}", style=look["muted"])
    return line


class Form(VerticalScroll, can_focus=False):
    """Posts Moved when another row has the keys or a text changed."""

    DEFAULT_CSS = """
    Form { height: auto; max-height: 100%; scrollbar-size-vertical: 1; overflow-x: hidden; }
    Form .heading { color: $primary; text-style: bold; height: 1; }
    Form Line { height: 1; }
    Form .label { width: 24; height: 1; }
    Form .told { width: 1fr; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    Form Field, Form Choice { background: $panel; }
    Form Field:focus, Form Choice:focus { background: $panel-lighten-2; }
    """

    class Moved(Message):
        """Look at the foot again; ``changed`` where it is for a text, not for the keys."""

        def __init__(self, changed: bool) -> None:
            super().__init__()
            self.changed = changed

    def __init__(self, rows: Sequence[Row], width: int, look: Palette) -> None:
        super().__init__()
        self._lines = [Line(row, width) for row in rows]
        self._look = look

    def compose(self) -> ComposeResult:
        """The rows, with their headings."""
        for line in self._lines:
            if line.row.heading:
                yield Static(line.row.heading, classes="heading", markup=False)
            yield line

    def on_mount(self) -> None:
        """The first row has the keys."""
        first = next((line.field for line in self._lines if line.field is not None), None)
        if first is not None:
            first.focus()
        self.show()

    def show(self, changed: bool = False) -> None:
        """Draw all rows; those that are as they were cost nothing."""
        for line in self._lines:
            line.show(self._look)
        self.post_message(self.Moved(changed))

    @property
    def current(self) -> tuple[Row, Read] | None:
        """The row that has the keys, and what it says."""
        for line in self._lines:
            if line.field is not None and line.field.has_focus:
                return line.row, line.read
        return None

    def _list_changes(self) -> Iterator[Line]:
        return (line for line in self._lines if line.field is not None and line.field.changed)

    @property
    def changes(self) -> dict[str, Any]:
        """The value of each row that changed and may stand."""
        return {line.row.name: line.read.value for line in self._list_changes() if not line.read.wrong}

    @property
    def wrong(self) -> dict[str, str]:
        """What is wrong, by row."""
        return {line.row.name: line.read.wrong for line in self._list_changes() if line.read.wrong}

    def go_to(self, name: str) -> None:
        """Give the keys to a row."""
        for line in self._lines:
            if line.row.name == name and line.field is not None:
                line.field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check while it is typed."""
        event.stop()
        self.show(changed=True)

    def on_descendant_focus(self) -> None:
        """The mark goes along with the keys."""
        self.show()
