"""Draws vertical lines on a plot at the steps where a trial was edited. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.state.engine_state import Mark
from core.contract.views.axis_scale import AxisScale
from tui.widgets.braille_canvas import column_of

MARK = -2  # the owner of a mark's cells, which no curve is
LINE = "┊"

Cells = list[list[tuple[str, int]]]


def draw_markers(rows: Cells, marks: Sequence[Mark], steps: AxisScale) -> Cells:
    """The cells of a plot over ``steps``, with a line at each mark where no curve is, and its step beside the
    line's upper end where there is room."""
    width = len(rows[0]) if rows else 0
    for mark in marks:
        if not steps.contains(mark.step):
            continue
        place = column_of(steps.position(mark.step), width)
        for row in rows:
            if row[place][0] == " ":
                row[place] = (LINE, MARK)
        _label(rows, f"{mark.step}", place, width)
    return rows


def _label(rows: Cells, text: str, place: int, width: int) -> None:
    """At the right of the line, else at its left, in the first of the upper rows that is free there."""
    for row in rows[:3]:
        for start in (place + 1, place - len(text)):
            cells = range(start, start + len(text))
            if start >= 0 and start + len(text) <= width and all(row[column][0] == " " for column in cells):
                for column, character in zip(cells, text, strict=True):
                    row[column] = (character, MARK)
                return
