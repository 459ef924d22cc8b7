"""A row of a form: name, text and allowed values. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.contract.edits.input_values import Read

YES, NO = "yes", "no"


@dataclass(frozen=True)
class Row:
    """``start`` is the initial text; a row with another text has changed. ``read`` parses
    a text. ``locked`` is the reason why the row cannot change; ``heading`` is shown above."""

    name: str
    start: str
    allowed: str
    meaning: str
    read: Callable[[str], Read] = Read
    choices: tuple[str, ...] = ()
    locked: str = ""
    heading: str = ""
    label: str = ""


def switch(name: str, label: str, meaning: str, locked: str = "") -> Row:
    """A row for yes or no, which begins with no; its value is a bool."""

    def read(text: str) -> Read:
        word = text.strip().lower()
        return Read(word == YES) if word in (YES, NO) else Read(wrong="must be yes or no")

    return Row(name, NO, f"{NO} {YES}", meaning, read, (NO, YES), locked, label=label)


def turn(row: Row, text: str, by: int) -> str:
    """The choice ``by`` places from ``text``, round and round; the first where it is not one of them."""
    if text not in row.choices:
        return row.choices[0]
    return row.choices[(row.choices.index(text) + by) % len(row.choices)]
