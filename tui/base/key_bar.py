"""The footer of keys: one widget that is drawn once, instead of one widget per key.

Textual's own footer remakes its keys at each change of bindings, which was a quarter of the time to open a
screen. This one looks and acts like it, and is drawn again only when what it shows has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rich.text import Text
from textual import events
from textual.css.query import NoMatches
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

ALWAYS_SHOWN = ("app.command", "app.help", "app.detach")  # at the end of the bar, however narrow it is


class Shown(NamedTuple):
    """One key: what is pressed, how it is written, what it does, and whether it does it now."""

    key: str
    display: str
    label: str
    enabled: bool
    tooltip: str
    shown: bool = True  # in the footer of its group


def _measure_width(key: Shown) -> int:
    return Text(f" {key.display} {key.label} ").cell_len


class KeyBar(Widget, can_focus=False):
    """The keys that the present screen shows. A click presses one."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {"key-bar--key", "key-bar--label", "key-bar--hover"}
    DEFAULT_CSS = """
    KeyBar {
        dock: bottom;
        height: 1;
        color: $footer-foreground;
        background: $footer-background;
        & > .key-bar--key {
            color: $footer-key-foreground;
            background: $footer-key-background;
            text-style: bold;
        }
        & > .key-bar--label {
            color: $footer-description-foreground;
            background: $footer-description-background;
        }
        & > .key-bar--hover {
            color: $footer-key-foreground;
            background: $block-hover-background;
        }
    }
    """

    keys: reactive[tuple[Shown, ...]] = reactive(())
    hovered: reactive[int | None] = reactive(None)  # index into ``keys``

    def __init__(self) -> None:
        super().__init__()
        self._active: dict[str, Shown] = {}  # by the id of the key

    def on_mount(self) -> None:
        """Follow the screen's bindings from now on."""
        self.screen.bindings_updated_signal.subscribe(self, self._read_bindings)
        self._read_bindings(self.screen)

    def on_resize(self) -> None:
        """Show as many keys as there is room for."""
        self.update_keys()

    def update_keys(self) -> None:
        """Choose the keys again: those that matter for the selected trial, as many as fit, then the last ones
        that always stand there."""
        last = [self._active[key] for key in ALWAYS_SHOWN if key in self._active]
        room = self.size.width - sum(map(_measure_width, last))
        shown_keys = []
        for key in self._list_wanted():
            room -= _measure_width(key)
            if room < 0:
                break
            shown_keys.append(key)
        self.keys = (*shown_keys, *last)

    def _read_bindings(self, screen: Screen[Any]) -> None:
        if not (self.is_attached and screen is self.screen and screen.app.app_focus):
            return
        self._active = {}
        for _, binding, enabled, tooltip in screen.active_bindings.values():
            name = binding.id or binding.action
            if name not in self._active:  # an action with several keys is shown with its first
                display = self.app.get_key_display(binding)
                self._active[name] = Shown(
                    binding.key, display, binding.description, enabled, tooltip, binding.show
                )
        self.update_keys()

    def _list_wanted(self) -> Iterator[Shown]:
        """Yield the keys by their order on the screen's bar; without one, those that the groups show."""
        order = getattr(self.screen, "BAR", ()) or [name for name, key in self._active.items() if key.shown]
        for name in order:
            key = self._active.get(name)
            if key is not None and name not in ALWAYS_SHOWN and (text := self._make_label(name, key.label)):
                yield key._replace(label=text)

    def _make_label(self, name: str, label: str) -> str:
        """Return the key's word on the screen; its own while the screen is put together or taken down."""
        on_screen: Callable[[str, str], str] | None = getattr(self.screen, "label_key", None)
        try:
            return on_screen(name, label) if on_screen is not None else label
        except NoMatches:
            return label

    def render(self) -> Text:
        """All keys on one line."""
        line = Text(no_wrap=True, overflow="crop", end="")
        for index, key in enumerate(self.keys):
            for text, part in ((f" {key.display} ", "key"), (f"{key.label} ", "label")):
                style = self.get_component_rich_style(f"key-bar--{part}")
                if index == self.hovered:
                    style += self.get_component_rich_style("key-bar--hover")
                if not key.enabled:
                    style += style.parse("dim")
                line.append(text, style)
        return line

    def _find_key_at(self, column: int) -> int | None:
        for index, key in enumerate(self.keys):
            column -= _measure_width(key)
            if column < 0:
                return index
        return None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Light up the key under the mouse, and say more of it where there is more to say."""
        self.hovered = self._find_key_at(event.x)
        self.tooltip = (self.keys[self.hovered].tooltip if self.hovered is not None else "") or None

    def on_leave(self) -> None:
        """Nothing is under the mouse."""
        self.hovered = None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key."""
        index = self._find_key_at(event.x)
        if index is None:
            return
        if self.keys[index].enabled:
            self.app.simulate_key(self.keys[index].key)
        else:
            self.app.bell()
