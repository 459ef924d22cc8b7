"""A board as a table: rows for base and trials, a column per metric, and the selected trial's history.

Head, base and history stand still; trials scroll up and down between them, columns from side to side.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.spec.metric_limits import Limit
from core.contract.state import engine_state as s
from core.contract.views.metric_verdict import BASE, read
from tui.boards.board_cells import INTERVAL, NARROW, cut, draw_spark, make_cell, make_heads
from tui.number_text import GLYPHS
from tui.theme_colors import Palette
from tui.ui_messages import BoardLeft, CellChosen, CellOpened
from tui.widgets.steering_row_signs import Piece
from tui.widgets.virtual_table import Cells, TableColumn, VirtualTable

LABEL = TableColumn("trial", 12, ((("", ""),), (("   trial", "muted"),)))  # number, state and step


class BoardTable(VirtualTable):
    """Shows one board; posts CellChosen, CellOpened and BoardLeft."""

    HEAD_LINES = 2
    STILL_ROWS = 1  # the base
    FOOT_LINES = 1  # the selected trial's history
    CELL_CURSOR = True

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._study: s.Study | None = None
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._intervals = False
        self._shape: tuple[object, ...] = ()
        self._trials: Sequence[int] = ()

    @property
    def chosen(self) -> tuple[int, str] | None:
        """Return the trial, BASE for the base, and the metric under the cursor."""
        number, name = self.row_key, self.column_key
        return (number, name) if number is not None and name is not None else None

    def show(
        self,
        study: s.Study,
        limits: dict[str, tuple[Limit, ...]],
        names: tuple[str, ...],
        trials: Sequence[int],
        sort_and_layout: tuple[str, bool],
        look: Palette,
    ) -> None:
        """Draw the metrics ``names`` of ``trials``; ``sort_and_layout``: sorted by which metric, with
        intervals? The same again costs nothing."""
        self._study = study
        shape = (names, sort_and_layout, limits, look)
        rearranged = shape != self._shape or trials != self._trials
        if shape != self._shape:
            self._shape, self._limits, self._intervals = shape, limits, sort_and_layout[1]
            self.set_columns(
                [LABEL, *(self._make_column(name, sort_and_layout[0]) for name in names)], 1, look
            )
        self._trials = trials
        self.set_keys([BASE, *trials])
        if rearranged:  # otherwise the user may have scrolled away from the cursor
            self.show_cursor()
        self.draw_changes()

    def _make_column(self, name: str, sorted_by: str) -> TableColumn:
        assert self._study is not None
        width = NARROW + INTERVAL * self._intervals
        title, direction = make_heads(read(self._study, None, name, self._limits))
        mark = "▾" if name == sorted_by else " "
        head = (((cut(f"{mark} {title}", width), ""),), ((cut(f"  {direction}", width), "muted"),))
        return TableColumn(name, width, head, gap=1)

    def choose(self, number: int | None = None, name: str = "", edge: int = 0) -> None:
        """Move the cursor to a trial, a metric, the first column (-1) or the last column (1)."""
        row, names = self.cursor_row, [column.key for column in self._scrolling]
        if number in self._keys:
            row = self._keys.index(number)
        if name in names:
            self.move_cursor(row, names.index(name))
        else:
            self.move_cursor(row, None if not edge else 0 if edge < 0 else len(names) - 1)

    # -- drawing ----------------------------------------------------------------------------------

    def list_row_inputs(self, key: int) -> tuple[object, ...]:
        """Return the base's scores, and those of the trial. Unchanged scores are the same object."""
        assert self._study is not None
        base = self._study.base_scores
        if key == BASE:
            return (base,)
        trial = self._study.trials[key]
        return (base, trial.state, trial.scored_step, trial.scores)

    def draw_cells(self, key: int) -> Cells:
        """Return the trial's label, and its reading of each metric in sight."""
        study = self._study
        assert study is not None
        trial = study.trials[key] if key != BASE else None
        readings = [read(study, trial, column.key, self._limits) for column in self.columns_in_sight]
        return [_make_label(trial), *(make_cell(reading, self._intervals) for reading in readings)]

    def draw_head_cells(self, line: int) -> Cells:
        """Return a line of the head; above the labels, which metrics of how many are in sight."""
        label, *names = super().draw_head_cells(line)
        count, sight = len(self._scrolling), self._in_sight
        if line == 0 and len(sight) < count:
            label = [(f" {sight.start + 1}–{sight.stop} of {count}", "")]
        return [label, *names]

    def draw_foot_cells(self, line: int) -> Cells:
        """Return the selected trial's history of each metric in sight."""
        assert self._study is not None
        trial = self._study.trials.get(self.row_key) if self.row_key is not None else None
        if trial is None:
            return []
        history: list[list[Piece]] = [[(f" #{trial.number} past", "muted")]]
        for column in self.columns_in_sight:
            series = trial.series.get(column.key)
            history.append([("  ", ""), (draw_spark(series.values if series else (), 12), "accent")])
        return history

    # -- moving -----------------------------------------------------------------------------------

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor; past the first or last column the next board begins."""
        column = self.cursor_column + columns
        if columns and not 0 <= column < len(self._scrolling):
            self.post_message(BoardLeft(columns))
        else:
            self.move_cursor(self.cursor_row + rows, column)

    def handle_cursor_move(self) -> None:
        """Post that another cell is chosen."""
        self.post_message(CellChosen())

    def handle_row_opening(self) -> None:
        """Post that the cell is to be opened."""
        self.post_message(CellOpened())


def _make_label(trial: s.Trial | None) -> list[Piece]:
    if trial is None:
        return [(" base", "bold")]
    at = trial.scored_step
    step = "" if not trial.scores else f" @{at}" if at < 10_000 else f" @{at // 1000}k"
    return [(f"{trial.number:>4} "[:5], ""), (GLYPHS[trial.state], trial.state), (cut(step, 6), "muted")]
