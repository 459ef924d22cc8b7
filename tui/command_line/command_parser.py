"""Reads and completes what is typed after `:`, such as "trial 12", "filter lr<1e-4" or "theme harbour"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHOWN = 6  # options that an error names


@dataclass(frozen=True)
class Command:
    """One command. ``options`` are the values that its argument may have; where it is not ``limited`` to
    them, they are only completed."""

    name: str
    meaning: str
    takes: str = ""  # what the argument is; empty: none
    needed: bool = True  # whether the argument must be there
    options: Sequence[str] = ()
    limited: bool = True


@dataclass(frozen=True)
class Parsed:
    """A command with its argument."""

    name: str
    argument: str = ""


@dataclass(frozen=True)
class CommandTable:
    """All commands of the moment; the values of their arguments come from the state."""

    commands: Sequence[Command] = field(default_factory=tuple)

    def parse(self, text: str) -> Parsed | str:
        """Return the command, or in words why ``text`` is none. A beginning that is unique is enough; a
        number alone is a trial."""
        name, _, argument = text.strip().partition(" ")
        argument = argument.strip()
        if name.isdigit() and not argument:
            name, argument = "trial", name
        command = self._find(name)
        if isinstance(command, str):
            return command
        if command.takes and not argument and command.needed:
            return f"{command.name} what? It takes {command.takes}{_give_examples(command.options)}"
        if argument and not command.takes:
            return f"{command.name} takes nothing more: {argument!r}"
        if argument and command.limited and argument not in command.options:
            matches = [option for option in command.options if option.startswith(argument)]
            if len(matches) != 1:
                options = matches or command.options
                return f"{command.name}: no {command.takes} {argument!r}{_give_examples(options)}"
            argument = matches[0]
        return Parsed(command.name, argument)

    def complete(self, text: str) -> str | None:
        """Return ``text`` as it probably goes on; None where nothing begins like it."""
        name, space, argument = text.partition(" ")
        if not name:
            return None
        if not space:
            return _find_first([command.name for command in self.commands], name)
        command = self._find(name)
        if isinstance(command, str) or not argument:
            return None
        option = _find_first(command.options, argument)
        return None if option is None else f"{name} {option}"

    def _find(self, name: str) -> Command | str:
        if not name:
            return "type a command; Tab completes, Esc leaves"
        matches = [command for command in self.commands if command.name.startswith(name)]
        exact = [command for command in matches if command.name == name]
        if len(exact or matches) == 1:
            return (exact or matches)[0]
        if matches:
            return f"{name!r} may be {', '.join(command.name for command in matches[:SHOWN])}"
        return f"no command {name!r}{_give_examples([command.name for command in self.commands])}"


def _find_first(options: Sequence[str], start: str) -> str | None:
    return next((option for option in options if option.startswith(start) and option != start), None)


def _give_examples(options: Sequence[str]) -> str:
    if not options:
        return ""
    ellipsis = ", …" if len(options) > SHOWN else ""
    return f": {', '.join(options[:SHOWN])}{ellipsis}"
