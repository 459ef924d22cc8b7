"""Reports to the engine what happens to a study, or to one of its trials."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable

from core.contract.events import event_types as e
from core.contract.text.sanitize import sanitize

log = logging.getLogger("trimtab.pack")

Emit = Callable[[e.Event], None]


class Reporter:
    """Stamps events with the time, the study and, if it is a trial's reporter, the trial, and emits them."""

    def __init__(self, study: str, emit: Emit, trial: int | None = None) -> None:
        self._study, self._emit, self._trial = study, emit, trial

    def of(self, trial: int) -> Reporter:
        """The reporter of one trial of the study."""
        return Reporter(self._study, self._emit, trial)

    def emit(self, kind: type[e.Event], **fields: object) -> None:
        """Emit an event with these fields."""
        if issubclass(kind, e.TrialEvent):
            fields["trial"] = self._trial
        self._emit(kind(at=time.time(), study=self._study, **fields))

    def note(self, text: str, level: str = "info") -> None:
        """Add a note to the event list; a trial's note names the trial."""
        self.emit(e.StudyNoted, text=self._name_trial(text), level=level)

    def warn(self, text: str) -> None:
        """Add a warning to the event list."""
        self.note(text, "warning")

    def report_answers(self, stage: str, done: int, total: int = 0) -> None:
        """Report the progress of a long wait, in answers; an empty ``stage`` ends it. The engine adds the
        worker's name."""
        named_stage = self._name_trial(stage) if stage else ""
        self.emit(e.Preparing, worker="", stage=named_stage, done=done, total=total, unit="answers")

    def fail(self, error: Exception, step: int = 0) -> None:
        """Report that an unexpected error ended the trial; the engine may try it again."""
        log.error("trial %d", self._trial, exc_info=error)
        text = f"{type(error).__name__}: {sanitize(str(error), 300)}"
        trace = "".join(traceback.format_exception(error))
        self.emit(e.TrialFailed, error=text, traceback=trace, step=step, again=True)

    def _name_trial(self, text: str) -> str:
        return text if self._trial is None else f"trial {self._trial}: {text}"
