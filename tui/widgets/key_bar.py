"""The footer of keys: one widget that is drawn once, instead of one widget per key.

Textual's own footer makes its keys anew at each change of bindings, which was a quarter of the time to open a
screen. This one looks and acts like it, and is drawn again only when what it shows has changed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget


class Shown(NamedTuple):
    """One key: what is pressed, how it is written, what it does, and whether it does it now."""

    key: str
    display: str
    label: str
    enabled: bool
    tooltip: str


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

    def on_mount(self) -> None:
        """Follow the screen's bindings from now on."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._changed(self.screen)

    def _changed(self, screen: Screen[Any]) -> None:
        if self.is_attached and screen is self.screen and screen.app.app_focus:
            self.keys = self._found(screen)

    def _found(self, screen: Screen[Any]) -> tuple[Shown, ...]:
        found: dict[str, Shown] = {}  # an action with several keys is shown with its first
        for _, binding, enabled, tooltip in screen.active_bindings.values():
            if binding.show and binding.action not in found:
                display = self.app.get_key_display(binding)
                found[binding.action] = Shown(binding.key, display, binding.description, enabled, tooltip)
        return tuple(found.values())

    def render(self) -> Text:
        """All keys on one line; what does not fit is cut at the right."""
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

    def _at(self, column: int) -> int | None:
        for index, key in enumerate(self.keys):
            column -= Text(f" {key.display} {key.label} ").cell_len
            if column < 0:
                return index
        return None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Light up the key under the mouse, and say more of it where there is more to say."""
        self.hovered = self._at(event.x)
        self.tooltip = (self.keys[self.hovered].tooltip if self.hovered is not None else "") or None

    def on_leave(self) -> None:
        """Nothing is under the mouse."""
        self.hovered = None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key."""
        index = self._at(event.x)
        if index is None:
            return
        if self.keys[index].enabled:
            self.app.simulate_key(self.keys[index].key)
        else:
            self.app.bell()
