"""The part of the study screen that chooses what its table shows: filter, order, columns, selection, race."""

from __future__ import annotations

import msgspec

from core.contract.state import engine_state as s
from core.contract.views.trial_comparison import ALONG
from core.contract.views.trials.filter_completion import drop_unfinished
from core.contract.views.trials.trial_fields import find_field
from tui.kept_state import find_home_folder
from tui.study_table.bulk_actions import BulkScreen
from tui.study_table.column_dialog import ColumnDialog
from tui.study_table.filter_bar import FilterBar, FilterKept, FilterTyped
from tui.study_table.kept_table_choices import KeptChoices
from tui.study_table.table_choice import PANELS, TableChoice, flip_order, is_high_better
from tui.study_table.trial_table import HeadClicked, TrialTable


class TableScreen(BulkScreen):
    """A screen with a TrialTable and a FilterBar. What is chosen is kept for each study."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = KeptChoices(find_home_folder())

    @property
    def choice(self) -> TableChoice:
        """Return what was chosen for the study."""
        return self._kept.find_choice(self.study.name) if self.study is not None else TableChoice()

    def choose(self, **changes: object) -> None:
        """Change the choice, keep it and draw it."""
        if self.study is not None:
            self._kept.keep(self.study.name, msgspec.structs.replace(self.choice, **changes))
            self.show()
            self.call_after_refresh(self.show)  # the race has the room that the new rows leave

    @property
    def table(self) -> TrialTable:
        """Return the table."""
        return self.query_one(TrialTable)

    def find_selected_trial(self) -> s.Trial | None:
        """The trial under the cursor."""
        number = self.table.chosen
        return self.study.trials.get(number) if self.study is not None and number is not None else None

    def list_selected_trials(self) -> list[s.Trial]:
        """The trials that are selected."""
        study = self.study
        return [study.trials[n] for n in self.choice.marks if n in study.trials] if study is not None else []

    def count_hidden_selected(self) -> int:
        """How many of them the filter hides."""
        return len(
            {trial.number for trial in self.list_selected_trials()} - set(self.table.selection.numbers)
        )

    # -- selection --------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Select the trial, or unselect it."""
        trial = self.find_selected_trial()
        if trial is not None:
            self.choose(marks=tuple(sorted(set(self.choice.marks) ^ {trial.number})))

    def action_mark_all(self) -> None:
        """Select all shown trials; if they are selected already, unselect them."""
        shown_numbers, marks = set(self.table.selection.numbers), set(self.choice.marks)
        self.choose(
            marks=tuple(sorted(marks - shown_numbers if shown_numbers <= marks else marks | shown_numbers))
        )

    # -- order and columns ------------------------------------------------------------------------

    def action_sort(self) -> None:
        """In order of number, or best first."""
        study = self.study
        if study is None:
            return
        ordered = self.choice.order or self.choice.descending
        self.console.say("in order of number" if ordered else "best first")
        field = find_field(study, study.objectives[0][0])
        if ordered or field is None:
            self.choose(order="", descending=False)
        else:
            self.choose(order=field.name, descending=is_high_better(field))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.choose(descending=not self.choice.descending)

    def order_by(self, name: str) -> bool:
        """Order by a field, such as eval/loss.smooth; False where there is none of that name."""
        study = self.study
        if study is None or find_field(study, name) is None:
            return False
        changed = flip_order(study, self.choice, name)
        self.choose(order=changed.order, descending=changed.descending)
        return True

    def on_head_clicked(self, message: HeadClicked) -> None:
        """Order by the column."""
        if message.key == "number":
            self.choose(order="", descending=not self.choice.order and not self.choice.descending)
        else:
            self.order_by(message.key.rpartition(":")[2])

    def action_columns(self) -> None:
        """Open the dialog of columns."""
        if self.study is None:
            return

        def take(choice: TableChoice | None) -> None:
            if choice is not None:
                self.choose(columns=choice.columns, order=choice.order, descending=choice.descending)

        drawn_keys = self.table.keys_drawn
        self.app.push_screen(ColumnDialog(self.study, self.choice, drawn_keys, self.console.look), take)

    # -- race -------------------------------------------------------------------------------------

    def action_along(self) -> None:
        """Steps, tokens, time."""
        self.choose(along=ALONG[(ALONG.index(self.choice.along) + 1) % len(ALONG)])

    def action_race(self) -> None:
        """Show or hide the race."""
        self.choose(race=not self.choice.race)
        self.console.say("the race stands where the table leaves room" if self.choice.race else "no race")

    def action_panels(self) -> None:
        """Devices and events below the table, one of them, or neither."""
        panels = PANELS[(PANELS.index(self.choice.panels) + 1) % len(PANELS)]
        self.choose(panels=panels)
        self.console.say({"both": "devices and events", "neither": "the table alone"}.get(panels, panels))

    # -- filter -----------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for the filter's text."""
        self.query_one(FilterBar).open(self.choice.filter)
        self.show()

    def filter_by(self, text: str) -> None:
        """Show the trials that match ``text``."""
        self.choose(filter=text.strip())

    def on_filter_typed(self, message: FilterTyped) -> None:
        """Filter while it is typed."""
        if self.study is not None:
            self.choose(filter=drop_unfinished(self.study, message.text))

    def on_filter_kept(self, message: FilterKept) -> None:
        """Keep the filter, give the keys back to the table; one that cannot be read stays to be mended."""
        self.choose(filter=message.text)
        if self.table.selection.fault is not None and self.choice.filter:
            return
        self.query_one(FilterBar).close()
        self.table.focus()
        self.filter_by(message.text)

    def action_clear_filter(self) -> None:
        """Show all trials again; once they are shown, unselect them."""
        bar = self.query_one(FilterBar)
        was_open = bar.is_open
        bar.close()
        self.table.focus()
        if self.choice.filter or was_open:
            self.filter_by("")
        else:
            self.choose(marks=())
