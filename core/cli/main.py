"""Parses the command line, runs one command, and turns its errors into messages and an exit code."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable

from core.cli import activity_line, exit_codes
from core.cli.parsers.argument_parser import make_parser
from core.contract.text.error_reports import complain as complain
from core.contract.text.error_reports import run_guarded

# Opens the full-screen console on an engine's socket, at a study, with the options of console_options.py;
# gives its exit code.
Console = Callable[..., int]


def main(argv: list[str], console: Console | None = None) -> int:
    """Run the command in ``argv``; return an exit code of core.cli.exit_codes.TABLE."""
    command = next((word for word in argv[:1] if word.isidentifier()), "")
    name = f"trimtab {command}".strip()
    return run_guarded(name, lambda: _run(name, argv, console))


def _run(name: str, argv: list[str], console: Console | None) -> int:
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as leaving:  # argparse: --help, or a usage error that it has printed
        return leaving.code if isinstance(leaving.code, int) else exit_codes.BAD_INPUT
    if arguments.version:
        print(f"trimtab {read_version()}")
        return exit_codes.OK
    arguments.console = console
    with activity_line.show_activity(name):
        return _find_verb(arguments)


def _find_verb(arguments: argparse.Namespace) -> int:
    module, function = arguments.verb.split(":")
    result: int = getattr(importlib.import_module(module), function)(arguments)
    return result


def read_version() -> str:
    """Return the installed version; a checkout that is not installed has none."""
    from importlib import metadata

    try:
        return metadata.version("trimtab")
    except metadata.PackageNotFoundError:
        return "(not installed)"
