"""The contour page: the objective over two knobs, shaded between the trials. Pure."""

from __future__ import annotations

from itertools import combinations

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from core.contract.views.knob_axes import Axis, list_axes
from tui.charts.braille_canvas import find_row
from tui.insight.page_context import (
    EARLY,
    HERE,
    RESULT,
    Page,
    View,
    draw_legend,
    explain_no_values,
    format_value,
    label_axis,
)
from tui.widgets.xy_plot import AXIS, Plane, add_axes

SHADES = "█▓▒░·"  # the best first
MOST_COLUMNS, MOST_ROWS = 32, 16  # of the shading: it is drawn in the console's own time


def list_pairs(study: s.Study) -> list[tuple[Axis, Axis]]:
    """Every two knobs."""
    return list(combinations(list_axes(study), 2))


def draw_lines(view: View) -> list[Text]:
    """Legend, shades with the trials on them, axes."""
    knob_pairs = list_pairs(view.study)
    if not knob_pairs:
        return [Text("a contour needs two searched knobs", style=view.look["muted"])]
    across, up = knob_pairs[min(view.choice, len(knob_pairs) - 1)]
    room, high = view.width - AXIS - 1, view.height - 4
    columns, rows = min(MOST_COLUMNS, room // 2), min(MOST_ROWS, high)
    grid = i.make_grid(view.study, across, up, columns, rows, view.objective)
    if not grid:
        return explain_no_values(view)
    field = i.interpolate(grid, columns, rows)
    plane = Plane(room, high)
    borders = _find_borders(sorted(grid.values(), reverse=view.direction == "maximize"))
    for row in range(plane.height):
        for column in range(plane.width):
            value = field[(plane.height - 1 - row) * rows // plane.height][column * columns // plane.width]
            if value is not None:
                plane.put(column, row, SHADES[_find_level(value, borders, view.direction)], "base")
    _draw_trials(view, plane, across, up)
    labels = {
        find_row(place, plane.height): label_axis(view, up.name, value, AXIS)
        for place, value in up.list_marks()
    }
    marks = [(place, label_axis(view, across.name, value)) for place, value in across.list_marks()]
    head = draw_legend(view, meaning="warning")
    head.append(f"{SHADES} ", style=view.look["base"])
    best = f"{'≤' if view.direction == 'minimize' else '≥'} {format_value(borders[0])}"
    head.append(f"best ({best}) to worst   blank: no data", style=view.look["muted"])
    caption = f"{sanitize(up.name, 30)} (up) over {sanitize(across.name, 30)}; interpolated by distance"
    return [head, *add_axes(plane, labels, marks, caption, view.look)]


def _draw_trials(view: View, plane: Plane, across: Axis, up: Axis) -> None:
    for point in sorted(
        i.list_points(view.study, view.objective), key=lambda point: point.trial == view.focus
    ):
        params = view.study.trials[point.trial].params
        x, y = across.place(params.get(across.name)), up.place(params.get(up.name))
        if x is not None and y is not None:
            is_focus = point.trial == view.focus
            sign = HERE if is_focus else EARLY if point.early else RESULT
            plane.mark(x, y, sign, "cursor" if is_focus else "warning")


def _find_borders(values: list[float]) -> list[float]:
    """The worst value of each fifth but the last, the best fifth first."""
    return [values[min(len(values) - 1, len(values) * part // 5)] for part in range(1, 5)]


def _find_level(value: float, borders: list[float], direction: str) -> int:
    worse = [value > border if direction == "minimize" else value < border for border in borders]
    return sum(worse)


def list_trials(view: View) -> list[int]:
    """The best first."""
    return [point.trial for point in i.order_points(view.study, view.objective)]


def list_choices(study: s.Study) -> list[str]:
    """The pairs by name."""
    return [f"{sanitize(across.name, 30)} × {sanitize(up.name, 30)}" for across, up in list_pairs(study)]


PAGE = Page("contour", draw_lines, list_trials, list_choices)
