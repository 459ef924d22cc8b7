"""What a key of the console is, and the bindings that Textual gets of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.binding import Binding, BindingType

SPELT = {
    "slash": "/",
    "colon": ":",
    "full_stop": ".",
    "comma": ",",
    "semicolon": ";",
    "question_mark": "?",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "asterisk": "*",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "number_sign": "#",
    "exclamation_mark": "!",
    "grave_accent": "`",
    "at": "@",
    "underscore": "_",
    "shift+left": "⇧←",
    "shift+right": "⇧→",
    "shift+up": "⇧↑",
    "shift+down": "⇧↓",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
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
    "delete": "Del",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "home": "Home",
    "end": "End",
}


def spell(keys: str) -> str:
    """Return keys, named as Textual names them, as they are printed."""
    return " ".join(SPELT.get(name) or _spell_chord(name) for name in keys.split(","))


def _spell_chord(name: str) -> str:
    """Such as Ctrl+O or F5; a letter stays as it is."""
    return "+".join(part.capitalize() for part in name.split("+")) if len(name) > 1 else name


@dataclass(frozen=True)
class Key:
    """One action and the keys that run it.

    ``keys`` are named as Textual names them; ``label`` stands in the footer, ``meaning`` in the help;
    ``command`` is its title in the command palette, empty for an action that only a key runs. A key with
    ``priority`` acts before the widget that has the focus.
    """

    id: str
    keys: str
    action: str
    label: str
    meaning: str
    command: str = ""
    priority: bool = False

    @property
    def spelt(self) -> str:
        """The keys as they are printed, separated by spaces."""
        return spell(self.keys)

    @property
    def method(self) -> str:
        """The name of the method that the action calls."""
        return "action_" + self.action.rpartition(".")[2].partition("(")[0]


@dataclass(frozen=True)
class Group:
    """The keys of a screen or of a part of it. ``footer`` has the ids that its footer shows."""

    title: str
    keys: tuple[Key, ...]
    footer: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)


def make_bindings(*groups: Group) -> list[BindingType]:
    """Return the groups as Textual bindings. A key map refers to their ids."""
    return [
        Binding(
            key.keys, key.action, key.label, show=key.id in group.footer, id=key.id, priority=key.priority
        )
        for group in groups
        for key in group
    ]
