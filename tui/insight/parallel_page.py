"""Parallel coordinates: one upright axis for each knob and one for the rank, a line for each trial. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from tui.charts.braille_canvas import find_column
from tui.insight.page_context import Page, View, explain_no_values, label_axis
from tui.widgets.xy_plot import Plane, pad

MOST = 250  # lines: more are a grey field
BEST = 0.25  # the share of the trials whose lines are lit


def draw_lines(view: View) -> list[Text]:
    """Legend, the upper ends, the lines, the lower ends, the names."""
    points = i.order_points(view.study, view.objective)
    if not view.axes:
        return [Text("no knob is searched: [space] is empty", style=view.look["muted"])]
    if not points:
        return explain_no_values(view)
    ranks = i.rank_points(points, view.direction)
    plane = Plane(view.width, view.height - 4)
    stops = [place / len(view.axes) for place in range(len(view.axes) + 1)]
    for x in stops:
        for row in range(plane.height):
            plane.put(find_column(x, plane.width), row, "│", "muted")
    shown_points = sorted(points[:MOST], key=lambda point: (point.trial == view.focus, -ranks[point.trial]))
    for point in shown_points:
        focused = point.trial == view.focus
        meaning = "warning" if focused else "good" if ranks[point.trial] <= BEST else "faint"
        for stretch in _list_stretches(view, point, 1 - ranks[point.trial], stops):
            plane.draw_line(stretch, meaning)
    upper, lower = _make_ends(view, stops, True), _make_ends(view, stops, False)
    return [
        _make_head(view, len(points)),
        upper,
        *plane.list_rows(view.look),
        lower,
        _make_names(view, stops),
    ]


def _list_stretches(
    view: View, point: i.Point, last: float, stops: list[float]
) -> list[list[tuple[float, float]]]:
    """The line of a trial, broken where it has no place on an axis."""
    params = view.study.trials[point.trial].params
    places = [*(axis.place(params.get(axis.name)) for axis in view.axes), last]
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(stops, places, strict=True):
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append((x, y))
    return [stretch for stretch in stretches if stretch]


def _make_head(view: View, count: int) -> Text:
    look = view.look
    line = Text("━━ ", style=look["good"], no_wrap=True, overflow="ellipsis")
    line.append(f"best quarter by {view.metric}   ", style=look["info"])
    line.append("━━ ", style=look["faint"]).append("the others   ", style=look["info"])
    if view.focus is not None:
        line.append("━━ ", style=look["warning"]).append(f"trial {view.focus}   ", style=look["info"])
    if count > MOST:
        line.append(f"the best {MOST} of {count:,} are drawn", style=look["muted"])
    return line


def _make_ends(view: View, stops: list[float], upper: bool) -> Text:
    """What stands at the upper or the lower end of each axis."""
    ends = [(axis.name, axis.list_marks()[-1 if upper else 0][1]) for axis in view.axes]
    written = [label_axis(view, name, value, 12) for name, value in ends]
    labels = [*written, "best" if upper else "worst"]
    return _spread_labels(view, stops, labels, "muted")


def _make_names(view: View, stops: list[float]) -> Text:
    names = [sanitize(axis.short, 12) + (" log" if axis.log else "") for axis in view.axes]
    return _spread_labels(view, stops, [*names, "rank"], "info")


def _spread_labels(view: View, stops: list[float], labels: list[str], meaning: str) -> Text:
    """Labels under their axes; the first begins at the left edge, the last ends at the right one."""
    room = max(3, (view.width - 1) // max(1, len(stops) - 1) - 1)
    line, at = Text(no_wrap=True), 0
    for place, (x, label) in enumerate(zip(stops, labels, strict=True)):
        text = pad(label, min(len(label), room))
        start = find_column(x, view.width) - (0 if place == 0 else len(text) // 2)
        start = max(at, min(start, view.width - len(text)))
        line.append(" " * (start - at) + text)
        at = start + len(text)
    line.stylize(view.look[meaning])
    return line


def list_trials(view: View) -> list[int]:
    """The best first."""
    return [point.trial for point in i.order_points(view.study, view.objective)]


PAGE = Page("parallel", draw_lines, list_trials)
