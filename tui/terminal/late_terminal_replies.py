"""Drops answers of the terminal that come after the console has begun to read keys.

Textual knows neither answer and would act on their characters as on keys: ``/`` in a colour opens the filter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from textual._xterm_parser import XTermParser
from textual.message import Message

# the background colour (OSC 11), and what the terminal is (DA1): what ``background_query`` asks for
ANSWER = re.compile(r"\x1b\]11;[^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[\?[\d;]*c")
BEGUN = re.compile(r"\x1b(?:\]1[^\x07\x1b]{0,40}\x1b?|\[\?[\d;]*)\Z")


class AnswerFilter:
    """Takes answers out of what is read; one that is not read to its end yet waits for the rest."""

    def __init__(self) -> None:
        self._begun = ""

    def keep_keys(self, data: str) -> str:
        """Return ``data`` without answers."""
        data = ANSWER.sub("", self._begun + data)
        begun_match = BEGUN.search(data)
        self._begun = begun_match.group() if begun_match is not None else ""
        return data[: len(data) - len(self._begun)]


class KeyParser(XTermParser):
    """Textual's parser of keys, given no answers."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._filter = AnswerFilter()

    def feed(self, data: str) -> Iterable[Message]:
        """Parse ``data``; an empty one is the end."""
        key_data = self._filter.keep_keys(data)
        return () if data and not key_data else super().feed(key_data)
