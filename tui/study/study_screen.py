"""The main screen: all trials of a study, the machine, and the events."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from core.contract.views import trial_comparison
from tui.compare.compare_screen import CompareScreen
from tui.key_declarations import EVERYWHERE, STEERING, STUDY
from tui.key_definition import bindings
from tui.steering.steering_actions import SteeringScreen
from tui.study.device_panel import DevicePanel
from tui.study.loading_progress import Preparing
from tui.study.study_header import StudyHeader
from tui.study.trial_table import TrialTable
from tui.trial.trial_screen import DetailScreen
from tui.ui_messages import TrialChosen, TrialOpened
from tui.widgets.event_list import EventList
from tui.widgets.key_bar import KeyBar
from tui.widgets.line_chart import Chart, curves_of

WIDE = 130  # columns from which the selected trial's curves stand beside the table


class AllTrials(SteeringScreen):
    """The first screen."""

    KEYS = (STUDY, STEERING)
    TOPIC = "steering"
    BINDINGS = bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    AllTrials #empty { height: 1fr; content-align: center middle; color: $text-muted; display: none; }
    AllTrials #preview { width: 34%; display: none; }
    AllTrials #upper { height: 1fr; }
    AllTrials #lower { height: 8; }
    AllTrials.tall #lower { height: 12; }
    AllTrials.low #lower { display: none; }
    AllTrials #lower DevicePanel { width: 46%; }
    AllTrials #lower EventList { width: 1fr; }
    AllTrials #filter { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._filter = ""
        self._best_first = False
        self._marked: dict[str, set[int]] = {}  # by study; the console's own, nobody else knows

    def compose(self) -> ComposeResult:
        """Header, table with the selected trial's curves, machine and events, footer."""
        yield StudyHeader()
        yield Preparing()
        yield Static("", id="empty", markup=False)
        with Horizontal(id="upper"):
            yield TrialTable(id="trials")
            yield Chart(id="preview")
        with Horizontal(id="lower"):
            yield DevicePanel()
            yield EventList()
        yield Input(placeholder="filter: running  r=16  12", id="filter")
        yield KeyBar()

    def selected_trial(self) -> s.Trial | None:
        """The trial under the cursor."""
        number = self.query_one(TrialTable).chosen
        return self.study.trials.get(number) if self.study is not None and number is not None else None

    def draw(self) -> None:
        """Draw everything that changed."""
        look, now, study = self.console.look, self.console.now(), self.study
        wide = self.size.width >= WIDE
        self.set_class(self.size.height >= 40, "tall")
        self.set_class(self.size.height < 18, "low")
        self.query_one("#preview").display = wide and study is not None and bool(study.trials)
        self.query_one(StudyHeader).show(study, now, self.console.engine.away, look, self.console.others)
        self.query_one(Preparing).show(study, now, look)
        table = self.query_one(TrialTable)
        marked = self._marked.get(study.name, set()) if study is not None else set()
        table.show(study, self._filter, self._best_first, look, frozenset(marked))
        self._show_empty(study, table)
        state = self.console.engine.state
        packs = [pack for each_study in state.studies.values() for pack in each_study.packs.values()]
        self.query_one(DevicePanel).show(state.machine, packs, look)
        self.query_one(EventList).show(study.lines if study is not None else (), look)
        if wide:
            self._show_preview()

    def _show_empty(self, study: s.Study | None, table: TrialTable) -> None:
        empty = self.query_one("#empty", Static)
        bare = not table.row_count
        appears = empty.display and not bare
        empty.display = bare
        self.query_one("#upper").display = not bare
        if appears and not self.query_one("#filter").has_focus:
            table.focus()
        if not bare:
            return
        if not self.console.engine.attached:
            empty.update("attaching to the engine …")
        elif study is None:
            empty.update("no study yet\n\ntrimtab run SPEC starts one; make demo shows a real one")
        elif self._filter:
            empty.update(Text(f"no trial matches {plain(self._filter, 40)!r}; Esc shows all"))
        else:
            empty.update("the sampler is choosing the first trial …")

    def _show_preview(self) -> None:
        trial, chart = self.selected_trial(), self.query_one("#preview", Chart)
        if trial is not None:
            chart.border_title = f"trial {trial.number}"
            chart.show(curves_of(trial, smooth=True), False, self.console.look)

    # -- keys -------------------------------------------------------------------------------------

    def on_trial_chosen(self, message: TrialChosen) -> None:
        """The curves beside the table follow the cursor."""
        if self.size.width >= WIDE:
            self._show_preview()

    def on_trial_opened(self, message: TrialOpened) -> None:
        """Enter or a double click."""
        self.app.push_screen(DetailScreen(message.number))

    def action_detail(self) -> None:
        """Enter, when the table has not taken it."""
        trial = self.selected_trial()
        if trial is not None:
            self.app.push_screen(DetailScreen(trial.number))

    def action_move(self, by: int) -> None:
        """Next or previous trial."""
        table = self.query_one(TrialTable)
        table.move_cursor(row=max(0, min(table.row_count - 1, table.cursor_row + by)))

    def action_edge(self, end: int) -> None:
        """First or last trial."""
        table = self.query_one(TrialTable)
        table.move_cursor(row=table.row_count - 1 if end > 0 else 0)

    def action_mark(self) -> None:
        """Mark the trial for comparing, or take its mark away."""
        study, trial = self.study, self.selected_trial()
        if study is not None and trial is not None:
            self._marked.setdefault(study.name, set()).symmetric_difference_update({trial.number})
            self.show()

    def action_compare(self) -> None:
        """The marked trials side by side; with fewer than two of them, this one and the best."""
        study, trial = self.study, self.selected_trial()
        if study is None:
            return
        marked = sorted(self._marked.get(study.name, ()))
        chosen = trial_comparison.choose_trials(study, marked, trial.number if trial is not None else None)
        if len(chosen) < 2:
            self.console.say("mark two trials with v, then V compares them")
        else:
            self.app.push_screen(CompareScreen(chosen))

    def action_sort(self) -> None:
        """By number, or best first."""
        self._best_first = not self._best_first
        self.console.say("best first" if self._best_first else "in order of number")
        self.show()

    def action_filter(self) -> None:
        """Ask for the filter's text."""
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)  # at once: the next key may be there already

    def action_clear_filter(self) -> None:
        """Show all trials again."""
        box = self.query_one("#filter", Input)
        box.value, box.display, self._filter = "", False, ""
        self.query_one(TrialTable).focus()
        self.show()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self._filter = event.value.strip()
        self.show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, give the keys back to the table."""
        box = self.query_one("#filter", Input)
        box.display = bool(self._filter)
        self.query_one(TrialTable).focus()
