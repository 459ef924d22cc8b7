"""The commands of the console by name, and what each does. Keys with a title are commands, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.contract.state import engine_state as s
from core.contract.views.trials import trial_fields
from core.manual import manual_reader
from tui.base.help_screen import Help
from tui.command_line.command_parser import Command, CommandTable, Parsed
from tui.console_settings import OwnCommand
from tui.export.saved_kinds import KINDS
from tui.keys.key_declarations import list_command_keys
from tui.keys.own_commands import find_title
from tui.start.start_page import DEMO, FILE, WIZARD

if TYPE_CHECKING:
    from tui.command_line.navigation import Navigation

WAYS = (FILE, WIZARD, DEMO)
NAMED_TRIALS = 2000  # whose numbers are completed


def build_table(app: Navigation) -> CommandTable:
    """Return the commands that can be typed now, with the values of their arguments."""
    study = app.study
    numbers = tuple(str(number) for number in sorted(study.trials)[-NAMED_TRIALS:]) if study else ()
    places = tuple(app.places)
    commands = [
        Command("trial", "open a trial", "a number", options=numbers),
        Command("filter", "show the trials that match; nothing shows all", "a filter", False, limited=False),
        Command("sort", "order the trials by a knob or metric", "a name", True, _list_fields(study), False),
        Command("go", "open a screen", "a screen", options=places),
        Command("open", "start another study: its file, the wizard or the demo", "a way", False, WAYS),
        Command("study", "show another study", "a name", options=tuple(app.engine.state.studies)),
        Command("save", "save as a file", "what", False, KINDS),
        Command("theme", "change the colours", "a theme", options=tuple(sorted(app.available_themes))),
        Command(
            "help", "keys, or a page of the manual", "a topic", False, tuple(manual_reader.list_topics())
        ),
        *(Command(place, f"open {place}") for place in places if place != "trial"),
        *(Command(name, key.meaning) for name, key in list_command_keys().items()),
        *(Command(_format_typed_name(command), command.run) for command in app.own_commands if command.name),
        Command("quit", "leave; the study continues"),
    ]
    first = {command.name: command for command in reversed(commands)}  # a key does not replace a screen
    return CommandTable(tuple(dict.fromkeys(first[command.name] for command in commands)))


async def run_command(app: Navigation, parsed: Parsed) -> None:
    """Do what the command says."""
    runs: dict[str, Callable[[str], Any]] = {
        "trial": lambda number: app.open_trial(int(number)),
        "go": app.go,
        "filter": app.filter_trials,
        "sort": app.sort_trials,
        "open": lambda way: app.begin_study(way or FILE),
        "study": app.show_study,
        "theme": lambda theme: setattr(app, "theme", theme),
        "help": lambda topic: app.push_screen(Help(app.look, (), topic)) if topic else app.action_help(),
        "save": lambda kind: app.action_save(kind),
        "quit": lambda _: app.action_detach(),
    }
    own = next(
        (at for at, command in enumerate(app.own_commands) if _format_typed_name(command) == parsed.name),
        None,
    )
    if parsed.name in runs:
        runs[parsed.name](parsed.argument)
    elif parsed.name in app.places:
        app.go(parsed.name)
    elif parsed.name in list_command_keys():
        await app.run_key(list_command_keys()[parsed.name])
    elif own is not None:
        app.action_own(own)


def _format_typed_name(command: OwnCommand) -> str:
    """Return the name of a user's command as it is typed."""
    return find_title(command).replace(" ", "-")


def _list_fields(study: s.Study | None) -> tuple[str, ...]:
    return tuple(field.name for field in trial_fields.list_fields(study)) if study is not None else ()
