"""The table of trials: the columns that there is room for, and a mark before selected trials."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events
from textual.message import Message

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.wire.memory_forecast import Verdict
from tui.study_table.column_widths import ColumnMeasures
from tui.study_table.shown_trials import TrialSelection
from tui.study_table.table_choice import TableChoice
from tui.study_table.trial_columns import GAP, Column, RowView, choose_columns, list_chosen_keys
from tui.theme_colors import Palette
from tui.ui_messages import TrialChosen, TrialOpened
from tui.widgets.virtual_table import Cells, TableColumn, VirtualTable

MARK = "▌"  # before a trial that is selected
MARKS = TableColumn("mark", 1, (((" ", ""),),))


class HeadClicked(Message):
    """A click on the head of a column."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


class TrialTable(VirtualTable):
    """Shows the trials of one study; posts TrialChosen, TrialOpened and HeadClicked."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.selection = TrialSelection()
        self._study: s.Study | None = None
        self._choice = TableChoice()
        self._measures: ColumnMeasures | None = None
        self._measured: tuple[object, ...] = ()
        self._drawn: list[Column] = []
        self._shape: tuple[object, ...] = ()
        self._best: int | None = None
        self._best_value: float | None = None
        self._marked: frozenset[int] = frozenset()
        self._verdicts: Mapping[int, Verdict] = {}

    @property
    def chosen(self) -> int | None:
        """Return the trial under the cursor."""
        return self.row_key

    @property
    def keys_drawn(self) -> list[str]:
        """Return the columns that fit."""
        return [column.key for column in self._drawn]

    @property
    def _room(self) -> int:
        """The cells of a line, without the scroll bar."""
        return self.scrollable_content_region.width or 80

    def show(
        self, study: s.Study | None, choice: TableChoice, verdicts: Mapping[int, Verdict], look: Palette
    ) -> None:
        """Draw the trials that ``choice`` selects, with what the queue says of those that wait."""
        self._study, self._choice, self._verdicts = study, choice, verdicts
        self._marked = frozenset(choice.marks)
        if study is None:
            self.set_keys([])
            return
        best = best_and_counts.find_best(study)
        self._best = best.number if best is not None else None
        self._best_value = best_and_counts.find_objective_value(study, best, 0) if best is not None else None
        numbers = self.selection.update(study, choice, self._marked)
        self._measure(study)
        self._fit_columns(study, look)
        self.set_keys(list(numbers))
        self.draw_changes()

    def _measure(self, study: s.Study) -> None:
        """Measure the trials that changed; all of them for other columns or another study."""
        keys = list_chosen_keys(study, self._choice.columns)
        measured_by = (study.name, id(study.spec), tuple(keys))
        changed = self.selection.changed
        if self._measures is None or measured_by != self._measured:
            self._measures, self._measured, self._shape = ColumnMeasures(study, keys), measured_by, ()
            changed = list(study.trials.values())
        if changed:
            self._measures.take(study, changed)
            self._measures.fit_scales(self.selection.numbers)

    def _fit_columns(self, study: s.Study, look: Palette | None) -> None:
        """Choose the columns that there is room for."""
        width, measures, choice = self._room, self._measures, self._choice
        if look is None or measures is None:
            return
        digits = len(str(len(study.trials)))
        shape = (width, measures.shape, measures.scales, digits, choice.order, choice.descending)
        if shape == self._shape and look is self._look:
            return
        self._shape = shape
        self._drawn = choose_columns(study, measures, choice, width)
        heads = [
            TableColumn(column.key, column.width, (((column.label, ""),),), GAP, column.right)
            for column in self._drawn
        ]
        self.set_columns([MARKS, *heads], 1 + len(heads), look)
        self.forget_rows()

    def list_row_inputs(self, key: int) -> tuple[object, ...]:
        """Return what the row is drawn from: the trial, whether it is the best or selected, its wait, and the
        best trial's value."""
        assert self._study is not None
        return (
            self._study.trials[key],
            self._study.state,
            key == self._best,
            key in self._marked,
            self._verdicts.get(key),
            self._best_value,
        )

    def draw_cells(self, key: int) -> Cells:
        """Return the mark and what each column shows of the trial."""
        study = self._study
        assert study is not None
        verdict = self._verdicts.get(key)
        row = RowView(study, study.trials[key], key == self._best, verdict, self._best_value)
        mark = (MARK, "accent") if key in self._marked else (" ", "")
        return [[mark], *(column.draw(row) for column in self._drawn)]

    def handle_cursor_move(self) -> None:
        """Post the trial under the cursor."""
        self.post_message(TrialChosen(self.chosen))

    def handle_row_opening(self) -> None:
        """Post that the trial is to be opened."""
        if self.chosen is not None:
            self.post_message(TrialOpened(self.chosen))

    def on_resize(self) -> None:
        """Fit the columns again, also when a side panel opened or closed."""
        if self._study is not None:
            self._fit_columns(self._study, self._look)

    def watch_show_vertical_scrollbar(self) -> None:
        """Fit the columns again: the scroll bar takes a cell, or gives it back."""
        self.call_after_refresh(self.on_resize)

    def on_click(self, event: events.Click) -> None:
        """Order by the column whose head is clicked."""
        column = self.find_still_column(event.x) if event.y < self.HEAD_LINES else None
        if column is not None and column.key != MARKS.key:
            self.post_message(HeadClicked(column.key))
