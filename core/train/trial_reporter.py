"""Emits the events of a trial, and its notes and warnings for the event list."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from core.contract.events import event_types as e
from core.contract.text.sanitize import plain

Tell = Callable[[e.Event], None]


class TrialReporter:
    """Emits events of one trial."""

    def __init__(self, study: str, number: int, tell: Tell) -> None:
        self._study, self._number, self._tell = study, number, tell

    def say(self, kind: type[e.TrialEvent], **fields: object) -> None:
        """Emit an event of the trial."""
        self._tell(kind(at=time.time(), study=self._study, trial=self._number, **fields))

    def note(self, text: str, level: str = "info") -> None:
        """Add a note about the trial to the event list."""
        line = f"trial {self._number}: {text}"
        self._tell(e.StudyNoted(at=time.time(), study=self._study, text=line, level=level))

    def warn(self, text: str) -> None:
        """Add a warning about the trial to the event list."""
        self.note(text, "warning")

    def prepare(self, stage: str, done: int) -> None:
        """Report the progress of a long wait, in answers; an empty ``stage`` ends it."""
        named_stage = f"trial {self._number}: {stage}" if stage else ""
        progress = e.Preparing(
            at=time.time(), study=self._study, worker="", stage=named_stage, done=done, unit="answers"
        )
        self._tell(progress)


def failure(error: Exception) -> dict[str, str]:
    """Format an unexpected error as the fields ``error`` and ``traceback`` of a TrialFailed event."""
    return {
        "error": f"{type(error).__name__}: {plain(str(error), 300)}",
        "traceback": "".join(traceback.format_exception(error)),
    }
