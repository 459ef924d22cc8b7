"""The verbs' door: reads the command line, runs one verb, turns its errors into words and a code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from core.cli import exits
from core.cli.parser import parser
from core.contract.plain import plain
from core.errors import TrimtabError

# Opens the full-screen console on an engine's socket, at a study; gives its exit code.
Console = Callable[[Path, str | None], int]
TEXT_LIMIT = 2000  # characters of one part of an error


def main(argv: list[str], console: Console | None = None) -> int:
    """Run the verb in ``argv``; the exit code is one of core.cli.exits.TABLE."""
    try:
        arguments = parser().parse_args(argv)
        if arguments.version:
            print(f"trimtab {version()}")
            return exits.OK
        arguments.console = console
        module, function = arguments.verb.split(":")
        return getattr(importlib.import_module(module), function)(arguments)
    except TrimtabError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except SystemExit as leaving:  # argparse: --help, or a usage error that it has printed
        return leaving.code if isinstance(leaving.code, int) else exits.BAD_INPUT


def complain(error: TrimtabError) -> None:
    """Each problem on standard error: what, where, and what to do."""
    for problem in error.problems:
        print(f"trimtab: {plain(problem.what, TEXT_LIMIT)}", file=sys.stderr)
        if problem.where:
            print(f"  {plain(problem.where, TEXT_LIMIT)}", file=sys.stderr)
        if problem.fix:
            print(f"  → {plain(problem.fix, TEXT_LIMIT)}", file=sys.stderr)


def version() -> str:
    """The installed version; a bare checkout has none."""
    from importlib import metadata

    try:
        return metadata.version("trimtab")
    except metadata.PackageNotFoundError:
        return "(not installed)"
