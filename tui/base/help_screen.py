"""The help page: all keys, those of the current screen first, the signs, and a page of the manual."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from core.manual import manual_reader
from tui.dialog_key_groups import HELP_PAGE
from tui.key_declarations import GROUPS
from tui.key_definition import Group, Key, bindings
from tui.number_text import GLYPHS
from tui.theme_colors import Palette

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
    BINDINGS = bindings(HELP_PAGE)

    def __init__(self, look: Palette, groups: tuple[Group, ...] = (), topic: str = "") -> None:
        """Put ``groups``, those of the screen below, first, and the page ``topic`` of the manual last."""
        super().__init__()
        self._look, self._first, self._topic = look, groups, topic

    def compose(self) -> ComposeResult:
        """The page."""
        with VerticalScroll() as page:
            page.border_title = "keys"
            yield Static(self._page())

    def _page(self) -> Text:
        lines: list[Text] = []
        for group in sorted(GROUPS, key=lambda group: group not in self._first):
            lines.append(Text(group.title, style=f"bold {self._look['primary']}"))
            lines += [self._line(key) for key in group]
        lines.append(Text("signs", style=f"bold {self._look['primary']}"))
        signs = Text("  ")
        for state, glyph in GLYPHS.items():
            signs.append(f"{glyph} {state}  ", style=self._look[state])
        signs.append("★ best  ◆ searched")
        lines.append(signs)
        lines.append(Text("  * starred  ¶ noted  ✎ edited  ←3 clone of 3  hand  @gpu0 pinned  +1"))
        lines.append(Text("  boards: ✓ kept  ✗ breached  ? unsure   ▲ better  ▼ worse than the base"))
        lines.append(Text("  △ ▽ better or worse, but within the error bars"))
        if self._topic:
            lines.append(Text("\n" + manual_reader.plain_page(self._topic, PAGE_WIDTH)))
        return Text("\n").join(lines)

    def _line(self, key: Key) -> Text:
        return self._row(key.spelt, key.meaning)

    def _row(self, keys: str, meaning: str) -> Text:
        line = Text(f"  {keys:<10} ", style=self._look["warning"])
        line.append(meaning, style=self._look["info"])
        return line
