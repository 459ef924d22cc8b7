"""The logs screen: the end of the engine's log and of each worker's, followed, with a regular expression."""

from __future__ import annotations

import asyncio
import re

from rich.text import Text
from textual.app import ComposeResult

from core.contract.state import engine_state as s
from core.contract.text.byte_sizes import format_bytes
from core.contract.text.sanitize import sanitize
from core.contract.views.event_log.line_search import compile_pattern, find_spans
from core.contract.views.trials.trial_filter import FilterFault
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.keys.log_key_groups import LOGS
from tui.logs.log_files import LogFile, list_logs
from tui.logs.log_table import LogTable, make_pieces
from tui.logs.log_tail import LogEnd, LogLine, LogTail
from tui.widgets.cached_static import Sheet
from tui.widgets.filter_line import FilterLine
from tui.widgets.list_screen_keys import ListKeys

READ_EVERY_S = 0.5
LOW = 16  # lines below which the line is not shown in full
EXAMPLE = "a regular expression, such as error|warning  or  trial \\d+"


class LogsScreen(ListKeys, StudyScreen):
    """Pushed on top of any screen."""

    KEYS = (LOGS,)
    BAR = LOGS.footer
    TOPIC = "troubleshooting"
    CRUMB = "logs"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    LogsScreen #title, LogsScreen #about {
        height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    LogsScreen #whole { height: 3; padding: 0 1; background: $panel; }
    LogsScreen.low #whole { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: list[LogFile] = []
        self._tails: dict[LogFile, LogTail] = {}
        self._file: LogFile | None = None
        self._end = LogEnd()
        self._texts: dict[int, LogLine] = {}
        self._matching: list[int] = []
        self._pattern: re.Pattern[str] | None = None
        self._fault: FilterFault | None = None
        self._only_matching = True
        self._busy = False

    def compose(self) -> ComposeResult:
        """The logs by name, on the present one, its lines, the chosen line in full, filter, footer."""
        yield Sheet(id="title")
        yield Sheet(id="about")
        yield LogTable()
        yield Sheet(id="whole")
        yield FilterLine(EXAMPLE)
        yield KeyBar()

    def on_mount(self) -> None:
        """Read at once, and then now and then."""
        super().on_mount()
        self.set_interval(READ_EVERY_S, self._read)
        self._read()

    @property
    def table(self) -> LogTable:
        """Return the table of lines."""
        return self.query_one(LogTable)

    def find_selected_trial(self) -> s.Trial | None:
        """No trial is selected here."""
        return None

    def find_chosen_text(self) -> str:
        """Return the line under the cursor."""
        line = self.table.chosen
        return line.text if line is not None else ""

    # -- reading ----------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read what was added, in a thread, unless that is being done or no one looks."""
        if self.console.engine.host:
            self._show_remote()
        elif not self._busy and self.is_current:
            self.run_worker(self._read_once(), group="logs", exit_on_error=True)

    def _show_remote(self) -> None:
        """Say where the logs are: files of another host are not read through the engine."""
        host = self.console.engine.tunnel.host
        why = f"the logs are on {host.name}: ssh {host.address} {host.make_remote_command('logs')}"
        if self._end.why_none != why:
            self._end = LogEnd(why_none=why)
            self.show()

    async def _read_once(self) -> None:
        self._busy = True
        try:
            study = self.study.name if self.study is not None else ""
            files = await asyncio.to_thread(list_logs, self.console.engine.home, study)
            self._files = [file for file in self._files if file in files]
            self._files += [file for file in files if file not in self._files]  # they keep their places
            file = self._file if self._file in self._files else self._files[0]
            tail = self._tails.setdefault(file, LogTail(file.path))
            end = await asyncio.to_thread(tail.read)
        finally:
            self._busy = False
        if self._file is None or file is self._file or self._file not in self._files:
            self._take(file, end)
        else:  # Tab was pressed meanwhile
            self._read()

    def _take(self, file: LogFile, end: LogEnd) -> None:
        if file is self._file and end is self._end:
            return
        if file is not self._file:
            self.table.follows = True
        self._file, self._end = file, end
        self._texts = {line.number: line for line in end.lines}
        self._search()
        self.show()

    def _search(self) -> None:
        """Find the lines that match."""
        pattern = self._pattern
        self._matching = [
            number
            for number, line in self._texts.items()
            if pattern is not None and find_spans(pattern, line.text)
        ]

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the present log."""
        look = self.console.look
        self.set_class(self.size.height < LOW, "low")
        hides = self._pattern is not None and self._only_matching
        numbers = self._matching if hides else list(self._texts)
        self.table.show(self._texts, numbers, self._pattern, look)
        self.query_one("#title", Sheet).draw(self._make_title())
        self.query_one("#about", Sheet).draw(self._describe_about())
        self.query_one(FilterLine).show(self.filter_text, self._fault, look)
        self.query_one("#whole", Sheet).draw(self._find_whole())

    def _make_title(self) -> Text:
        """The logs by name, the present one first in sight."""
        look = self.console.look
        line = self.draw_breadcrumbs()
        line.append(" ")
        for file in self._files:
            is_current = file == self._file
            line.append(
                f" {file.name} ", style=f"bold reverse {look['accent']}" if is_current else look["muted"]
            )
        return line

    def _describe_about(self) -> Text:
        look, end = self.console.look, self._end
        line = Text(no_wrap=True, overflow="ellipsis")
        if end.why_none:
            path_text = f"{sanitize(str(self._file.path), 200)}: " if self._file is not None else ""
            line.append(f"{path_text}{sanitize(end.why_none, 120)}", style=look["warning"])
            return line
        line.append(format_bytes(end.size_bytes), style=look["accent"])
        if end.skipped_bytes:
            line.append(f", its last {format_bytes(end.size_bytes - end.skipped_bytes)}", style=look["muted"])
        line.append(f"   {len(self._texts)} lines", style=look["muted"])
        if self._pattern is not None:
            shown_text = "" if self._only_matching else ", all are shown"
            line.append(
                f"   {len(self._matching)} match {sanitize(self._pattern.pattern, 40)}{shown_text}",
                look["warning"],
            )
        line.append("   following" if self.table.follows else "   G follows", style=look["muted"])
        away = self.console.engine.away
        line.append(f"   {sanitize(away, 120)}" if away else "", style=f"bold {look['error']}")
        return line

    def _find_whole(self) -> Text:
        """The line under the cursor in full, with its matches."""
        look, text = self.console.look, Text()
        for part, meaning in make_pieces(self.find_chosen_text(), self._pattern):
            text.append(part, style=look[meaning] if meaning else "")
        return text

    # -- keys -------------------------------------------------------------------------------------

    def label_key(self, key_id: str, label: str) -> str:
        """Say what Esc and A do, and hide the keys of matches while nothing is searched."""
        if key_id in ("logs.next", "logs.previous", "logs.all") and self._pattern is None:
            return ""
        if key_id == "logs.all":
            return "all lines" if self._only_matching else "only matches"
        return "show all" if key_id == "logs.back" and self.filter_text else label

    def take_filter(self, text: str) -> bool:
        """Show the lines that match; an expression that cannot be read changes nothing."""
        try:
            self._pattern, self._fault = compile_pattern(text), None
        except FilterFault as fault:
            self._fault = fault
            return False
        self._search()
        return True

    def action_file(self, by: int) -> None:
        """The next log."""
        if self._files:
            place = self._files.index(self._file) if self._file in self._files else 0
            file = self._files[(place + by) % len(self._files)]
            self._take(file, self._tails[file].shown if file in self._tails else LogEnd())
            self._read()

    def action_all(self) -> None:
        """Show or hide the lines that do not match."""
        self._only_matching = not self._only_matching
        self.show()

    def action_match(self, by: int) -> None:
        """To the next line that matches, and round at the end."""
        if not self._matching:
            self.console.say("no line matches" if self._pattern is not None else "search with / first")
            return
        row_key = self.table.row_key
        numbers = self._matching if by > 0 else self._matching[::-1]
        ahead = [number for number in numbers if row_key is None or (number - row_key) * by > 0]
        self.table.move_to(ahead[0] if ahead else numbers[0])
        self.show()
