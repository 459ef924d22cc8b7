"""The help page: all keys, those of the current screen first, the signs, and a page of the manual."""

from __future__ import annotations

import textwrap

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from core.manual import manual_reader
from tui.keys.dialog_key_groups import HELP_PAGE
from tui.keys.key_declarations import GROUPS
from tui.keys.key_definition import Group, Key, make_bindings, spell
from tui.keys.own_commands import as_group
from tui.number_text import GLYPHS
from tui.theme_colors import Palette

PAGE_WIDTH = 68
MEANING_AT = 13  # cells of the keys before what they do


class Help(ModalScreen[None]):
    """One page; scrolls where the terminal is low, and is searched by words."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 76; max-width: 96%; height: auto; max-height: 92%;
        border: round $primary; background: $surface;
        padding: 0 2; border-title-color: $primary;
    }
    Help Static { height: auto; }
    Help Input { display: none; height: 1; padding: 0; background: $panel; }
    Help Input, Help Input:focus { border: none; }
    """
    BINDINGS = make_bindings(HELP_PAGE)

    def __init__(self, look: Palette, groups: tuple[Group, ...] = (), topic: str = "") -> None:
        """Put ``groups``, those of the screen below, first, and the page ``topic`` of the manual last."""
        super().__init__()
        self._look, self._first, self._topic = look, groups, topic

    def compose(self) -> ComposeResult:
        """Compose the page and the line of the search."""
        with VerticalScroll() as page:
            page.border_title = "keys"
            page.border_subtitle = "/ searches · Esc closes"
            yield Input(placeholder="search keys and manual", id="search")
            yield Static(self._make_page(""), id="page")

    def action_search(self) -> None:
        """Type what is searched."""
        search = self.query_one("#search", Input)
        search.display = True
        search.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the lines that have all the words."""
        self.query_one("#page", Static).update(self._make_page(event.value))

    def on_input_submitted(self) -> None:
        """Give the keys back to the page."""
        self.query_one(VerticalScroll).focus()

    def _make_page(self, search: str) -> Text:
        words = search.lower().split()
        lines: list[Text] = []
        own = as_group(getattr(self.app, "own_commands", ()))
        groups = sorted(GROUPS, key=lambda group: group not in self._first)
        for group in (own, *groups) if own.keys else groups:
            rows = [row for key in group if _has(words, (row := self._make_line(key)).plain)]
            if rows:
                lines += [Text(group.title, style=f"bold {self._look['primary']}"), *rows]
        if not words:
            lines += self._list_signs()
        if self._topic:
            page = manual_reader.make_plain_page(self._topic, PAGE_WIDTH)
            matching_lines = [line for line in page.splitlines() if _has(words, line)] if words else [page]
            lines.append(Text("\n" + "\n".join(matching_lines)))
        return Text("\n").join(lines)

    def _list_signs(self) -> list[Text]:
        signs = Text("  ")
        for state, glyph in GLYPHS.items():
            signs.append(f"{glyph} {state}  ", style=self._look[state])
        signs.append("★ best  ◆ searched")
        return [
            Text("signs", style=f"bold {self._look['primary']}"),
            signs,
            Text("  infeasible: it never fits in the memory of a device"),
            Text("  * starred  ¶ noted  ✎ edited  ←3 clone of 3  hand  @gpu0 pinned  +1"),
            Text("  boards: ✓ kept  ✗ breached  ? unsure   ▲ better  ▼ worse than the base"),
            Text("  △ ▽ better or worse, but within the error bars"),
        ]

    def _make_line(self, key: Key) -> Text:
        keys = getattr(self.app, "key_map", {}).get(key.id)
        line = Text(f"  {spell(keys) if keys else key.spelt:<10} ", style=self._look["warning"])
        room = max(20, min(PAGE_WIDTH, self.app.size.width * 96 // 100 - 8) - MEANING_AT)
        meaning = f"\n{' ' * MEANING_AT}".join(textwrap.wrap(key.meaning, room, break_on_hyphens=False))
        return line.append(meaning, style=self._look["info"])


def _has(words: list[str], text: str) -> bool:
    return all(word in text.lower() for word in words)
