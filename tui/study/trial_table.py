"""The table of trials: the columns that there is room for, and a mark before trials chosen for comparing."""

from __future__ import annotations

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from tui.theme_colors import Palette
from tui.ui_messages import TrialChosen, TrialOpened
from tui.widgets.trial_columns import GAP, Column, columns, matches, shape_of, sort_trials
from tui.widgets.virtual_table import Cells, TableColumn, VirtualTable

MARK = "▌"  # before a trial that is marked for comparing
MARKS = TableColumn("mark", 1, (((" ", ""),),))


class TrialTable(VirtualTable):
    """Shows the trials of one study; posts TrialChosen and TrialOpened."""

    def __init__(self, **more: object) -> None:
        super().__init__(**more)
        self._study: s.Study | None = None
        self._drawn: list[Column] = []
        self._shape: tuple[object, ...] = ()
        self._best: int | None = None
        self._marked: frozenset[int] = frozenset()

    @property
    def chosen(self) -> int | None:
        """Return the trial under the cursor."""
        return self.row_key

    def show(
        self,
        study: s.Study | None,
        text: str,
        best_first: bool,
        look: Palette,
        marked: frozenset[int] = frozenset(),
    ) -> None:
        """Draw the trials that match ``text``, those in ``marked`` with a mark before them."""
        trials = sort_trials(study, best_first) if study is not None else []
        numbers = [trial.number for trial in trials if not text or matches(trial, text)]
        self._fit_columns(study, look)
        best = best_and_counts.best(study) if study is not None else None
        self._study, self._marked = study, marked
        self._best = best.number if best is not None else None
        self.set_keys(numbers)
        self.draw_changes()

    def _fit_columns(self, study: s.Study | None, look: Palette | None) -> None:
        """Choose the columns that there is room for."""
        width = self.size.width or 80
        shape = (width, *(shape_of(study) if study is not None else ()))
        if look is None or (shape == self._shape and look is self._look):
            return
        self._shape = shape
        self._drawn = columns(study, width) if study is not None else []
        heads = [
            TableColumn(column.label, column.width, (((column.label, ""),),), GAP, column.right)
            for column in self._drawn
        ]
        self.set_columns([MARKS, *heads], 1 + len(heads), look)

    def source(self, key: int) -> tuple[object, ...]:
        """Return the trial, and whether it is the best and marked."""
        assert self._study is not None
        return (self._study.trials[key], key == self._best, key in self._marked)

    def cells(self, key: int) -> Cells:
        """Return the mark and what each column shows of the trial."""
        study = self._study
        assert study is not None
        trial, best = study.trials[key], key == self._best
        mark = (MARK, "accent") if key in self._marked else (" ", "")
        return [[mark], *(column.draw(study, trial, best) for column in self._drawn)]

    def cursor_moved(self) -> None:
        """Post the trial under the cursor."""
        self.post_message(TrialChosen(self.chosen))

    def row_opened(self) -> None:
        """Post that the trial is to be opened."""
        if self.chosen is not None:
            self.post_message(TrialOpened(self.chosen))

    def on_resize(self) -> None:
        """Fit the columns again, also when a side panel opened or closed."""
        self._fit_columns(self._study, self._look)
