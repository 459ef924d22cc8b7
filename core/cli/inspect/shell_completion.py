"""``trimtab completion``: a script that completes commands and options in a shell, made by shtab."""

from __future__ import annotations

import argparse

from core.cli import exit_codes
from core.cli.parsers.argument_parser import make_parser
from core.errors import TrimtabError


def print_completion(arguments: argparse.Namespace) -> int:
    """Print the script for a shell. Raises TrimtabError where shtab is not installed."""
    try:
        import shtab
    except ImportError:
        raise TrimtabError.of(
            "shtab, which makes the completion script, is not installed",
            "completion",
            "install it into trimtab's environment: pip install shtab",
        ) from None
    print(shtab.complete(make_parser(), arguments.shell))
    return exit_codes.OK
