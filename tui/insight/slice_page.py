"""The slice page: every trial's value over one knob, and over further knobs if there is room. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from core.contract.views.axis_scale import AxisScale
from core.contract.views.knob_axes import Axis
from tui.insight.choice_columns import MOST, draw_columns, list_choice_columns, list_column_labels
from tui.insight.page_context import (
    Page,
    View,
    draw_dot,
    draw_legend,
    explain_no_values,
    label_axis,
    list_knobs,
    mark_focus,
    note_outliers,
)
from tui.widgets.xy_plot import AXIS, Plane, add_axes, join_side_by_side, list_row_labels, make_axis

NARROWEST, LOWEST = 56, 14  # cells and lines of one of several slices


def draw_lines(view: View) -> list[Text]:
    """The chosen knob, and as many after it as there is room for."""
    values = [point.value for point in i.list_points(view.study, view.objective)]
    if not view.axes:
        return [Text("no knob is searched: [space] is empty", style=view.look["muted"])]
    if not values:
        return explain_no_values(view)
    scale = make_axis(values, view.direction)
    rows = min(max(1, (view.height - 1) // LOWEST), -(-len(view.axes) // max(1, view.width // NARROWEST)))
    columns = min(max(1, view.width // NARROWEST), -(-len(view.axes) // rows))
    first = view.choice // (columns * rows) * columns * rows
    shown_axes = list(enumerate(view.axes))[first : first + columns * rows]
    width, height = view.width // columns, (view.height - 1) // rows
    blocks = [
        _draw_slice(view, axis, place == view.choice, scale, width, height) for place, axis in shown_axes
    ]
    head = draw_legend(view)
    if any(1 < len(axis.choices) <= MOST for _, axis in shown_axes):
        head.append("□ middle half of the results, ", style=view.look["muted"])
        head.append("━", style=view.look["accent"])
        head.append(" their median", style=view.look["muted"])
    head.append(note_outliers(view, values, scale.contains), style=view.look["muted"])
    page_lines = [head]
    for start in range(0, len(blocks), columns):
        page_lines += join_side_by_side(blocks[start : start + columns], width)
    return page_lines


def _draw_slice(
    view: View, axis: Axis, chosen: bool, scale: AxisScale, width: int, height: int
) -> list[Text]:
    plane = Plane(width - AXIS - 2, height - 4)
    if 1 < len(axis.choices) <= MOST:
        columns = list_choice_columns(view, axis, plane.width)
        draw_columns(plane, view, columns, scale)
        return _draw_framed(view, axis, chosen, plane, scale, list_column_labels(columns, plane.width))[
            : height - 1
        ]
    placed = [
        (x, scale.find_position(point.value), point)
        for x, point in i.make_slice(view.study, axis, view.objective)
    ]
    for x, y, point in placed:
        draw_dot(plane, view, x, y, point)
    mark_focus(plane, view, placed)
    marks = [(place, label_axis(view, axis.name, value)) for place, value in axis.list_marks()]
    return _draw_framed(view, axis, chosen, plane, scale, marks)[: height - 1]


def _draw_framed(
    view: View, axis: Axis, chosen: bool, plane: Plane, scale: AxisScale, marks: list[tuple[float, str]]
) -> list[Text]:
    """The title above the plane, the axes next to and below it."""
    title = Text(f"{' ' * (AXIS + 1)}{'▸ ' if chosen else ''}{view.metric} over {sanitize(axis.name, 40)}")
    title.append(" (log)" if axis.log else "", style=view.look["muted"])
    title.stylize("bold" if chosen else view.look["muted"])
    return [title, *add_axes(plane, list_row_labels(scale, plane.height), marks, "", view.look)]


def list_trials(view: View) -> list[int]:
    """From the left to the right."""
    if not view.axes:
        return []
    axis = view.axes[min(view.choice, len(view.axes) - 1)]
    placed = i.make_slice(view.study, axis, view.objective)
    return [point.trial for _, point in sorted(placed, key=lambda pair: (pair[0], pair[1].value))]


PAGE = Page("slices", draw_lines, list_trials, list_knobs)
