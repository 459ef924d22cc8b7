"""Sends a trial's events and the notes that it adds to the event list."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from core.contract.events import event_types as e
from core.contract.text.sanitize import plain

Tell = Callable[[e.Event], None]


class TrialReporter:
    """Sends the events of one trial, which it knows by its number."""

    def __init__(self, study: str, number: int, tell: Tell) -> None:
        self._study, self._number, self._tell = study, number, tell

    def say(self, kind: type[e.TrialEvent], **fields: object) -> None:
        """Send an event of this ``kind`` about the trial."""
        self._tell(kind(at=time.time(), study=self._study, trial=self._number, **fields))  # type: ignore[arg-type]

    def note(self, text: str, level: str = "info") -> None:
        """Add a note about the trial to the event list."""
        labelled = f"trial {self._number}: {text}"
        self._tell(e.StudyNoted(at=time.time(), study=self._study, text=labelled, level=level))

    def warn(self, text: str) -> None:
        """Add a warning about the trial to the event list."""
        self.note(text, "warning")

    def prepare(self, stage: str, done: int) -> None:
        """Report how many requests of a slow stage are answered; an empty ``stage`` ends it."""
        label = f"trial {self._number}: {stage}" if stage else ""
        self._tell(
            e.Preparing(at=time.time(), study=self._study, worker="", stage=label, done=done, unit="answers")
        )


def failure(error: Exception) -> dict[str, str]:
    """Format an unexpected error as the fields ``error`` and ``traceback`` of a TrialFailed event."""
    return {
        "error": f"{type(error).__name__}: {plain(str(error), 300)}",
        "traceback": "".join(traceback.format_exception(error)),
    }
