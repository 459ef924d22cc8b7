"""``trimtab help --man``: the manual page of the command line, in the format of man(7)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from core.cli.exit_codes import TABLE
from core.cli.main import read_version
from core.cli.parsers.argument_parser import DESCRIPTION, make_parser


def make_man_page() -> str:
    """Return the source of trimtab.1."""
    return "\n".join(_list_lines()) + "\n"


def _list_lines() -> Iterator[str]:
    argument_parser = make_parser()
    (commands,) = [
        action for action in argument_parser._actions if isinstance(action, argparse._SubParsersAction)
    ]
    yield f'.TH TRIMTAB 1 "" "trimtab {read_version()}"'
    yield from (".SH NAME", r"trimtab \- run and steer hyper-parameter studies of LoRA fine-tunes")
    yield from (".SH SYNOPSIS", ".B trimtab", "[COMMAND] [options]")
    yield from (".SH DESCRIPTION", _escape_roff(DESCRIPTION), ".SH COMMANDS")
    for command in commands.choices.values():
        usage = " ".join(command.format_usage().split()).removeprefix("usage: ")
        yield from (".SS " + _escape_roff(usage), _escape_roff(command.description or ""))
        for action in command._actions:
            if action.help and action.dest != "help":
                yield from (
                    ".TP",
                    f".B {_escape_roff(_name_action(action))}",
                    _escape_roff(" ".join(action.help.split())),
                )
    yield ".SH EXIT STATUS"
    for code, meaning in TABLE.items():
        yield from (".TP", f".B {code}", _escape_roff(meaning))
    yield from (".SH SEE ALSO", r"\fBtrimtab help\fR lists the topics of the manual.")


def _name_action(action: argparse.Action) -> str:
    place = str(action.metavar or "|".join(action.choices or ())) if action.nargs != 0 else ""
    return " ".join(filter(None, (", ".join(action.option_strings), place)))


def _escape_roff(text: str) -> str:
    """Escape the text so that none of its characters is a command of roff."""
    safe = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...")
    safe = "".join(letter if letter.isascii() else rf"\[u{ord(letter):04X}]" for letter in safe)
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in safe.splitlines())
