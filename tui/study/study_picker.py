"""Choose among the engine's studies, and among the hosts whose engines can be attached to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.contract.hosts import ssh_commands
from core.contract.hosts.daemon_thread import run_in_daemon_thread
from core.contract.hosts.host_list import Host
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from tui.keys.dialog_key_groups import STUDIES
from tui.keys.key_definition import bindings

ASKING = "asking …"


class Chosen(NamedTuple):
    """A study of this engine, another host, or this host's own engine (without a name)."""

    kind: Literal["study", "host", "here"]
    name: str = ""


class Studies(ModalScreen[Chosen]):
    """Dismisses with what was chosen, or None. ``hosts`` are asked for their state while it is shown;
    ``at`` is the host that the console is attached to."""

    DEFAULT_CSS = """
    Studies { align: center middle; background: $background 60%; }
    Studies OptionList { width: 76; max-width: 95%; height: auto; max-height: 80%; }
    Studies OptionList, Studies OptionList:focus { border: round $primary; background: $surface; }
    """
    BINDINGS = bindings(STUDIES)

    def __init__(self, studies: dict[str, s.Study], hosts: Sequence[Host] = (), at: str = "") -> None:
        super().__init__()
        self._hosts, self._at = list(hosts), at
        self._rows: list[tuple[Chosen, Text]] = [
            (Chosen("study", name), _of_study(study)) for name, study in reversed(studies.items())
        ]
        if at:
            self._rows.append((Chosen("here"), _of_host("this host", "attach to its own engine")))
        self._rows += [(Chosen("host", host.name), self._words(host, ASKING)) for host in self._hosts]

    def compose(self) -> ComposeResult:
        """The studies, newest first; then the hosts."""
        of_engine = [Option(text, id=str(place)) for place, (_, text) in enumerate(self._rows)]
        first_host = next((place for place, (row, _) in enumerate(self._rows) if row.kind != "study"), None)
        rows: list[Option | None] = list(of_engine)
        if first_host:
            rows.insert(first_host, None)  # a line between studies and hosts
        options = OptionList(*rows)
        options.border_title = "studies and hosts" if self._hosts else "studies"
        yield options

    def on_mount(self) -> None:
        """Ask each host."""
        for host in self._hosts:
            self.run_worker(self._ask(host), exit_on_error=False)

    async def _ask(self, host: Host) -> None:
        try:
            words = (await run_in_daemon_thread(lambda: ssh_commands.query(host))).describe()
        except TrimtabError as error:
            words = error.problems[0].what
        place = self._rows.index(next(row for row in self._rows if row[0] == Chosen("host", host.name)))
        self.query_one(OptionList).replace_option_prompt(str(place), self._words(host, words))

    def _words(self, host: Host, words: str) -> Text:
        return _of_host(host.name, f"attached; {words}" if host.name == self._at else words)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(self._rows[int(str(event.option.id))][0])


def _of_study(study: s.Study) -> Text:
    text = Text(f"{plain(study.name, 40):<30} {study.state:<10}")
    text.append(f"{best_and_counts.count_ended(study)}/{study.total_trials}")
    return text


def _of_host(name: str, words: str) -> Text:
    return Text(f"{plain(name, 40):<16} {plain(words, 200)}", no_wrap=True, overflow="ellipsis")
