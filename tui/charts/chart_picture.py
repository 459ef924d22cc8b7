"""Draws one chart into a frame of cells: title with figures, curves, marks, cursor and both axes. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from core.contract.views.axis_scale import AxisScale
from core.contract.views.charts.chart_window import round_values
from core.contract.views.charts.curve_point_thinning import clip_places, keep_extremes
from tui.charts.braille_canvas import Canvas, find_column, find_row
from tui.charts.chart_curve import ChartData, Curve, format_place, format_tick, write_figure
from tui.charts.chart_view import ChartView
from tui.number_text import is_whole

Cell = tuple[str, str]  # a character and its meaning; a meaning with "bold " before it is bold
Place = tuple[float, float]
LABELS = 7  # cells for the values left of the axis, and one between
LEAST = (16, 4)  # cells and lines of the smallest chart
ELSEWHERE = "no value in this part"
APART = 14  # cells between the signs of a curve
KINDS = {"checkpoint": "▪", "resume": "▸", "best": "★", "spike": "▲", "edit": "✎"}  # later ones hide earlier
LINES = {"edit": "┊"}  # what is also drawn through the plot


def make_picture_key(chart: ChartData, view: ChartView, width: int) -> Hashable:
    """Return what decides whether the chart must be drawn again: a reading in the last column of dots changes
    little, one that begins a new column, a moved axis, a mark or another view does."""
    across = chart.make_visible_axis(view)
    dots = 2 * max(1, width - LABELS - 2)
    ends = tuple(
        round(across.find_position(curve.steps[-1]) * (dots - 1)) if curve.steps else -1
        for curve in chart.curves
    )
    labels = tuple((curve.label, len(curve.steps) > 1) for curve in chart.curves)
    return chart.title, labels, ends, (across.low, across.high), chart.signs, view, width


def draw_chart(
    chart: ChartData, view: ChartView, width: int, height: int, chosen: bool = False
) -> list[list[Cell]]:
    """Return ``height`` rows of ``width`` cells; blank where that is too small for a chart."""
    if width < LEAST[0] or height < LEAST[1]:
        return [[(" ", "")] * width for _ in range(height)]
    border = "accent" if chosen else "border"
    inner, rows = width - LABELS - 2, height - 2
    across = chart.make_visible_axis(view)
    curves = [(curve, _list_places(curve, view, across)) for curve in chart.curves]
    values = [value for _, places in curves for _, value in places]
    top = _fit(_make_title(chart, view, chosen), "╭", "╮", width, border)
    if not values:
        is_elsewhere = view.window is not None and any(curve.steps for curve in chart.curves)
        return [
            top,
            *_lay_out_words(ELSEWHERE if is_elsewhere else chart.empty, width, rows, border),
            _make_row("╰", "─" * (width - 2), "╯", border),
        ]
    up = AxisScale(*chart.range) if chart.range else round_values(values, view.log_y)
    plot = _plot([(curve, _scale_places(places, up)) for curve, places in curves], inner, rows)
    _draw_happenings(plot, chart, across, view.along)
    _draw_cursor(plot, chart, view, across, up)
    for end in view.dragged or ():
        _draw_column(plot, find_column_of(end, across, inner), ("┃", "accent"))
    labels = _make_labels(up, rows, chart.unit)
    body = [
        [("│", border), *_make_text(f"{labels.get(row, ''):>{LABELS - 1}} ", "muted"), *cells, ("│", border)]
        for row, cells in enumerate(plot)
    ]
    return [top, *body, _draw_below(chart, view, across, width, border)]


def _list_places(curve: Curve, view: ChartView, across: AxisScale) -> list[Place]:
    """The points in sight: x from 0 to 1, and the value."""
    points = curve.list_drawn_points(view)
    return clip_places(
        list(
            zip(
                across.find_positions(step for step, _ in points), (value for _, value in points), strict=True
            )
        )
    )


def _scale_places(places: Sequence[Place], up: AxisScale) -> list[Place]:
    return list(zip((x for x, _ in places), up.find_positions(value for _, value in places), strict=True))


def _plot(curves: Sequence[tuple[Curve, list[Place]]], width: int, height: int) -> list[list[Cell]]:
    """The curves, the first in front: a cell shows the dots of its foremost curve alone, so none is painted
    over."""
    cells: list[list[Cell]] = [[(" ", "")] * width for _ in range(height)]
    for curve, places in reversed(curves):
        canvas = Canvas(width, height)
        canvas.draw_curve(keep_extremes(places, 2 * width))
        for row, line in enumerate(canvas.list_rows()):
            for column, (dots, _) in enumerate(line):
                if dots != " ":
                    cells[row][column] = (dots, curve.meaning)
    for number, (curve, places) in enumerate(curves):
        if curve.sign and places:
            _draw_signs(cells, curve, places, APART * number / len(curves))
    return cells


def _draw_signs(cells: list[list[Cell]], curve: Curve, places: Sequence[Place], first: float) -> None:
    """The curve's sign at points of it that stand apart, and at its end; those of several curves are in
    different columns."""
    width, next_free = len(cells[0]), first
    for place in places:
        if find_column(place[0], width) >= next_free:
            _put(cells, place, (curve.sign, curve.meaning))
            next_free = max(next_free + APART, find_column(place[0], width) + APART / 2)
    _put(cells, places[-1], (curve.sign, curve.meaning))


def _put(cells: list[list[Cell]], place: Place, cell: Cell) -> None:
    cells[find_row(place[1], len(cells))][find_column(place[0], len(cells[0]))] = cell


def _draw_happenings(plot: list[list[Cell]], chart: ChartData, across: AxisScale, along: str) -> None:
    """What happened where: a sign at the upper edge, for an edit with its place and a line."""
    for kind, sign in KINDS.items():
        for happened in chart.signs:
            if happened.kind != kind or not across.contains(happened.at):
                continue
            column = find_column(across.find_position(happened.at), len(plot[0]))
            if kind in LINES:
                _draw_column(plot, column, (LINES[kind], "mark"))
                _make_label(plot[0], column, format_place(happened.at, along))
            plot[0][column] = (sign, "mark")


def _make_label(row: list[Cell], column: int, text: str) -> None:
    """Text at the right of a column, else at its left, where all is free."""
    for start in (column + 1, column - len(text)):
        free = start >= 0 and all(character == " " for character, _ in row[start : start + len(text)])
        if free and start + len(text) <= len(row):
            row[start : start + len(text)] = _make_text(text, "mark")
            return


def _draw_column(plot: list[list[Cell]], column: int, cell: Cell) -> None:
    """A line from top to bottom where nothing else is."""
    for row in plot:
        if row[column][0] == " ":
            row[column] = cell


def _draw_cursor(
    plot: list[list[Cell]], chart: ChartData, view: ChartView, across: AxisScale, up: AxisScale
) -> None:
    if view.cursor is None or not across.contains(view.cursor):
        return
    _draw_column(plot, find_column(across.find_position(view.cursor), len(plot[0])), ("│", "info"))
    for curve in reversed(chart.curves):
        points = Curve(curve.label, *_split_columns(curve.list_drawn_points(view)), curve.meaning)
        if not points.steps:
            continue
        place = points.find_nearest(view.cursor)
        if across.contains(points.steps[place]):
            at = across.find_position(points.steps[place]), up.find_position(points.values[place])
            _put(plot, at, ("◆", f"bold {curve.meaning}"))


def _split_columns(points: Sequence[Place]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _make_title(chart: ChartData, view: ChartView, chosen: bool) -> list[list[Cell]]:
    """The title by how much room it takes, the longest first; its figures are measured values."""
    name = _make_text(f" {chart.title} ", "bold accent" if chosen else "bold info")
    several = len(chart.curves) > 1
    forms: list[list[Cell]] = []
    for rule, labelled in (("━", True), ("━", False), ("", False)):
        line = list(name)
        for curve in chart.curves:
            figure = write_figure(curve.find_value(view.cursor), chart.unit)
            sign = f"{rule}{curve.sign or rule or '━'} " if several else ""
            label = f"{curve.label} " if several and labelled and curve.label != curve.sign else ""
            line += _make_text(sign + label, curve.meaning)
            line += _make_text(f"{figure} ", "info" if view.cursor is None else "bold info")
        forms.append(line)
    return [*forms, name]


def _fit(forms: Sequence[list[Cell]], left: str, right: str, width: int, border: str) -> list[Cell]:
    """The first form that fits, between corners."""
    room = width - 3
    chosen_form = next((form for form in forms if len(form) <= room), forms[-1][:room])
    rule = "─" * (room - len(chosen_form))
    return [(left, border), ("─", border), *chosen_form, *_make_text(rule, border), (right, border)]


def _lay_out_words(words: str, width: int, rows: int, border: str) -> list[list[Cell]]:
    lines = [_make_row("│", " " * (width - 2), "│", border) for _ in range(rows)]
    lines[rows // 2][2 : width - 1] = _make_text(words[: width - 3].ljust(width - 3), "muted")
    return lines


def _make_row(left: str, middle: str, right: str, meaning: str) -> list[Cell]:
    return _make_text(left + middle + right, meaning)


def _make_text(text: str, meaning: str) -> list[Cell]:
    return [(character, meaning) for character in text]


def _make_labels(up: AxisScale, rows: int, unit: str) -> dict[int, str]:
    """The values next to the uppermost and the lowest row, and between them about one in four."""
    high, low = (float(f"{end:.{2 if up.log else 6}g}") for end in (up.high, up.low))
    labels = {0: format_tick(high, unit), rows - 1: format_tick(low, unit)}
    for value in up.list_ticks(max(2, rows // 4)):
        row = find_row(up.find_position(value), rows)
        if 1 < row < rows - 2:
            labels.setdefault(row, format_tick(value, unit))
    return labels


def _draw_below(chart: ChartData, view: ChartView, across: AxisScale, width: int, border: str) -> list[Cell]:
    """The lower border: places of the x axis, and the cursor's place."""
    line = _make_row("╰", "─" * (width - 2), "╯", border)
    inner, left = width - LABELS - 2, LABELS + 1
    most = max(3, inner // 12)
    ticks = [value for value in chart.list_ticks(across, most) if view.along == "time" or is_whole(value)]
    for value in thin_ticks(ticks, most):
        _write(
            line,
            left + find_column(across.find_position(value), inner),
            format_place(value, view.along),
            "muted",
        )
    if view.dragged is not None:
        first, last = sorted(find_column_of(end, across, inner) for end in view.dragged)
        for column in range(left + first, left + last + 1):
            line[column] = ("━" if line[column][0] == "─" else line[column][0], "bold accent")
    if view.cursor is not None and across.contains(view.cursor):
        text = format_place(view.cursor, view.along)
        _write(
            line, left + find_column(across.find_position(view.cursor), inner), f" {text} ", "bold info", True
        )
    return line


def find_column_of(value: float, across: AxisScale, width: int) -> int:
    """The column of a place of the x axis, at an end of the plot where it is outside."""
    return find_column(min(1.0, max(0.0, across.find_position(value))), width)


def thin_ticks(ticks: Sequence[float], most: int) -> Sequence[float]:
    """Every second tick, or third and so on, so that at most about ``most`` remain."""
    return ticks[:: max(1, -(-len(ticks) // most))] if ticks else ticks


def _write(line: list[Cell], middle: int, text: str, meaning: str, over: bool = False) -> None:
    """Text around a column of the border, where there is room for it."""
    start = max(1, min(middle - len(text) // 2, len(line) - 1 - len(text)))
    free = all(character == "─" for character, _ in line[max(1, start - 1) : start + len(text) + 1][:-1])
    if over or free:
        line[start : start + len(text)] = _make_text(text, meaning)
