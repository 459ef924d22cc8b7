"""While you were away: one page at attach of what happened since this person last pressed a key."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core import paths
from core.contract.text.sanitize import sanitize
from core.contract.views.away_summary import SECTIONS, AwayLine, AwaySummary
from tui.keys.dialog_key_groups import AWAY
from tui.keys.key_definition import make_bindings
from tui.number_text import format_duration
from tui.theme_colors import Palette

WIDTH, FRAME = 100, 6  # cells of the page, and of what is around its words
MARK_EVERY_S = 10.0
SHORTEST_AWAY_S = 60.0  # a shorter absence is none
MOST = 12  # lines of a section
TITLES = {
    "best": "new best trial", "ended": "complete", "pruned": "pruned", "failed": "failed or infeasible",
    "limits": "limits broken", "faults": "faults", "study": "the study",
}  # fmt: skip


class Seen(msgspec.Struct, frozen=True):
    """When a person last pressed a key (Unix seconds), and the engine's process then; 0: not known."""

    at: float
    engine_pid: int = 0


class LastSeen:
    """Remembers in the home folder, which belongs to one user, when this user last looked."""

    def __init__(self, home: Path | None = None) -> None:
        self._file = (home or paths.home()) / "console-seen.json"
        self._marked_at = 0.0

    def read(self) -> Seen | None:
        """Return the last look; None before the first, and for a file that cannot be read."""
        try:
            with open(self._file, "rb", opener=paths.open_without_link) as file:
                return msgspec.json.decode(file.read(1000), type=Seen)
        except (OSError, msgspec.MsgspecError):
            return None

    def mark(self, at: float, engine_pid: int = 0, force: bool = False) -> None:
        """Keep that the user looked ``at``; written seldom. A full disk loses only the mark."""
        if force or abs(at - self._marked_at) >= MARK_EVERY_S:
            self._marked_at = at
            paths.keep(self._file, msgspec.json.encode(Seen(at, engine_pid)))


def is_worth_a_page(summary: AwaySummary, now: float) -> bool:
    """Tell whether the person was away for long enough, and missed something."""
    return bool(summary.lines) and now - summary.since >= SHORTEST_AWAY_S


class AwayScreen(ModalScreen[int]):
    """Dismisses with the number of the trial to open, or None."""

    DEFAULT_CSS = """
    AwayScreen { align: center middle; background: $background 60%; }
    AwayScreen OptionList {
        width: 100; max-width: 94%; height: auto; max-height: 90%;
    }
    AwayScreen OptionList, AwayScreen OptionList:focus { border: round $primary; background: $surface; }
    """
    BINDINGS = make_bindings(AWAY)

    def __init__(self, summary: AwaySummary, now: float, look: Palette) -> None:
        super().__init__()
        self._summary, self._now, self._look = summary, now, look

    def compose(self) -> ComposeResult:
        """Section by section; a line with a trial can be chosen."""
        options: list[Option] = []
        for section in SECTIONS:
            lines = self._summary.list_section(section)
            if lines:
                options += [self._make_heading(section, len(lines)), *map(self._make_row, lines[:MOST])]
                options += [self._note(f"… and {len(lines) - MOST} more")] if len(lines) > MOST else []
        if self._summary.earlier:
            options.append(self._note("older events are on the events screen: 8"))
        page = OptionList(*options)
        away = format_duration(max(0.0, self._now - self._summary.since))
        page.border_title = f"while you were away ({away}): {sanitize(self._summary.study, 40)}"
        page.border_subtitle = "Enter opens the trial · Esc closes"
        yield page

    def _make_heading(self, section: str, count: int) -> Option:
        text = Text(TITLES[section], style=f"bold {self._look['muted']}")
        text.append(f"  {count}" if section not in ("best", "study") else "")
        return Option(text, disabled=True)

    def _make_row(self, line: AwayLine) -> Option:
        clock = time.strftime("%a %H:%M", time.localtime(line.at))
        row = Text()
        row.append(f"  {clock}  ", style=self._look["muted"])
        level = "good" if line.section == "best" else line.level
        style = "" if level == "info" else self._look[level]
        room = max(20, min(WIDTH, self.app.size.width * 94 // 100) - FRAME - row.cell_len)
        words = textwrap.wrap(sanitize(line.text, 300), room) or [""]
        row.append(f"\n{' ' * row.cell_len}".join(words), style=style)
        return Option(row, disabled=line.trial < 0)

    def _note(self, text: str) -> Option:
        return Option(Text(f"  {text}", style=self._look["muted"]), disabled=True)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(self._list_trials()[event.option_index])

    def _list_trials(self) -> list[int]:
        """The trial of each option, -1 for headings and notes."""
        numbers: list[int] = []
        for section in SECTIONS:
            lines = self._summary.list_section(section)
            numbers += [-1, *(line.trial for line in lines[:MOST])] if lines else []
            numbers += [-1] if len(lines) > MOST else []
        return numbers
