"""What a trial tells: events about itself, and words for the list of events."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from core.contract.events import event_types as e
from core.contract.text.sanitize import plain

Tell = Callable[[e.Event], None]


class Voice:
    """Of one trial, by its number."""

    def __init__(self, study: str, number: int, tell: Tell) -> None:
        self._study, self._number, self._tell = study, number, tell

    def say(self, kind: type[e.TrialEvent], **fields: object) -> None:
        """Something happened to the trial."""
        self._tell(kind(at=time.time(), study=self._study, trial=self._number, **fields))  # type: ignore[arg-type]

    def note(self, text: str, level: str = "info") -> None:
        """A word about the trial for the list of events."""
        told = f"trial {self._number}: {text}"
        self._tell(e.StudyNoted(at=time.time(), study=self._study, text=told, level=level))

    def warn(self, text: str) -> None:
        """A word that somebody should read."""
        self.note(text, "warning")

    def prepare(self, stage: str, done: int) -> None:
        """How many requests of a long wait are answered; an empty ``stage`` ends it."""
        whose = f"trial {self._number}: {stage}" if stage else ""
        wait = e.Preparing(
            at=time.time(), study=self._study, worker="", stage=whose, done=done, unit="answers"
        )
        self._tell(wait)


def failure(error: Exception) -> dict[str, str]:
    """An unexpected error as the fields ``error`` and ``traceback`` of a TrialFailed event."""
    return {
        "error": f"{type(error).__name__}: {plain(str(error), 300)}",
        "traceback": "".join(traceback.format_exception(error)),
    }
