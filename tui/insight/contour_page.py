"""The contour page: the objective over two knobs, shaded between the trials. Pure."""

from __future__ import annotations

from itertools import combinations

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from core.contract.views import study_insight as i
from core.contract.views.knob_axes import Axis, axes
from tui.charts.braille_canvas import row_of
from tui.insight.page_context import EARLY, HERE, RESULT, Page, View, legend, no_values, value_text
from tui.number_text import number
from tui.widgets.xy_plot import AXIS, Plane, add_axes

SHADES = "█▓▒░·"  # the best first
MOST_COLUMNS, MOST_ROWS = 32, 16  # of the shading: it is drawn in the console's own time


def pairs(study: s.Study) -> list[tuple[Axis, Axis]]:
    """Every two knobs."""
    return list(combinations(axes(study), 2))


def lines(view: View) -> list[Text]:
    """Legend, shades with the trials on them, axes."""
    knob_pairs = pairs(view.study)
    if not knob_pairs:
        return [Text("a contour needs two searched knobs", style=view.look["muted"])]
    across, up = knob_pairs[min(view.choice, len(knob_pairs) - 1)]
    room, high = view.width - AXIS - 1, view.height - 4
    columns, rows = min(MOST_COLUMNS, room // 2), min(MOST_ROWS, high)
    known = i.grid(view.study, across, up, columns, rows, view.objective)
    if not known:
        return no_values(view)
    field = i.interpolate(known, columns, rows)
    plane = Plane(room, high)
    borders = _borders(sorted(known.values(), reverse=view.direction == "maximize"))
    for row in range(plane.height):
        for column in range(plane.width):
            value = field[(plane.height - 1 - row) * rows // plane.height][column * columns // plane.width]
            if value is not None:
                plane.put(column, row, SHADES[_level(value, borders, view.direction)], "base")
    _trials(view, plane, across, up)
    labels = {row_of(place, plane.height): plain(number(value), AXIS) for place, value in up.marks()}
    marks = [(place, plain(number(value), 16)) for place, value in across.marks()]
    head = legend(view, meaning="warning")
    head.append(f"{SHADES} ", style=view.look["base"])
    best = f"{'≤' if view.direction == 'minimize' else '≥'} {value_text(borders[0])}"
    head.append(f"best ({best}) to worst   blank: no data", style=view.look["muted"])
    caption = f"{plain(up.name, 30)} (up) over {plain(across.name, 30)}; interpolated by distance"
    return [head, *add_axes(plane, labels, marks, caption, view.look)]


def _trials(view: View, plane: Plane, across: Axis, up: Axis) -> None:
    for point in sorted(i.points(view.study, view.objective), key=lambda point: point.trial == view.focus):
        params = view.study.trials[point.trial].params
        x, y = across.place(params.get(across.name)), up.place(params.get(up.name))
        if x is not None and y is not None:
            is_focus = point.trial == view.focus
            sign = HERE if is_focus else EARLY if point.early else RESULT
            plane.mark(x, y, sign, "cursor" if is_focus else "warning")


def _borders(values: list[float]) -> list[float]:
    """The worst value of each fifth but the last, the best fifth first."""
    return [values[min(len(values) - 1, len(values) * part // 5)] for part in range(1, 5)]


def _level(value: float, borders: list[float], direction: str) -> int:
    worse = [value > border if direction == "minimize" else value < border for border in borders]
    return sum(worse)


def trials(view: View) -> list[int]:
    """The best first."""
    return [point.trial for point in i.order_points(view.study, view.objective)]


def choices(study: s.Study) -> list[str]:
    """The pairs by name."""
    return [f"{plain(across.name, 30)} × {plain(up.name, 30)}" for across, up in pairs(study)]


PAGE = Page("contour", lines, trials, choices)
