"""Commands of the user bound to keys in console.toml: checked, and filled with what is selected."""

from __future__ import annotations

import shlex
import string
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.console_settings import OwnCommand
from tui.keys.key_declarations import GROUPS
from tui.keys.key_definition import Group, Key, spell

OF_TRIAL = ("trial", "trial_folder")
FILES = ("folder", "spec", "trial_folder")  # paths on the engine's host
PLACEHOLDERS = ("study", "host", *FILES[:2], *OF_TRIAL)
TITLE = "your commands, of console.toml"


def check_own_commands(
    commands: Sequence[OwnCommand], key_map: Mapping[str, str]
) -> tuple[list[OwnCommand], list[str]]:
    """Return the commands that can be used, and in words what is wrong with the others."""
    ids_by_key = {name: key.id for group in GROUPS for key in group for name in _list_keys(key, key_map)}
    usable, faults = list[OwnCommand](), list[str]()
    for command in commands:
        fault = _find_fault(command, ids_by_key)
        if fault:
            faults.append(f"console.toml, command {sanitize(command.key, 30)!r}: {fault}")
        else:
            usable.append(command)
            ids_by_key[command.key] = f"`{find_title(command)}`"
    return usable, faults


def _list_keys(key: Key, key_map: Mapping[str, str]) -> list[str]:
    return key_map.get(key.id, key.keys).split(",")


def _find_fault(command: OwnCommand, ids_by_key: Mapping[str, str]) -> str:
    if not command.key.strip() or "," in command.key:
        return "its key is one key, such as ctrl+o"
    if command.key in ids_by_key:
        return f"the key is {ids_by_key[command.key]}: move that first, under [keys]"
    try:
        words = shlex.split(command.run)
        names = _find_placeholders(words)
    except ValueError as error:
        return f"`run` cannot be read: {error}"
    if unknown := sorted(names - set(PLACEHOLDERS)):
        placeholders = ", ".join(PLACEHOLDERS)
        return f"there is no placeholder {{{sanitize(unknown[0], 30)}}}, only {placeholders}; {{{{ is a brace"
    return "" if words else "`run` is empty"


def _find_placeholders(words: Sequence[str]) -> set[str]:
    """Return the placeholders' names, each with what follows it, such as "trial:>4". Raises ValueError."""
    parts = [part for word in words for part in string.Formatter().parse(word)]
    return {
        name + (f"!{change}" if change else "") + (f":{form}" if form else "")
        for _, name, form, change in parts
        if name is not None
    }


def find_title(command: OwnCommand) -> str:
    """Return its name, or else the program that it runs."""
    return sanitize(command.name or command.run, 60)


def as_group(commands: Sequence[OwnCommand]) -> Group:
    """Return the commands as keys, for the help."""
    keys = [
        Key(f"own.{place}", command.key, f"app.own({place})", find_title(command), _explain_meaning(command))
        for place, command in enumerate(commands)
    ]
    return Group(TITLE, tuple(keys))


def _explain_meaning(command: OwnCommand) -> str:
    name = f"{sanitize(command.name, 60)}: " if command.name else ""
    return f"{name}{sanitize(command.run, 120)}"


def fill(
    command: OwnCommand, study: s.Study | None, trial: s.Trial | None, host: str = ""
) -> list[str] | str:
    """Return the words of the command line, or why it cannot run now. No shell reads them: a placeholder is
    one word or a part of one, whatever it stands for."""
    words = shlex.split(command.run)
    names = _find_placeholders(words)
    key = spell(command.key)
    if study is None and names:
        return f"{key}: there is no study"
    if trial is None and names & set(OF_TRIAL):
        return f"{key}: no trial is selected"
    if host and names & set(FILES):
        return f"{key}: the files are on {host}, not on this host"
    folder = Path(study.folder) if study is not None else Path()
    number = str(trial.number) if trial is not None else ""
    values = {
        "study": study.name if study is not None else "",
        "host": host,
        "folder": str(folder),
        "spec": str(folder / "study.toml"),
        "trial": number,
        "trial_folder": str(folder / "trials" / number),
    }
    return [word.format_map(values) for word in words]
