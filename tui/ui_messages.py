"""The messages that widgets and the engine connection post to the app."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass(frozen=True)
class ShownMessage:
    """A notification that was shown ``at`` (Unix seconds); ``level`` is information, warning or error."""

    at: float
    level: str
    title: str
    text: str


class TrialChosen(Message):
    """The cursor moved to another trial; None when there is none."""

    def __init__(self, number: int | None) -> None:
        super().__init__()
        self.number = number


class TrialOpened(Message):
    """Enter or a double click on a trial."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Supposed(Message):
    """A value of the what-if changed."""


class CellChosen(Message):
    """The cursor moved to another trial or metric of the boards."""


class CellOpened(Message):
    """Enter or a double click on a cell of the boards."""


class BoardLeft(Message):
    """The cursor moved past the last column (1) or the first one (-1)."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.by = by
