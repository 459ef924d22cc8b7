"""A canvas of braille dots: two across and four down in each cell of the terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode 2800, by (row, column)
# The dots of one column of a cell, by column, first row and last row.
COLUMNS = tuple(
    tuple(
        tuple(sum(DOTS[row][side] for row in range(first, last + 1)) for last in range(4))
        for first in range(4)
    )
    for side in range(2)
)


def find_column(x: float, width: int) -> int:
    """The cell in which a position lies, as the dots of a line lie in cells."""
    return round(x * (2 * width - 1)) // 2


def find_row(y: float, height: int) -> int:
    """The row in which a position lies, the uppermost being 0."""
    return round((1 - y) * (4 * height - 1)) // 4


class Canvas:
    """``width`` × ``height`` cells, so 2·width × 4·height dots; (0, 0) is the upper left dot."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cells = [[0] * width for _ in range(height)]
        self._owner = [[-1] * width for _ in range(height)]

    def draw_dot(self, x: int, y: int, owner: int = 0) -> None:
        """Set one dot; outside the canvas nothing happens. The last owner colours the cell."""
        if 0 <= x < 2 * self.width and 0 <= y < 4 * self.height:
            self._cells[y // 4][x // 2] |= DOTS[y % 4][x % 2]
            self._owner[y // 4][x // 2] = owner

    def draw_line(self, x0: int, y0: int, x1: int, y1: int, owner: int = 0) -> None:
        """Dots from one point to another, both included (Bresenham 1965)."""
        dx, dy = abs(x1 - x0), -abs(y1 - y0)
        step_x, step_y = (1 if x0 < x1 else -1), (1 if y0 < y1 else -1)
        error = dx + dy
        while True:
            self.draw_dot(x0, y0, owner)
            if (x0, y0) == (x1, y1):
                return
            twice = 2 * error
            if twice >= dy:
                error, x0 = error + dy, x0 + step_x
            if twice <= dx:
                error, y0 = error + dx, y0 + step_y

    def draw_column(self, x: int, top: int, bottom: int, owner: int = 0) -> None:
        """Dots one below the other, both ends included: what most of a noisy curve is. Fast."""
        if not 0 <= x < 2 * self.width:
            return
        top, bottom = max(0, top), min(4 * self.height - 1, bottom)
        for row in range(top // 4, bottom // 4 + 1):
            first, last = max(0, top - 4 * row), min(3, bottom - 4 * row)
            self._cells[row][x // 2] |= COLUMNS[x % 2][first][last]
            self._owner[row][x // 2] = owner

    def draw_curve(self, positions: Sequence[tuple[float, float]], owner: int = 0) -> None:
        """Dots through positions, which run from (0, 0), lower left, to (1, 1)."""
        right, lowest = 2 * self.width - 1, 4 * self.height - 1
        dots = [(round(x * right), round((1 - y) * lowest)) for x, y in positions]
        for (x0, y0), (x1, y1) in zip(dots, dots[1:] or dots, strict=False):
            if x0 == x1:
                self.draw_column(x0, min(y0, y1), max(y0, y1), owner)
            else:
                self.draw_line(x0, y0, x1, y1, owner)

    def list_rows(self) -> list[list[tuple[str, int]]]:
        """Each cell as (character, owner); an empty one is (" ", -1)."""
        return [
            [(chr(0x2800 + dots) if dots else " ", owner) for dots, owner in zip(cells, owners, strict=True)]
            for cells, owners in zip(self._cells, self._owner, strict=True)
        ]
