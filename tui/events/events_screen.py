"""The events screen: all that happened in the study, with date, filter, and the way to each trial."""

from __future__ import annotations

import time

from rich.text import Text
from textual.app import ComposeResult

from core.contract.state import engine_state as s
from core.contract.state.event_list_lines import EventHistory
from core.contract.text.sanitize import sanitize
from core.contract.views.event_log.event_collection import EventCollection, EventRow
from core.contract.views.event_log.event_filter import EXAMPLE, Test, parse_event_filter
from core.contract.views.trials.trial_filter import FilterFault
from core.contract.wire import console_api
from core.errors import TrimtabError
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.events.event_table import EventTable
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.keys.log_key_groups import EVENTS
from tui.widgets.cached_static import Sheet
from tui.widgets.filter_line import FilterLine
from tui.widgets.following_table import LineOpened
from tui.widgets.list_screen_keys import ListKeys

LOW = 16  # lines below which the event is not shown in full


class EventsScreen(ListKeys, StudyScreen):
    """Pushed on top of any screen."""

    KEYS = (EVENTS,)
    BAR = EVENTS.footer
    TOPIC = "steering"
    CRUMB = "events"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    EventsScreen #title { height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; }
    EventsScreen #whole { height: 4; padding: 0 1; background: $panel; }
    EventsScreen.low #whole { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._events = EventCollection()
        self._name = ""  # of the study that the events are of
        self._numbers: list[int] = []
        self._test: Test | None = None
        self._fault: FilterFault | None = None
        self._past = ""  # on the events that the state no longer has

    def compose(self) -> ComposeResult:
        """Title, events, the chosen event in full, filter, footer."""
        yield Sheet(id="title")
        yield EventTable()
        yield Sheet(id="whole")
        yield FilterLine(EXAMPLE)
        yield KeyBar()

    @property
    def table(self) -> EventTable:
        """Return the table of events."""
        return self.query_one(EventTable)

    def find_selected_trial(self) -> s.Trial | None:
        """Return the trial of the event under the cursor."""
        row = self.table.chosen
        return self.study.trials.get(row.trial) if self.study is not None and row is not None else None

    def find_chosen_text(self) -> str:
        """Return the event under the cursor as a line."""
        row = self.table.chosen
        return _find_whole(row) if row is not None else ""

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw what happened since."""
        study, look = self.study, self.console.look
        self.set_class(self.size.height < LOW, "low")
        if study is not None:
            self._take(study)
        self.table.show(self._events.by_number, self._numbers, look)
        self.query_one("#title", Sheet).draw(self._make_title(study))
        self.query_one(FilterLine).show(self.filter_text, self._fault, look)
        row = self.table.chosen
        style = look[row.level] if row is not None and row.level != "info" else ""
        self.query_one("#whole", Sheet).draw(Text(_find_whole(row) if row is not None else "", style=style))

    def _take(self, study: s.Study) -> None:
        """Take new events; of another study take all, and ask for those that the state has dropped."""
        if study.name != self._name:
            self._name, self._events, self._past = study.name, EventCollection(), ""
            self._numbers = []
        first = not self._events.rows
        if self._events.take(study):
            self._choose()
        if first and _has_dropped(study):
            self._past = "reading older events …"
            self.run_worker(self._ask_past(study.name), group="past", exclusive=True, exit_on_error=False)

    async def _ask_past(self, name: str) -> None:
        """Ask the engine for the events that the state has dropped."""
        try:
            answer = await self.console.engine.ask(console_api.AskHistory(name))
        except TrimtabError as error:
            answer = EventHistory(why_none=error.problems[0].what)
        if name != self._name:
            return
        if not isinstance(answer, EventHistory):
            answer = EventHistory(why_none="the engine gave no answer: it may be an older version")
        self._past = f"older events: {sanitize(answer.why_none, 120)}" if answer.why_none else ""
        if answer.cut:
            self._past = "older: trimtab export"
        self._events.add_past(answer.lines)
        self._choose()
        self.show()

    def _choose(self) -> None:
        """Choose the events that the filter lets through."""
        number_of, test = self._events.number_of, self._test
        self._numbers = [number_of[row] for row in self._events.rows if test is None or test(row)]

    def _make_title(self, study: s.Study | None) -> Text:
        look = self.console.look
        line = self.draw_breadcrumbs()
        shown_count, total = len(self._numbers), len(self._events.rows)
        if self.filter_text:
            line.append(
                f"   {shown_count} of {total} {sanitize(self.filter_text, 40)}", style=look["warning"]
            )
        else:
            line.append(f"   {total} in all", style=look["accent"])
        line.append("  following" if self.table.follows else "  G follows", style=look["muted"])
        line.append(f"   {self._past}" if self._past else "", style=look["info"])
        away = self.console.engine.away
        line.append(f"   {sanitize(away, 120)}" if away else "", style=f"bold {look['error']}")
        return line

    # -- keys -------------------------------------------------------------------------------------

    def label_key(self, key_id: str, label: str) -> str:
        """Say what Esc does, and hide Enter where there is no trial to open."""
        if key_id == "events.open" and self.find_selected_trial() is None:
            return ""
        return "show all" if key_id == "events.back" and self.filter_text else label

    def take_filter(self, text: str) -> bool:
        """Show the events that match; a filter that cannot be read changes nothing."""
        try:
            self._test, self._fault = (parse_event_filter(text) if text.strip() else None), None
        except FilterFault as fault:
            self._fault = fault
            return False
        self._choose()
        return True

    def action_open(self) -> None:
        """Open the trial of the event; Esc leads back here."""
        trial = self.find_selected_trial()
        if trial is not None:
            self.console.show_trial(trial.number)

    def on_line_opened(self, message: LineOpened) -> None:
        """A double click opens as Enter does."""
        self.action_open()


def _has_dropped(study: s.Study) -> bool:
    """Return whether the state may have dropped lines of the study or of a trial."""
    lists = (study.lines, *(trial.lines for trial in study.trials.values()))
    return any(len(lines) >= s.LINES for lines in lists)


def _find_whole(row: EventRow) -> str:
    """Return an event with its date, its trial, and all its words."""
    time_text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at))
    subject = f"trial {row.trial} " if row.trial >= 0 else ""
    level = f"{row.level}: " if row.level != "info" else ""
    return f"{time_text}  {level}{subject}{sanitize(row.text, 500)}"
