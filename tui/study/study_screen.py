"""The main screen: all trials of a study, their race, the machine, and the events."""

from __future__ import annotations

import time
from typing import cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import trial_comparison
from core.contract.wire import console_api
from tui.base.key_bar import KeyBar
from tui.compare.compare_screen import CompareScreen
from tui.keys.footer_order import STUDY_BAR
from tui.keys.key_declarations import EVERYWHERE, STEERING, STUDY
from tui.keys.key_definition import make_bindings
from tui.start.start_page import HOSTS, READ_ONLY, StartPage, find_open_way
from tui.start.study_starter import Outcome
from tui.study.device_panel import DevicePanel
from tui.study.study_header import StudyHeader
from tui.study.training_load_stages import Preparing
from tui.study_table.filter_bar import FilterBar
from tui.study_table.queue_fit_query import QueueWaits
from tui.study_table.race_plot import find_race_height
from tui.study_table.race_view import RaceView
from tui.study_table.table_view_actions import TableScreen
from tui.study_table.trial_table import TrialTable
from tui.trial.trial_screen import DetailScreen
from tui.ui_messages import TrialChosen, TrialOpened
from tui.widgets.event_list import EventList
from tui.widgets.line_chart import Chart, list_curves

LOW = 18  # lines below which nothing stands below the table
WIDE = 130  # columns from which the selected trial's curves stand next to the table


