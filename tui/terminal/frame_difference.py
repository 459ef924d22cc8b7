"""The bytes that turn the screen a terminal shows into the one that is wanted."""

from __future__ import annotations

from tui.terminal.cell_grid import CONTINUED, CellGrid, Row, blank_rows, unknown_rows
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
        whole = self._shown is None or (self._width, len(self._shown)) != (grid.width, len(grid.rows))
        if whole:
            self._clear(grid)
        shown = self._shown or []
        for y in range(len(grid.rows)) if whole else sorted(grid.changed):
            if shown[y] != grid.rows[y]:
                self._write_row(y, shown[y], grid.rows[y])
                shown[y] = grid.rows[y].copy()
        grid.changed.clear()
        if self._out or self._cursor != cursor:
            self._move(*cursor)
        return "".join(self._out)

    def _clear(self, grid: CellGrid) -> None:
        """Blanks are most of a screen: clear it in the colour of most of them."""
        self._width, self._style, self._cursor = grid.width, PLAIN, None
        self._out.append("\x1b[m")
        blank = grid.commonest_blank()
        if blank.flags or (blank.back and not self._erases_in_color):
            self._shown = unknown_rows(grid.width, len(grid.rows))
            return
        self._set(blank)
        self._out.append("\x1b[2J")
        self._shown = blank_rows(grid.width, len(grid.rows), blank)

    def _write_row(self, y: int, shown: Row, wanted: Row) -> None:
        erased_from = self._erased_from(shown, wanted)
        end = self._width if erased_from is None else erased_from
        for first, last in self._runs(shown, wanted, end):
            self._move(first, y)
            self._write_cells(y, first, last, wanted)
        if erased_from is not None:
            self._move(erased_from, y)
            if not self._blanks_like(wanted.styles[-1]):
                self._set(wanted.styles[-1])
            self._out.append("\x1b[K")

    def _erased_from(self, shown: Row, wanted: Row) -> int | None:
        """Return the column from which the rest is blank and better erased than written."""
        style = wanted.styles[-1]
        if style.flags or (style.back and not self._erases_in_color):
            return None
        begin = self._width
        while begin and wanted.characters[begin - 1] == " " and wanted.styles[begin - 1] == style:
            begin -= 1
        changed = sum(not _same(shown, wanted, x) for x in range(begin, self._width))
        return begin if changed >= ERASE_FROM else None

    def _runs(self, shown: Row, wanted: Row, end: int) -> list[tuple[int, int]]:
        """Return the changed parts of a line as (first, last + 1)."""
        runs: list[tuple[int, int]] = []
        for x in range(end):
            if _same(shown, wanted, x):
                continue
            first = x
            while first and wanted.characters[first] == CONTINUED:
                first -= 1
            if runs and _join(wanted, runs[-1][1], first):
                runs[-1] = (runs[-1][0], x + 1)
            else:
                runs.append((first, x + 1))
        return runs

    def _write_cells(self, y: int, first: int, last: int, wanted: Row) -> None:
        for x in range(first, last):
            character = wanted.characters[x]
            if character == CONTINUED or character is None:
                continue
            if self._cursor is None:
                self._move(x, y)
            if character != " " or not self._blanks_like(wanted.styles[x]):
                self._set(wanted.styles[x])
            self._out.append(character)
            # terminals do not agree on the width of what is not one plain character
            certain = len(character) == 1 and (x + 1 == last or wanted.characters[x + 1] != CONTINUED)
            self._cursor = (x + 1, y) if certain and x + 1 < self._width else None

    def _blanks_like(self, style: CellStyle) -> bool:
        """Tell whether a space in the present style looks like one in ``style``."""
        return not style.flags and style.back == self._style.back and not self._style.flags & INK_ON_BLANKS

    def _set(self, style: CellStyle) -> None:
        if style != self._style:
            self._out.append(change(self._style, style))
            self._style = style

    def _move(self, x: int, y: int) -> None:
        if self._cursor != (x, y):
            self._out.append(_movement(self._cursor, x, y))
            self._cursor = (x, y)


def _same(shown: Row, wanted: Row, x: int) -> bool:
    return shown.characters[x] == wanted.characters[x] and shown.styles[x] == wanted.styles[x]


def _join(row: Row, end: int, begin: int) -> bool:
    """Tell whether the cells between two changes, from ``end`` to ``begin``, are cheaper written than
    skipped."""
    if begin - end > JOIN_WITHIN:
        return False
    style = row.styles[end - 1]
    alike = (style, style.blank)  # a blank needs no change of the ink
    return all(between in alike for between in row.styles[end:begin])


def _movement(before: tuple[int, int] | None, x: int, y: int) -> str:
    """Return the shortest sequence that moves the cursor."""
    ways = [f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H" if y else "\x1b[H"]
    if before is not None and before[1] == y:
        ways += [_steps(x - before[0], "C", "D"), *(["\r"] if not x else [])]
    elif before is not None and before[0] == x:
        ways.append(_steps(y - before[1], "B", "A"))
    if before is not None and not x and y == before[1] + 1:
        ways.append("\r\n")
    return min(ways, key=len)


def _steps(count: int, onward: str, back: str) -> str:
    number = "" if abs(count) == 1 else str(abs(count))
    return f"\x1b[{number}{onward if count > 0 else back}"
