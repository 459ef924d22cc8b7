"""Options and arguments that several commands have, and how a command is added to the parser."""

from __future__ import annotations

import argparse
from typing import Any

from core.cli import exit_codes

SMALLEST, LARGEST = (20, 5), (400, 200)  # columns and lines of a picture


def add_command(verbs: Any, name: str, function: str, text: str) -> argparse.ArgumentParser:
    """Add a command that runs ``function`` of core.cli."""
    verb_parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=text,
        description=text[:1].upper() + text[1:] + ".",
        epilog=exit_codes.make_epilog(),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    verb_parser.set_defaults(verb=f"core.cli.{function}")
    return verb_parser


def add_spec_argument(argument_parser: argparse.ArgumentParser) -> None:
    """Add the study file."""
    argument_parser.add_argument("spec", metavar="SPEC", help="the study's TOML file")


def add_name_option(argument_parser: argparse.ArgumentParser) -> None:
    """Add the study as an argument, and its trial."""
    argument_parser.add_argument(
        "study", metavar="STUDY", nargs="?", help="default: the only running study, else the latest"
    )
    argument_parser.add_argument(
        "--trial", metavar="N", type=parse_number, help="use this trial instead of the best one"
    )


def add_trust_option(verb: argparse.ArgumentParser) -> None:
    """Add the switch that lets a model's code run."""
    verb.add_argument(
        "--trust-remote-code", action="store_true", help="allow code from the base model's repository to run"
    )


def add_study_option(argument_parser: argparse.ArgumentParser) -> None:
    """Add the study as an option."""
    argument_parser.add_argument(
        "--study", metavar="NAME", help="default: the only running study, else the latest"
    )


def add_json_option(argument_parser: argparse.ArgumentParser) -> None:
    """Add the switch for JSON."""
    argument_parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def parse_number(text: str) -> int:
    """Return a count from 0; argparse turns the error into a usage message."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def parse_size(text: str) -> tuple[int, int]:
    """Return columns and lines of a text such as 120x40; argparse prints the error."""
    columns, _, lines = text.lower().partition("x")
    try:
        size = int(columns), int(lines)
    except ValueError:
        size = (0, 0)
    if not all(low <= value <= high for low, value, high in zip(SMALLEST, size, LARGEST, strict=True)):
        limits = f"{SMALLEST[0]}x{SMALLEST[1]} to {LARGEST[0]}x{LARGEST[1]}"
        raise argparse.ArgumentTypeError(f"{text} is not a size from {limits}, such as 120x40")
    return size
