"""The optimisation history: ended trials in the order of their ends, and the best so far. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.views import study_insight as i
from tui.insight.page_context import (
    Page,
    View,
    draw_dot,
    draw_legend,
    explain_no_values,
    format_value,
    mark_focus,
    note_outliers,
)
from tui.widgets.xy_plot import AXIS, Plane, add_axes, list_axis_labels, list_row_labels, make_axis


def draw_lines(view: View) -> list[Text]:
    """Legend, plot, axes."""
    moments = i.list_history(view.study, view.objective)
    if not moments:
        return explain_no_values(view)
    plane = Plane(view.width - AXIS - 1, view.height - 4)
    scale = make_axis([moment.point.value for moment in moments], view.direction)
    last = max(1, len(moments) - 1)
    placed = [
        (at / last, scale.find_position(moment.point.value), moment.point)
        for at, moment in enumerate(moments)
    ]
    bests = [(at / last, moment.best) for at, moment in enumerate(moments) if moment.best is not None]
    steps: list[tuple[float, float]] = []
    for at, value in bests:
        steps += [(at, steps[-1][1])] if steps else []  # a stair: the old best holds until the new one
        steps.append((at, scale.find_position(value)))
    if steps:
        plane.draw_line(steps, "good")
    for x, y, point in placed:
        draw_dot(plane, view, x, y, point)
    mark_focus(plane, view, placed)
    best = f"best so far {format_value(bests[-1][1])}" if bests else "no result yet"
    head = draw_legend(view, [("━━", "good", best)])
    head.append(
        note_outliers(view, [moment.point.value for moment in moments], scale.contains),
        style=view.look["muted"],
    )
    caption = f"{view.metric}, {view.wish} · trials in order of completion"
    return [
        head,
        *add_axes(
            plane,
            list_row_labels(scale, plane.height),
            list_axis_labels(1, len(moments), plane.width, whole=True),
            caption,
            view.look,
        ),
    ]


def list_trials(view: View) -> list[int]:
    """In the order of their ends."""
    return [point.trial for point in i.list_points(view.study, view.objective)]


PAGE = Page("history", draw_lines, list_trials)
