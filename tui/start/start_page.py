"""What the console shows where no study exists: the demo, a study file, or the wizard."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core import paths
from core.contract.hosts import host_list
from core.errors import TrimtabError
from tui.base.latest_query import Ask
from tui.start.demo_requirements import explain_missing, find_examples
from tui.start.study_file_screen import StudyFileScreen
from tui.start.wizard_screen import WizardScreen
from tui.theme_colors import Palette

READ_ONLY = "this console only reads (--read-only): open one without it to start a study"
DEMO, FILE, WIZARD, HOSTS = "demo", "file", "wizard", "hosts"


class StartPage(Vertical):
    """Three ways to begin; Enter or a click takes one."""

    DEFAULT_CSS = """
    StartPage { height: 1fr; align: center middle; display: none; }
    StartPage Static { width: auto; max-width: 100%; height: auto; }
    StartPage OptionList { width: 76; max-width: 100%; height: auto; margin: 1 0; border: none; }
    """

    class Chosen(Message):
        """A way to begin."""

        def __init__(self, way: str) -> None:
            super().__init__()
            self.way = way

    def compose(self) -> ComposeResult:
        """Compose the ways, with what the demo lacks here."""
        lacks = explain_missing()
        demo = f"needs: {lacks}" if lacks else "eight small trials, without a GPU or a network"
        yield Static("no study yet", markup=False)
        hosts = _list_known_hosts()
        host_options = (
            [Option(_make_way("Attach to another host", ", ".join(hosts)), id=HOSTS)] if hosts else []
        )
        yield OptionList(
            Option(_make_way("Run the demo", demo), id=DEMO),
            Option(
                _make_way("Open a study file", "a TOML file with the model, the data and the search space"),
                id=FILE,
            ),
            Option(
                _make_way("Make a study file", "from a model and data, with the memory that it needs"),
                id=WIZARD,
            ),
            *host_options,
        )
        yield Static("in a shell: trimtab run SPEC", markup=False)

    def show(self, visible: bool) -> None:
        """Appear with the keys, or go."""
        appears = visible and not self.display
        self.display = visible
        if appears:
            self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        event.stop()
        self.post_message(self.Chosen(str(event.option.id)))


def find_open_way(way: str, ask: Ask, look: Palette) -> ModalScreen[Any] | str:
    """Return the dialog of a way to begin, or why there is none."""
    if way == WIZARD:
        return WizardScreen(ask, look)
    if way == FILE:
        return StudyFileScreen(ask, look)
    lacks = explain_missing()
    if lacks:
        return f"the demo needs its model: {lacks}, then open the console again"
    return StudyFileScreen(ask, look, str(find_examples() / "demo.toml"), starts=True)


def _list_known_hosts() -> list[str]:
    try:
        return list(host_list.read(paths.home()))
    except TrimtabError:  # what is wrong is said where the hosts are listed
        return []


def _make_way(name: str, meaning: str) -> Text:
    text = Text(f"{name}\n", style="bold")
    text.append(f"  {meaning}", style="not bold")
    return text
