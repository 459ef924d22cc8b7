"""The studies of this engine and of all hosts of `trimtab hosts` in one table; Enter shows one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec
from rich.text import Text
from textual.app import ComposeResult

from core import paths
from core.contract.hosts import ssh_commands
from core.contract.hosts.daemon_thread import run_in_daemon_thread
from core.contract.hosts.host_list import Host
from core.contract.hosts.ssh_commands import Remote
from core.contract.hosts.study_summary import summarize
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.errors import EngineError, TrimtabError, join_in_line
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.keys.log_key_groups import STUDIES
from tui.study.studies_table import HERE, StudiesTable, StudyRow, list_rows
from tui.widgets.cached_static import Sheet
from tui.widgets.filter_line import FilterLine
from tui.widgets.following_table import LineOpened
from tui.widgets.list_screen_keys import ListKeys

ASK_EVERY_S = 30.0
ANSWER_S = 30.0
ADD = "`trimtab hosts add NAME ADDRESS` adds the studies of another host"
EXAMPLE = "studies and hosts with these words, such as: gpu2 running"


class StudiesScreen(ListKeys, StudyScreen):
    """Pushed on top of any screen. The hosts are asked while it is open; this engine's rows are live."""

    KEYS = (STUDIES,)
    BAR = STUDIES.footer
    TOPIC = "steering"
    CRUMB = "studies"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    StudiesScreen #title {
        height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    StudiesScreen #whole {
        height: 2; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, hosts: Sequence[Host]) -> None:
        super().__init__()
        self._hosts = list(hosts)
        self._answers: dict[str, Remote | str] = {}  # by host; why a host did not answer
        self._asked: set[str] = set()  # hosts that have not answered yet

    def compose(self) -> ComposeResult:
        """Title, studies, what Enter does, filter, footer."""
        yield Sheet(id="title")
        yield StudiesTable()
        yield Sheet(id="whole")
        yield FilterLine(EXAMPLE)
        yield KeyBar()

    def on_mount(self) -> None:
        """Ask the hosts now and again."""
        super().on_mount()
        self._ask_all()
        self.set_interval(ASK_EVERY_S, self._ask_all)

    @property
    def table(self) -> StudiesTable:
        """Return the table."""
        return self.query_one(StudiesTable)

    def find_selected_trial(self) -> s.Trial | None:
        """Return None: keys act on a study here."""
        return None

    def find_chosen_text(self) -> str:
        """Return the name of the study under the cursor."""
        row = self.table.chosen
        return row.study.name if row is not None and row.study is not None else ""

    # -- asking -----------------------------------------------------------------------------------

    def _ask_all(self) -> None:
        at = self.console.engine.host
        if not self.is_current:
            return
        for host in self._hosts:
            if host.name != at:
                self._start(host.name, host)
        if at:
            self._start("", None)

    def _start(self, name: str, host: Host | None) -> None:
        if name not in self._asked:  # else it has not answered the last question
            self._asked.add(name)
            self.run_worker(self._ask(name, host), group="hosts", exit_on_error=False)

    async def _ask(self, name: str, host: Host | None) -> None:
        """Ask a host, or without one this host's own engine, which is not the one that is shown."""
        try:
            self._answers[name] = await run_in_daemon_thread(
                lambda: ssh_commands.query(host) if host is not None else query_here()
            )
        except TrimtabError as error:
            self._answers[name] = join_in_line(error)
        finally:
            self._asked.discard(name)
        self.show()

    # -- drawing ----------------------------------------------------------------------------------

    def _list_rows(self) -> list[StudyRow]:
        engine, now = self.console.engine, self.console.now()
        own = [summarize(study, now) for study in engine.state.studies.values()]
        return list_rows(own, engine.host, self._hosts, self._answers)

    def draw(self) -> None:
        """Draw the studies as they are now."""
        look, rows = self.console.look, self._list_rows()
        words = self.filter_text.lower().split()
        places = [place for place, row in enumerate(rows) if all(word in row.text for word in words)]
        self.table.show(rows, places, look)
        self.query_one("#title", Sheet).draw(self._make_title(rows, len(places)))
        self.query_one(FilterLine).show(self.filter_text, None, look)
        self.query_one("#whole", Sheet).draw(self._describe_about(self.table.chosen))

    def _make_title(self, rows: Sequence[StudyRow], shown_count: int) -> Text:
        look = self.console.look
        studies = [row.study for row in rows if row.study is not None]
        hosts = len({row.host for row in rows})
        line = Text("studies", style="bold", no_wrap=True, overflow="ellipsis")
        live = sum(study.is_live for study in studies)
        where = f" on {hosts} hosts" if hosts > 1 else ""
        line.append(f"  {len(studies)}{where}, {live} running or paused", style=look["accent"])
        if self.filter_text:
            line.append(f"   {shown_count} shown: {sanitize(self.filter_text, 40)}", style=look["warning"])
        away = self.console.engine.away
        line.append(f"   {sanitize(away, 120)}" if away else "", style=f"bold {look['error']}")
        return line

    def _describe_about(self, row: StudyRow | None) -> Text:
        """What Enter does, and a host's words in full."""
        look = self.console.look
        if row is None:
            return Text("no study matches; Esc shows all", style=look["muted"])
        host = next((host for host in self._hosts if host.name == row.host), None)
        study = f" and shows {sanitize(row.study.name, 60)}" if row.study is not None else ""
        if row.host == self.console.engine.host:
            act = f"Enter shows {sanitize(row.study.name, 60)}" if row.study is not None else row.words
        elif host is not None:
            starts = "" if study else "; an engine is started if none runs"
            act = f"Enter attaches by SSH ({sanitize(host.address, 80)}){study}{starts}"
        else:
            act = f"Enter attaches to this host's own engine{study}"
        lines = [row.words, act] if row.failed else [act, "" if self._hosts else ADD]
        text = Text(sanitize(lines[0], 300), style=look["warning" if row.failed else "info"])
        return text.append(f"\n{lines[1]}", style=look["muted"])

    # -- keys -------------------------------------------------------------------------------------

    def label_key(self, key_id: str, label: str) -> str:
        """Say what Esc does; without other hosts nothing is asked again."""
        if key_id == "studies.again" and not self._hosts:
            return ""
        return "show all" if key_id == "studies.back" and self.filter_text else label

    def take_filter(self, text: str) -> bool:
        """Show the rows that have all words."""
        return True

    def action_again(self) -> None:
        """Ask all hosts now."""
        self._ask_all()
        self.console.say("asking all hosts …" if self._hosts else "there is no other host")

    def action_open(self) -> None:
        """Show the study, on its host."""
        row = self.table.chosen
        if row is not None:
            self.console.open_study(row.host, row.study.name if row.study is not None else "")

    def on_line_opened(self, message: LineOpened) -> None:
        """A double click opens as Enter does."""
        self.action_open()


def query_here() -> Remote:
    """Ask this host for its own studies while the console is attached to another. Blocking; raises
    EngineError."""
    command = [sys.executable, "-P", "-m", "tui.entry_point", "engine", "socket"]
    try:
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_S, cwd=paths.find_root()
        )
        return msgspec.json.decode(process.stdout, type=Remote)
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as error:
        raise EngineError.of("its studies cannot be read", HERE, "`trimtab status` says why") from error