class AllTrials(TableScreen):
    """The first screen."""

    KEYS = (STUDY, STEERING)
    BAR = STUDY_BAR
    AUTO_FOCUS = ""  # the table or the page of a first start takes it when it is shown
    TOPIC = "steering"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    AllTrials #empty { height: 1fr; content-align: center middle; color: $text-muted; display: none; }
    AllTrials #preview { width: 34%; display: none; }
    AllTrials #upper { height: 1fr; }
    AllTrials #left { width: 1fr; }
    AllTrials #lower { height: 8; }
    AllTrials.tall #lower { height: 12; }
    AllTrials #lower EventList { width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._waits = QueueWaits(self._ask, self.show)

    @property
    def crumb(self) -> str:
        """The study's name."""
        return self.study.name if self.study is not None else "trimtab"

    def compose(self) -> ComposeResult:
        """Header, table with the race and the selected trial's curves, machine and events, footer."""
        yield StudyHeader()
        yield Preparing()
        yield Static("", id="empty", markup=False)
        yield StartPage()
        with Horizontal(id="upper"):
            with Vertical(id="left"):
                yield TrialTable(id="trials")
                yield RaceView(id="race")
            yield Chart(id="preview")
        yield FilterBar(lambda: self.study)
        with Horizontal(id="lower"):
            yield DevicePanel()
            yield EventList()
        yield KeyBar()

    def on_mount(self) -> None:
        """Say what is wrong with the kept choices."""
        super().on_mount()
        if self._kept.fault:
            self.console.say(self._kept.fault)

    def draw(self) -> None:
        """Draw everything that changed."""
        look, now, study = self.console.look, self.console.now(), self.study
        wide = self.size.width >= WIDE
        self.set_class(self.size.height >= 40, "tall")
        panels = self.choice.panels
        self.query_one("#lower").display = panels != "neither" and self.size.height >= LOW
        self.query_one(DevicePanel).display = panels != "events"
        self.query_one(EventList).display = panels != "devices"
        self.query_one("#lower DevicePanel").styles.width = "1fr" if panels == "devices" else "46%"
        self.query_one("#preview").display = wide and study is not None and bool(study.trials)
        away, other_studies, place = self.console.engine.away, self.console.others, self.console.place
        self.query_one(StudyHeader).show(study, now, away, look, other_studies, place, self.root)
        self.query_one(Preparing).show(study, now, look)
        table, choice = self.table, self.choice
        table.show(study, choice, self._waits.verdicts, look)
        bar, fault = self.query_one(FilterBar), table.selection.fault
        bar.show(study, choice, table.row_count, fault if choice.filter else None, look)
        self._show_empty(study)
        self._show_race()
        state = self.console.engine.state
        packs = [pack for each_study in state.studies.values() for pack in each_study.packs.values()]
        self.query_one(DevicePanel).show(state.machine, packs, look)
        self.query_one(EventList).show(study.lines if study is not None else (), look)
        if wide:
            self._show_preview()
        self._ask_the_queue(study)

    def _show_empty(self, study: s.Study | None) -> None:
        empty, table = self.query_one("#empty", Static), self.table
        bare = not table.row_count
        appears = not self.query_one("#upper").display and not bare
        engine = self.console.engine
        starts = study is None and engine.attached and not self._explain_no_start()
        empty.display = bare and not starts
        self.query_one(StartPage).show(starts)
        self.query_one("#upper").display = not bare
        if appears and not self.query_one(FilterBar).is_open:
            table.focus()
        if not bare:
            return
        if not engine.attached:
            empty.update("attaching to the engine …")
        elif study is None:
            empty.update(Text(f"no study yet\n\n{sanitize(self._explain_no_start(), 300)}", justify="center"))
        elif self.choice.filter:
            empty.update(Text(f"no trial matches {sanitize(self.choice.filter, 40)!r}; Esc shows all"))
        else:
            empty.update("the sampler is choosing the first trial …")

    def _show_race(self) -> None:
        """Give the race the lines that the table leaves, and draw it."""
        study, race, table = self.study, self.query_one(RaceView), self.table
        lines = self.query_one("#left").size.height
        race_rows = find_race_height(lines, table.row_count) if study is not None and self.choice.race else 0
        race.display = bool(race_rows)
        if race_rows:
            race.styles.height = race_rows
        if study is not None and race_rows and race.size.height:
            numbers = table.selection.numbers
            race.show(study, numbers, table.chosen, self.choice.along, self.console.look)

    def _show_preview(self) -> None:
        trial, chart = self.find_selected_trial(), self.query_one("#preview", Chart)
        if trial is not None:
            chart.border_title = f"trial {trial.number}"
            chart.show(list_curves(trial, smooth=True), False, self.console.look)

    # -- asking -----------------------------------------------------------------------------------

    def _ask_the_queue(self, study: s.Study | None) -> None:
        """Ask the engine when queued trials fit, now and then."""
        request = self._waits.wish(study, time.monotonic()) if not self.console.engine.away else None
        if request is not None:
            self.run_worker(self._waits.ask(request), group="waits", exit_on_error=False)

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        return cast("console_api.Answer | None", await self.console.engine.ask(request))

    # -- starting a study -------------------------------------------------------------------------

    def on_start_page_chosen(self, message: StartPage.Chosen) -> None:
        """Enter or a click on the page of a first start."""
        self.begin_study(message.way)

    def begin_study(self, way: str) -> None:
        """Open the dialog of a way to start a study."""
        if (why_not := self._explain_no_start()) or way == HOSTS:
            self.console.say(why_not) if why_not else self.console.action_studies()
            return
        dialog = find_open_way(way, self.console.engine.ask, self.console.look)
        if isinstance(dialog, str):
            self.console.say(dialog)
        else:
            self.app.push_screen(dialog, self._note_study_started)

    def _note_study_started(self, outcome: Outcome | None) -> None:
        for note in outcome.notes if outcome is not None else ():
            self.console.say(note)
        if outcome is not None and outcome.name:
            self.console.show_study(outcome.name)

    def _explain_no_start(self) -> str:
        """Return why no study can be started from this console; empty if one can."""
        engine = self.console.engine
        if engine.host:
            host = engine.tunnel.host
            return f"start it on the host: ssh {host.address} {host.make_remote_command('run', 'SPEC')}"
        return READ_ONLY if engine.read_only else ""

    # -- keys -------------------------------------------------------------------------------------

    def label_key(self, key_id: str, label: str) -> str:
        """Return what a key does now; without a study only few keys do anything."""
        of_study = self.study is not None or key_id in (
            "app.devices",
            "app.help",
            "app.command",
            "app.detach",
        )
        return super().label_key(key_id, label) if of_study else ""

    def on_trial_chosen(self, message: TrialChosen) -> None:
        """The curves next to and below the table follow the cursor."""
        if self.size.width >= WIDE:
            self._show_preview()
        self._show_race()
        self.update_keys()

    def on_trial_opened(self, message: TrialOpened) -> None:
        """Enter or a double click."""
        self.app.push_screen(DetailScreen(message.number))

    def action_detail(self) -> None:
        """Enter, when the table has not taken it."""
        trial = self.find_selected_trial()
        if trial is not None:
            self.app.push_screen(DetailScreen(trial.number))

    def action_move(self, by: int) -> None:
        """Next or previous trial."""
        table = self.table
        table.move_cursor(row=max(0, min(table.row_count - 1, table.cursor_row + by)))

    def action_edge(self, end: int) -> None:
        """First or last trial."""
        self.table.move_cursor(row=self.table.row_count - 1 if end > 0 else 0)

    def action_compare(self) -> None:
        """The selected trials side by side; with fewer than two of them, this one and the best."""
        study, trial = self.study, self.find_selected_trial()
        if study is None:
            return
        marked = list(self.choice.marks)
        chosen = trial_comparison.choose_trials(study, marked, trial.number if trial is not None else None)
        if len(chosen) < 2:
            self.console.say("select two trials with Space, then V compares them")
        else:
            self.app.push_screen(CompareScreen(chosen))
