"""A plot of signs and braille lines with axes; places run from (0, 0), lower left, to (1, 1). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from core.contract.views.axis_scale import AxisScale
from tui.charts.braille_canvas import Canvas, find_column, find_row
from tui.number_text import format_number, is_whole
from tui.theme_colors import Palette

AXIS = 8  # cells for the labels of the values
FAR = 3.0  # how far beyond the third quartile, in its distance from the best, values still have a place


def make_axis(values: Sequence[float], direction: str | None = None) -> AxisScale:
    """From the lowest to the highest. With a direction, a few very bad values do not squeeze the others: they
    stand on the edge."""
    low, high = min(values), max(values)
    if direction is not None and len(values) >= 4:
        signed = sorted(value if direction == "minimize" else -value for value in values)
        edge = signed[3 * len(signed) // 4]
        edge += FAR * (edge - signed[0])
        if edge > signed[0]:
            low, high = (low, min(high, edge)) if direction == "minimize" else (max(low, -edge), high)
    return AxisScale.over((low, high))


def list_row_labels(scale: AxisScale, rows: int) -> dict[int, str]:
    """The label of each row that has one, about one in three; the uppermost row is 0."""
    labels: dict[int, str] = {}
    for value in scale.list_ticks(max(4, rows // 3)):
        labels.setdefault(find_row(scale.find_position(value), rows), format_number(float(f"{value:.6g}")))
    return labels


class Plane:
    """``width`` × ``height`` cells. A sign hides a line, a later sign an earlier one."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = max(1, width), max(1, height)
        self._lines = Canvas(self.width, self.height)
        self._meanings: list[str] = []
        self._signs: dict[tuple[int, int], tuple[str, str]] = {}
        self._below: dict[tuple[int, int], tuple[str, ...]] = {}  # signs under the lines of these meanings

    def draw_line(self, places: Sequence[tuple[float, float]], meaning: str) -> None:
        """Dots through all ``places``."""
        if meaning not in self._meanings:
            self._meanings.append(meaning)
        owner = self._meanings.index(meaning)
        self._lines.draw_curve(places, owner)

    def mark(self, x: float, y: float, sign: str, meaning: str, below: tuple[str, ...] = ()) -> None:
        """A sign of one cell; it does not hide lines of the meanings ``below`` which it stands."""
        column, row = find_column(x, self.width), find_row(y, self.height)
        self.put(column, row, sign, meaning)
        self._below[column, row] = below

    def put(self, column: int, row: int, sign: str, meaning: str) -> None:
        """A sign in a cell, counted from the upper left."""
        if 0 <= column < self.width and 0 <= row < self.height:
            self._signs[column, row] = (sign, meaning)
            self._below.pop((column, row), None)

    def list_rows(self, look: Palette) -> list[Text]:
        """The cells, line by line."""
        lines = []
        for row, cells in enumerate(self._lines.list_rows()):
            line = Text(no_wrap=True)
            run, run_style = "", ""
            for column, (dots, owner) in enumerate(cells):
                meaning, place = self._meanings[owner] if owner >= 0 else "", (column, row)
                if owner < 0 or meaning not in self._below.get(place, ()):
                    dots, meaning = self._signs.get(place, (dots, meaning))
                style = find_style(look, meaning)
                if style != run_style:
                    line.append(run, style=run_style)
                    run, run_style = "", style
                run += dots
            lines.append(line.append(run, style=run_style))
        return lines


def find_style(look: Palette, meaning: str) -> str:
    """The colour of a meaning; of the cursor its own."""
    return f"bold {look.cursor}" if meaning == "cursor" else look[meaning] if meaning else ""


def add_axes(
    plane: Plane, up: dict[int, str], along: Sequence[tuple[float, str]], caption: str, look: Palette
) -> list[Text]:
    """The plane with its values at the left, and below it the axis, its labels and what they are. It is three
    lines higher than the plane, and AXIS + 1 cells wider."""
    lines = []
    for row, line in enumerate(plane.list_rows(look)):
        label = up.get(row, "")[:AXIS]
        axis_text = Text(f"{label:>{AXIS}}" + ("┤" if label else "│"), style=look["muted"], no_wrap=True)
        lines.append(Text(no_wrap=True).append_text(axis_text).append_text(line))
    rule, under = ["─"] * plane.width, [" "] * (AXIS + 1 + plane.width)
    last_column = -1
    for place, label in along:
        column = find_column(place, plane.width)
        room = min(cell_len(label), plane.width)
        start = max(0, min(AXIS + 1 + column - room // 2, len(under) - room))
        if start > last_column and cell_len(label) == len(label):
            rule[column] = "┬"
            under[start : start + room] = label[:room]
            last_column = start + room
    lines.append(Text(" " * AXIS + "└" + "".join(rule), style=look["muted"], no_wrap=True))
    lines.append(Text("".join(under), style=look["muted"], no_wrap=True))
    middle = max(0, AXIS + 1 + (plane.width - cell_len(caption)) // 2)
    lines.append(Text(" " * middle + caption, style=look["muted"], no_wrap=True, overflow="ellipsis"))
    return lines


def list_axis_labels(first: float, last: float, width: int, whole: bool = False) -> list[tuple[float, str]]:
    """Round numbers along an axis from ``first`` to ``last``, by their places; ``whole`` ones of what is
    counted."""
    if last <= first:
        return [(0.0, format_number(first))]
    scale = AxisScale(first, last)
    ticks = [value for value in scale.list_ticks(max(2, width // 14)) if not whole or is_whole(value)]
    return [(scale.find_position(value), format_short(value)) for value in ticks]


def format_short(value: float) -> str:
    """A number of an axis: 950, 12k, 1.5M."""
    for unit, step in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * step or (abs(value) >= step and step > 1e3):
            return f"{value / step:.4g}{unit}"
    return format_number(float(f"{value:.6g}"))


def join_side_by_side(blocks: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """Blocks of lines side by side, ``width`` cells each."""
    lines = []
    for row in range(max(map(len, blocks), default=0)):
        line = Text(no_wrap=True)
        for block in blocks:
            part = block[row].copy() if row < len(block) else Text()
            part.truncate(width - 1, overflow="ellipsis", pad=True)
            line.append_text(part).append(" ")
        lines.append(line)
    return lines


def pad(text: str, width: int, right: bool = False) -> str:
    """``text`` in exactly ``width`` cells."""
    room = cell_len(text)
    if room > width:
        return set_cell_size(text, width)
    return " " * (width - room) + text if right else text + " " * (width - room)
