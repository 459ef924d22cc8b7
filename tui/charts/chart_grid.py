"""Shows charts in a grid with one view for all of them: axis, window, cursor, scales, smoothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from textual import events
from textual.events import Resize
from textual.timer import Timer

from core.contract.views.axis_scale import AxisScale
from core.contract.views.trial_comparison import Along
from tui.charts.cell_diff_widget import Cell, CellSheet
from tui.charts.chart_curve import ChartData
from tui.charts.chart_picture import LABELS, LEAST, draw_chart, make_picture_key
from tui.charts.chart_view import ChartView
from tui.theme_colors import Palette

WIDE, HIGH = 36, 7  # cells and lines that a chart gets at least where the grid arranges itself
MOST = 4  # columns, and rows
ITSELF = 0  # the grid arranges itself by its size
DRAG = 2  # cells from which a drag is one, and not an unsteady click
ZOOM, PAN = 0.5, 0.25  # of the window, for each key
PACE_S = 1.0  # figures are drawn again at most that often while no new column of dots begins

Build = Callable[[Along], Sequence[ChartData]]


def arrange(count: int, width: int, height: int, charts_wanted: int = ITSELF) -> tuple[int, int]:
    """Return the columns and rows for ``count`` charts in ``width`` × ``height`` cells: as many as are
    ``charts_wanted`` each way and fit, or as many as have enough room."""
    wide, high = (WIDE, HIGH) if charts_wanted == ITSELF else LEAST
    most = MOST if charts_wanted == ITSELF else charts_wanted
    columns = max(1, min(most, width // wide, count))
    rows = max(1, min(most, height // high, -(-count // columns)))
    if charts_wanted == ITSELF and rows > 1:
        columns = min(columns, -(-count // rows))  # no empty column at the right
    return columns, rows


class ChartGrid(CellSheet):
    """Draws the charts that ``show`` is given. Keys come from the screen, the mouse comes here."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "ChartGrid { height: 1fr; }"

    def __init__(self, charts_wanted: int = ITSELF, **options: object) -> None:
        super().__init__(**options)
        self.view = ChartView()
        self.chosen = 0
        self.wanted = charts_wanted
        self._enlarged = False
        self._pointed = False  # the cursor follows the mouse
        self._grip: tuple[int, int, float] | None = None  # chart, cell and place at which a drag began
        self._build: Build = lambda along: ()
        self._charts: Sequence[ChartData] = ()
        self._palette: Palette | None = None
        self._subject: Hashable = None  # whose charts these are
        self._key: Hashable = None
        self._due: Timer | None = None  # until the charts are drawn again
        self._drawn_at = 0.0

    # -- drawing ----------------------------------------------------------------------------------

    def show(self, build: Build, look: Palette, subject: Hashable = None) -> None:
        """Draw the charts that ``build`` returns for an x axis: at once where a new column of dots is due or
        they are of another ``subject``, else at the next second. The same charts again cost nothing."""
        self._build, self._palette, self._subject = build, look, subject
        before, self._charts = self._charts, build(self.view.along)
        self.chosen = max(0, min(self.chosen, len(self._charts) - 1))
        if self._fill(False) or before == self._charts or self._due is not None:
            return
        wait = self._drawn_at + PACE_S - time.monotonic()
        if wait <= 0:
            self._fill(True)
        else:
            self._due = self.set_timer(wait, self._fill_late)

    def _fill_late(self) -> None:
        self._due = None
        self._fill(True)

    def on_resize(self, event: Resize) -> None:
        """Fit the charts into the new size."""
        self._fill(True)

    def look_at(self, view: ChartView) -> None:
        """Look at all charts in another way."""
        if view.along != self.view.along:
            self._charts = self._build(view.along)
        self.view = view
        self._fill(True)

    def _fill(self, now: bool) -> bool:
        """Draw ``now``, or only where the picture's key has changed; tells whether it did."""
        width, height = self.size.width, self.size.height
        if self._palette is None or not width or not height:
            return False
        visible, columns, rows = self._find_shown()
        wide = width // columns
        key = (
            self._palette, self._subject, width, height, visible, columns, self.chosen,
            tuple(make_picture_key(self._charts[place], self.view, wide) for place in visible),
        )  # fmt: skip
        if key == self._key and not now:
            return False
        self._key, self._drawn_at = key, time.monotonic()
        self.paint(self._make_cells(visible, columns, rows, width, height), self._palette)
        return True

    def _find_shown(self) -> tuple[range, int, int]:
        """The charts of the page with the chosen one, the columns and the rows."""
        count = len(self._charts)
        if self._enlarged or count < 2:
            return range(self.chosen, min(count, self.chosen + 1)), 1, 1
        columns, rows = arrange(count, self.size.width, self.size.height, self.wanted)
        first = self.chosen // (columns * rows) * columns * rows
        return range(first, min(count, first + columns * rows)), columns, rows

    def _make_cells(
        self, visible: range, columns: int, rows: int, width: int, height: int
    ) -> list[list[Cell]]:
        sheet: list[list[Cell]] = []
        for row in range(rows):
            high = height * (row + 1) // rows - height * row // rows
            line: list[list[Cell]] = [[] for _ in range(high)]
            for column in range(columns):
                wide = width * (column + 1) // columns - width * column // columns
                place = visible.start + row * columns + column
                chart = draw_chart(
                    self._charts[place], self.view, wide, high, len(visible) > 1 and place == self.chosen
                ) if place in visible else [[(" ", "")] * wide for _ in range(high)]  # fmt: skip
                for cells, chart_line in zip(line, chart, strict=True):
                    cells += chart_line
            sheet += line
        add_note(sheet, self._note(visible))
        return sheet

    def _note(self, visible: range) -> str:
        """What is not in sight, and how the charts are looked at."""
        words = list(self.view.words)
        if len(visible) < len(self._charts):
            first, last = visible.start + 1, visible.stop
            place = f"chart {first}" if first == last else f"charts {first}–{last}"
            words.insert(0, f"{place} of {len(self._charts)}")
        return " · ".join(words)

    # -- what keys do -----------------------------------------------------------------------------

    def choose(self, by: int) -> None:
        """Choose another chart, cyclically."""
        if self._charts:
            self.chosen = (self.chosen + by) % len(self._charts)
            self._fill(True)

    def enlarge(self) -> None:
        """Show the chosen chart alone, or all again."""
        self._enlarged = not self._enlarged
        self._fill(True)

    def arrange_next(self) -> None:
        """Arrange the charts by the room, then 1×1, 2×2, 3×3, 4×4."""
        self.wanted, self._enlarged = (self.wanted + 1) % (MOST + 1), False
        self._fill(True)

    @property
    def arrangement(self) -> str:
        """The arrangement in words."""
        return f"{self.wanted}×{self.wanted}" if self.wanted else "as many charts as there is room for"

    def zoom(self, by: int, at: float = 0.5) -> None:
        """Zoom in or out around the cursor, else around the place ``at`` (0 to 1) of the window."""
        chart = self._find_chart()
        if chart is not None:
            if self.view.cursor is not None and not self._pointed:
                at = chart.make_visible_axis(self.view).find_position(self.view.cursor)
            self.look_at(self.view.zoom(chart.make_whole_axis(self.view), ZOOM if by > 0 else 1 / ZOOM, at))

    def pan(self, by: int) -> None:
        """Move the window along the axis."""
        chart = self._find_chart()
        if chart is not None:
            self.look_at(self.view.pan(chart.make_whole_axis(self.view), by * PAN))

    def move_cursor(self, by: int) -> None:
        """Move the cursor of all charts to a measured point of the chosen one, a column further."""
        chart = self._find_chart()
        steps = max((curve.steps for curve in chart.curves), key=len, default=()) if chart is not None else ()
        if chart is None or not steps:
            return
        self._pointed = False
        cursor = find_next_point(
            steps, self.view.cursor, by, self._measure_inner(), chart.make_visible_axis(self.view)
        )
        across = chart.make_visible_axis(self.view)
        view = replace(self.view, cursor=cursor)
        self.look_at(view if across.contains(cursor) else view.pan(chart.make_whole_axis(view), by * 0.5))

    def _find_chart(self) -> ChartData | None:
        return self._charts[self.chosen] if self._charts else None

    def _measure_inner(self) -> int:
        return max(1, self.size.width // self._find_shown()[1] - LABELS - 2)

    # -- the mouse --------------------------------------------------------------------------------

    def _find_under(self, x: int, y: int) -> tuple[int, float] | None:
        """The chart at a cell, and the place in its plot from 0 to 1; None outside a plot."""
        visible, columns, rows = self._find_shown()
        width, height = self.size.width, max(1, self.size.height)
        column = next(
            place for place in range(columns) if x < width * (place + 1) // columns or place == columns - 1
        )
        row = next(place for place in range(rows) if y < height * (place + 1) // rows or place == rows - 1)
        place = visible.start + row * columns + column
        left, inner = self._plot_columns(place)
        if place not in visible or not left <= x < left + inner:
            return None
        return place, (x - left + 0.5) / inner

    def _plot_columns(self, place: int) -> tuple[int, int]:
        """The first cell of a chart's plot, and how many there are."""
        visible, columns, _ = self._find_shown()
        column, width = (place - visible.start) % columns, self.size.width
        left = width * column // columns + LABELS + 1
        return left, width * (column + 1) // columns - 1 - left

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to select a range of the x axis."""
        place_under = self._find_under(event.x, event.y)
        if event.button == 1 and place_under is not None:
            self._grip = (
                place_under[0],
                event.x,
                self._charts[place_under[0]].make_visible_axis(self.view).find_value(place_under[1]),
            )
            self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Zoom to the range over which the mouse was dragged."""
        if self._grip is None:
            return
        dragged, self._grip = self.view.dragged, None
        self.release_mouse()
        if dragged is not None:
            self._pointed = False
            self.look_at(replace(self.view.zoom_to(dragged), cursor=None))

    def on_mouse_release(self) -> None:
        """Forget the drag: another screen has taken the mouse, or the button is up."""
        self._grip = None
        if self.view.dragged is not None:
            self.look_at(replace(self.view, dragged=None, cursor=None))

    def _drag(self, x: int) -> None:
        """Mark the range from where the drag began to the column ``x``, both at most the chart's ends."""
        if self._grip is None or self._grip[0] >= len(self._charts):
            return
        place, start, value = self._grip
        left, inner = self._plot_columns(place)
        at = min(1.0, max(0.0, (x - left + 0.5) / inner))
        end = self._charts[place].make_visible_axis(self.view).find_value(at)
        dragged = (value, end) if abs(x - start) >= DRAG and end != value else None
        self.look_at(replace(self.view, dragged=dragged, cursor=end))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """All charts show their values at the place under the mouse."""
        if self._grip is not None:
            self._drag(event.x)
            return
        place_under = self._find_under(event.x, event.y)
        if place_under is None:
            self.on_leave()
            return
        place, at = place_under
        self._pointed = True
        self.look_at(
            replace(self.view, cursor=self._charts[place].make_visible_axis(self.view).find_value(at))
        )

    def on_leave(self) -> None:
        """The newest values again."""
        if self._pointed and self._grip is None:
            self._pointed = False
            self.look_at(replace(self.view, cursor=None))

    def on_click(self, event: events.Click) -> None:
        """Choose the chart; a double click shows it alone, or all again."""
        place_under = self._find_under(event.x, event.y)
        if place_under is None:
            return
        self.chosen = place_under[0]
        if event.chain == 2:
            self._enlarged = not self._enlarged
        self._fill(True)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in around the mouse; with Shift, earlier."""
        self._zoom_by_wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out around the mouse; with Shift, later."""
        self._zoom_by_wheel(event, -1)

    def _zoom_by_wheel(self, event: events.MouseEvent, by: int) -> None:
        event.stop()
        place_under = self._find_under(event.x, event.y)
        if event.shift or event.ctrl:
            self.pan(-by)
        elif place_under is not None:
            self._pointed = True
            self.zoom(by, place_under[1])


def find_next_point(
    steps: Sequence[float], cursor: float | None, by: int, columns: int, across: AxisScale
) -> float:
    """The measured point about one column next to the cursor; the newest where there is no cursor yet."""
    if cursor is None:
        inside = [step for step in steps if across.contains(step)]
        return (inside or list(steps))[-1]
    visible = [place for place, step in enumerate(steps) if across.contains(step)]
    place = min(range(len(steps)), key=lambda index: abs(steps[index] - cursor))
    return steps[max(0, min(len(steps) - 1, place + by * max(1, len(visible) // columns)))]


def add_note(sheet: list[list[Cell]], note: str) -> None:
    """Write ``note`` at the right of the first border, where its rule is free; else of the last."""
    text = f" {note} "
    if not note or not sheet or len(sheet[0]) < len(text) + 4:
        return
    start = len(sheet[0]) - len(text) - 1
    free = all(character == "─" for character, _ in sheet[0][start - 1 : -1])
    line = sheet[0] if free else sheet[-1]
    line[start:-1] = [(character, "muted") for character in text]
    while line[start - 1][0] not in "─╰╯":  # no half of a label stays
        start -= 1
        line[start] = ("─", "border")
