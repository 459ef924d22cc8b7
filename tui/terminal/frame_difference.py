"""The bytes that turn the screen a terminal shows into the one that is wanted."""

from __future__ import annotations

from tui.terminal.cell_grid import CONTINUED, CellGrid, Row, make_blank_rows, make_unknown_rows
from tui.terminal.cell_style import INK_ON_BLANKS, PLAIN, CellStyle, change

ERASE_FROM = 5  # so many blanks at the end of a line are erased, not written
JOIN_WITHIN = 4  # so many equal cells between two changes are written again: moving on costs as much


class FrameDifference:
    """Knows what the terminal shows, where its cursor is, and its style.

    ``erases_in_color`` says that a terminal erases with the present background (terminfo's bce); another one
    is sent spaces.
    """

    def __init__(self, erases_in_color: bool) -> None:
        self._erases_in_color = erases_in_color
        self._shown: list[Row] | None = None
        self._width = 0
        self._style = PLAIN
        self._cursor: tuple[int, int] | None = None
        self._out: list[str] = []

    def forget(self) -> None:
        """What the terminal shows is not known any more: the next frame writes all of it."""
        self._shown = None

    def write(self, grid: CellGrid, cursor: tuple[int, int] = (0, 0)) -> str:
        """Return what shows ``grid`` and leaves the cursor at (x, y); empty where nothing is to do."""
        self._out = []
        is_whole = self._shown is None or (self._width, len(self._shown)) != (grid.width, len(grid.rows))
        if is_whole:
            self._clear(grid)
        shown_rows = self._shown or []
        for y in range(len(grid.rows)) if is_whole else sorted(grid.changed):
            if shown_rows[y] != grid.rows[y]:
                self._write_row(y, shown_rows[y], grid.rows[y])
                shown_rows[y] = grid.rows[y].copy()
        grid.changed.clear()
        if self._out or self._cursor != cursor:
            self._move(*cursor)
        return "".join(self._out)

    def _clear(self, grid: CellGrid) -> None:
        """Blanks are most of a screen: clear it in the colour of most of them."""
        self._width, self._style, self._cursor = grid.width, PLAIN, None
        self._out.append("\x1b[m")
        blank = grid.find_commonest_blank()
        if blank.flags or (blank.back and not self._erases_in_color):
            self._shown = make_unknown_rows(grid.width, len(grid.rows))
            return
        self._set(blank)
        self._out.append("\x1b[2J")
        self._shown = make_blank_rows(grid.width, len(grid.rows), blank)

    def _write_row(self, y: int, shown: Row, new_row: Row) -> None:
        erased_from = self._find_erased(shown, new_row)
        end = self._width if erased_from is None else erased_from
        for first, last in self._find_runs(shown, new_row, end):
            self._move(first, y)
            self._write_cells(y, first, last, new_row)
        if erased_from is not None:
            self._move(erased_from, y)
            if not self._is_blanked_like(new_row.styles[-1]):
                self._set(new_row.styles[-1])
            self._out.append("\x1b[K")

    def _find_erased(self, shown: Row, new_row: Row) -> int | None:
        """Return the column from which the rest is blank and better erased than written."""
        style = new_row.styles[-1]
        if style.flags or (style.back and not self._erases_in_color):
            return None
        begin = self._width
        while begin and new_row.characters[begin - 1] == " " and new_row.styles[begin - 1] == style:
            begin -= 1
        changed = sum(not _is_same(shown, new_row, x) for x in range(begin, self._width))
        return begin if changed >= ERASE_FROM else None

    def _find_runs(self, shown_row: Row, new_row: Row, end: int) -> list[tuple[int, int]]:
        """Return the changed parts of a line as (first, last + 1)."""
        runs: list[tuple[int, int]] = []
        for x in range(end):
            if _is_same(shown_row, new_row, x):
                continue
            first = x
            while first and new_row.characters[first] == CONTINUED:
                first -= 1
            if runs and _join(new_row, runs[-1][1], first):
                runs[-1] = (runs[-1][0], x + 1)
            else:
                runs.append((first, x + 1))
        return runs

    def _write_cells(self, y: int, first: int, last: int, new_row: Row) -> None:
        for x in range(first, last):
            character = new_row.characters[x]
            if character == CONTINUED or character is None:
                continue
            if self._cursor is None:
                self._move(x, y)
            if character != " " or not self._is_blanked_like(new_row.styles[x]):
                self._set(new_row.styles[x])
            self._out.append(character)
            # terminals do not agree on the width of what is not one plain character
            certain = len(character) == 1 and (x + 1 == last or new_row.characters[x + 1] != CONTINUED)
            self._cursor = (x + 1, y) if certain and x + 1 < self._width else None

    def _is_blanked_like(self, style: CellStyle) -> bool:
        """Tell whether a space in the present style looks like one in ``style``."""
        return not style.flags and style.back == self._style.back and not self._style.flags & INK_ON_BLANKS

    def _set(self, style: CellStyle) -> None:
        if style != self._style:
            self._out.append(change(self._style, style))
            self._style = style

    def _move(self, x: int, y: int) -> None:
        if self._cursor != (x, y):
            self._out.append(_move_cursor(self._cursor, x, y))
            self._cursor = (x, y)


def _is_same(shown_row: Row, new_row: Row, x: int) -> bool:
    return shown_row.characters[x] == new_row.characters[x] and shown_row.styles[x] == new_row.styles[x]


def _join(row: Row, end: int, begin: int) -> bool:
    """Tell whether the cells between two changes, from ``end`` to ``begin``, are cheaper written than
    skipped."""
    if begin - end > JOIN_WITHIN:
        return False
    style = row.styles[end - 1]
    alike = (style, style.blank)  # a blank needs no change of the ink
    return all(between in alike for between in row.styles[end:begin])


def _move_cursor(before: tuple[int, int] | None, x: int, y: int) -> str:
    """Return the shortest sequence that moves the cursor."""
    sequences = [f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H" if y else "\x1b[H"]
    if before is not None and before[1] == y:
        sequences += [_list_steps(x - before[0], "C", "D"), *(["\r"] if not x else [])]
    elif before is not None and before[0] == x:
        sequences.append(_list_steps(y - before[1], "B", "A"))
    if before is not None and not x and y == before[1] + 1:
        sequences.append("\r\n")
    return min(sequences, key=len)


def _list_steps(count: int, onward: str, back: str) -> str:
    number = "" if abs(count) == 1 else str(abs(count))
    return f"\x1b[{number}{onward if count > 0 else back}"
