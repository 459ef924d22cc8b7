"""A table with columns as data that draws only the lines in sight, and redraws only rows that changed.

Textual's own DataTable lays every visible cell out again for each change of one: at five changes a second
that is a third of a core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.theme_colors import Palette
from tui.widgets.table_line import NO_CELL, PLAIN, draw_line
from tui.widgets.table_line import Cells as Cells
from tui.widgets.table_line import TableColumn as TableColumn


@dataclass
class Row:
    """A row as last drawn: what it was drawn from, its cells, and its strip without the cursor."""

    source: tuple[object, ...]
    cells: Cells
    strip: Strip | None = None


class VirtualTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows rows by their keys. A subclass says what a row is drawn from (``source``) and as (``cells``).

    The head, the first ``STILL_ROWS`` rows and the foot do not scroll; the first ``still`` columns do not
    scroll sideways. The cursor is on a row, or with ``CELL_CURSOR`` on a cell of a scrolling column.
    """

    HEAD_LINES: ClassVar[int] = 1
    STILL_ROWS: ClassVar[int] = 0
    FOOT_LINES: ClassVar[int] = 0
    CELL_CURSOR: ClassVar[bool] = False

    # Arrows, Home and End are for the screen, which moves the cursor; of Textual they would scroll
    BINDINGS = [
        Binding("pageup", "page_up", show=False), Binding("pagedown", "page_down", show=False),
    ]  # fmt: skip
    COMPONENT_CLASSES = {"table--head", "table--row", "table--cursor"}
    DEFAULT_CSS = """
    VirtualTable {
        height: 1fr; background: $surface; color: $foreground;
        scrollbar-size-vertical: 1; overflow-x: hidden;
        & > .table--head { background: $panel; color: $foreground; text-style: bold; }
        & > .table--row, & > .table--cursor {
            background: $block-cursor-blurred-background; color: $foreground;
        }
        &:focus > .table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
    }
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._columns: Sequence[TableColumn] = ()
        self._still = 0
        self._in_sight = range(0)  # of the scrolling columns
        self._keys: list[int] = []
        self._rows: dict[int, Row] = {}
        self._look: Palette | None = None
        self.cursor_row = 0
        self.cursor_column = 0  # among the scrolling columns

    # -- what a subclass says ---------------------------------------------------------------------

    def list_row_inputs(self, key: int) -> tuple[object, ...]:
        """Return all that the row is drawn from: while it is the same, the row is not drawn again."""
        raise NotImplementedError

    def draw_cells(self, key: int) -> Cells:
        """Return the row's cells of the still columns and of the scrolling columns in sight."""
        raise NotImplementedError

    def draw_head_cells(self, line: int) -> Cells:
        """Return a line of the head; by default as the columns say."""
        return [column.head[line] for column in self.shown_columns]

    def draw_foot_cells(self, line: int) -> Cells:
        """Return a line of the foot."""
        return []

    def handle_cursor_move(self) -> None:
        """React to the cursor being on another row or column."""

    def handle_row_opening(self) -> None:
        """React to a double click on the row or cell under the cursor."""

    # -- what is shown ----------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        """Return how many rows there are."""
        return len(self._keys)

    @property
    def row_key(self) -> int | None:
        """Return the key of the row under the cursor."""
        return self._keys[self.cursor_row] if 0 <= self.cursor_row < len(self._keys) else None

    @property
    def column_key(self) -> str | None:
        """Return the key of the scrolling column under the cursor."""
        scrolling = self._scrolling
        return scrolling[self.cursor_column].key if scrolling else None

    @property
    def shown_columns(self) -> Sequence[TableColumn]:
        """Return the still columns, then the scrolling ones in sight."""
        return [*self._columns[: self._still], *self.columns_in_sight]

    @property
    def columns_in_sight(self) -> Sequence[TableColumn]:
        """Return the scrolling columns in sight."""
        return self._scrolling[self._in_sight.start : self._in_sight.stop]

    @property
    def _scrolling(self) -> Sequence[TableColumn]:
        return self._columns[self._still :]

    def set_columns(self, columns: Sequence[TableColumn], still: int, look: Palette) -> None:
        """Take the columns, of which the first ``still`` do not scroll; the cursor stays on its column."""
        if columns == self._columns and still == self._still and look is self._look:
            return
        before = self.column_key
        self._columns, self._still, self._look = columns, still, look
        keys = [column.key for column in self._scrolling]
        self.cursor_column = keys.index(before) if before in keys else 0
        self._rows.clear()
        self._scroll_sideways()
        self.refresh()
        if self.column_key != before:
            self.handle_cursor_move()

    def forget_rows(self) -> None:
        """Draw all rows again: how they are drawn has changed, not what they are drawn from."""
        self._rows.clear()
        self.refresh()

    def set_keys(self, keys: list[int]) -> None:
        """Take the rows' keys in their order; the cursor stays on its row."""
        if keys == self._keys:
            return
        before = self.row_key
        self._keys = keys
        self._set_virtual_size()
        if before in keys:
            self.cursor_row = keys.index(before)
        else:
            self.cursor_row = max(0, min(self.cursor_row, len(keys) - 1))
            self.handle_cursor_move()
        self.refresh()

    def draw_changes(self) -> None:
        """Draw the rows in sight whose cells changed; the others wait until they are scrolled to."""
        top, still = self.scroll_offset.y, self.STILL_ROWS
        end = min(self.row_count, top + self.size.height - self.HEAD_LINES - self.FOOT_LINES)
        for place in (*range(min(still, end)), *range(top + still, end)):
            before = self._rows.get(self._keys[place])
            if self._make_row(place) is not before:
                self._refresh_row(place)

    def _make_row(self, place: int) -> Row | None:
        """Return the row as it is now: the same object while its cells are the same."""
        if place >= self.row_count:
            return None
        key = self._keys[place]
        row, source = self._rows.get(key), self.list_row_inputs(key)
        if row is not None and row.source == source:
            return row
        cells = self.draw_cells(key)
        if row is None or row.cells != cells:
            row = self._rows[key] = Row(source, cells)
        row.source = source
        return row

    def _refresh_row(self, place: int) -> None:
        """Have a row drawn again if it is in sight, and with the row under the cursor the foot."""
        still = place < self.STILL_ROWS
        line = place + self.HEAD_LINES - (0 if still else self.scroll_offset.y)
        if self.HEAD_LINES + (0 if still else self.STILL_ROWS) <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))
        if place == self.cursor_row and self.FOOT_LINES:
            self.refresh(Region(0, self._foot_line, self.size.width, self.FOOT_LINES))

    def _set_virtual_size(self) -> None:
        self.virtual_size = Size(self.size.width, self.row_count + self.HEAD_LINES + self.FOOT_LINES)

    def notify_style_update(self) -> None:
        """Forget the strips: the colours changed."""
        super().notify_style_update()
        for row in self._rows.values():
            row.strip = None

    # -- drawing ----------------------------------------------------------------------------------

    @property
    def _foot_line(self) -> int:
        """Return where the foot begins: a line below the rows if they fit."""
        below = min(self.size.height - self.FOOT_LINES, self.HEAD_LINES + self.row_count + 1)
        return max(self.HEAD_LINES + self.STILL_ROWS, below)

    def _find_place_at(self, line: int) -> int:
        """Return the place of the row on a line below the head."""
        place = line - self.HEAD_LINES
        return place if place < self.STILL_ROWS else place + self.scroll_offset.y

    def render_line(self, y: int) -> Strip:
        """Render one line: head, still rows, rows from where the table is scrolled to, or foot."""
        if not self._columns:
            return Strip.blank(self.size.width, self.rich_style)
        if y < self.HEAD_LINES:
            return self._make_strip(self.draw_head_cells(y), self.get_component_rich_style("table--head"))
        if 0 <= y - self._foot_line < self.FOOT_LINES:
            return self._make_strip(self.draw_foot_cells(y - self._foot_line), self.rich_style)
        place = self._find_place_at(y)
        row = self._make_row(place)
        if row is None:
            return Strip.blank(self.size.width, self.rich_style)
        if place == self.cursor_row:  # its colours depend on the focus: not kept
            return self._make_cursor_strip(row)
        if row.strip is None:
            row.strip = self._make_strip(row.cells, self.rich_style)
        return row.strip

    def _make_cursor_strip(self, row: Row) -> Strip:
        cursor = self.get_component_rich_style("table--cursor")
        if not self.CELL_CURSOR:
            return self._make_strip(row.cells, cursor, range(len(row.cells)), cursor)
        cursor_x = self._still + self.cursor_column - self._in_sight.start
        marked = range(cursor_x, cursor_x + 1) if self.has_focus else NO_CELL
        return self._make_strip(row.cells, self.get_component_rich_style("table--row"), marked, cursor)

    def _make_strip(self, cells: Cells, base: Style, marked: range = NO_CELL, cursor: Style = PLAIN) -> Strip:
        """Draw cells; those in ``marked`` have the cursor's colours alone, so that they are legible."""
        line = draw_line(self.shown_columns, cells, self._look, base, (marked, cursor))
        return line.adjust_cell_length(self.size.width, base).simplify()

    # -- moving -----------------------------------------------------------------------------------

    def move_cursor(self, row: int, column: int | None = None) -> None:
        """Put the cursor on a row and a scrolling column, as far as there are such, and scroll there."""
        before = (self.cursor_row, self.cursor_column)
        self.cursor_row = max(0, min(self.row_count - 1, row))
        if column is not None:
            self.cursor_column = max(0, min(len(self._scrolling) - 1, column))
        if before == (self.cursor_row, self.cursor_column):
            return
        self._refresh_row(before[0])
        self._refresh_row(self.cursor_row)
        self.show_cursor()
        self.handle_cursor_move()

    def show_cursor(self) -> None:
        """Scroll so that the cursor is in sight."""
        self._scroll_sideways()
        place, top = self.cursor_row - self.STILL_ROWS, self.scroll_offset.y
        room = max(1, self.size.height - self.HEAD_LINES - self.STILL_ROWS - self.FOOT_LINES)
        if 0 <= place < top:
            self.scroll_to(y=place, animate=False)
        elif place >= top + room:
            self.scroll_to(y=place - room + 1, animate=False)

    def _scroll_sideways(self) -> None:
        """Choose the columns in sight: the cursor's among them, and no room left unused at the right."""
        last = len(self._scrolling) - 1
        lowest, highest = self._find_first_before(self.cursor_column), self._find_first_before(last)
        first = max(0, min(highest, max(lowest, min(self._in_sight.start, self.cursor_column))))
        in_sight = range(first, min(last + 1, first + self._count_fitting(first)))
        if in_sight != self._in_sight:
            self._in_sight = in_sight
            self._rows.clear()
            self.refresh()

    def _find_first_before(self, column: int) -> int:
        """Return the first of the scrolling columns that fit together with ``column`` as the last."""
        return next((first for first in range(column) if first + self._count_fitting(first) > column), column)

    def _count_fitting(self, first: int) -> int:
        """Return how many scrolling columns fit from ``first`` on, at least one."""
        room = self.size.width - sum(column.width + column.gap for column in self._columns[: self._still])
        count = 0
        for column in self._scrolling[first:]:
            room -= column.width + column.gap
            count += room >= 0
        return max(1, count)

    def on_resize(self) -> None:
        """Fit rows and columns into the new size; keep the cursor in sight."""
        self._set_virtual_size()
        self.show_cursor()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Choose with one click, open with two."""
        place, column = self._find_place_at(event.y), self._find_column(event.x)
        inside = self.HEAD_LINES <= event.y < self.size.height - self.FOOT_LINES and place < self.row_count
        if not inside or (self.CELL_CURSOR and column is None):
            return
        self.move_cursor(place, column)
        if event.chain == 2:
            self.handle_row_opening()

    def find_still_column(self, x: int) -> TableColumn | None:
        """Return the still column at a cell of the line."""
        for column in self._columns[: self._still]:
            x -= column.width + column.gap
            if x < 0:
                return column
        return None

    def _find_column(self, x: int) -> int | None:
        """Return the scrolling column at a cell of the line."""
        x -= sum(column.width + column.gap for column in self._columns[: self._still])
        for place in self._in_sight if x >= 0 else ():
            x -= self._scrolling[place].width + self._scrolling[place].gap
            if x < 0:
                return place
        return None
