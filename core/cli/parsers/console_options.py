"""The options of commands that open the console."""

from __future__ import annotations

import argparse
from typing import Any

SLOWEST, FASTEST = 0.1, 60.0
RATE = "frames a second at most: fewer for a slow line (default: 5, or rate in console.toml)"
READ_ONLY = "watch without the keys that change something"


def add_to(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Add them. A subcommand gives ``argparse.SUPPRESS``, so that it keeps what stood before its name."""
    parser.add_argument("--rate", metavar="N", type=_parse_rate, default=default, help=RATE)
    parser.add_argument("--read-only", action="store_true", default=default, help=READ_ONLY)


def list_chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return those that were given, as the console takes them."""
    options = {"rate": getattr(arguments, "rate", None), "read_only": getattr(arguments, "read_only", None)}
    return {name: value for name, value in options.items() if value is not None}


def _parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not SLOWEST <= rate <= FASTEST:
        raise argparse.ArgumentTypeError(f"{text} is not a number from {SLOWEST:g} to {FASTEST:g}")
    return rate
