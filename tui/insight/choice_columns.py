"""Draws the trials of a knob with few values as columns: points side by side, box, median, counts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import quantiles

from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from core.contract.views.axis_scale import AxisScale
from core.contract.views.knob_axes import Axis
from tui.charts.braille_canvas import find_row
from tui.insight.page_context import EARLY, HERE, RESULT, View
from tui.number_text import format_number
from tui.widgets.xy_plot import Plane

MOST = 8  # values from which on columns have no room
ENOUGH = 4  # results from which there is a box
BOX = 0.6  # of a column


@dataclass(frozen=True)
class ChoiceColumn:
    """One value of the knob: its column from ``left`` to ``right`` (cells), and its trials."""

    value: object
    left: int
    right: int
    points: tuple[i.Point, ...]

    @property
    def middle(self) -> int:
        """The cell in the middle."""
        return (self.left + self.right) // 2

    @property
    def results(self) -> list[float]:
        """The values of trials that were not stopped early."""
        return [point.value for point in self.points if not point.early]


def list_choice_columns(view: View, axis: Axis, width: int) -> list[ChoiceColumn]:
    """A column for each value of the knob, in ``width`` cells."""
    placed = i.make_slice(view.study, axis, view.objective)
    total = len(axis.choices)
    columns = []
    for place, (x, value) in enumerate(axis.list_marks()):
        points = tuple(point for at, point in placed if abs(at - x) < 0.5 / max(1, total))
        columns.append(ChoiceColumn(value, width * place // total, width * (place + 1) // total - 1, points))
    return columns


def draw_columns(plane: Plane, view: View, columns: Sequence[ChoiceColumn], scale: AxisScale) -> None:
    """The box of each column, and on it its trials, none upon another while there is room."""
    for column in columns:
        _draw_box(plane, column, scale)
        _draw_points(plane, view, column, scale)


def list_column_labels(columns: Sequence[ChoiceColumn], width: int) -> list[tuple[float, str]]:
    """Each value with how many results and early stops it has; the value alone where it is narrow."""
    wide = min((column.right - column.left for column in columns), default=0)
    labels = []
    for column in columns:
        name = sanitize(format_number(column.value), 16)
        results = len(column.results)
        counts = f"{name}  {results}{RESULT} {len(column.points) - results}{EARLY}"
        label = counts if len(counts) <= wide else name
        labels.append(((column.middle + 0.5) / width, label))
    return labels


def _draw_box(plane: Plane, column: ChoiceColumn, scale: AxisScale) -> None:
    """From the lower to the upper quartile of the results, with their median."""
    if len(column.results) < ENOUGH:
        return
    low, middle, high = (
        find_row(scale.find_position(value), plane.height)
        for value in quantiles(column.results, method="inclusive")
    )
    half = max(2, round((column.right - column.left) * BOX / 2))
    left, right = column.middle - half, column.middle + half
    for row in range(high, low + 1):
        edge = row in (high, low)
        corners = ("┌", "┐") if row == high else ("└", "┘") if row == low else ("│", "│")
        for at, sign in ((left, corners[0]), (right, corners[1])):
            plane.put(at, row, sign, "muted")
        for at in range(left + 1, right) if edge else ():
            plane.put(at, row, "─", "muted")
    for at in range(left, right + 1):
        plane.put(at, middle, "━", "accent")


def _draw_points(plane: Plane, view: View, column: ChoiceColumn, scale: AxisScale) -> None:
    free_places: dict[int, Iterator[int]] = {}
    room = (column.right - column.left) // 2
    ordered = sorted(column.points, key=lambda point: (point.trial == view.focus, point.trial))
    for point in ordered:
        row = find_row(scale.find_position(point.value), plane.height)
        offset = next(free_places.setdefault(row, _spread_sideways(room)))
        sign, meaning = (EARLY, "pruned") if point.early else (RESULT, "complete")
        if point.trial == view.focus:
            sign, meaning = HERE, "cursor"
        plane.put(column.middle + offset, row, sign, meaning)


def _spread_sideways(room: int) -> Iterator[int]:
    """0, 2, -2, 4, -4 …, then the cells between, then again: places in a row from the middle outwards."""
    while True:
        for first in (0, 1):
            for step in count(first, 2):
                if step > room:
                    break
                yield step
                if step:
                    yield -step
