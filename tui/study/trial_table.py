"""The table of trials. Only rows whose trial changed are redrawn.

Textual's own DataTable lays every visible cell out again for each change of one: at five changes a second
that is a third of a core.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.contract.state import best_and_counts
from core.contract.state import study_state as s
from tui.theme_colors import Palette
from tui.ui_messages import TrialChosen, TrialOpened
from tui.widgets.steering_signs import Piece
from tui.widgets.trial_columns import GAP, Column, columns, matches, ordered, shape_of

HEAD = 1  # lines of the head, which does not scroll
MARK = "▌"  # before a trial that is marked for comparing


@dataclass
class Row:
    """A trial as last drawn: its cells, and their strips with and without the cursor."""

    trial: s.Trial
    best: bool
    marked: bool
    cells: list[list[Piece]]
    strips: dict[bool, Strip]


class TrialTable(ScrollView, can_focus=True):
    """Shows the trials of one study; posts TrialChosen and TrialOpened."""

    COMPONENT_CLASSES = {"trials--head", "trials--cursor"}
    DEFAULT_CSS = """
    TrialTable {
        height: 1fr; background: $surface; color: $foreground;
        scrollbar-size-vertical: 1; overflow-x: hidden;
        & > .trials--head { background: $panel; color: $foreground; text-style: bold; }
        & > .trials--cursor { background: $block-cursor-blurred-background; color: $foreground; }
        &:focus > .trials--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
    }
    """

    def __init__(self, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self._study: s.Study | None = None
        self._columns: list[Column] = []
        self._shape: tuple[object, ...] = ()
        self._numbers: list[int] = []
        self._rows: dict[int, Row] = {}
        self._best: int | None = None
        self._marked: frozenset[int] = frozenset()
        self._look: Palette | None = None
        self.cursor_row = 0

    # -- what is shown ----------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """How many trials are shown."""
        return len(self._numbers)

    @property
    def chosen(self) -> int | None:
        """The trial under the cursor."""
        return self._numbers[self.cursor_row] if 0 <= self.cursor_row < len(self._numbers) else None

    def show(
        self,
        study: s.Study | None,
        text: str,
        best_first: bool,
        look: Palette,
        marked: frozenset[int] = frozenset(),
    ) -> None:
        """Draw the trials that match ``text``, those in ``marked`` with a mark before them."""
        trials = ordered(study, best_first) if study is not None else []
        numbers = [trial.number for trial in trials if not text or matches(trial, text)]
        self._fit(study, look)
        self._study, self._marked = study, marked
        self._place(numbers)
        self._update()

    def _fit(self, study: s.Study | None, look: Palette | None) -> None:
        """Choose the columns that there is room for."""
        width = self.size.width or 80
        shape = (width, *(shape_of(study) if study is not None else ()))
        if shape != self._shape or look is not self._look:
            self._columns = columns(study, width) if study is not None else []
            self._shape, self._look, self._rows = shape, look, {}
            self.refresh()

    def _place(self, numbers: list[int]) -> None:
        """Take the rows' order; the cursor stays on its trial."""
        if numbers == self._numbers:
            return
        chosen = self.chosen
        self._numbers = numbers
        self.virtual_size = Size(self.size.width, len(numbers) + HEAD)
        if chosen in numbers:
            self.cursor_row = numbers.index(chosen)
        else:
            self.cursor_row = max(0, min(self.cursor_row, len(numbers) - 1))
            self.post_message(TrialChosen(self.chosen))
        self.refresh()

    def _update(self) -> None:
        """Draw the rows in sight whose cells changed; the others wait until they are scrolled to."""
        best = best_and_counts.best(self._study) if self._study is not None else None
        self._best = best.number if best is not None else None
        top = self.scroll_offset.y
        for place in range(top, min(self.row_count, top + max(0, self.size.height - HEAD))):
            before = self._rows.get(self._numbers[place])
            if self._row(place) is not before:
                self._refresh_row(place)

    def _row(self, place: int) -> Row | None:
        """The row as its trial is now. The same row while its cells are the same."""
        if self._study is None or place >= self.row_count:
            return None
        number = self._numbers[place]
        row, trial, leads = self._rows.get(number), self._study.trials[number], number == self._best
        marked = number in self._marked
        if row is not None and row.trial is trial and (row.best, row.marked) == (leads, marked):
            return row
        cells = [column.draw(self._study, trial, leads) for column in self._columns]
        if row is None or row.cells != cells or row.marked != marked:
            row = self._rows[number] = Row(trial, leads, marked, cells, {})
        row.trial, row.best = trial, leads
        return row

    def _refresh_row(self, place: int) -> None:
        y = place + HEAD - self.scroll_offset.y
        if HEAD <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def redraw(self) -> None:
        """Forget what was drawn."""
        self._shape = ()

    def notify_style_update(self) -> None:
        """The colours changed."""
        super().notify_style_update()
        for row in self._rows.values():
            row.strips.clear()

    # -- drawing ----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """The head, then rows from where the table is scrolled to."""
        width = self.size.width
        if y < HEAD:
            labels: list[list[Piece]] = [[(column.label, "")] for column in self._columns]
            return self._strip(labels, self.get_component_rich_style("trials--head"), False, width, False)
        place = y - HEAD + self.scroll_offset.y
        row = self._row(place)
        if row is None:
            return Strip.blank(width, self.rich_style)
        under = place == self.cursor_row
        if under and not self.has_focus:  # its colour depends on the focus: not kept
            cursor = self.get_component_rich_style("trials--cursor")
            return self._strip(row.cells, cursor, True, width, row.marked)
        if under not in row.strips:
            style = self.get_component_rich_style("trials--cursor") if under else self.rich_style
            row.strips[under] = self._strip(row.cells, style, under, width, row.marked)
        return row.strips[under]

    def _strip(self, cells: list[list[Piece]], base: Style, plainly: bool, width: int, marked: bool) -> Strip:
        segments = [Segment(MARK if marked else " ", base + self._style("accent" if marked else "", plainly))]
        for column, pieces in zip(self._columns, cells, strict=False):
            room = column.width
            cell = []
            for text, meaning in pieces:
                shown = text if cell_len(text) <= room else set_cell_size(text, room)
                room -= cell_len(shown)
                cell.append(Segment(shown, base + self._style(meaning, plainly)))
            pad = Segment(" " * room, base)
            segments += [pad, *cell] if column.right else [*cell, pad]
            segments.append(Segment(" " * GAP, base))
        return Strip(segments).adjust_cell_length(width, base).simplify()

    def _style(self, meaning: str, plainly: bool) -> Style:
        """Return the colour of a meaning; under the cursor the cursor's colour, for legibility."""
        if meaning == "bold":
            return Style(bold=True)
        colour = self._look[meaning] if self._look is not None and meaning and not plainly else ""
        return Style.parse(colour) if colour else Style.null()

    # -- moving -----------------------------------------------------------------------------------

    def move_cursor(self, row: int) -> None:
        """Put the cursor on a row, as far as there is one, and scroll there."""
        before, self.cursor_row = self.cursor_row, max(0, min(self.row_count - 1, row))
        if before == self.cursor_row:
            return
        self._refresh_row(before)
        self._refresh_row(self.cursor_row)
        top, room = self.scroll_offset.y, max(1, self.size.height - HEAD)
        if self.cursor_row < top:
            self.scroll_to(y=self.cursor_row, animate=False)
        elif self.cursor_row >= top + room:
            self.scroll_to(y=self.cursor_row - room + 1, animate=False)
        self.post_message(TrialChosen(self.chosen))

    def on_resize(self) -> None:
        """Refit the columns, also when a side panel opened or closed; keep the cursor visible."""
        self._fit(self._study, self._look)
        self.virtual_size = Size(self.size.width, self.row_count + HEAD)
        room = max(1, self.size.height - HEAD)
        if self.cursor_row >= self.scroll_offset.y + room:
            self.scroll_to(y=self.cursor_row - room + 1, animate=False)

    def on_click(self, event: events.Click) -> None:
        """One click chooses, two open."""
        place = event.y - HEAD + self.scroll_offset.y
        if event.y < HEAD or place >= self.row_count:
            return
        self.move_cursor(place)
        if event.chain == 2 and self.chosen is not None:
            self.post_message(TrialOpened(self.chosen))
