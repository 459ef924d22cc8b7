"""The help page: all keys, from the table of bindings, and the meaning of the signs."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from core.manual import manual_pages
from tui.key_bindings import (
    ALWAYS,
    BOARDS,
    COMPARE,
    DETAIL,
    EVERYWHERE,
    EVIDENCE,
    INSIDES,
    INSIGHT,
    MEMORY,
    STEERING,
    STUDY,
    WHAT_IF,
    Key,
)
from tui.number_text import GLYPHS
from tui.theme_colors import Palette

SPELT = {
    "slash": "/",
    "question_mark": "?",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "asterisk": "*",
    "plus": "+",
    "minus": "-",
    "escape": "Esc",
    "enter": "Enter",
    "backspace": "⌫",
    "down": "↓",
    "up": "↑",
    "right": "→",
    "left": "←",
    "tab": "Tab",
    "shift+tab": "⇧Tab",
    "space": "Space",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "home": "Home",
    "end": "End",
    "ctrl+z": "Ctrl+Z",
}


# The groups of keys of each screen.
OF_SCREEN = {
    "DetailScreen": ("one trial", "steering, on both screens"),
    "MemoryScreen": ("memory",),
    "BoardsScreen": ("boards",),
    "EvidenceScreen": ("evidence of a score",),
    "InsightScreen": ("insight",),
    "CompareScreen": ("comparing trials",),
    "InsidesScreen": ("inside a trial",),
}
# The page of the manual below the keys of a screen.
PAGE_OF_SCREEN = {
    "AllTrials": "steering",
    "DetailScreen": "steering",
    "MemoryScreen": "memory",
    "BoardsScreen": "boards",
    "EvidenceScreen": "boards",
    "InsightScreen": "search",
    "CompareScreen": "search",
    "InsidesScreen": "boards",
}
PAGE_WIDTH = 68


class Help(ModalScreen[None]):
    """One page; scrolls where the terminal is low."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 76; max-width: 96%; height: auto; max-height: 92%;
        border: round $primary; background: $surface;
        padding: 0 2; border-title-color: $primary;
    }
    Help Static { height: auto; }
    """
    BINDINGS = [Binding("escape,question_mark,q,enter", "dismiss", "close", id="help.close")]

    def __init__(self, look: Palette, screen: str = "") -> None:
        """The keys of ``screen``, the class of the one that is asked about, stand first."""
        super().__init__()
        self._look, self._screen = look, screen

    def compose(self) -> ComposeResult:
        """The page."""
        with VerticalScroll() as page:
            page.border_title = "keys"
            yield Static(self._page())

    def _page(self) -> Text:
        groups = (
            ("all trials", STUDY),
            ("one trial", DETAIL),
            ("steering, on both screens", STEERING),
            ("memory", WHAT_IF + MEMORY),
            ("boards", BOARDS),
            ("evidence of a score", EVIDENCE),
            ("insight", INSIGHT),
            ("comparing trials", COMPARE),
            ("inside a trial", INSIDES),
            ("everywhere", EVERYWHERE + ALWAYS),
        )
        lines: list[Text] = []
        mine = OF_SCREEN.get(self._screen, ())
        for title, keys in sorted(groups, key=lambda group: group[0] not in mine):
            lines.append(Text(title, style=f"bold {self._look['primary']}"))
            lines += [self._line(key) for key in keys]
        lines.append(self._row("Ctrl+P", "all commands and themes"))
        lines.append(Text("signs", style=f"bold {self._look['primary']}"))
        signs = Text("  ")
        for state, glyph in GLYPHS.items():
            signs.append(f"{glyph} {state}  ", style=self._look[state])
        signs.append("★ best  ◆ searched")
        lines.append(signs)
        lines.append(Text("  * starred  ¶ noted  ✎ edited  ←3 clone of 3  hand  @gpu0 pinned  +1"))
        lines.append(Text("  boards: ✓ kept  ✗ breached  ? unsure   ▲ better  ▼ worse than the base"))
        lines.append(Text("  △ ▽ better or worse, but within the error bars"))
        if self._screen in PAGE_OF_SCREEN:
            lines.append(Text("\n" + manual_pages.plain_page(PAGE_OF_SCREEN[self._screen], PAGE_WIDTH)))
        return Text("\n").join(lines)

    def _line(self, key: Key) -> Text:
        return self._row(" ".join(SPELT.get(one, one) for one in key.keys.split(",")), key.meaning)

    def _row(self, keys: str, meaning: str) -> Text:
        line = Text(f"  {keys:<10} ", style=self._look["warning"])
        line.append(meaning, style=self._look["info"])
        return line
